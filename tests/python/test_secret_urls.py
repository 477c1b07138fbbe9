"""A URL that only a lenient parser understands is refused before any look-up, and no part of it is repeated."""

from __future__ import annotations

import asyncio
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

import lmtokens
import pytest
from support import ACCESS_ID, ACCESS_KEY, run_python, run_shell

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

pytestmark = pytest.mark.usefixtures("_no_ca_variables")

PROXY_VARIABLES = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
CREDENTIALS: dict[str, Any] = {"access_id": ACCESS_ID, "access_key": ACCESS_KEY}
# Parts of the passwords and hosts below that no other output contains, in the spelling of any parser.
MARKERS = ["qx7", "zebra", "hunter2", "zx.example", "corp"]

# Each is a URL of a proxy whose password is not percent-encoded, without its scheme.
AMBIGUOUS = [
    "svc:Qx7@Zebra/9@zx.example:8080",
    "svc:Qx7/Zebra@zx.example:8080",
    "svc:2024/Hunter2@zx.example:8080",
    "svc:2024/Hunter2@zx.example:8080/",
    "svc:2024?Hunter2@zx.example:8080",
    "svc:2024#Hunter2@zx.example:8080",
    "Zebra/Hunter2@zx.example:8080",
    "Zebra?Hunter2@zx.example:8080",
    "Zebra#Hunter2@zx.example:8080",
    "svc:Qx7#Zebra@zx.example:8080",
    "svc:Qx7?Zebra@zx.example:8080",
    "svc:Qx7@Zebra@zx.example:8080",
    "CORP\\john:Hunter2@zx.example:8080",
    "CORP\\john:2024@zx.example:8080",
    "svc:Qx7\\Zebra@zx.example:8080",
    "svc:Qx7\tZebra@zx.example:8080",
    "svc:Qx7\nZebra@zx.example:8080",
    "svc:Qx7\rZebra@zx.example:8080",
    "svc:Qx7 Zebra@zx.example:8080",
    "svc:Qx7%Zebra@zx.example:8080",
    "svc:Qx7%4@zx.example:8080",
    "svc:Hunter2%",
    "svc:Qx7%zz@zx.example:8080",
    "svc:Qx7é@zx.example:8080",
    "svc:Qx7\u200b@zx.example:8080",
    "svc:Qx7\x7f@zx.example:8080",
    "svc:Qx7[Zebra]@zx.example:8080",
    "svc:Qx7^Zebra@zx.example:8080",
    'svc:Qx7"Zebra@zx.example:8080',
    "svc:Qx7<Zebra@zx.example:8080",
    "svc:Qx7{Zebra}@zx.example:8080",
    "svc:Qx7|Zebra@zx.example:8080",
    "svc:Qx7`Zebra@zx.example:8080",
    "svc:Hunter2://Zebra@zx.example:8080",
    "svc:Hunter2@",
    "svc:Hunter2@:8080",
    "svc:Hunter2@/",
    "/svc:Hunter2@zx.example:8080",
    "svc:Hunter2@zx.example:",
    "svc:Hunter2@zx.example:0",
    "svc:Hunter2@zx.example:08080",
    "svc:Hunter2@zx.example:99999",
    "svc:Hunter2@zx.example:+80",
    "svc:Hunter2@zx.example:80:80",
    "svc:Hunter2@zx.example:Zebra",
    "svc:Hunter2@zx%2eexample:8080",
    "svc:Hunter2@zx.exämple:8080",
    "svc:Hunter2@zx.example。:8080",
    "svc:Hunter2@0x7f.1:8080",
    "svc:Hunter2@2130706433:8080",
    "svc:Hunter2@127.1:8080",
    "svc:Hunter2@[::1:8080",
    "svc:Hunter2@::1:8080",
    "svc:Hunter2@[::1]Zebra:8080",
    "svc:Hunter2@zx.example:8080/path",
    "svc:Hunter2@zx.example:8080?",
    "svc:Hunter2@zx.example:8080#",
    "svc:Hunter2@zx.example:8080/#x",
    "'svc:Hunter2@zx.example:8080'",
    "<svc:Hunter2@zx.example:8080>",
]


