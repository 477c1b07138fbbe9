"""The shell writes data to standard output and everything else to standard error, and its exit codes are stable."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import lmtokens.sandbox
import pytest
from support import (
    ACCESS_ID,
    ACCESS_KEY,
    HANG_TIMEOUT,
    SHELL,
    StubServer,
    run_shell,
    run_shell_to_closed_pipe,
    start_shell,
    wait_until,
)

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal, StoredToken

MODULE = [sys.executable, "-m", "lmtokens"]

needs_full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def created_tokens(portal: Portal) -> list[StoredToken]:
    """Return the tokens that were created in the sandbox."""
    return portal.tokens[2:]


@pytest.mark.parametrize("command", [SHELL, MODULE], ids=["script", "module"])
def test_version(command: list[str]) -> None:
    completed = subprocess.run(
        [*command, "--version"], capture_output=True, text=True, timeout=HANG_TIMEOUT, check=False
    )
    assert (completed.returncode, completed.stdout) == (0, f"lmtokens {lmtokens.__version__}\n")
    assert completed.stderr == ""


@pytest.mark.parametrize("command", [SHELL, MODULE], ids=["script", "module"])
def test_script_and_module_behave_the_same(command: list[str], lmtokens_portal: Portal) -> None:
    completed = subprocess.run(
        [*command, "add", "32"], capture_output=True, text=True, timeout=HANG_TIMEOUT, check=False
    )
    assert completed.returncode == 0
    assert created_tokens(lmtokens_portal)[0].access_key.reveal() in completed.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["add", "sandbox", "LM_ACCESS_KEY", "Secrets are never passed as arguments"]),
        (["add", "--help"], ["USER", "--note", "--disabled", "--type", "--output", "--dry-run", "--base-url"]),
        (["sandbox", "--help"], ["COMMAND", "--record", "--rate-limit", "--seed", "127.0.0.1"]),
    ],
    ids=" ".join,
)
def test_help(arguments: list[str], words: list[str]) -> None:
    completed = run_shell(*arguments)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert [word for word in words if word not in " ".join(completed.stdout.split())] == []


def test_help_offers_no_argument_for_a_secret() -> None:
    # A flag, and a number of days.
    harmless = {"--one-bearer-per-user", "--token-disabled-days"}
    for command in ("add", "sandbox"):
        options = re.findall(r"--[a-z-]+", run_shell(command, "--help").stdout)
        assert "--help" in options
        assert {option for option in options if re.search("key|secret|bearer|token|password", option)} <= harmless


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["add"],
        ["add", "0"],
        ["add", "-1"],
        ["add", "--", "-1"],
        ["add", "2147483648"],
        ["add", "32", "33"],
        ["add", "32", "--type", "oauth"],
        ["add", "32", "-o", "yaml"],
        ["add", "32", "--status", "2"],
        ["add", "32", "--timeout", "0"],
        ["add", "32", "--timeout", "nan"],
        ["add", "32", "--base-url", "http://example.com/santaba/rest"],
        ["add", "32", "--base-url", "https://example.com"],
        ["add", "32", "--access-key", "invented"],
        ["invented"],
        ["sandbox", "--port", "65536"],
        ["sandbox", "--window", "0"],
        ["sandbox", "--invented"],
        ["sandbox", "--record", "/nonexistent/folder/file"],
        ["sandbox", "--port", "-1"],
        ["sandbox", "--window", "-1"],
        ["sandbox", "--rate-limit", "-1"],
        ["sandbox", "--seed", "-1"],
        ["add", "32", "--timeout", "-1"],
        ["add", "32", "--max-wait", "-1"],
        # Options without effect.
        ["add", "32", "--overwrite"],
        ["add", "32", "--trust-folder"],
        ["add", "32", "--to", "-", "--overwrite"],
        ["add", "32", "--dry-run", "-o", "json"],
        ["add", "32", "--base-url", "http://127.0.0.1:1/santaba/rest", "--domain", "lmgov.us"],
        ["sweep", "--base-url", "http://127.0.0.1:1/santaba/rest", "--domain", "lmgov.us"],
        # Options whose values are missing.
        ["add", "32", "--note"],
        ["add", "32", "--note", "--dry-run"],
        ["add", "32", "--note", "--disabled"],
        ["add", "32", "--note", "--output=json"],
        ["add", "32", "--note", "-o", "json"],
        ["add", "32", "--note", "--help"],
        ["add", "32", "--to", "--dry-run"],
        ["add", "32", "--company", "--dry-run"],
        ["add", "32", "--base-url", "--dry-run"],
        ["add", "32", "--domain", "--dry-run"],
        ["sweep", "--company", "--yes"],
        ["bulk", "in.csv", "--journal", "--dry-run"],
        ["sandbox", "--record", "--seed", "1"],
        ["sandbox", "--record", "--", "true"],
        ["add", "--dryrun", "32"],
        ["add", "-5"],
    ],
    ids=lambda arguments: " ".join(arguments) or "no arguments",
)
def test_invalid_usage(lmtokens_portal: Portal, arguments: list[str]) -> None:
    completed = run_shell(*arguments)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr
    assert "Traceback" not in completed.stderr
    assert "panicked" not in completed.stderr
    assert lmtokens_portal.record == []


def test_table_output(lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "32", "--note", "two  words")
    token = created_tokens(lmtokens_portal)[0]
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in completed.stdout.splitlines() if "  " in line)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert rows["id"] == str(token.id)
    assert rows["access_id"] == token.access_id
    assert rows["access_key"] == token.access_key.reveal()
    assert rows["note"] == "two  words"
    assert rows["status"] == "enabled"
    assert re.search(r"^status +disabled$", run_shell("add", "32", "--disabled").stdout, re.MULTILINE)


FIELDS = [
    "id",
    "type",
    "access_id",
    "access_key",
    "admin_id",
    "admin_name",
    "status",
    "note",
    "expires_on",
    "roles",
    "created_by",
    "created_on",
]


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_json_output(lmtokens_portal: Portal, kind: str) -> None:
    completed = run_shell("add", "32", "--note", 'Zoë\n"x"', "-o", kind)
    token = created_tokens(lmtokens_portal)[0]
    members = json.loads(completed.stdout)
    assert completed.stdout.endswith("\n")
    assert (completed.stdout.count("\n") == 1) is (kind == "jsonl")
    assert list(members) == FIELDS
    assert (members["id"], members["access_key"]) == (token.id, token.access_key.reveal())
    assert members["note"] == 'Zoë\n"x"'
    assert (members["status"], members["type"], members["admin_id"]) == (2, "lmv1", 32)
    assert (members["roles"], members["created_by"]) == (["token-manager"], "admin")


def test_csv_output(lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "32", "--note", 'a "b", c\nd', "-o", "csv")
    (row,) = csv.DictReader(io.StringIO(completed.stdout, newline=""))
    token = created_tokens(lmtokens_portal)[0]
    assert list(row) == FIELDS
    assert (row["id"], row["access_key"], row["note"]) == (str(token.id), token.access_key.reveal(), 'a "b", c\nd')


@pytest.mark.parametrize("seed", range(5))
def test_env_output_can_be_evaluated_by_a_shell(seed: int) -> None:
    # Keys of different seeds contain different symbols.
    script = 'eval "$("$1" add 32 -o env)"; printf "%s\\n%s\\n" "$LM_ACCESS_ID" "$LM_ACCESS_KEY"; "$1" add 32 -o json'
    completed = run_shell("sandbox", "--seed", str(seed), "--", "sh", "-c", script, "sh", SHELL[0])
    access_id, access_key, response = completed.stdout.split("\n", 2)
    with lmtokens.sandbox.Portal(seed=seed) as portal:
        token = portal.client().add_token(32)
    assert token.access_key is not None
    assert (access_id, access_key) == (token.access_id, token.access_key.reveal())
    # The second call is signed with the new pair, so user 32 is the creator.
    assert json.loads(response)["created_by"] == "api-user"


METACHARACTERS = "a'b\"c$(exit 9)`exit 9`\\d!e;f&g|h>i<j*k?l~m#n%o'"


def test_env_output_quotes_shell_metacharacters() -> None:
    body = {"id": 1, "accessId": "exampleAccessId00002", "accessKey": METACHARACTERS, "status": 1}
    with StubServer(json.dumps(body).encode()) as server:
        environment = {"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY, "LM_BASE_URL": server.base_url}
        completed = run_shell("add", "32", "--disabled", "-o", "env", environment=environment)
    script = f'{completed.stdout}printf %s "$LM_ACCESS_KEY"'
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=HANG_TIMEOUT, check=True)
    assert shown.stdout == METACHARACTERS
    assert f"LM_ACCESS_KEY={METACHARACTERS}" in shlex.split(completed.stdout)


def test_env_output_of_a_bearer_token(lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "32", "--type", "bearer", "-o", "env")
    url, bearer, unset = completed.stdout.splitlines()
    assert url == f"export LM_BASE_URL='{lmtokens_portal.base_url}'"
    assert bearer == f"export LM_BEARER_TOKEN='{created_tokens(lmtokens_portal)[0].access_key.reveal()}'"
    assert {"unset", "LM_ACCESS_ID", "LM_ACCESS_KEY", "LM_API_ID", "LM_COMPANY"} < set(unset.split())


def test_control_characters_from_the_portal_are_not_printed(lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "32", "--note", "\x1b[2J\x07\r")
    assert completed.returncode == 0
    assert [character for character in completed.stdout if not character.isprintable() and character != "\n"] == []


def test_disabled_token(lmtokens_portal: Portal) -> None:
    assert json.loads(run_shell("add", "32", "--disabled", "-o", "json").stdout)["status"] == 1
    assert created_tokens(lmtokens_portal)[0].status == 1


def test_note_is_sent_if_given(lmtokens_portal: Portal) -> None:
    run_shell("add", "32")
    run_shell("add", "32", "--note", "ci")
    changes = [json.loads(seen.body) for seen in lmtokens_portal.record if seen.method == "PATCH"]
    assert changes == [{"note": "", "status": 2}, {"note": "ci", "status": 2}]


@pytest.mark.parametrize("extra", [[], ["--note", "ci", "--disabled", "--type", "bearer"]])
def test_dry_run_sends_nothing(lmtokens_portal: Portal, extra: list[str]) -> None:
    completed = run_shell("add", "32", "--dry-run", *extra)
    url = f"{lmtokens_portal.base_url}/setting/admins/32/apitokens"
    post, last = (f"{url}?type=bearer", '"ci","status":1') if extra else (url, '"","status":2')
    signature = "Authorization: LMv1 ********\n"
    expected = (
        f'POST {post}\n{signature}{{"note":"TAG{" ci" if extra else ""}","status":1}}\n'
        f'after the key is delivered:\nPATCH {url}/ID\n{signature}{{"note":{last}}}\n'
    )
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, expected, "")
    assert lmtokens_portal.record == []
    assert created_tokens(lmtokens_portal) == []


def test_user_agent_names_the_version(lmtokens_portal: Portal) -> None:
    run_shell("add", "32")
    assert (lmtokens_portal.record[0].user_agent or "").startswith(f"lmtokens/{lmtokens.__version__} ")


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (("status-before-acting", {"status": 400}), 1, "HTTP 400"),
        (("status-before-acting", {"status": 409}), 1, "HTTP 409"),
        (("redirect", {}), 1, "redirect"),
        (("status-before-acting", {"status": 401}), 4, "HTTP 401"),
        (("status-before-acting", {"status": 403}), 4, "HTTP 403"),
        (("status-before-acting", {"status": 412}), 4, "HTTP 412"),
        (("status-before-acting", {"status": 404}), 5, "HTTP 404"),
        (("rate-limited", {}), 6, "HTTP 429"),
        # The search finds no token of this request, so its outcome is unknown.
        (("close-before-acting", {}), 7, "may have been created"),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple) else "",
)
def test_exit_codes(lmtokens_portal: Portal, fault: tuple[Any, dict[str, Any]], status: int, words: str) -> None:
    lmtokens_portal.fail(fault[0], method="POST", **fault[1])
    completed = run_shell("add", "32", "--note", "ci", "--max-wait", "1")
    assert (completed.returncode, completed.stdout) == (status, "")
    assert completed.stderr.startswith("error: ")
    assert words in completed.stderr
    if fault[1].get("status") not in {400, 409}:
        assert "\nhint: " in completed.stderr
    assert [seen.method for seen in lmtokens_portal.record].count("POST") == 1


def test_unknown_outcome_names_its_cause(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("act-then-close", method="PATCH", times=None)
    completed = run_shell("add", "32", "--note", "ci", "-o", "json")
    (candidate,) = created_tokens(lmtokens_portal)
    assert completed.returncode == 7
    # The key was printed and the token may be enabled, so it is not deleted.
    assert json.loads(completed.stdout)["access_key"] == candidate.access_key.reveal()
    assert "caused by: lost the connection to 127.0.0.1" in completed.stderr
    assert f"candidate: token {candidate.id}, access id {candidate.access_id}" in completed.stderr


@pytest.mark.parametrize("kind", ["act-then-close", "garbage", "act-then-status", "no-key"])
def test_create_is_retried_after_a_lost_response(lmtokens_portal: Portal, kind: Any) -> None:
    lmtokens_portal.fail(kind, method="POST")
    completed = run_shell("add", "32", "--note", "ci", "-o", "json")
    (token,) = created_tokens(lmtokens_portal)
    assert json.loads(completed.stdout)["access_key"] == token.access_key.reveal()
    assert (token.status, token.note) == (2, "ci")


@pytest.mark.usefixtures("lmtokens_portal")
def test_no_connection(refusing_url: str) -> None:
    completed = run_shell("add", "32", environment={"LM_BASE_URL": refusing_url})
    assert (completed.returncode, completed.stdout) == (1, "")
    assert "cannot connect to 127.0.0.1" in completed.stderr


def test_no_portal() -> None:
    completed = run_shell("add", "32")
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "company is missing" in completed.stderr
    assert "hint: " in completed.stderr
    assert "LM_COMPANY" in completed.stderr


def test_no_credentials() -> None:
    completed = run_shell("add", "32", "--company", "acme")
    assert (completed.returncode, completed.stdout) == (4, "")
    assert "no credentials" in completed.stderr


def test_wrong_key(lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "32", environment={"LM_ACCESS_KEY": "invented-wrong-key"})
    assert completed.returncode == 4
    assert "hint: check that the credentials from environment (LM_ACCESS_ID, LM_ACCESS_KEY)" in completed.stderr


def assert_token_was_deleted(portal: Portal, completed: subprocess.CompletedProcess[str]) -> None:
    assert completed.returncode == 1
    assert "cannot write to standard output" in completed.stderr
    assert "has been deleted" in completed.stderr
    assert [seen.method for seen in portal.record] == ["POST", "DELETE"]
    assert created_tokens(portal) == []


@needs_full_disk
@pytest.mark.parametrize("kind", ["table", "json", "jsonl", "csv", "env", "env-file"])
def test_full_disk_deletes_the_token(lmtokens_portal: Portal, kind: str) -> None:
    with open("/dev/full", "w") as full:
        completed = subprocess.run(
            [*SHELL, "add", "32", "-o", kind],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=HANG_TIMEOUT,
            check=False,
        )
    assert_token_was_deleted(lmtokens_portal, completed)


@pytest.mark.parametrize("kind", ["lmv1", "bearer"])
def test_closed_pipe_deletes_the_token(lmtokens_portal: Portal, kind: str) -> None:
    assert_token_was_deleted(lmtokens_portal, run_shell_to_closed_pipe("add", "32", "--type", kind))


def test_closed_socket_deletes_the_token(lmtokens_portal: Portal) -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        completed = subprocess.run(
            [*SHELL, "add", "32"],
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            text=True,
            timeout=HANG_TIMEOUT,
            check=False,
        )
    assert_token_was_deleted(lmtokens_portal, completed)


def test_closed_standard_output_sends_no_request(lmtokens_portal: Portal) -> None:
    completed = subprocess.run(
        ["sh", "-c", 'exec "$0" add 32 >&-', SHELL[0]],
        stderr=subprocess.PIPE,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )
    assert completed.returncode == 1
    assert "cannot write to standard output" in completed.stderr
    # A closed standard output is detected before any request.
    assert lmtokens_portal.record == []
    assert created_tokens(lmtokens_portal) == []


@needs_full_disk
def test_token_that_cannot_be_deleted_is_named(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=403)
    with open("/dev/full", "w") as full:
        completed = subprocess.run(
            [*SHELL, "add", "32"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=HANG_TIMEOUT, check=False
        )
    (pending,) = created_tokens(lmtokens_portal)
    assert completed.returncode == 1
    # It was never enabled.
    assert pending.status == 1
    assert f"token {pending.id} remains, disabled" in completed.stderr


def test_closed_standard_error_is_ignored(lmtokens_portal: Portal) -> None:
    completed = subprocess.run(
        ["sh", "-c", 'exec "$0" add 32 -o json 2>&-', SHELL[0]],
        stdout=subprocess.PIPE,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )
    assert completed.returncode == 0
    assert json.loads(completed.stdout)["id"] == created_tokens(lmtokens_portal)[0].id


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_signal_during_a_create(lmtokens_portal: Portal, number: int, status: int) -> None:
    lmtokens_portal.fail("delay", method="POST", seconds=40)
    with start_shell("add", "32", "--note", "ci") as process:
        wait_until(lambda: lmtokens_portal.record)
        process.send_signal(number)
        out, err = process.communicate(timeout=HANG_TIMEOUT / 2)
    assert (process.returncode, out) == (status, "")
    assert "a token of user 32 may be left pending; it is disabled" in err
    assert "Traceback" not in err


def run_in_sandbox(
    code: str, *options: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return run_shell("sandbox", *options, "--", sys.executable, "-c", code, environment=environment)


SHOW_ENVIRONMENT = "import json, os; print(json.dumps({n: v for n, v in os.environ.items() if n.startswith('LM_')}))"


def test_sandbox_sets_the_environment_of_the_command() -> None:
    stray = {"LM_PROFILE": "production", "LM_BEARER_TOKEN": "lmb_invented", "LM_API_ID": "x", "LM_ACCESS_KEY": "x"}
    variables = json.loads(run_in_sandbox(SHOW_ENVIRONMENT, environment=stray).stdout)
    assert set(variables) == {"LM_COMPANY", "LM_BASE_URL", "LM_ACCESS_ID", "LM_ACCESS_KEY", "LM_CONFIG_FILE"}
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/santaba/rest", variables["LM_BASE_URL"])
    assert variables["LM_ACCESS_KEY"].startswith("sandbox-key-")


HYPHENATED = ["-x", "-", "-1", "- x"]
LIKE_OPTIONS = ["--", "---", "--note", "--dry-run", "--dryrun", "--version", "--invented", "-o", "-ojson", "-h"]


@pytest.mark.parametrize(
    "words",
    [["--note", note] for note in HYPHENATED] + [[f"--note={note}"] for note in [*HYPHENATED, *LIKE_OPTIONS]],
    ids=" ".join,
)
def test_note_may_begin_with_a_hyphen(lmtokens_portal: Portal, words: list[str]) -> None:
    note = words[1] if len(words) == 2 else words[0].removeprefix("--note=")
    completed = run_shell("add", "32", *words, "-o", "json")
    assert completed.returncode == 0, completed.stderr
    assert created_tokens(lmtokens_portal)[0].note == note


@pytest.mark.parametrize("note", LIKE_OPTIONS)
@pytest.mark.parametrize("before", [["32"], []], ids=["user first", "note first"])
def test_option_in_the_place_of_a_note_is_refused(lmtokens_portal: Portal, note: str, before: list[str]) -> None:
    completed = run_shell("add", *before, "--note", note, *([] if before else ["32"]))
    assert (completed.returncode, completed.stdout, lmtokens_portal.record) == (2, "", [])
    shown = "********" if note == "-ojson" else note
    assert f"--note has no value: {shown} follows; if that is the note, write --note=NOTE" in completed.stderr


def test_words_after_the_end_of_the_options_are_no_note(lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "--", "--note", "--dry-run")
    assert completed.returncode == 2
    assert "--note has no value" not in completed.stderr


def test_misspelt_option_is_corrected(lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "--dryrun", "32")
    assert completed.returncode == 2
    assert "--dry-run" in completed.stderr
    assert lmtokens_portal.record == []


def test_paths_may_begin_with_a_hyphen(
    lmtokens_portal: Portal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("admin_id\n32\n")
    assert run_shell("bulk", "in.csv", "--journal", "./-run.journal").returncode == 0
    assert run_shell("sandbox", "--record=-record", "--", "true").returncode == 0
    assert run_shell("bulk", "in.csv", "--journal", "-other.journal").returncode == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["-record", "-run.journal", "in.csv"]


def test_sandbox_keeps_the_rest_of_the_environment() -> None:
    completed = run_in_sandbox("import os; print(os.environ['OTHER'])", environment={"OTHER": "kept"})
    assert completed.stdout == "kept\n"


def test_one_liner_in_the_sandbox(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    code = "import lmtokens; print(lmtokens.add_token(32, 'ci', 2))"
    completed = run_in_sandbox(code, "--record", str(record), "--seed", "5")
    assert completed.returncode == 0
    (seen,) = [json.loads(line) for line in record.read_text().splitlines()]
    assert (seen["method"], seen["path"], seen["signature"]) == (
        "POST",
        "/santaba/rest/setting/admins/32/apitokens",
        "valid",
    )
    with lmtokens.sandbox.Portal(seed=5) as portal:
        key = portal.client().add_token(32).access_key
        assert key is not None
        secrets = [key.reveal(), portal.access_key.reveal(), portal.bearer_token.reveal()]
    shown = completed.stdout + completed.stderr + record.read_text()
    assert "********" in completed.stdout
    assert [secret for secret in secrets if secret in shown] == []


@pytest.mark.parametrize("status", [0, 1, 3, 42, 255])
def test_sandbox_returns_the_status_of_the_command(status: int) -> None:
    assert run_in_sandbox(f"raise SystemExit({status})").returncode == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_sandbox_reports_the_signal_that_ended_the_command(number: int) -> None:
    completed = run_in_sandbox(f"import os; os.kill(os.getpid(), {int(number)})")
    assert completed.returncode == 128 + number


def test_sandbox_passes_standard_streams_through() -> None:
    completed = subprocess.run(
        [*SHELL, "sandbox", "--", "sh", "-c", "cat; echo error >&2"],
        input="through\n",
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "through\n", "error\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_sandbox_without_a_command_prints_exports(number: int, tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    with start_shell("sandbox", "--record", str(record)) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        script = 'eval "$1"; exec "$2" add 32 -o json'
        added = subprocess.run(
            ["sh", "-c", script, "sh", "".join(lines), SHELL[0]],
            capture_output=True,
            text=True,
            timeout=HANG_TIMEOUT,
            check=False,
        )
        process.send_signal(number)
        out, err = process.communicate(timeout=HANG_TIMEOUT / 2)
    assert [line.split("=")[0] for line in lines] == [
        f"export {name}" for name in ("LM_COMPANY", "LM_BASE_URL", "LM_ACCESS_ID", "LM_ACCESS_KEY")
    ]
    assert json.loads(added.stdout)["admin_id"] == 32
    assert (process.returncode, out) == (0, "")
    assert "press Ctrl-C to stop" in err
    assert "Traceback" not in err
    assert [json.loads(line)["method"] for line in record.read_text().splitlines()] == ["POST", "PATCH"]


def test_sandbox_options_take_effect() -> None:
    code = (
        "import lmtokens\n"
        "lmtokens.add_token(32)\n"
        "lmtokens.configure(on_limit='raise')\n"
        "try: lmtokens.add_token(32)\n"
        "except lmtokens.RateLimitError as error: print(error.limit, error.window)\n"
    )
    assert run_in_sandbox(code, "--rate-limit", "1", "--window", "30").stdout == "1 30.0\n"
    code = (
        "import lmtokens\n"
        "try: lmtokens.add_token(32)\n"
        "except lmtokens.AuthenticationError as error: print(error.suggestion)\n"
    )
    assert "ahead of the portal's" in run_in_sandbox(code, "--clock-offset", "-7200").stdout


def test_sandbox_port() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = json.loads(run_in_sandbox(SHOW_ENVIRONMENT, "--port", str(port)).stdout)
    assert variables["LM_BASE_URL"] == f"http://127.0.0.1:{port}/santaba/rest"


def test_sandbox_port_that_is_in_use(lmtokens_portal: Portal) -> None:
    port = lmtokens_portal.base_url.split(":")[2].split("/")[0]
    completed = run_shell("sandbox", "--port", port, "--", "true")
    assert completed.returncode != 0
    assert port in completed.stderr


@needs_full_disk
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["sandbox"]], ids=" ".join)
def test_full_disk_is_an_error(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        completed = subprocess.run(
            [*SHELL, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=HANG_TIMEOUT, check=False
        )
    assert completed.returncode != 0
    assert "Traceback" not in completed.stderr


def test_company_and_domain_are_arguments() -> None:
    pair = {"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY}
    completed = run_shell("add", "32", "--dry-run", "--company", "acme", "--domain", "lmgov.us", environment=pair)
    assert completed.stdout.startswith("POST https://acme.lmgov.us/santaba/rest/setting/admins/32/apitokens\n")
