"""Arguments that are another class to Python than to the caller: members of enumerations, numbers, and iterables."""

from __future__ import annotations

import io
import os
import signal
from decimal import Decimal
from enum import Enum, IntEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import VARIANTS, api_for
from lmtokens import TokenStatus, TokenType
from lmtokens.deliver import to_command
from lmtokens.sandbox import Portal
from support import ACCESS_ID, ACCESS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Team(IntEnum):
    """An enumeration of a caller."""

    CI = 32


class Word(str, Enum):
    """An enumeration of texts of a caller."""

    CI = "ci"
    BEARER = "bearer"


class Index:
    """An integer of a class of its own, as NumPy has them."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __index__(self) -> int:
        return self._number

    def __repr__(self) -> str:
        return f"Index({self._number})"


class NumpyBool:
    """A truth value that is not a ``bool``, as NumPy has it."""

    def __index__(self) -> int:
        return 1

    def __float__(self) -> float:
        return 1.0

    def __repr__(self) -> str:
        return self.__class__.__name__ + "()"


OLD_BOOL, NEW_BOOL = (type(name, (NumpyBool,), {})() for name in ("bool_", "bool"))


class Array:
    """Several numbers with the methods of one, as NumPy's arrays have them."""

    def __index__(self) -> int:
        raise TypeError("only integer scalar arrays can be converted to a scalar index")

    def __float__(self) -> float:
        return 1.0

    def __repr__(self) -> str:
        return "Array()"


def client(**settings: Any) -> lmtokens.Client:
    return lmtokens.Client("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY, **settings)


def sign(**changed: Any) -> str:
    given = {"method": "GET", "resource_path": "/x", "access_id": ACCESS_ID, "access_key": ACCESS_KEY, **changed}
    return lmtokens.sign(**given)


def add_tokens(**arguments: Any) -> object:
    return client().add_tokens([(32,)], **{"journal": "/no/such/folder/run.journal", **arguments})


INTEGERS: dict[str, Callable[[Any], object]] = {
    "admin_id": lambda value: client().add_token(value),
    "admin_id of a list": lambda value: client().list_tokens(value),
    "admin_id of a row": lmtokens.NewToken,
    "token": lambda value: client().find_token(value),
    "page_size": lambda value: client().list_tokens(page_size=value),
    "concurrency": lambda value: add_tokens(concurrency=value),
    "max_attempts": lambda value: client(max_attempts=value),
    "timestamp_ms": lambda value: sign(timestamp_ms=value),
    "type": lambda value: lmtokens.NewToken(32, type=value),
    "timeout": lambda value: client(timeout=value),
    "timeout in total": lambda value: client(timeout=(1, value)),
    "timeout to connect": lambda value: client(timeout=(value, 1)),
    "timeout of AsyncClient": lambda value: lmtokens.AsyncClient("acme", timeout=value),
    "timeout of LMv1Auth": lambda value: lmtokens.LMv1Auth("acme", timeout=value),
    "deadline": lambda value: client(deadline=value),
    "max_wait": lambda value: client(max_wait=value),
    "timeout of a command": lambda value: to_command(["true"], timeout=value),
}


@pytest.mark.parametrize("call", INTEGERS.values(), ids=INTEGERS)
@pytest.mark.parametrize(
    "value",
    [
        TokenStatus.ENABLED,
        TokenStatus(7),
        HTTPStatus.OK,
        signal.SIGINT,
        Team.CI,
        True,
        False,
        Array(),
        OLD_BOOL,
        NEW_BOOL,
    ],
    ids=repr,
)
def test_other_classes_are_not_numbers(call: Callable[[Any], object], value: Any) -> None:
    with pytest.raises(TypeError, match=rf" must be .*, not {type(value).__name__}\b"):
        call(value)


@pytest.mark.parametrize(
    "value", [TokenType.BEARER, HTTPStatus.OK, Team.CI, True, 2.0, Decimal(2), Array(), OLD_BOOL], ids=repr
)
def test_other_classes_are_not_a_status(value: Any) -> None:
    for call in (
        lambda: lmtokens.NewToken(32, status=value),
        lambda: client().add_token(32, status=value),
        lambda: client().update_token(5, status=value),
    ):
        with pytest.raises(TypeError, match=rf"^status must be 1 \(disabled\), .*, not {type(value).__name__}\b"):
            call()


TEXTS: dict[str, Callable[[Any], object]] = {
    "admin_id": lambda value: client().add_token(value),
    "note": lambda value: client().add_token(32, value),
    "token": lambda value: client().find_token(value),
    "filter": lambda value: client().list_tokens(filter=value),
    "company": lmtokens.Client,
    "access_id": lambda value: lmtokens.Client("acme", access_id=value, access_key=ACCESS_KEY),
    "on_limit": lambda value: client(on_limit=value),
    "on_error": lambda value: add_tokens(on_error=value),
    "method": lambda value: sign(method=value),
    "text": lmtokens.Secret,
}


@pytest.mark.parametrize(("name", "call"), TEXTS.items(), ids=TEXTS)
def test_token_type_is_not_a_text(name: str, call: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match=rf"^{name} must be .*, not TokenType\b"):
        call(TokenType.BEARER)


def test_numbers_and_texts_of_other_classes_are_accepted(lmtokens_portal: Portal) -> None:
    with lmtokens_portal.client(max_attempts=Index(2), timeout=Decimal(5)) as client:
        token = client.add_token(Index(32), Word.CI, Index(1), type=Word.BEARER)  # type: ignore[call-overload]
        assert client.find_token(Index(token.id)) == client.find_token(token.id)  # type: ignore[arg-type]
        assert [one.id for one in client.list_tokens(32, page_size=Index(1))] == [token.id]  # type: ignore[arg-type]
    assert (token.note, token.status, token.type) == ("ci", TokenStatus.DISABLED, TokenType.BEARER)


DIGITS = ["103", "0", "00103", "2147483648", "12345678901234567890"]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("operation", ["find_token", "update_token", "enable_token", "disable_token", "delete_token"])
def test_digits_are_not_an_access_id(lmtokens_portal: Portal, variant: str, operation: str) -> None:
    arguments = {"note": "x"} if operation == "update_token" else {}
    api = api_for(variant, lmtokens_portal)
    for digits in DIGITS:
        with pytest.raises(ValueError, match=r"^invalid token .*; expected .* its id \(an integer"):
            getattr(api, operation)(digits, **arguments)
    assert lmtokens_portal.record == []


class Names:
    """What is iterable, but yields names: a mapping that is not registered, or a row of a database."""

    def keys(self) -> list[str]:
        return ["note"]

    def __getitem__(self, name: object) -> str:
        return "ci"

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())


