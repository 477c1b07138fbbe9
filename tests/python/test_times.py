"""Times in filters, signatures and the sandbox: the unit is checked, and a datetime must be aware."""

from __future__ import annotations

import time
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from lmtokens import where
from lmtokens.deliver import to_command
from lmtokens.sandbox import Portal
from support import ACCESS_ID, ACCESS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UTC = timezone.utc
DAY = 86_400
NOW = 1_700_000_000
END_OF_9999 = 253_402_300_799
FIELDS = ["created_on", "last_used_on"]
NAN = float("nan")
INFINITE = float("inf")


class WithoutOffset(tzinfo):
    """A time zone that does not know its offset: its datetimes are naive."""

    def __repr__(self) -> str:
        return "WithoutOffset()"

    def utcoffset(self, moment: datetime | None) -> None:
        return None

    def tzname(self, moment: datetime | None) -> None:
        return None

    def dst(self, moment: datetime | None) -> None:
        return None


class SummerTime(tzinfo):
    """A time zone whose clock shows 02:00 to 03:00 of one night twice, an hour apart."""

    def __repr__(self) -> str:
        return "SummerTime()"

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=1 if moment is not None and moment.fold else 2)

    def tzname(self, moment: datetime | None) -> str:
        return "CET"

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta(0)


class Timestamp(datetime):
    """A subclass that treats a time without a time zone as UTC, as pandas does."""

    def timestamp(self) -> float:
        return self.replace(tzinfo=UTC).timestamp() if self.tzinfo is None else super().timestamp()


class Moment:
    """Another class of times, which a datetime can be subtracted from, as Arrow has it."""

    tzinfo = UTC

    def utcoffset(self) -> timedelta:
        return timedelta(0)

    def timestamp(self) -> float:
        return float(NOW)

    def __sub__(self, other: datetime) -> timedelta:
        return datetime.fromtimestamp(NOW, UTC) - other

    def __repr__(self) -> str:
        return "Moment()"


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "value",
    [
        NOW * 1000,
        NOW * 1000.0 - 90 * DAY,
        NOW * 1_000_000,
        NOW * 1_000_000_000,
        NOW - 90 * DAY * 1000,
        END_OF_9999 + 1,
        2**70,
        10**400,
        -1,
        -0.5,
        0.5,
        90,
        NOW // 60,
        NOW / 60 - 1440,
        NOW / 3600,
        999_999_999,
        NAN,
        INFINITE,
        -INFINITE,
        Decimal("NaN"),
    ],
    ids=repr,
)
def test_number_that_is_not_a_time_in_seconds_is_rejected(field: str, value: Any) -> None:
    builds: list[Callable[[], object]] = [
        lambda: getattr(where, field) < value,
        lambda: getattr(where, field) != value,
        lambda: getattr(where, field).one_of([NOW, value]),
    ]
    for build in builds:
        with pytest.raises(ValueError, match=r"seconds \(not milliseconds\)"):
            build()


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(
    "value",
    [True, lmtokens.TokenStatus.ENABLED, date(2025, 1, 1), timedelta(days=1), time.gmtime(NOW), None, 1j, b"1", [NOW]],
    ids=repr,
)
def test_value_that_is_not_a_time_is_rejected(field: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"an aware datetime, or seconds.*, not {type(value).__name__}"):
        _ = getattr(where, field) < value


@pytest.mark.parametrize("value", ["2025-01-01", "2025-01-01T00:00:00Z", "1700000000", "yesterday"])
def test_text_is_not_a_time(value: str) -> None:
    with pytest.raises(ValueError, match=r"an aware datetime, or seconds.*, not a string"):
        _ = where.last_used_on < value  # type: ignore[operator]


@pytest.mark.parametrize(
    "value",
    [datetime(2025, 1, 1), datetime(2025, 1, 1, tzinfo=WithoutOffset()), Timestamp(2025, 1, 1), datetime.min],
    ids=repr,
)
def test_naive_datetime_is_rejected(value: datetime) -> None:
    with pytest.raises(
        ValueError, match=r"naive datetime; expected an aware one, such as datetime\.now\(timezone\.utc\)"
    ):
        _ = where.created_on < value


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (NOW, NOW),
        (NOW + 0.25, NOW + 1),
        (float(NOW), NOW),
        (Decimal("1700000000.5"), NOW + 1),
        (Fraction(2 * NOW + 1, 2), NOW + 1),
        (0, 0),
        (0.0, 0),
        (1_000_000_000, 1_000_000_000),
        (END_OF_9999, END_OF_9999),
        (datetime.fromtimestamp(NOW, UTC), NOW),
        (datetime.fromtimestamp(NOW, timezone(timedelta(hours=-9, minutes=-30))), NOW),
        (datetime.fromtimestamp(NOW, UTC) + timedelta(microseconds=1), NOW + 1),
        (datetime(2023, 11, 15, tzinfo=timezone(timedelta(seconds=6400))), NOW),
        (datetime(2023, 10, 29, 2, 30, tzinfo=SummerTime()), 1_698_539_400),
        (datetime(2023, 10, 29, 2, 30, fold=1, tzinfo=SummerTime()), 1_698_539_400 + 3600),
        (datetime(9999, 12, 31, 23, 59, 58, 999_999, tzinfo=UTC), END_OF_9999),
        (datetime.max.replace(microsecond=0, tzinfo=timezone(timedelta(hours=-14))), END_OF_9999 + 14 * 3600),
        (Timestamp.fromtimestamp(NOW, UTC), NOW),
        (Moment(), NOW),
    ],
    ids=repr,
)
def test_time_is_sent_in_whole_seconds(value: Any, seconds: int) -> None:
    assert repr(where.created_on < value) == f"<lmtokens.Filter createdOn<{seconds}>"


