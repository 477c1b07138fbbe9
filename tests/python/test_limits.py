"""A process that gets no thread or no descriptor: an exception, no panic, no hang, and recovery once it gets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import HANG_TIMEOUT, UNLIMITED

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")

PROGRAM = Path(__file__).with_name("limited_process.py")

NO_THREAD = "cannot start a thread: Resource temporarily unavailable (os error 11)"
NO_DESCRIPTOR = "Too many open files (os error 24)"
THREAD_ADVICE = "the container's pids limit"
DESCRIPTOR_ADVICE = "raise the limit of open files (ulimit -n)"

# Operations that send requests.
REQUESTS = ["blocking", "add", "listed", "to_file", "to_command", "bulk"]
AWAITED = ["awaited", "awaited_function", "awaited_coroutine", "awaited_bulk"]
SHELL = ["shell_add", "shell_bulk", "shell_sandbox"]


def run_limited(portal: Portal, kind: str, when: str, operation: str) -> tuple[list[dict[str, Any]], str]:
    """Return the outcomes of two calls under the limit and one without it, and the program's standard error."""
    portal.set_rate_limit(UNLIMITED)
    done = subprocess.run(
        [sys.executable, str(PROGRAM), kind, when, operation],
        env={**os.environ, **portal.environment()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "panicked" not in done.stderr
    outcomes = json.loads(done.stdout.splitlines()[-1])
    for outcome in outcomes:
        assert outcome["error"] != "PanicException", outcome
    return outcomes, done.stderr


class TestNoThread:
    @pytest.mark.parametrize("operation", [*REQUESTS, *AWAITED])
    def test_first_call_raises_and_later_ones_work(self, lmtokens_portal: Portal, operation: str) -> None:
        (*limited, lifted), _ = run_limited(lmtokens_portal, "threads", "before", operation)
        for outcome in limited:
            assert (outcome["error"], outcome["message"].splitlines()[0]) == ("ConnectError", NO_THREAD)
            assert THREAD_ADVICE in outcome["suggestion"]
        assert lifted == {"error": None}

    # Files and callbacks need no thread of their own; a warm connection needs no look-up of its host.
    @pytest.mark.parametrize(
        "operation",
        ["blocking", "add", "listed", "to_file", "awaited", "awaited_function", "awaited_coroutine", "interrupted"],
    )
    def test_later_calls_work(self, lmtokens_portal: Portal, operation: str) -> None:
        if operation == "interrupted":
            # Every request but the first, which the program sends before the limit.
            lmtokens_portal.fail("delay", skip=1, times=None, seconds=2 * HANG_TIMEOUT)
        outcomes, _ = run_limited(lmtokens_portal, "threads", "after", operation)
        assert outcomes == [{"error": None}] * 3

    @pytest.mark.parametrize("operation", ["bulk", "awaited_bulk"])
    def test_bulk_run_raises_before_it_begins(self, lmtokens_portal: Portal, operation: str) -> None:
        (*limited, lifted), _ = run_limited(lmtokens_portal, "threads", "after", operation)
        for outcome in limited:
            assert (outcome["error"], outcome["message"].splitlines()[0]) == ("ConnectError", NO_THREAD)
        assert lifted == {"error": None}
        assert len([seen for seen in lmtokens_portal.record if seen.method == "POST"]) == 1

    def test_command_that_cannot_start_leaves_no_token(self, lmtokens_portal: Portal) -> None:
        (*limited, lifted), _ = run_limited(lmtokens_portal, "threads", "after", "to_command")
        for outcome in limited:
            assert outcome["error"] == "DeliveryError"
            assert outcome["message"].startswith("cannot run cat: Resource temporarily unavailable")
            assert THREAD_ADVICE in outcome["suggestion"]
        assert lifted == {"error": None}
        assert [token.status for token in lmtokens_portal.tokens if token.admin_id == 32] == [2]

    def test_look_up_of_a_host_raises(self, lmtokens_portal: Portal) -> None:
        (*limited, lifted), _ = run_limited(lmtokens_portal, "threads", "after", "unknown_host")
        for outcome in limited:
            assert outcome["error"] == "ConnectError"
            assert outcome["message"].startswith(f"cannot connect to acme.invalid.test: {NO_THREAD}")
            assert THREAD_ADVICE in outcome["suggestion"]
        assert "cannot find the host" in lifted["message"]

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_sandbox_raises(self, lmtokens_portal: Portal, when: str) -> None:
        (*limited, lifted), _ = run_limited(lmtokens_portal, "threads", when, "sandbox")
        for outcome in limited:
            assert outcome["error"] == "ConfigurationError"
            assert "the sandbox could not start its thread" in outcome["message"]
            assert THREAD_ADVICE in outcome["suggestion"]
        assert lifted == {"error": None}

    @pytest.mark.parametrize("operation", SHELL)
    def test_shell_says_what_is_wrong(self, lmtokens_portal: Portal, operation: str) -> None:
        (*limited, lifted), stderr = run_limited(lmtokens_portal, "threads", "before", operation)
        assert [outcome["error"] for outcome in limited] == ["SystemExit"] * 2
        line = "the sandbox could not start its thread" if operation == "shell_sandbox" else NO_THREAD
        assert stderr.count(f"error: {line}") == 2
        assert stderr.count("hint: stop other processes") == 2
        assert lifted == {"error": None}

    @pytest.mark.parametrize("when", ["before", "after"])
    def test_signing_needs_no_thread(self, lmtokens_portal: Portal, when: str) -> None:
        outcomes, _ = run_limited(lmtokens_portal, "threads", when, "sign")
        assert outcomes == [{"error": None}] * 3


class TestNoDescriptor:
    @pytest.mark.parametrize("operation", [*REQUESTS, *AWAITED])
    def test_first_call_raises_and_later_ones_work(self, lmtokens_portal: Portal, operation: str) -> None:
        (*limited, lifted), _ = run_limited(lmtokens_portal, "3", "before", operation)
        for outcome in limited:
            message = f"cannot start the client: {NO_DESCRIPTOR}"
            assert (outcome["error"], outcome["message"].splitlines()[0]) == ("ConnectError", message)
            assert DESCRIPTOR_ADVICE in outcome["suggestion"]
        assert lifted == {"error": None}

    @pytest.mark.parametrize("operation", SHELL)
    def test_shell_says_what_is_wrong(self, lmtokens_portal: Portal, operation: str) -> None:
        (*limited, lifted), stderr = run_limited(lmtokens_portal, "3", "before", operation)
        assert [outcome["error"] for outcome in limited] == ["SystemExit"] * 2
        assert stderr.count(NO_DESCRIPTOR) == 2
        assert stderr.count(f"hint: close files or connections, or {DESCRIPTOR_ADVICE}") == 2
        assert lifted == {"error": None}

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("operation", ["add", "bulk", "to_file", "to_command", "awaited_function", "sandbox"])
    @pytest.mark.parametrize("free", [0, 1, 4, 6, 8])
    def test_any_number_of_free_descriptors(
        self, lmtokens_portal: Portal, free: int, operation: str, when: str
    ) -> None:
        (*limited, lifted), _ = run_limited(lmtokens_portal, str(free), when, operation)
        for outcome in limited:
            assert outcome["error"] is None or "LMTokensError" in outcome["bases"], outcome
        assert lifted == {"error": None}
