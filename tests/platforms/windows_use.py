"""Checks in CPython for Windows of what differs there: files, locks, paths, commands, interrupts and event loops."""

from __future__ import annotations

import _thread
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import lmtokens
import lmtokens.aio
import lmtokens.sandbox

SOON = 20


def shell(*arguments: str, portal: lmtokens.sandbox.Portal | None = None, **environment: str) -> tuple[int, str, str]:
    """Run the command; returns its exit status, standard output and standard error."""
    settings = {**os.environ, **(portal.environment() if portal else {}), **environment}
    run = subprocess.run(
        [sys.executable, "-m", "lmtokens", *arguments], env=settings, capture_output=True, encoding="utf-8", check=False
    )
    return run.returncode, run.stdout, run.stderr


def check_help(_folder: Path) -> None:
    """``--help``."""
    status, output, _ = shell("--help")
    assert status == 0
    assert "rotate" in output


def check_shell(_folder: Path) -> None:
    """``lmtokens sandbox -- COMMAND``, and add, list and delete in it."""
    script = """
import json, subprocess, sys
def run(*arguments):
    command = [sys.executable, "-m", "lmtokens", *arguments]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
token = json.loads(run("add", "32", "--note", "für Windows", "-o", "json"))
found = json.loads(run("list", "--note", "für Windows", "-o", "json"))
assert [one["id"] for one in found] == [token["id"]], found
assert "für Windows" in run("list")
run("delete", str(token["id"]), "--yes")
assert not json.loads(run("list", "--note", "für Windows", "-o", "json"))
raise SystemExit(5)
"""
    status, output, error = shell("sandbox", "--", sys.executable, "-c", script)
    assert status == 5, (status, output, error)


def check_file(folder: Path) -> None:
    """``--to file:`` with a path with a drive letter, relative, and with the prefix of long paths."""
    with lmtokens.sandbox.Portal() as portal:
        for path in [folder / "one.json", Path(f"\\\\?\\{folder / 'two.json'}")]:
            status, _, error = shell("add", "32", "--to", f"file:{path}", portal=portal)
            assert status == 0, error
            assert json.loads(path.read_text("utf-8"))["access_key"]
            assert shell("add", "32", "--to", f"file:{path}", portal=portal)[0] == 1
            assert shell("add", "32", "--to", f"file:{path}", "--overwrite", portal=portal)[0] == 0
        count = len(portal.record)
        for refused in ["NUL", "nul", str(folder / "NUL"), str(folder / "one.json:stream")]:
            status, _, error = shell("add", "32", "--to", f"file:{refused}", portal=portal)
            assert status == 1, (refused, error)
            assert "is not a file path" in error, error
        assert len(portal.record) == count
    assert sorted(path.name for path in folder.iterdir()) == ["one.json", "two.json"]


def check_rotation(folder: Path) -> None:
    """A rotation whose file another program has open: it fails, and is continued once the file is closed."""
    path = folder / "key.json"
    with lmtokens.sandbox.Portal() as portal:
        client = portal.client()
        old = client.add_token(32, deliver=lmtokens.deliver.to_file(path))

        def rotate() -> lmtokens.Rotation:
            return client.rotate_token(
                old, overlap=0, quarantine=0, deliver=lmtokens.deliver.to_file(path, overwrite=True)
            )

        with path.open() as opened:
            try:
                rotate()
            except lmtokens.DeliveryError as refused:
                assert "cannot move the secret" in str(refused), refused
            else:
                raise AssertionError("an open file was replaced")
            assert json.load(opened)["id"] == old.id
        rotated = rotate()
        assert rotated.new is not None
        assert json.loads(path.read_text("utf-8"))["id"] == rotated.new.id


def check_journal(folder: Path) -> None:
    """A journal: locked against a second run and against readers, resumed and exported when the run has ended."""
    path = folder / "run.journal"
    rows = [{"admin_id": 32, "note": f"row {number}"} for number in range(20)]
    with lmtokens.sandbox.Portal() as portal:
        client = portal.client()
        run = client.add_tokens(rows, journal=path)
        next(iter(run))
        status, _, error = shell("bulk", "--export", "--journal", str(path))
        # Wine lets others read a locked file.
        assert status == 0 or "a run uses it" in error, (status, error)
        try:
            list(client.add_tokens(rows, journal=path, resume=True))
        except lmtokens.DeliveryError as refused:
            assert "another run" in str(refused), refused
        else:
            raise AssertionError("two runs used one journal")
        run.close()
        summary = client.add_tokens(rows, journal=path, resume=True).finish()
        assert summary.created + summary.already_done == len(rows), summary
    status, output, error = shell("bulk", "--export", "--journal", str(path), "-o", "jsonl")
    assert status == 0, error
    assert len(output.splitlines()) == len(rows)


