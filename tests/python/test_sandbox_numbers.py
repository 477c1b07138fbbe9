"""The sandbox rejects invalid numbers with an error that names the argument and what it accepts."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from lmtokens.sandbox import Portal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HUGE = 10**30
NAN = float("nan")
INFINITE = float("inf")
SECONDS = "a number of seconds from 0 to 86400"
WINDOW = "a number of seconds above 0, up to 86400"


@pytest.fixture(scope="module")
def portal() -> Iterator[Portal]:
    with Portal() as portal:
        yield portal


def assert_rejected(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert type(caught.value) is ValueError


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        *[({"port": port}, "a whole number from 0 to 65535") for port in (-1, 65_536, HUGE, -HUGE, "80", 80.0, True)],
        *[({"rate_limit": limit}, "a whole number from 0 to 4294967295") for limit in (-1, 2**32, HUGE, 1.5, True)],
        *[({"window": window}, WINDOW) for window in (0, 0.0, -1, NAN, INFINITE, 86_401, HUGE, "60", True)],
        *[({"clock_offset": offset}, "a whole number from -92") for offset in (HUGE, -HUGE, 0.5, "1")],
        *[({"seed": seed}, "a whole number from 0 to 18446744073709551615") for seed in (-1, 2**64, HUGE, 1.0)],
        *[({"lock_out_after": count}, "a whole number from 0 to 4294967295") for count in (-1, 2**32, HUGE)],
        *[({"record_limit": limit}, "a whole number from 0 to 4294967295") for limit in (-1, 2**32, HUGE)],
    ],
    ids=repr,
)
def test_setting(settings: dict[str, Any], expected: str) -> None:
    [name] = settings
    assert_rejected(lambda: Portal(**settings), f"^invalid {name} .+; expected {expected}")


def test_setting_of_another_type() -> None:
    assert_rejected(lambda: Portal(negative_totals=5), "^invalid negative_totals 5; expected a boolean$")  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", [-1, 2**32, HUGE, -HUGE, 1.5, True, "1"], ids=repr)
def test_limit_of_a_rate_limit(portal: Portal, limit: Any) -> None:
    assert_rejected(
        lambda: portal.set_rate_limit(limit), "^invalid limit .+; expected a whole number from 0 to 4294967295$"
    )


@pytest.mark.parametrize("window", [0, -1, NAN, INFINITE, HUGE, -HUGE, "60", True], ids=repr)
def test_window_of_a_rate_limit(portal: Portal, window: Any) -> None:
    assert_rejected(
        lambda: portal.set_rate_limit(1, window),
        f"^invalid window .+; expected {WINDOW}$",
    )


def test_method_of_a_rate_limit(portal: Portal) -> None:
    assert_rejected(
        lambda: portal.set_rate_limit(1, 60, method=""), "^invalid method; expected an HTTP method such as GET"
    )


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
    assert_rejected(lambda: portal.fail(**kind), f"^invalid {name} .+; expected a whole number from ")


@pytest.mark.parametrize("seconds", [-1, NAN, INFINITE, 86_401, "1"], ids=repr)
def test_time_span_of_a_fault(portal: Portal, seconds: Any) -> None:
    assert_rejected(
        lambda: portal.fail("delay", seconds=seconds),
        f"^invalid seconds .+; expected {SECONDS}$",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("rate", -0.1), ("rate", 1.1), ("rate", NAN), ("rate", "1"), ("seed", -1), ("seed", HUGE), ("seconds", -1)],
)
def test_number_of_random_faults(portal: Portal, name: str, value: Any) -> None:
    faults: dict[str, Any] = {"rate": 0.1, "seed": 1, name: value}
    assert_rejected(lambda: portal.fail_at_random(**faults), f"^invalid {name} .+; expected a ")


@pytest.mark.parametrize("offset", [HUGE, -HUGE, 0.5, "1"], ids=repr)
def test_offset_of_the_clock(portal: Portal, offset: Any) -> None:
    assert_rejected(lambda: portal.set_clock_offset(offset), "^invalid seconds .+; expected a whole number from -92")


@pytest.mark.parametrize("id", [-1, 2**32, HUGE, "7"], ids=repr)
def test_id_of_a_user(portal: Portal, id: Any) -> None:
    assert_rejected(lambda: portal.add_user("example", id=id), "^invalid id .+; expected a whole number from 0 to")


@pytest.mark.parametrize(
    ("name", "value"), [("admin_id", -1), ("status", HUGE), ("created_on", HUGE), ("last_used_on", -HUGE)]
)
def test_number_of_a_token(portal: Portal, name: str, value: int) -> None:
    token: dict[str, Any] = {name: value}
    assert_rejected(lambda: portal.create_token(**token), f"^invalid {name} .+; expected a whole number from ")


def test_rejected_calls_change_nothing(portal: Portal) -> None:
    assert portal.client().add_token(32).status == lmtokens.TokenStatus.ENABLED
    assert len(portal.tokens) == 3


def test_lowest_and_highest_numbers() -> None:
    with Portal(
        rate_limit=2**32 - 1, window=86_400, seed=2**64 - 1, lock_out_after=0, record_limit=2**32 - 1
    ) as portal:
        portal.set_rate_limit(0, 0.001)
        portal.set_rate_limit(2**32 - 1, 86_400)
        portal.fail("status-before-acting", status=599, code=-1, skip=2**32 - 1, times=None)
        assert portal.client().add_token(32).id


class Index:
    """An integer of a class of its own, as NumPy has them."""

    def __index__(self) -> int:
        return 3


def test_integers_of_other_classes(portal: Portal) -> None:
    portal.set_rate_limit(Index(), Decimal("0.5"))  # type: ignore[arg-type]
    portal.set_rate_limit(200)
    assert_rejected(lambda: portal.set_rate_limit(10**5000), "^invalid limit <int.*>; expected a whole number")
    assert_rejected(lambda: portal.set_rate_limit(b"1"), "^invalid limit b'1'; expected a whole number")  # type: ignore[arg-type]
