"""The sandbox imitates what the real portal may do: lags, limits and time that passes."""

from __future__ import annotations

import contextlib
import http.client
import inspect
import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import lmtokens
import pytest
from delivery_helpers import tag_for
from lmtokens import errors
from lmtokens.deliver import to_file
from lmtokens.sandbox import Behavior, Portal
from support import run_shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmtokens.sandbox import StoredToken

REPOSITORY = Path(__file__).parents[2]
HOUR = 3600
NAMES = sorted(Behavior.__annotations__)


@pytest.fixture
def portal() -> Iterator[Portal]:
    with Portal() as portal:
        yield portal


def client_of(portal: Portal, token: StoredToken) -> lmtokens.Client:
    return portal.client(access_id=token.access_id, access_key=token.access_key)


def get(portal: Portal, path: str) -> dict[str, Any]:
    """Read a resource that the client has no operation for."""
    signed = lmtokens.sign("GET", path, b"", access_id=portal.access_id, access_key=portal.access_key)
    with contextlib.closing(http.client.HTTPConnection(urlsplit(portal.base_url).netloc, timeout=30)) as connection:
        connection.request("GET", f"/santaba/rest{path}", headers={"Authorization": signed, "X-Version": "3"})
        read: dict[str, Any] = json.load(connection.getresponse())
        return read


def test_settings_are_the_same_everywhere(portal: Portal) -> None:
    with pytest.raises(ValueError, match=r"^unknown argument nonsense; expected ") as caught:
        portal._control("configure", {"nonsense": 1})
    native = re.findall(r"[a-z_]+(?=, | or |$)", str(caught.value).split("expected ")[1])
    assert sorted(native) == NAMES
    documented = re.findall(r"^ {4}([a-z_]+): ", inspect.cleandoc(Portal.__doc__ or ""), re.MULTILINE)
    assert set(NAMES) <= set(documented)
    page = (REPOSITORY / "docs/sandbox-control.md").read_text()
    assert sorted(re.findall(r"^\| `([a-z_]+)` \(", page, re.MULTILINE)) == NAMES
    options = set(re.findall(r"^ +--([a-z-]+)", run_shell("sandbox", "--help").stdout, re.MULTILINE))
    options -= {"error-format", "profile"}  # options of every command
    assert (
        {name.replace("_", "-") for name in [*documented, "record"]}
        >= options
        >= {name.replace("_", "-") for name in NAMES}
    )


def test_unknown_setting_is_a_type_error(portal: Portal) -> None:
    wrong: dict[str, Any] = {"list_lags": 1}
    with pytest.raises(TypeError, match=r"^Portal\(\) got an unexpected keyword argument 'list_lags'$"):
        Portal(**wrong)
    with pytest.raises(TypeError, match=r"^configure\(\) got an unexpected keyword argument 'list_lags'$"):
        portal.configure(**wrong)
    started: dict[str, Any] = {"port": 1}
    with pytest.raises(TypeError, match="unexpected keyword argument 'port'"):
        portal.configure(**started)


SPAN = "a number of seconds from 0 to 86400"
COUNT = "a whole number from 0 to 4294967295"
INVALID: list[tuple[str, Any, str]] = [
    ("lock_out_after", -1, COUNT),
    ("negative_totals", 1, "a boolean"),
    ("timestamp_window", 1.5, COUNT),
    ("last_used_lag", -1, SPAN),
    ("list_lag", float("nan"), SPAN),
    ("enable_delay", 86_401, SPAN),
    ("note_limit", "5", COUNT),
    ("long_notes", "trim", "reject or cut"),
    ("one_bearer_per_user", None, "a boolean"),
    ("token_disabled_days", True, COUNT),
    ("user_suspend_days", 2**32, COUNT),
    ("email_notifications", "yes", "a boolean"),
]


