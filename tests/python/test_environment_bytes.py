"""A variable whose bytes are no text is refused by its name where it would have been used, not taken for unset."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
import trustme
from support import ACCESS_ID, ACCESS_KEY, HANG_TIMEOUT, SHELL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAIR: dict[str, Any] = {"access_id": ACCESS_ID, "access_key": ACCESS_KEY}
NO_TEXT = b"marker\xff"


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)

    def put(name: str) -> None:
        monkeypatch.setitem(os.environb, name.encode(), NO_TEXT)

    return put


CONSTRUCTORS: list[Callable[..., Any]] = [lmtokens.Client, lmtokens.AsyncClient, lmtokens.LMv1Auth]


@pytest.mark.parametrize("constructor", CONSTRUCTORS)
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("LM_COMPANY", PAIR),
        ("LM_ACCOUNT", PAIR),
        ("LM_PORTAL", PAIR),
        ("LM_DOMAIN_NAME", {"company": "acme", **PAIR}),
        ("LM_BASE_URL", {"company": "acme", **PAIR}),
        ("LM_TIMEOUT", {"company": "acme", **PAIR}),
        ("LM_PROFILE", {"company": "acme"}),
        ("LM_CONFIG_FILE", {"company": "acme"}),
        ("LM_ACCESS_ID", {"company": "acme"}),
        ("LM_ACCESS_KEY", {"company": "acme"}),
        ("LM_API_ID", {"company": "acme"}),
        ("LM_API_KEY", {"company": "acme"}),
        ("LM_BEARER_TOKEN", {"company": "acme"}),
        ("SSL_CERT_FILE", {"company": "acme", **PAIR}),
        ("SSL_CERT_DIR", {"company": "acme", **PAIR}),
        ("REQUESTS_CA_BUNDLE", {"company": "acme", **PAIR}),
        ("CURL_CA_BUNDLE", {"company": "acme", **PAIR}),
        ("HTTPS_PROXY", {"company": "acme", **PAIR}),
        ("all_proxy", {"company": "acme", **PAIR}),
    ],
)
def test_variable_that_would_have_been_used(
    put: Callable[[str], None], constructor: Callable[..., Any], name: str, settings: dict[str, str]
) -> None:
    put(name)
    with pytest.raises(lmtokens.ConfigurationError, match=f"{name} is set to what is no text") as caught:
        constructor(**settings)
    assert "marker" not in repr((str(caught.value), caught.value.args, vars(caught.value)))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("half", ["LM_ACCESS_ID", "LM_ACCESS_KEY"])
def test_half_of_a_pair_is_not_taken_for_missing(
    put: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, half: str
) -> None:
    monkeypatch.setenv("LM_ACCESS_ID", ACCESS_ID)
    monkeypatch.setenv("LM_ACCESS_KEY", ACCESS_KEY)
    put(half)
    with pytest.raises(lmtokens.ConfigurationError, match=f"{half} is set"):
        lmtokens.Client("acme")


def test_exceptions_of_a_proxy(put: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    put("NO_PROXY")
    lmtokens.Client("acme", **PAIR)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(lmtokens.ConfigurationError, match="NO_PROXY is set"):
        lmtokens.Client("acme", **PAIR)


def test_variables_that_are_not_used_do_not_matter(put: Callable[[str], None], tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    for name in ("LM_COMPANY", "LM_DOMAIN_NAME", "LM_TIMEOUT", "LM_PROFILE", "LM_ACCESS_ID", "LM_BEARER_TOKEN"):
        put(name)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "NO_PROXY"):
        put(name)
    client = lmtokens.Client("acme", domain="lmgov.us", timeout=5, ca_bundle=bundle, proxy="http://127.0.0.1:9", **PAIR)
    assert "acme.lmgov.us" in repr(client)


def test_base_url_needs_no_domain(put: Callable[[str], None]) -> None:
    put("LM_DOMAIN_NAME")
    assert "127.0.0.1" in repr(lmtokens.Client(base_url="http://127.0.0.1:9/santaba/rest", **PAIR))


def test_bearer_beside_a_pair_is_passed_over(put: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_ACCESS_ID", ACCESS_ID)
    monkeypatch.setenv("LM_ACCESS_KEY", ACCESS_KEY)
    put("LM_BEARER_TOKEN")
    assert "LMv1 from environment (LM_ACCESS_ID, LM_ACCESS_KEY)" in repr(lmtokens.Client("acme"))


def test_shell() -> None:
    environment = {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}
    completed = subprocess.run(
        [*SHELL, "add", "32", "--company", "acme", "--dry-run"],
        env={**environment, b"LM_ACCESS_ID": ACCESS_ID.encode(), b"LM_ACCESS_KEY": NO_TEXT},
        capture_output=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )
    assert completed.stderr.startswith(b"error: LM_ACCESS_KEY is set to what is no text")
    assert b"marker" not in completed.stderr
    assert (completed.returncode, completed.stdout) == (2, b"")
