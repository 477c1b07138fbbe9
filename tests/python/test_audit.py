"""An audit finds the tokens that its rules describe, and changes only those that it was told to change."""

from __future__ import annotations

import csv
import io
import json
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Callable

import lmtokens
import pytest
from api_variants import VARIANTS, api_for, stored_token
from certificates import issued
from delivery_helpers import edit_token, requests_with_method, tag_for
from lmtokens import AuditReason, Severity
from lmtokens.sandbox import Portal
from network import ConnectProxy, TlsServer, port_of
from support import HANG_TIMEOUT, run_shell
from tampering_proxy import Exchange, TamperingProxy

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import StoredToken

HOUR = 3600
DAY = 24 * HOUR


def store(portal: Portal, *, created: float = 1, used: float | None = 0, **members: Any) -> StoredToken:
    """Store a token of user 32 that was created and last used some days ago."""
    now = int(time.time())
    last_used_on = 0 if used is None else int(now - used * DAY)
    members = {"note": "ci", **members}
    return portal.create_token(
        members.pop("admin_id", 32), created_on=int(now - created * DAY), last_used_on=last_used_on, **members
    )


def reasons(audit: lmtokens.Audit) -> dict[int, list[str]]:
    """Return the reasons by the ids of the tokens, without the built-in ones."""
    return {
        finding.token.id: [reason.value for reason in finding.reasons]
        for finding in audit
        if not (finding.token.note or "").startswith("built-in")
    }


FOUND: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"created": 100, "used": 45.1}, ["idle"]),
    ({"created": 100, "used": 44.9}, []),
    ({"created": 7.1, "used": None}, ["never_used"]),
    ({"created": 6.9, "used": None}, []),
    ({"created": 365.1}, ["old"]),
    ({"created": 364.9}, []),
    ({"created": 400, "used": 400}, ["idle", "old"]),
    ({"created": 400, "used": None}, ["never_used", "old"]),
    ({"created": 30.1, "used": None, "status": 1}, ["disabled"]),
    ({"created": 500, "used": 30.1, "status": 1}, ["disabled"]),
    ({"created": 500, "used": 29.9, "status": 1}, []),
    ({"created": 29.9, "used": None, "status": 1}, []),
    ({"note": ""}, ["no_note"]),
    ({"note": "  "}, ["no_note"]),
    ({"note": "", "status": 1}, ["no_note"]),
    # A status that this version does not know may be usable.
    ({"created": 100, "used": 50, "status": 3}, ["idle"]),
    ({"admin_id": 1}, ["owner_not_api_only", "administrator"]),
    ({"admin_id": 1, "status": 1}, []),
    ({"admin_id": 33}, ["owner_not_api_only"]),
]


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("type", ["lmv1", "bearer"])
def test_every_token_has_the_reasons_that_apply(lmtokens_portal: Portal, kind: str, type: str) -> None:
    expected = {store(lmtokens_portal, type=type, **members).id: found for members, found in FOUND}
    audit = api_for(kind, lmtokens_portal).audit_tokens()
    assert reasons(audit) == {id: found for id, found in expected.items() if found}
    # With the two built-in tokens.
    assert (audit.checked, len(audit)) == (len(FOUND) + 2, len(reasons(audit)) + 2)
    assert audit.limitations == []


def tagged(portal: Portal, age: float, **members: Any) -> StoredToken:
    created = int(time.time() - age)
    note = f"{tag_for('ci', seconds=created)} ci"
    return portal.create_token(32, note=note, created_on=created, **{"status": 1, **members})


def test_pending_tokens_are_those_that_a_sweep_finds(lmtokens_portal: Portal) -> None:
    pending = tagged(lmtokens_portal, HOUR + 60)
    edited = tagged(lmtokens_portal, HOUR + 60)
    edit_token(lmtokens_portal, edited, note=f"{edited.note}, keep me")
    tagged(lmtokens_portal, HOUR - 60)
    tagged(lmtokens_portal, HOUR + 60, status=2)
    tagged(lmtokens_portal, HOUR + 60, last_used_on=int(time.time()))
    expected = {pending.id: None, edited.id: "its note was changed after its create"}
    assert {swept.token.id: swept.kept for swept in lmtokens.sweep_tokens()} == expected
    audit = lmtokens.audit_tokens()
    assert reasons(audit) == {id: ["pending"] for id in expected}
    assert {finding.remedy for finding in audit if finding.token.id in expected} == {
        "sweep it; if its note was changed, delete it yourself"
    }


def moment(offset: float) -> str:
    """Return a time some days from now, as markers write it."""
    then = datetime.fromtimestamp(int(time.time() + offset * DAY), timezone.utc)
    return then.strftime("%Y-%m-%dT%H:%M:%SZ").replace(":00Z", "Z")


