"""Lists that show tokens as they were some time ago."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import lmtokens
import pytest
from lmtokens.deliver import to_file
from lmtokens.sandbox import Portal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAG = 2


@pytest.fixture
def portal() -> Iterator[Portal]:
    """A portal whose list has shown a token of these credentials before."""
    with Portal() as portal:
        portal.client().add_token(32, "first")
        yield portal


def show_own(portal: Portal) -> lmtokens.Client:
    client = portal.client()
    client.add_token(32, "own")
    assert "own" in [token.note for token in client.list_tokens(32)]
    portal.configure(list_lag=LAG)
    return client


@pytest.mark.parametrize("expires", [None, 3600])
def test_404_for_a_token_that_a_list_does_not_show_yet(portal: Portal, tmp_path: Path, expires: int | None) -> None:
    client = show_own(portal)
    portal.fail("act-then-status", method="PATCH", status=404)
    with pytest.raises(lmtokens.OutcomeUnknownError, match="its key delivered to"):
        client.add_token(32, "ci", deliver=to_file(tmp_path / "key.json"), expires=expires)
    (pending,) = tmp_path.glob("*.pending")
    created = next(token for token in portal.tokens if token.note.endswith("ci"))
    assert (json.loads(pending.read_text())["id"], created.status) == (created.id, 2)


def test_repeated_create_keeps_the_key_of_a_token_that_a_list_does_not_show_yet(portal: Portal, tmp_path: Path) -> None:
    path = tmp_path / "key.json"

    async def main() -> None:
        client = portal.async_client()
        await client.add_token(32, "own")
        assert "own" in [token.note async for token in client.list_tokens(32)]
        portal.configure(list_lag=LAG)
        portal.fail("act-then-delay", method="PATCH", seconds=30)
        task = asyncio.ensure_future(client.add_token(32, "ci", deliver=to_file(path)))
        while not any(seen.method == "PATCH" for seen in portal.record):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        portal.clear_faults()
        with pytest.raises(lmtokens.DeliveryError, match="does not show whether it is enabled"):
            await client.add_token(32, "ci", deliver=to_file(path))
        await asyncio.sleep(LAG + 0.2)
        finished = await client.add_token(32, "ci", deliver=to_file(path))
        (created,) = [token for token in portal.tokens if token.note == "ci"]
        assert (finished.id, json.loads(path.read_text())["id"], created.status) == (created.id, created.id, 2)

    asyncio.run(main())
