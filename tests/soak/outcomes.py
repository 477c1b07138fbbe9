"""What becomes of each kind of call under each fault: a table, for people or (``--json``) for tests.

A cell is one call against a portal of its own on which the fault strikes once, or always. ``sent`` are the requests of
that call, ``left`` the tokens of the user afterwards that were not there before.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import lmtokens
from lmtokens.sandbox import Portal

if TYPE_CHECKING:
    from collections.abc import Callable

OWNER = 32

# The portal's window, which is also what a client waits after a refusal; and as long as a call may wait: for one
# window, not for two.
WINDOW, MAX_WAIT = 2.0, 3.0
# What an answer may take. A fault takes far longer.
LIMIT, FAR_LONGER = 1.0, 60.0
# Calls at once: they do little but wait, yet more of them would make each other late.
AT_ONCE = 40

FAULTS: dict[str, dict[str, Any]] = {
    "close before acting": {"kind": "close-before-acting"},
    "act, then close": {"kind": "act-then-close"},
    "act, then 500": {"kind": "act-then-status", "status": 500},
    "act, then 502": {"kind": "act-then-status", "status": 502},
    "act, then HTML 503": {"kind": "act-then-html", "status": 503},
    "429": {"kind": "rate-limited"},
    "429 without headers": {"kind": "rate-limited", "headers": "missing"},
    "429, window never told": {"kind": "rate-limited", "headers": "missing"},
    "delay beyond the limit": {"kind": "delay", "seconds": FAR_LONGER},
    "act, then delay": {"kind": "act-then-delay", "seconds": FAR_LONGER},
    "garbage": {"kind": "garbage"},
    "truncated": {"kind": "truncated"},
    "200 with an error": {"kind": "error-in-200"},
    "connection refused": {},
}


@dataclass(frozen=True)
class Cell:
    """How one call ended."""

    call: str
    fault: str
    strikes: str
    sent: dict[str, int]
    raised: str
    maybe_applied: bool | None
    left: list[str]


def unseen(client: lmtokens.Client) -> None:
    """These credentials have not been shown a token that they made."""


def seen(client: lmtokens.Client) -> None:
    client.add_token(33)
    assert list(client.list_tokens(33))


def deliver(token: lmtokens.Token) -> None:
    assert token.access_key is not None


@dataclass(frozen=True)
class Call:
    """One kind of call: the method that the fault strikes, what comes before, and the call itself."""

    method: str
    before: Callable[[lmtokens.Client], None]
    call: Callable[[lmtokens.Client, lmtokens.Token], object]


CALLS = {
    "GET": Call("GET", unseen, lambda client, token: list(client.list_tokens(OWNER, type="lmv1"))),
    "POST": Call("POST", unseen, lambda client, token: client.add_token(OWNER)),
    "POST, deliver": Call("POST", seen, lambda client, token: client.add_token(OWNER, deliver=deliver)),
    "POST, deliver, unseen": Call("POST", unseen, lambda client, token: client.add_token(OWNER, deliver=deliver)),
    "PATCH": Call("PATCH", unseen, lambda client, token: client.update_token(token, "after")),
    "DELETE": Call("DELETE", unseen, lambda client, token: client.delete_token(token)),
}


def run(name: str, fault: str, strikes: str) -> Cell:
    """One cell."""
    call = CALLS[name]
    with Portal(window=WINDOW) as portal:
        client = portal.client(max_wait=MAX_WAIT, timeout=LIMIT)
        token, other = (client.find_token(portal.create_token(OWNER).id) for _ in range(2))
        call.before(client)
        if fault == "429 without headers" and call.before is not seen:
            # What is answered tells the window.
            call.call(client, other)
        before = {kept.id for kept in portal.tokens}
        portal.clear_record()
        if fault == "connection refused":
            portal.close()
            # Without a connection into which a request could still be written.
            client = portal.client()
        else:
            portal.fail(**FAULTS[fault], method=call.method, times=1 if strikes == "once" else None)
        raised, maybe_applied, attempts = "ok", None, 0
        try:
            call.call(client, token)
        except lmtokens.LMTokensError as error:
            raised, maybe_applied, attempts = type(error).__name__, error.maybe_applied, error.attempts
        sent = Counter(request.method for request in portal.record)
        if fault == "connection refused":
            sent[call.method] = attempts
        left = [described(kept.status) for kept in portal.tokens if kept.id not in before]
        return Cell(name, fault, strikes, dict(sent), raised, maybe_applied, left)


def described(status: int) -> str:
    return {1: "disabled", 2: "enabled"}[status]


def table() -> list[Cell]:
    """Every cell."""
    cells = [
        (name, fault, strikes)
        for name, call in CALLS.items()
        for fault in FAULTS
        # Whoever has called before has been told.
        if not ("never told" in fault and call.before is seen)
        # No portal refuses one connection and takes the next.
        for strikes in (("always",) if fault == "connection refused" else ("once", "always"))
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        # Those that take longest begin first.
        by_length = sorted(cells, key=lambda cell: (cell[2] == "always", "deliver" in cell[0]), reverse=True)
        ended = dict(zip(by_length, pool.map(lambda cell: run(*cell), by_length)))
    return [ended[cell] for cell in cells]


def shown(cell: Cell) -> str:
    sent = " ".join(f"{method} {count}" for method, count in cell.sent.items())
    maybe = {None: "-", True: "yes", False: "no"}[cell.maybe_applied]
    left = ", ".join(cell.left) or "-"
    return f"{cell.call:<22} {cell.fault:<22} {cell.strikes:<7} {sent:<31} {cell.raised:<20} {maybe:<14} {left}"


def main() -> None:
    cells = table()
    if "--json" in sys.argv[1:]:
        print(json.dumps([asdict(cell) for cell in cells]))
        return
    heads = ("call", "fault", "strikes", "requests sent", "raised", "maybe_applied", "left")
    print("{:<22} {:<22} {:<7} {:<31} {:<20} {:<14} {}".format(*heads))
    for cell in cells:
        print(shown(cell))


if __name__ == "__main__":
    main()
