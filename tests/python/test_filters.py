"""The filter builder: what a list gives is what the same comparison gives in Python, whatever the text."""

from __future__ import annotations

import operator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import lmtokens
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lmtokens import where
from lmtokens.sandbox import Portal
from support import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmtokens import Field, Filter

# What the portal's grammar knows, what URLs know, what escapes, and some of everybody's letters.
HOSTILE = "\"\\*,|:~!<>()[]{}$&#%+;=?/'` \t\nabAB12üß日🙂\u0301\u200b\x00"
WORDS = ["", "ci", "CI", "a||b", 'say "hi"', "*", "a*b", "\\", "\\*", "%22", "a+b", "status:1", " ci ", "ümlaut"]
EPOCHS = [0, 1_600_000_000, 1_700_000_000, 1_700_000_001]


class Case(NamedTuple):
    """A filter, and the same thing said in Python."""

    built: Filter
    holds: Callable[[lmtokens.Token], bool]


def seconds(moment: datetime | None) -> int:
    return 0 if moment is None else int(moment.timestamp())


MEMBERS: dict[str, Callable[[lmtokens.Token], Any]] = {
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
TEXTS = ["note", "access_id", "admin_name", "created_by", "last_auth_ip"]
NUMBERS = ["id", "admin_id", "status", "created_on", "last_used_on"]
ORDERED = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]

texts = st.sampled_from(WORDS) | st.text(HOSTILE, max_size=6) | st.sampled_from(["admin", "api-user", "pi-us"])
numbers = st.sampled_from([-1, 0, 1, 2, 3, 32, 33, 105, 120, *EPOCHS, 2**40])


def compared(name: str, compare: Callable[[Any, Any], Any], value: Any, plain: Any) -> Case:
    member = MEMBERS[name]
    return Case(compare(getattr(where, name), value), lambda token: bool(compare(member(token), plain)))


def same(name: str, compare: Callable[[Any, Any], Any], value: Any) -> Case:
    return compared(name, compare, value, value)


def searched(name: str, text: str, wanted: bool) -> Case:
    field: Field = getattr(where, name)
    member = MEMBERS[name]
    built = field.contains(text) if wanted else field.not_contains(text)
    return Case(built, lambda token: (text in member(token)) is wanted)


def one_of(name: str, values: list[Any]) -> Case:
    member = MEMBERS[name]
    return Case(getattr(where, name).one_of(values), lambda token: member(token) in values)


def at(name: str, compare: Callable[[Any, Any], Any], epoch: int) -> Case:
    return compared(name, compare, datetime.fromtimestamp(epoch, timezone.utc), epoch)


conditions = st.one_of(
    st.builds(same, st.sampled_from(TEXTS), st.sampled_from(ORDERED[:2]), texts),
    st.builds(same, st.sampled_from(NUMBERS), st.sampled_from(ORDERED), numbers),
    st.builds(searched, st.sampled_from(TEXTS), texts, st.booleans()),
    st.builds(at, st.sampled_from(["created_on", "last_used_on"]), st.sampled_from(ORDERED), st.sampled_from(EPOCHS)),
    st.builds(one_of, st.just("note"), st.lists(texts, min_size=1, max_size=4)),
    st.builds(one_of, st.sampled_from(["id", "status"]), st.lists(numbers, min_size=1, max_size=4)),
)


def joined(one: Case, two: Case, both: bool) -> Case:
    if both:
        return Case(one.built & two.built, lambda token: one.holds(token) and two.holds(token))
    return Case(one.built | two.built, lambda token: one.holds(token) or two.holds(token))


cases = st.recursive(conditions, lambda inner: st.builds(joined, inner, inner, st.booleans()), max_leaves=5)


@pytest.fixture(scope="module")
def client() -> Iterator[lmtokens.Client]:
    with Portal(rate_limit=UNLIMITED, seed=7) as portal, portal.client() as client:
        notes = [*WORDS, *HOSTILE, *(a + b for a, b in zip(HOSTILE, reversed(HOSTILE)))]
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
def everything(client: lmtokens.Client) -> list[lmtokens.Token]:
    return list(client.list_tokens())


