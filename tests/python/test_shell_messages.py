"""The options for messages, the help and the advice on invalid command lines are those of every command."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from support import ACCESS_ID, ACCESS_KEY, SHELL, StubServer, run_at_terminal, run_shell

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

COMMANDS = re.findall(r"^  (\w+)  ", run_shell("--help").stdout.split("Options:")[0], re.MULTILINE)
COMMANDS.remove("help")


def messages(stderr: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.splitlines()]


@pytest.mark.parametrize("command", [*COMMANDS, "sandbox advance"])
def test_help_has_examples_and_exit_codes(command: str) -> None:
    completed = run_shell(*command.split(), "--help", environment={"COLUMNS": "100"})
    assert (completed.returncode, completed.stderr) == (0, "")
    examples = completed.stdout.split("\nExamples:\n")[1].split("\n\n")[0].splitlines()
    assert len(examples) >= (1 if " " in command else 2)
    assert all(re.search(rf"\blmtokens {command}\b", example) for example in examples), examples
    codes = completed.stdout.split("\nExit codes:\n")[1].splitlines()
    assert [re.split("  +", code.strip())[0] for code in codes if code][:3] == ["0", "1", "2"]
    for option in ("--quiet", "--verbose", "--error-format"):
        assert option in completed.stdout


def test_quiet_omits_information_only(lmtokens_portal: Portal) -> None:
    lmtokens_portal.create_token()
    assert "nothing is due" in run_shell("sweep").stderr
    assert run_shell("sweep", "-q").stderr == run_shell("--quiet", "sweep").stderr == ""
    assert run_shell("-q", "show", "99999").stderr.startswith("error: token with id 99999 not found")
    with StubServer(b'{"total": 1, "items": [null]}') as server:
        shown = run_shell("users", "-q", environment={"LM_BASE_URL": server.base_url}).stderr
    assert shown.startswith("warning: skipped items")


def test_quiet_hides_the_progress_bar(lmtokens_portal: Portal, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("admin_id\n32\n")
    for options, is_shown in (([], True), (["-q"], False), (["--error-format", "json"], False)):
        journal = str(tmp_path / f"journal{len(options)}")
        command = [*SHELL, "bulk", str(rows), "--journal", journal, *options]
        ended = run_at_terminal(command, [], environment={"TERM": "xterm"})
        assert ended.status == 0, ended.shown
        assert ("1/1" in ended.shown) is is_shown


@pytest.mark.parametrize("arguments", [["-v", "show", "101"], ["show", "101", "--verbose"]])
def test_verbose_prints_requests(lmtokens_portal: Portal, arguments: list[str]) -> None:
    completed = run_shell(*arguments)
    assert completed.returncode == 0
    lines = completed.stderr.splitlines()
    assert len(lines) == len(lmtokens_portal.record) == 1
    assert re.fullmatch(r"GET /setting/admins/apitokens: 200 after [\d.]+ s \(attempt 1\)", lines[0])
    assert run_shell("show", "101").stderr == ""


class TestJson:
    def test_error_has_facts(self, lmtokens_portal: Portal) -> None:
        for arguments in (["users", "--error-format", "json"], ["--error-format=json", "users"]):
            lmtokens_portal.fail("status-before-acting", status=403, code=1403, message="keep out")
            completed = run_shell(*arguments)
            assert (completed.returncode, completed.stdout) == (4, "")
            (error,) = messages(completed.stderr)
            assert (error["level"], error["kind"], error["status"]) == ("error", "permission_denied", 403)
            assert (error["code"], error["maybe_applied"], error["causes"]) == (1403, False, [])
            assert error["message"] == "keep out"

    def test_unknown_outcome_has_causes_and_candidates(self, lmtokens_portal: Portal) -> None:
        lmtokens_portal.fail("act-then-close", method="PATCH", times=None)
        completed = run_shell("add", "32", "--error-format", "json")
        error = messages(completed.stderr)[-1]
        assert (completed.returncode, error["kind"], error["maybe_applied"]) == (7, "outcome_unknown", True)
        assert error["causes"][0]["kind"] == "transport"
        (candidate,) = error["candidates"]
        assert candidate["id"] == lmtokens_portal.tokens[-1].id
        assert "lmtokens" in error["hint"]

    @pytest.mark.usefixtures("lmtokens_portal")
    def test_information_and_requests_are_messages_too(self) -> None:
        completed = run_shell("sweep", "-v", "--error-format", "json")
        shown = messages(completed.stderr)
        assert {message["level"] for message in shown} == {"debug", "info"}
        assert shown[-1] == {"level": "info", "message": "nothing is due"}

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["nosuch", "--error-format", "json"], "unrecognized subcommand"),
            (["--error-format=json", "add"], "<USER>"),
            (["add", "32", "--error-format=json", "--nosuch"], "--nosuch"),
            (["add", "0", "--error-format=json"], "invalid value '0' for '<USER>'; expected the user's id"),
            (["add", "32", "--error-format=json", "--note", "--disabled"], "--note has no value"),
            (["list", "--status", "x", "--error-format=json"], "[possible values: enabled, disabled]"),
            (["--error-format=json", "profile"], "no command given"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else "",
    )
    def test_invalid_usage_is_a_message(self, arguments: list[str], words: str) -> None:
        completed = run_shell(*arguments)
        assert (completed.returncode, completed.stdout) == (2, "")
        (error,) = messages(completed.stderr)
        assert (error["level"], error["kind"]) == ("error", "argument")
        assert words in error["message"]
        assert not error["message"].startswith("error: ")
        assert "Usage:" not in error["message"]
        assert "--help" not in error["message"]
        (other,) = messages(run_shell("whoami", "--error-format=json").stderr)
        assert list(error) == list(other)

    def test_tip_is_the_hint(self) -> None:
        (error,) = messages(run_shell("lst", "--error-format=json").stderr)
        assert error["message"] == "unrecognized subcommand 'lst'"
        assert error["hint"] == "a similar subcommand exists: 'list'"

    def test_command_of_the_sandbox_keeps_its_options(self) -> None:
        completed = run_shell("sandbox", "--", "sh", "-c", "echo $0 $@", "--error-format", "json", "-q")
        assert (completed.returncode, completed.stdout) == (0, "--error-format json -q\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "32", "--access-key", "invented-secret"], "secrets are never arguments; set LM_ACCESS_KEY in"),
        (["list", "--access-key=invented-secret"], "set LM_ACCESS_KEY"),
        (["delete", "5", "--api-key", "invented-secret"], "set LM_ACCESS_KEY"),
        (["--secret", "invented-secret", "list"], "set LM_ACCESS_KEY"),
        (["show", "5", "--accessKey", "invented-secret"], "set LM_ACCESS_KEY"),
        (["whoami", "--LM_ACCESS_KEY=invented-secret"], "set LM_ACCESS_KEY"),
        (["users", "--bearer-token", "invented-secret"], "set LM_BEARER_TOKEN"),
        (["add", "32", "--note", "--access-key=invented-secret"], "set LM_ACCESS_KEY"),
        (["rotate", "5", "--note", "--LM_BEARER_TOKEN=invented-secret"], "set LM_BEARER_TOKEN"),
        (["show", "--access-id", "x"], "set LM_ACCESS_ID and LM_ACCESS_KEY"),
        (["create", "32"], "use lmtokens add"),
        (["ls"], "use lmtokens list"),
        (["revoke", "5"], "use lmtokens delete"),
        (["lst"], "'list'"),
        (["list", "--statu", "enabled"], "'--status'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_advice_on_invalid_usage(arguments: list[str], words: str) -> None:
    completed = run_shell(*arguments)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert words in completed.stderr
    assert "invented-secret" not in completed.stderr
    if "secrets" in words:
        assert "tip:" not in completed.stderr


# Random texts that resemble known words, with the alphabets and lengths of keys.
SIMILAR_TO_BULK = "buYW{Qz{+-rSUB2YelYd1Rk}F8=Bz*m[pX%a@sX~"
SIMILAR_TO_LMV1 = "lmb_TFqUv1KxyPZBDZ9ICakJImvv7E5j3SuaqtQ4"
SIMILAR_TO_CSV = "1cOTusubvIrzX~634tON"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", ACCESS_KEY], "unexpected argument"),
        ([ACCESS_KEY], "unrecognized subcommand"),
        # clap takes these for misspelt words.
        ([SIMILAR_TO_BULK], "unrecognized subcommand"),
        (["add", "32", "--type", SIMILAR_TO_LMV1], "lmv1, bearer"),
        (["add", "32", "-o", SIMILAR_TO_CSV], "csv"),
        (["list", f"--{'z' * 40}"], "unexpected argument"),
        (["add", "32", "--note", f"--{ACCESS_KEY}"], "--note has no value"),
        (["add", "32", "--note", f"--invented={ACCESS_KEY}"], "--note has no value"),
        (["add", "32", "--note", f"-o{ACCESS_KEY}"], "--note has no value"),
        (["profile", ACCESS_KEY], "unrecognized subcommand"),
        (["whoami", f"--{ACCESS_KEY}"], "unexpected argument"),
        (["whoami", f"-{ACCESS_KEY}"], "unexpected argument"),
        (["show", "5", "invented-secret"], "unexpected argument"),
        (["list", "--status", ACCESS_KEY], "enabled, disabled"),
        (["completions", ACCESS_KEY], "bash, zsh, fish"),
        (["delete", "5", f"--yes={ACCESS_KEY}"], "unexpected value"),
        (["list", "--limit", ACCESS_KEY], "'--limit <NUMBER>'"),
        (["add", "32", "--expires", ACCESS_KEY], "; expected 90s, 30m"),
        (["add", "32", "--to", ACCESS_KEY], "expected -, file:PATH"),
        (["sandbox", ACCESS_KEY], "unexpected argument"),
        (["sandbox", ACCESS_KEY[:12]], "unexpected argument"),
        (["sandbox", "advance", "24h", ACCESS_KEY], "unexpected argument"),
        (["sandbox", "--port", ACCESS_KEY], "'--port <PORT>'"),
        (["sandbox", "--port", "123456789012345678901"], "'--port <PORT>'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("format", ["text", "json"])
def test_unexpected_word_is_not_repeated(arguments: list[str], words: str, format: str) -> None:
    completed = run_shell("--error-format", format, *arguments)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert words in completed.stderr
    assert "********" in completed.stderr or "--invented follows" in completed.stderr
    assert "similar" not in completed.stderr
    secrets = (ACCESS_KEY, ACCESS_KEY[:5], "invented-secret", "123456789012345678901", f"'-{ACCESS_KEY[0]}'", "zzzz")
    for part in (*secrets, SIMILAR_TO_BULK[:5], SIMILAR_TO_LMV1[:5], SIMILAR_TO_CSV[:5]):
        assert part not in completed.stderr


@pytest.mark.parametrize("word", ["--nosuch", "-Z", "--dryrun"])
def test_name_of_an_unknown_option_is_repeated(word: str) -> None:
    assert f"'{word}'" in run_shell("add", "32", word).stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "032"], "invalid value '032' for '<USER>'; expected the user's id"),
        (["list", "--user", "1.5"], "invalid value '1.5' for '--user <USER>'; expected the user's id"),
        (["add", "32", "--expires", "x"], "invalid value 'x' for '--expires <DURATION>'; expected 90s,"),
        (["list", "--company", "acme", "--max-wait", "-5"], "invalid --max-wait -5; expected"),
        (["delete", "01", "--yes"], 'invalid token "01"; expected its id'),
        (["sign", "GET", "x"], "invalid PATH: does not begin with a slash"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_message_names_options_and_not_arguments_of_python(arguments: list[str], words: str) -> None:
    completed = run_shell(*arguments, environment={"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY})
    assert completed.returncode == 2
    assert words in completed.stderr


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["fail"], "/sandbox/faults"),
        (["fault", "delay"], "/sandbox/faults"),
        (["faults"], "/sandbox/faults"),
        (["--port", "8080", "fail"], "/sandbox/faults"),
        (["--error-format", "json", "fail"], "/sandbox/faults"),
        (["pytest", "-x"], "lmtokens sandbox -- COMMAND"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_word_after_sandbox_is_repeated_with_a_hint(arguments: list[str], hint: str) -> None:
    completed = run_shell("sandbox", *arguments)
    assert completed.returncode == 2
    word = next(word for word in arguments if word in {"fail", "fault", "faults", "pytest"})
    assert f"'{word}'" in completed.stderr
    assert hint in completed.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_hint_about_faults_works_as_it_is_written(lmtokens_portal: Portal) -> None:
    (command,) = re.findall(r"^hint: .*?: (curl .*)$", run_shell("sandbox", "fail").stderr, re.MULTILINE)
    completed = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    with pytest.raises(lmtokens.OutcomeUnknownError):
        lmtokens_portal.client().add_token(32)


def test_message_of_a_rate_limit_names_the_option(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(1, window=600, method="GET")
    completed = run_shell("list", "--max-wait", "0")
    assert completed.returncode == 6
    assert "the wait would exceed --max-wait 0" in completed.stderr


def test_missing_command_of_the_sandbox_is_127() -> None:
    assert run_shell("sandbox", "--", "nosuch-command").returncode == 127


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "-o", "yaml"),
        ("rotate", "17", "--to", "file:x", "--overlap", "0", "-o", "env-file"),
        ("add", "32", "--to", "file:x", "--format", "yaml"),
    ],
    ids=" ".join,
)
def test_misspelt_format_is_repeated(arguments: tuple[str, ...]) -> None:
    completed = run_shell(*arguments)
    assert completed.returncode == 2
    assert f"invalid value '{arguments[-1]}'" in completed.stderr
