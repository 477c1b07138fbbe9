"""Errors: their classes and attributes, and whether the portal may have applied the request."""

from __future__ import annotations

import copy
import json
import pickle
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from lmtokens import errors
from lmtokens.sandbox import Portal
from support import ACCESS_ID, ACCESS_KEY, StubServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BASES: dict[str, set[str]] = {
    "LMTokensError": {"Exception"},
    "ConfigurationError": {"LMTokensError", "ValueError"},
    "CredentialsError": {"LMTokensError"},
    "APIError": {"LMTokensError"},
    "BadRequestError": {"APIError"},
    "AuthenticationError": {"APIError"},
    "PermissionDeniedError": {"APIError", "PermissionError"},
    "NotFoundError": {"APIError", "LookupError"},
    "ConflictError": {"APIError"},
    "TwoFactorRequiredError": {"APIError"},
    "RateLimitError": {"APIError"},
    "ServerError": {"APIError"},
    "TransportError": {"LMTokensError", "ConnectionError"},
    "ConnectError": {"TransportError"},
    "TLSError": {"TransportError"},
    "RequestTimeoutError": {"TransportError", "TimeoutError"},
    "ResponseError": {"LMTokensError"},
    "OutcomeUnknownError": {"LMTokensError"},
    "DeliveryError": {"LMTokensError"},
    "RotationError": {"LMTokensError"},
    "SelfLockoutError": {"LMTokensError"},
}

ATTRIBUTES: dict[str, Any] = {
    "status": 418,
    "code": 1418,
    "suggestion": "put the kettle on",
    "maybe_applied": True,
    "attempts": 2,
    "elapsed": 1.5,
}
MORE_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "RateLimitError": {"limit": 200, "remaining": 0, "window": 60.0},
    "OutcomeUnknownError": {"candidates": None},
}

NAMES = sorted(BASES)


def build_error(name: str) -> tuple[errors.LMTokensError, dict[str, Any]]:
    attributes = {**ATTRIBUTES, **MORE_ATTRIBUTES.get(name, {})}
    return getattr(errors, name)("the pot is empty", **attributes), attributes


def test_tested_classes_are_all_classes() -> None:
    assert set(errors.__all__) == set(BASES)


@pytest.mark.parametrize("name", NAMES)
def test_base_classes(name: str) -> None:
    assert {base.__name__ for base in getattr(errors, name).__bases__} == BASES[name]


@pytest.mark.parametrize("name", NAMES)
def test_class_has_no_other_ancestors(name: str) -> None:
    allowed = {"object", "BaseException", "Exception", "OSError"}
    queue = [name]
    while queue:
        current = queue.pop()
        allowed.add(current)
        queue.extend(BASES.get(current, set()))
    assert {base.__name__ for base in getattr(errors, name).__mro__} <= allowed


@pytest.mark.parametrize("name", NAMES)
def test_text_has_message_status_code_and_hint(name: str) -> None:
    error, _ = build_error(name)
    assert str(error) == "the pot is empty (HTTP 418, code 1418)\nhint: put the kettle on"


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({}, "empty"),
        ({"status": 500}, "empty (HTTP 500)"),
        ({"code": 1500}, "empty (code 1500)"),
        ({"status": 503, "code": 503}, "empty (HTTP 503)"),
        ({"suggestion": "fill it"}, "empty\nhint: fill it"),
    ],
)
def test_text_omits_missing_attributes(attributes: dict[str, Any], text: str) -> None:
    assert str(errors.APIError("empty", **attributes)) == text


@pytest.mark.parametrize("name", NAMES)
def test_attributes_have_defaults(name: str) -> None:
    error = getattr(errors, name)("empty")
    assert {attribute: getattr(error, attribute) for attribute in ATTRIBUTES} == {
        "status": None,
        "code": None,
        "suggestion": None,
        "maybe_applied": False,
        "attempts": 0,
        "elapsed": 0.0,
    }
    assert all(getattr(error, attribute) is None for attribute in MORE_ATTRIBUTES.get(name, {}))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", NAMES)
def test_error_can_be_pickled(name: str, protocol: int) -> None:
    error, attributes = build_error(name)
    copied = pickle.loads(pickle.dumps(error, protocol))
    assert type(copied) is type(error)
    assert {attribute: getattr(copied, attribute) for attribute in attributes} == attributes
    assert (str(copied), copied.args) == (str(error), error.args)


@pytest.mark.parametrize("name", NAMES)
def test_error_can_be_copied(name: str) -> None:
    error, attributes = build_error(name)
    for copied in (copy.copy(error), copy.deepcopy(error)):
        assert {attribute: getattr(copied, attribute) for attribute in attributes} == attributes


