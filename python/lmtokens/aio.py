"""The async API: the operations of ``Client`` as coroutines."""

from __future__ import annotations

import atexit
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lmtokens._lmtokens import Client, _AsyncBulkRun, _AsyncCore, _AsyncTemporaryToken, _TokenPages

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator
    from datetime import datetime, timedelta
    from types import TracebackType
    from typing import Literal

    from lmtokens._enums import TokenType
    from lmtokens._lmtokens import CreatedToken, Filter, RowResult, Summary, Token
    from lmtokens._types import Destination, Progress, Rows

__all__ = ["AsyncBulkRun", "AsyncClient", "AsyncTemporaryToken"]


class AsyncClient(_AsyncCore):
    """A client for ``asyncio``, for one or several event loops.

    It has the operations of ``Client`` with the same parameters, as coroutines; ``list_tokens`` returns an async
    iterator. It takes the arguments of ``Client`` and reads the same credential sources, but never prompts, which would
    block the event loop. Cancelling a call cancels its request.

    The constructor waits for the keyring or the command of a profile. Create the client before the loop runs or in a
    thread (``asyncio.to_thread``) if that may take long.

    Example:
        >>> import asyncio, lmtokens.sandbox
        >>> async def main():
        ...     with lmtokens.sandbox.Portal() as portal:
        ...         async with portal.async_client() as client:
        ...             token = await client.add_token(32, "ci")
        ...             return [token.note async for token in client.list_tokens(32)]
        >>> asyncio.run(main())
        ['ci']
    """

    def add_tokens(
        self,
        tokens: Rows,
        *,
        journal: str | os.PathLike[str],
        resume: bool = False,
        concurrency: int = 8,
        on_error: Literal["continue", "stop"] = "continue",
        progress: Progress | None = None,
        lock: bool = True,
        trust_folder: bool = False,
        deliver: Destination | None = None,
    ) -> AsyncBulkRun:
        run = self._add_tokens(
            tokens,
            journal=journal,
            resume=resume,
            concurrency=concurrency,
            on_error=on_error,
            progress=progress,
            lock=lock,
            trust_folder=trust_folder,
            deliver=deliver,
        )
        return AsyncBulkRun(run)

    def list_tokens(
        self,
        admin_id: int | str | None = None,
        *,
        type: Literal["lmv1", "bearer"] | TokenType | None = None,
        filter: Filter | str | None = None,
        page_size: int = 1000,
    ) -> AsyncIterator[Token]:
        return _Tokens(self._list_tokens(admin_id, type=type, filter=filter, page_size=page_size))

    def temporary_token(
        self,
        admin_id: int | str,
        note: str | None = None,
        *,
        expires: datetime | timedelta | float | str = 3600,
        type: Literal["lmv1", "bearer"] | TokenType = "lmv1",
    ) -> AsyncTemporaryToken:
        return AsyncTemporaryToken(self._temporary_token(admin_id, note, expires=expires, type=type))

    async def close(self) -> None:
        """Close the idle connections. The client stays usable: the next call opens new ones."""
        self._close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()


def _coroutine_function(native: Any, result: Callable[[Any], Any] = lambda future: future) -> Callable[..., Any]:
    """Return a coroutine function that awaits the future of a native method, as ``result`` does."""

    async def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        future, call = native(self, *args, **kwargs)
        try:
            return await result(future)
        except BaseException as error:
            call.abandon(future, error)
            raise

    return method


def _coroutine_method(name: str) -> Callable[..., Any]:
    """Return the coroutine method of ``AsyncClient`` for a native method."""
    native = getattr(_AsyncCore, name)
    method = _coroutine_function(native)
    method.__name__, method.__qualname__, method.__doc__ = name, f"AsyncClient.{name}", native.__doc__
    method.__wrapped__ = native  # type: ignore[attr-defined]  # inspect.signature reads it
    return method


async def _outlasting_a_cancellation(future: Any) -> Any:
    """Await a future. The first cancellation takes effect after it is done; a second one stops waiting."""
    # The event loop has imported it.
    from asyncio import CancelledError, wait

    try:
        await wait([future])
    except CancelledError:
        await wait([future])
        raise
    return future.result()


_next_row = _coroutine_function(_AsyncBulkRun.next)
_next_page = _coroutine_function(_TokenPages.next)
_create_temporary = _coroutine_function(_AsyncTemporaryToken.create)
_delete_temporary = _coroutine_function(_AsyncTemporaryToken.delete, _outlasting_a_cancellation)

for _name in [name for name, value in vars(_AsyncCore).items() if callable(value) and not name.startswith("_")]:
    setattr(AsyncClient, _name, _coroutine_method(_name))
AsyncClient.add_tokens.__doc__ = Client.add_tokens.__doc__
AsyncClient.list_tokens.__doc__ = Client.list_tokens.__doc__
AsyncClient.temporary_token.__doc__ = Client.temporary_token.__doc__


