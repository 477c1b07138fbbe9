"""Arguments of a wrong type or that cannot be encoded: the message names the argument and does not repeat the value."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from support import ACCESS_ID, ACCESS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmtokens.sandbox import Portal

MARKER = "marker"
NOT_ENCODABLE = f"\ud800{MARKER}"

SETTINGS = [
    "company",
    "access_id",
    "access_key",
    "bearer_token",
    "domain",
    "base_url",
    "timeout",
    "ca_bundle",
    "client_cert",
    "proxy",
]
CONSTRUCTORS: list[Callable[..., object]] = [
    lmtokens.Client,
    lmtokens.AsyncClient,
    lmtokens.LMv1Auth,
    lmtokens.configure,
]


def client() -> lmtokens.Client:
    return lmtokens.Client("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY)


def sign(**changed: Any) -> str:
    given = {"method": "GET", "resource_path": "/x", "access_id": ACCESS_ID, "access_key": ACCESS_KEY, **changed}
    return lmtokens.sign(**given)


# Name of the argument, a call with a value for it, and whether the argument accepts a str.
CALLS: list[tuple[str, Callable[[Any], object], bool]] = [
    ("method", lambda value: sign(method=value), True),
    ("resource_path", lambda value: sign(resource_path=value), True),
    ("body", lambda value: sign(body=value), False),
    ("access_id", lambda value: sign(access_id=value), True),
    ("access_key", lambda value: sign(access_key=value), True),
    ("timestamp_ms", lambda value: sign(timestamp_ms=value), False),
    ("text", lmtokens.Secret, True),
    ("word", lmtokens.TokenType, True),
    ("number", lmtokens.TokenStatus, False),
    ("admin_id", lambda value: client().add_token(value), True),
    ("note", lambda value: client().add_token(32, value), True),
    ("status", lambda value: client().add_token(32, status=value), True),
    ("type", lambda value: client().add_token(32, type=value), True),
    ("token", lambda value: client().find_token(value), True),
    ("token", lambda value: client().update_token(value), True),
    ("note", lambda value: client().update_token(248, value), True),
    ("status", lambda value: client().update_token(248, status=value), True),
    ("force", lambda value: client().update_token(248, force=value), False),
    ("force", lambda value: client().disable_token(248, force=value), False),
    ("force", lambda value: client().delete_token(248, force=value), False),
    ("admin_id", lambda value: client().list_tokens(value), True),
    ("type", lambda value: client().list_tokens(type=value), True),
    ("filter", lambda value: client().list_tokens(filter=value), True),
    ("page_size", lambda value: client().list_tokens(page_size=value), False),
]
IDS = [f"{number}-{name}" for number, (name, _, _) in enumerate(CALLS)]


@pytest.mark.parametrize("constructor", CONSTRUCTORS)
@pytest.mark.parametrize("name", SETTINGS)
def test_type_error_names_the_setting(constructor: Callable[..., object], name: str) -> None:
    with pytest.raises(TypeError) as caught:
        constructor(**{"company": "acme", "access_id": ACCESS_ID, "access_key": ACCESS_KEY, name: {}})
    assert name in str(caught.value)


@pytest.mark.parametrize(("name", "call", "_takes_text"), CALLS, ids=IDS)
@pytest.mark.parametrize("value", [{}, 2.5], ids=repr)
def test_type_error_names_the_argument(
    name: str, call: Callable[[Any], object], _takes_text: bool, value: object
) -> None:
    with pytest.raises(TypeError) as caught:
        call(value)
    assert name in str(caught.value)
    assert type(value).__name__ in str(caught.value)


def assert_names_argument_without_value(error: BaseException, name: str) -> None:
    assert name in str(error)
    assert not isinstance(error, UnicodeError)
    assert (error.__cause__, error.__context__) == (None, None)
    shown = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    assert MARKER not in shown.replace("MARKER", "")
    assert MARKER not in repr((error.args, vars(error)))


@pytest.mark.parametrize("constructor", CONSTRUCTORS)
@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "timeout"])
def test_setting_that_cannot_be_encoded_is_rejected_by_name(constructor: Callable[..., object], name: str) -> None:
    with pytest.raises(ValueError, match="cannot be encoded") as caught:
        constructor(**{name: NOT_ENCODABLE})
    assert_names_argument_without_value(caught.value, name)


@pytest.mark.parametrize(
    ("name", "call"), [(name, call) for name, call, takes_text in CALLS if takes_text], ids=lambda value: str(value)[:9]
)
def test_text_that_cannot_be_encoded_is_rejected_by_name(name: str, call: Callable[[Any], object]) -> None:
    with pytest.raises(ValueError, match="cannot be encoded") as caught:
        call(NOT_ENCODABLE)
    assert_names_argument_without_value(caught.value, name)


def test_filter_value_that_cannot_be_encoded_is_rejected_by_name() -> None:
    with pytest.raises(ValueError, match="cannot be encoded") as caught:
        lmtokens.where.note.contains(NOT_ENCODABLE)
    assert_names_argument_without_value(caught.value, "note")


def test_filter_value_out_of_range_is_rejected_by_name() -> None:
    with pytest.raises(ValueError, match="id is out of range"):
        _ = lmtokens.where.id == 2**70


@pytest.mark.parametrize(
    "call",
    [lmtokens.add_token, lmtokens.find_token, lmtokens.list_tokens, lmtokens.delete_token],
    ids=lambda call: call.__name__,
)
def test_status_is_not_accepted_as_an_id(lmtokens_portal: Portal, call: Callable[[Any], object]) -> None:
    # TokenStatus has __index__, as integers do, but is not an id.
    with pytest.raises(TypeError, match="TokenStatus"):
        call(lmtokens.TokenStatus.ENABLED)
    assert lmtokens_portal.record == []


def test_object_with_index_is_accepted_as_an_id(lmtokens_portal: Portal) -> None:
    class Index:
        def __index__(self) -> int:
            return 32

    assert lmtokens.add_token(Index()).admin_id == 32  # type: ignore[arg-type]
    assert lmtokens.TokenStatus(lmtokens.TokenStatus.ENABLED) == lmtokens.TokenStatus.ENABLED  # type: ignore[arg-type]
