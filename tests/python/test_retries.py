"""Which requests are retried, how often, and which never are."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import VARIANTS, api_for
from support import ACCESS_ID, ACCESS_KEY, StubServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmtokens.sandbox import Portal, Seen

MAX_ATTEMPTS = 3

# Each call sends one request of this method.
CALLS: dict[str, Callable[[lmtokens.Client, lmtokens.Token], object]] = {
    "GET": lambda api, token: list(api.list_tokens(32, type="lmv1")),
    "PATCH": lambda api, token: api.update_token(token, "after"),
    "DELETE": lambda api, token: api.delete_token(token),
}

RETRIED: list[dict[str, Any]] = [
    {"kind": "close-before-acting"},
    {"kind": "act-then-close"},
    {"kind": "status-before-acting", "status": 502},
    {"kind": "act-then-status", "status": 503},
    {"kind": "html", "status": 504},
    {"kind": "act-then-html", "status": 503},
    {"kind": "truncated"},
]

NOT_RETRIED: list[tuple[dict[str, Any], type[lmtokens.LMTokensError]]] = [
    ({"kind": "status-before-acting", "status": 500}, lmtokens.ServerError),
    ({"kind": "act-then-status", "status": 500}, lmtokens.ServerError),
    ({"kind": "html", "status": 501}, lmtokens.ServerError),
    ({"kind": "status-before-acting", "status": 400}, lmtokens.BadRequestError),
    ({"kind": "status-before-acting", "status": 401}, lmtokens.AuthenticationError),
    ({"kind": "status-before-acting", "status": 403}, lmtokens.PermissionDeniedError),
    ({"kind": "status-before-acting", "status": 404}, lmtokens.NotFoundError),
    ({"kind": "status-before-acting", "status": 409}, lmtokens.ConflictError),
    ({"kind": "status-before-acting", "status": 412}, lmtokens.TwoFactorRequiredError),
    ({"kind": "error-in-200"}, lmtokens.ServerError),
    ({"kind": "v1-error"}, lmtokens.ServerError),
    ({"kind": "garbage"}, lmtokens.ResponseError),
    ({"kind": "redirect"}, lmtokens.APIError),
]


def fault_id(fault: dict[str, Any]) -> str:
    return "-".join(str(value) for value in fault.values())


def requests_of(portal: Portal, method: str) -> list[Seen]:
    return [seen for seen in portal.record if seen.method == method]


@pytest.mark.parametrize("method", CALLS)
class TestIdempotentRequest:
    @pytest.mark.parametrize("fault", RETRIED, ids=fault_id)
    def test_is_retried(self, lmtokens_portal: Portal, method: str, fault: dict[str, Any]) -> None:
        client = lmtokens_portal.client()
        token = client.add_token(32, "before")
        lmtokens_portal.fail(**fault, method=method)
        CALLS[method](client, token)
        assert len(requests_of(lmtokens_portal, method)) == 2
        after = {stored.id: stored.note for stored in lmtokens_portal.tokens}.get(token.id)
        assert after == {"GET": "before", "PATCH": "after", "DELETE": None}[method]

    @pytest.mark.parametrize("kind", VARIANTS)
    def test_is_sent_at_most_three_times(self, lmtokens_portal: Portal, method: str, kind: str) -> None:
        api = api_for(kind, lmtokens_portal)
        token = api.add_token(32, "before")
        lmtokens_portal.fail("close-before-acting", method=method, times=None)
        with pytest.raises(lmtokens.TransportError) as raised:
            CALLS[method](api, token)
        assert raised.value.attempts == len(requests_of(lmtokens_portal, method)) == MAX_ATTEMPTS
        assert raised.value.maybe_applied == (method != "GET")

    def test_is_retried_after_a_timeout(self, lmtokens_portal: Portal, method: str) -> None:
        token = lmtokens_portal.client().add_token(32, "before")
        lmtokens_portal.fail("delay", method=method, times=None, seconds=60)
        with pytest.raises(lmtokens.RequestTimeoutError) as raised:
            CALLS[method](lmtokens_portal.client(timeout=0.25), token)
        assert raised.value.attempts == MAX_ATTEMPTS
        assert raised.value.maybe_applied == (method != "GET")

    @pytest.mark.parametrize(
        ("fault", "error"), NOT_RETRIED, ids=lambda value: fault_id(value) if type(value) is dict else ""
    )
    def test_is_not_retried_after_a_final_response(
        self, lmtokens_portal: Portal, method: str, fault: dict[str, Any], error: type[lmtokens.LMTokensError]
    ) -> None:
        client = lmtokens_portal.client()
        token = client.add_token(32, "before")
        lmtokens_portal.fail(**fault, method=method, times=None)
        with pytest.raises(error) as raised:
            CALLS[method](client, token)
        assert raised.value.attempts == len(requests_of(lmtokens_portal, method)) == 1

    def test_is_signed_for_each_attempt(self, lmtokens_portal: Portal, method: str) -> None:
        client = lmtokens_portal.client()
        token = client.add_token(32, "before")
        lmtokens_portal.fail("status-before-acting", method=method, status=503, times=2)
        CALLS[method](client, token)
        assert [seen.signature for seen in requests_of(lmtokens_portal, method)] == ["valid"] * MAX_ATTEMPTS


def test_each_attempt_is_signed_with_its_own_time() -> None:
    with StubServer(b"busy", status=503) as server:
        client = lmtokens.Client(base_url=server.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY)
        with pytest.raises(lmtokens.ServerError):
            client.find_token(1)
    headers = [heard.headers["authorization"] for heard in server.requests]
    times = [int(header.rpartition(":")[2]) for header in headers]
    assert len(times) == MAX_ATTEMPTS
    assert times == sorted(times)
    assert len(set(times)) > 1
    assert headers == [
        lmtokens.sign("GET", "/setting/admins/apitokens", access_id=ACCESS_ID, access_key=ACCESS_KEY, timestamp_ms=time)
        for time in times
    ]


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("fault", [*RETRIED, *(fault for fault, _ in NOT_RETRIED)], ids=fault_id)
def test_create_that_may_have_arrived_is_sent_once(lmtokens_portal: Portal, kind: str, fault: dict[str, Any]) -> None:
    lmtokens_portal.fail(**fault, method="POST", times=None)
    with pytest.raises(lmtokens.LMTokensError):
        api_for(kind, lmtokens_portal).add_token(32)
    assert len(requests_of(lmtokens_portal, "POST")) == 1


@pytest.mark.parametrize("kind", VARIANTS)
def test_create_that_cannot_have_arrived_is_retried(lmtokens_portal: Portal, kind: str) -> None:
    api = api_for(kind, lmtokens_portal)
    lmtokens_portal.close()
    with pytest.raises(lmtokens.ConnectError) as raised:
        api.add_token(32)
    assert (raised.value.attempts, raised.value.maybe_applied) == (MAX_ATTEMPTS, False)


@pytest.mark.parametrize("kind", VARIANTS)
def test_maybe_applied_considers_earlier_attempts(lmtokens_portal: Portal, kind: str) -> None:
    api = api_for(kind, lmtokens_portal)
    token = api.add_token(32, "before")
    lmtokens_portal.fail("act-then-close", method="PATCH")
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=400)
    with pytest.raises(lmtokens.BadRequestError) as raised:
        api.update_token(token, "after")
    assert (raised.value.attempts, raised.value.maybe_applied) == (2, True)


def test_own_token_may_be_deleted_if_the_response_is_lost(lmtokens_portal: Portal) -> None:
    # The portal rejects the retry because the token that signs it no longer exists.
    client = lmtokens_portal.client()
    lmtokens_portal.fail("act-then-close", method="DELETE")
    with pytest.raises(lmtokens.AuthenticationError) as raised:
        client.delete_token(101, force=True)
    assert raised.value.maybe_applied


def test_log_reports_each_attempt_and_delay(lmtokens_portal: Portal, caplog: pytest.LogCaptureFixture) -> None:
    lmtokens_portal.fail("status-before-acting", method="GET", status=503, times=2)
    with caplog.at_level(logging.DEBUG, logger="lmtokens"):
        list(lmtokens_portal.client().list_tokens(type="bearer"))
    messages = [record.getMessage() for record in caplog.records if record.name == "lmtokens"]
    assert len(messages) == MAX_ATTEMPTS
    assert ["retry in" in text for text in messages] == [True, True, False]
    assert ["503" in text for text in messages] == [True, True, False]
    assert all(f"attempt {number}" in text for number, text in enumerate(messages, 1))