def _html(result: AsyncBulkRun | _Tokens) -> str:
    from lmtokens._display import html

    return html(result)


class AsyncBulkRun:
    """A run of ``add_tokens``: an async iterator of row results, in the order in which the rows end.

    As ``BulkRun``; ``finish()`` is a coroutine, and awaiting the run finishes it too: ``summary = await
    client.add_tokens(...)``. It belongs to the event loop in which it was created.
    """

    def __init__(self, run: _AsyncBulkRun, /) -> None:
        self._run = run

    def __aiter__(self) -> AsyncBulkRun:
        return self

    async def __anext__(self) -> RowResult:
        if self._run.closed:
            raise StopAsyncIteration
        try:
            result: RowResult | None = await _next_row(self._run)
        except ValueError:
            # Another task iterates over the run.
            raise
        except BaseException as error:
            if not isinstance(error, Exception):
                self._run.interrupted()
            self._run.close()
            raise
        if result is None:
            self._run.close()
            raise StopAsyncIteration
        self._run.returned(result)
        return result

    async def finish(self) -> Summary:
        """Iterate to the end and return the summary, as awaiting the run does."""
        async for _ in self:
            pass
        return self.summary

    def __await__(self) -> Generator[Any, None, Summary]:
        return self.finish().__await__()

    @property
    def summary(self) -> Summary:
        """The number of rows by result, so far."""
        return self._run.summary

    async def close(self) -> None:
        """Start no new row, and wait for those in progress. The summary then counts them, and the others as skipped.

        If another task iterates over the run, it gets the rows in progress, and this does not wait.
        """
        try:
            if self._run.stop():
                await self.finish()
        finally:
            self._run.close()

    async def __aenter__(self) -> AsyncBulkRun:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            try:
                self._run.warn_if_unused()
            finally:
                await self.close()
        elif isinstance(error, Exception):
            # An error of the run must not replace that of the block.
            with suppress(Exception):
                await self.close()
        else:
            # An interrupt does not wait.
            self._run.close()

    def __repr__(self) -> str:
        return f"<lmtokens.AsyncBulkRun {self.summary}>"

    def _repr_html_(self) -> str:
        return _html(self)


class _Tokens:
    """Tokens, requested page by page. After an error, the next step requests the same page; tasks may share it."""

    def __init__(self, pages: _TokenPages) -> None:
        self._pages = pages
        self._ready: list[Token] = []
        self._is_requested = False

    def __aiter__(self) -> _Tokens:
        return self

    async def __anext__(self) -> Token:
        while not self._ready:
            self._is_requested = True
            if not await _next_page(self._pages):
                raise StopAsyncIteration
            self._ready[:0] = reversed(self._pages.take())
        return self._ready.pop()

    def _received(self) -> tuple[int, list[Token]]:
        return len(self._ready), self._ready[:-11:-1]

    def __repr__(self) -> str:
        count = len(self._ready)
        received = f"{count} token{'' if count == 1 else 's'} received and not yet returned"
        state = received if self._is_requested else "no page requested yet"
        return f"<lmtokens async iterator of tokens: {state}; iterate over it with async for>"

    def _repr_html_(self) -> str:
        return _html(self)


class AsyncTemporaryToken:
    """A token that exists during an ``async with`` block: the result of ``AsyncClient.temporary_token``.

    As ``TemporaryToken``, for one ``async with`` statement.
    """

    def __init__(self, native: _AsyncTemporaryToken, /) -> None:
        self._native = native
        self._creation: Coroutine[Any, Any, CreatedToken] | None = None
        self._token: CreatedToken | None = None

    async def __aenter__(self) -> CreatedToken:
        self._creation = creation = _create_temporary(self._native)
        _unfinished.add(self)
        try:
            token: CreatedToken = await creation
            self._token = token
        except BaseException:
            _unfinished.discard(self)
            raise
        return token

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        token = self._token
        if token is None or not self._native.is_of_this_process():
            return
        # The event loop has imported it.
        from asyncio.events import _get_running_loop

        try:
            if _get_running_loop() is None:
                # The coroutine is closed after its loop.
                self._native.delete_now(token)
            else:
                await _delete_temporary(self._native, token)
        except Exception:
            # The exception of the block matters more; a warning reports the failed deletion.
            if error is None:
                raise
        finally:
            self._token = None
            _unfinished.discard(self)

    def _finish_at_exit(self) -> None:
        """Delete the token, or cancel its create, which reports what may be left of it."""
        if not self._native.is_of_this_process():
            return
        # A warning reports a failed deletion. A loop may still run in another thread.
        with suppress(Exception):
            if self._token is not None:
                self._native.delete_now(self._token)
            elif self._creation is not None:
                self._creation.close()


# Those whose block has not ended. An event loop that stops leaves their coroutines suspended.
_unfinished: set[AsyncTemporaryToken] = set()


@atexit.register
def _finish_temporary_tokens() -> None:
    for temporary in list(_unfinished):
        temporary._finish_at_exit()
