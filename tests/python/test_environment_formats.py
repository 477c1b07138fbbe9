"""The tools that the help names read the environment formats back unchanged, and reach the same portal."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lmtokens.deliver import to_file
from support import ACCESS_ID, ACCESS_KEY, HANG_TIMEOUT, SHELL, TOKEN_TYPES, ReceivedRequest, StubServer, run_shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmtokens.sandbox import Portal

# All ASCII symbols, in an order that every tool reads as it is.
PLAIN = "a'b\"c$(exit 9)`exit 9`$HOME${HOME}!e;f&g|h>i<j*k?l~m#n%o[p]{q}^r=s,t:u@v+w-x_y/z Zoë'"
# What one of docker, kubectl and systemd changes or cannot hold.
UNFIT = {
    "backslash": r"a\b",
    "last backslash": "a\\",
    "single quotes": "'ab'",
    "double quotes": '"ab"',
    "first quote": "'ab",
    "first double quote": '"ab',
    "first blank": " ab",
    "last blank": "ab ",
    "tab": "a\tb",
    "line break": "a\nb",
    "carriage return": "a\rb",
    "last carriage return": "ab\r",
    "NUL": "a\0b",
    "escape": "a\x1bb",
    "long": "x" * 70_000,
}


class OneKeyPortal(StubServer):
    """A portal whose new tokens have a given key."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(self._respond)

    def _respond(self, request: ReceivedRequest) -> bytes:
        if request.method == "DELETE":
            return b"{}"
        token = {"id": 5, "adminId": 32, "accessId": "newAccessId0000005", **json.loads(request.body)}
        if request.method == "POST":
            token["accessKey"] = self.key
        return json.dumps(token).encode()

    def environment(self) -> dict[str, str]:
        return {"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY, "LM_BASE_URL": self.base_url}

    def client(self) -> lmtokens.Client:
        return lmtokens.Client(base_url=self.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY)

    def methods(self) -> list[str]:
        return [request.method for request in self.requests]


class ManyKeysPortal(OneKeyPortal):
    """A portal whose new tokens have one given key after the other."""

    def __init__(self, keys: list[str]) -> None:
        self._rest = iter(keys)
        super().__init__("")

    def _respond(self, request: ReceivedRequest) -> bytes:
        if request.method == "POST":
            self.key = next(self._rest)
        return super()._respond(request)


def assert_add_signs_as_api_user(command: list[str], environment: dict[str, str]) -> None:
    """Run a command that adds a token and prints it as JSON."""
    added = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG_TIMEOUT, check=False)
    assert added.returncode == 0, added.stderr
    assert json.loads(added.stdout)["created_by"] == "api-user"


def random_keys() -> list[str]:
    """Return 1,000 keys of ASCII letters, digits and symbols, some of them with other characters too."""
    source = random.Random(6)
    ascii_characters = [chr(code) for code in range(33, 127)]
    odd_characters = [*ascii_characters, " ", "\t", "\n", "\r", "\x1b", "é", "😀", "\u202e"]
    alphabets = [ascii_characters] * 9 + [odd_characters]
    return ["".join(source.choices(alphabets[index % 10], k=source.randint(1, 60))) for index in range(1_000)]


