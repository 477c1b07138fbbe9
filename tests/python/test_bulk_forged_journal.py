"""Journals that somebody else wrote or changed: a resumed run believes no line that the portal contradicts."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from api_variants import credentials_of
from delivery_helpers import created_tokens, journal_lines, requests_with_method, sealed, tag_for
from support import run_shell
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lmtokens.sandbox import Portal, StoredToken

ROWS = [(32, "a"), (32, "b")]
Lines = list[dict[str, Any]]


class KilledRun:
    """A run that was killed after it created the token of its second row, tokens of others, and its journal."""

    def __init__(self, portal: Portal, journal: Path) -> None:
        self.portal, self.journal = portal, journal
        now = int(time.time())
        self.caller = portal.create_token(32, note="the calling token")
        self.same_owner = portal.create_token(32, note="production", created_on=now - 7200)
        self.other_owner = portal.create_token(33, note="production")
        self.other_run = portal.create_token(32, note=tag_for("b", seconds=now, run="5" * 16) + " b", status=1)
        self.client = portal.client(**credentials_of(self.caller))
        self.client.add_tokens(ROWS, journal=journal, concurrency=1).finish()
        self.header, self.pending_a, self.created_a, self.pending_b, self.created_b = journal_lines(journal)
        # Killed before it enabled the second token.
        tag = self.pending_b["token"]["tag"]
        self.client.update_token(self.created_b["id"], status=1)
        self.first, self.second = created_tokens(portal, skip=6)
        self.retag(tag)

    def retag(self, tag: str) -> None:
        """Replace the second token by a pending one."""
        self.client.delete_token(self.second.id)
        self.second = self.portal.create_token(32, note=f"{tag} b", status=1)
        token = {"id": self.second.id, "access_id": self.second.access_id}
        self.pending_b["token"] = {**self.pending_b["token"], **token, "access_key": "of-the-second"}
        self.created_b["id"] = self.second.id

    def others(self) -> list[tuple[int, int, str]]:
        """Return the state of the tokens that the run must not touch."""
        ids = {token.id for token in (self.caller, self.same_owner, self.other_owner, self.other_run)}
        return [(token.id, token.status, token.note) for token in self.portal.tokens if token.id in ids]


def line(run: KilledRun, stored: StoredToken, **changes: Any) -> dict[str, Any]:
    """Return a pending line of the second row that names this token, with its access id and owner."""
    token = {
        **run.pending_b["token"],
        "id": stored.id,
        "access_id": stored.access_id,
        "admin_id": stored.admin_id,
        "access_key": "somebody-elses-key",
        **changes,
    }
    return {**run.pending_b, "token": token}


def created(run: KilledRun, stored: StoredToken) -> dict[str, Any]:
    return {**run.created_b, "id": stored.id}


def with_tag_of(stored: StoredToken) -> dict[str, Any]:
    return {"tag": stored.note.partition(" ")[0]}


def done(run: KilledRun, stored: StoredToken, **changes: Any) -> Lines:
    return [run.pending_a, run.created_a, line(run, stored, **changes), created(run, stored)]


def only_pending(run: KilledRun, stored: StoredToken, **changes: Any) -> Lines:
    return done(run, stored, **changes)[:3]


# Each returns the lines after the header. The second row must not be done, and no other token may be touched.
FORGERIES: dict[str, Callable[[KilledRun], Lines]] = {
    "done with another owner's token": lambda run: done(run, run.other_owner),
    "done with another owner's token, owner forged": lambda run: done(run, run.other_owner, admin_id=32),
    "done with an older token of the owner": lambda run: done(run, run.same_owner),
    "done with an older token, tag dated back": lambda run: done(
        run, run.same_owner, tag=tag_for("b", seconds=time.time() - 7200, run=run.header["run"])
    ),
    "done with a token under another access id": lambda run: done(run, run.second, access_id="another"),
    "done with a token without an access id": lambda run: done(run, run.second, access_id=None),
    "done with the first row's token": lambda run: done(run, run.first),
    "done with the calling token": lambda run: done(run, run.caller, admin_id=33),
    "done with another run's token": lambda run: done(run, run.other_run, **with_tag_of(run.other_run)),
    "done with another run's token under a tag of this run": lambda run: done(run, run.other_run),
    "done as a bearer token": lambda run: done(run, run.second, type="bearer"),
    "done with a token of another type": lambda run: done(run, run.second, type="other"),
    "done with the portal's first token": lambda run: done(run, run.portal.tokens[0], admin_id=32),
    "done with a token that does not exist": lambda run: done(run, run.second, id=999_999),
    "pending, another owner's token": lambda run: only_pending(run, run.other_owner),
    "pending, another owner's token, owner forged": lambda run: only_pending(run, run.other_owner, admin_id=32),
    "pending, an older token of the owner": lambda run: only_pending(run, run.same_owner),
    "pending, the calling token": lambda run: only_pending(run, run.caller, admin_id=33),
    "pending, the calling token with its access id forged": lambda run: only_pending(
        run, run.caller, access_id="another"
    ),
    "pending, another run's token": lambda run: only_pending(run, run.other_run),
    "pending, another run's token and tag": lambda run: only_pending(run, run.other_run, **with_tag_of(run.other_run)),
    "pending, the first row's token": lambda run: only_pending(run, run.first),
    "pending, a tag of this run that the token does not have": lambda run: only_pending(
        run, run.other_run, tag=tag_for("b", seconds=time.time(), run=run.header["run"])
    ),
    "pending, not a tag": lambda run: only_pending(run, run.second, tag="lmtokens"),
    "pending, a whole note as the tag": lambda run: only_pending(
        run, run.second, tag=run.pending_b["token"]["tag"] + " b"
    ),
    "pending, an empty tag": lambda run: only_pending(run, run.second, tag=""),
    "pending, another access id": lambda run: only_pending(run, run.second, access_id="another"),
    "pending, another type": lambda run: only_pending(run, run.second, type="bearer"),
    "pending, a negative id": lambda run: only_pending(run, run.second, id=-1),
    "pending and done twice": lambda run: [*done(run, run.second), *done(run, run.second)[2:]],
    "the first row's token, discarded and done again": lambda run: [
        run.pending_a,
        {**run.created_a, "event": "discarded"},
        line(run, run.other_owner, admin_id=33),
        created(run, run.other_owner),
    ],
}


@pytest.fixture
def run(portal: Portal, journal: Path) -> KilledRun:
    return KilledRun(portal, journal)


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_line_is_not_believed(run: KilledRun, name: str) -> None:
    run.journal.write_text(sealed([run.header, *FORGERIES[name](run)]))
    others, first = run.others(), run.first
    results = {result.row.note: result for result in run.client.add_tokens(ROWS, journal=run.journal, resume=True)}
    second = results["b"]
    assert (second.state, second.token) == ("unknown", None), second
    assert results["a"].state in ("skipped", "unknown")
    assert run.others() == others
    assert first in run.portal.tokens
    assert len([token for token in run.portal.tokens if (token.note, token.status) == ("b", 2)]) <= 1
    touched = {seen.path.rpartition("/")[2] for seen in requests_with_method(run.portal, "PATCH")}
    assert not touched & {str(token_id) for token_id, _, _ in others}
    assert "somebody-elses-key" not in "".join(str(result.reason) for result in results.values())


def test_genuine_journal_is_resumed(run: KilledRun) -> None:
    run.journal.write_text(sealed([run.header, run.pending_a, run.created_a, run.pending_b]))
    others = run.others()
    summary = run.client.add_tokens(ROWS[:1], journal=run.journal, resume=True).finish()
    assert summary.already_done == 1
    assert run.others() == others


def test_header_with_another_runs_id_deletes_nothing(run: KilledRun) -> None:
    other_run = run.other_run.note.split("-")[2]
    run.journal.write_text(sealed([{**run.header, "run": other_run}]))
    before = run.others()
    with pytest.raises(lmtokens.DeliveryError, match="line 1 is damaged"):
        run.client.add_tokens(ROWS, journal=run.journal, resume=True)
    assert run.others() == before


def test_mismatch_names_the_token_and_no_secret(run: KilledRun) -> None:
    run.journal.write_text(sealed([run.header, *done(run, run.second, access_id="another")]))
    completed = run_shell(
        "bulk",
        str(rows_file(run.journal)),
        "--journal",
        str(run.journal),
        "--resume",
        environment=environment(run),
    )
    assert completed.returncode == 3
    assert f"the journal names token {run.second.id} for this row, but the access id" in completed.stderr
    assert "somebody-elses-key" not in completed.stderr


def rows_file(journal: Path) -> Path:
    path = journal.parent / "rows.csv"
    path.write_text("admin_id,note\n" + "".join(f"{admin},{note}\n" for admin, note in ROWS))
    return path


def environment(run: KilledRun) -> dict[str, str]:
    return {
        **run.portal.environment(),
        "LM_ACCESS_ID": run.caller.access_id,
        "LM_ACCESS_KEY": run.caller.access_key.reveal(),
    }


def test_edited_note_and_status_of_a_finished_token_are_kept(portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS, journal=journal).finish()
    first, second = created_tokens(portal)
    lmtokens.update_token(first.id, "edited", 1)
    portal.clear_record()
    assert lmtokens.add_tokens(ROWS, journal=journal, resume=True).finish().already_done == 2
    assert {seen.method for seen in portal.record} == {"GET"}
    assert [(token.note, token.status) for token in created_tokens(portal)] == [("edited", 1), (second.note, 2)]


def test_finished_rows_are_compared_in_one_list(portal: Portal, journal: Path) -> None:
    rows = [(32, f"row {number}") for number in range(100)]
    lmtokens.add_tokens(rows, journal=journal).finish()
    portal.clear_record()
    assert lmtokens.add_tokens(rows, journal=journal, resume=True).finish().already_done == 100
    # Both types, before the rows and for the orphans after them.
    assert len(portal.record) <= 8


def test_finished_token_that_was_deleted_is_reported_and_not_created_again(portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS, journal=journal).finish()
    lmtokens.delete_token(created_tokens(portal)[0].id)
    for _ in range(2):
        results = {result.row.note: result for result in lmtokens.add_tokens(ROWS, journal=journal, resume=True)}
        (deleted,) = [result for result in results.values() if result.state != "skipped"]
        assert deleted.state == "failed"
        assert isinstance(deleted.error, lmtokens.NotFoundError)
        assert "has been deleted since" in str(deleted.reason)
        assert len(created_tokens(portal)) == 1


def test_lost_end_of_a_journal_creates_no_second_token(portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS, journal=journal, concurrency=1).finish()
    lines = journal.read_text().splitlines(keepends=True)
    for kept in (1, 3):
        journal.write_text("".join(lines[:kept]))
        results = list(lmtokens.add_tokens(ROWS, journal=journal, resume=True))
        lost = [result for result in results if result.state == "unknown"]
        assert len(lost) == 2 - kept // 2
        assert "is not in the journal" in str(lost[0].reason)
    assert [token.note for token in created_tokens(portal)] == ["a", "b"]


def test_copy_of_a_journal_creates_no_second_token(portal: Portal, journal: Path) -> None:
    run = lmtokens.add_tokens(ROWS, journal=journal, concurrency=1)
    next(run)
    copy = journal.parent / "copy"
    copy.write_bytes(journal.read_bytes())
    run.finish()
    assert lmtokens.add_tokens(ROWS, journal=copy, resume=True).finish().created == 0
    assert len(created_tokens(portal)) == 2


def test_removed_journal_creates_no_second_token_if_resumed(portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS, journal=journal).finish()
    journal.unlink()
    summary = lmtokens.add_tokens([*ROWS, (32, "c")], journal=journal, resume=True).finish()
    assert (summary.created, summary.unknown) == (1, 2)
    assert sorted(token.note for token in created_tokens(portal)) == ["a", "b", "c"]


def test_read_journal_shows_every_token_of_a_row(portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens([(32, "a")], journal=journal).finish()
    header, pending, created_line = journal_lines(journal)
    earlier = {**pending, "token": {**pending["token"], "id": 9, "access_key": "earlier"}}
    journal.write_text(sealed([header, earlier, pending, created_line]))
    entries = lmtokens.read_journal(journal)
    assert [(entry.state, entry.token and entry.token.id) for entry in entries] == [
        ("pending", 9),
        ("created", pending["token"]["id"]),
    ]
    completed = run_shell("bulk", "--journal", str(journal), "--export")
    assert completed.returncode == 3
    assert "earlier" not in completed.stdout
    assert "not known to be enabled, and not printed: tokens 9" in completed.stderr


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can give a file to another user")
def test_journal_of_another_user_is_refused(portal: Portal, journal: Path) -> None:
    lmtokens.add_tokens(ROWS[:1], journal=journal).finish()
    os.chown(journal, 1000, 1000)
    text = journal.read_bytes()
    portal.clear_record()
    with pytest.raises(lmtokens.DeliveryError, match=r"belongs to another user \(uid 1000\)") as caught:
        lmtokens.add_tokens(ROWS, journal=journal, resume=True)
    assert "trust_folder=True" in str(caught.value.suggestion)
    command = ["bulk", str(rows_file(journal)), "--journal", str(journal), "--resume"]
    completed = run_shell(*command)
    assert completed.returncode == 1
    assert "--trust-folder" in completed.stderr
    assert (journal.read_bytes(), portal.record) == (text, [])
    assert run_shell(*command, "--trust-folder").returncode == 0
    assert lmtokens.add_tokens(ROWS, journal=journal, resume=True, trust_folder=True).finish().already_done == 2


@pytest.mark.parametrize("mask", ["*", "•", "x", "…"])
def test_forged_lines_of_a_bearer_token_are_compared_with_its_mask(portal: Portal, journal: Path, mask: str) -> None:
    def show_mask(exchange: Exchange) -> None:
        if exchange.method == "GET":
            members = json.loads(exchange.response_body)
            for token in members["items"]:
                if token.get("type") == "bearer" or "*" in str(token.get("accessKey")):
                    token["accessKey"] = token["accessKey"].replace("*", mask)
                    shown.append(token["accessKey"])
            exchange.response_body = json.dumps(members).encode()

    shown: list[str] = []
    rows = [(32, "bearer", 2, "bearer")]
    with TamperingProxy(portal, after=show_mask) as proxy:
        client = proxy.client()
        client.add_tokens(rows, journal=journal).finish()
        assert client.add_tokens(rows, journal=journal, resume=True).finish().already_done == 1
        header, pending, created_line = journal_lines(journal)
        pending["token"]["access_key"] = "lmb_somebody-elses-bearer-token"
        journal.write_text(sealed([header, pending, created_line]))
        assert client.add_tokens(rows, journal=journal, resume=True).finish().unknown == 1
    assert any(key.endswith(mask) for key in shown)
