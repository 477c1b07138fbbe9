"""What goes wrong, as which class, with which facts, and whether the portal may have acted."""

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
from support import ACCESS_ID, ACCESS_KEY, Answering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TREE: dict[str, set[str]] = {
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
    "SelfLockoutError": {"LMTokensError"},
}

FACTS: dict[str, Any] = {
    "status": 418,
    "code": 1418,
    "suggestion": "put the kettle on",
    "maybe_applied": True,
    "attempts": 2,
    "elapsed": 1.5,
}
MORE_FACTS: dict[str, dict[str, Any]] = {
    "RateLimitError": {"limit": 200, "remaining": 0, "window": 60.0},
    "OutcomeUnknownError": {"candidates": None},
}

NAMES = sorted(TREE)


def built(name: str) -> tuple[errors.LMTokensError, dict[str, Any]]:
    facts = {**FACTS, **MORE_FACTS.get(name, {})}
    return getattr(errors, name)("the pot is empty", **facts), facts


def test_the_tree_is_whole() -> None:
    assert set(errors.__all__) == set(TREE)


@pytest.mark.parametrize("name", NAMES)
def test_bases(name: str) -> None:
    assert {base.__name__ for base in getattr(errors, name).__bases__} == TREE[name]


@pytest.mark.parametrize("name", NAMES)
def test_no_class_is_an_error_of_another_branch(name: str) -> None:
    allowed = {"object", "BaseException", "Exception", "OSError"}
    queue = [name]
    while queue:
        current = queue.pop()
        allowed.add(current)
        queue.extend(TREE.get(current, set()))
    assert {base.__name__ for base in getattr(errors, name).__mro__} <= allowed


@pytest.mark.parametrize("name", NAMES)
def test_text_has_message_facts_and_hint(name: str) -> None:
    error, _ = built(name)
    assert str(error) == "the pot is empty (HTTP 418, code 1418)\nhint: put the kettle on"


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, "empty"),
        ({"status": 500}, "empty (HTTP 500)"),
        ({"code": 1500}, "empty (code 1500)"),
        ({"status": 503, "code": 503}, "empty (HTTP 503)"),
        ({"suggestion": "fill it"}, "empty\nhint: fill it"),
    ],
)
def test_text_says_no_more_than_is_known(facts: dict[str, Any], text: str) -> None:
    assert str(errors.APIError("empty", **facts)) == text


@pytest.mark.parametrize("name", NAMES)
def test_attributes_have_defaults(name: str) -> None:
    error = getattr(errors, name)("empty")
    assert {fact: getattr(error, fact) for fact in FACTS} == {
        "status": None,
        "code": None,
        "suggestion": None,
        "maybe_applied": False,
        "attempts": 0,
        "elapsed": 0.0,
    }
    assert all(getattr(error, fact) is None for fact in MORE_FACTS.get(name, {}))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", NAMES)
def test_survives_a_pickle(name: str, protocol: int) -> None:
    error, facts = built(name)
    twin = pickle.loads(pickle.dumps(error, protocol))
    assert type(twin) is type(error)
    assert {fact: getattr(twin, fact) for fact in facts} == facts
    assert (str(twin), twin.args) == (str(error), error.args)


@pytest.mark.parametrize("name", NAMES)
def test_survives_a_copy(name: str) -> None:
    error, facts = built(name)
    for twin in (copy.copy(error), copy.deepcopy(error)):
        assert {fact: getattr(twin, fact) for fact in facts} == facts


Fault = tuple[str, dict[str, Any], str, "int | None", "int | None"]

# Every other no is a no: the portal did not act.
REFUSALS: list[Fault] = [
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
    ("error-in-200", {"code": 7777}, "APIError", 200, 7777),
    # The first version of the API uses the same numbers for other things.
    ("v1-error", {"code": 403}, "AuthenticationError", 200, 403),
    ("v1-error", {"code": 1403}, "TwoFactorRequiredError", 200, 1403),
    ("v1-error", {"code": 1041}, "PermissionDeniedError", 200, 1041),
    ("v1-error", {"code": 600}, "ConflictError", 200, 600),
    ("v1-error", {"code": 1069}, "NotFoundError", 200, 1069),
]


def named(fault: tuple[Any, ...]) -> str:
    return " ".join([fault[0], *map(str, fault[1].values())])