Fault = tuple[str, dict[str, Any], str, "int | None", "int | None"]

# With these responses the portal did not create a token.
REJECTIONS: list[Fault] = [
    ("status-before-acting", {"status": 400}, "BadRequestError", 400, 1400),
    ("status-before-acting", {"status": 401}, "AuthenticationError", 401, 1401),
    ("status-before-acting", {"status": 403}, "PermissionDeniedError", 403, 1403),
    ("status-before-acting", {"status": 404}, "NotFoundError", 404, 1404),
    ("status-before-acting", {"status": 405}, "APIError", 405, 1405),
    ("status-before-acting", {"status": 409}, "ConflictError", 409, 1409),
    ("status-before-acting", {"status": 412}, "TwoFactorRequiredError", 412, 1412),
    ("status-before-acting", {"status": 413}, "BadRequestError", 413, 1413),
    ("status-before-acting", {"status": 429}, "RateLimitError", 429, 1429),
    ("html", {"status": 404}, "NotFoundError", 404, None),
    ("rate-limited", {}, "RateLimitError", 429, 1429),
    ("redirect", {}, "APIError", 302, None),
    ("redirect", {"status": 307}, "APIError", 307, None),
    ("error-in-200", {"code": 1400}, "BadRequestError", 200, 1400),
    ("error-in-200", {"code": 1401}, "AuthenticationError", 200, 1401),
    ("error-in-200", {"code": 1403}, "PermissionDeniedError", 200, 1403),
    ("error-in-200", {"code": 1404}, "NotFoundError", 200, 1404),
    ("error-in-200", {"code": 1409}, "ConflictError", 200, 1409),
    ("error-in-200", {"code": 1412}, "TwoFactorRequiredError", 200, 1412),
    ("error-in-200", {"code": 1429}, "RateLimitError", 200, 1429),
    # Version 1 of the API uses the same codes with other meanings.
    ("v1-error", {"code": 403}, "AuthenticationError", 200, 403),
    ("v1-error", {"code": 1403}, "TwoFactorRequiredError", 200, 1403),
    ("v1-error", {"code": 1041}, "PermissionDeniedError", 200, 1041),
    ("v1-error", {"code": 600}, "ConflictError", 200, 600),
    ("v1-error", {"code": 1069}, "NotFoundError", 200, 1069),
]


def fault_id(fault: tuple[Any, ...]) -> str:
    return " ".join([fault[0], *map(str, fault[1].values())])


@pytest.mark.parametrize(("kind", "options", "name", "status", "code"), REJECTIONS, ids=map(fault_id, REJECTIONS))
def test_rejection_raises_its_class(
    lmtokens_portal: Portal, kind: Any, options: dict[str, Any], name: str, status: int | None, code: int | None
) -> None:
    lmtokens_portal.fail(kind, method="POST", **options)
    lmtokens.configure(on_limit="raise")
    with pytest.raises(errors.APIError) as caught:
        lmtokens.add_token(32, "ci")
    error = caught.value
    assert type(error).__name__ == name
    assert (error.status, error.code, error.maybe_applied, error.attempts) == (status, code, False, 1)
    assert error.elapsed > 0
    assert error.__cause__ is None
    assert [seen.method for seen in lmtokens_portal.record] == ["POST"]
    assert pickle.loads(pickle.dumps(error)).status == status


LOST_RESPONSES: list[Fault] = [
    ("close-before-acting", {}, "TransportError", None, None),
    ("act-then-close", {}, "TransportError", None, None),
    ("late", {"seconds": 0.05}, "TransportError", None, None),
    ("truncated", {}, "TransportError", 200, None),
    ("status-before-acting", {}, "ServerError", 500, 1500),
    ("status-before-acting", {"status": 502}, "ServerError", 502, 1502),
    ("status-before-acting", {"status": 504}, "ServerError", 504, 1504),
    ("status-before-acting", {"status": 202}, "APIError", 202, 1202),
    ("error-in-200", {"code": 7777}, "APIError", 200, 7777),
    ("act-then-status", {}, "ServerError", 500, 1500),
    ("html", {}, "ServerError", 503, None),
    ("act-then-html", {}, "ServerError", 503, None),
    ("error-in-200", {}, "ServerError", 200, 1500),
    ("v1-error", {}, "ServerError", 200, 1001),
    ("garbage", {}, "ResponseError", 200, None),
    ("empty", {}, "ResponseError", 200, None),
    ("wrong-shape", {}, "ResponseError", 200, None),
    ("no-key", {}, "ResponseError", 200, None),
    ("status-before-acting", {"status": 204}, "ResponseError", 204, None),
]


