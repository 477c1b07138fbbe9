"""The command: data to standard output, everything else to standard error, and exit codes that scripts can test."""

from __future__ import annotations

import csv
import io
import json
import os
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
from support import ACCESS_ID, ACCESS_KEY, PATIENCE, SHELL, Answering, run_shell, wait_until

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal, StoredToken

MODULE = [sys.executable, "-m", "lmtokens"]

needs_full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")


def made(portal: Portal) -> list[StoredToken]:
    """The tokens that the portal keeps beside its own."""
    return portal.tokens[2:]


@pytest.mark.parametrize("command", [SHELL, MODULE], ids=["script", "module"])
def test_version(command: list[str]) -> None:
    completed = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (completed.returncode, completed.stdout) == (0, f"lmtokens {lmtokens.__version__}\n")
    assert completed.stderr == ""


@pytest.mark.parametrize("command", [SHELL, MODULE], ids=["script", "module"])
def test_script_and_module_are_the_same(command: list[str], lmtokens_portal: Portal) -> None:
    completed = subprocess.run([*command, "add", "32"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert completed.returncode == 0
    assert made(lmtokens_portal)[0].access_key.reveal() in completed.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["add", "sandbox", "LM_ACCESS_KEY", "No secret is ever an argument"]),
        (["add", "--help"], ["ADMIN", "--note", "--disabled", "--type", "--output", "--dry-run", "--base-url"]),
        (["sandbox", "--help"], ["COMMAND", "--record", "--rate-limit", "--seed", "127.0.0.1"]),
    ],
    ids=" ".join,
)
def test_help(arguments: list[str], words: list[str]) -> None:
    completed = run_shell(*arguments)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert [word for word in words if word not in completed.stdout] == []


def test_help_offers_no_argument_for_a_secret() -> None:
    for command in ("add", "sandbox"):
        options = re.findall(r"--[a-z-]+", run_shell(command, "--help").stdout)
        assert "--help" in options
        assert [option for option in options if re.search("key|secret|bearer|token|password", option)] == []


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
        ["sandbox", "--", "/nonexistent/command"],
        ["sandbox", "--record", "/nonexistent/folder/file"],
    ],
    ids=lambda arguments: " ".join(arguments) or "nothing",
)
def test_usage(lmtokens_portal: Portal, arguments: list[str]) -> None:
    completed = run_shell(*arguments)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr
    assert "Traceback" not in completed.stderr
    assert "panicked" not in completed.stderr
    assert lmtokens_portal.record == []


def test_table(lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "32", "--note", "two  words")
    token = made(lmtokens_portal)[0]
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in completed.stdout.splitlines() if "  " in line)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert rows["id"] == str(token.id)
    assert rows["access_id"] == token.access_id
    assert rows["access_key"] == token.access_key.reveal()
    assert rows["note"] == "two  words"


EXPECTED = [
    "id",
    "type",
    "access_id",
    "access_key",
    "admin_id",
    "admin_name",
    "status",
    "note",
    "roles",
    "created_by",
    "created_on",
]


@pytest.mark.parametrize("kind", ["json", "jsonl"])
def test_json(lmtokens_portal: Portal, kind: str) -> None:
    completed = run_shell("add", "32", "--note", 'Zoë\n"x"', "-o", kind)
    token = made(lmtokens_portal)[0]
    members = json.loads(completed.stdout)
    assert completed.stdout.endswith("\n")
    assert (completed.stdout.count("\n") == 1) is (kind == "jsonl")
    assert list(members) == EXPECTED
    assert (members["id"], members["access_key"]) == (token.id, token.access_key.reveal())
    assert members["note"] == 'Zoë\n"x"'
    assert (members["status"], members["type"], members["admin_id"]) == (2, "lmv1", 32)
    assert (members["roles"], members["created_by"]) == (["token-manager"], "admin")


def test_csv(lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "32", "--note", 'a "b", c\nd', "-o", "csv")
    (row,) = csv.DictReader(io.StringIO(completed.stdout, newline=""))
    token = made(lmtokens_portal)[0]
    assert list(row) == EXPECTED
    assert (row["id"], row["access_key"], row["note"]) == (str(token.id), token.access_key.reveal(), 'a "b", c\nd')


