"""The outcome of each kind of call under each fault: requests sent, exception raised, tokens left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

TABLE = Path(__file__).parents[1] / "soak" / "outcomes.py"

# Each line: fault | outcome if it occurs once | outcome if it occurs always ("=": the same). "maybe" marks a failed
# call that the portal may have applied; "left" lists tokens that did not exist before.
EXPECTED = {
    "GET": """
close before acting    | GET 2: ok             | GET 3: TransportError
act, then close        | GET 2: ok             | GET 3: TransportError
act, then 500          | GET 1: ServerError    | =
act, then 502          | GET 2: ok             | GET 3: ServerError
act, then HTML 503     | GET 2: ok             | GET 3: ServerError
429                    | GET 2: ok             | GET 2: RateLimitError
429 without headers    | GET 2: ok             | GET 2: RateLimitError
429, unknown window    | GET 1: RateLimitError | =
delay past the timeout | GET 2: ok             | GET 3: RequestTimeoutError
act, then delay        | GET 2: ok             | GET 3: RequestTimeoutError
garbage                | GET 1: ResponseError  | =
truncated              | GET 2: ok             | GET 3: TransportError
200 with an error      | GET 1: ServerError    | =
connection refused     | -                     | GET 3: ConnectError
""",
    "POST": """
close before acting    | POST 1 GET 1: OutcomeUnknownError, maybe               | =
act, then close        | POST 1 GET 1: OutcomeUnknownError, maybe, left enabled | =
act, then 500          | POST 1 GET 1: OutcomeUnknownError, maybe, left enabled | =
act, then 502          | POST 1 GET 1: OutcomeUnknownError, maybe, left enabled | =
act, then HTML 503     | POST 1 GET 1: OutcomeUnknownError, maybe, left enabled | =
429                    | POST 2: ok, left enabled                               | POST 2: RateLimitError
429 without headers    | POST 2: ok, left enabled                               | POST 2: RateLimitError
429, unknown window    | POST 1: RateLimitError                                 | =
delay past the timeout | POST 1 GET 1: OutcomeUnknownError, maybe               | =
act, then delay        | POST 1 GET 1: OutcomeUnknownError, maybe, left enabled | =
garbage                | POST 1 GET 1: OutcomeUnknownError, maybe, left enabled | =
truncated              | POST 1 GET 1: OutcomeUnknownError, maybe, left enabled | =
200 with an error      | POST 1 GET 1: OutcomeUnknownError, maybe               | =
connection refused     | -                                                      | POST 3: ConnectError
""",
    "POST, deliver": """
close before acting    | POST 2 GET 1 PATCH 1: ok, left enabled          | POST 6 GET 6: TransportError
act, then close        | POST 2 GET 1 DELETE 1 PATCH 1: ok, left enabled | POST 6 GET 6 DELETE 6: TransportError
act, then 500          | POST 2 GET 1 DELETE 1 PATCH 1: ok, left enabled | POST 6 GET 6 DELETE 6: ServerError
act, then 502          | POST 2 GET 1 DELETE 1 PATCH 1: ok, left enabled | POST 6 GET 6 DELETE 6: ServerError
act, then HTML 503     | POST 2 GET 1 DELETE 1 PATCH 1: ok, left enabled | POST 6 GET 6 DELETE 6: ServerError
429                    | POST 2 PATCH 1: ok, left enabled                | POST 2: RateLimitError
429 without headers    | POST 2 PATCH 1: ok, left enabled                | POST 2: RateLimitError
delay past the timeout | POST 2 GET 1 PATCH 1: ok, left enabled          | POST 6 GET 6: RequestTimeoutError
act, then delay        | POST 2 GET 1 DELETE 1 PATCH 1: ok, left enabled | POST 6 GET 6 DELETE 6: RequestTimeoutError
garbage                | POST 2 GET 1 DELETE 1 PATCH 1: ok, left enabled | POST 6 GET 6 DELETE 6: ResponseError
truncated              | POST 2 GET 1 DELETE 1 PATCH 1: ok, left enabled | POST 6 GET 6 DELETE 6: TransportError
200 with an error      | POST 2 GET 1 PATCH 1: ok, left enabled          | POST 6 GET 6: ServerError
connection refused     | -                                               | POST 3: ConnectError
""",
    "POST, deliver, unseen": """
close before acting    | POST 1 GET 1: OutcomeUnknownError, maybe        | =
act, then close        | POST 2 GET 1 DELETE 1 PATCH 1: ok, left enabled | POST 6 GET 6 DELETE 6: TransportError
act, then 500          | POST 2 GET 1 DELETE 1 PATCH 1: ok, left enabled | POST 6 GET 6 DELETE 6: ServerError
act, then 502          | POST 2 GET 1 DELETE 1 PATCH 1: ok, left enabled | POST 6 GET 6 DELETE 6: ServerError
act, then HTML 503     | POST 2 GET 1 DELETE 1 PATCH 1: ok, left enabled | POST 6 GET 6 DELETE 6: ServerError
429                    | POST 2 PATCH 1: ok, left enabled                | POST 2: RateLimitError
429 without headers    | POST 2 PATCH 1: ok, left enabled                | POST 2: RateLimitError
429, unknown window    | POST 1: RateLimitError                          | =
delay past the timeout | POST 1 GET 1: OutcomeUnknownError, maybe        | =
act, then delay        | POST 2 GET 1 DELETE 1 PATCH 1: ok, left enabled | POST 6 GET 6 DELETE 6: RequestTimeoutError
garbage                | POST 2 GET 1 DELETE 1 PATCH 1: ok, left enabled | POST 6 GET 6 DELETE 6: ResponseError
truncated              | POST 2 GET 1 DELETE 1 PATCH 1: ok, left enabled | POST 6 GET 6 DELETE 6: TransportError
200 with an error      | POST 1 GET 1: OutcomeUnknownError, maybe        | =
connection refused     | -                                               | POST 3: ConnectError
""",
    "PATCH": """
