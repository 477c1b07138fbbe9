"""An environment variable that is not valid UTF-8 is rejected by name if it would be used, not treated as unset."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
import trustme
from support import ACCESS_ID, ACCESS_KEY, CA_VARIABLES, HANG_TIMEOUT, SHELL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CREDENTIALS: dict[str, Any] = {"access_id": ACCESS_ID, "access_key": ACCESS_KEY}
NOT_UTF8 = b"marker\xff"


@pytest.fixture
def set_invalid(_no_ca_variables: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def set_invalid(name: str) -> None:
        monkeypatch.setitem(os.environb, name.encode(), NOT_UTF8)

    return set_invalid


CONSTRUCTORS: list[Callable[..., Any]] = [lmtokens.Client, lmtokens.AsyncClient, lmtokens.LMv1Auth]
# A signature does not use them.
OF_REQUESTS = {*CA_VARIABLES, "HTTPS_PROXY", "all_proxy", "LM_TIMEOUT"}


@pytest.mark.parametrize("constructor", CONSTRUCTORS)
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("LM_COMPANY", CREDENTIALS),
        ("LM_ACCOUNT", CREDENTIALS),
        ("LM_PORTAL", CREDENTIALS),
        ("LM_DOMAIN_NAME", {"company": "acme", **CREDENTIALS}),
        ("LM_BASE_URL", {"company": "acme", **CREDENTIALS}),
        ("LM_TIMEOUT", {"company": "acme", **CREDENTIALS}),
        ("LM_PROFILE", {"company": "acme"}),
        ("LM_CONFIG_FILE", {"company": "acme"}),
        ("LM_ACCESS_ID", {"company": "acme"}),
        ("LM_ACCESS_KEY", {"company": "acme"}),
        ("LM_API_ID", {"company": "acme"}),
        ("LM_API_KEY", {"company": "acme"}),
        ("LM_BEARER_TOKEN", {"company": "acme"}),
        ("SSL_CERT_FILE", {"company": "acme", **CREDENTIALS}),
        ("SSL_CERT_DIR", {"company": "acme", **CREDENTIALS}),
        ("REQUESTS_CA_BUNDLE", {"company": "acme", **CREDENTIALS}),
        ("CURL_CA_BUNDLE", {"company": "acme", **CREDENTIALS}),
        ("HTTPS_PROXY", {"company": "acme", **CREDENTIALS}),
        ("all_proxy", {"company": "acme", **CREDENTIALS}),
    ],
)
def test_used_variable_is_rejected_by_name(
    set_invalid: Callable[[str], None], constructor: Callable[..., Any], name: str, settings: dict[str, Any]
) -> None:
    set_invalid(name)
    if constructor == lmtokens.LMv1Auth and name in OF_REQUESTS:
        constructor(**settings)
        return
    with pytest.raises(lmtokens.ConfigurationError, match=f"{name} is not valid UTF-8") as caught:
        constructor(**settings)
    assert "marker" not in repr((str(caught.value), caught.value.args, vars(caught.value)))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("half", ["LM_ACCESS_ID", "LM_ACCESS_KEY"])
def test_invalid_half_of_a_pair_is_not_reported_as_missing(
    set_invalid: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, half: str
) -> None:
    monkeypatch.setenv("LM_ACCESS_ID", ACCESS_ID)
    monkeypatch.setenv("LM_ACCESS_KEY", ACCESS_KEY)
    set_invalid(half)
    with pytest.raises(lmtokens.ConfigurationError, match=f"{half} is not valid UTF-8"):
        lmtokens.Client("acme")


def test_no_proxy_is_rejected_only_if_a_proxy_is_set(
    set_invalid: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_invalid("NO_PROXY")
    lmtokens.Client("acme", **CREDENTIALS)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(lmtokens.ConfigurationError, match="NO_PROXY is not valid UTF-8"):
        lmtokens.Client("acme", **CREDENTIALS)


def test_unused_variables_are_ignored(set_invalid: Callable[[str], None], tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    trustme.CA().cert_pem.write_to_path(str(bundle))
    for name in ("LM_COMPANY", "LM_DOMAIN_NAME", "LM_TIMEOUT", "LM_PROFILE", "LM_ACCESS_ID", "LM_BEARER_TOKEN"):
        set_invalid(name)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "NO_PROXY"):
        set_invalid(name)
    client = lmtokens.Client(
        "acme", domain="lmgov.us", timeout=5, ca_bundle=bundle, proxy="http://127.0.0.1:9", **CREDENTIALS
    )
    assert "acme.lmgov.us" in repr(client)


def test_domain_is_ignored_with_a_base_url(set_invalid: Callable[[str], None]) -> None:
    set_invalid("LM_DOMAIN_NAME")
    assert "127.0.0.1" in repr(lmtokens.Client(base_url="http://127.0.0.1:9/santaba/rest", **CREDENTIALS))


def test_bearer_token_is_ignored_with_an_access_id_and_key(
    set_invalid: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LM_ACCESS_ID", ACCESS_ID)
    monkeypatch.setenv("LM_ACCESS_KEY", ACCESS_KEY)
    set_invalid("LM_BEARER_TOKEN")
    assert "LMv1 from environment (LM_ACCESS_ID, LM_ACCESS_KEY)" in repr(lmtokens.Client("acme"))


def test_shell_rejects_an_invalid_variable() -> None:
    environment = {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}
    completed = subprocess.run(
        [*SHELL, "add", "32", "--company", "acme", "--dry-run"],
        env={**environment, b"LM_ACCESS_ID": ACCESS_ID.encode(), b"LM_ACCESS_KEY": NOT_UTF8},
        capture_output=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )
    assert completed.stderr.startswith(b"error: LM_ACCESS_KEY is not valid UTF-8")
    assert b"marker" not in completed.stderr
    assert (completed.returncode, completed.stdout) == (2, b"")
