"""Numbers that the embedded portal cannot use are refused in words that name them and say what is accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from lmtokens.sandbox import Portal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HUGE = 10**30
NAN = float("nan")
INFINITE = float("inf")


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    with Portal() as portal:
        yield portal


def refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert type(caught.value) is ValueError


@pytest.mark.parametrize(
    ("settings", "accepted"),
    [
        *[({"port": port}, "whole numbers from 0 to 65535") for port in (-1, 65_536, HUGE, -HUGE, "80", 80.0, True)],
        *[({"rate_limit": limit}, "whole numbers from 0 to 4294967295") for limit in (-1, 2**32, HUGE, 1.5, True)],
        *[
            ({"window": window}, "seconds above 0 and up to 86400")
            for window in (0, 0.0, -1, NAN, INFINITE, 86_401, HUGE, "60", True)
        ],
        *[({"clock_offset": offset}, "whole numbers from -92") for offset in (HUGE, -HUGE, 0.5, "1")],
        *[({"seed": seed}, "whole numbers from 0 to 18446744073709551615") for seed in (-1, 2**64, HUGE, 1.0)],
        *[({"lock_out_after": count}, "whole numbers from 0 to 4294967295") for count in (-1, 2**32, HUGE)],
        *[({"record_limit": limit}, "whole numbers from 0 to 4294967295") for limit in (-1, 2**32, HUGE)],
    ],
    ids=repr,
)
def test_setting(settings: dict[str, Any], accepted: str) -> None:
    [name] = settings
    refused(lambda: Portal(**settings), f"{name} is not accepted: accepted (is|are) {accepted}")


def test_setting_of_another_kind() -> None:
    refused(lambda: Portal(negative_totals=5), "boolean")  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [-1, 2**32, HUGE, -HUGE, 1.5, True, "1"], ids=repr)
def test_limit_of_a_budget(portal: Portal, limit: Any) -> None:
    refused(
        lambda: portal.set_rate_limit(limit), "limit is not accepted: accepted are whole numbers from 0 to 4294967295"
    )


@pytest.mark.parametrize("window", [0, -1, NAN, INFINITE, HUGE, -HUGE, "60", True], ids=repr)
def test_window_of_a_budget(portal: Portal, window: Any) -> None:
    refused(
        lambda: portal.set_rate_limit(1, window), "window is not accepted: accepted is seconds above 0 and up to 86400"
    )


def test_method_of_a_budget(portal: Portal) -> None:
    refused(lambda: portal.set_rate_limit(1, 60, method=""), "method must be the name of an HTTP method")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("skip", -1),
        ("skip", HUGE),
        ("times", -1),
        ("times", 2**32),
        ("status", 199),
        ("status", 600),
        ("status", HUGE),
        ("code", HUGE),
        ("code", "1400"),
    ],
)
def test_number_of_a_fault(portal: Portal, name: str, value: Any) -> None:
    kind: dict[str, Any] = {"kind": "status-before-acting", name: value}
    refused(lambda: portal.fail(**kind), f"{name} is not accepted: accepted are whole numbers from ")


@pytest.mark.parametrize("seconds", [-1, NAN, INFINITE, 86_401, "1"], ids=repr)
def test_time_span_of_a_fault(portal: Portal, seconds: Any) -> None:
    refused(lambda: portal.fail("delay", seconds=seconds), "seconds is not accepted: accepted is 0 to 86400 seconds")


@pytest.mark.parametrize(
    ("name", "value"),
    [("rate", -0.1), ("rate", 1.1), ("rate", NAN), ("rate", "1"), ("seed", -1), ("seed", HUGE), ("seconds", -1)],
)
def test_number_of_faults_by_chance(portal: Portal, name: str, value: Any) -> None:
    faults: dict[str, Any] = {"rate": 0.1, "seed": 1, name: value}
    refused(lambda: portal.fail_at_random(**faults), f"{name} is not accepted: accepted (is|are) ")


@pytest.mark.parametrize("offset", [HUGE, -HUGE, 0.5, "1"], ids=repr)
def test_offset_of_the_clock(portal: Portal, offset: Any) -> None:
    refused(lambda: portal.set_clock_offset(offset), "seconds is not accepted: accepted are whole numbers from -92")


@pytest.mark.parametrize("id", [-1, 2**32, HUGE, "7"], ids=repr)
def test_id_of_a_user(portal: Portal, id: Any) -> None:
    refused(lambda: portal.add_user("example", id=id), "id is not accepted: accepted are whole numbers from 0 to")


@pytest.mark.parametrize(
    ("name", "value"), [("admin_id", -1), ("status", HUGE), ("created_on", HUGE), ("last_used_on", -HUGE)]
)
def test_number_of_a_token(portal: Portal, name: str, value: int) -> None:
    token: dict[str, Any] = {name: value}
    refused(lambda: portal.create_token(**token), f"{name} is not accepted: accepted are whole numbers from ")


def test_nothing_came_of_what_was_refused(portal: Portal) -> None:
    assert portal.client().add_token(32).status == lmtokens.TokenStatus.ENABLED
    assert len(portal.tokens) == 3


def test_first_and_last_numbers() -> None:
    with Portal(
        rate_limit=2**32 - 1, window=86_400, seed=2**64 - 1, lock_out_after=0, record_limit=2**32 - 1
    ) as portal:
        portal.set_rate_limit(0, 0.001)
        portal.set_rate_limit(2**32 - 1, 86_400)
        portal.fail("status-before-acting", status=599, code=-1, skip=2**32 - 1, times=None)
        assert portal.client().add_token(32).id