@pytest.mark.parametrize(("name", "value", "expected"), INVALID, ids=[name for name, *_ in INVALID])
def test_invalid_setting_changes_nothing(portal: Portal, name: Any, value: Any, expected: str) -> None:
    setting: dict[str, Any] = {name: value}
    both: dict[str, Any] = {"note_limit": 1, **setting}
    shown = json.dumps(value).replace("NaN", "nan")
    message = f"invalid {name} {shown}; expected {expected}"
    with pytest.raises(ValueError, match=re.escape(message)) as started:
        Portal(**setting)
    with pytest.raises(ValueError, match=re.escape(message)) as changed:
        portal.configure(**both)
    assert str(started.value) == str(changed.value) == message
    assert portal.client().add_token(32, "long note").note == "long note"


def test_every_setting_is_checked() -> None:
    assert sorted(name for name, *_ in INVALID) == NAMES


def test_configure_keeps_the_other_settings_and_reset_restores_them() -> None:
    with Portal(note_limit=4, long_notes="cut") as portal:
        portal.configure(email_notifications=True)
        portal.configure()
        portal.client().add_token(32, "12345")
        assert (portal.tokens[-1].note, portal.email_count) == ("1234", 1)
        portal.configure(note_limit=None)
        portal.client().add_token(32, "12345")
        assert portal.tokens[-1].note == "12345"
        portal.reset()
        assert portal.email_count == 0
        portal.client().add_token(32, "12345")
        assert (portal.tokens[-1].note, portal.email_count) == ("1234", 0)


@pytest.mark.parametrize(
    "advance",
    [
        lambda portal: portal.advance(2 * HOUR),
        lambda portal: portal.advance(hours=2),
        lambda portal: portal.advance(HOUR / 2, minutes=30, hours=0.5, days=1 / 48),
        lambda portal: portal.advance(timedelta(hours=2)),
        lambda portal: [portal.advance(hours=1), portal.advance(hours=1)],
    ],
    ids=["seconds", "hours", "sum", "timedelta", "twice"],
)
def test_times_advance_and_clients_remain_accepted(portal: Portal, advance: Any) -> None:
    client = portal.client()
    before = client.add_token(32).created_on
    advance(portal)
    after = client.add_token(32).created_on
    assert before is not None
    assert after is not None
    assert timedelta(hours=2) <= after - before < timedelta(hours=2, minutes=1)
    assert portal.tokens[0].last_used_on == after.timestamp()
    assert [seen.signature for seen in portal.record] == ["valid", "valid"]


