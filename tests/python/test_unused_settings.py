"""Settings of the environment are judged only if a call needs them: not for loopback, nor for a signature."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Callable

import lmtokens
import pytest
from certificates import issued
from lmtokens.sandbox import Portal
from network import ConnectProxy, tls_in_front_of
from support import ACCESS_ID, ACCESS_KEY, CA_VARIABLES, TOKENS_PATH, run_python, run_shell

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("_no_ca_variables")

CREDENTIALS: dict[str, Any] = {"access_id": ACCESS_ID, "access_key": ACCESS_KEY}
PROXY_VARIABLES = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
SOCKS = ["socks5://127.0.0.1:1080", "socks5h://u:p@proxy.example", "socks4://127.0.0.1", "SOCKS4A://h:1", "socks://h"]
UNUSABLE = [
    *((name, "socks5://127.0.0.1:1080") for name in PROXY_VARIABLES),
    *((name, "http://svc:a/b@proxy.example") for name in PROXY_VARIABLES),
    *((name, "/nowhere/at/all.pem") for name in CA_VARIABLES),
]


@pytest.mark.parametrize(("name", "value"), UNUSABLE)
def test_loopback_needs_neither_a_proxy_nor_certificates(
    lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert lmtokens.add_token(32).id == lmtokens_portal.tokens[-1].id
    lmtokens.Client().add_token(32)
    lmtokens_portal.client().add_token(32)

    async def add() -> None:
        await lmtokens.AsyncClient().add_token(32)

    asyncio.run(add())
    assert run_shell("add", "32").returncode == 0
    assert len(lmtokens_portal.tokens) >= 5


@pytest.mark.parametrize(("name", "value"), UNUSABLE)
def test_new_sandbox_and_its_programs(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with Portal() as portal:
        assert portal.client().add_token(32).id
        environment = {"LM_BASE_URL": portal.base_url, "LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY}
        completed = run_python("import lmtokens; print(lmtokens.Client())", environment=environment)
        assert "127.0.0.1" in completed.stdout


@pytest.mark.parametrize(("name", "value"), [*UNUSABLE, ("LM_TIMEOUT", "soon")])
def test_signatures_need_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    auth = lmtokens.LMv1Auth("acme", **CREDENTIALS)
    url = f"https://acme.logicmonitor.com/santaba/rest{TOKENS_PATH}"
    assert auth._authorization("GET", url, b"").startswith("LMv1 ")
    assert lmtokens.sign("GET", TOKENS_PATH, **CREDENTIALS).startswith("LMv1 ")


@pytest.mark.parametrize("url", [*SOCKS, "http://svc:a/b@proxy.example", "nonsense://x"])
def test_excepted_host_needs_no_proxy(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(lmtokens.ConfigurationError, match="HTTPS_PROXY"):
        lmtokens.Client("acme", **CREDENTIALS)
    monkeypatch.setenv("NO_PROXY", "logicmonitor.com")
    lmtokens.Client("acme", **CREDENTIALS)
    with pytest.raises(lmtokens.ConfigurationError, match="HTTPS_PROXY"):
        lmtokens.Client("acme", domain="lmgov.us", **CREDENTIALS)


def test_excepted_host_needs_no_proxy_in_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", os.fsdecode(b"http://u:\xff@proxy.example"))
    with pytest.raises(lmtokens.ConfigurationError, match="HTTPS_PROXY is not valid UTF-8"):
        lmtokens.Client("acme", **CREDENTIALS)
    monkeypatch.setenv("NO_PROXY", "*")
    lmtokens.Client("acme", **CREDENTIALS)


def test_tls_to_loopback_needs_certificates_but_no_proxy(
    lmtokens_portal: Portal, ca_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with tls_in_front_of(lmtokens_portal, issued("localhost")) as server:
        settings: dict[str, Any] = {"base_url": server.base_url("localhost")}
        lmtokens_portal.client(ca_bundle=ca_bundle, **settings).add_token(32)
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
        lmtokens_portal.client(ca_bundle=ca_bundle, **settings).add_token(32)
        with pytest.raises(lmtokens.ConfigurationError, match=r"/nowhere\.pem"):
            lmtokens_portal.client(**settings)


@pytest.mark.parametrize("url", SOCKS)
def test_socks_proxy_that_would_be_used_is_refused_each_time(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name, value in {"LM_COMPANY": "acme", "LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ALL_PROXY", url)
    messages = set()
    calls: list[Callable[[], object]] = [lmtokens.default_client, lambda: lmtokens.add_token(32)]
    calls += [lmtokens.Client, lmtokens.AsyncClient]
    for call in calls * 2:
        with pytest.raises(lmtokens.ConfigurationError, match="SOCKS proxies are not supported") as caught:
            call()
        messages.add(str(caught.value))
        assert (caught.value.attempts, caught.value.maybe_applied) == (0, False)
    assert len(messages) == 1
    message = messages.pop()
    assert message.startswith("invalid ALL_PROXY: ")
    assert "proxy.example" not in message
    assert "http://HOST:PORT" in message
    completed = run_shell("add", "32")
    assert completed.returncode == 2
    assert "SOCKS proxies are not supported" in completed.stderr


def test_socks_proxy_as_argument(lmtokens_portal: Portal) -> None:
    lmtokens_portal.client(proxy=SOCKS[0]).add_token(32)
    with pytest.raises(lmtokens.ConfigurationError, match="invalid proxy: SOCKS proxies are not supported"):
        lmtokens_portal.client(base_url="https://acme.example/santaba/rest", proxy=SOCKS[0])


def test_http_proxy_argument_replaces_an_unsupported_variable(
    lmtokens_portal: Portal, ca_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", SOCKS[0])
    with (
        tls_in_front_of(lmtokens_portal, issued("portal.example")) as remote,
        ConnectProxy({"portal.example:443": remote.port}) as proxy,
    ):
        settings = {"base_url": "https://portal.example/santaba/rest", "ca_bundle": ca_bundle, "proxy": proxy.url}
        lmtokens_portal.client(**settings).add_token(32)


@pytest.mark.parametrize("value", ["", " ", "\t\n"])
def test_blank_proxy_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    lmtokens.Client("acme", **CREDENTIALS)
    monkeypatch.setenv("ALL_PROXY", SOCKS[0])
    with pytest.raises(lmtokens.ConfigurationError, match="ALL_PROXY"):
        lmtokens.Client("acme", **CREDENTIALS)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("ca_bundle", "/nowhere.pem"), ("client_cert", "/nowhere.pem"), ("proxy", "http://svc:a/b@proxy.example")],
)
def test_wrong_argument_is_reported_even_if_it_is_not_needed(lmtokens_portal: Portal, setting: str, value: str) -> None:
    arguments: dict[str, Any] = {"base_url": lmtokens_portal.base_url, setting: value, **CREDENTIALS}
    for construct in (lmtokens.Client, lmtokens.AsyncClient, lmtokens.LMv1Auth):
        with pytest.raises(lmtokens.ConfigurationError, match=f"invalid {setting}"):
            construct(**arguments)