def scanned_lines(text: str) -> list[str]:
    """Return the lines as Go's ``bufio.Scanner`` returns them, which fails for long ones."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    assert all(len(line.encode()) < 65_536 for line in lines)
    return [line.lstrip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def docker(text: str, *, removes_quotes: bool) -> dict[str, str]:
    """Read a file as ``docker run --env-file`` does; some versions remove a pair of quotes."""
    values = {}
    for line in scanned_lines(text):
        name, _, value = line.partition("=")
        assert name
        assert not set(" \t") & set(name)
        if removes_quotes and len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        assert "\0" not in value
        values[name] = value
    return values


def kubectl(text: str) -> dict[str, str]:
    """Read a file as ``kubectl create secret generic --from-env-file`` does."""
    pairs = (line.split("=", 1) for line in scanned_lines(text))
    return {name: value for name, value in pairs if name.replace("_", "a").isalnum()}


def systemd(text: str) -> dict[str, str]:
    """Read a file as ``EnvironmentFile=`` does."""
    values: dict[str, str] = {}
    rest = list(text)
    while rest:
        line_start = "".join(rest).lstrip(" \t\n\r")
        rest = list(line_start)
        if not rest:
            break
        if rest[0] in "#;":
            while rest and rest.pop(0) not in "\n\r":
                pass
            continue
        name = ""
        while rest[0] != "=":
            name += rest.pop(0)
        rest.pop(0)
        value, kept, begun = "", 0, False
        while rest and rest[0] not in "\n\r":
            character = rest.pop(0)
            if character == "\\":
                escaped = rest.pop(0) if rest else ""
                value += "" if escaped in "\n\r" else escaped
                kept, begun = len(value), True
            elif not begun and character in "'\"":
                while rest and rest[0] != character:
                    value += rest.pop(0)
                kept = len(value)
                rest[:1] = []
            elif begun or character not in " \t":
                value, begun = value + character, True
                kept = kept if character in " \t" else len(value)
        values[name.strip()] = value[:kept]
        # The first systemd versions with this format ignored values with control characters.
        assert not any(ord(character) < 32 or ord(character) == 127 for character in value)
    return values


def assert_readers_agree(text: str, expected: dict[str, str]) -> None:
    readings = [docker(text, removes_quotes=False), docker(text, removes_quotes=True), kubectl(text), systemd(text)]
    assert readings == [expected] * 4


@pytest.mark.parametrize("unfit", list(UNFIT.values()), ids=list(UNFIT))
def test_reader_rules_are_strict_enough(unfit: str) -> None:
    with pytest.raises((AssertionError, IndexError, ValueError)):
        assert_readers_agree(f"X={unfit}\n", {"X": unfit})


@pytest.fixture
def plain_portal() -> Iterator[OneKeyPortal]:
    with OneKeyPortal(PLAIN) as portal:
        yield portal


def test_shell_reads_env(plain_portal: OneKeyPortal) -> None:
    completed = run_shell("add", "32", "-o", "env", environment=plain_portal.environment())
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.startswith("export ")
    # A child sees exported variables only.
    show = 'import os; print(*(os.environ.get(name, "") for name in ("LM_BASE_URL", "LM_ACCESS_ID", "LM_ACCESS_KEY")))'
    shown = subprocess.run(
        ["sh", "-euc", 'eval "$1"; exec "$2" -c "$3"', "sh", completed.stdout, sys.executable, show],
        env={**os.environ, "LM_BEARER_TOKEN": "lmb_other", "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=HANG_TIMEOUT,
        check=True,
    )
    assert shown.stdout == f"{plain_portal.base_url} newAccessId0000005 {PLAIN}\n"


@pytest.mark.parametrize("to", ["-", "file"])
def test_env_file_is_raw(plain_portal: OneKeyPortal, tmp_path: Path, to: str) -> None:
    path = tmp_path / "token.env"
    arguments = ["--to", "-" if to == "-" else f"file:{path}", "-o", "env-file"]
    completed = run_shell("add", "32", *arguments, environment=plain_portal.environment())
    assert completed.returncode == 0, completed.stderr
    text = completed.stdout if to == "-" else path.read_text(encoding="utf-8")
    expected = {
        "LM_BASE_URL": plain_portal.base_url,
        "LM_ACCESS_ID": "newAccessId0000005",
        "LM_ACCESS_KEY": PLAIN,
    }
    assert text == "".join(f"{name}={value}\n" for name, value in expected.items())
    assert_readers_agree(text, expected)


@pytest.mark.parametrize("key", list(UNFIT.values()), ids=list(UNFIT))
@pytest.mark.parametrize("to", ["-", "file"])
def test_token_is_deleted_if_its_key_does_not_fit_an_env_file(tmp_path: Path, key: str, to: str) -> None:
    path = tmp_path / "token.env"
    with OneKeyPortal(key) as portal:
        arguments = ["--to", "-" if to == "-" else f"file:{path}", "-o", "env-file"]
        completed = run_shell("add", "32", *arguments, environment=portal.environment())
        assert portal.methods() == ["POST", "DELETE"]
    assert (completed.returncode, completed.stdout) == (1, "")
    assert "cannot write the value of LM_ACCESS_KEY" in completed.stderr
    assert "docker, kubectl and systemd" in completed.stderr
    assert "has been deleted" in completed.stderr
    assert key not in completed.stderr
    assert list(tmp_path.iterdir()) == []


def test_python_deletes_a_token_whose_key_does_not_fit_an_env_file(tmp_path: Path) -> None:
    with OneKeyPortal(r"a\b") as portal:
        with pytest.raises(lmtokens.DeliveryError, match="LM_ACCESS_KEY") as caught:
            portal.client().add_token(32, deliver=to_file(tmp_path / "token.env", "env-file"))
        assert portal.methods() == ["POST", "DELETE"]
    assert "has been deleted" in str(caught.value.suggestion)
    assert list(tmp_path.iterdir()) == []


def test_token_is_deleted_if_no_shell_variable_can_hold_its_key() -> None:
    with OneKeyPortal("a\0b") as portal:
        completed = run_shell("add", "32", "-o", "env", environment=portal.environment())
        assert portal.methods() == ["POST", "DELETE"]
    assert (completed.returncode, completed.stdout) == (1, "")
    assert "NUL" in completed.stderr


@settings(max_examples=150)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12))
@example("#a")
@example("a #b")
@example("a' ")
@example("é'")
def test_env_file_is_read_unchanged_or_refused(key: str) -> None:
    with OneKeyPortal(key) as portal, tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/token.env"
        try:
            portal.client().add_token(32, deliver=to_file(path, "env-file"))
        except lmtokens.DeliveryError:
            with pytest.raises((AssertionError, IndexError, ValueError)):
                assert_readers_agree(f"X={key}\n", {"X": key})
            return
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
    assert_readers_agree(
        text, {"LM_BASE_URL": portal.base_url, "LM_ACCESS_ID": "newAccessId0000005", "LM_ACCESS_KEY": key}
    )


def test_thousand_keys_are_exact_in_an_env_file_or_refused(tmp_path: Path) -> None:
    keys = random_keys()
    refused = 0
    with ManyKeysPortal(keys) as portal:
        client = portal.client()
        for index, key in enumerate(keys):
            path = tmp_path / f"{index}.env"
            try:
                client.add_token(32, deliver=to_file(path, "env-file"))
            except lmtokens.DeliveryError:
                refused += 1
                assert portal.methods()[-1] == "DELETE"
                assert not path.exists()
                with pytest.raises((AssertionError, IndexError, ValueError)):
                    assert_readers_agree(f"X={key}\n", {"X": key})
                continue
            expected = {"LM_BASE_URL": portal.base_url, "LM_ACCESS_ID": "newAccessId0000005", "LM_ACCESS_KEY": key}
            assert_readers_agree(path.read_bytes().decode(), expected)
    assert 0 < refused < 500


@functools.cache
def delivered_commands() -> list[str]:
    """Return the commands for a shell of one token for each of the random keys."""
    keys = random_keys()
    texts = []
    with ManyKeysPortal(keys) as portal, tempfile.TemporaryDirectory() as folder:
        client = portal.client()
        for index in range(len(keys)):
            path = Path(folder, f"{index}.env")
            client.add_token(32, deliver=to_file(path, "env"))
            texts.append(path.read_bytes().decode())
    return texts


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "zsh"])
def test_thousand_keys_are_exact_in_a_shell(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = "".join(text + """printf '%s\\0' "$LM_ACCESS_KEY"\n""" for text in delivered_commands())
    shown = subprocess.run([shell], input=script.encode(), capture_output=True, timeout=HANG_TIMEOUT, check=True)
    assert shown.stdout.decode().split("\0") == [*random_keys(), ""]


@pytest.mark.parametrize("form", ["env", "env-file"])
@pytest.mark.parametrize("key", random_keys()[:3] + random_keys()[9:100:10], ids=lambda key: str(len(key)))
def test_shell_prints_what_python_delivers(tmp_path: Path, form: Any, key: str) -> None:
    path = tmp_path / "token.env"
    with OneKeyPortal(key) as portal:
        completed = subprocess.run(
            [*SHELL, "add", "32", "-o", form],
            env={**os.environ, **portal.environment()},
            capture_output=True,
            timeout=HANG_TIMEOUT,
            check=False,
        )
        try:
            portal.client().add_token(32, deliver=to_file(path, form))
        except lmtokens.DeliveryError:
            assert (completed.returncode, completed.stdout) == (1, b"")
            return
    assert (completed.returncode, completed.stdout) == (0, path.read_bytes())


def github(text: str) -> dict[str, str]:
    """Read the file of ``GITHUB_ENV`` as the runner of GitHub does."""
    values = {}
    lines = text.split("\n")
    assert lines.pop() == ""
    while lines:
        line = lines.pop(0)
        name, separator, value = line.partition("<<")
        if separator and "=" not in name:
            delimiter, value = value, ""
            end = lines.index(delimiter)
            value = "\n".join(lines[:end])
            del lines[: end + 1]
        else:
            name, separator, value = line.partition("=")
            assert separator
        values[name] = value
    return values


def unmasked(stdout: str) -> str:
    """Return the text that the runner masks, which is all that standard output has."""
    command, separator, data = stdout.removesuffix("\n").partition("::add-mask::")
    assert (command, separator) == ("", "::add-mask::")
    assert "\n" not in data
    return data.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


@pytest.fixture
def github_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of ``GITHUB_ENV`` with a variable of an earlier step."""
    path = tmp_path / "github"
    path.write_text("EARLIER=1\n")
    monkeypatch.setenv("GITHUB_ENV", str(path))
    return path


