"""A destination whose result is work that is still to be done has not stored the secret: its token is not enabled."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import sqlite3
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any, Callable

import lmtokens
import lmtokens.deliver
import pytest
from api_variants import VARIANTS, api_for
from delivery_helpers import created_tokens
from support import HANG_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from lmtokens.sandbox import Portal

Function = Callable[..., Any]

stored: list[str] = []


def store(token: lmtokens.CreatedToken) -> None:
    stored.append(token.access_key.reveal())


STORE: Function = store


def generator(token: lmtokens.CreatedToken) -> Any:
    store(token)
    yield


async def async_generator(token: lmtokens.CreatedToken) -> AsyncIterator[None]:
    store(token)
    yield


async def coroutine(token: lmtokens.CreatedToken) -> None:
    store(token)


def failing(token: lmtokens.CreatedToken) -> None:
    raise OSError("full")


async def returns_work(token: lmtokens.CreatedToken) -> Any:
    return coroutine(token)


async def returns_generator(token: lmtokens.CreatedToken) -> Any:
    return generator(token)


class YieldingDestination:
    def deliver(self, token: lmtokens.CreatedToken) -> Any:
        store(token)
        yield


def submitted(token: lmtokens.CreatedToken) -> object:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(failing, token)


def started(token: lmtokens.CreatedToken) -> object:
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    process.wait()
    return process


UNFINISHED: dict[str, object] = {
    "generator": generator,
    "generator expression": lambda token: (STORE(token) for _ in [1]),
    "partial": functools.partial(generator),
    "object": YieldingDestination(),
    "map": lambda token: map(STORE, [token]),
    "async generator": async_generator,
    "context manager": contextlib.contextmanager(generator),
    "future": submitted,
    "function": lambda token: functools.partial(store, token),
    "factory": lambda name: store,
    "destination": lambda token: lmtokens.deliver.to_file(f"{token.id}.json"),
    "command": lambda token: lmtokens.deliver.to_command(["true"]),
    "object that is a destination": lambda token: YieldingDestination(),
    "process": started,
}
if sys.version_info >= (3, 10):  # Before, its result looks like that of an HTTP request.
    UNFINISHED["async context manager"] = contextlib.asynccontextmanager(async_generator)
BLOCKING: dict[str, object] = {"coroutine": coroutine, "partial of a coroutine": functools.partial(coroutine)}
ASYNC: dict[str, object] = {"coroutine of a generator": returns_generator}


@pytest.fixture(autouse=True)
def nothing_stored() -> Iterator[None]:
    stored.clear()
    yield
    assert stored == []


DESTINATIONS = {variant: {**UNFINISHED, **(ASYNC if variant == "async" else BLOCKING)} for variant in VARIANTS}


@pytest.mark.parametrize(
    ("variant", "kind"), [(variant, kind) for variant in VARIANTS for kind in DESTINATIONS[variant]]
)
def test_token_is_deleted_if_its_delivery_is_not_done(lmtokens_portal: Portal, variant: str, kind: str) -> None:
    destination: Any = DESTINATIONS[variant][kind]
    with pytest.raises(lmtokens.DeliveryError) as caught:
        api_for(variant, lmtokens_portal).add_token(32, "ci", deliver=destination)
    assert isinstance(caught.value.__cause__, TypeError)
    assert "must be done when it returns" in str(caught.value.__cause__)
    assert created_tokens(lmtokens_portal) == []


def test_coroutine_of_a_coroutine_is_awaited_to_its_end(lmtokens_portal: Portal) -> None:
    deliver: Any = returns_work
    token = api_for("async", lmtokens_portal).add_token(32, "ci", deliver=deliver)
    assert [one.id for one in created_tokens(lmtokens_portal)] == [token.id]
    assert len(stored) == 1
    stored.clear()


@pytest.mark.parametrize("variant", VARIANTS)
def test_row_fails_if_its_delivery_is_not_done(lmtokens_portal: Portal, tmp_path: Path, variant: str) -> None:
    journal = tmp_path / "run.journal"
    rows = [(32, "a"), (32, "b")]
    if variant == "async":

        async def run() -> lmtokens.Summary:
            client = lmtokens_portal.async_client()
            return await client.add_tokens(rows, journal=journal, deliver=generator).finish()

        summary = asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT))
    else:
        api = api_for(variant, lmtokens_portal)
        summary = api.add_tokens(rows, journal=journal, deliver=generator).finish()
    assert summary.created == 0
    assert created_tokens(lmtokens_portal) == []


def test_asyncio_future_is_awaited(lmtokens_portal: Portal) -> None:
    async def run() -> None:
        def deliver(token: lmtokens.CreatedToken) -> Any:
            return asyncio.get_running_loop().run_in_executor(None, failing, token)

        await lmtokens_portal.async_client().add_token(32, deliver=deliver)

    with pytest.raises(lmtokens.DeliveryError, match="OSError"):
        asyncio.run(asyncio.wait_for(run(), HANG_TIMEOUT))
    assert created_tokens(lmtokens_portal) == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_commit_that_is_not_done_fails(lmtokens_portal: Portal, variant: str) -> None:
    class Destination:
        def deliver(self, token: lmtokens.CreatedToken) -> None: ...

        commit = staticmethod(generator)

    with pytest.raises(lmtokens.DeliveryError, match="commit") as caught:
        api_for(variant, lmtokens_portal).add_token(32, deliver=Destination())
    assert caught.value.maybe_applied
    assert [token.status for token in created_tokens(lmtokens_portal)] == [2]


def test_generator_and_coroutine_are_closed(lmtokens_portal: Portal) -> None:
    results: list[Any] = []

    def deliver(function: Function) -> Function:
        def call(token: lmtokens.CreatedToken) -> object:
            results.append(function(token))
            return results[-1]

        return call

    for function in (generator, coroutine):
        with pytest.raises(lmtokens.DeliveryError):
            lmtokens.add_token(32, deliver=deliver(function))
    assert (results[0].gi_frame, results[1].cr_frame) == (None, None)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", ["None", "False", "number", "list", "response", "cursor", "file"])
def test_other_results_mean_that_the_delivery_is_done(
    lmtokens_portal: Portal, tmp_path: Path, variant: str, kind: str
) -> None:
    database = sqlite3.connect(":memory:")
    url = (tmp_path / "page").as_uri()
    (tmp_path / "page").write_text("stored")
    results: dict[str, Callable[[], object]] = {
        "None": lambda: None,
        "False": lambda: False,
        "number": lambda: 5,
        "list": lambda: [store],
        "response": lambda: urllib.request.urlopen(url, timeout=HANG_TIMEOUT),
        "cursor": lambda: database.execute("CREATE TABLE keys (key)"),
        "file": (tmp_path / "page").open,
    }
    opened: list[Any] = []

    def deliver(token: lmtokens.CreatedToken) -> object:
        opened.append(results[kind]())
        return opened[0]

    with contextlib.ExitStack() as stack:
        stack.callback(database.close)
        api_for(variant, lmtokens_portal).add_token(32, deliver=deliver)
        if hasattr(opened[0], "close"):
            stack.callback(opened[0].close)
    assert [token.status for token in created_tokens(lmtokens_portal)] == [2]
