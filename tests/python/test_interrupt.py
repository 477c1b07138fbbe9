"""Ctrl-C interrupts a create immediately and warns that a token may exist."""

from __future__ import annotations

import re
import textwrap

import pytest
from support import run_python

# Far longer than the rest of a test takes on any machine.
DELAY = 40
SOON = DELAY / 2

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"

PREAMBLE = f"""
import os, signal, sys, threading, time
import lmtokens, lmtokens.sandbox

portal = lmtokens.sandbox.Portal()
client = portal.client()

def signal_when_seen(number, method="POST"):
    def wait():
        while not any(seen.method == method for seen in portal.record):
            time.sleep(0.001)
        os.kill(os.getpid(), number)
    threading.Thread(target=wait, daemon=True).start()

def interrupted(*arguments):
    begun = time.monotonic()
    try:
        client.add_token(*arguments)
    except KeyboardInterrupt:
        assert time.monotonic() - begun < {SOON}, "interrupted too late"
    else:
        raise AssertionError("not interrupted")
"""


def run(code: str) -> tuple[str, str]:
    """Run code after the preamble and return its standard output and standard error."""
    completed = run_python(PREAMBLE + textwrap.dedent(code))
    assert completed.returncode == 0, completed.stderr
    return completed.stdout, completed.stderr


def test_interrupt_logs_a_warning_with_owner_note_and_time() -> None:
    out, err = run(
        f"""
        import logging
        class PrintHandler(logging.Handler):
            def emit(self, record):
                print(record.levelname, record.name, record.getMessage())
        logging.getLogger().addHandler(PrintHandler())
        portal.fail("delay", method="POST", seconds={DELAY})
        signal_when_seen(signal.SIGINT)
        interrupted(32, "ci")
        """
    )
    assert re.fullmatch(rf'WARNING lmtokens .* at {TIME}: a token of user 32 with note "ci" may exist.*\n', out)
    assert err == ""


def test_warning_goes_to_standard_error_if_logging_is_not_imported() -> None:
    out, err = run(
        f"""
        assert "logging" not in sys.modules
        portal.fail("delay", method="POST", seconds={DELAY})
        signal_when_seen(signal.SIGINT)
        interrupted(32)
        """
    )
    assert re.fullmatch(rf".* at {TIME}: a token of user 32 with no note may exist.*\n", err)
    assert out == ""


@pytest.mark.parametrize("delay", [0.02, 0.035, 0.045])
def test_interrupt_just_before_the_response_warns(delay: float) -> None:
    # Like most responses, this one arrives before the next check for signals.
    _, err = run(
        f"""
        client.add_token(1)
        portal.clear_record()
        portal.fail("act-then-delay", method="POST", seconds={delay})
        signal_when_seen(signal.SIGINT)
        interrupted(32, "ci")
        assert [token.note for token in portal.tokens if token.admin_id == 32] == ["ci"]
        """
    )
    assert "user 32" in err


def test_interrupt_while_searching_for_candidates_warns() -> None:
    _, err = run(
        f"""
        portal.fail("act-then-close", method="POST")
        portal.fail("delay", method="GET", seconds={DELAY})
        signal_when_seen(signal.SIGINT, "GET")
        interrupted(32, "ci")
        """
    )
    assert "a token of user 32" in err


def test_client_is_usable_after_an_interrupt() -> None:
    run(
        f"""
        portal.fail("delay", method="POST", seconds={DELAY})
        signal_when_seen(signal.SIGINT)
        interrupted(32)
        assert client.add_token(32, "next").note == "next"
        """
    )


def test_exception_of_a_signal_handler_propagates() -> None:
    _, err = run(
        f"""
        class HandlerError(Exception): pass
        def handler(*_): raise HandlerError
        signal.signal(signal.SIGUSR1, handler)
        portal.fail("delay", method="POST", seconds={DELAY})
        signal_when_seen(signal.SIGUSR1)
        try:
            client.add_token(32, "ci")
        except HandlerError:
            pass
        """
    )
    assert "a token of user 32" in err


def test_signal_handler_may_call_the_client_and_return() -> None:
    out, err = run(
        """
        def handler(*_): print(client.add_token(32, "inner").note)
        signal.signal(signal.SIGUSR1, handler)
        portal.fail("delay", method="POST", seconds=0.5)
        signal_when_seen(signal.SIGUSR1)
        print(client.add_token(32, "outer").note)
        """
    )
    assert (out, err) == ("inner\nouter\n", "")


def test_no_warning_if_no_request_was_sent() -> None:
    _, err = run(
        """
        portal.close()
        try:
            client.add_token(32)
        except lmtokens.ConnectError:
            pass
        """
    )
    assert err == ""


def test_failing_logging_handler_does_not_change_the_result() -> None:
    out, err = run(
        """
        import logging
        class Broken(logging.Handler):
            def emit(self, record): raise RuntimeError("broken handler")
        logger = logging.getLogger("lmtokens")
        logger.setLevel(logging.DEBUG)
        logger.addHandler(Broken())
        print(client.add_token(32, "ci").note)
        """
    )
    assert out == "ci\n"
    assert "broken handler" in err