class DataFrame(Names):
    """As that of pandas."""

    def itertuples(self) -> Iterator[tuple[str]]:
        return iter([("ci",)])


class Series(Names):
    """A column, as of pandas: it has keys, but yields its values."""

    def tolist(self) -> list[str]:
        return ["ci", "cd"]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tolist())


ITERABLE = [
    *("abc", b"abc", bytearray(b"abc"), memoryview(b"abc"), {"admin_id": 32}, os.environ),
    *(Names(), DataFrame(), io.StringIO("ci\n"), io.BytesIO(b"ci\n")),
]
ONE_VALUE = [*ITERABLE, 5, None, object()]


@pytest.mark.parametrize("value", ONE_VALUE, ids=lambda value: type(value).__name__)
def test_value_that_is_not_a_list_is_rejected(value: Any) -> None:
    name = type(value).__name__
    with pytest.raises(TypeError, match=rf"^command must be a list of .*, not {name}\b"):
        to_command(value)
    with pytest.raises(TypeError, match=rf"^values must be an iterable of .*, not {name}\b"):
        lmtokens.where.note.one_of(value)
    with pytest.raises(TypeError, match=rf"^tokens must be an iterable of rows.*, not {name}\b"):
        client().add_tokens(value, journal="/no/such/folder/run.journal")


@pytest.mark.parametrize("value", ITERABLE, ids=lambda value: type(value).__name__)
def test_value_that_is_not_a_list_is_rejected_by_the_sandbox(value: Any) -> None:
    with Portal() as portal:
        calls: dict[str, Callable[[], object]] = {
            "roles": lambda: portal.add_user("x", roles=value),
            "kinds": lambda: portal.fail_at_random(1, seed=1, kinds=value),
            "methods": lambda: portal.fail_at_random(1, seed=1, methods=value),
        }
        for name, call in calls.items():
            with pytest.raises(TypeError, match=rf"^{name} must be an iterable of str.*, not {type(value).__name__}\b"):
                call()


def test_column_of_a_table_is_a_list_of_its_values() -> None:
    where = lmtokens.where.note
    assert repr(where.one_of(Series())) == repr(where.one_of(["ci", "cd"]))
    with Portal() as portal:
        portal.add_user("x", roles=Series())
        to_command(Series())  # type: ignore[arg-type]


def test_command_in_no_order_or_with_other_words_is_rejected() -> None:
    with pytest.raises(TypeError, match=r"^command must be a list .*, not set\b"):
        to_command({"vault", "put"})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^each word of command must be .*, not int\b"):
        to_command(["sleep", 5])  # type: ignore[list-item]


def test_error_of_an_iterator_is_raised() -> None:
    def broken() -> Any:
        yield "a"
        raise ZeroDivisionError

    calls: list[Callable[[Any], object]] = [to_command, lmtokens.where.note.one_of]
    for call in calls:
        with pytest.raises(ZeroDivisionError):
            call(broken())


SANDBOX_NUMBERS: dict[str, Callable[[Portal, Any], object]] = {
    "port": lambda _, value: Portal(port=value),
    "window": lambda _, value: Portal(window=value),
    "clock_offset": lambda _, value: Portal(clock_offset=value),
    "limit": lambda portal, value: portal.set_rate_limit(value),
    "seconds": lambda portal, value: portal.set_clock_offset(value),
    "times": lambda portal, value: portal.fail("empty", times=value),
    "rate": lambda portal, value: portal.fail_at_random(value, seed=1),
    "id": lambda portal, value: portal.add_user("x", id=value),
    "admin_id": lambda portal, value: portal.create_token(value),
    "created_on": lambda portal, value: portal.create_token(created_on=value),
}


@pytest.mark.parametrize(("name", "call"), SANDBOX_NUMBERS.items(), ids=SANDBOX_NUMBERS)
@pytest.mark.parametrize(
    "value", [TokenStatus.ENABLED, HTTPStatus.OK, Team.CI, True, Array(), OLD_BOOL, NEW_BOOL], ids=repr
)
def test_other_classes_are_not_numbers_of_the_sandbox(
    name: str, call: Callable[[Portal, Any], object], value: Any
) -> None:
    with Portal() as portal, pytest.raises(ValueError, match=rf"^invalid {name} "):
        call(portal, value)


def test_sandbox_accepts_the_enumerations_of_its_arguments() -> None:
    with Portal() as portal:
        token = portal.create_token(status=TokenStatus.DISABLED, type=TokenType.BEARER)
        assert (token.status, token.type) == (1, "bearer")
        with pytest.raises(ValueError, match="invalid status"):
            portal.create_token(status=HTTPStatus.OK)
