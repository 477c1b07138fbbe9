"""Arguments of a wrong type or that cannot be encoded: the message names the argument and does not repeat the value."""

from __future__ import annotations

import inspect
import traceback
from typing import TYPE_CHECKING, Any, cast

import lmtokens
import pytest
from api_variants import OPERATIONS
from support import ACCESS_ID, ACCESS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmtokens.sandbox import Portal

MARKER = "marker"
NOT_ENCODABLE = f"\ud800{MARKER}"

# Parameters that accept a number of seconds.
DURATIONS = {"disabled_after", "expires", "idle_after", "never_used_after", "old_after"}

# Parameters that do not accept a str.
NOT_TEXT = DURATIONS | {
    "allow_bearer",
    "body",
    "concurrency",
    "credentials",
    "deadline",
    "deliver",
    "dry_run",
    "force",
    "lock",
    "max_attempts",
    "max_wait",
    "number",
    "on_wait",
    "page_size",
    "progress",
    "reasons",
    "resume",
    "take_over",
    "then",
    "timeout",
    "timestamp_ms",
    "trust_folder",
}

CONSTRUCTORS: list[Callable[..., object]] = [
    lmtokens.Client,
    lmtokens.AsyncClient,
    lmtokens.LMv1Auth,
    lmtokens.configure,
]
SETTINGS = [
    pytest.param(constructor, name, id=f"{constructor.__name__}-{name}")
    for constructor in CONSTRUCTORS
    # inspect cannot read the signature of native classes before Python 3.10; that of configure() is the same.
    for name in inspect.signature(
        lmtokens.LMv1Auth if constructor is lmtokens.LMv1Auth else lmtokens.configure
    ).parameters
]


def client() -> lmtokens.Client:
    return lmtokens.Client("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY)


def sign(**changed: Any) -> str:
    given = {"method": "GET", "resource_path": "/x", "access_id": ACCESS_ID, "access_key": ACCESS_KEY, **changed}
    return lmtokens.sign(**given)


def explain_signature(**changed: Any) -> lmtokens.SignatureExplanation:
    given = {"authorization": "LMv1 a:b:c", "method": "GET", "path": "/x", "access_id": ACCESS_ID, **changed}
    return lmtokens.explain_signature(**{"access_key": ACCESS_KEY, **given})


def operation_calls() -> Iterator[tuple[str, str, Callable[[Any], object]]]:
    """Yield a call for each parameter of each operation, with valid values for the other parameters."""
    valid = {
        "admin_id": 32,
        "token": 248,
        "tokens": [(32,)],
        "journal": "/no/such/folder/run.journal",
        "deliver": print,
        "overlap": 0,
    }
    for operation in OPERATIONS:
        parameters = inspect.signature(getattr(lmtokens, operation)).parameters
        required = {name: valid[name] for name, parameter in parameters.items() if parameter.default is parameter.empty}
        # test_bulk.py tests the rows of add_tokens.
        for name in parameters.keys() - {"tokens"}:

            def call(value: Any, operation: str = operation, name: str = name, required: Any = required) -> object:
                return getattr(client(), operation)(**{**required, name: value})

            yield f"{operation}-{name}", name, call


# Id, name of the parameter, and a call with a value for it.
CALLS: list[tuple[str, str, Callable[[Any], object]]] = [
    ("sign-method", "method", lambda value: sign(method=value)),
    ("sign-resource_path", "resource_path", lambda value: sign(resource_path=value)),
    ("sign-body", "body", lambda value: sign(body=value)),
    ("sign-access_id", "access_id", lambda value: sign(access_id=value)),
    ("sign-access_key", "access_key", lambda value: sign(access_key=value)),
    ("sign-timestamp_ms", "timestamp_ms", lambda value: sign(timestamp_ms=value)),
    ("explain_signature-authorization", "authorization", lambda value: explain_signature(authorization=value)),
    ("explain_signature-method", "method", lambda value: explain_signature(method=value)),
    ("explain_signature-path", "path", lambda value: explain_signature(path=value)),
    ("explain_signature-body", "body", lambda value: explain_signature(body=value)),
    ("explain_signature-access_id", "access_id", lambda value: explain_signature(access_id=value)),
    ("explain_signature-access_key", "access_key", lambda value: explain_signature(access_key=value)),
    ("Secret-text", "text", lmtokens.Secret),
    *sorted(operation_calls()),
]
WRONG_TYPES = [
    pytest.param(name, call, value, id=f"{id}-{type(value).__name__}")
    for id, name, call in CALLS
    for value in cast("list[object]", [{}, b"" if name in DURATIONS | {"overlap", "quarantine"} else 2.5])
]
TEXT_PARAMETERS = [pytest.param(name, call, id=id) for id, name, call in CALLS if name not in NOT_TEXT]
TEXT_SETTINGS = [setting for setting in SETTINGS if setting.values[1] not in NOT_TEXT]


@pytest.mark.parametrize(("constructor", "name"), SETTINGS)
def test_type_error_names_the_setting(constructor: Callable[..., object], name: str) -> None:
    with pytest.raises(TypeError) as caught:
        constructor(**{"company": "acme", "access_id": ACCESS_ID, "access_key": ACCESS_KEY, name: {}})
    assert name in str(caught.value)


@pytest.mark.parametrize(("name", "call", "value"), WRONG_TYPES)
def test_type_error_names_the_argument(name: str, call: Callable[[Any], object], value: object) -> None:
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


@pytest.mark.parametrize(("constructor", "name"), TEXT_SETTINGS)
def test_setting_that_cannot_be_encoded_is_rejected_by_name(constructor: Callable[..., object], name: str) -> None:
    with pytest.raises(ValueError, match="cannot be encoded") as caught:
        constructor(**{name: NOT_ENCODABLE})
    assert_names_argument_without_value(caught.value, name)


@pytest.mark.parametrize(("name", "call"), TEXT_PARAMETERS)
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

    assert lmtokens.add_token(Index()).admin_id == 32  # type: ignore[call-overload]
    assert lmtokens.TokenStatus(lmtokens.TokenStatus.ENABLED) == lmtokens.TokenStatus.ENABLED