class TestGithub:
    @pytest.mark.parametrize("type", TOKEN_TYPES)
    def test_variables_reach_the_same_portal_as_the_new_token(
        self, lmtokens_portal: Portal, github_file: Path, type: str
    ) -> None:
        completed = run_shell("add", "32", "--type", type, "-o", "github")
        assert (completed.returncode, completed.stderr) == (0, "")
        key = lmtokens_portal.tokens[-1].access_key.reveal()
        assert unmasked(completed.stdout) == key
        variables = github(github_file.read_text())
        assert variables.pop("EARLIER") == "1"
        assert key in variables.values()
        bare = {name: value for name, value in os.environ.items() if not name.startswith("LM_")}
        assert_add_signs_as_api_user([*SHELL, "add", "32", "-o", "json"], {**bare, **variables})

    def test_other_variables_of_the_job_are_empty(self, lmtokens_portal: Portal, github_file: Path) -> None:
        names = lmtokens_portal.environment()
        completed = run_shell("add", "32", "--type", "bearer", "-o", "github")
        assert completed.returncode == 0, completed.stderr
        variables = github(github_file.read_text())
        assert [variables[name] for name in ("LM_ACCESS_ID", "LM_ACCESS_KEY", "LM_PROFILE", "LM_COMPANY")] == [""] * 4
        stray = {**names, "LM_COMPANY": "other", "LM_DOMAIN_NAME": "lmgov.us", "LM_PROFILE": "none", **variables}
        shown = run_shell("whoami", "-o", "json", environment=stray)
        assert shown.returncode == 0, shown.stderr
        assert json.loads(shown.stdout)["token_id"] == lmtokens_portal.tokens[-1].id

    def test_last_line_of_an_earlier_step_is_kept(self, lmtokens_portal: Portal, github_file: Path) -> None:
        github_file.write_text("EARLIER=1")
        assert run_shell("add", "32", "-o", "github").returncode == 0
        variables = github(github_file.read_text())
        assert variables["EARLIER"] == "1"
        assert variables["LM_BASE_URL"] == lmtokens_portal.base_url

    @pytest.mark.parametrize("earlier", ["EARLIER=1", "EARLIER=1\n", ""])
    def test_variables_of_a_deleted_token_are_removed(
        self, lmtokens_portal: Portal, github_file: Path, earlier: str
    ) -> None:
        github_file.write_text(earlier)
        lmtokens_portal.fail("status-before-acting", method="PATCH", status=403)
        completed = run_shell("add", "32", "-o", "github")
        assert completed.returncode == 4
        assert "has been deleted" in completed.stderr
        assert github_file.read_text() == earlier

    @pytest.mark.parametrize("key", [PLAIN, "100%25%0A", "a=b<<END", "a\nEND\nb", "END\nEND_\n", "\n", "\t'\"\\ "])
    def test_value_is_exact(self, github_file: Path, key: str) -> None:
        with OneKeyPortal(key) as portal:
            completed = run_shell("add", "32", "-o", "github", environment=portal.environment())
        assert completed.returncode == 0, completed.stderr
        assert unmasked(completed.stdout) == key
        assert github(github_file.read_text())["LM_ACCESS_KEY"] == key

    @pytest.mark.parametrize("key", ["a\0b", "a\r", "a\r\nb"])
    def test_token_is_deleted_if_no_variable_can_hold_its_key(self, github_file: Path, key: str) -> None:
        with OneKeyPortal(key) as portal:
            completed = run_shell("add", "32", "-o", "github", environment=portal.environment())
            assert portal.methods() == ["POST", "DELETE"]
        assert (completed.returncode, completed.stdout) == (1, "")
        assert "has been deleted" in completed.stderr
        assert github_file.read_text() == "EARLIER=1\n"

    def test_token_is_deleted_if_the_file_cannot_be_written(self) -> None:
        with OneKeyPortal(PLAIN) as portal:
            environment = {**portal.environment(), "GITHUB_ENV": "/dev/full"}
            completed = run_shell("add", "32", "-o", "github", environment=environment)
            assert portal.methods() == ["POST", "DELETE"]
        assert completed.returncode == 1
        assert "cannot write to the file that GITHUB_ENV names" in completed.stderr
        assert "has been deleted" in completed.stderr

    @pytest.mark.parametrize("path", [None, "", "/nonexistent/file"])
    def test_missing_file_is_refused_before_the_request(
        self, lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch, path: str | None
    ) -> None:
        monkeypatch.delenv("GITHUB_ENV", raising=False)
        completed = run_shell("add", "32", "-o", "github", environment={} if path is None else {"GITHUB_ENV": path})
        assert (completed.returncode, completed.stdout) == (2, "")
        assert "GITHUB_ENV" in completed.stderr
        assert lmtokens_portal.record == []

    @pytest.mark.usefixtures("github_file")
    def test_file_of_a_destination_has_another_format(self, lmtokens_portal: Portal, tmp_path: Path) -> None:
        completed = run_shell("add", "32", "-o", "github", "--to", f"file:{tmp_path / 'token'}")
        assert (completed.returncode, completed.stdout) == (2, "")
        assert "expected json, env, env-file or key" in completed.stderr
        assert lmtokens_portal.record == []