@pytest.mark.parametrize(
    ("kind", "options", "cause", "status", "code"), LOST_RESPONSES, ids=map(fault_id, LOST_RESPONSES)
)
def test_lost_response_raises_outcome_unknown(
    lmtokens_portal: Portal, kind: Any, options: dict[str, Any], cause: str, status: int | None, code: int | None
) -> None:
    lmtokens_portal.fail(kind, method="POST", **options)
    with pytest.raises(errors.OutcomeUnknownError) as caught:
        lmtokens.add_token(32, "ci")
    error = caught.value
    assert (error.status, error.code, error.maybe_applied, error.attempts) == (status, code, True, 1)
    assert error.elapsed > 0
    assert isinstance(error.__cause__, errors.LMTokensError)
    assert type(error.__cause__).__name__ == cause
    assert error.__cause__.maybe_applied is True
    sent = [seen.method for seen in lmtokens_portal.record]
    assert sent.count("POST") == 1
    assert sent.count("GET") <= 1
    created = [token.id for token in lmtokens_portal.tokens if token.admin_id == 32]
    assert error.candidates is not None
    if kind != "late":
        assert [token.id for token in error.candidates] == created
        assert all(str(token) in str(error) for token in created)


@pytest.mark.parametrize("kind", ["v1-envelope", "trickle", "delay", "act-then-delay"])
def test_unusual_response_with_the_token_succeeds(lmtokens_portal: Portal, kind: Any) -> None:
    options: dict[str, Any] = {} if kind == "v1-envelope" else {"seconds": 0.001}
    lmtokens_portal.fail(kind, method="POST", **options)
    token = lmtokens.add_token(32, "ci")
    assert token.access_key == lmtokens_portal.tokens[-1].access_key


@pytest.mark.parametrize("members", [{"id": 248, "status": 2}, {"id": 248, "accessKey": "invented"}, [], "x", 5])
def test_incomplete_token_raises_outcome_unknown(members: Any) -> None:
    with StubServer(json.dumps(members).encode()) as server:
        client = lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=server.base_url)
        with pytest.raises(errors.OutcomeUnknownError) as caught:
            client.add_token(32, "ci")
        assert [request.method for request in server.requests].count("POST") == 1
    assert isinstance(caught.value.__cause__, errors.ResponseError)
    assert "invented" not in str(caught.value)


def test_candidates_are_tokens_without_their_keys(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")
    with pytest.raises(errors.OutcomeUnknownError) as caught:
        lmtokens.add_token(32, "ci")
    (candidate,) = caught.value.candidates or []
    created = lmtokens_portal.tokens[-1]
    assert isinstance(candidate, lmtokens.Token)
    assert (candidate.id, candidate.access_id, candidate.note) == (created.id, created.access_id, "ci")
    assert candidate.access_key is None
    copied = pickle.loads(pickle.dumps(caught.value))
    assert copied.candidates == [candidate]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(candidate, protocol)).to_dict() == candidate.to_dict()


def test_candidates_match_the_create(lmtokens_portal: Portal) -> None:
    now = int(time.time())
    lmtokens_portal.create_token(32, note="other")
    lmtokens_portal.create_token(32, note="ci", created_on=now - 86_400)
    lmtokens_portal.create_token(32, note="ci", last_used_on=now)
    lmtokens_portal.create_token(32, note="ci", type="bearer")
    lmtokens_portal.create_token(33, note="ci")
    similar = lmtokens_portal.create_token(32, note="ci")
    lmtokens_portal.fail("act-then-close", method="POST")
    with pytest.raises(errors.OutcomeUnknownError) as caught:
        lmtokens.add_token(32, "ci")
    created = lmtokens_portal.tokens[-1]
    # A token that another client created at the same time with the same note looks the same.
    assert {token.id for token in caught.value.candidates or []} == {similar.id, created.id}