def assert_refused(construct: Callable[[], object], name: str) -> None:
    with pytest.raises(lmtokens.ConfigurationError) as caught:
        construct()
    error = caught.value
    assert str(error).startswith(f"invalid {name}: ")
    assert_not_repeated(error)


def assert_not_repeated(error: BaseException) -> None:
    shown = traceback.TracebackException(type(error), error, error.__traceback__)
    # The source line of a test is part of its own trace.
    shown.stack.clear()
    text = f"{''.join(shown.format())} {error!r} {vars(error)} {error.args}".lower()
    assert [marker for marker in MARKERS if marker in text] == []
    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize("scheme", ["http://", "https://", "HTTP://", "socks5://"])
def test_ambiguous_proxy_argument(scheme: str) -> None:
    constructors: list[Callable[..., object]] = [lmtokens.Client, lmtokens.AsyncClient, lmtokens.configure]
    if not scheme.startswith("socks"):
        # A signature needs no proxy, so that an unsupported one does not matter.
        constructors.append(lmtokens.LMv1Auth)
    for ambiguous in AMBIGUOUS:
        for construct in constructors:
            for url in (scheme + ambiguous, lmtokens.Secret(scheme + ambiguous)):
                assert_refused(partial(construct, "acme", proxy=url, **CREDENTIALS), "proxy")


@pytest.mark.parametrize("name", PROXY_VARIABLES)
@pytest.mark.parametrize("scheme", ["", "http://", "https://", "socks5://"])
def test_ambiguous_proxy_variable(monkeypatch: pytest.MonkeyPatch, name: str, scheme: str) -> None:
    for ambiguous in AMBIGUOUS:
        monkeypatch.setenv(name, scheme + ambiguous)
        for construct in (lmtokens.Client, lmtokens.AsyncClient):
            assert_refused(partial(construct, "acme", **CREDENTIALS), name)


@pytest.mark.parametrize("ambiguous", ["svc:Qx7@Zebra/9@zx.example:8080", "svc:2024/Hunter2@zx.example:8080"])
def test_error_says_to_percent_encode(ambiguous: str) -> None:
    with pytest.raises(lmtokens.ConfigurationError, match="percent-encode") as caught:
        lmtokens.Client("acme", proxy=f"http://{ambiguous}", **CREDENTIALS)
    assert "PASSWORD" in str(caught.value.suggestion)


