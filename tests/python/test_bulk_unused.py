"""A bulk run that is never iterated warns, creates nothing and leaves no journal; awaiting one finishes it."""

from __future__ import annotations

import asyncio
import gc
import os
import warnings
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from support import run_python

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

ROWS = [(32, "a"), (33, "b")]
NEVER_ITERATED = r"add_tokens\(\.\.\.\) was never iterated, and created no token: "


def test_unused_run_warns_once_and_leaves_no_journal(lmtokens_portal: Portal, journal: Path) -> None:
    before = len(lmtokens_portal.tokens)
    run = lmtokens.add_tokens(ROWS, journal=journal)
    assert journal.exists()
    with pytest.warns(RuntimeWarning, match=NEVER_ITERATED + "iterate over it, call finish") as caught:
        del run
    assert len(caught) == 1
    assert os.listdir(journal.parent) == []
    assert len(lmtokens_portal.tokens) == before
    # The journal is free for another run.
    assert lmtokens.add_tokens(ROWS, journal=journal).finish().created == 2


def test_unused_async_run_warns_once_and_leaves_no_journal(lmtokens_portal: Portal, journal: Path) -> None:
    async def forget() -> None:
        async with lmtokens_portal.async_client() as client:
            run = client.add_tokens(ROWS, journal=journal)
            assert run
        del run
        gc.collect()

    with pytest.warns(RuntimeWarning, match=NEVER_ITERATED + "await it") as caught:
        asyncio.run(forget())
    assert len(caught) == 1
    assert os.listdir(journal.parent) == []


def test_unused_run_holds_the_lock(lmtokens_portal: Portal, journal: Path) -> None:
    run = lmtokens.add_tokens(ROWS, journal=journal)
    with pytest.raises(lmtokens.DeliveryError, match="another process, uses the journal"):
        lmtokens.add_tokens(ROWS, journal=journal, resume=True)
    run.close()


def test_unused_resumed_run_keeps_the_journal(lmtokens_portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS, journal=journal).finish()
    written = journal.read_bytes()
    run = lmtokens.add_tokens(ROWS, journal=journal, resume=True)
    with pytest.warns(RuntimeWarning, match=NEVER_ITERATED):
        del run
    assert journal.read_bytes() == written


def test_replaced_journal_is_not_removed(lmtokens_portal: Portal, journal: Path) -> None:
    run = lmtokens.add_tokens(ROWS, journal=journal)
    journal.rename(journal.with_suffix(".moved"))
    journal.write_text("another file")
    run.close()
    assert journal.read_text() == "another file"


