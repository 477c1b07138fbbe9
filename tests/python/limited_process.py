"""A program that uses the package while the operating system refuses threads or descriptors.

Arguments: ``threads`` or a number of free descriptors; ``before`` or ``after`` (whether the limit is set before or
after a first call); an operation. It prints a JSON list with one object per call: two under the limit, one after the
limit is lifted.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import lmtokens
import lmtokens.deliver
import lmtokens.sandbox
from lmtokens import _lmtokens

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# The limit of threads does not apply to root.
_UNPRIVILEGED = 65534


class Limit:
    """The limit under test."""

    def __init__(self, kind: str) -> None:
        self._free = None if kind == "threads" else int(kind)
        self._filling: list[int] = []
        resource_kind = resource.RLIMIT_NPROC if self._free is None else resource.RLIMIT_NOFILE
        self._kind, (self._soft, self._hard) = resource_kind, resource.getrlimit(resource_kind)

    def impose(self) -> None:
        if self._free is None:
            resource.setrlimit(self._kind, (0, self._hard))
            return
        resource.setrlimit(self._kind, (max(map(int, os.listdir("/proc/self/fd"))) + 20, self._hard))
        with suppress(OSError):
            while True:
                self._filling.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(self._free):
            os.close(self._filling.pop())

    def lift(self) -> None:
        resource.setrlimit(self._kind, (self._soft, self._hard))
        while self._filling:
            os.close(self._filling.pop())


class Calls:
    """The operations."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._client = lmtokens.Client()
        self._async = lmtokens.AsyncClient()
        self._loop = asyncio.new_event_loop()
        self.ticks = 0

    def blocking(self) -> object:
        return self._client.whoami()

    def add(self) -> object:
        return self._client.add_token(32)

    def listed(self) -> object:
        return list(self._client.list_tokens(32))

    def sign(self) -> object:
        return lmtokens.sign("GET", "/setting/admins", access_id="id", access_key="key")

    def bulk(self) -> object:
        # The same journal each time: a failed attempt leaves nothing behind.
        path = os.path.join(self._folder, "journal")
        summary = self._client.add_tokens([(32, "bulk")], journal=path).finish()
        assert summary.created == 1, summary
        os.remove(path)
        return summary

    def to_file(self) -> object:
        path = os.path.join(self._folder, "key")
        return self._client.add_token(32, deliver=lmtokens.deliver.to_file(path, overwrite=True))

    def to_command(self) -> object:
        return self._client.add_token(32, deliver=lmtokens.deliver.to_command(["cat"]))

    def sandbox(self) -> object:
        with lmtokens.sandbox.Portal() as portal:
            return portal.base_url

    def unknown_host(self) -> object:
        os.environ.pop("LM_BASE_URL", None)
        return lmtokens.Client(company="acme", domain="invalid.test", max_attempts=1).whoami()

    def awaited(self) -> object:
        return self._run(self._async.whoami)

    def awaited_bulk(self) -> object:
        return self._run(self._bulk)

    def awaited_function(self) -> object:
        return self._run(lambda: self._async.add_token(32, deliver=lambda token: None))

    def awaited_coroutine(self) -> object:
        async def deliver(token: lmtokens.Token) -> None:
            await asyncio.sleep(0.01)

        return self._run(lambda: self._async.add_token(32, deliver=deliver))

    def interrupted(self) -> object:
        """Ctrl-C during an awaited call."""
        self._loop.call_later(0.2, signal.raise_signal, signal.SIGINT)
        try:
            return self._run(lambda: self._async.find_token(1))
        except KeyboardInterrupt:
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            return "interrupted"

    def shell_bulk(self) -> object:
        rows, path = os.path.join(self._folder, "rows.csv"), os.path.join(self._folder, "journal")
        with suppress(OSError), open(rows, "w", encoding="utf-8") as file:
            file.write("admin_id\n32\n")
        result = self._shell("bulk", rows, "--journal", path)
        os.remove(path)
        return result

    def shell_add(self) -> object:
        return self._shell("add", "32")

    def shell_sandbox(self) -> object:
        return self._shell("sandbox", "--", "true")

    def _shell(self, *arguments: str) -> object:
        status = _lmtokens._shell(list(arguments))
        if status:
            raise SystemExit(status)
        return status

    async def _bulk(self) -> object:
        path = os.path.join(self._folder, "journal")
        summary = await self._async.add_tokens([(32, "bulk")], journal=path, deliver=lambda token: None).finish()
        assert summary.created == 1, summary
        os.remove(path)
        return summary

    def _run(self, call: Callable[[], Awaitable[object]]) -> object:
        """Run a call beside a task that must continue to run."""

        async def tick() -> None:
            while True:
                await asyncio.sleep(0.01)
                self.ticks += 1

        async def main() -> object:
            ticking = asyncio.ensure_future(tick())
            try:
                return await call()
            finally:
                before = self.ticks
                while self.ticks < before + 3:
                    await asyncio.sleep(0.01)
                ticking.cancel()

        return self._loop.run_until_complete(main())


def outcome(call: Callable[[], object]) -> dict[str, Any]:
    try:
        call()
    except BaseException as error:
        return {
            "error": type(error).__name__,
            "bases": [base.__name__ for base in type(error).__mro__],
            "message": str(error),
            "suggestion": getattr(error, "suggestion", None),
        }
    return {"error": None}


def main() -> None:
    kind, when, operation = sys.argv[1:]
    if os.geteuid() == 0:
        os.setresuid(_UNPRIVILEGED, _UNPRIVILEGED, _UNPRIVILEGED)
    folder = tempfile.mkdtemp()
    calls = Calls(folder)
    call = getattr(calls, operation)
    limit = Limit(kind)
    if when == "after":
        # It starts the runtime, and no other thread that a later call could use.
        calls.blocking()
    limit.impose()
    limited = [outcome(call), outcome(call)]
    limit.lift()
    print(json.dumps([*limited, outcome(call)]))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