@pytest.mark.parametrize(("kind", "how", "name", "status", "code"), REFUSALS, ids=map(named, REFUSALS))
def test_refusal(
    lmtokens_portal: Portal, kind: str, how: dict[str, Any], name: str, status: int | None, code: int | None
) -> None:
    lmtokens_portal.fail(kind, method="POST", **how)
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


UNKNOWN: list[Fault] = [
    ("close-before-acting", {}, "TransportError", None, None),
    ("act-then-close", {}, "TransportError", None, None),
    ("late", {"seconds": 0.05}, "TransportError", None, None),
    ("truncated", {}, "TransportError", 200, None),
    ("status-before-acting", {}, "ServerError", 500, 1500),
    ("status-before-acting", {"status": 502}, "ServerError", 502, 1502),
    ("status-before-acting", {"status": 504}, "ServerError", 504, 1504),
    ("status-before-acting", {"status": 202}, "APIError", 202, 1202),
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


@pytest.mark.parametrize(("kind", "how", "cause", "status", "code"), UNKNOWN, ids=map(named, UNKNOWN))
def test_lost_answer(
    lmtokens_portal: Portal, kind: str, how: dict[str, Any], cause: str, status: int | None, code: int | None
) -> None:
    lmtokens_portal.fail(kind, method="POST", **how)
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
    made = [token.id for token in lmtokens_portal.tokens if token.admin_id == 32]
    assert error.candidates is not None
    if kind != "late":
        assert [token.id for token in error.candidates] == made
        assert all(str(token) in str(error) for token in made)


@pytest.mark.parametrize("kind", ["v1-envelope", "trickle", "delay", "act-then-delay"])
def test_odd_answer_that_holds_the_token(lmtokens_portal: Portal, kind: str) -> None:
    how: dict[str, Any] = {} if kind == "v1-envelope" else {"seconds": 0.001}
    lmtokens_portal.fail(kind, method="POST", **how)
    token = lmtokens.add_token(32, "ci")
    assert token.access_key == lmtokens_portal.tokens[-1].access_key


@pytest.mark.parametrize("members", [{"id": 248, "status": 2}, {"id": 248, "accessKey": "invented"}, [], "x", 5])
def test_answer_that_is_no_whole_token(members: Any) -> None:
    with Answering(json.dumps(members).encode()) as server:
        client = lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=server.base_url)
        with pytest.raises(errors.OutcomeUnknownError) as caught:
            client.add_token(32, "ci")
        assert [heard.method for heard in server.heard].count("POST") == 1
    assert isinstance(caught.value.__cause__, errors.ResponseError)
    assert "invented" not in str(caught.value)


def test_candidates_are_tokens_without_their_keys(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")
    with pytest.raises(errors.OutcomeUnknownError) as caught:
        lmtokens.add_token(32, "ci")
    (candidate,) = caught.value.candidates or []
    made = lmtokens_portal.tokens[-1]
    assert isinstance(candidate, lmtokens.Token)
    assert (candidate.id, candidate.access_id, candidate.note) == (made.id, made.access_id, "ci")
    assert candidate.access_key is None
    twin = pickle.loads(pickle.dumps(caught.value))
    assert twin.candidates == [candidate]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(candidate, protocol)) == candidate


def test_candidates_are_only_those_that_may_be_it(lmtokens_portal: Portal) -> None:
    now = int(time.time())
    lmtokens_portal.create_token(32, note="other")
    lmtokens_portal.create_token(32, note="ci", created_on=now - 86_400)
    lmtokens_portal.create_token(32, note="ci", last_used_on=now)
    lmtokens_portal.create_token(32, note="ci", type="bearer")
    lmtokens_portal.create_token(33, note="ci")
    twin = lmtokens_portal.create_token(32, note="ci")
    lmtokens_portal.fail("act-then-close", method="POST")
    with pytest.raises(errors.OutcomeUnknownError) as caught:
        lmtokens.add_token(32, "ci")
    made = lmtokens_portal.tokens[-1]
    # One that somebody else made at the same time under the same note cannot be told apart.
    assert {token.id for token in caught.value.candidates or []} == {twin.id, made.id}