def test_closed_run_does_not_warn_and_leaves_no_journal(lmtokens_portal: Portal, journal: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = lmtokens.add_tokens(ROWS, journal=journal)
        run.close()
        del run
    assert not journal.exists()


def test_block_that_does_not_iterate_warns(lmtokens_portal: Portal, journal: Path) -> None:
    with (
        pytest.warns(RuntimeWarning, match=NEVER_ITERATED) as caught,
        lmtokens.add_tokens(ROWS, journal=journal),
    ):
        pass
    assert [warning.filename for warning in caught] == [__file__]
    assert not journal.exists()


def test_async_block_that_does_not_iterate_warns(lmtokens_portal: Portal, journal: Path) -> None:
    async def block() -> None:
        async with lmtokens_portal.async_client() as client, client.add_tokens(ROWS, journal=journal):
            pass

    with pytest.warns(RuntimeWarning, match=NEVER_ITERATED):
        asyncio.run(block())
    assert not journal.exists()


def test_block_that_raises_does_not_warn(lmtokens_portal: Portal, journal: Path) -> None:
    # Warnings are errors in the tests.
    with pytest.raises(ZeroDivisionError), lmtokens.add_tokens(ROWS, journal=journal):
        raise ZeroDivisionError
    assert not journal.exists()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_iterated_run_does_not_warn_and_keeps_its_journal(lmtokens_portal: Portal, journal: Path, steps: int) -> None:
    run = lmtokens.add_tokens(ROWS, journal=journal)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(steps):
            next(run, None)
        del run
    assert journal.exists()


def test_run_without_rows_that_is_finished_keeps_its_journal(lmtokens_portal: Portal, journal: Path) -> None:
    assert lmtokens.add_tokens([], journal=journal).finish().total == 0
    assert journal.exists()


def test_unused_run_at_exit_leaves_no_journal(lmtokens_portal: Portal, journal: Path) -> None:
    code = f"import lmtokens; run = lmtokens.add_tokens([(32, 'a')], journal={str(journal)!r})"
    assert run_python(code).returncode == 0
    assert not journal.exists()


@pytest.mark.parametrize("name", ["progress", "deliver", "on_wait"])
@pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "async"])
def test_unused_run_whose_callback_refers_to_it_is_collected(
    lmtokens_portal: Portal, journal: Path, name: str, is_async: bool
) -> None:
    def forget() -> None:
        runs: list[Any] = []
        callback: Any = lambda *_: runs  # noqa: E731
        create = lmtokens_portal.async_client if is_async else lmtokens_portal.client
        client: Any = create(on_wait=callback if name == "on_wait" else None)
        runs.append(client.add_tokens(ROWS, journal=journal, **({} if name == "on_wait" else {name: callback})))

    async def forget_in_loop() -> None:
        forget()

    def collect() -> None:
        if is_async:
            asyncio.run(forget_in_loop())
        else:
            forget()
        gc.collect()

    with pytest.warns(RuntimeWarning, match=NEVER_ITERATED):
        collect()
    assert not journal.exists()


def test_unused_run_whose_callback_refers_to_it_leaves_no_journal_at_exit(
    lmtokens_portal: Portal, journal: Path
) -> None:
    done = run_python(
        f"""
import lmtokens
run = lmtokens.add_tokens([(32, 'a')], journal={str(journal)!r}, progress=lambda *_: print(run))
"""
    )
    assert "never iterated" in done.stderr
    assert not journal.exists()


def test_run_in_progress_outlives_a_collection_by_its_callbacks(lmtokens_portal: Portal, journal: Path) -> None:
    runs: list[Any] = []
    delivered: list[str | None] = []

    def deliver(token: lmtokens.CreatedToken) -> None:
        gc.collect()
        delivered.append(token.note)

    runs.append(lmtokens.add_tokens(ROWS, journal=journal, deliver=deliver, progress=lambda *_: (runs, gc.collect())))
    assert runs[0].finish().created == 2
    assert set(delivered) == {"a", "b"}


def test_warning_as_an_error_does_not_lose_an_exception(
    lmtokens_portal: Portal, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)

    def fail() -> None:
        run = lmtokens.add_tokens(ROWS, journal=journal)
        assert run
        raise ZeroDivisionError

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ZeroDivisionError) as caught:
            fail()
        del caught
        gc.collect()
    assert [report.exc_type for report in unraisable] == [RuntimeWarning]


def test_awaited_run_returns_the_summary(lmtokens_portal: Portal, journal: Path) -> None:
    async def create() -> lmtokens.Summary:
        async with lmtokens_portal.async_client() as client:
            return await client.add_tokens(ROWS, journal=journal)

    summary = asyncio.run(create())
    assert (summary.created, summary.total) == (2, 2)


def test_awaiting_finishes_an_iteration(lmtokens_portal: Portal, journal: Path) -> None:
    async def create() -> tuple[lmtokens.Summary, lmtokens.Summary]:
        async with lmtokens_portal.async_client() as client:
            run = client.add_tokens(ROWS, journal=journal)
            async for _ in run:
                break
            return await asyncio.wait_for(run, 60), await run

    first, second = asyncio.run(create())
    assert first.created == second.created == 2