@pytest.fixture(scope="module")
def client() -> Iterator[lmtokens.Client]:
    with Portal() as portal, portal.client() as client:
        portal.create_token(32, note="old", created_on=NOW, last_used_on=NOW)
        portal.create_token(32, note="new")
        yield client


@pytest.mark.parametrize(
    ("filter", "notes"),
    [
        (where.created_on < time.time() - 90 * DAY, ["old"]),
        (where.created_on < datetime.now(UTC) - timedelta(days=90), ["old"]),
        (where.last_used_on > NOW - 0.5, ["old"]),
        (where.created_on == datetime.fromtimestamp(NOW, timezone(timedelta(hours=5, minutes=45))), ["old"]),
        (where.created_on > datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), ["old", "new"]),
        (where.created_on < datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))), ["old", "new"]),
    ],
    ids=["number", "datetime", "fraction", "offset", "first", "last"],
)
def test_tokens_are_selected_by_time(client: lmtokens.Client, filter: lmtokens.Filter, notes: list[str]) -> None:
    assert [token.note for token in client.list_tokens(32, filter=filter)] == notes


@pytest.mark.parametrize("milliseconds", [1, 90 * DAY, NOW // 60, NOW // 60 * 1000, 999_999_999_999])
def test_signature_at_a_time_in_another_unit_is_rejected(milliseconds: int) -> None:
    with pytest.raises(ValueError, match=r"expected milliseconds since 1970-01-01 UTC: 0, or from 1000000000000"):
        lmtokens.sign("GET", "/x", access_id=ACCESS_ID, access_key=ACCESS_KEY, timestamp_ms=milliseconds)


@pytest.mark.parametrize("seconds", [1_000_000_000, NOW, 2_000_000_000, 99_999_999_999])
def test_signature_at_a_time_in_seconds_is_rejected(seconds: int) -> None:
    with pytest.raises(ValueError, match=r"is a number of seconds; expected milliseconds.*multiply it by 1000"):
        lmtokens.sign("GET", "/x", access_id=ACCESS_ID, access_key=ACCESS_KEY, timestamp_ms=seconds)


@pytest.mark.parametrize("member", ["created_on", "last_used_on"])
@pytest.mark.parametrize(
    "value", [NOW * 1000, -1, END_OF_9999 + 1, NOW + 0.5, datetime.fromtimestamp(NOW, UTC), True], ids=repr
)
def test_sandbox_rejects_a_time_that_is_not_in_seconds(member: str, value: Any) -> None:
    token: dict[str, Any] = {member: value}
    with Portal() as portal:
        with pytest.raises(ValueError, match=rf"invalid {member}.*seconds \(not milliseconds\)"):
            portal.create_token(**token)
        assert len(portal.tokens) == 2


DURATIONS: list[tuple[str, Callable[[Any], object]]] = [
    *[
        (
            name,
            lambda value, name=name: lmtokens.Client(
                "acme", access_id=ACCESS_ID, access_key=ACCESS_KEY, **{name: value}
            ),
        )
        for name in ("timeout", "deadline", "max_wait")
    ],
    ("timeout", lambda value: lmtokens.LMv1Auth("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY, timeout=value)),
    (
        "timeout",
        lambda value: lmtokens.configure("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY, timeout=(1, value)),
    ),
    ("timeout", lambda value: to_command(["true"], timeout=value)),
]
CALLS = [pytest.param(name, call, id=f"{number}-{name}") for number, (name, call) in enumerate(DURATIONS)]


@pytest.mark.parametrize(("name", "call"), CALLS)
@pytest.mark.parametrize("value", [NAN, INFINITE, -INFINITE, -1, -0.001, 10**400, Decimal("Infinity")], ids=repr)
def test_number_that_is_not_a_duration_is_rejected(name: str, call: Callable[[Any], object], value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}.*; expected a number of seconds") as caught:
        call(value)
    assert type(caught.value) is ValueError


@pytest.mark.parametrize(("name", "call"), CALLS)
@pytest.mark.parametrize(
    "value",
    [True, lmtokens.TokenStatus.ENABLED, timedelta(seconds=5), datetime.fromtimestamp(NOW, UTC), "5", "5s", b"5", 5j],
    ids=repr,
)
def test_value_that_is_not_a_number_of_seconds_is_rejected(
    name: str, call: Callable[[Any], object], value: Any
) -> None:
    with pytest.raises(TypeError, match=f"{name} must be a number of seconds, not {type(value).__name__}"):
        call(value)


@pytest.mark.parametrize(("name", "call"), CALLS)
@pytest.mark.parametrize("value", [5, 2.5, Decimal("2.5"), Fraction(5, 2)], ids=repr)
def test_number_of_any_class_is_a_duration(name: str, call: Callable[[Any], object], value: Any) -> None:
    assert call(value) is not None