@pytest.mark.parametrize(
    ("marker", "members", "found"),
    [
        (lambda: f"expires {moment(-0.01)}", {}, ["expired"]),
        (lambda: f"expires {moment(-0.01)}", {"status": 1}, ["expired"]),
        (lambda: f"expires {moment(0.01)}", {}, []),
        (lambda: f"replaces 17 after {moment(-1.1)}", {}, ["rotation_stuck"]),
        (lambda: f"replaces 17 after {moment(-0.9)}", {}, []),
        (lambda: f"replaced by 17, delete after {moment(-1.1)}", {"status": 1}, ["rotation_stuck"]),
        (lambda: f"replaced by 17, delete after {moment(-0.9)}", {"status": 1}, []),
        (lambda: f"replaces 17; superseded {moment(-1.1)}", {}, ["rotation_stuck"]),
        (lambda: f"replaces 17; superseded {moment(-0.9)}", {}, []),
        (lambda: f"replaces 17 after {moment(-5)}; cancelled {moment(-1.1)}", {}, ["rotation_stuck"]),
        (lambda: f"replaces 17 after {moment(-5)}; cancelled {moment(-1.1)}", {"status": 1}, []),
        (
            lambda: f"replaces 17 after {moment(-5)}; expires {moment(-1)}",
            {},
            ["expired", "rotation_stuck"],
        ),
    ],
)
def test_markers_tell_what_is_overdue(
    lmtokens_portal: Portal, marker: Callable[[], str], members: dict[str, Any], found: list[str]
) -> None:
    stored = store(lmtokens_portal, **members)
    copied = store(lmtokens_portal, **members)
    note = f"[lmtokens {stored.id} {marker()}] ci"
    for token in (stored, copied):
        # On the other token, the marker means nothing.
        edit_token(lmtokens_portal, token, note=note)
    assert reasons(lmtokens.audit_tokens()) == ({stored.id: found} if found else {})


def test_marker_alone_is_no_note(lmtokens_portal: Portal) -> None:
    stored = store(lmtokens_portal)
    edit_token(lmtokens_portal, stored, note=f"[lmtokens {stored.id} expires 2999-01-01T00:00Z]")
    assert reasons(lmtokens.audit_tokens()) == {stored.id: ["no_note"]}


def administrator(portal: Portal) -> lmtokens.Client:
    """Return a client with a bearer token: unlike a signature, it is valid at any time of the portal's clock."""
    return portal.client(access_id=None, access_key=None, bearer_token=portal.bearer_token)


def test_tokens_are_judged_by_the_portals_clock(lmtokens_portal: Portal) -> None:
    stored = store(lmtokens_portal, created=1, used=0)
    lmtokens_portal.set_clock_offset(46 * DAY)
    audit = administrator(lmtokens_portal).audit_tokens()
    assert reasons(audit) == {stored.id: ["idle"]}
    assert audit.checked_on is not None
    ahead = audit.checked_on - datetime.now(timezone.utc)
    assert abs(ahead.total_seconds() - 46 * DAY) < HANG_TIMEOUT