def check_commands(folder: Path) -> None:
    """``command:`` and ``credential_process`` with paths with backslashes; a command that hangs is killed."""
    script = folder / "store it.py"
    script.write_text("import pathlib, sys; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read())")
    with lmtokens.sandbox.Portal() as portal:
        stored = folder / "stored.json"
        command = f'command:{sys.executable} "{script}" {stored}'
        status, _, error = shell("add", "32", "--to", command, portal=portal)
        assert status == 0, error
        assert json.loads(stored.read_text("utf-8"))["access_key"]
        count = len(portal.record)
        status, _, error = shell("add", "32", "--to", r"command:C:\missing\program.exe", portal=portal)
        assert status == 1, error
        assert r"cannot find the command C:\missing\program.exe" in error, error
        assert len(portal.record) == count
        try:
            portal.client().add_token(
                32,
                deliver=lmtokens.deliver.to_command(
                    [sys.executable, "-c", "input(); import time; time.sleep(60)"], timeout=1
                ),
            )
        except lmtokens.DeliveryError as killed:
            assert "was killed" in str(killed), killed
        else:
            raise AssertionError("a command that hangs stored a token")
        config = folder / "config.toml"
        key = portal.environment()
        output = json.dumps({"access_id": key["LM_ACCESS_ID"], "access_key": key["LM_ACCESS_KEY"]})
        script.write_text(f"print({output!r})")
        words = json.dumps([sys.executable, str(script)])
        config.write_text(f'[profiles.ci]\nbase_url = "{key["LM_BASE_URL"]}"\ncredential_process = {words}\n')
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LM_")}
        os.environ.clear()
        os.environ.update(environment)
        status, output, error = shell("whoami", LM_CONFIG_FILE=str(config), LM_PROFILE="ci")
        assert status == 0, error


def check_profiles(folder: Path) -> None:
    """Profiles: the file with secrets is created in a new folder, changed by several processes, and read."""
    config = folder / "new folder" / "config.toml"
    key = "example-key-of-forty-characters-in-length"

    def add(name: str) -> None:
        arguments = ["profile", "add", name, "--company", "acme", "--access-id", "exampleAccessId00001"]
        command = [sys.executable, "-m", "lmtokens", *arguments]
        environment = {**os.environ, "LM_CONFIG_FILE": str(config)}
        subprocess.run(command, input=f"{key}\n", text=True, env=environment, check=True, capture_output=True)

    threads = [threading.Thread(target=add, args=[f"profile{number}"]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    status, output, error = shell("profile", "list", "-o", "json", LM_CONFIG_FILE=str(config))
    assert status == 0, error
    assert len(json.loads(output)) == 4, output
    assert sorted(path.name for path in config.parent.iterdir()) == ["config.toml", "config.toml.lock"]
    for none in ["nul", "NUL"]:
        status, output, error = shell("profile", "list", LM_CONFIG_FILE=none)
        assert (status, output) == (0, ""), (status, output, error)
        assert "no profiles" in error, error


def check_interrupts(_folder: Path) -> None:
    """An interrupt of a blocking call."""
    with lmtokens.sandbox.Portal() as portal:
        portal.fail("delay", seconds=60, method="GET", times=None)
        threading.Timer(1, _thread.interrupt_main).start()
        begun = time.monotonic()
        try:
            portal.client().list_users()
        except KeyboardInterrupt:
            assert time.monotonic() - begun < SOON
        else:
            raise AssertionError("not interrupted")


def check_loops(_folder: Path) -> None:
    """Awaited calls in both event loops of Windows, many at once."""
    names = ["WindowsProactorEventLoopPolicy", "WindowsSelectorEventLoopPolicy"]
    policies = [getattr(asyncio, name) for name in names]

    async def many(portal: lmtokens.sandbox.Portal) -> None:
        async with portal.async_client() as client:
            tokens = await asyncio.gather(*(client.add_token(32, f"note {number}") for number in range(32)))
            assert len({token.id for token in tokens}) == 32
            found = [token.id async for token in client.list_tokens(32)]
            assert {token.id for token in tokens} <= set(found)

    for policy in policies:
        with lmtokens.sandbox.Portal() as portal:
            asyncio.set_event_loop_policy(policy())
            asyncio.run(many(portal))


def check_break(_folder: Path) -> None:
    """Ctrl-Break stops the command, which says so."""
    with lmtokens.sandbox.Portal() as portal:
        portal.fail("delay", seconds=60, method="GET", times=None)
        process = subprocess.Popen(
            [sys.executable, "-m", "lmtokens", "users"],
            env={**os.environ, **portal.environment()},
            stderr=subprocess.PIPE,
            text=True,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,  # type: ignore[attr-defined]
        )
        while not portal.record:
            time.sleep(0.01)
        try:
            process.send_signal(signal.CTRL_BREAK_EVENT)  # type: ignore[attr-defined]
        except (OSError, SystemError) as error:
            process.kill()
            process.communicate()
            raise unittest.SkipTest(f"there is no console: {error}") from None
        _, shown = process.communicate(timeout=SOON)
        assert process.returncode == 128 + 21, (process.returncode, shown)
        assert "SIGBREAK" in shown, shown


CHECKS = [
    check_help,
    check_shell,
    check_file,
    check_rotation,
    check_journal,
    check_commands,
    check_profiles,
    check_interrupts,
    check_loops,
    check_break,
]


def main() -> None:
    failed = 0
    for check in CHECKS:
        assert check.__doc__
        with (
            tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            if sys.version_info >= (3, 10)
            else (tempfile.TemporaryDirectory()) as folder
        ):
            try:
                check(Path(folder))
            except unittest.SkipTest as reason:
                print(f"skipped {check.__name__}: {reason}", flush=True)
            except Exception as error:
                failed += 1
                print(f"FAILED {check.__name__}: {type(error).__name__}: {error}", flush=True)
            else:
                print(f"ok     {check.__doc__.splitlines()[0]}", flush=True)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
