"""Text from the portal, from files and from arguments does not control a terminal; data stay exact elsewhere."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING

import lmtokens
import pytest
from api_variants import credentials_of
from lmtokens import TokenType, errors
from lmtokens.deliver import to_file
from support import ACCESS_ID, ACCESS_KEY, SHELL, ReceivedRequest, StubServer, run_at_terminal, run_python, run_shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmtokens.sandbox import Portal

# Escape sequences of 7 and 8 bits, other control characters, bidirectional controls, line separators, invisible
# characters and a tag. A line break is tested apart: tables escape it, and CSV keeps it.
HOSTILE = (
    "ci\x1b[2J\x1b]0;owned\x07\x9b31m\x85\x7f\x00\x08\r\u202e\u2066\u200e\u200f\u061c\u200b\u2060\u2028\u2029\ufeff"
    "\u00ad\u3164\U000e0041 \u00e9\u6f22"
)
ESCAPED = (
    r"ci\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{85}\u{7f}\u{0}\u{8}\u{d}\u{202e}\u{2066}\u{200e}\u{200f}\u{61c}"
    r"\u{200b}\u{2060}\u{2028}\u{2029}\u{feff}\u{ad}\u{3164}\u{e0041}"
    " \u00e9\u6f22"
)

# The variables of a shell cannot hold NUL.
KEY = "key" + HOSTILE.replace("\x00", "")
ESCAPED_KEY = "key" + ESCAPED.replace(r"\u{0}", "")


def hidden_characters(text: str) -> list[str]:
    """Return the characters that a terminal would not show as themselves."""
    return [c for c in text if c != "\n" and (not c.isprintable() or c == "\u3164")]


def respond(request: ReceivedRequest) -> bytes:
    """Create or change a token as asked, of a user with a hostile name."""
    token = {"id": 5, "adminId": 32, "accessId": "newAccessId0000005", **json.loads(request.body)}
    token.update(adminName=HOSTILE, createdBy=HOSTILE, roles=[HOSTILE], createdOn=1767225600)
    if request.method == "POST":
        token["accessKey"] = KEY
    return json.dumps(token).encode()


@pytest.fixture
def hostile_portal(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubServer]:
    """Serve a portal with hostile names and keys, and name it in the environment."""
    with StubServer(respond) as server:
        monkeypatch.setenv("LM_COMPANY", "sandbox")
        monkeypatch.setenv("LM_BASE_URL", server.base_url)
        monkeypatch.setenv("LM_ACCESS_ID", ACCESS_ID)
        monkeypatch.setenv("LM_ACCESS_KEY", ACCESS_KEY)
        yield server


@pytest.mark.usefixtures("hostile_portal")
@pytest.mark.parametrize("form", ["table", "csv", "env", "key", "json", "jsonl"])
def test_a_terminal_gets_escapes(form: str) -> None:
    ended = run_at_terminal([*SHELL, "add", "32", "-o", form], [])
    assert ended.status == 0, ended.shown
    shown = ended.shown.replace("\r\n", "\n")
    assert hidden_characters(shown) == []
    if form in {"json", "jsonl"}:
        assert json.loads(shown)["access_key"] == KEY
    else:
        assert ESCAPED_KEY in shown


@pytest.mark.usefixtures("hostile_portal")
def test_a_pipe_gets_exact_data() -> None:
    def output(form: str) -> str:
        completed = run_shell("add", "32", "-o", form)
        assert (completed.returncode, completed.stderr) == (0, "")
        return completed.stdout

    # Captured text has its line breaks translated: a carriage return reads as a line break.
    exact = KEY.replace("\r", "\n")
    assert output("key") == f"{exact}\n"
    assert f"export LM_ACCESS_ID='newAccessId0000005'\nexport LM_ACCESS_KEY='{exact}'\n" in output("env")
    (row,) = csv.DictReader(io.StringIO(output("csv").replace("\x00", "")))
    assert row["access_key"] == exact
    for form in ("json", "jsonl"):
        text = output(form)
        assert hidden_characters(text) == []
        assert json.loads(text)["admin_name"] == HOSTILE


@pytest.mark.usefixtures("hostile_portal")
def test_a_table_is_escaped_in_a_pipe_too() -> None:
    completed = run_shell("add", "32", "--note", "two\nlines")
    assert hidden_characters(completed.stdout) == []
    assert ESCAPED_KEY in completed.stdout
    assert r"two\u{a}lines" in completed.stdout


def test_an_export_escapes_at_a_terminal_only(lmtokens_portal: Portal, tmp_path: Path) -> None:
    note = HOSTILE.replace("\x00", "")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"admin_id": 32, "note": note}))
    export = ["bulk", "--journal", str(tmp_path / "journal"), "--export"]
    assert run_shell("bulk", str(rows), "--journal", str(tmp_path / "journal")).returncode == 0
    terminal = run_at_terminal([*SHELL, *export], [])
    assert terminal.status == 0
    assert hidden_characters(terminal.shown.replace("\r\n", "\n")) == []
    assert ESCAPED.replace(r"\u{0}", "") in terminal.shown
    assert note.replace("\r", "\n") in run_shell(*export).stdout


@pytest.mark.parametrize("is_terminal", [False, True], ids=["pipe", "terminal"])
def test_a_message_of_the_portal_is_escaped(lmtokens_portal: Portal, is_terminal: bool) -> None:
    lmtokens_portal.fail("status-before-acting", status=400, message=HOSTILE)
    if is_terminal:
        message = run_at_terminal([*SHELL, "add", "32"], []).shown.replace("\r\n", "\n")
    else:
        message = run_shell("add", "32").stderr
    assert hidden_characters(message) == []
    # White space of any kind becomes spaces.
    assert r"error: ci\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m \u{7f}\u{0}\u{8} \u{202e}\u{2066}" in message


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "32", "--to", "file:/no/such\x1b[2J\u2066/file"],
        ["add", "32", "--to", "command:no-such\x1b[2J-command"],
        ["add", "\x1b[2J\u202e"],
        ["bulk", "/no/such\x1b[2J\x9b", "--journal", "journal"],
        ["bulk", "--journal", "/no/such\x1b[2J", "--export"],
        ["sandbox", "--record", "/no/such\x1b[2J/file"],
        ["sandbox", "--", "/no/such\x1b[2J\u202ecommand"],
    ],
    ids=ascii,
)
def test_arguments_are_escaped_in_messages(lmtokens_portal: Portal, arguments: list[str]) -> None:
    completed = run_shell(*arguments)
    assert completed.returncode not in {0, 130}
    assert completed.stderr.startswith("error: ")
    assert r"\u{1b}[2J" in completed.stderr
    assert hidden_characters(completed.stdout + completed.stderr) == []


@pytest.mark.parametrize(
    "arguments",
    [["\x1b[2J\u202e"], ["add", "32", "--\x1b[2J"], ["add", "32", "--type", "\x1b[2J\u200b"]],
    ids=ascii,
)
def test_unknown_words_are_masked_in_messages(arguments: list[str]) -> None:
    completed = run_shell(*arguments)
    assert completed.returncode == 2
    assert "'********'" in completed.stderr
    assert "[2J" not in completed.stderr
    assert hidden_characters(completed.stdout + completed.stderr) == []


def test_a_failed_bulk_run_escapes_everything(lmtokens_portal: Portal, tmp_path: Path) -> None:
    rows = tmp_path / "rows\x1b[2J\u202e.csv"
    rows.write_text(f"admin_id,note\nno-such-user\x1b[2J,{HOSTILE[:20]}\n32,ci\n")
    lmtokens_portal.fail("status-before-acting", method="POST", status=400, message=HOSTILE, times=9)
    completed = run_shell("bulk", str(rows), "--journal", str(tmp_path / "journal\x07"))
    assert completed.returncode == 1
    assert "line 2: failed" in completed.stderr
    assert "line 3: failed" in completed.stderr
    assert "resume the run with:\n  lmtokens bulk" in completed.stderr
    assert hidden_characters(completed.stderr) == []


def test_a_traceback_is_escaped(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", status=500, message=HOSTILE, times=9)
    completed = run_python("import lmtokens; lmtokens.add_token(32)")
    assert "ServerError" in completed.stderr
    assert "OutcomeUnknownError" in completed.stderr
    assert hidden_characters(completed.stderr) == []


def test_exceptions_and_records_are_printable(
    lmtokens_portal: Portal, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lmtokens_portal.fail("status-before-acting", status=400, message=HOSTILE)
    with pytest.raises(errors.BadRequestError) as refused:
        lmtokens.add_token(32)
    with pytest.raises(errors.DeliveryError) as unwritable:
        lmtokens.add_token(32, deliver=to_file(tmp_path / "no\x1b[2J\u202e" / "file"))
    with pytest.raises(errors.DeliveryError) as unreadable:
        lmtokens.read_journal(tmp_path / "no\x1b[2J\u202e")
    for caught in (refused, unwritable, unreadable):
        assert hidden_characters(str(caught.value)) == []
        assert hidden_characters(caught.value.args[0]) == []
        assert r"\u{1b}[2J" in str(caught.value)
    assert hidden_characters(caplog.text) == []


@pytest.mark.usefixtures("hostile_portal")
def test_data_of_python_are_exact_and_their_representation_is_printable() -> None:
    token = lmtokens.add_token(32, HOSTILE.replace("\x00", ""))
    assert token.note == HOSTILE.replace("\x00", "")
    assert token.admin_name == HOSTILE
    assert token.access_key is not None
    assert token.access_key.reveal() == KEY
    objects = [
        token,
        token.access_key,
        TokenType(HOSTILE),
        lmtokens.NewToken(32, HOSTILE),
        lmtokens.where.note == HOSTILE,
    ]
    objects.append(to_file(f"no{HOSTILE[:9]}"))
    for value in objects:
        assert [c for c in repr(value) if not c.isprintable()] == [], type(value)


def test_the_caller_and_journals_are_shown_printable(lmtokens_portal: Portal, tmp_path: Path) -> None:
    lmtokens_portal.add_user("me\x1b[2J\u202e", id=40)
    own = lmtokens_portal.create_token(40)
    assert repr(lmtokens_portal.client(**credentials_of(own)).whoami()).isprintable()
    rows = [{"admin_id": "no\x1b[2J\u202e"}]
    list(lmtokens.add_tokens(rows, journal=tmp_path / "journal"))
    (entry,) = lmtokens.read_journal(tmp_path / "journal")
    assert repr(entry).isprintable()
