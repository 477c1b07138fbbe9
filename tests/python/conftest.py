"""Fixtures for all tests. No test uses this machine's portal, profiles, keyring, proxies or default client."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from api_variants import VARIANTS, api_for
from certificates import authority_pem
from hypothesis import settings
from lmtokens import _lmtokens
from support import CA_VARIABLES, UNLIMITED, Listener, StubServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import lmtokens
    from lmtokens.sandbox import Portal

_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}

# Every run tries the same inputs and remembers none of another run.
settings.register_profile("repeatable", database=None, deadline=None, derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith("LM_") or name == "CI" or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")
    _lmtokens._forget_default_client()
    yield
    _lmtokens._forget_default_client()


@pytest.fixture
def _no_ca_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CA_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A socket on loopback that records what each connection sends."""
    with Listener() as listening:
        yield listening


@pytest.fixture
def other_server() -> Iterator[StubServer]:
    """A server that is not the portal and accepts every request."""
    with StubServer(b'"arrived"') as server:
        yield server


@pytest.fixture
def portal(lmtokens_portal: Portal) -> Portal:
    """The portal of ``lmtokens_portal`` with a rate limit that no test reaches."""
    lmtokens_portal.set_rate_limit(UNLIMITED)
    return lmtokens_portal


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    """Each variant of the API in turn."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def api(variant: str, lmtokens_portal: Portal) -> lmtokens.Client:
    """Each variant of the API in turn, as the portal's administrator."""
    return api_for(variant, lmtokens_portal)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The path of a journal that does not exist yet."""
    return tmp_path / "run.journal"


@pytest.fixture
def ca_bundle(tmp_path: Path) -> Path:
    """A file with the certificate of the tests' own authority."""
    path = tmp_path / "authority.pem"
    path.write_bytes(authority_pem())
    return path


@pytest.fixture
def refusing_url() -> Iterator[str]:
    """A base URL that refuses connections; the port is bound so that no other process can listen there."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}/santaba/rest"