def other_settings() -> dict[str, str]:
    """Return the variables of another portal and other credentials, under the other names."""
    names = ("LM_ACCOUNT", "LM_PORTAL", "LM_API_ID", "LM_API_KEY", "LM_DOMAIN_NAME")
    return dict.fromkeys(names, "other.example") | {"LM_COMPANY": "other", "LM_BEARER_TOKEN": "lmb_other"}


@pytest.mark.parametrize("type", TOKEN_TYPES)
@pytest.mark.parametrize("to", ["eval", "dot"])
def test_env_reaches_the_same_portal_as_the_new_token(
    lmtokens_portal: Portal, tmp_path: Path, type: Any, to: str
) -> None:
    path = tmp_path / "token.env"
    if to == "dot":
        lmtokens.add_token(32, type=type, deliver=to_file(path, "env"))
        text = f". '{path}'"
    else:
        text = run_shell("add", "32", "--type", type, "-o", "env").stdout
    # LM_ACCESS_ID and LM_ACCESS_KEY of the administrator are still set.
    command = ["sh", "-c", 'eval "$1"; exec "$2" add 32 -o json', "sh", text, SHELL[0]]
    assert_add_signs_as_api_user(command, {**os.environ, **other_settings()})


@pytest.mark.parametrize("type", TOKEN_TYPES)
def test_env_file_reaches_the_same_portal_as_the_new_token(lmtokens_portal: Portal, type: str) -> None:
    text = run_shell("add", "32", "--type", type, "-o", "env-file").stdout
    # A container has no other variables of this package.
    bare = {name: value for name, value in os.environ.items() if not name.startswith("LM_")}
    variables = docker(text, removes_quotes=False)
    assert_add_signs_as_api_user([*SHELL, "add", "32", "-o", "json"], {**bare, **variables})