@pytest.mark.parametrize("ambiguous", ["http://svc:Qx7@Zebra/9@zx.example:8080", "svc:2024/Hunter2@zx.example:8080"])
def test_ambiguous_proxy_variable_of_other_entry_points(monkeypatch: pytest.MonkeyPatch, ambiguous: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", ambiguous)
    monkeypatch.setenv("LM_COMPANY", "acme")
    monkeypatch.setenv("LM_ACCESS_ID", ACCESS_ID)
    monkeypatch.setenv("LM_ACCESS_KEY", ACCESS_KEY)
    assert_refused(lambda: lmtokens.add_token(32), "HTTPS_PROXY")
    environment = {"RUST_LOG": "trace", "RUST_BACKTRACE": "full", "PYTHONDEVMODE": "1"}
    program = "import logging; logging.basicConfig(level=1)\nimport lmtokens; lmtokens.add_token(32)"
    for completed in (
        run_python(program, environment=environment),
        run_shell("add", "32", environment=environment),
        run_shell("sweep", environment=environment),
    ):
        assert completed.returncode != 0
        assert "invalid HTTPS_PROXY" in completed.stderr
        assert "percent-encode" in completed.stderr
        output = (completed.stdout + completed.stderr).lower()
        assert [marker for marker in MARKERS if marker in output] == []


def test_no_ambiguous_proxy_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    # Only the threads of the runtime send requests or look up names.
    program = """
import os, lmtokens
for url in os.environ["URLS"].split("|"):
    os.environ["HTTPS_PROXY"] = url
    try:
        lmtokens.Client("acme", access_id="exampleAccessId00001", access_key="invented-key").add_token(32)
    except lmtokens.ConfigurationError as error:
        assert error.attempts == 0
    else:
        raise AssertionError("accepted")
print(len(os.listdir("/proc/self/task")))
"""
    urls = "|".join(["http://svc:Qx7@Zebra/9@zx.example:8080", "http://Zebra/Hunter2@zx.example", "http://a\\b@c"])
    assert run_python(program, environment={"URLS": urls}).stdout == "1\n"


ENCODED = [
    "http://svc:Qx7%40Zebra%2F9@127.0.0.1:9",
    "http://CORP%5Cjohn:pw@127.0.0.1:9",
    "http://svc:a:b!$&'()*+,;=-._~@127.0.0.1:9",
    "http://svc@127.0.0.1:9",
    "http://svc:@127.0.0.1:9",
    "http://[::1]:9",
    "HTTP://LOCALHOST:9/",
    "http://proxy_1.zx.example.:9",
    " http://127.0.0.1:9 ",
    "http://127.0.0.1:9\n",
]


@pytest.mark.parametrize("url", ENCODED)
def test_unambiguous_proxy(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    lmtokens.Client("acme", proxy=url, **CREDENTIALS)
    monkeypatch.setenv("HTTPS_PROXY", url)
    lmtokens.Client("acme", **CREDENTIALS)


BASES = [
    "https://svc:Hunter2@zx.example/santaba/rest",
    "https://svc:2024/Hunter2@zx.example/santaba/rest",
    "https://svc:2024#Hunter2@zx.example/santaba/rest",
    "https://Zebra\\Hunter2@zx.example/santaba/rest",
    "https:\\\\zx.example/santaba/rest",
    "https:/zx.example/santaba/rest",
    "https:zx.example/santaba/rest",
    "https:///zx.example/santaba/rest",
    "https://zx.exam\tple/santaba/rest",
    "https://zx.example\\santaba\\rest",
    "https://zx.example/santaba\n/rest",
    "https://zx.example:/santaba/rest",
    "https://zx.example:0443/santaba/rest",
    "https://zx%2eexample/santaba/rest",
    "https://zx.exämple/santaba/rest",
    "https://0x7f.1/santaba/rest",
    "http://0x7f.1/santaba/rest",
    "http://2130706433/santaba/rest",
    "http://127.1/santaba/rest",
    "https://zx.example/%zz/santaba/rest",
    "https://zx.example/a b/santaba/rest",
    "\u200bhttps://zx.example/santaba/rest",
    '"https://zx.example/santaba/rest"',
]


@pytest.mark.parametrize("base_url", BASES)
def test_ambiguous_base_url(monkeypatch: pytest.MonkeyPatch, base_url: str) -> None:
    for construct in (lmtokens.Client, lmtokens.AsyncClient, lmtokens.LMv1Auth):
        assert_refused(partial(construct, base_url=base_url, **CREDENTIALS), "base_url")
    monkeypatch.setenv("LM_BASE_URL", base_url)
    # A value with traces of copying is reported with the name of its variable.
    setting = "LM_BASE_URL" if base_url.startswith(("\u200b", '"')) else "base_url"
    assert_refused(lambda: lmtokens.Client(**CREDENTIALS), setting)
    monkeypatch.delenv("LM_BASE_URL")
    completed = run_shell("sweep", f"--base-url={base_url}")
    assert completed.returncode == 2
    assert [marker for marker in MARKERS if marker in completed.stderr.lower()] == []


@pytest.mark.parametrize(
    "company",
    [
        "https://svc:Hunter2@acme.logicmonitor.com/",
        "https://acme.logicmonitor.com\\@zx.example",
        "https:\\\\acme.logicmonitor.com",
        "https:///acme.logicmonitor.com",
        "https://acme.logic\tmonitor.com",
        "https://acme.logicmonitor.com:/",
        "https://acme%2elogicmonitor.com",
        "https://acme.logicmonitor.com/Hunter2@zx.example",
        "https://acme。logicmonitor.com",
    ],
)
def test_ambiguous_company(monkeypatch: pytest.MonkeyPatch, company: str) -> None:
    for construct in (lmtokens.Client, lmtokens.AsyncClient, lmtokens.LMv1Auth):
        with pytest.raises(lmtokens.ConfigurationError, match="invalid company") as caught:
            construct(company, **CREDENTIALS)
        assert_not_repeated(caught.value)
    monkeypatch.setenv("LM_COMPANY", company)
    with pytest.raises(lmtokens.ConfigurationError, match="invalid company") as caught:
        lmtokens.Client(**CREDENTIALS)
    assert_not_repeated(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://svc:2024/Hunter2@acme.logicmonitor.com/santaba/rest/x",
        "https://Zebra/Hunter2@acme.logicmonitor.com/santaba/rest/x",
        "https://svc:Hunter2@zx.example/santaba/rest/x",
        "https://svc:2024\\Hunter2@acme.logicmonitor.com/santaba/rest/x",
        "https://acme.logicmonitor.com\\santaba\\rest\\Hunter2",
        "https:acme.logicmonitor.com/santaba/rest/Hunter2",
        "https://acme.logicmonitor.com/santaba/rest/Hun\nter2",
    ],
)
def test_auth_does_not_sign_or_repeat_an_ambiguous_url(url: str) -> None:
    auth = lmtokens.LMv1Auth("acme", **CREDENTIALS)
    assert not auth._is_bound_to(url)
    with pytest.raises((lmtokens.ConfigurationError, ValueError)) as caught:
        auth._authorization("GET", url, b"")
    assert_not_repeated(caught.value)


def test_auth_signs_paths_and_queries_with_an_at_sign() -> None:
    auth = lmtokens.LMv1Auth("acme", **CREDENTIALS)
    url = "https://acme.logicmonitor.com/santaba/rest/a@b?filter=name:%22a@b%22"
    assert auth._is_bound_to(url)
    assert auth._authorization("GET", url, b"").startswith("LMv1 ")


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://login.example/x", " to login.example;"),
        ("https://login.example:8443/x?from=a", " to login.example;"),
        ("//login.example/x", " to login.example;"),
        ("/login", " to 127.0.0.1;"),
        ("login", " to 127.0.0.1;"),
        ("https://svc:2024/Hunter2@zx.example/", "redirect;"),
        ("https://Zebra/Hunter2@zx.example/", "redirect;"),
        ("https://svc:Hunter2@zx.example/", "redirect;"),
        ("//Zebra/Hunter2@zx.example/", "redirect;"),
        ("https://Zebra\\Hunter2@zx.example/", "redirect;"),
        ("\\\\Zebra/", None),
        ("https:\\\\Zebra/", None),
        ("https:Zebra", None),
    ],
)
def test_redirect_names_no_part_of_an_ambiguous_url(lmtokens_portal: Portal, location: str, shown: str | None) -> None:
    lmtokens_portal.fail("redirect", location=location, status=302)
    with pytest.raises(lmtokens.APIError) as caught:
        lmtokens_portal.client().add_token(32)
    assert (shown or "redirect") in str(caught.value)
    assert_not_repeated(caught.value)


def test_redirect_of_the_async_client(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("redirect", location="https://Zebra/Hunter2@zx.example/", status=302)

    async def add() -> None:
        await lmtokens_portal.async_client().add_token(32)

    with pytest.raises(lmtokens.APIError) as caught:
        asyncio.run(add())
    assert_not_repeated(caught.value)