@pytest.mark.parametrize(
    ("argument", "members", "reason"),
    [
        ("idle_after", {"created": 100, "used": 10}, "idle"),
        ("never_used_after", {"created": 0.5, "used": None}, "never_used"),
        ("old_after", {"created": 10}, "old"),
        ("disabled_after", {"created": 10, "used": None, "status": 1}, "disabled"),
    ],
)
def test_ages_are_arguments(lmtokens_portal: Portal, argument: str, members: dict[str, Any], reason: str) -> None:
    stored = store(lmtokens_portal, **members)
    age = DAY * (members["created"] if members["used"] is None else members["used"]) if "used" in members else 10 * DAY

    def found(value: object) -> dict[int, list[str]]:
        arguments: dict[str, Any] = {argument: value}
        return reasons(lmtokens.audit_tokens(reasons=[reason], **arguments))

    assert found(age - 60) == found(timedelta(seconds=age - 60)) == found(f"{int(age) - 60}s") == {stored.id: [reason]}
    assert found(age + 60) == {}
    option = "--" + argument.replace("_", "-")
    shown = run_shell("audit", "--reason", reason, option, f"{int(age) - 60}s", "-o", "json")
    assert [row["id"] for row in json.loads(shown.stdout)] == [stored.id]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"idle_after": -1},
            ValueError,
            "invalid idle_after -1; expected a number of seconds, a timedelta, or a str",
        ),
        ({"old_after": timedelta(days=-1)}, ValueError, "invalid old_after -86400; expected"),
        ({"old_after": float("nan")}, ValueError, "invalid old_after NaN; expected"),
        ({"disabled_after": "a month"}, ValueError, "invalid disabled_after; expected a number of seconds"),
        ({"disabled_after": [30]}, TypeError, "disabled_after must be a number of seconds, a timedelta, or a str"),
        ({"never_used_after": True}, TypeError, "never_used_after must be a number"),
        ({"reasons": "idle"}, TypeError, "reasons must be an iterable of AuditReason, such as a list, not str"),
        ({"reasons": [1]}, TypeError, "each item of reasons must be an AuditReason or a str, not int"),
        ({"reasons": ["idel"]}, ValueError, 'invalid reason "idel"; expected one of idle, never_used'),
        ({"reasons": []}, ValueError, "no reasons given; expected at least one of idle, never_used"),
        ({"reasons": ["address_changed"]}, ValueError, "needs an earlier report"),
        ({"diff": "/nonexistent"}, ValueError, "cannot read the report /nonexistent: "),
        ({"diff": 1}, TypeError, "diff must be a path"),
    ],
)
def test_invalid_arguments_are_refused_before_any_request(
    lmtokens_portal: Portal, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        lmtokens.audit_tokens(**arguments)
    assert lmtokens_portal.record == []


def test_python_has_every_reason() -> None:
    with pytest.raises(ValueError, match="expected one of ") as caught:
        lmtokens.audit_tokens(reasons=["?"])
    assert str(caught.value).partition("one of ")[2].split(", ") == [reason.value for reason in AuditReason]


def test_report_counts_iterates_and_becomes_json(lmtokens_portal: Portal) -> None:
    idle = store(lmtokens_portal, created=100, used=50)
    store(lmtokens_portal, note="")
    audit = lmtokens.audit_tokens(reasons=[AuditReason.IDLE, "no_note"])
    assert [finding.severity for finding in audit] == [Severity.WARNING, Severity.INFO]
    first, second = audit
    assert (first.token.id, first.reasons, first.new_reasons) == (idle.id, [AuditReason.IDLE], [])
    assert first.portal == lmtokens_portal.base_url
    assert audit.findings == [first, second]
    assert audit.counts == {"idle": 1, "no_note": 1}
    assert audit.gone == []
    assert bool(audit)
    assert repr(audit) == "<lmtokens.Audit 4 tokens checked: 0 critical, 1 warning, 1 info>"
    assert repr(first) == f"<lmtokens.Finding {idle.id}, warning: idle>"
    members = audit.to_dict()
    assert json.loads(json.dumps(members)) == members
    assert members["checked"] == 4
    assert members["findings"] == [first.to_dict(), second.to_dict()]
    assert first.to_dict() == {
        **first.token.to_dict(),
        "reasons": ["idle"],
        "severity": "warning",
        "remedy": first.remedy,
        "portal": lmtokens_portal.base_url,
        "profile": None,
    }


def test_only_the_reasons_that_are_looked_for_are_found(lmtokens_portal: Portal) -> None:
    stored = store(lmtokens_portal, created=400, used=400, note="")
    assert reasons(lmtokens.audit_tokens(reasons=[AuditReason.OLD])) == {stored.id: ["old"]}
    assert not [seen for seen in lmtokens_portal.record if seen.path.endswith("/setting/admins")]
    assert not lmtokens.audit_tokens(reasons=["administrator"], idle_after=0).counts.get(AuditReason.IDLE)


class TestOwners:
    """What the list of users shows."""

    def changed(
        self, portal: Portal, change: Callable[[dict[str, Any]], None], path: str = "/setting/admins?"
    ) -> TamperingProxy:
        def after(exchange: Exchange) -> None:
            if path in exchange.path:
                body = json.loads(exchange.response_body)
                change(body)
                exchange.response_body = json.dumps(body).encode()

        return TamperingProxy(portal, after=after)

    def test_enabled_token_of_a_suspended_user_is_critical(self, lmtokens_portal: Portal) -> None:
        stored = store(lmtokens_portal)
        store(lmtokens_portal, status=1)

        def suspend(body: dict[str, Any]) -> None:
            for user in body["items"]:
                user["status"] = "suspended" if user["id"] == 32 else "active"

        with self.changed(lmtokens_portal, suspend) as proxy:
            audit = proxy.client().audit_tokens()
        assert reasons(audit) == {stored.id: ["owner_suspended"]}
        assert audit.findings[0].severity is Severity.CRITICAL

    @pytest.mark.parametrize("status", [403, 404])
    def test_list_of_users_that_may_not_be_read_is_a_limitation(self, lmtokens_portal: Portal, status: int) -> None:
        lmtokens_portal.set_rate_limit(1_000_000)
        stored = store(lmtokens_portal, admin_id=1, created=400)

        def after(exchange: Exchange) -> None:
            if "/setting/admins?" in exchange.path:
                error = {"errorMessage": "no", "errorCode": 1000 + status, "errorDetail": None}
                exchange.status, exchange.response_body = status, json.dumps(error).encode()

        with TamperingProxy(lmtokens_portal, after=after) as proxy:
            audit = proxy.client().audit_tokens()
        # The roles of its owner are members of a token.
        assert reasons(audit) == {stored.id: ["old", "administrator"]}
        (limitation,) = audit.limitations
        assert limitation.startswith("owners were not checked, because the users cannot be listed: ")

    def test_users_that_the_list_does_not_show_are_a_limitation(self, lmtokens_portal: Portal) -> None:
        store(lmtokens_portal, admin_id=33)

        def hide(body: dict[str, Any]) -> None:
            body["items"] = [user for user in body["items"] if user["id"] != 33]

        with self.changed(lmtokens_portal, hide) as proxy:
            audit = proxy.client().audit_tokens()
        assert reasons(audit) == {}
        assert audit.limitations == [
            "the owners of some tokens were not checked, because the list of users does not show them: 1 of 3"
        ]

    def test_every_page_of_users_is_read(self, lmtokens_portal: Portal) -> None:
        users = [lmtokens_portal.add_user(f"api-{number}", apionly=number % 2 == 0) for number in range(1100)]
        tokens = [store(lmtokens_portal, admin_id=user) for user in users]
        found = reasons(lmtokens.audit_tokens())
        assert found == {token.id: ["owner_not_api_only"] for token in tokens[1::2]}

    def test_odd_users_do_not_stop_the_audit(self, lmtokens_portal: Portal) -> None:
        stored = store(lmtokens_portal, admin_id=1)

        def spoil(body: dict[str, Any]) -> None:
            body["items"][:0] = [None, 1, {}, {"id": "x"}]
            for user in body["items"][4:]:
                user.update(status=None, apionly="no", roles=7)

        with self.changed(lmtokens_portal, spoil) as proxy:
            audit = proxy.client().audit_tokens()
        assert reasons(audit) == {stored.id: ["administrator"]}


def test_credentials_that_cannot_view_tokens_are_a_limitation(lmtokens_portal: Portal) -> None:
    blind = lmtokens_portal.add_user("blind", may_view=False)
    token = lmtokens_portal.create_token(blind)
    client = lmtokens_portal.client(access_id=token.access_id, access_key=token.access_key)
    audit = client.audit_tokens()
    assert (audit.checked, len(audit)) == (0, 0)
    (limitation,) = audit.limitations
    assert limitation.startswith("the list of tokens does not show the calling one")


class TestTokenDisabledDays:
    """The number of days after which the portal itself disables an unused token."""

    def proxy(self, portal: Portal, response: object) -> TamperingProxy:
        def after(exchange: Exchange) -> None:
            if exchange.path.endswith("/setting/companySetting"):
                exchange.status, exchange.response_body = 200, json.dumps(response).encode()

        return TamperingProxy(portal, after=after)

    def test_remedy_says_when_the_portal_disables_an_unused_token(self, lmtokens_portal: Portal) -> None:
        store(lmtokens_portal, created=100, used=48.5)
        store(lmtokens_portal, created=30.5, used=None)
        store(lmtokens_portal, created=100, used=59.5)
        store(lmtokens_portal, created=90, used=80)
        store(lmtokens_portal, created=90, used=80, status=1)
        with self.proxy(lmtokens_portal, {"tokenDisabledDays": 61}) as proxy:
            audit = proxy.client().audit_tokens(reasons=["idle", "never_used", "disabled"])
        ends = [finding.remedy.partition("; the portal disables this ")[2] for finding in audit]
        assert ends == ["in 12 days", "in 30 days", "in 1 day", "within a day", ""]
        first = audit.findings[0]
        assert first.token.last_used_on is not None
        assert first.portal_disables_on == first.token.last_used_on + timedelta(days=61)
        assert audit.findings[-1].portal_disables_on is None

    def test_sandbox_disables_the_token_then(self) -> None:
        with Portal(token_disabled_days=61) as portal, portal.client() as client:
            store(portal, created=100, used=48.5)
            (finding,) = client.audit_tokens(reasons=["idle"])
            assert finding.remedy.endswith("; the portal disables this in 12 days")
            portal.advance(days=13)
            assert client.audit_tokens(reasons=["idle"]).findings == []
            assert client.find_token(finding.token.id).status == lmtokens.TokenStatus.DISABLED

    @pytest.mark.parametrize("response", [{}, [], None, {"tokenDisabledDays": 0}, {"tokenDisabledDays": "never"}])
    def test_portal_that_does_not_tell_is_no_problem(self, lmtokens_portal: Portal, response: object) -> None:
        store(lmtokens_portal, created=100, used=50)
        with self.proxy(lmtokens_portal, response) as proxy:
            (finding,) = proxy.client().audit_tokens(reasons=["idle"])
        assert (finding.portal_disables_on, finding.remedy) == (
            None,
            "disable it, and delete it later if it is not missed",
        )


def test_portal_without_a_clock_is_an_error(lmtokens_portal: Portal) -> None:
    def without_date(exchange: Exchange) -> None:
        exchange.headers = {name: value for name, value in exchange.headers.items() if name.lower() != "date"}

    no_date = pytest.raises(lmtokens.ResponseError, match="sends no Date header")
    with TamperingProxy(lmtokens_portal, after=without_date) as proxy, no_date:
        proxy.client().audit_tokens()


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "report.json"


def write(report: Path, audit: lmtokens.Audit) -> None:
    report.write_text(json.dumps(audit.to_dict()))


class TestDiff:
    """Comparisons with an earlier report."""

    @pytest.mark.parametrize("kind", VARIANTS)
    def test_new_and_gone_findings_are_reported(self, lmtokens_portal: Portal, report: Path, kind: str) -> None:
        kept = store(lmtokens_portal, created=100, used=50)
        changed = store(lmtokens_portal, note="")
        deleted = store(lmtokens_portal, created=400)
        write(report, lmtokens.audit_tokens())
        api = api_for(kind, lmtokens_portal)
        api.update_token(changed.id, note="now with a note")
        api.delete_token(deleted.id)
        new = store(lmtokens_portal, created=400)

        audit = api.audit_tokens(diff=report)
        assert reasons(audit) == {kept.id: ["idle"], new.id: ["old"]}
        by_id = {finding.token.id: finding.new_reasons for finding in audit if finding.new_reasons}
        assert by_id == {new.id: [AuditReason.OLD]}
        assert [(gone["id"], gone["reasons"]) for gone in audit.gone] == [
            (changed.id, ["no_note"]),
            (deleted.id, ["old"]),
        ]
        assert audit.gone[0]["access_id"] == changed.access_id

    def test_one_new_reason_of_a_known_token_is_new(self, lmtokens_portal: Portal, report: Path) -> None:
        stored = store(lmtokens_portal, created=400, note="")
        write(report, lmtokens.audit_tokens(reasons=["old"]))
        audit = lmtokens.audit_tokens(diff=report)
        (finding,) = [finding for finding in audit if finding.token.id == stored.id]
        assert (finding.reasons, finding.new_reasons) == (["old", "no_note"], ["no_note"])

    def test_reason_that_was_not_looked_for_is_not_gone(self, lmtokens_portal: Portal, report: Path) -> None:
        store(lmtokens_portal, created=400, note="")
        write(report, lmtokens.audit_tokens())
        assert lmtokens.audit_tokens(reasons=["idle"], diff=report).gone == []

    def test_report_of_another_portal_is_not_compared(self, lmtokens_portal: Portal, report: Path) -> None:
        with Portal() as other, other.client() as client:
            store(other, created=400)
            write(report, client.audit_tokens())
        stored = store(lmtokens_portal, created=400)
        audit = lmtokens.audit_tokens(diff=report, reasons=["old"])
        assert [(finding.token.id, finding.new_reasons) for finding in audit] == [(stored.id, ["old"])]
        assert audit.gone == []

    def test_address_that_differs_is_found_with_a_comparison_only(self, lmtokens_portal: Portal, report: Path) -> None:
        token = lmtokens_portal.create_token(32, note="ci")
        unused = lmtokens_portal.create_token(32, note="ci")
        lmtokens_portal.client(access_id=token.access_id, access_key=token.access_key).whoami()
        listed = [token.to_dict() for token in lmtokens.list_tokens()]
        report.write_text(json.dumps(listed))
        looked_for = ["address_changed"]
        assert not lmtokens.audit_tokens(diff=report, reasons=looked_for)
        for members in listed:
            if members["id"] in (token.id, unused.id):
                members["last_auth_ip"] = "192.0.2.7"
        report.write_text(json.dumps(listed))
        (finding,) = lmtokens.audit_tokens(diff=report, reasons=looked_for)
        assert (finding.token.id, finding.severity) == (token.id, Severity.WARNING)
        assert finding.new_reasons == looked_for

    def test_shell_writes_and_compares_reports(self, lmtokens_portal: Portal, report: Path) -> None:
        changed = store(lmtokens_portal, note="")
        written = run_shell("audit", "--all", "-o", "json")
        assert (written.returncode, len(json.loads(written.stdout))) == (0, 3)
        report.write_text(written.stdout)
        unchanged = run_shell("audit", "--diff", str(report), "-o", "json")
        assert (unchanged.returncode, json.loads(unchanged.stdout)) == (0, [])
        lmtokens.update_token(changed.id, note="now with a note")
        store(lmtokens_portal, note="")
        new = store(lmtokens_portal, created=400)
        compared = run_shell("audit", "--diff", str(report), "-o", "json")
        rows = json.loads(compared.stdout)
        assert [(row["change"], row["reasons"]) for row in rows] == [
            ("new", ["old"]),
            ("new", ["no_note"]),
            ("gone", ["no_note"]),
        ]
        assert rows[0].keys() == rows[2].keys()
        assert (rows[0]["id"], rows[2]["id"], rows[2]["access_id"]) == (new.id, changed.id, changed.access_id)
        assert "2 tokens with new findings, 1 with findings that are gone" in compared.stderr
        assert compared.returncode == 10
        report.write_text(compared.stdout)
        refused = run_shell("audit", "--diff", str(report))
        assert refused.returncode == 2
        assert "it is a comparison of reports, written with --diff" in refused.stderr

    def test_exit_code_is_of_new_findings(self, lmtokens_portal: Portal, report: Path) -> None:
        store(lmtokens_portal, created=400)
        written = run_shell("audit", "-o", "json")
        assert written.returncode == 10
        report.write_text(written.stdout)
        assert run_shell("audit", "--diff", str(report)).returncode == 0
        store(lmtokens_portal, note="")
        assert run_shell("audit", "--diff", str(report)).returncode == 0
        assert run_shell("audit", "--diff", str(report), "--fail-on", "info").returncode == 10


def with_bearer(portal: Portal) -> dict[str, str]:
    """Return an environment that replaces the pair of the fixture by the bearer token."""
    return {"LM_ACCESS_ID": "", "LM_ACCESS_KEY": "", "LM_BEARER_TOKEN": portal.bearer_token.reveal()}


class TestShell:
    """The command ``lmtokens audit``."""

    @pytest.mark.usefixtures("lmtokens_portal")
    def test_portal_without_findings_of_weight_exits_with_0(self) -> None:
        result = run_shell("audit", "-o", "json")
        assert result.returncode == 0
        assert {row["severity"] for row in json.loads(result.stdout)} == {"info"}
        assert run_shell("audit", "--fail-on", "info").returncode == 10

    def test_json_equals_the_findings_of_python(self, lmtokens_portal: Portal) -> None:
        store(lmtokens_portal, created=100, used=50)
        store(lmtokens_portal, note="")
        # The last use of the calling token is another one.
        shown = json.loads(run_shell("audit", "-o", "json", "--reason", "idle", "--reason", "no_note").stdout)
        audit = lmtokens.audit_tokens(reasons=["idle", "no_note"])
        assert shown == [finding.to_dict() for finding in audit]
        assert list(shown[0]) == list(audit.findings[0].to_dict())

    def test_all_formats_show_the_same_tokens(self, lmtokens_portal: Portal) -> None:
        stored = store(lmtokens_portal, created=400, used=50, note="line\nbreak")
        rows = json.loads(run_shell("audit", "-o", "json").stdout)
        lines = run_shell("audit", "-o", "jsonl").stdout.splitlines()
        assert [json.loads(line)["id"] for line in lines] == [row["id"] for row in rows] == [stored.id, 101, 102]
        table = list(csv.DictReader(io.StringIO(run_shell("audit", "-o", "csv").stdout)))
        assert [int(row["id"]) for row in table] == [row["id"] for row in rows]
        assert (table[0]["reasons"], table[0]["severity"]) == ("idle;old", "warning")
        shown = run_shell("audit").stdout.splitlines()
        assert len(shown) == 1 + len(rows)
        assert shown[0].split() == [
            "severity",
            "id",
            "type",
            "admin_name",
            "note",
            "last_used_on",
            "reasons",
            "remedy",
        ]

    @pytest.mark.usefixtures("lmtokens_portal")
    @pytest.mark.parametrize(
        "options",
        [
            ["--disable"],
            ["--disable", "--yes"],
            ["--delete"],
            ["--delete", "--yes"],
            ["--disable", "--delete", "--reason", "idle"],
            ["--disable", "--delete", "--reason", "idle", "--yes"],
            ["--yes"],
            ["--reason", "idel"],
            ["--fail-on", "never"],
            ["--idle-after", "soon"],
            ["--idle-after", "-1d"],
            ["--all", "--diff", "x"],
            ["--diff", "/nonexistent"],
            ["--reason", "address_changed"],
        ],
    )
    def test_incomplete_or_invalid_options_are_refused(self, lmtokens_portal: Portal, options: list[str]) -> None:
        result = run_shell("audit", *options)
        assert (result.returncode, result.stdout) == (2, "")
        assert lmtokens_portal.record == []

    def test_disable_disables_what_is_found(self, lmtokens_portal: Portal) -> None:
        idle = store(lmtokens_portal, created=100, used=50, note="a note")
        other = store(lmtokens_portal, created=400)
        result = run_shell("audit", "--reason", "idle", "--disable", "--yes", "-o", "json")
        (row,) = json.loads(result.stdout)
        assert (result.returncode, row["id"], row["disabled"], row["kept"]) == (0, idle.id, True, None)
        after = stored_token(lmtokens_portal, idle.id)
        assert after is not None
        assert (after.status, after.note) == (1, "a note")
        assert stored_token(lmtokens_portal, other.id) == other
        (patch,) = requests_with_method(lmtokens_portal, "PATCH")
        assert json.loads(patch.body) == {"status": 1}

    @pytest.mark.parametrize("action", ["disable", "delete"])
    def test_without_yes_the_tokens_are_listed_and_nothing_is_changed(
        self, lmtokens_portal: Portal, action: str
    ) -> None:
        enabled = store(lmtokens_portal, note="")
        disabled = store(lmtokens_portal, note="", status=1)
        options = ["--reason", "no_note", f"--{action}", "-o", "json"]
        preview = run_shell("audit", *options)
        assert preview.returncode == 0
        assert [stored_token(lmtokens_portal, token.id) for token in (enabled, disabled)] == [enabled, disabled]
        assert {seen.method for seen in lmtokens_portal.record} == {"GET"}
        rows = json.loads(preview.stdout)
        assert [row[f"{action}d"] for row in rows] == [False, False]
        assert f"1 of 2 would be {action}d; pass --yes to {action} them" in preview.stderr
        kept = {row["id"]: row["kept"] for row in rows if row["kept"]}
        assert list(kept) == [disabled.id if action == "disable" else enabled.id]
        confirmed = json.loads(run_shell("audit", *options, "--yes").stdout)
        assert [{**row, f"{action}d": False} for row in confirmed] == rows
        assert {row["id"]: row["kept"] for row in confirmed if not row[f"{action}d"]} == kept

    def test_without_yes_the_findings_count_for_the_exit_code(self, lmtokens_portal: Portal) -> None:
        store(lmtokens_portal, created=100, used=50)
        options = ["--reason", "idle", "--disable"]
        preview = run_shell("audit", *options)
        assert (preview.returncode, run_shell("audit", "--reason", "idle").returncode) == (10, 10)
        assert "idle" in preview.stdout
        assert run_shell("audit", *options, "--fail-on", "critical").returncode == 0
        assert run_shell("audit", *options, "--yes").returncode == 0
        nothing = run_shell("audit", *options)
        assert (nothing.returncode, "0 of 0 would be disabled\n" in nothing.stderr) == (0, True)

    def test_delete_deletes_disabled_tokens_only(self, lmtokens_portal: Portal) -> None:
        disabled = store(lmtokens_portal, note="", status=1)
        enabled = store(lmtokens_portal, note="")
        result = run_shell("audit", "--reason", "no_note", "--delete", "--yes", "-o", "json")
        rows = {row["id"]: (row["deleted"], row["kept"]) for row in json.loads(result.stdout)}
        assert rows == {
            disabled.id: (True, None),
            enabled.id: (False, "it is enabled, and only disabled tokens are deleted"),
        }
        assert stored_token(lmtokens_portal, disabled.id) is None
        assert stored_token(lmtokens_portal, enabled.id) == enabled
        assert f"token {enabled.id} is kept: it is enabled" in result.stderr

    def test_pending_token_is_left_to_the_sweep(self, lmtokens_portal: Portal) -> None:
        pending = tagged(lmtokens_portal, 40 * DAY)
        result = run_shell("audit", "--reason", "pending", "--reason", "disabled", "--delete", "--yes", "-o", "json")
        (row,) = json.loads(result.stdout)
        assert (row["id"], row["reasons"], row["deleted"]) == (pending.id, ["disabled", "pending"], False)
        assert row["kept"].startswith("it is pending")
        assert requests_with_method(lmtokens_portal, "DELETE") == []

    def test_pending_token_whose_note_was_changed_is_left_to_the_user(self, lmtokens_portal: Portal) -> None:
        edited = tagged(lmtokens_portal, 40 * DAY)
        edit_token(lmtokens_portal, edited, note=f"{edited.note}, keep me")
        result = run_shell("audit", "--reason", "disabled", "--delete", "--yes", "-o", "json")
        (row,) = json.loads(result.stdout)
        assert (row["id"], row["deleted"]) == (edited.id, False)
        assert row["kept"] == "it is pending, and its note may have been changed; delete it yourself"
        assert requests_with_method(lmtokens_portal, "DELETE") == []

    def test_replaced_token_is_left_to_the_user(self, lmtokens_portal: Portal) -> None:
        stored = store(lmtokens_portal, created=100, used=50, status=1)
        edit_token(lmtokens_portal, stored, note=f"[lmtokens {stored.id} replaced by 17, delete after {moment(5)}]")
        assert reasons(lmtokens.audit_tokens()) == {stored.id: ["no_note"]}
        result = run_shell("audit", "--reason", "no_note", "--delete", "--yes", "-o", "json")
        (row,) = json.loads(result.stdout)
        assert (row["deleted"], row["kept"]) == (
            False,
            "a rotation replaced it; lmtokens rotate --finish deletes it, lmtokens rotate --cancel enables it",
        )
        assert requests_with_method(lmtokens_portal, "DELETE") == []

    @pytest.mark.parametrize("bearer", [False, True])
    def test_calling_token_is_kept(self, lmtokens_portal: Portal, bearer: bool) -> None:
        own, other = (102, 101) if bearer else (101, 102)
        options = ["--reason", "administrator", "--disable", "--fail-on", "info", "-o", "json"]
        environment = with_bearer(lmtokens_portal) if bearer else None
        preview = run_shell("audit", *options, environment=environment)
        assert {row["id"]: row["kept"] for row in json.loads(preview.stdout)} == {
            own: "it signs these calls",
            other: None,
        }
        result = run_shell("audit", *options, "--yes", environment=environment)
        rows = {row["id"]: (row["disabled"], row["kept"]) for row in json.loads(result.stdout)}
        assert rows == {own: (False, "it signs these calls"), other: (True, None)}
        # What is kept is still found.
        assert result.returncode == 10
        assert len(requests_with_method(lmtokens_portal, "PATCH")) == 1

    @pytest.mark.parametrize("change", ["use", "delete", "note", "disable"])
    def test_token_that_changed_since_the_list_was_read_is_kept(self, lmtokens_portal: Portal, change: str) -> None:
        stored = store(lmtokens_portal, created=100, used=50, note="")
        client = lmtokens_portal.client()
        changed: list[Exchange] = []

        def before(exchange: Exchange) -> None:
            # The token is read again with a filter for its id.
            if f"=id%3A{stored.id}" not in exchange.path.replace(":", "%3A") or changed:
                return
            changed.append(exchange)
            if change == "use":
                lmtokens_portal.client(access_id=stored.access_id, access_key=stored.access_key).whoami()
            elif change == "delete":
                client.delete_token(stored.id)
            elif change == "note":
                client.update_token(stored.id, note="now with a note")
            else:
                client.disable_token(stored.id)
            lmtokens_portal.clear_record()

        with TamperingProxy(lmtokens_portal, before=before) as proxy:
            environment = {**with_bearer(lmtokens_portal), "LM_BASE_URL": proxy.base_url}
            reason = "no_note" if change == "note" else "idle"
            options = ["--reason", reason, "--disable", "--yes", "-o", "json"]
            result = run_shell("audit", *options, environment=environment)
        assert changed
        (row,) = json.loads(result.stdout)
        kept = {"delete": "it does not exist any more", "disable": "it is disabled already"}
        assert (row["disabled"], row["kept"]) == (
            False,
            kept.get(change, "it has changed, and is not found any more"),
        )
        assert requests_with_method(lmtokens_portal, "PATCH") == []

    def test_nothing_is_changed_if_the_portals_clock_is_not_plausible(
        self, lmtokens_portal: Portal, ca_bundle: Path
    ) -> None:
        stored = store(lmtokens_portal)
        lmtokens_portal.set_clock_offset(400 * DAY)
        server = TlsServer(issued("portal.example"), port_of(lmtokens_portal))
        with server, ConnectProxy({"portal.example:443": server.port}) as proxy:
            environment = {
                **with_bearer(lmtokens_portal),
                "LM_BASE_URL": "https://portal.example/santaba/rest",
                "HTTPS_PROXY": proxy.url,
                "SSL_CERT_FILE": str(ca_bundle),
            }
            listed = run_shell("audit", "--reason", "old", environment=environment)
            for confirmed in ([], ["--yes"]):
                refused = run_shell("audit", "--reason", "old", "--disable", *confirmed, environment=environment)
                assert (refused.returncode, refused.stdout) == (1, "")
                assert "cannot tell how old tokens are: the portal's clock shows" in refused.stderr
        assert listed.returncode == 10
        assert stored_token(lmtokens_portal, stored.id) == stored

    def test_change_that_fails_is_reported_and_does_not_stop_the_others(self, lmtokens_portal: Portal) -> None:
        tokens = [store(lmtokens_portal, created=100, used=50) for _ in range(3)]
        lmtokens_portal.fail("status-before-acting", method="PATCH", status=400)
        result = run_shell("audit", "--reason", "idle", "--disable", "--yes", "-o", "json")
        rows = json.loads(result.stdout)
        assert [row["disabled"] for row in rows] == [False, True, True]
        assert result.returncode == 3
        assert "error: " in result.stderr
        statuses = [stored.status for stored in lmtokens_portal.tokens if stored.id >= tokens[0].id]
        assert statuses == [2, 1, 1]

    def test_rejected_credentials_end_the_changes_and_are_reported(self, lmtokens_portal: Portal) -> None:
        tokens = [store(lmtokens_portal, created=100, used=50) for _ in range(4)]
        lmtokens_portal.fail("status-before-acting", method="PATCH", status=400)
        lmtokens_portal.fail("status-before-acting", method="PATCH", status=401, times=None, skip=1)
        result = run_shell("audit", "--reason", "idle", "--disable", "--yes", "-o", "json")
        rows = [(row["id"], row["disabled"]) for row in json.loads(result.stdout)]
        assert rows == [(token.id, number == 1) for number, token in enumerate(tokens)]
        assert result.returncode == 4
        assert result.stderr.count("error: ") == 2
        assert "1 of 4 disabled" in result.stderr
        assert len(requests_with_method(lmtokens_portal, "PATCH")) == 3

    @pytest.mark.usefixtures("lmtokens_portal")
    def test_rejected_credentials_exit_with_4(self) -> None:
        result = run_shell("audit", environment={"LM_ACCESS_KEY": "wrong"})
        assert (result.returncode, result.stdout) == (4, "")


@pytest.mark.parametrize(
    "options", [[], ["--disable"], ["--disable", "--yes"], ["--delete", "--yes"], ["--diff"]], ids=" ".join
)
def test_empty_report_has_the_header_of_another(lmtokens_portal: Portal, tmp_path: Path, options: list[str]) -> None:
    if options == ["--diff"]:
        report = tmp_path / "report.json"
        report.write_text(run_shell("audit", "-o", "json").stdout)
        options = ["--diff", str(report)]
    empty = run_shell("audit", "--reason", "no_note", "-o", "csv", *options).stdout
    assert empty.startswith("id,type,access_id,")
    assert empty.count("\n") == 1
    lmtokens_portal.create_token(note="", status=1)
    filled = run_shell("audit", "--reason", "no_note", "-o", "csv", *options).stdout
    assert filled.startswith(empty)
    assert filled.count("\n") == 2