@settings(max_examples=400)
@given(case=cases)
@example(case=searched("note", "", True))
@example(case=searched("note", "", False))
@example(case=compared("note", operator.eq, "", ""))
@example(case=compared("note", operator.ne, "*", "*"))
@example(case=compared("last_used_on", operator.lt, 1, 1))
def test_list_is_what_python_would_choose(
    client: lmtokens.Client, everything: list[lmtokens.Token], case: Case
) -> None:
    wanted = {token.id for token in everything if case.holds(token)}
    # The token that calls is used, and lastUsedOn moves on.
    moving = {token.id for token in everything if token.admin_id == 1 and token.note == "built-in"}
    listed = [token.id for token in client.list_tokens(filter=case.built, page_size=50)]
    assert len(set(listed)) == len(listed)
    assert set(listed) - moving == wanted - moving, case.built


@settings(max_examples=200)
@given(note=st.text(HOSTILE, min_size=1, max_size=8))
def test_token_is_found_by_the_note_that_it_was_given(client: lmtokens.Client, note: str) -> None:
    token = client.add_token(33, note)
    try:
        assert [one.id for one in client.list_tokens(33, filter=(where.note == note) & (where.id == token.id))] == [
            token.id
        ]
        assert token.id in {one.id for one in client.list_tokens(33, filter=where.note.contains(note))}
        assert token.id not in {one.id for one in client.list_tokens(33, filter=where.note != note)}
    finally:
        client.delete_token(token)


class TestWhatMakesNoSense:
    @pytest.mark.parametrize(
        "build",
        [
            lambda: where.status == "enabled",
            lambda: where.note == 7,
            lambda: where.note < "b",
            lambda: where.id.contains("1"),
            lambda: where.created_on > datetime(2025, 1, 1),
            lambda: where.note.one_of([]),
            lambda: where.id.one_of(["1"]),
        ],
    )
    def test_is_a_value_error(self, build: Callable[[], Any]) -> None:
        with pytest.raises(ValueError, match=r"\w"):
            build()

    @pytest.mark.parametrize(
        "build",
        [
            lambda: where.note == None,  # noqa: E711
            lambda: where.id == 1.5,
            lambda: where.note == b"ci",
            lambda: where.note.contains(None),  # type: ignore[arg-type]
            lambda: where.id.one_of(7),
            lambda: (where.id == 1) & True,
            lambda: (where.id == 1) | "id:2",
            lambda: (where.id == 1) and (where.id == 2),
            lambda: bool(where.id == 1),
            lambda: 1 < where.id < 3,
        ],
    )
    def test_is_a_type_error(self, build: Callable[[], Any]) -> None:
        with pytest.raises(TypeError):
            build()

    def test_is_too_many_alternatives(self) -> None:
        two = (where.id == 1) | (where.id == 2)
        many = two
        for _ in range(5):
            many = many & two
        with pytest.raises(ValueError, match="64 alternatives"):
            _ = many & two

    def test_is_an_unknown_member(self) -> None:
        with pytest.raises(AttributeError):
            where.access_key  # type: ignore[attr-defined]  # noqa: B018


def test_filter_shows_what_the_portal_is_asked(lmtokens_portal: Portal) -> None:
    built = (where.status == 1) & where.note.contains("ci")
    assert repr(built) == '<lmtokens.Filter status:1,note~"ci">'
    list(lmtokens_portal.client().list_tokens(filter=built))
    assert "status%3A1" in lmtokens_portal.record[0].query.replace("status:1", "status%3A1")


def test_status_can_be_compared_with_its_own_values() -> None:
    for status in lmtokens.TokenStatus.DISABLED, lmtokens.TokenStatus.ENABLED:
        assert repr(where.status == status) == repr(where.status == int(status))


def test_filters_are_values_that_can_be_used_twice(client: lmtokens.Client) -> None:
    built = where.status == 1
    wider = built | (where.status == 2)
    listed = [{token.id for token in client.list_tokens(filter=one)} for one in (built, wider, built)]
    assert listed[0] == listed[2] < listed[1]
