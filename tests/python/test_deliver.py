"""A create with a destination: born disabled, delivered, and only then enabled; whatever fails, no key is missing."""

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
    is_pending,
    json_body,
    request_methods,
    requests_with_method,
)
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("type", ["lmv1", "bearer"])
def test_secret_is_delivered_between_birth_and_enabling(lmtokens_portal: Portal, kind: str, type: str) -> None:
    seen: list[tuple[list[str], int, str]] = []

    def deliver(token: lmtokens.Token) -> None:
        stored = created_tokens(lmtokens_portal)[-1]
        assert token.access_key is not None
        assert token.access_key.reveal() == stored.access_key.reveal()
        seen.append((request_methods(lmtokens_portal), stored.status, stored.note))

    token = api_for(kind, lmtokens_portal).add_token(32, "ci", type=type, deliver=deliver)
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


@pytest.mark.parametrize("kind", VARIANTS)
def test_result_holds_no_secret(lmtokens_portal: Portal, kind: str) -> None:
    token = api_for(kind, lmtokens_portal).add_token(32, deliver=RecordingDestination())
    assert token.access_key is None


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("note", ["ci", None])
def test_status_1_ends_disabled(lmtokens_portal: Portal, kind: str, note: str | None) -> None:
    keeper = RecordingDestination()
    token = api_for(kind, lmtokens_portal).add_token(32, note, 1, deliver=keeper)
    (stored,) = created_tokens(lmtokens_portal)
    assert (stored.status, stored.note) == (1, note or "")
    assert token.status == lmtokens.TokenStatus.DISABLED
    assert keeper.names == ["deliver", "commit"]


def test_no_note_leaves_no_tag(lmtokens_portal: Portal) -> None:
    token = lmtokens.add_token(32, deliver=RecordingDestination())
    (stored,) = created_tokens(lmtokens_portal)
    assert (stored.note, stored.status) == ("", 2)
    plain = lmtokens.add_token(32)
    assert token.note == plain.note