@pytest.mark.parametrize("seed", range(5))
def test_env_survives_a_shells_eval(seed: int) -> None:
    # The keys of different seeds hold different symbols.
    script = 'eval "$("$1" add 32 -o env)"; printf "%s\\n%s\\n" "$LM_ACCESS_ID" "$LM_ACCESS_KEY"; "$1" add 32 -o json'
    completed = run_shell("sandbox", "--seed", str(seed), "--", "sh", "-c", script, "sh", SHELL[0])
    access_id, access_key, answer = completed.stdout.split("\n", 2)
    with lmtokens.sandbox.Portal(seed=seed) as portal:
        token = portal.client().add_token(32)
    assert token.access_key is not None
    assert (access_id, access_key) == (token.access_id, token.access_key.reveal())
    # The second call is signed with the new pair, and user 32 is who made it.
    assert json.loads(answer)["created_by"] == "api-user"


HOSTILE = "a'b\"c$(exit 9)`exit 9`\\d!e;f&g|h>i<j*k?l~m#n%o'"


def test_env_quotes_what_a_shell_would_act_on() -> None:
    body = {"id": 1, "accessId": ACCESS_ID, "accessKey": HOSTILE, "status": 1}
    with Answering(json.dumps(body).encode()) as server:
        environment = {"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY, "LM_BASE_URL": server.base_url}
        completed = run_shell("add", "32", "--disabled", "-o", "env", environment=environment)
    script = f'{completed.stdout}printf %s "$LM_ACCESS_KEY"'
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert shown.stdout == HOSTILE
    assert shlex.split(completed.stdout)[1] == f"LM_ACCESS_KEY={HOSTILE}"


def test_env_of_a_bearer(lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "32", "--type", "bearer", "-o", "env")
    assert completed.stdout == f"LM_BEARER_TOKEN='{made(lmtokens_portal)[0].access_key.reveal()}'\n"


def test_what_a_portal_sends_does_not_steer_a_terminal(lmtokens_portal: Portal) -> None:
    completed = run_shell("add", "32", "--note", "\x1b[2J\x07\r")
    assert completed.returncode == 0
    assert [character for character in completed.stdout if not character.isprintable() and character != "\n"] == []


def test_disabled(lmtokens_portal: Portal) -> None:
    assert json.loads(run_shell("add", "32", "--disabled", "-o", "json").stdout)["status"] == 1
    assert made(lmtokens_portal)[0].status == 1


def test_note_is_sent_only_where_given(lmtokens_portal: Portal) -> None:
    run_shell("add", "32")
    run_shell("add", "32", "--note", "ci")
    changes = [json.loads(seen.body) for seen in lmtokens_portal.record if seen.method == "PATCH"]
    assert changes == [{"note": "", "status": 2}, {"note": "ci", "status": 2}]


@pytest.mark.parametrize("extra", [[], ["--note", "ci", "--disabled", "--type", "bearer"]])
def test_dry_run_sends_nothing(lmtokens_portal: Portal, extra: list[str]) -> None:
    completed = run_shell("add", "32", "--dry-run", *extra)
    url = f"{lmtokens_portal.base_url}/setting/admins/32/apitokens"
    post, last = (f"{url}?type=bearer", '"ci","status":1') if extra else (url, '"","status":2')
    expected = (
        f'POST {post}\n{{"note":"TAG{" ci" if extra else ""}","status":1}}\n'
        f'and when the key has been handed over:\nPATCH {url}/ID\n{{"note":{last}}}\n'
    )
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, expected, "")
    assert lmtokens_portal.record == []
    assert made(lmtokens_portal) == []


def test_user_agent_is_honest(lmtokens_portal: Portal) -> None:
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
        # Nothing of its own can be seen, so that what became of the request is not known.
        (("close-before-acting", {}), 7, "may have been made"),
    ],
    ids=lambda value: str(value) if isinstance(value, tuple) else "",
)
def test_exit_codes(lmtokens_portal: Portal, fault: tuple[str, dict[str, Any]], status: int, words: str) -> None:
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
    (candidate,) = made(lmtokens_portal)
    assert completed.returncode == 7
    # The key is out, and the token may work: nothing is deleted.
    assert json.loads(completed.stdout)["access_key"] == candidate.access_key.reveal()
    assert "caused by: lost the connection to 127.0.0.1" in completed.stderr
    assert f"candidate: token {candidate.id}, access id {candidate.access_id}" in completed.stderr