@pytest.mark.parametrize("unit", ["seconds", "minutes", "hours", "days"])
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "1", True, -timedelta(1)], ids=repr)
def test_clock_does_not_go_back(portal: Portal, unit: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^invalid {unit} .+; expected a number, 0 or more"):
        portal.advance(**{unit: value})
    portal.advance()
    assert portal.create_token().created_on - portal.tokens[0].created_on < HOUR


def test_advance_of_more_than_a_century_is_rejected(portal: Portal) -> None:
    with pytest.raises(ValueError, match=r"^invalid time span 3155846400 s; expected at most 36525 days$"):
        portal.advance(days=36_526)
    portal.advance(days=36_525)
    assert portal.client().add_token(32).id


def test_orphan_is_old_after_an_advance(portal: Portal) -> None:
    created = portal.tokens[0].created_on
    orphan = portal.create_token(note=tag_for(seconds=created), status=1, created_on=created)
    assert portal.client().sweep_tokens() == []
    portal.advance(hours=2)
    swept = portal.client().sweep_tokens(dry_run=False)
    assert [(each.token.id, each.deleted) for each in swept] == [(orphan.id, True)]


def test_lost_responses_are_resolved_after_an_advance(portal: Portal, tmp_path: Path) -> None:
    portal.advance(days=400)
    client = portal.client()
    portal.fail("act-then-close", method="POST")
    delivered = client.add_token(32, "ci", deliver=to_file(tmp_path / "key.json"))
    portal.fail("act-then-close", method="POST")
    with pytest.raises(errors.OutcomeUnknownError) as caught:
        client.add_token(32, "lost")
    assert [token.id for token in caught.value.candidates or []] == [portal.tokens[-1].id]
    assert [(token.id, token.note) for token in portal.tokens[2:-1]] == [(delivered.id, "ci")]


@pytest.mark.parametrize("hours", [0, 2])
def test_advance_is_not_diagnosed_as_a_wrong_clock(portal: Portal, hours: int) -> None:
    portal.advance(hours=hours)
    with pytest.raises(errors.AuthenticationError) as caught:
        portal.client(access_id=portal.access_id, access_key="invented-wrong-key").add_token(32)
    suggestion = caught.value.suggestion or ""
    assert ("unless a sandbox's clock was advanced, which does not affect signatures" in suggestion) is (hours > 0)


def test_rate_limit_ends_after_an_advance() -> None:
    with Portal(rate_limit=1, window=HOUR) as portal:
        path = "/setting/companySetting"
        for _ in range(3):
            assert "tokenDisabledDays" in get(portal, path)
            assert get(portal, path)["errorCode"] == 1429
            portal.advance(hours=1)


def notes(portal: Portal) -> list[str | None]:
    return [token.note for token in portal.client().list_tokens(32)]


def test_lists_lag() -> None:
    with Portal(list_lag=2 * HOUR) as portal:
        client = portal.client()
        token = client.add_token(32, "first")
        assert notes(portal) == []
        with pytest.raises(errors.NotFoundError):
            client.find_token(token.id)
        portal.advance(hours=2)
        assert notes(portal) == ["first"]
        client.update_token(token, note="second")
        assert notes(portal) == ["first"]
        assert portal.tokens[-1].note == "second"
        portal.advance(hours=2)
        assert notes(portal) == ["second"]


def test_last_use_lags() -> None:
    with Portal(last_used_lag=HOUR) as portal:
        stored = portal.create_token(1)
        client_of(portal, stored).add_token(32)
        assert portal.client().find_token(stored.id).last_used_on is None
        assert portal.tokens[-2].last_used_on > 0
        portal.advance(hours=1)
        assert portal.client().find_token(stored.id).last_used_on is not None


def test_enabled_token_is_rejected_until_the_delay_has_passed(portal: Portal) -> None:
    portal.configure(enable_delay=HOUR)
    stored = portal.create_token(1, status=1)
    portal.client().enable_token(stored.id)
    with pytest.raises(errors.AuthenticationError):
        client_of(portal, stored).add_token(32)
    portal.advance(hours=1)
    assert client_of(portal, stored).add_token(32).id


def test_long_note_is_rejected_or_cut(portal: Portal) -> None:
    portal.configure(note_limit=5)
    with pytest.raises(errors.APIError, match="The note is too long") as caught:
        portal.client().add_token(32, "123456")
    assert (caught.value.status, caught.value.code) == (400, 1400)
    portal.configure(long_notes="cut")
    portal.client().add_token(32, "123456")
    assert portal.tokens[-1].note == "12345"


def test_second_bearer_token_replaces_the_first(portal: Portal) -> None:
    portal.configure(one_bearer_per_user=True)
    first = portal.client().add_token(32, type="bearer")
    second = portal.client().add_token(32, type="bearer")
    ids = [token.id for token in portal.tokens]
    assert first.id not in ids
    assert second.id in ids
    assert portal.bearer_token.reveal() in [token.access_key.reveal() for token in portal.tokens]


def test_idle_token_is_disabled(portal: Portal) -> None:
    portal.configure(token_disabled_days=30)
    idle, used = portal.create_token(1), portal.create_token(1)
    portal.advance(days=29)
    client_of(portal, used).add_token(32)
    portal.advance(days=2)
    assert [token.status for token in portal.tokens if token.id in (idle.id, used.id)] == [1, 2]
    with pytest.raises(errors.AuthenticationError):
        client_of(portal, idle).add_token(32)
    assert portal.client().add_token(32).id


def test_emails_are_counted(portal: Portal) -> None:
    portal.configure(email_notifications=True)
    token = portal.client().add_token(32)
    portal.client().disable_token(token)
    portal.client().delete_token(token)
    assert portal.email_count == 2


def test_refused_use_is_in_the_audit_log(portal: Portal) -> None:
    stored = portal.create_token(1, status=1)
    with pytest.raises(errors.AuthenticationError):
        client_of(portal, stored).add_token(32)
    [entry] = get(portal, "/setting/accesslogs")["items"]
    assert set(entry) == {"id", "username", "description", "happenedOn", "happenedOnLocal", "ip", "sessionId"}
    assert entry["username"] == stored.access_id
    assert entry["description"].startswith(f"Failed API request: API token {stored.access_id} ")


def test_settings_of_the_account() -> None:
    with Portal(token_disabled_days=45, user_suspend_days=90, timestamp_window=60) as portal:
        assert get(portal, "/setting/companySetting") == {
            "tokenDisabledDays": 45,
            "userSuspendDays": 90,
            "timestampWindowOfApiUsersInSec": 60,
            "enableUserDetailsEmailNotification": False,
        }


def test_settings_of_the_shell() -> None:
    code = """
import lmtokens
print(lmtokens.add_token(32, "123456").note, len(list(lmtokens.list_tokens(32))))
"""
    options = ["--note-limit", "3", "--long-notes", "cut", "--list-lag", "0.5", "--one-bearer-per-user"]
    completed = run_shell("sandbox", *options, "--", sys.executable, "-c", code)
    assert completed.stdout == "123 0\n", completed.stderr


@pytest.mark.parametrize(("duration", "hours"), [("2h", 2), ("7200", 2), ("90m", 1.5), ("3600s", 1), ("7d", 168)])
def test_shell_advances_the_clock(duration: str, hours: float) -> None:
    code = f"""
import lmtokens, subprocess, sys
before = lmtokens.add_token(32).created_on
subprocess.run([sys.executable, "-m", "lmtokens", "sandbox", "advance", {duration!r}], check=True)
print(round((lmtokens.add_token(32).created_on - before).total_seconds() / 360) / 10)
"""
    completed = run_shell("sandbox", "--", sys.executable, "-c", code)
    assert (completed.stdout, completed.stderr) == (f"{float(hours)}\n", "")


@pytest.mark.parametrize("duration", ["-1h", "1w", "h", "", "inf", "nan", "1 h", "1.5h", "1e999"])
def test_shell_rejects_what_is_not_a_duration(duration: str) -> None:
    completed = run_shell("sandbox", "advance", "--", duration)
    assert completed.returncode == 2
    assert "expected 90s, 30m, 24h, 7d or a number of seconds" in completed.stderr


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "LM_BASE_URL is not set; expected the address of a sandbox"),
        ("nonsense", "LM_BASE_URL is not a URL; expected the address of a sandbox"),
        (
            "https://user:Hunter2@acme.logicmonitor.com/santaba/rest",
            "LM_BASE_URL is not the address of a sandbox: acme.logicmonitor.com\n",
        ),
        ("http://127.0.0.1:1/santaba/rest", "cannot reach the sandbox in LM_BASE_URL: "),
    ],
)
def test_shell_advances_only_a_sandbox(address: str, message: str) -> None:
    completed = run_shell("sandbox", "advance", "1h", environment={"LM_BASE_URL": address})
    assert completed.returncode in (1, 2)
    assert completed.stdout == ""
    assert completed.stderr.startswith(f"error: {message}")
    assert "hint: run the command inside lmtokens sandbox -- COMMAND" in completed.stderr


def test_shell_reports_an_advance_that_the_sandbox_rejects(portal: Portal) -> None:
    completed = run_shell("sandbox", "advance", "40000d", environment={"LM_BASE_URL": portal.base_url})
    assert completed.returncode == 2
    assert completed.stderr == "error: invalid time span 3456000000 s; expected at most 36525 days\n"
