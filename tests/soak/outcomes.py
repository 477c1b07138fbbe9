"""The outcome of each kind of call under each fault, as a table or as JSON (``--json``).

A cell is one call to a new sandbox on which the fault occurs once or always. ``sent`` counts the requests of the call,
``left`` lists the user's new tokens after it.
"""

from __future__ import annotations

import json
import socket
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import lmtokens
from lmtokens.sandbox import Portal

if TYPE_CHECKING:
    from collections.abc import Callable

OWNER = 32
STATUS_NAMES = {1: "disabled", 2: "enabled"}

# A client waits for one window after a 429. MAX_WAIT permits one such wait, but not two.
# Both are long compared with what a request takes under load.
WINDOW, MAX_WAIT = 4.0, 5.0
# The timeout of a delayed call and that of any other one, which may take a while under load, and a delay far beyond the
# former.
SHORT_TIMEOUT, TIMEOUT, LONG_DELAY = 2.0, 60.0, 60.0
# Calls mostly wait, but more of them at once would delay each other.
CONCURRENCY = 40

FAULTS: dict[str, dict[str, Any]] = {
    "close before acting": {"kind": "close-before-acting"},
    "act, then close": {"kind": "act-then-close"},
    "act, then 500": {"kind": "act-then-status", "status": 500},
    "act, then 502": {"kind": "act-then-status", "status": 502},
    "act, then HTML 503": {"kind": "act-then-html", "status": 503},
    "429": {"kind": "rate-limited"},
    "429 without headers": {"kind": "rate-limited", "headers": "missing"},
    "429, unknown window": {"kind": "rate-limited", "headers": "missing"},
    "delay past the timeout": {"kind": "delay", "seconds": LONG_DELAY},
    "act, then delay": {"kind": "act-then-delay", "seconds": LONG_DELAY},
    "garbage": {"kind": "garbage"},
    "truncated": {"kind": "truncated"},
    "200 with an error": {"kind": "error-in-200"},
    "connection refused": {},
}


@dataclass(frozen=True)
class Cell:
    """The outcome of one call."""

    call: str
    fault: str
    frequency: str
    sent: dict[str, int]
    raised: str
    maybe_applied: bool | None
    left: list[str]


def without_visibility(client: lmtokens.Client) -> None:
    """Leave it unknown whether the credentials may see the tokens that they create."""


def with_visibility(client: lmtokens.Client) -> None:
    """Show the client that the credentials see the tokens that they create."""
    client.add_token(33)
    assert list(client.list_tokens(33))


def deliver(token: lmtokens.Token) -> None:
    assert token.access_key is not None


@dataclass(frozen=True)
class Call:
    """A kind of call: the method that the fault affects, the preparation, and the call itself."""

    method: str
    before: Callable[[lmtokens.Client], None]
    call: Callable[[lmtokens.Client, lmtokens.Token], object]


CALLS = {
    "GET": Call("GET", without_visibility, lambda client, token: list(client.list_tokens(OWNER, type="lmv1"))),
    "POST": Call("POST", without_visibility, lambda client, token: client.add_token(OWNER)),
    "POST, deliver": Call("POST", with_visibility, lambda client, token: client.add_token(OWNER, deliver=deliver)),
    "POST, deliver, unseen": Call(
        "POST", without_visibility, lambda client, token: client.add_token(OWNER, deliver=deliver)
    ),
    "PATCH": Call("PATCH", without_visibility, lambda client, token: client.update_token(token, "after")),
    "DELETE": Call("DELETE", without_visibility, lambda client, token: client.delete_token(token, force=True)),
}


def at(base_url: str, token: lmtokens.Token) -> lmtokens.Token:
    """Return the token as one of the portal at another address."""
    reduced: Any = token.__reduce__()
    restore, (members,) = reduced
    moved: lmtokens.Token = restore({**members, "portal": base_url})
    return moved


def run(name: str, fault: str, frequency: str) -> Cell:
    """Run one call and return its cell."""
    call = CALLS[name]
    with Portal(window=WINDOW) as portal, ExitStack() as stack:
        timeout = SHORT_TIMEOUT if "seconds" in FAULTS[fault] else TIMEOUT
        client = portal.client(max_wait=MAX_WAIT, timeout=timeout)
        token, other = (client.find_token(portal.create_token(OWNER).id) for _ in range(2))
        call.before(client)
        if fault == "429 without headers" and call.before is not with_visibility:
            # The response tells the client the window.
            call.call(client, other)
        before = {stored.id for stored in portal.tokens}
        portal.clear_record()
        if fault == "connection refused":
            # The port is bound, so that no other sandbox listens there.
            reserved = stack.enter_context(socket.socket())
            reserved.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{reserved.getsockname()[1]}/santaba/rest"
            client = portal.client(base_url=address)
            token = at(address, token)
        else:
            portal.fail(**FAULTS[fault], method=call.method, times=1 if frequency == "once" else None)
        raised, maybe_applied, attempts = "ok", None, 0
        try:
            call.call(client, token)
        except lmtokens.LMTokensError as error:
            raised, maybe_applied, attempts = type(error).__name__, error.maybe_applied, error.attempts
        sent = Counter(request.method for request in portal.record)
        if fault == "connection refused":
            sent[call.method] = attempts
        left = [STATUS_NAMES[stored.status] for stored in portal.tokens if stored.id not in before]
        return Cell(name, fault, frequency, dict(sent), raised, maybe_applied, left)


def table() -> list[Cell]:
    """Run every call under every fault."""
    cells = [
        (name, fault, frequency)
        for name, call in CALLS.items()
        for fault in FAULTS
        # After an earlier call the client knows the window.
        if not ("unknown window" in fault and call.before is with_visibility)
        # Every connection is refused.
        for frequency in (("always",) if fault == "connection refused" else ("once", "always"))
    ]
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        # The slowest cells start first.
        slowest_first = sorted(cells, key=lambda cell: (cell[2] == "always", "deliver" in cell[0]), reverse=True)
        outcomes = dict(zip(slowest_first, pool.map(lambda cell: run(*cell), slowest_first)))
    return [outcomes[cell] for cell in cells]


def table_row(cell: Cell) -> str:
    sent = " ".join(f"{method} {count}" for method, count in cell.sent.items())
    maybe = {None: "-", True: "yes", False: "no"}[cell.maybe_applied]
    left = ", ".join(cell.left) or "-"
    return f"{cell.call:<22} {cell.fault:<22} {cell.frequency:<9} {sent:<31} {cell.raised:<20} {maybe:<14} {left}"


def main() -> None:
    cells = table()
    if "--json" in sys.argv[1:]:
        print(json.dumps([asdict(cell) for cell in cells]))
        return
    headings = ("call", "fault", "frequency", "requests sent", "raised", "maybe_applied", "left")
    print("{:<22} {:<22} {:<9} {:<31} {:<20} {:<14} {}".format(*headings))
    for cell in cells:
        print(table_row(cell))


if __name__ == "__main__":
    main()