def test_candidates_of_a_lost_bearer(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")
    with pytest.raises(errors.OutcomeUnknownError) as caught:
        lmtokens.add_token(32, type="bearer")
    (candidate,) = caught.value.candidates or []
    assert (candidate.id, candidate.type) == (lmtokens_portal.tokens[-1].id, lmtokens.TokenType.BEARER)


@pytest.mark.parametrize("look", ["close-before-acting", "garbage", "html", "rate-limited", "wrong-shape"])
def test_candidates_are_none_where_the_look_failed(lmtokens_portal: Portal, look: str) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")
    lmtokens_portal.fail(look, method="GET", times=None)
    with pytest.raises(errors.OutcomeUnknownError, match="look at the portal failed too") as caught:
        lmtokens.add_token(32, "ci")
    assert caught.value.candidates is None
    # A look may be repeated; what it looks for may not.
    first, *looks = [seen.method for seen in lmtokens_portal.record]
    assert (first, set(looks)) == ("POST", {"GET"})


def test_who_may_not_view_is_told_that_nothing_is_no_proof(lmtokens_portal: Portal) -> None:
    lmtokens_portal.add_user("creator", id=40, may_view=False)
    own = lmtokens_portal.create_token(40)
    client = lmtokens_portal.client(access_id=own.access_id, access_key=own.access_key)
    lmtokens_portal.fail("act-then-close", method="POST")
    with pytest.raises(errors.OutcomeUnknownError, match="no proof") as caught:
        client.add_token(32, "ci")
    assert caught.value.candidates == []


@pytest.fixture
def nobody() -> Iterator[str]:
    """A base URL at which nothing listens; the port is kept so that nothing else can."""
    with socket.socket() as kept:
        kept.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{kept.getsockname()[1]}/santaba/rest"


def test_refused_connection_cannot_have_applied(nobody: str) -> None:
    client = lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=nobody)
    with pytest.raises(errors.ConnectError) as caught:
        client.add_token(32)
    assert (caught.value.maybe_applied, caught.value.status) == (False, None)
    assert isinstance(caught.value, ConnectionError)


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse what does not fit the queue")


@pytest.fixture
def deaf() -> Iterator[str]:
    """A base URL whose connections are never made: the queue of the listener is full."""
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
def test_connection_that_is_never_made_cannot_have_applied(deaf: str, timeout: Any) -> None:
    client = lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, base_url=deaf, timeout=timeout)
    with pytest.raises(errors.LMTokensError) as caught:
        client.add_token(32)
    assert isinstance(caught.value, (errors.RequestTimeoutError, errors.ConnectError))
    assert caught.value.maybe_applied is False


def test_answer_that_takes_too_long(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("act-then-delay", method="POST", seconds=30)
    with pytest.raises(errors.OutcomeUnknownError) as caught:
        lmtokens_portal.client(timeout=0.3).add_token(32, "ci")
    assert isinstance(caught.value.__cause__, errors.RequestTimeoutError)
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert [token.id for token in caught.value.candidates or []] == [lmtokens_portal.tokens[-1].id]


def test_rate_limit_tells_the_budget(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(1, 60, method="POST")
    # Somebody else spends it.
    lmtokens_portal.fail("rate-limited", method="POST")
    with pytest.raises(errors.RateLimitError, match="allows 1 such requests per 60 s") as caught:
        lmtokens_portal.client(on_limit="raise").add_token(32)
    assert (caught.value.limit, caught.value.remaining, caught.value.window) == (1, 0, 60.0)


@pytest.mark.parametrize("headers", ["missing", "nonsense", "contradictory"])
def test_rate_limit_bears_bad_headers(lmtokens_portal: Portal, headers: str) -> None:
    lmtokens_portal.fail("rate-limited", headers=headers)
    with pytest.raises(errors.RateLimitError) as caught:
        lmtokens_portal.client(on_limit="raise").add_token(32)
    assert (caught.value.limit, caught.value.remaining, caught.value.window) == (None, None, None)
    assert caught.value.suggestion


def test_no_such_user(lmtokens_portal: Portal) -> None:
    with pytest.raises(errors.NotFoundError) as caught:
        lmtokens.add_token(4711)
    assert (caught.value.status, caught.value.code) == (404, 1404)
    assert isinstance(caught.value, LookupError)


def test_no_permission(lmtokens_portal: Portal) -> None:
    viewer = lmtokens_portal.create_token(33)
    client = lmtokens_portal.client(access_id=viewer.access_id, access_key=viewer.access_key)
    with pytest.raises(errors.PermissionDeniedError) as caught:
        client.add_token(32)
    assert (caught.value.status, caught.value.code) == (403, 1403)
    assert isinstance(caught.value, PermissionError)
    assert "role" in (caught.value.suggestion or "")


def refused(portal: Portal, client: lmtokens.Client) -> errors.AuthenticationError:
    """The 401 that a client gets, once."""
    portal.clear_record()
    with pytest.raises(errors.AuthenticationError) as caught:
        client.add_token(32)
    assert (caught.value.status, caught.value.code, caught.value.maybe_applied) == (401, 1401, False)
    assert [seen.status for seen in portal.record] == [401]
    return caught.value


@pytest.mark.parametrize(("ahead", "word"), [(3600, "behind"), (-3600, "ahead of")])
def test_clock_an_hour_off_is_diagnosed(lmtokens_portal: Portal, ahead: int, word: str) -> None:
    lmtokens_portal.set_clock_offset(ahead)
    suggestion = refused(lmtokens_portal, lmtokens_portal.client()).suggestion or ""
    assert f"{word} the portal's" in suggestion
    assert "set the clock" in suggestion


def wrong_key(portal: Portal) -> lmtokens.Client:
    return portal.client(access_id=portal.access_id, access_key="invented-wrong-key")


def disabled(portal: Portal) -> lmtokens.Client:
    token = portal.create_token(1, status=1)
    return portal.client(access_id=token.access_id, access_key=token.access_key)


def odd_id(portal: Portal) -> lmtokens.Client:
    return portal.client(access_id="short", access_key="invented-key")


def odd_bearer(portal: Portal) -> lmtokens.Client:
    return portal.client(bearer_token="invented-bearer")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (wrong_key, "the id or the key is wrong"),
        (wrong_key, "credentials from arguments"),
        (wrong_key, "lmgov.us"),
        (disabled, "disabled, deleted or locked out"),
        (odd_id, "does not have the 20 characters that access ids usually have"),
        (odd_bearer, "does not begin with lmb_"),
    ],
)
def test_refused_credentials_are_diagnosed(
    lmtokens_portal: Portal, made: Callable[[Portal], lmtokens.Client], words: str
) -> None:
    suggestion = refused(lmtokens_portal, made(lmtokens_portal)).suggestion or ""
    assert words in suggestion
    # A clock that is right is no finding.
    assert "clock" not in suggestion