@pytest.mark.parametrize("kind", ["act-then-close", "garbage", "act-then-status", "no-key"])
def test_lost_answer_is_cleared_and_made_again(lmtokens_portal: Portal, kind: str) -> None:
    lmtokens_portal.fail(kind, method="POST")
    completed = run_shell("add", "32", "--note", "ci", "-o", "json")
    (token,) = made(lmtokens_portal)
    assert json.loads(completed.stdout)["access_key"] == token.access_key.reveal()
    assert (token.status, token.note) == (2, "ci")


def test_no_connection(lmtokens_portal: Portal) -> None:
    lmtokens_portal.close()
    completed = run_shell("add", "32")
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


def check_taken_back(portal: Portal, completed: subprocess.CompletedProcess[str]) -> None:
    assert completed.returncode == 1
    assert "cannot write to standard output" in completed.stderr
    assert "has been deleted" in completed.stderr
    assert [seen.method for seen in portal.record] == ["POST", "DELETE"]
    assert made(portal) == []


@needs_full_disk
@pytest.mark.parametrize("kind", ["table", "json", "jsonl", "csv", "env"])
def test_full_disk_takes_the_token_back(lmtokens_portal: Portal, kind: str) -> None:
    with open("/dev/full", "w") as full:
        completed = subprocess.run(
            [*SHELL, "add", "32", "-o", kind],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    check_taken_back(lmtokens_portal, completed)


@pytest.mark.parametrize("kind", ["lmv1", "bearer"])
def test_closed_pipe_takes_the_token_back(lmtokens_portal: Portal, kind: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        completed = subprocess.run(
            [*SHELL, "add", "32", "--type", kind],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(writing)
    check_taken_back(lmtokens_portal, completed)


def test_closed_socket_takes_the_token_back(lmtokens_portal: Portal) -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs:
        completed = subprocess.run(
            [*SHELL, "add", "32"],
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    check_taken_back(lmtokens_portal, completed)


def test_closed_standard_output_leaves_nothing_live(lmtokens_portal: Portal) -> None:
    completed = subprocess.run(
        ["sh", "-c", 'exec "$0" add 32 >&-', SHELL[0]],
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert completed.returncode == 1
    assert "cannot write to standard output" in completed.stderr
    # That there is none can be known before anything is sent.
    assert lmtokens_portal.record == []
    assert made(lmtokens_portal) == []


@needs_full_disk
def test_token_that_cannot_be_taken_back_is_named(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("status-before-acting", method="DELETE", status=403)
    with open("/dev/full", "w") as full:
        completed = subprocess.run(
            [*SHELL, "add", "32"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False
        )
    (left,) = made(lmtokens_portal)
    assert completed.returncode == 1
    # It never worked.
    assert left.status == 1
    assert f"token {left.id} is left behind, disabled" in completed.stderr


def test_closed_standard_error_is_no_reason_to_stop(lmtokens_portal: Portal) -> None:
    completed = subprocess.run(
        ["sh", "-c", 'exec "$0" add 32 -o json 2>&-', SHELL[0]],
        stdout=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert completed.returncode == 0
    assert json.loads(completed.stdout)["id"] == made(lmtokens_portal)[0].id


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=str
)
def test_signal_during_a_create(lmtokens_portal: Portal, number: int, status: int) -> None:
    lmtokens_portal.fail("delay", method="POST", seconds=40)
    with subprocess.Popen(
        [*SHELL, "add", "32", "--note", "ci"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until(lambda: lmtokens_portal.record)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE / 2)
    assert (process.returncode, out) == (status, "")
    assert "a token of user 32 may be left behind: it is disabled" in err
    assert "Traceback" not in err


def sandbox_of(code: str, *options: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return run_shell("sandbox", *options, "--", sys.executable, "-c", code, environment=environment)


SHOW_ENVIRONMENT = "import json, os; print(json.dumps({n: v for n, v in os.environ.items() if n.startswith('LM_')}))"


def test_sandbox_sets_the_environment_of_the_command() -> None:
    stray = {"LM_PROFILE": "production", "LM_BEARER_TOKEN": "lmb_invented", "LM_API_ID": "x", "LM_ACCESS_KEY": "x"}
    variables = json.loads(sandbox_of(SHOW_ENVIRONMENT, environment=stray).stdout)
    assert set(variables) == {"LM_COMPANY", "LM_BASE_URL", "LM_ACCESS_ID", "LM_ACCESS_KEY"}
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/santaba/rest", variables["LM_BASE_URL"])
    assert variables["LM_ACCESS_KEY"].startswith("sandbox-key-")


def test_sandbox_keeps_the_rest_of_the_environment() -> None:
    completed = sandbox_of("import os; print(os.environ['OTHER'])", environment={"OTHER": "kept"})
    assert completed.stdout == "kept\n"


def test_one_liner_in_the_sandbox(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    code = "import lmtokens; print(lmtokens.add_token(32, 'ci', 2))"
    completed = sandbox_of(code, "--record", str(record), "--seed", "5")
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
    assert sandbox_of(f"raise SystemExit({status})").returncode == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_sandbox_tells_that_a_signal_ended_the_command(number: int) -> None:
    completed = sandbox_of(f"import os; os.kill(os.getpid(), {int(number)})")
    assert completed.returncode == 128 + number


def test_sandbox_passes_standard_input_and_output_on() -> None:
    completed = subprocess.run(
        [*SHELL, "sandbox", "--", "sh", "-c", "cat; echo error >&2"],
        input="through\n",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (completed.returncode, completed.stdout, completed.stderr) == (0, "through\n", "error\n")


HANDLER = """
import signal, sys, time
def handler(number, frame):
    print("got", number, flush=True)
    sys.exit(7)
signal.signal(NUMBER, handler)
print("ready", flush=True)
time.sleep(40)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_sandbox_forwards_signals(number: int) -> None:
    code = HANDLER.replace("NUMBER", str(int(number)))
    with subprocess.Popen(
        [*SHELL, "sandbox", "--", sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE / 2)
    assert out == f"got {int(number)}\n"
    assert (process.returncode, err) == (7, "")


def test_unknown_command_of_the_sandbox_is_named() -> None:
    completed = run_shell("sandbox", "--", "/nonexistent/command")
    assert "/nonexistent/command" in completed.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_sandbox_alone_prints_what_a_shell_can_eval(number: int, tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    with subprocess.Popen(
        [*SHELL, "sandbox", "--record", str(record)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
        script = 'eval "$1"; exec "$2" add 32 -o json'
        added = subprocess.run(
            ["sh", "-c", script, "sh", "".join(lines), SHELL[0]],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE / 2)
    assert [line.split("=")[0] for line in lines] == [
        f"export {name}" for name in ("LM_COMPANY", "LM_BASE_URL", "LM_ACCESS_ID", "LM_ACCESS_KEY")
    ]
    assert json.loads(added.stdout)["admin_id"] == 32
    assert (process.returncode, out) == (0, "")
    assert "end it with Ctrl-C" in err
    assert "Traceback" not in err
    assert [json.loads(line)["method"] for line in record.read_text().splitlines()] == ["POST", "PATCH"]


def test_options_of_the_sandbox_reach_the_portal() -> None:
    code = (
        "import lmtokens\n"
        "lmtokens.add_token(32)\n"
        "lmtokens.configure(on_limit='raise')\n"
        "try: lmtokens.add_token(32)\n"
        "except lmtokens.RateLimitError as error: print(error.limit, error.window)\n"
    )
    assert sandbox_of(code, "--rate-limit", "1", "--window", "30").stdout == "1 30.0\n"
    code = (
        "import lmtokens\n"
        "try: lmtokens.add_token(32)\n"
        "except lmtokens.AuthenticationError as error: print(error.suggestion)\n"
    )
    assert "ahead of the portal's" in sandbox_of(code, "--clock-offset", "-7200").stdout


def test_port_of_the_sandbox() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = json.loads(sandbox_of(SHOW_ENVIRONMENT, "--port", str(port)).stdout)
    assert variables["LM_BASE_URL"] == f"http://127.0.0.1:{port}/santaba/rest"


def test_port_that_is_taken(lmtokens_portal: Portal) -> None:
    port = lmtokens_portal.base_url.split(":")[2].split("/")[0]
    completed = run_shell("sandbox", "--port", port, "--", "true")
    assert completed.returncode != 0
    assert port in completed.stderr


@needs_full_disk
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["sandbox"]], ids=" ".join)
def test_full_disk_is_noticed(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        completed = subprocess.run(
            [*SHELL, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE, check=False
        )
    assert completed.returncode != 0
    assert "Traceback" not in completed.stderr


def test_company_and_domain_are_arguments() -> None:
    pair = {"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY}
    completed = run_shell("add", "32", "--dry-run", "--company", "acme", "--domain", "lmgov.us", environment=pair)
    assert completed.stdout.startswith("POST https://acme.lmgov.us/santaba/rest/setting/admins/32/apitokens\n")
