"""The pytest fixture ``lmtokens_portal``, available in every environment in which lmtokens is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmtokens.sandbox import Portal


@pytest.fixture
def lmtokens_portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Portal]:
    """A new sandbox, set in the environment: ``lmtokens.add_token(32)`` works without further settings.

    During the test, the ``LM_*`` variables of the real environment, the user's profiles and the previous default
    client are not used.
    """
    # Imported here because pytest loads the plug-in even if no test uses the fixture.
    import os

    from lmtokens import _lmtokens
    from lmtokens.sandbox import Portal

    for name in [name for name in os.environ if name.startswith("LM_")]:
        monkeypatch.delenv(name)
    with Portal() as portal:
        # No local variable holds a secret, because a traceback may show local variables.
        for name in portal.environment():
            monkeypatch.setenv(name, portal.environment()[name])
        _lmtokens._forget_default_client()
        yield portal
        _lmtokens._forget_default_client()
