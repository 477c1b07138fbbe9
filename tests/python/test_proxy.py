"""A portal on loopback is never reached through a proxy; one elsewhere is."""

from __future__ import annotations

import lmtokens
import pytest
from lmtokens.sandbox import Portal
from support import ACCESS_ID, ACCESS_KEY, Listener, run_python, run_shell


@pytest.fixture
def proxy(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> Listener:
    for name, url in listener.proxies().items():
        monkeypatch.setenv(name, url)
    return listener


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_no_byte_for_a_loopback_portal(proxy: Listener, lmtokens_portal: Portal, host: str) -> None:
    base_url = lmtokens_portal.base_url.replace("127.0.0.1", host)
    lmtokens_portal.client(base_url=base_url).add_token(32)
    assert len(lmtokens_portal.record) == 1
    assert proxy.received == []


@pytest.mark.parametrize("host", ["127.0.0.2", "[::1]"])
def test_no_byte_for_a_loopback_address_where_nobody_is(proxy: Listener, host: str) -> None:
    client = lmtokens.Client(
        access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=f"http://{host}:9/santaba/rest", timeout=5
    )
    with pytest.raises(lmtokens.LMTokensError):
        client.add_token(32)
    assert proxy.received == []


def test_no_byte_of_a_program_of_its_own(proxy: Listener, lmtokens_portal: Portal) -> None:
    completed = run_python("import lmtokens; print(lmtokens.add_token(32).id)")
    assert completed.stdout.strip() == str(lmtokens_portal.tokens[-1].id)
    assert run_shell("add", "32").returncode == 0
    assert len(lmtokens_portal.record) == 2
    assert proxy.received == []


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_proxy_is_used_for_a_portal_elsewhere(listener: Listener, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, listener.url)
    client = lmtokens.Client("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY, timeout=5)
    with pytest.raises(lmtokens.LMTokensError) as caught:
        client.add_token(32)
    assert listener.received[0].startswith(b"CONNECT acme.logicmonitor.com:443 ")
    # The proxy sees where to, and nothing of what.
    assert b"LMv1" not in b"".join(listener.received)
    assert caught.value.maybe_applied is False


def test_no_proxy_is_honoured(proxy: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "acme.invalid")
    client = lmtokens.Client(
        access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url="https://acme.invalid/santaba/rest", timeout=5
    )
    with pytest.raises(lmtokens.ConnectError):
        client.add_token(32)
    assert proxy.received == []
