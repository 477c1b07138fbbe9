"""Results in a notebook: tables that mask keys, escape hostile text, stay bounded and send no request."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import unicodedata
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from listing import create_tokens
from support import ACCESS_ID, ACCESS_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

HOSTILE = "<script>alert('&amp;')</script>\"\u202eevil\u200b\x1b[31m" + "x" * 4000
MASK = "********"


class Table(HTMLParser):
    """The text of the rows of a display, which may have few elements only."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.caption = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"style", "div", "br", "table", "tr", "th", "td"}, tag
        assert {name for name, _ in attrs} <= {"class", "dir", "colspan"}
        if tag in {"div", "table"}:
            # Dollar signs in a note do not make a formula.
            assert "mathjax_ignore" in str(dict(attrs)["class"]).split()
        if tag == "tr":
            self.rows.append([])
        elif tag in {"th", "td"}:
            self.rows[-1].append("")
        if tag != "br":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1] in {"th", "td"}:
            self.rows[-1][-1] += data
        elif self._open[-1] == "div":
            self.caption += data


def pairs(result: Any) -> dict[str, str]:
    """Return the members in the display of one result."""
    return {row[0]: row[1] for row in Table(result._repr_html_()).rows}


def records(result: Any) -> list[dict[str, str]]:
    """Return the rows in the display of several results."""
    header, *rows = Table(result._repr_html_()).rows
    return [dict(zip(header, row)) for row in rows]


@pytest.fixture
def results(lmtokens_portal: Portal, tmp_path: Path) -> dict[str, Any]:
    """One result of each kind, with a hostile note if it has one."""
    client = lmtokens_portal.client()
    to_file = lmtokens.deliver.to_file(tmp_path / "token.json")
    rows = [(32, HOSTILE), ("no-such-user", "b")]
    run = client.add_tokens(rows, journal=tmp_path / "run.journal")
    ended = sorted(run, key=lambda result: result.number)
    journal = lmtokens.read_journal(tmp_path / "run.journal")
    created = client.add_token(32, HOSTILE)
    rotation = client.rotate_token(client.add_token(32, HOSTILE), deliver=to_file, overlap=3600)
    expired = client.add_token(32, HOSTILE, expires=1)
    lmtokens_portal.advance(60)
    tokens = client.list_tokens(32)
    next(tokens)
    audit = client.audit_tokens()
    pair: Any = {"access_id": ACCESS_ID, "access_key": ACCESS_KEY}
    header = lmtokens.sign("GET", "/setting/admins", **pair)
    explanation = lmtokens.explain_signature(header, "POST", "/setting/admins", b"<script>", **pair)
    return {
        "Audit": audit,
        "BulkRun": run,
        "CreatedToken": created,
        "Finding": next(finding for finding in audit if finding.token == expired),
        "JournalEntry": journal[0],
        "NewToken": lmtokens.NewToken(32, HOSTILE),
        "Rotation": rotation,
        "RowResult": ended[0],
        "SignatureCause": explanation.causes[0],
        "SignatureExplanation": explanation,
        "Summary": run.summary,
        "SweptToken": client.sweep_tokens()[0],
        "Token": client.find_token(created.id),
        "TokenIterator": tokens,
        "User": client.list_users()[0],
        "Whoami": client.whoami(),
        "journal": journal,
        "rotations": client.finish_rotations(),
        "swept": client.sweep_tokens(),
        "users": client.list_users(),
    }


def test_every_class_of_results_has_a_display(results: dict[str, Any]) -> None:
    classes = {name: getattr(lmtokens, name) for name in lmtokens.__all__}
    with_members = {name for name, value in classes.items() if isinstance(value, type) and hasattr(value, "to_dict")}
    assert with_members <= results.keys()
    assert "_repr_html_" in dir(lmtokens.AsyncBulkRun)
    for name in with_members:
        assert type(results[name]).__name__ == name


def test_displays_are_tables_of_the_members(results: dict[str, Any]) -> None:
    for name, result in results.items():
        assert Table(result._repr_html_()).rows, name
    user = results["User"]
    assert pairs(user) == {
        "id": "1",
        "name": "admin",
        "email": "admin@example.invalid",
        "roles": "administrator",
        "status": "active",
        "api_only": "False",
    }
    assert [row["name"] for row in records(results["users"])] == ["admin", "api-user", "viewer"]
    assert [row["state"] for row in records(results["journal"])] == ["created", "failed"]
    assert pairs(results["Summary"])["failed"] == "1"
    assert pairs(results["Token"])["status"] == "enabled"
    created_on = results["Token"].created_on
    assert pairs(results["Token"])["created_on"] == f"{created_on:%Y-%m-%d %H:%M:%S} UTC"
    assert "expires_on" not in pairs(results["Token"])
    assert "2 of 2 rows have ended" in Table(results["BulkRun"]._repr_html_()).caption
    assert pairs(results["SignatureExplanation"])["causes"].startswith("other-method: ")
    finding = records(results["Audit"])[0]
    assert (finding["severity"], finding["reasons"]) == ("warning", "expired")


def test_hostile_notes_are_escaped_and_cut(results: dict[str, Any]) -> None:
    with_note = ("CreatedToken", "Finding", "JournalEntry", "NewToken", "Rotation", "RowResult", "SweptToken", "Token")
    for name in with_note:
        note = pairs(results[name])["note"]
        assert note.startswith("<script>alert('&amp;')</script>\"\\u{202e}evil\\u{200b}\\u{1b}[31mxxx"), name
        assert note.endswith("x…"), name
        assert len(note) < 400, name
    for name in ("Audit", "TokenIterator", "journal", "rotations", "swept"):
        assert any(row["note"].startswith("<script>") for row in records(results[name]) if "note" in row), name
    for result in results.values():
        html = result._repr_html_()
        assert not {unicodedata.category(character) for character in html} & {"Cc", "Cf", "Cs"}
        assert "<script" not in html