def test_candidates_of_a_lost_bearer_token(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")
    with pytest.raises(errors.OutcomeUnknownError) as caught:
        lmtokens.add_token(32, type="bearer")
    (candidate,) = caught.value.candidates or []
    assert (candidate.id, candidate.type) == (lmtokens_portal.tokens[-1].id, lmtokens.TokenType.BEARER)


@pytest.mark.parametrize("lookup_fault", ["close-before-acting", "garbage", "html", "rate-limited", "wrong-shape"])
def test_candidates_are_none_if_the_lookup_failed(lmtokens_portal: Portal, lookup_fault: Any) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")
    lmtokens_portal.fail(lookup_fault, method="GET", times=None)
    with pytest.raises(errors.OutcomeUnknownError, match="looking for the token failed too") as caught:
        lmtokens.add_token(32, "ci")
    assert caught.value.candidates is None
    # The lookup may be retried, but not the create.
    first, *lookups = [seen.method for seen in lmtokens_portal.record]
    assert (first, set(lookups)) == ("POST", {"GET"})


def test_credentials_that_cannot_view_learn_that_an_empty_list_is_no_proof(lmtokens_portal: Portal) -> None:
    lmtokens_portal.add_user("creator", id=40, may_view=False)
    token = lmtokens_portal.create_token(40)
    client = lmtokens_portal.client(access_id=token.access_id, access_key=token.access_key)
    lmtokens_portal.fail("act-then-close", method="POST")
    with pytest.raises(errors.OutcomeUnknownError, match="may still be in progress") as caught:
        client.add_token(32, "ci")
    assert caught.value.candidates == []


def test_refused_connection_is_not_applied(refusing_url: str) -> None:
    client = lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=refusing_url)
    with pytest.raises(errors.ConnectError) as caught:
        client.add_token(32)
    assert (caught.value.maybe_applied, caught.value.status) == (False, None)
    assert isinstance(caught.value, ConnectionError)


needs_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems refuse connections when the queue is full"
)


