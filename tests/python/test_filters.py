"""The filter builder: a list returns what the same comparison in Python selects, with any text."""

from __future__ import annotations

import operator
from datetime import datetime, timezone
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import lmtokens
import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st
from lmtokens import where
from lmtokens.sandbox import Portal
from support import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmtokens import Field, Filter

# Characters with a meaning in filters or URLs, escapes, and letters of several alphabets.
SPECIAL_CHARACTERS = "\"\\*,|:~!<>()[]{}$&#%+;=?/'` \t\nabAB12üß日🙂\u0301\u200b\x00"
SAMPLE_TEXTS = ["", "ci", "CI", "a||b", 'say "hi"', "*", "a*b", "\\", "\\*", "%22", "a+b", "status:1", " ci ", "ümlaut"]
EPOCHS = [0, 1_600_000_000, 1_700_000_000, 1_700_000_001]


class FilterCase(NamedTuple):
    """A filter and the equivalent predicate."""

    built: Filter
    matches: Callable[[lmtokens.Token], bool]


def seconds(moment: datetime | None) -> int:
    return 0 if moment is None else int(moment.timestamp())


GETTERS: dict[str, Callable[[lmtokens.Token], Any]] = {
    "note": lambda token: token.note or "",
    "access_id": lambda token: token.access_id or "",
    "admin_name": lambda token: token.admin_name or "",
    "created_by": lambda token: token.created_by or "",
    "last_auth_ip": lambda token: token.last_auth_ip or "",
    "id": lambda token: token.id,
    "admin_id": lambda token: token.admin_id,
    "status": lambda token: int(token.status or 0),
    "created_on": lambda token: seconds(token.created_on),
    "last_used_on": lambda token: seconds(token.last_used_on),
}
TEXT_FIELDS = ["note", "access_id", "admin_name", "created_by", "last_auth_ip"]
NUMBER_FIELDS = ["id", "admin_id", "status"]
TIME_FIELDS = ["created_on", "last_used_on"]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]

texts = (
    st.sampled_from(SAMPLE_TEXTS)
    | st.text(SPECIAL_CHARACTERS, max_size=6)
    | st.sampled_from(["admin", "api-user", "pi-us"])
)
numbers = st.sampled_from([-1, 0, 1, 2, 3, 32, 33, 105, 120, *EPOCHS, 2**40])
times = st.sampled_from([0, 1_000_000_000, *EPOCHS, EPOCHS[2] + 0.5, 253_402_300_799])


def compare_with(name: str, compare: Callable[[Any, Any], Any], value: Any, plain: Any) -> FilterCase:
    member = GETTERS[name]
    return FilterCase(compare(getattr(where, name), value), lambda token: bool(compare(member(token), plain)))


def compare_same(name: str, compare: Callable[[Any, Any], Any], value: Any) -> FilterCase:
    return compare_with(name, compare, value, value)


def contains(name: str, text: str, is_expected: bool) -> FilterCase:
    field: Field = getattr(where, name)
    member = GETTERS[name]
    built = field.contains(text) if is_expected else field.not_contains(text)
    return FilterCase(built, lambda token: (text in member(token)) is is_expected)


def one_of(name: str, values: list[Any]) -> FilterCase:
    member = GETTERS[name]
    return FilterCase(getattr(where, name).one_of(values), lambda token: member(token) in values)


def compare_time(name: str, compare: Callable[[Any, Any], Any], epoch: int) -> FilterCase:
    return compare_with(name, compare, datetime.fromtimestamp(epoch, timezone.utc), epoch)