@pytest.mark.parametrize("command", ["add", "bulk"])
def test_help_names_the_readers(command: str) -> None:
    text = " ".join(run_shell(command, "--help").stdout.split())
    for words in ("env: ", "env-file: ", "eval", "docker --env-file", "kubectl", "systemd EnvironmentFile"):
        assert words in text


@pytest.mark.parametrize("form", ["env", "env-file"])
def test_export_of_one_token(lmtokens_portal: Portal, tmp_path: Path, journal: Path, form: str) -> None:
    rows = tmp_path / "in.csv"
    rows.write_text("admin_id,note\n32,ci\n")
    assert run_shell("bulk", str(rows), "--journal", str(journal)).returncode == 0
    completed = run_shell("bulk", "--journal", str(journal), "--export", "-o", form)
    assert (completed.returncode, completed.stderr) == (0, "")
    token = lmtokens_portal.tokens[-1]
    expected = {
        "LM_BASE_URL": lmtokens_portal.base_url,
        "LM_ACCESS_ID": token.access_id,
        "LM_ACCESS_KEY": token.access_key.reveal(),
    }
    if form == "env-file":
        assert completed.stdout == "".join(f"{name}={value}\n" for name, value in expected.items())
    else:
        assert completed.stdout.startswith("".join(f"export {name}='{value}'\n" for name, value in expected.items()))


