"""The Python API of the sandbox: every setting and method has a visible effect."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import http.client
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import lmtokens
import lmtokens.sandbox
import pytest
from lmtokens.sandbox import Portal, Seen, StoredToken
from support import HANG_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def portal() -> Iterator[Portal]:
    with Portal() as portal:
        yield portal


def port_of(portal: Portal) -> int:
    return int(portal.base_url.split(":")[2].split("/")[0])


def address_answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=HANG_TIMEOUT).close()
    except OSError:
        return False
    return True


def test_address(portal: Portal) -> None:
    assert portal.base_url == f"http://127.0.0.1:{port_of(portal)}/santaba/rest"
    assert repr(portal) == f"<lmtokens.sandbox.Portal {portal.base_url}>"


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="sockets are listed in /proc")
def test_listens_on_loopback_only(portal: Portal) -> None:
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, port = local.split(":")
            if state == "0A" and int(port, 16) == port_of(portal):
                listening.append(address)
    # 127.0.0.1 in either byte order.
    assert listening in (["0100007F"], ["7F000001"])


def test_port_can_be_chosen(portal: Portal) -> None:
    port = port_of(portal)
    portal.close()
    with Portal(port=port) as again:
        assert port_of(again) == port


def test_port_in_use(portal: Portal) -> None:
    with pytest.raises(lmtokens.LMTokensError, match=str(port_of(portal))) as caught:
        Portal(port=port_of(portal))
    assert type(caught.value).__name__ in (Portal.__doc__ or "")


def test_close_twice_stops_the_server(portal: Portal) -> None:
    assert address_answers("127.0.0.1", port_of(portal))
    portal.close()
    portal.close()
    assert not address_answers("127.0.0.1", port_of(portal))
    with pytest.raises(lmtokens.ConnectError):
        portal.client().add_token(32)


def test_context_manager_closes_after_an_error() -> None:
    with pytest.raises(RuntimeError, match="ours"), Portal() as portal:
        raise RuntimeError("ours")
    assert not address_answers("127.0.0.1", port_of(portal))


def test_record_can_be_read_after_close(portal: Portal) -> None:
    portal.client().add_token(32)
    portal.close()
    assert [seen.status for seen in portal.record] == [200]


def test_two_portals_are_independent() -> None:
    with Portal() as one, Portal() as other:
        one.client().add_token(32)
        assert (len(one.record), len(other.record)) == (1, 0)
        with pytest.raises(lmtokens.AuthenticationError):
            other.client(access_id=one.access_id, access_key=one.access_key).add_token(32)


def test_credentials_belong_to_the_administrator(portal: Portal) -> None:
    signed, bearer = portal.tokens
    assert (signed.access_id, signed.access_key) == (portal.access_id, portal.access_key)
    assert bearer.access_key == portal.bearer_token
    assert [token.admin_id for token in portal.tokens] == [1, 1]


def test_credentials_are_recognizable_as_fake(portal: Portal) -> None:
    portal.client().add_token(32)
    portal.client().add_token(32, type="bearer")
    for token in portal.tokens:
        shown = token.access_key.reveal()
        assert shown.startswith("sandbox-key-" if token.type == "lmv1" else "lmb_sandbox-")
        assert token.access_id.startswith("sandbox") or token.type == "bearer"


def test_environment_points_another_process_to_the_portal(portal: Portal) -> None:
    assert portal.environment() == {
        "LM_COMPANY": portal.company,
        "LM_BASE_URL": portal.base_url,
        "LM_ACCESS_ID": portal.access_id,
        "LM_ACCESS_KEY": portal.access_key.reveal(),
        "LM_CONFIG_FILE": os.devnull,
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    code = "import lmtokens; print(lmtokens.add_token(32, 'ci', 2))"
    completed = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **portal.environment()},
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=True,
    )
    assert [seen.method for seen in portal.record] == ["POST"]
    created = portal.tokens[-1]
    assert f"id={created.id}" in completed.stdout
    assert created.access_key.reveal() not in completed.stdout + completed.stderr


def test_settings_of_the_client_override_the_defaults(portal: Portal) -> None:
    own = portal.create_token(1)
    portal.client(access_id=own.access_id, access_key=own.access_key).add_token(32)
    portal.client(bearer_token=portal.bearer_token, timeout=5).add_token(32)
    assert [seen.token_id for seen in portal.record] == [own.id, portal.tokens[1].id]
    assert "other at" in repr(portal.client(company="other"))


def test_record(portal: Portal) -> None:
    before = time.time_ns() // 1_000_000
    client = portal.client()
    client.add_token(32, "ci", type="bearer")
    client.add_token(32)
    first, second = portal.record
    assert isinstance(first, Seen)
    assert (first.method, first.path) == ("POST", "/santaba/rest/setting/admins/32/apitokens")
    assert (first.query, first.body) == ("type=bearer", '{"note":"ci","status":2}')
    assert first.headers == sorted(first.headers)
    assert {"authorization", "x-version", "host"} <= set(first.headers)
    assert (first.user_agent or "").startswith("lmtokens/")
    assert (first.signature, first.access_id, first.token_id) == ("valid", portal.access_id, portal.tokens[0].id)
    assert (first.status, first.fault, first.applied) == (200, None, True)
    assert first.connection == second.connection == 1
    assert before <= first.received_at_ms <= second.received_at_ms <= time.time_ns() // 1_000_000
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.method = "GET"  # type: ignore[misc]


def test_clear_record(portal: Portal) -> None:
    portal.client().add_token(32)
    portal.clear_record()
    assert portal.record == []
    portal.client().add_token(32)
    assert len(portal.record) == 1


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_record_limit(limit: int) -> None:
    with Portal(record_limit=limit) as portal:
        for note in ("first", "second", "third"):
            portal.client().add_token(32, note)
        bodies = [seen.body for seen in portal.record]
    assert bodies == [f'{{"note":"{note}","status":2}}' for note in ("first", "second", "third")[3 - limit :]]


KINDS = [
    "close-before-acting",
    "act-then-close",
    "status-before-acting",
    "act-then-status",
    "html",
    "act-then-html",
    "rate-limited",
    "delay",
    "act-then-delay",
    "error-in-200",
    "v1-envelope",
    "v1-error",
    "truncated",
    "garbage",
    "empty",
    "wrong-shape",
    "trickle",
    "redirect",
    "no-key",
    "late",
]
WAITING = {"delay", "act-then-delay", "trickle", "late"}
IDLE = {"close-before-acting", "status-before-acting", "html", "rate-limited", "error-in-200", "v1-error", "redirect"}


def test_documentation_names_every_kind_of_fault() -> None:
    text = Portal.fail.__doc__ or ""
    assert [kind for kind in KINDS if f'``"{kind}"``' not in text] == []


@pytest.mark.parametrize("kind", KINDS)
def test_fault_applies_once_and_is_recorded(portal: Portal, kind: Any) -> None:
    how: dict[str, Any] = {"seconds": 0.001} if kind in WAITING else {}
    portal.fail(kind, method="POST", **how)
    tokens_before = len(portal.tokens)
    with contextlib.suppress(lmtokens.LMTokensError):
        portal.client(on_limit="raise").add_token(32)
    assert portal.record[0].fault == kind
    if kind != "late":
        assert portal.record[0].applied is (kind not in IDLE)
        assert len(portal.tokens) - tokens_before == (kind not in IDLE)
    portal.clear_record()
    assert status_of_create(portal) == 200
    assert portal.record[0].fault is None


def faulty_creates(portal: Portal, count: int = 4, admin_id: int = 32) -> list[bool]:
    """Create tokens, and return which of the requests had a fault."""
    portal.clear_record()
    for _ in range(count):
        with contextlib.suppress(lmtokens.APIError):
            portal.client().add_token(admin_id)
    return [seen.fault is not None for seen in portal.record]


def test_fault_skips_requests_and_applies_a_number_of_times(portal: Portal) -> None:
    portal.fail("redirect", skip=1, times=2)
    assert faulty_creates(portal) == [False, True, True, False]


def test_fault_applies_until_cleared(portal: Portal) -> None:
    portal.fail("redirect", times=None)
    assert faulty_creates(portal) == [True] * 4
    portal.clear_faults()
    assert faulty_creates(portal) == [False] * 4


@pytest.mark.parametrize(
    ("matching", "applies"),
    [
        ({"method": "POST"}, True),
        ({"method": "post"}, True),
        ({"method": "GET"}, False),
        ({"path": "/setting/admins/32/apitokens"}, True),
        ({"path": "/setting/admins/33/apitokens"}, False),
        ({"path": "/setting/*"}, True),
        ({"path": "/device/*"}, False),
        ({"method": "POST", "path": "*"}, True),
    ],
    ids=str,
)
def test_fault_applies_to_matching_requests(portal: Portal, matching: dict[str, str], applies: bool) -> None:
    portal.fail("redirect", **matching)  # type: ignore[arg-type]
    assert faulty_creates(portal, 1) == [applies]


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("nonsense", {}),
        ("close-before-acting", {"seconds": 1}),
        ("delay", {"status": 500}),
        ("delay", {"seconds": -1}),
        ("delay", {"seconds": float("nan")}),
        ("delay", {"seconds": "1"}),
        ("rate-limited", {"headers": "odd"}),
        ("html", {"status": 42}),
        ("html", {"status": 1000}),
        ("html", {"invented": 1}),
        ("html", {"method": ""}),
        ("html", {"path": "setting"}),
        ("html", {"skip": -1}),
        ("html", {"times": -1}),
        ("redirect", {"location": "line\nbreak"}),
    ],
    ids=str,
)
def test_fault_that_could_never_apply_is_rejected(portal: Portal, kind: Any, parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        portal.fail(kind, **parameters)
    assert faulty_creates(portal, 1) == [False]


def faulty_creates_at_random(portal: Portal, **settings: Any) -> list[bool]:
    portal.fail_at_random(**settings)
    return faulty_creates(portal, 40)


def test_random_faults_repeat_with_a_seed() -> None:
    runs = []
    for seed in (1, 1, 2):
        with Portal() as portal:
            runs.append(faulty_creates_at_random(portal, rate=0.5, seed=seed, kinds=["redirect"]))
    assert runs[0] == runs[1] != runs[2]
    assert 5 < sum(runs[0]) < 35


def test_random_faults_follow_rate_kinds_and_methods(portal: Portal) -> None:
    assert faulty_creates_at_random(portal, rate=0, seed=1) == [False] * 40
    assert faulty_creates_at_random(portal, rate=1, seed=1, kinds=["redirect", "html"], methods=["get"]) == [False] * 40
    portal.fail_at_random(1, seed=1, kinds=["redirect", "status-before-acting"], methods=["post"])
    portal.clear_record()
    for _ in range(40):
        with pytest.raises((lmtokens.APIError, lmtokens.OutcomeUnknownError)):
            portal.client().add_token(32)
    faults = {seen.fault for seen in portal.record if seen.method == "POST"}
    assert faults == {"redirect", "status-before-acting"}
    portal.clear_faults()
    assert faulty_creates(portal) == [False] * 4


@pytest.mark.parametrize(
    "settings",
    [
        {"rate": 1.5, "seed": 1},
        {"rate": -0.1, "seed": 1},
        {"rate": float("nan"), "seed": 1},
        {"rate": 0.5, "seed": -1},
        {"rate": 0.5, "seed": 1, "kinds": []},
        {"rate": 0.5, "seed": 1, "kinds": ["nonsense"]},
        {"rate": 0.5, "seed": 1, "methods": [""]},
        {"rate": 0.5, "seed": 1, "seconds": -1},
    ],
    ids=str,
)
def test_invalid_random_faults_are_rejected(portal: Portal, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        portal.fail_at_random(**settings)


def test_rate_limit_and_window() -> None:
    with Portal(rate_limit=2, window=0.3) as portal:
        client = portal.client(on_limit="raise")
        client.add_token(32)
        client.add_token(32)
        with pytest.raises(lmtokens.RateLimitError) as caught:
            client.add_token(32)
        # Whole seconds in the header, rounded up.
        assert (caught.value.limit, caught.value.window) == (2, 1.0)
        assert status_of_create(portal) == 429
        time.sleep(0.35)
        assert status_of_create(portal) == 200


def status_of_create(portal: Portal) -> int:
    """Create a token without the client, which would wait for the rate limit; return the status."""
    path = "/setting/admins/32/apitokens"
    signed = lmtokens.sign("POST", path, b"{}", access_id=portal.access_id, access_key=portal.access_key)
    with contextlib.closing(http.client.HTTPConnection(urlsplit(portal.base_url).netloc, timeout=30)) as connection:
        connection.request("POST", f"/santaba/rest{path}", b"{}", {"Authorization": signed, "X-Version": "3"})
        return connection.getresponse().status


def test_set_rate_limit(portal: Portal) -> None:
    portal.set_rate_limit(1, 60, method="POST")
    assert [status_of_create(portal), status_of_create(portal)] == [200, 429]
    portal.set_rate_limit(3)
    assert status_of_create(portal) == 200


@pytest.mark.parametrize("how", ["argument", "method"])
def test_clock(how: str) -> None:
    with Portal(clock_offset=86_400 if how == "argument" else 0) as portal:
        if how == "method":
            portal.set_clock_offset(86_400)
        with pytest.raises(lmtokens.AuthenticationError):
            portal.client().add_token(32)
        assert portal.record[0].signature == "stale"
        assert portal.create_token().created_on > time.time() + 80_000
        portal.set_clock_offset(0)
        portal.client().add_token(32)


def test_seed_repeats_credentials() -> None:
    runs = []
    for seed in (7, 7, 8):
        with Portal(seed=seed) as portal:
            portal.client().add_token(32)
            runs.append([(token.access_id, token.access_key.reveal()) for token in portal.tokens])
    assert runs[0] == runs[1] != runs[2]


def test_lock_out() -> None:
    with Portal(lock_out_after=2) as portal:
        wrong = portal.client(access_id=portal.access_id, access_key="invented-wrong-key")
        for failures in (1, 2):
            with pytest.raises(lmtokens.AuthenticationError):
                wrong.add_token(32)
            assert (portal.tokens[0].failures, portal.tokens[0].locked) == (failures, failures == 2)
        with pytest.raises(lmtokens.AuthenticationError):
            portal.client().add_token(32)


def test_users_permissions(portal: Portal) -> None:
    admin_id = portal.add_user("reader", may_create=False, roles=["readonly"])
    token = portal.create_token(admin_id)
    reader = portal.client(access_id=token.access_id, access_key=token.access_key)
    with pytest.raises(lmtokens.PermissionDeniedError):
        reader.add_token(32)
    # The same id replaces the user.
    assert portal.add_user("writer", id=admin_id) == admin_id
    assert reader.add_token(admin_id).admin_name == "writer"


def test_response_has_roles_and_name_of_the_user(portal: Portal) -> None:
    admin_id = portal.add_user("auditor", roles=["readonly", "audit"], apionly=True)
    token = portal.client().add_token(admin_id)
    assert (token.admin_name, token.roles) == ("auditor", ["readonly", "audit"])
    assert portal.client().add_token(portal.add_user()).admin_name == f"user-{admin_id + 1}"


def test_initial_users(portal: Portal) -> None:
    assert [portal.client().add_token(admin_id).admin_name for admin_id in (1, 32, 33)] == [
        "admin",
        "api-user",
        "viewer",
    ]


@pytest.mark.parametrize("kind", ["lmv1", "bearer"])
def test_create_token(portal: Portal, kind: Any) -> None:
    token = portal.create_token(33, note="old", status=1, type=kind, created_on=1700000000, last_used_on=1700000060)
    assert isinstance(token, StoredToken)
    assert (token.admin_id, token.note, token.status, token.type) == (33, "old", 1, kind)
    assert (token.created_on, token.last_used_on, token.created_by) == (1700000000, 1700000060, "admin")
    assert portal.tokens[-1] == token
    assert portal.record == []


@pytest.mark.parametrize(("arguments", "error"), [({"admin_id": 4711}, LookupError), ({"type": "oauth"}, ValueError)])
def test_create_token_with_invalid_arguments(portal: Portal, arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        portal.create_token(**arguments)


def test_tokens_have_their_last_use(portal: Portal) -> None:
    assert (portal.tokens[0].last_used_on, portal.tokens[0].last_auth_ip) == (0, "")
    portal.client().add_token(32)
    assert portal.tokens[0].last_used_on > 0
    assert portal.tokens[0].last_auth_ip == "127.0.0.1"


def test_reset(portal: Portal) -> None:
    before = portal.tokens
    portal.add_user("extra", id=40)
    portal.client().add_token(32)
    portal.fail("garbage", times=None)
    portal.set_rate_limit(0)
    portal.set_clock_offset(86_400)
    portal.reset()
    assert portal.record == []
    assert [(token.id, token.access_id) for token in portal.tokens] == [(token.id, token.access_id) for token in before]
    assert portal.client().add_token(32).id
    with pytest.raises(lmtokens.NotFoundError):
        portal.client().add_token(40)


def test_negative_totals() -> None:
    with Portal(negative_totals=True) as portal:
        request = urllib.request.Request(
            f"{portal.base_url}/setting/admins/apitokens",
            headers={"Authorization": f"Bearer {portal.bearer_token.reveal()}", "X-Version": "3"},
        )
        # Ignore a proxy in the environment.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=HANG_TIMEOUT) as response:
            assert json.load(response)["total"] == -1


def curl_examples() -> list[list[str]]:
    page = (REPOSITORY / "docs/sandbox-control.md").read_text()
    return [shlex.split(line, comments=True) for line in page.splitlines() if line.startswith("curl ")]


def send_control(portal: Portal, example: list[str]) -> tuple[str, str]:
    """Send the request of a curl command; return its method and path."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-d", dest="body")
    options = parser.parse_args(example[1:])
    method = options.method or ("GET" if options.body is None else "POST")
    path = options.url.replace("$SANDBOX", "/sandbox")
    with contextlib.closing(http.client.HTTPConnection(urlsplit(portal.base_url).netloc, timeout=30)) as connection:
        connection.request(method, path, options.body)
        response = connection.getresponse()
        assert response.status == 200, response.read()
    return method, path


