"""No test sees the machine's own portal, proxies or default client."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from lmtokens import _lmtokens
from support import Listener

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy"}

# The same inputs in every run, and none remembered from another.
settings.register_profile("repeatable", database=None, deadline=None, derandomize=True)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith("LM_") or name == "CI" or name.lower() in _PROXIES:
            monkeypatch.delenv(name)
    _lmtokens._forget_default_client()
    yield
    _lmtokens._forget_default_client()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A socket on loopback that remembers who came."""
    with Listener() as listening:
        yield listening