close before acting    | GET 1 PATCH 2: ok                   | GET 1 PATCH 3: TransportError, maybe
act, then close        | GET 1 PATCH 2: ok                   | GET 1 PATCH 3: TransportError, maybe
act, then 500          | GET 1 PATCH 1: ServerError, maybe   | =
act, then 502          | GET 1 PATCH 2: ok                   | GET 1 PATCH 3: ServerError, maybe
act, then HTML 503     | GET 1 PATCH 2: ok                   | GET 1 PATCH 3: ServerError, maybe
429                    | GET 1 PATCH 2: ok                   | GET 1 PATCH 2: RateLimitError
429 without headers    | GET 1 PATCH 2: ok                   | GET 1 PATCH 2: RateLimitError
429, unknown window    | GET 1 PATCH 1: RateLimitError       | =
delay past the timeout | GET 1 PATCH 2: ok                   | GET 1 PATCH 3: RequestTimeoutError, maybe
act, then delay        | GET 1 PATCH 2: ok                   | GET 1 PATCH 3: RequestTimeoutError, maybe
garbage                | GET 1 PATCH 1: ResponseError, maybe | =
truncated              | GET 1 PATCH 2: ok                   | GET 1 PATCH 3: TransportError, maybe
200 with an error      | GET 1 PATCH 1: ServerError, maybe   | =
connection refused     | -                                   | PATCH 3: ConnectError
""",
    "DELETE": """
close before acting    | DELETE 2: ok                   | DELETE 3: TransportError, maybe
act, then close        | DELETE 2 GET 2: ok             | DELETE 3: TransportError, maybe
act, then 500          | DELETE 1: ServerError, maybe   | =
act, then 502          | DELETE 2 GET 2: ok             | DELETE 3: ServerError, maybe
act, then HTML 503     | DELETE 2 GET 2: ok             | DELETE 3: ServerError, maybe
429                    | DELETE 2: ok                   | DELETE 2: RateLimitError
429 without headers    | DELETE 2: ok                   | DELETE 2: RateLimitError
429, unknown window    | DELETE 1: RateLimitError       | =
delay past the timeout | DELETE 2: ok                   | DELETE 3: RequestTimeoutError, maybe
act, then delay        | DELETE 2 GET 2: ok             | DELETE 3: RequestTimeoutError, maybe
garbage                | DELETE 1: ResponseError, maybe | =
truncated              | DELETE 2 GET 2: ok             | DELETE 3: TransportError, maybe
200 with an error      | DELETE 1: ServerError, maybe   | =
connection refused     | -                              | DELETE 3: ConnectError
""",
}

RETRIED = ("429", "429 without headers", "connection refused")


@pytest.fixture(scope="module")
def cells() -> dict[tuple[str, str, str], str]:
    """Return the text of every cell by call, fault and frequency."""
    command = [sys.executable, str(TABLE), "--json"]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert completed.returncode == 0, completed.stderr
    return {(cell["call"], cell["fault"], cell["frequency"]): text(cell) for cell in json.loads(completed.stdout)}


def text(cell: dict[str, object]) -> str:
    sent, left = cell["sent"], cell["left"]
    assert isinstance(sent, dict)
    assert isinstance(left, list)
    parts = [" ".join(f"{method} {count}" for method, count in sent.items()) + f": {cell['raised']}"]
    parts += ["maybe"] if cell["maybe_applied"] else []
    parts += [f"left {' '.join(left)}"] if left else []
    return ", ".join(parts)


def expected(call: str) -> dict[tuple[str, str, str], str]:
    outcomes = {}
    for line in EXPECTED[call].strip().splitlines():
        fault, once, always = (part.strip() for part in line.split("|"))
        outcomes[call, fault, "always"] = once if always == "=" else always
        if once != "-":
            outcomes[call, fault, "once"] = once
    return outcomes


@pytest.mark.parametrize("call", EXPECTED)
def test_outcome_of_every_fault(cells: dict[tuple[str, str, str], str], call: str) -> None:
    found = {cell: outcome for cell, outcome in cells.items() if cell[0] == call}
    assert found == expected(call)


def test_table_covers_every_call(cells: dict[tuple[str, str, str], str]) -> None:
    assert {cell[0] for cell in cells} == set(EXPECTED)


def test_enabled_create_is_retried_only_if_the_portal_cannot_have_acted(
    cells: dict[tuple[str, str, str], str],
) -> None:
    sent = defaultdict(set)
    for (call, fault, _), outcome in cells.items():
        if call == "POST":
            sent[fault].add(outcome.split(":")[0].replace(" GET 1", ""))
    assert {fault for fault, counts in sent.items() if counts != {"POST 1"}} == set(RETRIED)


def test_no_fault_leaves_an_enabled_token_that_was_not_delivered(
    cells: dict[tuple[str, str, str], str],
) -> None:
    two_phase = {cell: outcome for cell, outcome in cells.items() if "deliver" in cell[0]}
    assert len(two_phase) > 40
    assert {cell for cell, outcome in two_phase.items() if "left" in outcome and ": ok" not in outcome} == set()