@pytest.mark.usefixtures("lmtokens_portal", "github_file")
@pytest.mark.parametrize("form", ["env", "env-file", "github"])
def test_export_of_several_tokens_is_refused(tmp_path: Path, journal: Path, form: str) -> None:
    rows = tmp_path / "in.csv"
    rows.write_text("admin_id,note\n32,a\n32,b\n")
    assert run_shell("bulk", str(rows), "--journal", str(journal)).returncode == 0
    completed = run_shell("bulk", "--journal", str(journal), "--export", "-o", form)
    assert (completed.returncode, completed.stdout) == (2, "")
    assert "2 tokens" in completed.stderr
    assert "csv or jsonl" in completed.stderr


def test_export_of_one_token_for_github(
    lmtokens_portal: Portal, tmp_path: Path, journal: Path, github_file: Path
) -> None:
    rows = tmp_path / "in.csv"
    rows.write_text("admin_id,note\n32,ci\n")
    assert run_shell("bulk", str(rows), "--journal", str(journal)).returncode == 0
    completed = run_shell("bulk", "--journal", str(journal), "--export", "-o", "github")
    assert (completed.returncode, completed.stderr) == (0, "")
    key = lmtokens_portal.tokens[-1].access_key.reveal()
    assert unmasked(completed.stdout) == key
    assert github(github_file.read_text())["LM_ACCESS_KEY"] == key