single_conditions = st.one_of(
    st.builds(compare_same, st.sampled_from(TEXT_FIELDS), st.sampled_from(COMPARISONS[:2]), texts),
    st.builds(compare_same, st.sampled_from(NUMBER_FIELDS), st.sampled_from(COMPARISONS), numbers),
    st.builds(compare_same, st.sampled_from(TIME_FIELDS), st.sampled_from(COMPARISONS), times),
    st.builds(contains, st.sampled_from(TEXT_FIELDS), texts, st.booleans()),
    st.builds(
        compare_time,
        st.sampled_from(TIME_FIELDS),
        st.sampled_from(COMPARISONS),
        st.sampled_from(EPOCHS),
    ),
    st.builds(one_of, st.just("note"), st.lists(texts, min_size=1, max_size=4)),
    st.builds(one_of, st.sampled_from(["id", "status"]), st.lists(numbers, min_size=1, max_size=4)),
)


def combine(first: FilterCase, second: FilterCase, both: bool) -> FilterCase:
    if both:
        try:
            built = first.built & second.built
        except ValueError:
            # Too many alternatives, which TestInvalidFilter tests.
            reject()
        return FilterCase(built, lambda token: first.matches(token) and second.matches(token))
    return FilterCase(first.built | second.built, lambda token: first.matches(token) or second.matches(token))


filter_cases = st.recursive(
    single_conditions, lambda inner: st.builds(combine, inner, inner, st.booleans()), max_leaves=5
)


@pytest.fixture(scope="module")
def client() -> Iterator[lmtokens.Client]:
    with Portal(rate_limit=UNLIMITED, seed=7) as portal, portal.client() as client:
        notes = [
            *SAMPLE_TEXTS,
            *SPECIAL_CHARACTERS,
            *(a + b for a, b in zip(SPECIAL_CHARACTERS, reversed(SPECIAL_CHARACTERS))),
        ]
        for number, note in enumerate(notes):
            portal.create_token(
                (32, 33, 1)[number % 3],
                note=note,
                status=1 + number % 2,
                type=("lmv1", "bearer")[number % 5 == 0],
                created_on=EPOCHS[1 + number % 3],
                last_used_on=EPOCHS[number % 4],
            )
        yield client


@pytest.fixture(scope="module")
def all_tokens(client: lmtokens.Client) -> list[lmtokens.Token]:
    return list(client.list_tokens())


@settings(max_examples=400)
@given(case=filter_cases)
@example(case=contains("note", "", True))
@example(case=contains("note", "", False))
@example(case=compare_with("note", operator.eq, "", ""))
@example(case=compare_with("note", operator.ne, "*", "*"))
@example(case=compare_with("last_used_on", operator.le, 0, 0))
def test_list_matches_the_same_comparison_in_python(
    client: lmtokens.Client, all_tokens: list[lmtokens.Token], case: FilterCase
) -> None:
    expected = {token.id for token in all_tokens if case.matches(token)}
    # The lastUsedOn of the token that makes the calls changes.
    changing = {token.id for token in all_tokens if token.admin_id == 1 and token.note == "built-in"}
    listed = [token.id for token in client.list_tokens(filter=case.built, page_size=50)]
    assert len(set(listed)) == len(listed)
    assert set(listed) - changing == expected - changing, case.built


@settings(max_examples=200)
@given(note=st.text(SPECIAL_CHARACTERS, min_size=1, max_size=8))
def test_token_is_found_by_its_note(client: lmtokens.Client, note: str) -> None:
    token = client.add_token(33, note)
    try:
        assert [found.id for found in client.list_tokens(33, filter=(where.note == note) & (where.id == token.id))] == [
            token.id
        ]
        assert token.id in {found.id for found in client.list_tokens(33, filter=where.note.contains(note))}
        assert token.id not in {found.id for found in client.list_tokens(33, filter=where.note != note)}
    finally:
        client.delete_token(token)


