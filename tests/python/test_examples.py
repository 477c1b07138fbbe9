"""Every example runs as it says, against the embedded portal, and prints what it is there to show."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import lmtokens
import pytest
from support import EXAMPLES, HANG_TIMEOUT, SHELL

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal


LIFE = "calling as admin, LMv1 from environment (LM_ACCESS_ID, LM_ACCESS_KEY)\n" + "".join(
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

# What each prints, as a pattern.
PRINTS = {
    "token_lifecycle_sync": re.escape(LIFE),
    "token_lifecycle_async": re.escape(LIFE),
    "token_lifecycle_functions": re.escape(LIFE),
    "list_stale_tokens": "",
    "rotate_by_hand": r"token 103 was deleted; token 104 \(nightly job\) replaces it\n",
    "notebook": (
        r"admin\nToken\(id=103, .*access_key=Secret\('\*{8}'\).*\)\n\*{8}\n\['created in a notebook'\]\n"
        r"<lmtokens.Filter .*>\n1\n10\nNo such user.*\nhint: .*\n\{.*\} \{'valid'\}\n"
    ),
}


def run(*command: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )


def bare() -> dict[str, str]:
    """No portal, no credentials: the sandbox gives them. Warnings are errors."""
    names = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT")
    return {name: os.environ[name] for name in names if name in os.environ} | {"PYTHONWARNINGS": "error"}


def test_every_example_is_run() -> None:
    # Those that sign the requests of other libraries are tested with these libraries.
    found = {path.stem for path in EXAMPLES.glob("*.py") if not path.stem.startswith("auth_")}
    assert found == set(PRINTS)


@pytest.mark.parametrize("name", PRINTS)
def test_example(name: str) -> None:
    path = EXAMPLES / f"{name}.py"
    completed = run(*SHELL, "sandbox", "--", sys.executable, str(path), environment=bare())
    assert completed.returncode == 0, completed.stderr
    assert re.fullmatch(PRINTS[name], completed.stdout), completed.stdout
    assert "Traceback" not in completed.stderr


@pytest.mark.parametrize("name", [name for name in PRINTS if name.startswith("token_lifecycle_")])
def test_life_of_a_token_is_whole(lmtokens_portal: Portal, name: str) -> None:
    before = lmtokens_portal.tokens
    completed = run(sys.executable, str(EXAMPLES / f"{name}.py"), environment=bare() | lmtokens_portal.environment())
    assert (completed.returncode, completed.stderr) == (0, "")
    seen = [one for one in lmtokens_portal.record if one.applied]
    assert sorted(one.method for one in seen) == sorted(2 * ["POST", "PATCH", "PATCH", "PATCH", "DELETE"])
    assert [one.query for one in seen if one.method == "POST"].count("type=bearer") == 1
    assert [token.id for token in lmtokens_portal.tokens] == [token.id for token in before]


def test_stale_tokens_are_those_that_nobody_used(lmtokens_portal: Portal) -> None:
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
    completed = run(
        sys.executable, str(EXAMPLES / "list_stale_tokens.py"), "30", environment=bare() | lmtokens_portal.environment()
    )
    lines = [line.split("\t") for line in completed.stdout.splitlines()]
    assert [(int(line[0]), line[1], line[-1]) for line in lines] == [(one.id, one.type, one.note) for one in stale]
    assert completed.stderr == "2 enabled tokens unused for 30 days\n"


@pytest.mark.parametrize(("type", "how"), [("lmv1", "id"), ("lmv1", "access id"), ("bearer", "id")])
def test_rotation_of_a_token_that_is_named(lmtokens_portal: Portal, type: str, how: str) -> None:
    old = lmtokens_portal.create_token(33, note="nightly job", type=type)
    completed = run(
        sys.executable,
        str(EXAMPLES / "rotate_by_hand.py"),
        str(old.id) if how == "id" else old.access_id,
        environment=bare() | lmtokens_portal.environment(),
    )
    assert completed.returncode == 0, completed.stderr
    (new,) = lmtokens.list_tokens(33)
    assert new.id != old.id
    assert (new.note, str(new.type)) == ("nightly job", type)
