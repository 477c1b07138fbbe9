"""Show what lmtokens does, step by step, against a sandbox: each step prints a command and its effect.

``make demo`` runs it. It ends with an error as soon as a step has another effect than the one it is meant to show.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lmtokens.sandbox import Portal

LMTOKENS = Path(sys.executable).with_name("lmtokens")
ROWS = 40
ROWS_BEFORE_KILL = 15

LOST_RESPONSE = """
try:
    lmtokens.add_token(32, note="deploy")
except lmtokens.OutcomeUnknownError as error:
    print(error)
    for candidate in error.candidates or []:
        lmtokens.delete_token(candidate)
""".strip()

JOBS = 'jobs = [token.note for token in lmtokens.list_tokens(32) if token.note.startswith("job")]'


class Session:
    """Runs Python and shell commands, and prints them with their output."""

    def __init__(self) -> None:
        self._namespace: dict[str, object] = {}

    def python(self, statement: str, expected: str = "") -> None:
        """Run one statement as an interactive interpreter does; its output must contain a text."""
        print(">>> " + statement.replace("\n", "\n... "))
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(statement + "\n", "demo", "single"), self._namespace)
        show(output.getvalue(), expected)

    def shell(self, command: str, expected: str) -> None:
        """Run one command; it must succeed, and its output must contain a text."""
        print(f"$ {command}", flush=True)
        completed = subprocess.run(
            arguments(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        show(completed.stdout, expected)
        if completed.returncode != 0:
            raise SystemExit(f"exit code {completed.returncode}")


def arguments(command: str) -> list[str]:
    name, *others = shlex.split(command)
    return [str(LMTOKENS) if name == "lmtokens" else name, *others]


def show(output: str, expected: str) -> None:
    print(output, end="")
    if expected not in output:
        raise SystemExit(f"unexpected output; expected {expected!r}")


def step(text: str) -> None:
    print(f"\n# {text}", flush=True)


def tell(portal: Portal, session: Session) -> None:
    print("# A sandbox is running: a fake portal on this machine. No account is used.")
    session.python("import lmtokens")

    step("Create a token for user 32. The portal shows its key once; lmtokens masks it until you ask.")
    session.python('token = lmtokens.add_token(32, note="ci")')
    session.python("token.access_key", "********")
    session.python("token.access_key.reveal()", "sandbox-key-")

    print("\n# The sandbox received one request:")
    for seen in portal.record:
        print(f"{seen.method} {seen.path}, signature {seen.signature}")
    if [seen.method for seen in portal.record] != ["POST"]:
        raise SystemExit("unexpected requests")
    session.shell("lmtokens list --user 32", "ci")

    step("Now the sandbox creates a token, but its response is lost. A create is never repeated blindly.")
    portal.fail("act-then-close", method="POST")
    session.python(LOST_RESPONSE, "that may be the result")

    step(f"Create {ROWS} tokens. The run is killed when {ROWS_BEFORE_KILL} of them are enabled.")
    Path("team.csv").write_text("admin_id,note\n" + "".join(f"32,job {row}\n" for row in range(1, ROWS + 1)))
    kill_bulk_run(portal)
    session.shell("lmtokens bulk team.csv --journal team.journal --resume", f"{ROWS} rows: ")
    session.python(JOBS)
    session.python('f"{len(jobs)} tokens, {len(set(jobs))} different notes"', f"{ROWS} tokens, {ROWS} different notes")

    step("A token expires when sweep runs after its time. 31 days pass in the sandbox.")
    session.shell("lmtokens add 32 --note contractor --expires 30d --to file:contractor.json", "key delivered to")
    portal.advance(days=31)
    session.shell("lmtokens sweep --yes", "1 of 1 deleted")


def kill_bulk_run(portal: Portal) -> None:
    """Kill a run between the creates and the enabling of some of its rows."""
    enabled = len([token for token in portal.tokens if token.status == 2])
    portal.fail("delay", method="PATCH", skip=ROWS_BEFORE_KILL, times=None, seconds=60)
    command = "lmtokens bulk team.csv --journal team.journal"
    print(f"$ {command}", flush=True)
    deadline = time.monotonic() + 60
    with subprocess.Popen(arguments(command), stderr=subprocess.DEVNULL) as process:
        try:
            while len([token for token in portal.tokens if token.status == 2]) < enabled + ROWS_BEFORE_KILL:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("the run did not create the tokens after which it is killed")
                time.sleep(0.01)
        finally:
            process.kill()
    portal.clear_faults()
    print("Killed")


def main() -> None:
    command = os.path.relpath(LMTOKENS)
    for name in [name for name in os.environ if name.startswith("LM_")]:
        del os.environ[name]
    started = Path.cwd()
    with Portal(seed=1) as portal, tempfile.TemporaryDirectory() as folder:
        os.environ.update(portal.environment())
        os.chdir(folder)
        try:
            tell(portal, Session())
        finally:
            os.chdir(started)
    print(f"\n# The command is {command}. Type next:")
    activate = f". {os.path.dirname(command)}/activate"
    print(f"{activate:<24} # from now on, it is just lmtokens")
    print("lmtokens sandbox -- sh   # a shell with a sandbox of its own, for docs/tutorial.md")
    print("lmtokens doctor          # what is missing to use it with your own portal")


if __name__ == "__main__":
    main()