@pytest.mark.parametrize("length", [5, 41, 90])
def test_diagnosis_does_not_tell_how_long_a_swapped_key_is(lmtokens_portal: Portal, length: int) -> None:
    # Letters and digits alone could be an id.
    client = lmtokens_portal.client(access_id="k" * length, access_key="exampleAccessId00001")
    suggestion = refused(lmtokens_portal, client).suggestion or ""
    assert "does not have the 20 characters" in suggestion
    assert str(length) not in suggestion.replace(lmtokens_portal.base_url, "")


def test_attempts_count_the_request_that_failed(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", method="POST", status=400)
    with pytest.raises(errors.BadRequestError) as caught:
        lmtokens.add_token("api-user")
    assert [seen.method for seen in lmtokens_portal.record] == ["GET", "POST"]
    assert caught.value.attempts == 1


def test_credentials_that_were_passed_over_are_diagnosed(
    lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LM_ACCESS_KEY", "invented-wrong-key")
    monkeypatch.setenv("LM_BEARER_TOKEN", "lmb_invented")
    suggestion = refused(lmtokens_portal, lmtokens.Client()).suggestion or ""
    assert "LM_BEARER_TOKEN is also set, but was ignored" in suggestion
    assert "credentials from environment (LM_ACCESS_ID, LM_ACCESS_KEY)" in suggestion


def test_locked_out_token_is_not_tried_again() -> None:
    with Portal(lock_out_after=3) as portal:
        for _ in range(3):
            refused(portal, wrong_key(portal))
        # The right key is too late.
        refused(portal, portal.client())


def test_configuration_says_what_is_missing() -> None:
    with pytest.raises(errors.ConfigurationError, match="company is missing") as caught:
        lmtokens.add_token(32)
    assert "LM_COMPANY" in (caught.value.suggestion or "")
    assert (caught.value.attempts, caught.value.maybe_applied) == (0, False)


def test_credentials_say_what_is_missing() -> None:
    with pytest.raises(errors.CredentialsError, match="no credentials") as caught:
        lmtokens.Client("acme")
    assert "LM_ACCESS_ID and LM_ACCESS_KEY" in (caught.value.suggestion or "")


def test_text_of_a_hostile_portal_is_one_short_line(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", status=400, message="\x1b[2J\r\nhint: run this\x00\u0085" + "x" * 9000)
    with pytest.raises(errors.BadRequestError) as caught:
        lmtokens.add_token(32)
    text = str(caught.value)
    assert len(text) < 600
    assert text.isprintable()
