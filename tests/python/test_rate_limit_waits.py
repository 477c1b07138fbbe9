"""Long waits for a rate limit are announced, served in order and can be interrupted."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import VARIANTS, api_for
from support import HANG_TIMEOUT, SHELL, LoopbackServer, RequestHandler, run_python, start_shell, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal, Seen

# Just long enough to be announced.
ANNOUNCED = 3.0
# Far longer than a test waits.
ENDLESS = 60.0
# Generous time for a loaded machine to end a wait.
SOON = ENDLESS / 4


def posts(portal: Portal) -> list[Seen]:
    return [seen for seen in portal.record if seen.method == "POST"]


def notes(portal: Portal) -> list[str]:
    return [token.note for token in portal.tokens if token.admin_id == 32]


def identity(portal: Portal) -> dict[str, Any]:
    return {"access_id": portal.access_id, "access_key": portal.access_key}


class TestAnnouncements:
    @pytest.mark.parametrize("kind", VARIANTS)
    def test_callback_may_call_the_client(self, lmtokens_portal: Portal, kind: str) -> None:
        # Lists have their own rate limit, and no lock is held during the callback.
        lmtokens_portal.set_rate_limit(1, ANNOUNCED, method="POST")
        announced = []

        def on_wait(seconds: float) -> None:
            announced.append((seconds, len(list(lmtokens_portal.client().list_tokens(32)))))

        api = api_for(kind, lmtokens_portal, **identity(lmtokens_portal), on_wait=on_wait)
        api.add_token(32, "first")
        api.add_token(32, "second")
        [(seconds, listed)] = announced
        assert 2 < seconds <= ANNOUNCED + 1
        assert listed == 1
        assert notes(lmtokens_portal) == ["first", "second"]

    def test_failing_callback_does_not_change_the_result(
        self, lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lmtokens_portal.set_rate_limit(1, ANNOUNCED, method="POST")
        unraisable = []
        monkeypatch.setattr(sys, "unraisablehook", lambda report: unraisable.append(report.exc_type))

        def on_wait(seconds: float) -> None:
            raise OSError("broken callback")

        client = lmtokens_portal.client(on_wait=on_wait)
        client.add_token(32, "first")
        client.add_token(32, "second")
        assert unraisable == [OSError]
        assert notes(lmtokens_portal) == ["first", "second"]

    def test_warning_names_the_endpoint_the_wait_and_what_changes_it(
        self, lmtokens_portal: Portal, caplog: pytest.LogCaptureFixture
    ) -> None:
        lmtokens_portal.set_rate_limit(1, ANNOUNCED, method="POST")
        client = lmtokens_portal.client()
        client.add_token(32)
        client.add_token(32)
        [message] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert message.startswith("rate limit of POST /setting/admins/{adminId}/apitokens reached; waiting 3.")
        assert message.endswith('; to fail instead, give the client a smaller max_wait or on_limit="raise"')

    def test_script_without_logging_says_why_it_waits(self, lmtokens_portal: Portal, journal: Path) -> None:
        lmtokens_portal.set_rate_limit(1, ANNOUNCED, method="POST")
        rows = [(32, "a"), (32, "b")]
        completed = run_python(f"import lmtokens; lmtokens.add_tokens({rows}, journal={str(journal)!r}).finish()")
        [line] = completed.stderr.splitlines()
        assert line.startswith("rate limit of POST /setting/admins/{adminId}/apitokens reached; waiting 3.")
        # A bulk run has no max_wait.
        assert line.endswith('; to fail instead, give the client on_limit="raise"')

    @pytest.mark.parametrize("kind", VARIANTS)
    def test_one_warning_for_each_endpoint_and_window(
        self, lmtokens_portal: Portal, caplog: pytest.LogCaptureFixture, kind: str
    ) -> None:
        calls = 5
        for method in ("POST", "DELETE"):
            lmtokens_portal.set_rate_limit(calls, ANNOUNCED, method=method)
        announced: list[float] = []
        api = api_for(kind, lmtokens_portal, **identity(lmtokens_portal), on_wait=announced.append)

        def call_at_once(function: Any, arguments: list[tuple[Any, ...]]) -> list[Any]:
            with ThreadPoolExecutor(len(arguments)) as pool:
                return list(pool.map(lambda given: function(*given), arguments))

        # Each call that waits is announced to the callback.
        tokens = call_at_once(api.add_token, [(32, str(number)) for number in range(3 * calls)])
        assert len(announced) >= 2 * calls
        announced.clear()
        call_at_once(api.delete_token, [(token,) for token in tokens[: 2 * calls]])
        assert len(announced) >= calls
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert [message.split(" reached")[0] for message in warnings] == [
            "rate limit of POST /setting/admins/{adminId}/apitokens",
            "rate limit of POST /setting/admins/{adminId}/apitokens",
            "rate limit of DELETE /setting/admins/{adminId}/apitokens/{id}",
        ]

    def test_short_wait_is_not_announced(self, lmtokens_portal: Portal, caplog: pytest.LogCaptureFixture) -> None:
        lmtokens_portal.set_rate_limit(1, 1.0, method="POST")
        announced: list[float] = []
        client = lmtokens_portal.client(on_wait=announced.append)
        with caplog.at_level(logging.INFO, logger="lmtokens"):
            client.add_token(32)
            client.add_token(32)
        assert (announced, caplog.records) == ([], [])

    @pytest.mark.parametrize("invalid", [1, "later"])
    def test_callback_must_be_callable(self, lmtokens_portal: Portal, invalid: Any) -> None:
        with pytest.raises(TypeError, match="on_wait"):
            lmtokens_portal.client(on_wait=invalid)


class TestQueue:
    def test_waiting_calls_are_served_in_order(self, lmtokens_portal: Portal) -> None:
        waiters = 8
        lmtokens_portal.set_rate_limit(1, ANNOUNCED, method="POST")
        lmtokens_portal.client().add_token(32, "before")
        with ThreadPoolExecutor(waiters) as pool:
            creates = []
            for number in range(waiters):
                queued = threading.Event()
                client = lmtokens_portal.client(on_wait=lambda seconds, queued=queued: queued.set())
                creates.append(pool.submit(client.add_token, 32, str(number)))
                assert queued.wait(HANG_TIMEOUT)
            # Calls released together would race to the portal, so the first one is released alone.
            wait_until(lambda: len(posts(lmtokens_portal)) == 2)
            assert notes(lmtokens_portal) == ["before", "0"]
            lmtokens_portal.set_rate_limit(1000, ANNOUNCED, method="POST")
            for create in creates:
                create.result(HANG_TIMEOUT)
        assert sorted(notes(lmtokens_portal)) == sorted(["before", *map(str, range(waiters))])

    def test_cancelled_wait_does_not_block_the_queue(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.set_rate_limit(1, ANNOUNCED, method="POST")

        async def main() -> None:
            async with lmtokens_portal.async_client() as client:
                await client.add_token(32, "before")
                tasks = [asyncio.create_task(client.add_token(32, str(number))) for number in range(4)]
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.add_token(32, "impatient"), 0.2)
                for task in tasks[:3]:
                    task.cancel()
                await tasks[3]

        asyncio.run(main())
        assert notes(lmtokens_portal) == ["before", "3"]
        assert len(posts(lmtokens_portal)) == 2


class TestEndOfWait:
    def test_wait_can_be_cancelled(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.set_rate_limit(1, ENDLESS, method="POST")

        async def main() -> float:
            async with lmtokens_portal.async_client() as client:
                await client.add_token(32)
                loop = asyncio.get_running_loop()
                begun = loop.time()
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(client.add_token(32), 0.2)
                return loop.time() - begun

        assert asyncio.run(main()) < SOON
        assert len(posts(lmtokens_portal)) == 1

    @pytest.mark.parametrize("call", ["client.add_token(32)", "asyncio.run(awaited())", "run.finish()"])
    def test_interrupt_ends_the_wait(self, lmtokens_portal: Portal, tmp_path: Path, call: str) -> None:
        lmtokens_portal.set_rate_limit(1, ENDLESS, method="POST")
        done = run_python(
            textwrap.dedent(
                f"""
                import asyncio, os, signal, sys, threading, time
                import lmtokens
                waits = threading.Event()
                def interrupt():
                    waits.wait()
                    # CPython misses a signal in the instant before its event loop sleeps, until the loop wakes.
                    time.sleep(0.1)
                    sent.append(time.monotonic())
                    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                client = lmtokens.Client(on_wait=lambda seconds: waits.set())
                sent = []
                async def awaited():
                    async with lmtokens.AsyncClient(on_wait=lambda seconds: waits.set()) as client:
                        await client.add_token(32)
                run = client.add_tokens([(32, "bulk")], journal=sys.argv[1])
                client.add_token(32)
                threading.Thread(target=interrupt, daemon=True).start()
                try:
                    {call}
                except KeyboardInterrupt:
                    print(time.monotonic() - sent[0])
                """
            ),
            str(tmp_path / "run.journal"),
        )
        assert done.returncode == 0, done.stderr
        assert float(done.stdout) < SOON
        assert len(posts(lmtokens_portal)) == 1

    @pytest.mark.parametrize("notified", ["callback", "log"])
    @pytest.mark.parametrize("raised", ["KeyboardInterrupt", "SystemExit"])
    def test_interrupt_in_a_callback_or_log_handler_ends_the_wait(
        self, lmtokens_portal: Portal, notified: str, raised: str
    ) -> None:
        # Users press Ctrl-C when they read that the program waits.
        lmtokens_portal.set_rate_limit(1, ENDLESS, method="POST")
        done = run_python(
            textwrap.dedent(
                f"""
                import logging, signal, sys
                import lmtokens
                def notify(*_):
                    if {raised} is SystemExit:
                        sys.exit(3)
                    signal.raise_signal(signal.SIGINT)
                    raise AssertionError("no interrupt")
                class Handler(logging.Handler):
                    emit = notify
                if "{notified}" == "log":
                    logging.basicConfig(level=logging.INFO, handlers=[Handler()])
                client = lmtokens.Client(on_wait=notify if "{notified}" == "callback" else None)
                client.add_token(32)
                try:
                    client.add_token(32)
                except {raised}:
                    print("ended")
                """
            )
        )
        assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr
        assert len(posts(lmtokens_portal)) == 1

    def test_fork_during_a_wait_completes_both_calls(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.set_rate_limit(1, ANNOUNCED, method="POST")
        done = run_python(
            textwrap.dedent(
                """
                import os, threading
                import lmtokens
                waits = threading.Event()
                client = lmtokens.Client(on_wait=lambda seconds: waits.set())
                client.add_token(32, "before")
                waiting = threading.Thread(target=client.add_token, args=(32, "parent"))
                waiting.start()
                waits.wait()
                child = os.fork()
                if child == 0:
                    client.add_token(32, "child")
                    os._exit(0)
                waiting.join()
                assert os.waitpid(child, 0)[1] == 0
                """
            )
        )
        assert done.returncode == 0, done.stderr
        assert sorted(notes(lmtokens_portal)) == ["before", "child", "parent"]


class TestCommand:
    """Ctrl-C while ``lmtokens bulk`` waits."""

    ROWS, LIMIT = 12, 5

    def test_printed_command_resumes_the_run(self, lmtokens_portal: Portal, tmp_path: Path) -> None:
        lmtokens_portal.set_rate_limit(self.LIMIT, ENDLESS, method="POST")
        rows, journal = tmp_path / "the rows.csv", tmp_path / "run.journal"
        rows.write_text("admin_id,note\n" + "".join(f"32,row {number}\n" for number in range(self.ROWS)))
        output = self._interrupted(rows, journal)
        assert f"{self.ROWS} rows: {self.LIMIT} created, {self.ROWS - self.LIMIT} not done\n" in output
        assert "Traceback" not in output
        assert len(notes(lmtokens_portal)) == self.LIMIT

        lmtokens_portal.set_rate_limit(1000, ENDLESS, method="POST")
        command = next(line for line in output.splitlines() if line.startswith("  lmtokens "))
        assert command == f"  lmtokens bulk '{rows}' --journal {journal} --resume"
        path = {**os.environ, "PATH": f"{os.path.dirname(SHELL[0])}:{os.environ['PATH']}"}
        resumed = subprocess.run(
            command, shell=True, env=path, capture_output=True, text=True, timeout=HANG_TIMEOUT, check=False
        )
        assert resumed.returncode == 0, resumed.stderr
        assert sorted(notes(lmtokens_portal)) == sorted(f"row {number}" for number in range(self.ROWS))
        assert states(journal) == ["created"] * self.ROWS

    def _interrupted(self, rows: Path, journal: Path) -> str:
        """Interrupt the command while it waits for the rate limit, and return its standard error."""
        with start_shell("bulk", str(rows), "--journal", str(journal)) as process:
            assert process.stderr is not None
            output = ""
            while "waiting" not in output:
                line = process.stderr.readline()
                assert line, output
                output += line
            wait_until(lambda: states(journal) == ["created"] * self.LIMIT)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=SOON)
        assert (process.returncode, out) == (130, "")
        return output + err


def states(journal: Path) -> list[str]:
    return [entry.state for entry in lmtokens.read_journal(journal)]


class LimitingHandler(RequestHandler):
    """A portal that reports a rate limit, and rejects requests for it."""

    reported: tuple[str, str, str] = ("10", "0", "86400")
    rejections = 0

    def do_GET(self) -> None:
        rejected = type(self).rejections > 0
        type(self).rejections -= rejected
        body = b'{"total": 0, "items": []}'
        self.send_response(429 if rejected else 200)
        for name, value in zip(("limit", "remaining", "window"), self.reported):
            self.send_header(f"X-Rate-Limit-{name}", value)
        self.send_header("Retry-After", "86400")
        self.send_header("Keep-Alive", "timeout=999999999999999999999, max=-1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class TestReportedWindows:
    def client(self, server: LoopbackServer, **settings: Any) -> lmtokens.Client:
        # The limits of a portal are shared by the process, and each server has its own port.
        settings = {"company": "acme", "access_id": "x" * 20, "access_key": "key", **settings}
        return lmtokens.Client(base_url=server.base_url, **settings)

    def test_window_of_a_day_delays_an_operation_by_a_minute_at_most(self) -> None:
        class Handler(LimitingHandler):
            pass

        with LoopbackServer(Handler) as server:
            client = self.client(server, on_limit="raise")
            list(client.list_tokens(32, type="lmv1"))
            with pytest.raises(lmtokens.RateLimitError) as raised:
                list(client.list_tokens(32, type="lmv1"))
        match = re.search(r"retry in ([\d.]+) s", str(raised.value))
        assert match is not None
        assert float(match[1]) <= 61
        # The error still reports what the portal said.
        assert raised.value.window == 86400

    @pytest.mark.parametrize(
        "reported",
        [
            ("1000000000000000000", "0", "1000000000000000000"),
            ("10", "0", "0"),
            ("10", "11", "60"),
            ("-10", "0", "60"),
            ("10", "0", "NaN"),
            ("10", "0", "1e300"),
            ("10.5", "0", "60"),
            ("9" * 400, "0", "60"),
            ("0", "0", "60"),
        ],
    )
    def test_headers_that_make_no_sense_are_ignored(self, reported: tuple[str, str, str]) -> None:
        class Handler(LimitingHandler):
            pass

        Handler.reported = reported
        with LoopbackServer(Handler) as server:
            client = self.client(server, on_limit="raise")
            for _ in range(3):
                assert list(client.list_tokens(32, type="lmv1")) == []

    def test_short_waits_that_add_up_are_announced(self) -> None:
        class Handler(LimitingHandler):
            reported = ("10", "5", "1")
            rejections = 3

        announced: list[float] = []
        with LoopbackServer(Handler) as server:
            client = self.client(server, on_wait=announced.append)
            assert list(client.list_tokens(32, type="lmv1")) == []
        # Three waits of a second; none alone is longer than two.
        [seconds] = announced
        assert 2 < seconds < SOON