def test_displays_show_no_key_and_send_no_request(results: dict[str, Any], lmtokens_portal: Portal) -> None:
    formatters = pytest.importorskip("IPython.core.formatters")
    keys = [
        lmtokens_portal.access_key.reveal(),
        ACCESS_KEY,
        *(token.access_key.reveal() for token in lmtokens_portal.tokens),
    ]
    requests = len(lmtokens_portal.record)
    for name, result in results.items():
        shown, _ = formatters.DisplayFormatter().format(result)
        assert shown["text/html"] == result._repr_html_(), name
        assert shown["text/plain"], name
        for text in (*shown.values(), repr(result), str(result), json.dumps(_dicts(result))):
            assert not [key for key in keys if key in text], name
    assert len(lmtokens_portal.record) == requests
    for name in ("CreatedToken", "JournalEntry", "RowResult"):
        assert pairs(results[name])["access_key"] == MASK
    assert records(results["journal"])[0]["access_key"] == MASK


def _dicts(result: Any) -> list[Any]:
    """Return what ``to_dict`` returns for a result or the results in a list."""
    results = result if isinstance(result, list) else [result]
    return [one.to_dict() for one in results if hasattr(one, "to_dict")]


def test_error_of_a_rotation_is_shown(lmtokens_portal: Portal, tmp_path: Path) -> None:
    with lmtokens_portal.client() as client:
        token = client.add_token(32, "ci")
        to_file = lmtokens.deliver.to_file(tmp_path / "token.json")
        client.rotate_token(token, deliver=to_file, overlap=3600)
        lmtokens_portal.advance(hours=2)
        lmtokens_portal.fail("status-before-acting", method="PATCH", status=403, times=10)
        rotations = client.finish_rotations()
    assert rotations[0].state == "failed"
    (row,) = records(rotations)
    assert row["error"] == str(rotations[0].error).replace("\n", "")
    assert (row["state"], row["old_id"]) == ("failed", str(token.id))


def test_long_list_is_cut(lmtokens_portal: Portal, api: lmtokens.Client) -> None:
    for number in range(297):
        lmtokens_portal.add_user(f"user{number}")
    table = Table(api.list_users()._repr_html_())  # type: ignore[attr-defined]
    assert table.caption == "300 results"
    assert len(table.rows) == 52
    assert table.rows[-1] == ["… and 250 more"]


def test_lists_of_both_apis_are_lists_with_a_display(lmtokens_portal: Portal, api: lmtokens.Client) -> None:
    create_tokens(lmtokens_portal, 1)
    lists: list[Any] = [api.list_users(), api.sweep_tokens(), api.finish_rotations()]
    for results in lists:
        assert results._repr_html_()
        assert isinstance(results, list)
        assert results == list(results)
        assert repr(results) == repr(list(results))
    users = api.list_users()
    assert type(users[:2]) is list
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        loaded = pickle.loads(pickle.dumps(users, protocol))
        assert (loaded, type(loaded)) == (users, type(users))
    assert copy.copy(users) == copy.deepcopy(users) == users
    assert Table(api.sweep_tokens()._repr_html_()).caption == "0 results"  # type: ignore[attr-defined]


def test_list_iterator_previews_only_what_it_has_received(lmtokens_portal: Portal) -> None:
    ids = create_tokens(lmtokens_portal, 25)
    tokens = lmtokens_portal.client().list_tokens(32, type="lmv1", page_size=20)
    assert repr(tokens).startswith("<lmtokens.TokenIterator: no page requested yet; iterate over it")
    assert Table(tokens._repr_html_()).rows == []
    assert lmtokens_portal.record == []
    assert next(tokens).id == ids[0]
    assert "19 tokens received and not yet returned" in repr(tokens)
    rows = records(tokens)
    assert [row["id"] for row in rows[:-1]] == [str(id) for id in ids[1:11]]
    assert rows[-1] == {"id": "… and 9 more"}
    assert len(lmtokens_portal.record) == 1
    for _ in range(18):
        next(tokens)
    assert ": 1 token received and not yet returned; iterate over it" in repr(tokens)
    assert [token.id for token in tokens] == ids[19:]
    assert "0 tokens received" in repr(tokens)


def test_async_iterators_have_displays(lmtokens_portal: Portal, journal: Path) -> None:
    ids = create_tokens(lmtokens_portal, 25)

    async def main() -> None:
        client = lmtokens_portal.async_client()
        tokens: Any = client.list_tokens(32, type="lmv1", page_size=20)
        assert repr(tokens).startswith("<lmtokens async iterator of tokens: no page requested yet; iterate over it")
        assert Table(tokens._repr_html_()).rows == []
        assert lmtokens_portal.record == []
        assert (await tokens.__anext__()).id == ids[0]
        assert "19 tokens received and not yet returned; iterate over it with async for" in repr(tokens)
        assert [row["id"] for row in records(tokens)] == [*(str(id) for id in ids[1:11]), "… and 9 more"]
        assert len(lmtokens_portal.record) == 1
        for _ in range(18):
            await tokens.__anext__()
        assert ": 1 token received and not yet returned; iterate over it" in repr(tokens)
        run: Any = client.add_tokens([(32, "a"), (32, "b")], journal=journal)
        assert "0 of 2 rows have ended; iterate over the run" in Table(run._repr_html_()).caption
        await run.finish()
        assert pairs(run)["created"] == "2"

    asyncio.run(main())
