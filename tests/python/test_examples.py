"""Every example runs against the sandbox and prints the expected output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from support import EXAMPLES, HANG_TIMEOUT, SHELL

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal


LIFE_OUTPUT = "calling as admin, LMv1 from environment (LM_ACCESS_ID, LM_ACCESS_KEY)\n" + "".join(
    f"{kind}: {what}\n"
    for kind in ("lmv1", "bearer")
    for what in (
        "created, enabled, with a key of some characters",
        "found, note 'example', key None",
        "renamed, note 'example, renamed'",
        "disabled",
        "enabled again",
        "listed 1 time",
        "deleted",
    )
)

# The output of each example, as a regular expression.
EXPECTED_OUTPUT = {
    "token_lifecycle_sync": re.escape(LIFE_OUTPUT),
    "token_lifecycle_async": re.escape(LIFE_OUTPUT),
    "token_lifecycle_functions": re.escape(LIFE_OUTPUT),
    "list_stale_tokens": "",
    "rotate_by_hand": r"token 103 was deleted; token 104 \(nightly job\) replaces it\n",
}


def run_example(*command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )


def bare_environment() -> dict[str, str]:
    """Return an environment without portal and credentials, in which warnings are errors."""
    names = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT")
    return {name: os.environ[name] for name in names if name in os.environ} | {"PYTHONWARNINGS": "error"}


def test_every_example_is_tested() -> None:
    # test_auth_examples.py and test_notebook.py test the others.
    found = {path.stem for path in EXAMPLES.glob("*.py") if not path.stem.startswith("auth_")}
    assert found == set(EXPECTED_OUTPUT)


@pytest.mark.parametrize("name", EXPECTED_OUTPUT)
def test_example_prints_the_expected_output(name: str) -> None:
    path = EXAMPLES / f"{name}.py"
    completed = run_example(*SHELL, "sandbox", "--", sys.executable, str(path), environment=bare_environment())
    assert completed.returncode == 0, completed.stderr
    assert re.fullmatch(EXPECTED_OUTPUT[name], completed.stdout), completed.stdout
    assert "Traceback" not in completed.stderr


@pytest.mark.parametrize("name", [name for name in EXPECTED_OUTPUT if name.startswith("token_lifecycle_")])
def test_token_lifecycle_example_sends_every_operation(lmtokens_portal: Portal, name: str) -> None:
    before = lmtokens_portal.tokens
    completed = run_example(
        sys.executable, str(EXAMPLES / f"{name}.py"), environment=bare_environment() | lmtokens_portal.environment()
    )
    assert (completed.returncode, completed.stderr) == (0, "")
    seen = [one for one in lmtokens_portal.record if one.applied]
    assert sorted(one.method for one in seen) == sorted(2 * ["POST", "PATCH", "PATCH", "PATCH", "DELETE"])
    assert [one.query for one in seen if one.method == "POST"].count("type=bearer") == 1
    assert [token.id for token in lmtokens_portal.tokens] == [token.id for token in before]


def test_stale_tokens_are_enabled_and_unused(lmtokens_portal: Portal) -> None:
    day = 86_400
    now = int(time.time())
    old, young = now - 200 * day, now - 5 * day
    stale = [
        lmtokens_portal.create_token(32, note="never used", created_on=old),
        lmtokens_portal.create_token(33, note="used long ago", created_on=old, last_used_on=old + day, type="bearer"),
    ]
    lmtokens_portal.create_token(32, note="in use", created_on=old, last_used_on=young)
    lmtokens_portal.create_token(32, note="young", created_on=young)
    lmtokens_portal.create_token(32, note="disabled", created_on=old, status=1)
    completed = run_example(
        sys.executable,
        str(EXAMPLES / "list_stale_tokens.py"),
        "30",
        environment=bare_environment() | lmtokens_portal.environment(),
    )
    lines = [line.split("\t") for line in completed.stdout.splitlines()]
    assert [(int(line[0]), line[1], line[-1]) for line in lines] == [(one.id, one.type, one.note) for one in stale]
    assert completed.stderr == "2 enabled tokens unused for 30 days\n"


@pytest.mark.parametrize(("type", "named_by"), [("lmv1", "id"), ("lmv1", "access id"), ("bearer", "id")])
def test_rotation_by_id_or_access_id(lmtokens_portal: Portal, type: Any, named_by: str) -> None:
    old = lmtokens_portal.create_token(33, note="nightly job", type=type)
    completed = run_example(
        sys.executable,
        str(EXAMPLES / "rotate_by_hand.py"),
        str(old.id) if named_by == "id" else old.access_id,
        environment=bare_environment() | lmtokens_portal.environment(),
    )
    assert completed.returncode == 0, completed.stderr
    (new,) = lmtokens.list_tokens(33)
    assert new.id != old.id
    assert (new.note, str(new.type)) == ("nightly job", type)
