"""The fixture ``lmtokens_portal``, there for every test suite in an environment where lmtokens is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmtokens.sandbox import Portal


@pytest.fixture
def lmtokens_portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    """A fresh embedded portal to which the environment points: ``lmtokens.add_token(32)`` just works.

    Credentials of the real environment are taken away for the time of the test, and so is the default client.
    """
    # Imported here: the plug-in is loaded in every run of pytest, also in those that never ask for a portal.
    import os

    from lmtokens import _lmtokens
    from lmtokens.sandbox import Portal

    for name in [name for name in os.environ if name.startswith("LM_")]:
        monkeypatch.delenv(name)
    with Portal() as portal:
        # The values stay out of this frame, whose variables a traceback may show.
        for name in portal.environment():
            monkeypatch.setenv(name, portal.environment()[name])
        _lmtokens._forget_default_client()
        yield portal
        _lmtokens._forget_default_client()