def test_control_page_has_an_example_of_every_request(portal: Portal) -> None:
    sent = {send_control(portal, example) for example in curl_examples()}
    source = (REPOSITORY / "src/sandbox/control.rs").read_text()
    assert sent == set(re.findall(r"//! \| ([A-Z]+) `(/sandbox/[a-z-]+)`", source))
    assert len(sent) == source.count("_body(On::") == 14


FIXTURE_TESTS = """
import os
import lmtokens

def test_one(lmtokens_portal):
    token = lmtokens.add_token(32, "one")
    assert [seen.method for seen in lmtokens_portal.record] == ["POST"]
    assert token.id == lmtokens_portal.tokens[-1].id
    assert "LM_PROFILE" not in os.environ

def test_two(lmtokens_portal):
    assert lmtokens_portal.record == []
    assert len(lmtokens_portal.tokens) == 2
    assert lmtokens.add_token(32, "two").note == "two"

def test_after():
    assert os.environ["LM_PROFILE"] == "production"
    assert "LM_ACCESS_KEY" not in os.environ
    try:
        lmtokens.default_client()
    except lmtokens.ConfigurationError:
        pass
    else:
        raise AssertionError("the default client still points to the sandbox")
"""


def run_pytest(folder: Path, tests: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_fixture.py").write_text(tests)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_fixture.py"],
        cwd=folder,
        env={**os.environ, "LM_PROFILE": "production"},
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )


def test_fixture_is_installed_with_the_package(tmp_path: Path) -> None:
    completed = run_pytest(tmp_path, FIXTURE_TESTS, "-W", "error")
    assert "3 passed" in completed.stdout, completed.stdout


def test_fixture_is_documented(tmp_path: Path) -> None:
    completed = run_pytest(tmp_path, "def test(): pass", "--fixtures")
    assert "lmtokens_portal" in completed.stdout
    assert "A new sandbox" in completed.stdout


def test_plugin_imports_nothing_if_the_fixture_is_not_used(tmp_path: Path) -> None:
    code = "import sys\ndef test(): assert 'lmtokens.sandbox' not in sys.modules"
    completed = run_pytest(tmp_path, code)
    assert "1 passed" in completed.stdout, completed.stdout