@pytest.fixture
def unresponsive_url() -> Iterator[str]:
    """A base URL whose connections are never established because the listener's queue is full."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for queued in waiting:
            queued.setblocking(False)
            queued.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}/santaba/rest"
        for queued in waiting:
            queued.close()


@needs_linux
@pytest.mark.parametrize("timeout", [0.3, (0.3, 30), (0.3, 0.3)], ids=["total", "connect", "both"])
def test_connection_timeout_is_not_applied(unresponsive_url: str, timeout: Any) -> None:
    client = lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=unresponsive_url, timeout=timeout)
    with pytest.raises(errors.LMTokensError) as caught:
        client.add_token(32)
    assert isinstance(caught.value, (errors.RequestTimeoutError, errors.ConnectError))
    assert caught.value.maybe_applied is False


def test_response_timeout_raises_outcome_unknown(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("act-then-delay", method="POST", seconds=30)
    with pytest.raises(errors.OutcomeUnknownError) as caught:
        lmtokens_portal.client(timeout=2).add_token(32, "ci")
    assert isinstance(caught.value.__cause__, errors.RequestTimeoutError)
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert [token.id for token in caught.value.candidates or []] == [lmtokens_portal.tokens[-1].id]


def test_rate_limit_error_has_the_limit(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(1, 60, method="POST")
    # As if another client had used up the limit.
    lmtokens_portal.fail("rate-limited", method="POST")
    with pytest.raises(errors.RateLimitError, match="allows 1 such requests per 60 s") as caught:
        lmtokens_portal.client(on_limit="raise").add_token(32)
    assert (caught.value.limit, caught.value.remaining, caught.value.window) == (1, 0, 60.0)


@pytest.mark.parametrize("headers", ["missing", "nonsense", "contradictory"])
def test_rate_limit_error_tolerates_invalid_headers(lmtokens_portal: Portal, headers: str) -> None:
    lmtokens_portal.fail("rate-limited", headers=headers)
    with pytest.raises(errors.RateLimitError) as caught:
        lmtokens_portal.client(on_limit="raise").add_token(32)
    assert (caught.value.limit, caught.value.remaining, caught.value.window) == (None, None, None)
    assert caught.value.suggestion


def test_unknown_user_raises_not_found(lmtokens_portal: Portal) -> None:
    with pytest.raises(errors.NotFoundError) as caught:
        lmtokens.add_token(4711)
    assert (caught.value.status, caught.value.code) == (404, 1404)
    assert isinstance(caught.value, LookupError)


def test_missing_permission_raises_permission_denied(lmtokens_portal: Portal) -> None:
    viewer = lmtokens_portal.create_token(33)
    client = lmtokens_portal.client(access_id=viewer.access_id, access_key=viewer.access_key)
    with pytest.raises(errors.PermissionDeniedError) as caught:
        client.add_token(32)
    assert (caught.value.status, caught.value.code) == (403, 1403)
    assert isinstance(caught.value, PermissionError)
    assert "role" in (caught.value.suggestion or "")


def authentication_error(portal: Portal, client: lmtokens.Client) -> errors.AuthenticationError:
    """Return the error of a request that is rejected with 401 and sent once."""
    portal.clear_record()
    with pytest.raises(errors.AuthenticationError) as caught:
        client.add_token(32)
    assert (caught.value.status, caught.value.code, caught.value.maybe_applied) == (401, 1401, False)
    assert [seen.status for seen in portal.record] == [401]
    return caught.value


@pytest.mark.parametrize(("ahead", "word"), [(3600, "behind"), (-3600, "ahead of")])
def test_wrong_clock_is_diagnosed(lmtokens_portal: Portal, ahead: int, word: str) -> None:
    lmtokens_portal.set_clock_offset(ahead)
    suggestion = authentication_error(lmtokens_portal, lmtokens_portal.client()).suggestion or ""
    assert f"{word} the portal's" in suggestion
    assert "set the clock" in suggestion


def wrong_key(portal: Portal) -> lmtokens.Client:
    return portal.client(access_id=portal.access_id, access_key="invented-wrong-key")


def disabled_token(portal: Portal) -> lmtokens.Client:
    token = portal.create_token(1, status=1)
    return portal.client(access_id=token.access_id, access_key=token.access_key)


def short_id(portal: Portal) -> lmtokens.Client:
    return portal.client(access_id="short", access_key="invented-key")


def malformed_bearer(portal: Portal) -> lmtokens.Client:
    return portal.client(bearer_token="invented-bearer")


@pytest.mark.parametrize(
    ("make_client", "message"),
    [
        (wrong_key, "the id or the key is wrong"),
        (wrong_key, "credentials from arguments"),
        (wrong_key, "lmgov.us"),
        (disabled_token, "disabled, deleted or locked out"),
        (short_id, "does not have the 20 characters that access ids usually have"),
        (malformed_bearer, "does not begin with lmb_"),
    ],
)
def test_rejected_credentials_are_diagnosed(
    lmtokens_portal: Portal, make_client: Callable[[Portal], lmtokens.Client], message: str
) -> None:
    suggestion = authentication_error(lmtokens_portal, make_client(lmtokens_portal)).suggestion or ""
    assert message in suggestion
    # The clock is right, so the hint must not mention it.
    assert "clock" not in suggestion


@pytest.mark.parametrize("length", [5, 41, 90])
def test_diagnosis_does_not_show_the_length_of_a_swapped_key(lmtokens_portal: Portal, length: int) -> None:
    # A key of letters and digits only cannot be distinguished from an id, unless the other is as long as one.
    client = lmtokens_portal.client(access_id="k" * length, access_key="invented-key")
    suggestion = authentication_error(lmtokens_portal, client).suggestion or ""
    assert "does not have the 20 characters" in suggestion
    assert str(length) not in suggestion.replace(lmtokens_portal.base_url, "")


def test_attempts_count_the_request_that_failed(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=400)
    with pytest.raises(errors.BadRequestError) as caught:
        lmtokens.add_token("api-user")
    assert [seen.method for seen in lmtokens_portal.record] == ["GET", "POST"]
    assert caught.value.attempts == 1


def test_ignored_credentials_are_diagnosed(lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_ACCESS_KEY", "invented-wrong-key")
    monkeypatch.setenv("LM_BEARER_TOKEN", "lmb_invented")
    suggestion = authentication_error(lmtokens_portal, lmtokens.Client()).suggestion or ""
    assert "LM_BEARER_TOKEN is also set, but was ignored" in suggestion
    assert "credentials from environment (LM_ACCESS_ID, LM_ACCESS_KEY)" in suggestion


def test_locked_out_token_is_not_retried() -> None:
    with Portal(lock_out_after=3) as portal:
        for _ in range(3):
            authentication_error(portal, wrong_key(portal))
        # The token is locked out even with the right key.
        authentication_error(portal, portal.client())


def test_configuration_error_names_what_is_missing() -> None:
    with pytest.raises(errors.ConfigurationError, match="company is missing") as caught:
        lmtokens.add_token(32)
    assert "LM_COMPANY" in (caught.value.suggestion or "")
    assert (caught.value.attempts, caught.value.maybe_applied) == (0, False)


def test_credentials_error_names_what_is_missing() -> None:
    with pytest.raises(errors.CredentialsError, match="no credentials") as caught:
        lmtokens.Client("acme")
    assert "LM_ACCESS_ID and LM_ACCESS_KEY" in (caught.value.suggestion or "")


def test_message_of_a_hostile_portal_is_one_short_line(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", status=400, message="\x1b[2J\r\nhint: run this\x00\u0085" + "x" * 9000)
    with pytest.raises(errors.BadRequestError) as caught:
        lmtokens.add_token(32)
    text = str(caught.value)
    assert len(text) < 600
    assert text.isprintable()
