"""Creating a token with a destination: it is created disabled, delivered, then enabled; no failure loses a key."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import VARIANTS, api_for, credentials_of
from delivery_helpers import (
    TAG,
    RecordingDestination,
    assert_no_key_is_lost,
    created_tokens,
    edit_token,
    is_pending,
    json_body,
    request_methods,
    requests_with_method,
)
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal, StoredToken


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("type", ["lmv1", "bearer"])
def test_secret_is_delivered_before_the_token_is_enabled(lmtokens_portal: Portal, variant: Any, type: Any) -> None:
    seen: list[tuple[list[str], int, str]] = []

    def deliver(token: lmtokens.Token) -> None:
        stored = created_tokens(lmtokens_portal)[-1]
        assert token.access_key is not None
        assert token.access_key.reveal() == stored.access_key.reveal()
        seen.append((request_methods(lmtokens_portal), stored.status, stored.note))

    token = api_for(variant, lmtokens_portal).add_token(32, "ci", type=type, deliver=deliver)
    assert request_methods(lmtokens_portal) == ["POST", "PATCH"]
    ((before, status, note),) = seen
    match = TAG.fullmatch(note)
    assert (before, status) == (["POST"], 1)
    assert match is not None
    assert match[1] == " ci"
    assert json_body(requests_with_method(lmtokens_portal, "POST")[0]) == {"note": note, "status": 1}
    assert json_body(requests_with_method(lmtokens_portal, "PATCH")[0]) == {"note": "ci", "status": 2}
    (stored,) = created_tokens(lmtokens_portal)
    assert (stored.note, stored.status, stored.type) == ("ci", 2, type)
    assert (token.id, token.note, token.status) == (stored.id, "ci", lmtokens.TokenStatus.ENABLED)
    assert token.type == type


@pytest.mark.parametrize("variant", VARIANTS)
def test_returned_token_has_no_secret(lmtokens_portal: Portal, variant: str) -> None:
    token = api_for(variant, lmtokens_portal).add_token(32, deliver=RecordingDestination())
    assert token.access_key is None


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("note", ["ci", None])
def test_status_disabled_leaves_the_token_disabled(lmtokens_portal: Portal, variant: str, note: str | None) -> None:
    destination = RecordingDestination()
    token = api_for(variant, lmtokens_portal).add_token(32, note, 1, deliver=destination)
    (stored,) = created_tokens(lmtokens_portal)
    assert (stored.status, stored.note) == (1, note or "")
    assert token.status == lmtokens.TokenStatus.DISABLED
    assert destination.names == ["deliver", "commit"]


def test_tag_is_removed_if_there_is_no_note(lmtokens_portal: Portal) -> None:
    token = lmtokens.add_token(32, deliver=RecordingDestination())
    (stored,) = created_tokens(lmtokens_portal)
    assert (stored.note, stored.status) == ("", 2)
    plain = lmtokens.add_token(32)
    assert token.note == plain.note


def test_each_attempt_uses_a_new_tag(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")
    lmtokens.add_token(32, "ci", deliver=RecordingDestination())
    first, second = (json_body(seen)["note"] for seen in requests_with_method(lmtokens_portal, "POST"))
    assert first != second
    assert TAG.fullmatch(first)
    assert TAG.fullmatch(second)


def test_note_that_looks_like_a_tag_is_rejected_before_the_first_request(lmtokens_portal: Portal) -> None:
    note = f"lmtokens-1-{'0' * 16}-1700000000-{'0' * 32}"
    for rejected in (note, note + " ci"):
        with pytest.raises(ValueError, match="tag of lmtokens"):
            lmtokens.add_token(32, rejected, deliver=RecordingDestination())
    assert lmtokens_portal.record == []


@pytest.mark.parametrize("deliver", [7, "token.json", object(), []], ids=["int", "str", "object", "list"])
def test_invalid_destination_is_rejected_before_the_first_request(lmtokens_portal: Portal, deliver: Any) -> None:
    with pytest.raises(TypeError, match=r"to_file\("):
        lmtokens.add_token(32, deliver=deliver)
    assert lmtokens_portal.record == []


LOST_RESPONSES = [
    "act-then-close",
    "act-then-status",
    "act-then-html",
    "garbage",
    "truncated",
    "empty",
    "wrong-shape",
    "no-key",
]


@pytest.mark.parametrize("fault", LOST_RESPONSES)
def test_create_with_a_lost_response_is_deleted_and_repeated(lmtokens_portal: Portal, fault: Any) -> None:
    destination = RecordingDestination()
    lmtokens_portal.fail(fault, method="POST")
    token = lmtokens.add_token(32, "ci", deliver=destination)
    assert request_methods(lmtokens_portal)[0] == "POST"
    assert request_methods(lmtokens_portal)[-3:] == ["DELETE", "POST", "PATCH"]
    (stored,) = created_tokens(lmtokens_portal)
    assert (stored.id, stored.status, stored.note) == (token.id, 2, "ci")
    assert_no_key_is_lost(lmtokens_portal, destination.keys)


NOT_APPLIED = ["close-before-acting", "status-before-acting", "html", "error-in-200", "v1-error"]


@pytest.mark.parametrize("fault", NOT_APPLIED)
def test_failed_create_is_unknown_if_the_client_has_seen_no_token_yet(lmtokens_portal: Portal, fault: Any) -> None:
    lmtokens_portal.fail(fault, method="POST")
    with pytest.raises(lmtokens.OutcomeUnknownError, match="empty list proves nothing") as caught:
        lmtokens.add_token(32, "ci", deliver=RecordingDestination())
    assert created_tokens(lmtokens_portal) == []
    assert (caught.value.maybe_applied, caught.value.candidates) == (True, [])
    assert len(requests_with_method(lmtokens_portal, "POST")) == 1
    assert "sweep" in str(caught.value.suggestion)


@pytest.mark.parametrize("fault", NOT_APPLIED)
def test_failed_create_is_repeated_if_the_client_has_seen_a_token(lmtokens_portal: Portal, fault: Any) -> None:
    destination = RecordingDestination()
    lmtokens.add_token(32, "first", deliver=destination)
    lmtokens_portal.fail(fault, method="POST")
    token = lmtokens.add_token(32, "second", deliver=destination)
    assert [stored.note for stored in created_tokens(lmtokens_portal)] == ["first", "second"]
    assert created_tokens(lmtokens_portal)[-1].id == token.id
    assert requests_with_method(lmtokens_portal, "DELETE") == []
    assert_no_key_is_lost(lmtokens_portal, destination.keys)


@pytest.mark.parametrize("note", ["ci", None])
def test_token_of_a_lost_create_whose_note_was_edited_is_kept(lmtokens_portal: Portal, note: str | None) -> None:
    edited: list[StoredToken] = []

    def before(exchange: Exchange) -> None:
        if exchange.method == "GET" and not edited:
            edited.extend(created_tokens(lmtokens_portal))
            edit_token(lmtokens_portal, edited[0], note=f"{edited[0].note} keep me")

    lmtokens_portal.fail("act-then-close", method="POST")
    unknown = pytest.raises(lmtokens.OutcomeUnknownError, match="is kept, because its note was changed")
    with TamperingProxy(lmtokens_portal, before=before) as portal, unknown:
        portal.client().add_token(32, note, deliver=RecordingDestination())
    (stored,) = created_tokens(lmtokens_portal)
    assert (stored.id, stored.status, stored.note.endswith(" keep me")) == (edited[0].id, 1, True)


def test_rate_limited_create_is_repeated(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(100, 0.2)
    lmtokens_portal.fail("rate-limited", method="POST")
    lmtokens.add_token(32, "ci", deliver=RecordingDestination())
    assert [seen.status for seen in requests_with_method(lmtokens_portal, "POST")] == [429, 200]
    assert [stored.status for stored in created_tokens(lmtokens_portal)] == [2]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, lmtokens.BadRequestError),
        (401, lmtokens.AuthenticationError),
        (403, lmtokens.PermissionDeniedError),
        (404, lmtokens.NotFoundError),
        (409, lmtokens.ConflictError),
        (412, lmtokens.TwoFactorRequiredError),
    ],
)
def test_rejected_create_is_sent_once(lmtokens_portal: Portal, status: int, error: type[Exception]) -> None:
    destination = RecordingDestination()
    lmtokens_portal.fail("status-before-acting", method="POST", status=status)
    with pytest.raises(error):
        lmtokens.add_token(32, deliver=destination)
    assert request_methods(lmtokens_portal) == ["POST"]
    assert destination.calls == []


@pytest.mark.parametrize("fault", ["close-before-acting", "status-before-acting", "garbage"])
def test_lost_response_and_failed_lookup_raise_outcome_unknown(lmtokens_portal: Portal, fault: Any) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")
    lmtokens_portal.fail(fault, method="GET", times=None)
    with pytest.raises(lmtokens.OutcomeUnknownError, match="looking for it failed") as caught:
        client_without_retries(lmtokens_portal).add_token(32, "ci", deliver=RecordingDestination())
    assert caught.value.candidates is None
    assert isinstance(caught.value.__cause__, lmtokens.LMTokensError)
    (pending,) = created_tokens(lmtokens_portal)
    assert is_pending(pending)
    assert pending.note.rpartition(" ")[0] in str(caught.value.suggestion)


def client_without_retries(portal: Portal) -> lmtokens.Client:
    """Return a client that does not retry, so that one fault is enough."""
    return portal.client(max_attempts=1)


def test_credentials_that_cannot_view_neither_delete_nor_repeat(lmtokens_portal: Portal) -> None:
    user = lmtokens_portal.add_user("writer", may_view=False)
    client = lmtokens_portal.client(**credentials_of(lmtokens_portal.create_token(user)))
    client.add_token(32, "before", deliver=RecordingDestination())
    for fault in ("act-then-close", "close-before-acting"):
        lmtokens_portal.clear_record()
        lmtokens_portal.fail(fault, method="POST")
        with pytest.raises(lmtokens.OutcomeUnknownError, match="have not yet seen a token that they created"):
            client.add_token(32, "ci", deliver=RecordingDestination())
        assert len(requests_with_method(lmtokens_portal, "POST")) == 1
        assert requests_with_method(lmtokens_portal, "DELETE") == []
    assert [is_pending(stored) for stored in created_tokens(lmtokens_portal, 3)] == [False, True]


@pytest.mark.parametrize(
    "fault", ["close-before-acting", "act-then-close", "act-then-status", "act-then-html", "html", "garbage", "empty"]
)
def test_enabling_with_a_lost_response_is_repeated(lmtokens_portal: Portal, fault: Any) -> None:
    destination = RecordingDestination()
    lmtokens_portal.fail(fault, method="PATCH")
    token = lmtokens.add_token(32, "ci", deliver=destination)
    assert request_methods(lmtokens_portal) == ["POST", "PATCH", "PATCH"]
    (stored,) = created_tokens(lmtokens_portal)
    assert (stored.id, stored.status, stored.note) == (token.id, 2, "ci")
    assert destination.names == ["deliver", "commit"]
    assert_no_key_is_lost(lmtokens_portal, destination.keys)


def test_enabling_without_any_response_keeps_the_token_and_names_the_remedy(lmtokens_portal: Portal) -> None:
    destination = RecordingDestination()
    lmtokens_portal.fail("act-then-close", method="PATCH", times=None)
    with pytest.raises(lmtokens.OutcomeUnknownError, match="its key delivered") as caught:
        client_without_retries(lmtokens_portal).add_token(32, "ci", deliver=destination)
    assert requests_with_method(lmtokens_portal, "DELETE") == []
    assert destination.names == ["deliver"]
    (stored,) = created_tokens(lmtokens_portal)
    assert stored.status == 2
    assert_no_key_is_lost(lmtokens_portal, destination.keys)
    (candidate,) = caught.value.candidates or []
    assert (candidate.id, candidate.access_key) == (stored.id, None)
    # The command in the hint works.
    lmtokens_portal.clear_faults()
    lmtokens.disable_token(stored.id)
    command = str(caught.value.suggestion).partition("finish it with ")[2].partition(")")[0] + ")"
    assert command.startswith("lmtokens.update_token(")
    eval(command, {"lmtokens": lmtokens})
    (stored,) = created_tokens(lmtokens_portal)
    assert (stored.status, stored.note) == (2, "ci")


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, lmtokens.BadRequestError), (401, lmtokens.AuthenticationError), (403, lmtokens.PermissionDeniedError)],
)
def test_rejected_enabling_deletes_the_token(lmtokens_portal: Portal, status: int, error: type[Exception]) -> None:
    destination = RecordingDestination()
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=status)
    with pytest.raises(error) as caught:
        lmtokens.add_token(32, deliver=destination)
    assert created_tokens(lmtokens_portal) == []
    assert destination.names == ["deliver", "discard"]
    assert "has been deleted" in str(getattr(caught.value, "suggestion", ""))


def test_rejected_enabling_and_deletion_name_the_pending_token(lmtokens_portal: Portal) -> None:
    destination = RecordingDestination()
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=403)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=403)
    with pytest.raises(lmtokens.PermissionDeniedError) as caught:
        lmtokens.add_token(32, deliver=destination)
    (pending,) = created_tokens(lmtokens_portal)
    assert is_pending(pending)
    assert f"token {pending.id} remains, disabled" in str(caught.value.suggestion)
    assert "sweep_tokens" in str(caught.value.suggestion)


def test_key_of_a_token_that_may_be_enabled_is_kept(lmtokens_portal: Portal) -> None:
    # The first PATCH enabled the token, which cannot be deleted either, so its key must be kept.
    destination = RecordingDestination()
    lmtokens_portal.fail("act-then-close", method="PATCH")
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=403, times=None)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=403, times=None)
    with pytest.raises(lmtokens.LMTokensError):
        client_without_retries(lmtokens_portal).add_token(32, "ci", deliver=destination)
    assert_no_key_is_lost(lmtokens_portal, destination.keys)


def test_token_deleted_by_another_client_during_delivery_is_discarded(lmtokens_portal: Portal) -> None:
    destination = RecordingDestination()
    other = lmtokens_portal.client()

    class DeletingDestination(RecordingDestination):
        def deliver(self, token: lmtokens.Token) -> None:
            destination.deliver(token)
            other.delete_token(token.id)

        def discard(self, token: lmtokens.Token) -> None:
            destination.discard(token)

    with pytest.raises(lmtokens.NotFoundError, match="is void"):
        lmtokens.add_token(32, "ci", deliver=DeletingDestination())
    assert destination.names == ["deliver", "discard"]
    assert created_tokens(lmtokens_portal) == []


def test_failed_delivery_deletes_the_token(lmtokens_portal: Portal) -> None:
    def deliver(token: lmtokens.Token) -> None:
        raise OSError("no room")

    with pytest.raises(lmtokens.DeliveryError, match="OSError") as caught:
        lmtokens.add_token(32, "ci", deliver=deliver)
    assert isinstance(caught.value.__cause__, OSError)
    assert request_methods(lmtokens_portal)[0] == "POST"
    assert request_methods(lmtokens_portal)[-1] == "DELETE"
    assert created_tokens(lmtokens_portal) == []


@pytest.mark.parametrize("fault", ["act-then-close", "close-before-acting", "act-then-status", "html", "garbage"])
def test_failed_delivery_and_failed_deletion_report_the_token(lmtokens_portal: Portal, fault: Any) -> None:
    def deliver(token: lmtokens.Token) -> None:
        raise OSError

    lmtokens_portal.fail(fault, method="DELETE")
    with pytest.raises(lmtokens.DeliveryError) as caught:
        lmtokens.add_token(32, "ci", deliver=deliver)
    pending = created_tokens(lmtokens_portal)
    suggestion = str(caught.value.suggestion)
    assert ("has been deleted" if pending == [] else "remains, disabled") in suggestion
    assert all(is_pending(stored) for stored in pending)


def test_token_created_enabled_is_disabled_before_delivery(lmtokens_portal: Portal) -> None:
    statuses: list[int] = []

    def enable_in_create(exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.body = exchange.body.replace(b'"status":1', b'"status":2')

    def deliver(token: lmtokens.Token) -> None:
        statuses.append(created_tokens(lmtokens_portal)[-1].status)

    with TamperingProxy(lmtokens_portal, before=enable_in_create) as portal:
        portal.client().add_token(32, "ci", deliver=deliver)
    assert request_methods(lmtokens_portal) == ["POST", "PATCH", "PATCH"]
    assert json_body(requests_with_method(lmtokens_portal, "POST")[0])["status"] == 2
    assert statuses == [1]
    assert [(stored.status, stored.note) for stored in created_tokens(lmtokens_portal)] == [(2, "ci")]


def test_token_that_cannot_be_disabled_is_not_delivered(lmtokens_portal: Portal) -> None:
    def enable_in_create(exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.body = exchange.body.replace(b'"status":1', b'"status":2')

    destination = RecordingDestination()
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=403)
    with (
        TamperingProxy(lmtokens_portal, before=enable_in_create) as portal,
        pytest.raises(lmtokens.PermissionDeniedError),
    ):
        portal.client().add_token(32, "ci", deliver=destination)
    assert destination.calls == []
    assert created_tokens(lmtokens_portal) == []


def test_slow_delivery_is_awaited(lmtokens_portal: Portal) -> None:
    begun = time.monotonic()
    lmtokens.add_token(32, deliver=lambda token: time.sleep(0.3))
    assert time.monotonic() - begun >= 0.3
    assert request_methods(lmtokens_portal) == ["POST", "PATCH"]