def test_each_attempt_has_a_tag_of_its_own(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")
    lmtokens.add_token(32, "ci", deliver=RecordingDestination())
    first, second = (json_body(seen)["note"] for seen in requests_with_method(lmtokens_portal, "POST"))
    assert first != second
    assert TAG.fullmatch(first)
    assert TAG.fullmatch(second)


def test_note_of_the_tags_form_is_refused_unsent(lmtokens_portal: Portal) -> None:
    note = f"lmtokens-1-{'0' * 16}-1700000000-{'0' * 32}"
    for refused in (note, note + " ci"):
        with pytest.raises(ValueError, match="tags"):
            lmtokens.add_token(32, refused, deliver=RecordingDestination())
    assert lmtokens_portal.record == []


@pytest.mark.parametrize("deliver", [7, "token.json", object(), []], ids=["int", "str", "object", "list"])
def test_what_cannot_take_a_token_is_refused_unsent(lmtokens_portal: Portal, deliver: Any) -> None:
    with pytest.raises(TypeError, match=r"to_file\("):
        lmtokens.add_token(32, deliver=deliver)
    assert lmtokens_portal.record == []


LOST = ["act-then-close", "act-then-status", "act-then-html", "garbage", "truncated", "empty", "wrong-shape", "no-key"]


@pytest.mark.parametrize("fault", LOST)
def test_create_whose_answer_is_lost_is_deleted_and_made_again(lmtokens_portal: Portal, fault: str) -> None:
    keeper = RecordingDestination()
    lmtokens_portal.fail(fault, method="POST")
    token = lmtokens.add_token(32, "ci", deliver=keeper)
    assert request_methods(lmtokens_portal)[0] == "POST"
    assert request_methods(lmtokens_portal)[-3:] == ["DELETE", "POST", "PATCH"]
    (stored,) = created_tokens(lmtokens_portal)
    assert (stored.id, stored.status, stored.note) == (token.id, 2, "ci")
    assert_no_key_is_lost(lmtokens_portal, keeper.keys)


NOT_DONE = ["close-before-acting", "status-before-acting", "html", "error-in-200", "v1-error"]


@pytest.mark.parametrize("fault", NOT_DONE)
def test_create_that_did_nothing_is_unknown_to_who_never_saw_a_token_of_theirs(
    lmtokens_portal: Portal, fault: str
) -> None:
    lmtokens_portal.fail(fault, method="POST")
    with pytest.raises(lmtokens.OutcomeUnknownError, match="empty list is no evidence") as caught:
        lmtokens.add_token(32, "ci", deliver=RecordingDestination())
    assert created_tokens(lmtokens_portal) == []
    assert (caught.value.maybe_applied, caught.value.candidates) == (True, [])
    assert len(requests_with_method(lmtokens_portal, "POST")) == 1
    assert "sweep" in str(caught.value.suggestion)


@pytest.mark.parametrize("fault", NOT_DONE)
def test_create_that_did_nothing_is_made_again_by_who_has_seen_one(lmtokens_portal: Portal, fault: str) -> None:
    keeper = RecordingDestination()
    lmtokens.add_token(32, "first", deliver=keeper)
    lmtokens_portal.fail(fault, method="POST")
    token = lmtokens.add_token(32, "second", deliver=keeper)
    assert [stored.note for stored in created_tokens(lmtokens_portal)] == ["first", "second"]
    assert created_tokens(lmtokens_portal)[-1].id == token.id
    assert requests_with_method(lmtokens_portal, "DELETE") == []
    assert_no_key_is_lost(lmtokens_portal, keeper.keys)


def test_create_refused_for_the_budget_is_sent_again(lmtokens_portal: Portal) -> None:
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
def test_refused_create_is_sent_once(lmtokens_portal: Portal, status: int, error: type[Exception]) -> None:
    keeper = RecordingDestination()
    lmtokens_portal.fail("status-before-acting", method="POST", status=status)
    with pytest.raises(error):
        lmtokens.add_token(32, deliver=keeper)
    assert request_methods(lmtokens_portal) == ["POST"]
    assert keeper.calls == []


@pytest.mark.parametrize("fault", ["close-before-acting", "status-before-acting", "garbage"])
def test_lost_answer_and_a_look_that_fails(lmtokens_portal: Portal, fault: str) -> None:
    lmtokens_portal.fail("act-then-close", method="POST")
    lmtokens_portal.fail(fault, method="GET", times=None)
    with pytest.raises(lmtokens.OutcomeUnknownError, match="the look at the portal failed") as caught:
        portal_client(lmtokens_portal).add_token(32, "ci", deliver=RecordingDestination())
    assert caught.value.candidates is None
    assert isinstance(caught.value.__cause__, lmtokens.LMTokensError)
    (left,) = created_tokens(lmtokens_portal)
    assert is_pending(left)
    assert left.note.rpartition(" ")[0] in str(caught.value.suggestion)


def portal_client(portal: Portal) -> lmtokens.Client:
    """A client that does not repeat: what a fault leaves is seen sooner."""
    return portal.client(max_attempts=1)


def test_who_may_create_and_not_view_deletes_nothing_and_makes_nothing_twice(lmtokens_portal: Portal) -> None:
    user = lmtokens_portal.add_user("writer", may_view=False)
    client = lmtokens_portal.client(**credentials_of(lmtokens_portal.create_token(user)))
    client.add_token(32, "before", deliver=RecordingDestination())
    for fault in ("act-then-close", "close-before-acting"):
        lmtokens_portal.clear_record()
        lmtokens_portal.fail(fault, method="POST")
        with pytest.raises(lmtokens.OutcomeUnknownError, match="have not been shown a token that they made"):
            client.add_token(32, "ci", deliver=RecordingDestination())
        assert len(requests_with_method(lmtokens_portal, "POST")) == 1
        assert requests_with_method(lmtokens_portal, "DELETE") == []
    assert [is_pending(stored) for stored in created_tokens(lmtokens_portal, 3)] == [False, True]


@pytest.mark.parametrize(
    "fault", ["close-before-acting", "act-then-close", "act-then-status", "act-then-html", "html", "garbage", "empty"]
)
def test_change_whose_answer_is_lost_is_sent_again(lmtokens_portal: Portal, fault: str) -> None:
    keeper = RecordingDestination()
    lmtokens_portal.fail(fault, method="PATCH")
    token = lmtokens.add_token(32, "ci", deliver=keeper)
    assert request_methods(lmtokens_portal) == ["POST", "PATCH", "PATCH"]
    (stored,) = created_tokens(lmtokens_portal)
    assert (stored.id, stored.status, stored.note) == (token.id, 2, "ci")
    assert keeper.names == ["deliver", "commit"]
    assert_no_key_is_lost(lmtokens_portal, keeper.keys)


def test_change_that_is_never_answered_leaves_the_token_and_says_how_to_finish(lmtokens_portal: Portal) -> None:
    keeper = RecordingDestination()
    lmtokens_portal.fail("act-then-close", method="PATCH", times=None)
    with pytest.raises(lmtokens.OutcomeUnknownError, match="its key delivered") as caught:
        portal_client(lmtokens_portal).add_token(32, "ci", deliver=keeper)
    assert requests_with_method(lmtokens_portal, "DELETE") == []
    assert keeper.names == ["deliver"]
    (stored,) = created_tokens(lmtokens_portal)
    assert stored.status == 2
    assert_no_key_is_lost(lmtokens_portal, keeper.keys)
    (candidate,) = caught.value.candidates or []
    assert (candidate.id, candidate.access_key) == (stored.id, None)
    # The command that finishes is in the hint, and works.
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
def test_refused_change_deletes_the_token(lmtokens_portal: Portal, status: int, error: type[Exception]) -> None:
    keeper = RecordingDestination()
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=status)
    with pytest.raises(error) as caught:
        lmtokens.add_token(32, deliver=keeper)
    assert created_tokens(lmtokens_portal) == []
    assert keeper.names == ["deliver", "discard"]
    assert "has been deleted" in str(getattr(caught.value, "suggestion", ""))


