"""``lmtokens profile``: what it shows, what it writes, and that the file stays whole and private."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import lmtokens
import pytest
from profile_helpers import ACME, BEARER, GOV, NAMED, write_profiles
from support import ACCESS_ID, ACCESS_KEY, HANG_TIMEOUT, SHELL, run_at_terminal, run_shell, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.usefixtures("config")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the configuration file, which does not exist yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    return tmp_path / "settings" / "lmtokens" / "config.toml"


def profile(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    completed = subprocess.run(
        [*SHELL, "profile", *words], input=stdin, capture_output=True, text=True, timeout=HANG_TIMEOUT, check=False
    )
    assert ACCESS_KEY not in completed.stdout + completed.stderr
    assert BEARER not in completed.stdout + completed.stderr
    return completed


def add(name: str, *words: str, stdin: str = f"{ACCESS_KEY}\n") -> subprocess.CompletedProcess[str]:
    return profile("add", name, "--company", "acme", "--access-id", ACCESS_ID, *words, stdin=stdin)


def test_added_profile_can_be_used(config: Path) -> None:
    added = add("acme")
    assert (added.returncode, added.stdout) == (0, "")
    warning, done = added.stderr.splitlines()
    assert warning == f"warning: the secret will be in plain text in {config}, readable by you only"
    assert done == f"added profile acme to {config}"
    assert f"LMv1 from profile acme in {config}" in repr(lmtokens.Client(profile="acme"))


def test_secret_without_an_access_id_is_a_bearer_token(config: Path) -> None:
    assert profile("add", "gov", "--company", "acme", "--domain", "lmgov.us", stdin=BEARER).returncode == 0
    assert "https://acme.lmgov.us/santaba/rest, bearer from profile gov" in repr(lmtokens.Client(profile="gov"))
    refused = profile("add", "other", "--company", "acme", stdin=ACCESS_KEY)
    assert refused.returncode == 4
    assert "access_id is missing" in refused.stderr
    assert "other" not in config.read_text()


@pytest.mark.parametrize("key", [ACCESS_KEY, "quote\"back\\slash'", "é\U0001f511", "#[table]=x"])
def test_every_key_is_written_exactly(config: Path, key: str) -> None:
    assert add("acme", stdin=key).returncode == 0
    signature = lmtokens.LMv1Auth(profile="acme")._authorization(
        "GET", "https://acme.logicmonitor.com/santaba/rest/x", b""
    )
    timestamp = int(signature.rsplit(":", 1)[1])
    assert signature == lmtokens.sign("GET", "/x", access_id=ACCESS_ID, access_key=key, timestamp_ms=timestamp)


def test_file_and_folder_are_private(config: Path) -> None:
    before = os.umask(0)
    try:
        assert add("acme").returncode == 0
    finally:
        os.umask(before)
    assert config.stat().st_mode & 0o777 == 0o600
    assert config.parent.stat().st_mode & 0o777 == 0o700
    # A file without secrets may have been readable.
    write_profiles(config, acme={"company": "acme"}).chmod(0o644)
    assert add("other").returncode == 0
    assert config.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in config.parent.iterdir()] == ["config.toml"]


def test_file_without_secrets_keeps_its_mode(config: Path) -> None:
    write_profiles(config, acme={"company": "acme"}).chmod(0o644)
    if os.geteuid() == 0:
        os.chown(config, -1, 65534)
    group = config.stat().st_gid
    assert profile("default", "acme").returncode == 0
    assert config.stat().st_mode & 0o777 == 0o644
    assert add("other").returncode == 0
    assert config.stat().st_mode & 0o777 == 0o600
    assert config.stat().st_gid == group


def test_secret_that_a_killed_process_left_is_removed(config: Path) -> None:
    write_profiles(config, acme=ACME)
    leftover = config.with_name("config.toml.0123456789abcdef.new")
    others = [
        config.with_name(name) for name in ("config.toml.new", "config.toml.backup0123456.new", "config.toml.old")
    ]
    for path in (leftover, *others):
        path.write_text(ACCESS_KEY)
    assert profile("default", "acme").returncode == 0
    assert sorted(config.parent.iterdir()) == sorted([config, *others])


COMMENTED = """\
# Managed by hand.
default = "gov"  # the government portal