class TestInvalidFilter:
    @pytest.mark.parametrize(
        "build",
        [
            lambda: where.status == "on",
            lambda: where.note == 7,
            lambda: where.note < "b",  # type: ignore[operator]
            lambda: where.id.contains("1"),
            lambda: where.created_on > datetime(2025, 1, 1),
            lambda: where.note.one_of([]),
            lambda: where.id.one_of(["1"]),
        ],
    )
    def test_raises_value_error(self, build: Callable[[], Any]) -> None:
        with pytest.raises(ValueError, match=r"\w"):
            build()

    @pytest.mark.parametrize(
        "build",
        [
            lambda: where.note == None,  # noqa: E711
            lambda: where.id == 1.5,
            lambda: where.note == b"ci",
            lambda: where.note.contains(None),  # type: ignore[arg-type]
            lambda: where.id.one_of(7),  # type: ignore[arg-type]
            lambda: where.note.one_of("abc"),
            lambda: where.id.one_of(b"abc"),
            lambda: where.id.one_of(bytearray(b"abc")),
            lambda: where.id.one_of(memoryview(b"abc")),
            lambda: where.id.one_of({1: "a"}),
            lambda: where.note.one_of(value for value in ("a", 1.5)),
            lambda: where.status == True,  # noqa: E712
            lambda: where.status == lmtokens.TokenType.LMV1,
            lambda: where.note == lmtokens.TokenType.LMV1,
            lambda: where.note == lmtokens.TokenStatus.ENABLED,
            lambda: where.id == lmtokens.TokenStatus.ENABLED,
            lambda: where.admin_id.one_of([lmtokens.TokenStatus.ENABLED]),
            lambda: where.id > datetime(2025, 1, 1, tzinfo=timezone.utc),
            lambda: where.status == HTTPStatus.OK,
            lambda: (where.id == 1) & True,  # type: ignore[operator]
            lambda: (where.id == 1) | "id:2",  # type: ignore[operator]
            lambda: (where.id == 1) and (where.id == 2),
            lambda: bool(where.id == 1),
            lambda: not (where.id == 1),  # noqa: SIM201
            lambda: where.id in [1, 2],
            lambda: "ci" in where.note,  # type: ignore[operator]
            lambda: where.status and (where.id == 1),
            lambda: not where.status,
            lambda: 1 < where.id < 3,
        ],
    )
    def test_raises_type_error(self, build: Callable[[], Any]) -> None:
        with pytest.raises(TypeError):
            build()

    def test_of_too_many_alternatives_is_rejected(self) -> None:
        two = (where.id == 1) | (where.id == 2)
        many = two
        for _ in range(5):
            many = many & two
        with pytest.raises(ValueError, match="64 alternatives"):
            _ = many & two

    def test_of_an_unknown_field_is_rejected(self) -> None:
        with pytest.raises(AttributeError):
            where.access_key  # type: ignore[attr-defined]  # noqa: B018


def test_repr_shows_the_filter_that_is_sent(lmtokens_portal: Portal) -> None:
    built = (where.status == 1) & where.note.contains("ci")
    assert repr(built) == '<lmtokens.Filter status:1,note~"ci">'
    list(lmtokens_portal.client().list_tokens(filter=built))
    assert "status%3A1" in lmtokens_portal.record[0].query.replace("status:1", "status%3A1")


def test_status_can_be_compared_with_token_status() -> None:
    for status in lmtokens.TokenStatus.DISABLED, lmtokens.TokenStatus.ENABLED:
        assert repr(where.status == status) == repr(where.status == int(status))


def test_values_of_one_of_may_come_from_any_other_iterable() -> None:
    expected = repr(where.id.one_of([1, 2]))
    for values in (1, 2), iter([1, 2]), (id for id in (1, 2)), range(1, 3), {1: "a", 2: "b"}.keys():
        assert repr(where.id.one_of(values)) == expected


def test_filter_can_be_reused(client: lmtokens.Client) -> None:
    built = where.status == 1
    wider = built | (where.status == 2)
    listed = [{token.id for token in client.list_tokens(filter=each)} for each in (built, wider, built)]
    assert listed[0] == listed[2] < listed[1]