def test_refused_change_and_refused_deletion_say_what_is_left(lmtokens_portal: Portal) -> None:
    keeper = RecordingDestination()
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=403)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=403)
    with pytest.raises(lmtokens.PermissionDeniedError) as caught:
        lmtokens.add_token(32, deliver=keeper)
    (left,) = created_tokens(lmtokens_portal)
    assert is_pending(left)
    assert f"token {left.id} is left behind, disabled" in str(caught.value.suggestion)
    assert "sweep_tokens" in str(caught.value.suggestion)


def test_change_carried_out_unheard_and_then_refused_keeps_the_key(lmtokens_portal: Portal) -> None:
    # The token works since the first change: its key must not be thrown away while it cannot be deleted.
    keeper = RecordingDestination()
    lmtokens_portal.fail("act-then-close", method="PATCH")
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=403, times=None)
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=403, times=None)
    with pytest.raises(lmtokens.LMTokensError):
        portal_client(lmtokens_portal).add_token(32, "ci", deliver=keeper)
    assert_no_key_is_lost(lmtokens_portal, keeper.keys)


def test_token_deleted_by_someone_while_it_is_made(lmtokens_portal: Portal) -> None:
    keeper = RecordingDestination()
    other = lmtokens_portal.client()

    class Deleting(RecordingDestination):
        def deliver(self, token: lmtokens.Token) -> None:
            keeper.deliver(token)
            other.delete_token(token.id)

        def discard(self, token: lmtokens.Token) -> None:
            keeper.discard(token)

    with pytest.raises(lmtokens.NotFoundError, match="worth nothing"):
        lmtokens.add_token(32, "ci", deliver=Deleting())
    assert keeper.names == ["deliver", "discard"]
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
def test_failed_delivery_and_a_deletion_that_stumbles(lmtokens_portal: Portal, fault: str) -> None:
    def deliver(token: lmtokens.Token) -> None:
        raise OSError

    lmtokens_portal.fail(fault, method="DELETE")
    with pytest.raises(lmtokens.DeliveryError) as caught:
        lmtokens.add_token(32, "ci", deliver=deliver)
    left = created_tokens(lmtokens_portal)
    said = str(caught.value.suggestion)
    assert ("has been deleted" if left == [] else "left behind") in said
    assert all(is_pending(stored) for stored in left)


def test_portal_deaf_to_the_status_is_told_again_before_delivery(lmtokens_portal: Portal) -> None:
    statuses: list[int] = []

    def deafen(exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.body = exchange.body.replace(b'"status":1', b'"status":2')

    def deliver(token: lmtokens.Token) -> None:
        statuses.append(created_tokens(lmtokens_portal)[-1].status)

    with TamperingProxy(lmtokens_portal, before=deafen) as portal:
        portal.client().add_token(32, "ci", deliver=deliver)
    assert request_methods(lmtokens_portal) == ["POST", "PATCH", "PATCH"]
    assert json_body(requests_with_method(lmtokens_portal, "POST")[0])["status"] == 2
    assert statuses == [1]
    assert [(stored.status, stored.note) for stored in created_tokens(lmtokens_portal)] == [(2, "ci")]


def test_portal_that_does_not_disable_gets_no_delivery(lmtokens_portal: Portal) -> None:
    def deafen(exchange: Exchange) -> None:
        if exchange.method == "POST":
            exchange.body = exchange.body.replace(b'"status":1', b'"status":2')

    keeper = RecordingDestination()
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=403)
    with TamperingProxy(lmtokens_portal, before=deafen) as portal, pytest.raises(lmtokens.PermissionDeniedError):
        portal.client().add_token(32, "ci", deliver=keeper)
    assert keeper.calls == []
    assert created_tokens(lmtokens_portal) == []


def test_a_delivery_of_some_seconds_is_no_hurry(lmtokens_portal: Portal) -> None:
    begun = time.monotonic()
    lmtokens.add_token(32, deliver=lambda token: time.sleep(0.3))
    assert time.monotonic() - begun >= 0.3
    assert request_methods(lmtokens_portal) == ["POST", "PATCH"]