# the usual portal
[profiles.acme]
company = "acme"  # commercial
access_id = "exampleAccessId00009"  # of the robot
access_key = "old"

[profiles.gov]
company = "gov"
"""


def test_comments_and_order_are_kept(config: Path) -> None:
    write_profiles(config).write_text(COMMENTED)
    assert add("acme", "--overwrite", "--default").returncode == 0
    expected = COMMENTED.replace('default = "gov"', 'default = "acme"').replace("exampleAccessId00009", ACCESS_ID)
    assert config.read_text() == expected.replace('"old"', json.dumps(ACCESS_KEY))
    assert profile("remove", "acme", "--yes").returncode == 0
    assert config.read_text() == '# Managed by hand.\n\n[profiles.gov]\ncompany = "gov"\n'


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_layout_of_the_file_is_kept(config: Path, mark: str, end: str) -> None:
    before = mark + COMMENTED.replace("\n", end)
    write_profiles(config).write_bytes(before.encode())
    assert add("new").returncode == 0
    changed = config.read_bytes().decode()
    assert changed.startswith(before)
    assert changed.count("\n") == changed.count(end)
    assert changed.endswith(f"access_key = {json.dumps(ACCESS_KEY)}{end}")
    assert profile("remove", "new", "--yes").returncode == 0
    assert config.read_bytes().decode() == before


def test_overwritten_profile_keeps_no_setting_of_the_old_one(config: Path) -> None:
    write_profiles(config, acme=GOV)
    refused = add("acme")
    assert refused.returncode == 2
    assert f"profile acme exists already in {config}" in refused.stderr
    assert "warning" not in refused.stderr
    assert add("acme", "--overwrite").returncode == 0
    write_profiles(expected := config.with_name("expected"), acme=ACME)
    assert config.read_text() == expected.read_text()


# TOML 1.1 allows a comma at the end.
@pytest.mark.parametrize("end", [" }", ", }", ",\n}"])
def test_inline_tables_are_changed_as_well(config: Path, end: str) -> None:
    gov = 'gov = { company = "gov", access_key = "a", access_id = "b" }'
    write_profiles(config).write_text(f"profiles = {{ {gov}{end}\n")
    assert add("acme").returncode == 0
    assert add("gov", "--overwrite").returncode == 0
    assert [row["name"] for row in json.loads(profile("list", "-o", "json").stdout)] == ["gov", "acme"]
    assert "from profile gov" in repr(lmtokens.Client(profile="gov"))


@pytest.mark.parametrize(
    "text",
    [
        '[profiles]\nacme = "x"\n',
        '[[profiles.acme]]\ncompany = "x"\n',
        'profiles = { acme = "x", gov = { company = "gov" } }\n',
        '[profiles.acme]\ncompany = "x"\nunknown = "y"\n\n[profiles.acme.nested]\na = 1\n',
        'profiles.acme.company = "x"\nprofiles.acme.unknown = "y"\n',
    ],
)
def test_invalid_profile_is_replaced(config: Path, text: str) -> None:
    write_profiles(config).write_text(text)
    assert profile("show", "acme").returncode == 2
    assert add("acme", "--overwrite").returncode == 0
    assert f"{config}>" in repr(lmtokens.Client(profile="acme"))
    assert ("gov" in text) == ("gov" in config.read_text())
    assert "acme ]" not in config.read_text()


@pytest.mark.parametrize("target", ["nowhere", "config.toml", "config.toml/below"])
def test_symbolic_link_to_no_file_is_kept(config: Path, target: str) -> None:
    config.parent.mkdir(parents=True)
    config.symlink_to(target)
    refused = add("acme")
    assert refused.returncode == 2
    assert f"cannot write {config}: " in refused.stderr
    assert os.readlink(config) == target
    assert list(config.parent.iterdir()) == [config]


def test_symbolic_link_is_kept(config: Path, tmp_path: Path) -> None:
    target = write_profiles(tmp_path / "dotfiles" / "lmtokens.toml", acme=ACME)
    config.parent.mkdir(parents=True)
    config.symlink_to(target)
    assert add("other").returncode == 0
    assert config.is_symlink()
    assert "profiles.other" in target.read_text()


def test_file_that_cannot_be_read_is_not_changed(config: Path) -> None:
    write_profiles(config, acme=ACME).chmod(0o644)
    for words in (["remove", "acme", "--yes"], ["default", "acme"], ["list"], ["show", "acme"]):
        assert "holds secrets" in profile(*words).stderr
    assert "holds secrets" in add("other").stderr
    write_profiles(config).write_text("access_key = markerkey")
    completed = add("other")
    assert "is not valid TOML" in completed.stderr
    assert "markerkey" not in completed.stderr
    assert config.read_text() == "access_key = markerkey"


def test_failed_write_leaves_the_file_as_it_was(config: Path) -> None:
    write_profiles(config, acme=ACME)
    before = config.read_text()
    # The process can write no byte to a file.
    command = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *SHELL, "profile", "add", "gov", "--company", "acme"]
    completed = subprocess.run(command, input=BEARER, capture_output=True, text=True, timeout=HANG_TIMEOUT, check=False)
    assert completed.returncode == 2
    assert f"cannot write {config}" in completed.stderr
    assert config.read_text() == before
    assert [path.name for path in config.parent.iterdir()] == ["config.toml"]


@pytest.mark.parametrize("is_first", [True, False])
def test_profiles_that_are_added_at_once_are_all_kept(config: Path, is_first: bool) -> None:
    if not is_first:
        write_profiles(config, acme=ACME)
    names = [f"p{number}" for number in range(8)]
    processes = [
        subprocess.Popen([*SHELL, "profile", "add", name, "--company", "acme"], stdin=subprocess.PIPE, text=True)
        for name in names
    ]
    for process in processes:
        process.communicate(BEARER, timeout=HANG_TIMEOUT)
    expected = names if is_first else ["acme", *names]
    assert sorted(row["name"] for row in json.loads(profile("list", "-o", "json").stdout)) == expected


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="the system does not list open files")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "words", [["default", "gov"], ["remove", "gov", "--yes"], ["add", "new", "--company", "acme"]], ids=str
)
def test_signal_while_another_process_changes_the_file_changes_nothing(
    config: Path, words: list[str], number: signal.Signals
) -> None:
    write_profiles(config, acme=ACME, gov=GOV)
    before = config.read_text()
    folder = os.open(config.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        process = subprocess.Popen(
            [*SHELL, "profile", *words], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdin is not None
        process.stdin.write(BEARER)
        process.stdin.close()
        descriptors = Path(f"/proc/{process.pid}/fd")
        wait_until(lambda: any(os.path.realpath(link) == str(config.parent) for link in descriptors.iterdir()))
        # It handles signals from a moment later on.
        time.sleep(0.2)
        process.send_signal(number)
        # It does not wait for the other process.
        assert process.wait(HANG_TIMEOUT) in (128 + number, -signal.SIGTERM)
    finally:
        os.close(folder)
    assert process.stderr is not None
    assert BEARER not in process.stderr.read()
    process.stderr.close()
    assert config.read_text() == before


def test_value_of_the_variable_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The secret is in the wrong variable.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LM_CONFIG_FILE", "lmb_marker")
    file = tmp_path / "lmb_marker"
    shown = [profile(*words) for words in (["list"], ["show"], ["default", "x"], ["remove", "x", "--yes"])]
    assert not file.exists()
    added = add("acme")
    assert f"the secret will be in plain text in {NAMED}, readable by you only" in added.stderr
    assert f"added profile acme to {NAMED}" in added.stderr
    shown += [added, add("acme"), profile("default", "acme"), profile("show"), profile("list"), profile("show", "x")]
    shown += [profile("default", "x"), profile("remove", "x", "--yes"), run_shell("add", "32", "--company", "other")]
    texts = ["[profiles.acme]\na = 1", "a", "[profiles.acme]\ncompany = 1", 'default = "acme"']
    for text in texts:
        file.write_text(text)
        shown += [
            profile("list"),
            profile("show"),
            profile("show", "acme"),
            run_shell("add", "32", "--profile", "acme"),
        ]
    file.chmod(0o666)
    shown += [profile("list"), profile("remove", "acme", "--yes")]
    file.unlink()
    file.symlink_to("lmb_marker")
    shown += [profile("list"), add("acme"), profile("default", "acme")]
    for completed in shown:
        assert "marker" not in completed.stdout + completed.stderr


def test_null_device_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_CONFIG_FILE", os.devnull)
    assert "no profiles" in profile("list").stderr
    refused = add("acme")
    assert refused.returncode == 2
    assert f"the configuration file has no path: LM_CONFIG_FILE is {os.devnull}" in refused.stderr


@pytest.mark.parametrize(
    "words",
    [["a b"], [""], ["acme.pending"], ["x" * 65], ["a/b"], ["é"], ["acme", "--domain", "lmgov.us", "--base-url", "x"]],
)
def test_invalid_profile_is_not_added(config: Path, words: list[str]) -> None:
    completed = profile("add", *words, stdin=BEARER)
    assert completed.returncode == 2, completed.stderr
    assert not config.exists()


@pytest.mark.parametrize(
    ("words", "stdin", "status", "message"),
    [
        (["--company", "a/b"], BEARER, 2, "invalid company"),
        (["--base-url", "http://example.com/santaba/rest"], BEARER, 2, "TLS only"),
        ([], BEARER, 2, "company is missing"),
        (["--company", "acme"], "", 4, "is empty"),
        (["--company", "acme", "--access-id", ACCESS_KEY], ACCESS_ID, 4, "swapped"),
        (["--company", "acme", "--access-id", ACCESS_ID], f'"{ACCESS_KEY}"', 4, "quotation marks"),
    ],
)
def test_invalid_setting_is_not_added(config: Path, words: list[str], stdin: str, status: int, message: str) -> None:
    completed = profile("add", "acme", *words, stdin=stdin)
    assert completed.returncode == status, completed.stderr
    assert message in completed.stderr
    assert not config.exists()


def test_secret_is_never_an_argument() -> None:
    for option in ("--access-key", "--bearer-token"):
        assert add("acme", option, "x").returncode == 2


def answers(*lines: str) -> Iterable[tuple[str, str]]:
    return [(question, f"{line}\n") for question, line in zip(("company", "Access id", "not shown"), lines)]


def test_terminal_prompts_for_what_is_missing(config: Path) -> None:
    typed = run_at_terminal([*SHELL, "profile", "add", "acme", "--default"], answers("acme", ACCESS_ID, ACCESS_KEY))
    assert typed.status == 0, typed.shown
    assert ACCESS_KEY not in typed.shown
    assert typed.shown.index("plain text") < typed.shown.index("not shown")
    assert "LMv1 from profile acme" in repr(lmtokens.Client())
    words = ["profile", "add", "gov", "--company", "acme", "--access-id", ACCESS_ID]
    typed = run_at_terminal([*SHELL, *words], [("Access key for", f"{ACCESS_KEY}\n")])
    assert typed.status == 0, typed.shown
    assert "Access id" not in typed.shown


def test_interrupted_prompt_adds_nothing(config: Path) -> None:
    typed = run_at_terminal([*SHELL, "profile", "add", "acme", "--company", "acme"], [("Access id", "\x03")])
    assert typed.status == 130, typed.shown
    assert not config.exists()


def test_list_and_show_mask_secrets(config: Path) -> None:
    write_profiles(config, "gov", acme=ACME, gov=GOV, address={"company": "acme"})
    acme, gov, address = json.loads(profile("list", "-o", "json").stdout)
    assert acme == {
        "name": "acme",
        "default": False,
        "base_url": "https://acme.logicmonitor.com/santaba/rest",
        "credentials": "LMv1",
        "access_id": ACCESS_ID,
        "secret": "********",
        "error": None,
    }
    assert (gov["default"], gov["credentials"], gov["access_id"]) == (True, "bearer", None)
    assert (address["credentials"], address["secret"]) == (None, None)
    assert {**json.loads(profile("show", "-o", "json").stdout), "error": None} == gov
    assert {**json.loads(profile("show", "acme", "-o", "json").stdout), "error": None} == acme
    assert "acme     false" in profile("list").stdout
    assert "name         acme\n" in profile("show", "acme").stdout


def test_invalid_profile_does_not_hide_the_others(config: Path) -> None:
    bad = {"company": "acme", "access_id": ACCESS_ID}
    write_profiles(config, "bad", acme=ACME, bad=bad, unknown={"company": "acme", "markerkey": "x"}, gov=GOV)
    listed = profile("list", "-o", "json")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "markerkey" not in listed.stdout
    rows = json.loads(listed.stdout)
    assert [row["name"] for row in rows] == ["acme", "bad", "unknown", "gov"]
    assert [row["error"] is None for row in rows] == [True, False, False, True]
    assert [list(row) for row in rows] == [list(rows[0])] * 4
    assert (rows[1]["default"], rows[1]["base_url"]) == (True, None)
    assert "access_key is missing" in rows[1]["error"]
    assert "unknown key" in rows[2]["error"]
    assert "access_key is missing" in profile("list").stdout
    assert "access_key is missing" in profile("show", "bad").stderr


def test_without_profiles_the_commands_say_so(config: Path) -> None:
    listed = profile("list")
    assert (listed.returncode, listed.stdout) == (0, "")
    assert "no profiles" in listed.stderr
    assert profile("list", "-o", "csv").stdout == "name,default,base_url,credentials,access_id,secret,error\n"
    for words in (["show"], ["show", "acme"], ["default", "acme"], ["remove", "acme", "--yes"]):
        assert profile(*words).returncode == 2
    write_profiles(config, acme=ACME)
    assert f"{config} has no default profile" in profile("show").stderr
    for words in (["show", "x"], ["default", "x"], ["remove", "x", "--yes"]):
        assert f"unknown profile: {config} has acme" in profile(*words).stderr


def test_default_is_set(config: Path) -> None:
    write_profiles(config, acme=ACME, gov=GOV)
    assert profile("default", "gov").returncode == 0
    assert "from profile gov" in repr(lmtokens.Client())
    assert profile("default", "acme").returncode == 0
    assert "from profile acme" in repr(lmtokens.Client())


def test_remove_needs_a_confirmation(config: Path) -> None:
    write_profiles(config, "acme", acme=ACME, gov=GOV)
    refused = profile("remove", "acme")
    assert refused.returncode == 2
    assert "pass --yes" in refused.stderr
    kept = run_at_terminal([*SHELL, "profile", "remove", "acme"], [("[y/N]", "\n")])
    assert (kept.status, "nothing was changed" in kept.shown) == (1, True)
    assert "from profile acme" in repr(lmtokens.Client())
    removed = run_at_terminal([*SHELL, "profile", "remove", "acme"], [("[y/N]", "y\n")])
    assert removed.status == 0, removed.shown
    with pytest.raises(lmtokens.ConfigurationError):
        lmtokens.Client()
    assert ACCESS_KEY not in config.read_text()


def test_help_has_examples() -> None:
    for words in ([], ["list"], ["show"], ["default"], ["add"], ["remove"]):
        assert "Example" in run_shell("profile", *words, "--help").stdout
