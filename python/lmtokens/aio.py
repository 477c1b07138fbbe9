"""The async face: the verbs of ``Client`` as coroutines."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lmtokens import _lmtokens
from lmtokens._lmtokens import AsyncCore, Client

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator
    from types import TracebackType

    from lmtokens._lmtokens import (
        Filter,
        RowResult,
        Summary,
        SweptToken,
        Token,
        TokenPages,
        TokenStatus,
        TokenType,
        Whoami,
    )
    from lmtokens._types import Destination, Progress, Rows

__all__ = ["AsyncBulkRun", "AsyncClient"]


class AsyncClient(AsyncCore):
    """Calls one portal as one identity, from any event loop of ``asyncio``, also from several at once.

    It has the verbs of ``Client`` with the same parameters, as coroutines; ``list_tokens`` is an async iterator. It
    takes the arguments of ``Client`` and follows the same chain, but never asks a person: a question would stop the
    loop. Cancelling a call drops its request.

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

    async def add_token(
        self,
        admin_id: int | str,
        note: str | None = None,
        status: int | str | TokenStatus = 2,
        *,
        type: str | TokenType = "lmv1",
        deliver: Destination | None = None,
    ) -> Token:
        created: Any = self._add_token(admin_id, note, status, type=type, deliver=deliver)
        try:
            result: Token = await created
        except BaseException as error:
            self._let_go(created, error)
            raise
        return result

    def _let_go(self, created: Any, error: BaseException) -> None:
        """End a create that is not awaited any more, and tell what it has ended with already."""
        if not created.done():
            # A closed coroutine: its loop may be closed too.
            with suppress(RuntimeError):
                created.cancel()
        elif not created.cancelled() and created.exception() is not error:
            self._lost(created.exception() or created.result())

    async def find_token(self, token: int | str | Token) -> Token:
        result: Token = await self._find_token(token)
        return result

    async def update_token(
        self,
        token: int | str | Token,
        note: str | None = None,
        status: int | str | TokenStatus | None = None,
        *,
        force: bool = False,
    ) -> Token:
        result: Token = await self._update_token(token, note, status, force=force)
        return result

    async def enable_token(self, token: int | str | Token) -> Token:
        result: Token = await self._enable_token(token)
        return result

    async def disable_token(self, token: int | str | Token, *, force: bool = False) -> Token:
        result: Token = await self._disable_token(token, force=force)
        return result

    async def delete_token(self, token: int | str | Token, *, force: bool = False) -> None:
        await self._delete_token(token, force=force)

    async def sweep_tokens(self, *, dry_run: bool = True) -> list[SweptToken]:
        result: list[SweptToken] = await self._sweep_tokens(dry_run=dry_run)
        return result

    def add_tokens(
        self,
        tokens: Rows,
        *,
        journal: str | os.PathLike[str],
        resume: bool = False,
        concurrency: int = 8,
        on_error: str = "continue",
        progress: Progress | None = None,
        lock: bool = True,
        deliver: Destination | None = None,
    ) -> AsyncBulkRun:
        return AsyncBulkRun(
            self._add_tokens(
                tokens,
                journal=journal,
                resume=resume,
                concurrency=concurrency,
                on_error=on_error,
                progress=progress,
                lock=lock,
                deliver=deliver,
            )
        )

    async def whoami(self) -> Whoami:
        result: Whoami = await self._whoami()
        return result

    def list_tokens(
        self,
        admin_id: int | str | None = None,
        *,
        type: str | TokenType | None = None,
        filter: Filter | str | None = None,
        page_size: int = 1000,
    ) -> AsyncIterator[Token]:
        return _Tokens(self._list_tokens(admin_id, type=type, filter=filter, page_size=page_size))

    async def close(self) -> None:
        """Let go of the idle connections. The client stays usable: its next call makes new ones."""
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


class AsyncBulkRun:
    """A run of ``add_tokens``: an async iterator of how the rows ended, as they end.

    As ``BulkRun``; ``finish()`` is a coroutine. It belongs to the loop that was running when it was made.
    """

    def __init__(self, run: _lmtokens.AsyncBulkRun, /) -> None:
        self._run = run

    def __aiter__(self) -> AsyncBulkRun:
        return self

    async def __anext__(self) -> RowResult:
        if self._run.closed:
            raise StopAsyncIteration
        try:
            result: RowResult | None = await self._run.next()
        except ValueError:
            # Somebody else goes through it.
            raise
        except BaseException as error:
            if not isinstance(error, Exception):
                self._run.interrupted()
            self._run.close()
            raise
        if result is None:
            self._run.close()
            raise StopAsyncIteration
        self._run.told(result)
        return result

    async def finish(self) -> Summary:
        """Go through all that is left, and say how the rows ended."""
        async for _ in self:
            pass
        return self.summary

    @property
    def summary(self) -> Summary:
        """How many rows ended how, so far."""
        return self._run.summary

    async def close(self) -> None:
        """Start no new row. Those under way go on to their end."""
        self._run.close()

    async def __aenter__(self) -> AsyncBulkRun:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._run.close()

    def __repr__(self) -> str:
        return f"<lmtokens.AsyncBulkRun {self.summary}>"


class _Tokens:
    """Tokens, asked for page by page as they are wanted. An error leaves it where it was; tasks may share it."""

    def __init__(self, pages: TokenPages) -> None:
        self._pages = pages
        self._ready: list[Token] = []

    def __aiter__(self) -> _Tokens:
        return self

    async def __anext__(self) -> Token:
        while not self._ready:
            if not await self._pages.next():
                raise StopAsyncIteration
            self._ready[:0] = reversed(self._pages.take())
        return self._ready.pop()


# Written once, at the blocking face: the words are the same.
for _verb in (
    "add_token",
    "find_token",
    "update_token",
    "enable_token",
    "disable_token",
    "delete_token",
    "sweep_tokens",
    "add_tokens",
    "whoami",
    "list_tokens",
):
    getattr(AsyncClient, _verb).__doc__ = getattr(Client, _verb).__doc__
