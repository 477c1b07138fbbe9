"""A missing token of an earlier run: whether it was deleted, or these credentials cannot see it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import lmtokens
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

ROWS = [(32, "first"), (32, "second")]


@pytest.fixture
def journal(lmtokens_portal: Portal, tmp_path: Path) -> Path:
    """The journal of a run that was killed after it created the second token, which was then deleted."""
    path = tmp_path / "run.journal"
    lmtokens_portal.client().add_tokens(ROWS, journal=path, concurrency=1).finish()
    lines = path.read_text().splitlines(keepends=True)
    last = json.loads(lines[-1])
    assert last["event"] == "created"
    path.write_text("".join(lines[:-1]))
    lmtokens_portal.client().delete_token(last["id"])
    return path


def test_visible_token_of_the_run_proves_that_a_missing_one_is_gone(lmtokens_portal: Portal, journal: Path) -> None:
    # Completed rows need no request, so the run has to look up their tokens to learn whether it can see any.
    summary = lmtokens_portal.client().add_tokens(ROWS, journal=journal, resume=True).finish()
    assert (summary.already_done, summary.created, summary.unknown) == (1, 1, 0)
    assert sorted(token.note for token in lmtokens_portal.tokens if token.admin_id == 32) == ["first", "second"]
    assert [entry.state for entry in lmtokens.read_journal(journal)] == ["created", "created"]


def test_credentials_that_cannot_view_create_no_second_token(lmtokens_portal: Portal, journal: Path) -> None:
    user = lmtokens_portal.add_user("blind", may_view=False)
    token = lmtokens_portal.create_token(user)
    client = lmtokens_portal.client(access_id=token.access_id, access_key=token.access_key)
    summary = client.add_tokens(ROWS, journal=journal, resume=True).finish()
    # Whether the first token still exists is unknown as well.
    assert (summary.already_done, summary.created, summary.unknown) == (0, 0, 2)
    assert [token.note for token in lmtokens_portal.tokens if token.admin_id == 32] == ["first"]
