"""``lmtokens doctor`` names what is wrong, or every cause that remains, with one signed request."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from certificates import authority, authority_pem, issued
from network import ConnectProxy, TlsServer, port_of, tls_in_front_of
from profile_helpers import write_profiles
from support import SHELL, Listener, StubServer, run_shell, run_with_other_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lmtokens.sandbox import Portal

pytestmark = pytest.mark.usefixtures("_no_ca_variables")

NAMES = [
    "profile",
    "portal",
    "credentials",
    "proxy",
    "dns",
    "tcp",
    "tls",
    "clock",
    "request",
    "permission",
    "rate_limit",
]
PROBLEM = 10


@dataclass(frozen=True)
class Diagnosis:
    """The checks of a run."""

    status: int
    checks: dict[str, dict[str, Any]]

    def of(self, status: str) -> list[str]:
        return [name for name, check in self.checks.items() if check["status"] == status]

    def says(self, name: str) -> str:
        return f"{self.checks[name]['message']} hint: {self.checks[name]['hint']}"


def read(completed: subprocess.CompletedProcess[str], *secrets: str) -> Diagnosis:
    assert completed.stderr == ""
    checks = json.loads(completed.stdout)["checks"]
    assert [check["name"] for check in checks] == NAMES
    for check in checks:
        assert check["status"] in ("ok", "warning", "problem", "skipped")
        assert check["hint"] or check["status"] in ("ok", "skipped")
    for secret in secrets:
        random = secret.replace("sandbox-key-", "")
        pieces = [random[start : start + 6] for start in range(len(random) - 5)]
        assert not [piece for piece in pieces if piece.lower() in completed.stdout.lower()]
    diagnosis = Diagnosis(completed.returncode, {check["name"]: check for check in checks})
    assert diagnosis.status == (PROBLEM if diagnosis.of("problem") else 0)
    return diagnosis


def diagnose(*arguments: str, environment: Mapping[str, str] | None = None) -> Diagnosis:
    variables = {**os.environ, **(environment or {})}
    secrets = [variables.get(name, "") for name in ("LM_ACCESS_KEY", "LM_BEARER_TOKEN")]
    # The portal, which is shown, may be on the same text.
    completed = run_shell("doctor", "-o", "json", *arguments, environment=environment)
    return read(completed, *(secret.strip("\"'\n ") for secret in secrets))


def signed(portal: Portal) -> list[str]:
    return [seen.path for seen in portal.record if seen.signature != "absent"]


@pytest.fixture
def server(lmtokens_portal: Portal, ca_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsServer]:
    """TLS in front of the sandbox; the environment points to it and trusts it."""
    with tls_in_front_of(lmtokens_portal, issued("localhost")) as running:
        monkeypatch.setenv("LM_BASE_URL", running.base_url("localhost"))
        monkeypatch.setenv("SSL_CERT_FILE", str(ca_bundle))
        yield running


def test_everything_is_right(server: TlsServer, lmtokens_portal: Portal, ca_bundle: Path) -> None:
    diagnosis = diagnose()
    assert (diagnosis.status, diagnosis.of("skipped")) == (0, ["dns"])
    assert diagnosis.of("ok") == [name for name in NAMES if name != "dns"]
    assert f"localhost:{server.port}/santaba/rest, from environment (LM_BASE_URL)" in diagnosis.says("portal")
    assert "LMv1 credentials from environment (LM_ACCESS_ID, LM_ACCESS_KEY)" in diagnosis.says("credentials")
    assert "the server sent 1 certificate, issued by the tests' authority" in diagnosis.says("tls")
    assert f"SSL_CERT_FILE ({ca_bundle}) with 1 CA certificate instead of the system's" in diagnosis.says("tls")
    assert "of user admin" in diagnosis.says("permission")
    assert "499 of 500 requests in 60 s" in diagnosis.says("rate_limit")
    # The clock was read without a request to the API.
    assert [(seen.method, seen.signature) for seen in lmtokens_portal.record] == [("GET", "valid")]


def test_bearer_token(lmtokens_portal: Portal) -> None:
    bearer = lmtokens_portal.bearer_token.reveal()
    diagnosis = diagnose(environment={"LM_ACCESS_ID": "", "LM_ACCESS_KEY": "", "LM_BEARER_TOKEN": bearer})
    assert diagnosis.of("warning") == diagnosis.of("problem") == []
    assert "bearer credentials from environment (LM_BEARER_TOKEN)" in diagnosis.says("credentials")
    assert [seen.signature for seen in lmtokens_portal.record] == ["bearer-valid"]


@pytest.mark.parametrize("minutes", [-40, 40])
def test_clock_is_off(server: TlsServer, lmtokens_portal: Portal, minutes: int) -> None:
    lmtokens_portal.set_clock_offset(minutes * 60)
    diagnosis = diagnose()
    assert diagnosis.of("problem") == ["clock"]
    direction = "behind" if minutes > 0 else "ahead of"
    assert f"{direction} the portal's" in diagnosis.says("clock")
    assert "set this machine's clock" in diagnosis.says("clock")
    # Repeated failures lock a token.
    assert diagnosis.of("skipped")[-3:] == ["request", "permission", "rate_limit"]
    assert "no request was sent, because of the problems above" in diagnosis.says("request")
    assert signed(lmtokens_portal) == []


def test_clock_is_slightly_off(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_clock_offset(600)
    diagnosis = diagnose()
    assert (diagnosis.status, diagnosis.of("warning")) == (0, ["clock"])


def test_clock_does_not_stop_a_bearer_token(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_clock_offset(2400)
    bearer = lmtokens_portal.bearer_token.reveal()
    diagnosis = diagnose(environment={"LM_ACCESS_ID": "", "LM_ACCESS_KEY": "", "LM_BEARER_TOKEN": bearer})
    assert (diagnosis.status, diagnosis.of("warning")) == (0, ["clock"])


def test_bearer_token_in_the_place_of_the_key(lmtokens_portal: Portal, tmp_path: Path) -> None:
    bearer = lmtokens_portal.bearer_token.reveal()
    diagnosis = diagnose(environment={"LM_ACCESS_KEY": bearer})
    assert (diagnosis.status, diagnosis.of("warning")) == (0, ["credentials"])
    assert "a bearer token is set as access key" in diagnosis.says("credentials")
    assert "LM_BEARER_TOKEN" in diagnosis.says("credentials")
    profile = {"base_url": lmtokens_portal.base_url, "access_id": "exampleAccessId00001", "access_key": bearer}
    file = write_profiles(tmp_path / "config.toml", None, main=profile)
    diagnosis = diagnose("--profile", "main", environment={"LM_CONFIG_FILE": str(file), "LM_ACCESS_KEY": ""})
    assert "a bearer token is set as access key" in diagnosis.says("credentials")


def test_access_key_in_the_place_of_the_bearer_token(lmtokens_portal: Portal) -> None:
    settings = {"LM_ACCESS_ID": "", "LM_ACCESS_KEY": "", "LM_BEARER_TOKEN": "lma_invented-key"}
    diagnosis = diagnose(environment=settings)
    assert "is an LMv1 access key" in diagnosis.says("credentials")
    settings["LM_BEARER_TOKEN"] = "inventedKeyWithoutPrefix"
    diagnosis = diagnose(environment=settings)
    assert (diagnosis.of("warning"), diagnosis.of("problem")) == (["credentials"], ["request"])
    assert "does not begin with lmb_" in diagnosis.says("credentials")


def test_key_without_its_last_character(server: TlsServer, lmtokens_portal: Portal) -> None:
    diagnosis = diagnose(environment={"LM_ACCESS_KEY": lmtokens_portal.access_key.reveal()[:-1]})
    assert (diagnosis.of("warning"), diagnosis.of("problem")) == (["credentials"], ["request"])
    assert "the access key is shorter than usual" in diagnosis.says("credentials")
    assert "the id or the key is wrong" in diagnosis.says("request")
    assert "do not retry" in diagnosis.says("request")
    assert len(signed(lmtokens_portal)) == 1


def test_wrong_key_of_the_right_length(server: TlsServer, lmtokens_portal: Portal) -> None:
    key = lmtokens_portal.access_key.reveal()
    diagnosis = diagnose(environment={"LM_ACCESS_KEY": key[:-1] + ("a" if key[-1] != "a" else "b")})
    assert (diagnosis.of("warning"), diagnosis.of("problem")) == ([], ["request"])
    assert "the id or the key is wrong, or the token or its user is disabled, deleted" in diagnosis.says("request")


def test_revoked_token(server: TlsServer, lmtokens_portal: Portal) -> None:
    own = lmtokens_portal.client().add_token(32)
    assert own.access_key is not None
    lmtokens_portal.client().delete_token(own)
    lmtokens_portal.clear_record()
    diagnosis = diagnose(environment={"LM_ACCESS_ID": own.access_id, "LM_ACCESS_KEY": own.access_key.reveal()})
    assert (diagnosis.of("warning"), diagnosis.of("problem")) == ([], ["request"])
    assert "the token or its user is disabled, deleted or locked out" in diagnosis.says("request")
    assert diagnosis.of("skipped") == ["dns", "permission", "rate_limit"]
    assert len(signed(lmtokens_portal)) == 1


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ('"{}"', "is wrapped in quotation marks"),
        ("'{}'", "is wrapped in quotation marks"),
        ("{}\n", "begins or ends with white space"),
        ("LM_ACCESS_KEY={}", "is a whole assignment"),
        ("********", "is a mask"),
        ("${{LM_ACCESS_KEY}}", "is a placeholder"),
        ("{}\u200b", "invisible character U+200B"),
    ],
)
def test_damaged_key_does_not_hide_the_other_checks(
    server: TlsServer, lmtokens_portal: Portal, form: str, expected: str
) -> None:
    key = lmtokens_portal.access_key.reveal()
    completed = run_shell("doctor", "-o", "json", environment={"LM_ACCESS_KEY": form.format(key)})
    diagnosis = read(completed, key)
    assert diagnosis.of("problem") == ["credentials"]
    assert expected in diagnosis.says("credentials")
    assert "LM_ACCESS_KEY" in diagnosis.says("credentials")
    assert {"portal", "tcp", "tls", "clock"} <= set(diagnosis.of("ok"))
    assert diagnosis.of("skipped") == ["dns", "request", "permission", "rate_limit"]
    assert lmtokens_portal.record == []


def test_nothing_is_set() -> None:
    diagnosis = diagnose()
    assert diagnosis.of("problem") == ["portal", "credentials"]
    assert "LM_COMPANY" in diagnosis.says("portal")
    assert "LM_ACCESS_ID" in diagnosis.says("credentials")
    assert diagnosis.of("skipped") == NAMES[3:]


def test_invalid_timeout_stops_only_the_request(server: TlsServer, lmtokens_portal: Portal) -> None:
    diagnosis = diagnose(environment={"LM_TIMEOUT": "soon"})
    assert diagnosis.of("problem") == ["request"]
    assert "invalid LM_TIMEOUT" in diagnosis.says("request")
    assert lmtokens_portal.record == []


def test_half_a_pair_and_ignored_sources(lmtokens_portal: Portal) -> None:
    diagnosis = diagnose(environment={"LM_ACCESS_KEY": ""})
    assert "LM_ACCESS_KEY is missing" in diagnosis.says("credentials")
    diagnosis = diagnose(environment={"LM_BEARER_TOKEN": "lmb_invented"})
    assert "LM_BEARER_TOKEN is also set, and ignored" in diagnosis.says("credentials")
    assert diagnosis.status == 0


class TestProfile:
    @pytest.fixture(autouse=True)
    def _usual_file(self, lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
        # The sandbox names a file without profiles.
        monkeypatch.delenv("LM_CONFIG_FILE")

    def test_file_and_mode_are_named(self, lmtokens_portal: Portal, tmp_path: Path) -> None:
        key = lmtokens_portal.access_key.reveal()
        profile = {
            "base_url": lmtokens_portal.base_url,
            "access_id": lmtokens_portal.access_id,
            "access_key": key,
        }
        file = write_profiles(tmp_path / "lmtokens" / "config.toml", None, main=profile)
        environment = {"XDG_CONFIG_HOME": str(tmp_path)}
        unused = diagnose(environment=environment)
        assert f"no profile is used; {file} (mode 600) has 1 profile" in unused.says("profile")
        used = diagnose("--profile", "main", environment=environment)
        assert used.says("profile").startswith(f"profile main in {file} (mode 600)")
        assert f"from profile main in {file}" in used.says("credentials")
        assert "LM_ACCESS_KEY" in used.says("credentials")
        assert used.status == 0

    def test_file_that_others_can_read(self, lmtokens_portal: Portal, tmp_path: Path) -> None:
        profile = {"company": "acme", "access_id": "exampleAccessId00001", "access_key": "invented-key"}
        file = write_profiles(tmp_path / "lmtokens" / "config.toml", None, main=profile)
        file.chmod(0o644)
        environment = {"XDG_CONFIG_HOME": str(tmp_path)}
        named = diagnose("--profile", "main", environment=environment)
        assert named.of("problem") == ["profile"]
        assert "mode 644" in named.says("profile")
        assert "chmod 600" in named.says("profile")
        assert named.of("skipped") == NAMES[1:]
        # The environment has everything, so that the file is not needed.
        unused = diagnose(environment=environment)
        assert (unused.status, unused.of("warning")) == (0, ["profile"])

    def test_command_is_run_once(self, lmtokens_portal: Portal, tmp_path: Path) -> None:
        script, log = tmp_path / "credentials.sh", tmp_path / "log"
        key = lmtokens_portal.access_key.reveal()
        script.write_text(f"echo run >> '{log}'\nprintf '%s\\n' '{key}'\n")
        file = tmp_path / "config.toml"
        file.write_text(
            f'[profiles.main]\nbase_url = "{lmtokens_portal.base_url}"\naccess_id = "{lmtokens_portal.access_id}"\n'
            f'credential_process = ["sh", "{script}"]\n'
        )
        file.chmod(0o600)
        diagnosis = diagnose("--profile", "main", environment={"LM_CONFIG_FILE": str(file)})
        assert (diagnosis.status, log.read_text()) == (0, "run\n")
        assert "credential_process of profile main" in diagnosis.says("credentials")

    def test_unknown_profile(self, tmp_path: Path) -> None:
        file = write_profiles(tmp_path / "config.toml", None, main={"company": "acme"})
        diagnosis = diagnose("--profile", "other", environment={"LM_CONFIG_FILE": str(file)})
        assert diagnosis.of("problem") == ["profile"]
        assert "has main" in diagnosis.says("profile")


class TestProxy:
    HOST = "portal.example"

    @pytest.fixture
    def environment(self, lmtokens_portal: Portal, ca_bundle: Path) -> dict[str, str]:
        return {"LM_BASE_URL": f"https://{self.HOST}/santaba/rest", "SSL_CERT_FILE": str(ca_bundle)}

    def test_proxy_connects(self, lmtokens_portal: Portal, environment: dict[str, str]) -> None:
        server = tls_in_front_of(lmtokens_portal, issued(self.HOST))
        proxy = ConnectProxy({f"{self.HOST}:443": server.port}, credentials="user:invented")
        with server, proxy:
            url = proxy.url_for("user", "invented")
            diagnosis = diagnose(environment={**environment, "HTTPS_PROXY": url})
        assert diagnosis.status == 0
        assert f"127.0.0.1:{proxy.port} (from HTTPS_PROXY)" in diagnosis.says("proxy")
        assert "invented" not in diagnosis.says("proxy")
        assert diagnosis.of("skipped") == ["dns", "tcp"]

    def test_proxy_is_down(self, lmtokens_portal: Portal, environment: dict[str, str], refusing_url: str) -> None:
        port = urlsplit(refusing_url).port
        diagnosis = diagnose(environment={**environment, "HTTPS_PROXY": f"http://127.0.0.1:{port}"})
        assert diagnosis.of("problem") == ["proxy"]
        assert f"127.0.0.1:{port} (from HTTPS_PROXY): cannot connect to the proxy" in diagnosis.says("proxy")
        assert "refused" in diagnosis.says("proxy")
        assert diagnosis.of("skipped") == NAMES[4:]
        assert lmtokens_portal.record == []

    def test_proxy_does_not_answer(self, environment: dict[str, str], listener: Listener) -> None:
        diagnosis = diagnose("--timeout", "0.5", environment={**environment, "HTTPS_PROXY": listener.url})
        assert diagnosis.of("problem") == ["proxy"]

    @pytest.mark.parametrize(("status", "expected"), [(407, "user name and a password"), (502, "check the company")])
    def test_proxy_refuses(self, environment: dict[str, str], status: int, expected: str) -> None:
        response = f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()
        with ConnectProxy({}, response=response) as proxy:
            diagnosis = diagnose(environment={**environment, "HTTPS_PROXY": proxy.url})
            assert len(proxy.seen) == 1
        assert diagnosis.of("problem") == ["proxy"]
        assert str(status) in diagnosis.says("proxy")
        assert expected in diagnosis.says("proxy")

    @pytest.mark.parametrize("response", [b"", b"HTTP/1.1 200 OK\r\nVia: x", b"SSH-2.0-x\r\n\r\n"])
    def test_odd_answer_is_a_problem_of_the_proxy(self, environment: dict[str, str], response: bytes) -> None:
        with ConnectProxy({}, response=response) as proxy:
            diagnosis = diagnose(environment={**environment, "HTTPS_PROXY": proxy.url_for("user", "Hunter2Zebra")})
            assert len(proxy.seen) == 1
        assert diagnosis.of("problem") == ["proxy"]
        assert "check the proxy's URL" in diagnosis.says("proxy")
        assert "Hunter2Zebra" not in json.dumps(diagnosis.checks)

    def test_invalid_url(self, environment: dict[str, str]) -> None:
        diagnosis = diagnose(environment={**environment, "HTTPS_PROXY": "ftp://user:Hunter2Zebra@proxy"})
        assert "invalid HTTPS_PROXY" in diagnosis.says("proxy")
        assert "Hunter2Zebra" not in json.dumps(diagnosis.checks)

    def test_exception_is_named(self, environment: dict[str, str], listener: Listener) -> None:
        variables = {"HTTPS_PROXY": listener.url, "NO_PROXY": self.HOST, "LM_TIMEOUT": "2"}
        diagnosis = diagnose(environment={**environment, **variables})
        assert "NO_PROXY lists the portal" in diagnosis.says("proxy")
        assert listener.received == []


class TestCertificates:
    def test_unknown_authority(self, server: TlsServer, lmtokens_portal: Portal, tmp_path: Path) -> None:
        import trustme

        other = tmp_path / "other.pem"
        other.write_bytes(trustme.CA().cert_pem.bytes())
        diagnosis = diagnose(environment={"SSL_CERT_FILE": str(other)})
        assert diagnosis.of("problem") == ["tls"]
        told = diagnosis.says("tls")
        assert "issued by an unknown CA; the server sent 1 certificate, issued by " in told
        assert f"SSL_CERT_FILE ({other}) with 1 CA certificate" in told
        assert "SSL_CERT_FILE to a CA bundle" in told
        assert "intermediate certificates" in told
        assert lmtokens_portal.record == []

    def test_issuer_of_a_chain(self, lmtokens_portal: Portal, ca_bundle: Path) -> None:
        intermediate = authority().create_child_ca()
        with tls_in_front_of(lmtokens_portal, issued("localhost", issuer=intermediate)) as server:
            url = server.base_url("localhost")
            diagnosis = diagnose(environment={"LM_BASE_URL": url, "SSL_CERT_FILE": str(ca_bundle)})
        assert "the server sent 2 certificates, issued by " in diagnosis.says("tls")
        assert diagnosis.status == 0

    def test_other_host(self, server: TlsServer, lmtokens_portal: Portal) -> None:
        diagnosis = diagnose(environment={"LM_BASE_URL": server.base_url("127.0.0.1")})
        assert diagnosis.of("problem") == ["tls"]
        assert "not valid for 127.0.0.1" in diagnosis.says("tls")

    def test_server_without_tls(self, lmtokens_portal: Portal, ca_bundle: Path) -> None:
        url = f"https://localhost:{port_of(lmtokens_portal)}/santaba/rest"
        diagnosis = diagnose(environment={"LM_BASE_URL": url, "SSL_CERT_FILE": str(ca_bundle)})
        assert diagnosis.of("problem") == ["tls"]
        assert "may not use TLS" in diagnosis.says("tls")

    @pytest.mark.parametrize(
        "newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda version: version.name
    )
    def test_server_that_requires_a_client_certificate(
        self, lmtokens_portal: Portal, ca_bundle: Path, newest: ssl.TLSVersion
    ) -> None:
        with tls_in_front_of(
            lmtokens_portal, issued("localhost"), newest=newest, client_authority=authority_pem()
        ) as server:
            url = server.base_url("localhost")
            diagnosis = diagnose(environment={"LM_BASE_URL": url, "SSL_CERT_FILE": str(ca_bundle)})
        # With TLS 1.3, the server says so after the handshake.
        (check,) = diagnosis.of("problem")
        assert check == ("tls" if newest == ssl.TLSVersion.TLSv1_2 else "clock")
        assert "client certificate" in diagnosis.says(check)
        assert lmtokens_portal.record == []

    def test_unusable_bundle_does_not_hide_other_checks(self, server: TlsServer) -> None:
        diagnosis = diagnose(environment={"SSL_CERT_FILE": "/nowhere"})
        assert diagnosis.of("problem") == ["tls"]
        assert "SSL_CERT_FILE (/nowhere)" in diagnosis.says("tls")
        assert {"proxy", "tcp"} <= set(diagnosis.of("ok"))

    def test_no_store(self, server: TlsServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("SSL_CERT_FILE")
        hide = "for folder in /etc/ssl /etc/pki /usr/share/ca-certificates /usr/local/share/certs /usr/lib/ssl; do\n"
        hide += 'test ! -d "$folder" || mount -t tmpfs none "$folder" || exit 77\ndone'
        diagnosis = diagnose_in_namespace(hide)
        assert diagnosis.of("problem") == ["tls"]
        assert "trusted: Mozilla's list in this package, since the system has none, with" in diagnosis.says("tls")
        assert "install the CA certificates of the system" in diagnosis.says("tls")


def diagnose_in_namespace(prepare: str, environment: Mapping[str, str] | None = None) -> Diagnosis:
    """Run the command with other files of the system."""
    return read(run_with_other_files(prepare, [*SHELL, "doctor", "-o", "json"], environment))


class TestNames:
    """Looking the portal up, with a file of hosts that has some names."""

    DOMAIN = "portal.test"

    def diagnose(self, hosts: str, tmp_path: Path, port: int, company: str = "acme") -> Diagnosis:
        file = tmp_path / "hosts"
        file.write_text(hosts)
        url = f"https://{company}.{self.DOMAIN}:{port}/santaba/rest"
        prepare = 'mount --bind "$HOSTS" /etc/hosts || exit 77'
        return diagnose_in_namespace(prepare, {"HOSTS": str(file), "LM_BASE_URL": url})

    def test_wrong_company(self, lmtokens_portal: Portal, tmp_path: Path) -> None:
        diagnosis = self.diagnose(f"127.0.0.1 {self.DOMAIN} acme.{self.DOMAIN}\n", tmp_path, 443, company="acmee")
        assert diagnosis.of("problem") == ["dns"]
        assert f"cannot find the host acmee.{self.DOMAIN}" in diagnosis.says("dns")
        assert f"its domain {self.DOMAIN} exists hint: check the company" in diagnosis.says("dns")
        assert lmtokens_portal.record == []

    def test_no_name_is_found(self, lmtokens_portal: Portal, tmp_path: Path) -> None:
        diagnosis = self.diagnose("127.0.0.1 localhost\n", tmp_path, 443)
        assert diagnosis.of("problem") == ["dns"]
        assert f"its domain {self.DOMAIN} is not found either" in diagnosis.says("dns")
        assert "name servers" in diagnosis.says("dns")

    def test_wrong_address(self, server: TlsServer, tmp_path: Path) -> None:
        diagnosis = self.diagnose(f"127.0.0.1 acme.{self.DOMAIN}\n", tmp_path, server.port)
        assert (diagnosis.of("warning"), diagnosis.of("problem")) == (["dns"], ["tls"])
        assert "127.0.0.1, which is this machine" in diagnosis.says("dns")
        assert f"not valid for acme.{self.DOMAIN}" in diagnosis.says("tls")

    def test_credential_is_not_looked_up(self, lmtokens_portal: Portal) -> None:
        key = "inventedKeyOfLettersAndDigits0123456789"
        variables = {"LM_BASE_URL": "", "LM_ACCESS_KEY": key, "LM_COMPANY": key}
        completed = run_shell("doctor", "-o", "json", environment=variables)
        diagnosis = read(completed, key)
        assert diagnosis.of("problem") == ["portal"]
        assert "swapped" in diagnosis.says("portal")
        assert diagnosis.of("skipped") == NAMES[3:]


def test_port_that_refuses(lmtokens_portal: Portal, refusing_url: str) -> None:
    diagnosis = diagnose("--base-url", refusing_url)
    assert diagnosis.of("problem") == ["tcp"]
    assert "start the sandbox" in diagnosis.says("tcp")


def test_silent_portal_is_a_problem_of_limited_time(lmtokens_portal: Portal, listener: Listener) -> None:
    diagnosis = diagnose("--base-url", f"{listener.url}/santaba/rest", "--timeout", "1")
    assert diagnosis.of("problem") == ["clock"]


def test_server_that_is_not_the_portal(lmtokens_portal: Portal) -> None:
    with StubServer(b"<html>no such company</html>", status=404) as other:
        diagnosis = diagnose("--base-url", other.base_url)
        assert len([request for request in other.requests if request.method == "GET"]) == 1
    assert diagnosis.of("problem") == ["request"]
    assert "check the company" in diagnosis.says("request")


def test_network_that_requires_a_login(lmtokens_portal: Portal) -> None:
    with StubServer(b"<html>log in</html>", status=511) as other:
        diagnosis = diagnose("--base-url", other.base_url)
    assert "log in to the network" in diagnosis.says("request")


def test_invalid_max_wait_is_refused() -> None:
    completed = run_shell("doctor", "--max-wait", "-5")
    assert completed.returncode == 2
    assert "invalid --max-wait -5" in completed.stderr


def test_list_that_cannot_be_read_is_no_lack_of_permission(lmtokens_portal: Portal) -> None:
    with StubServer(b'{"items": [1, null, {"id": "x"}], "total": 3}') as other:
        diagnosis = diagnose("--base-url", other.base_url)
    assert diagnosis.of("warning") == ["permission"]
    assert "items that cannot be read" in diagnosis.says("permission")
    assert "role" not in diagnosis.says("permission")


def test_user_who_may_not_view_tokens(lmtokens_portal: Portal) -> None:
    lmtokens_portal.add_user("blind", id=40, may_view=False)
    own = lmtokens_portal.create_token(40)
    variables = {"LM_ACCESS_ID": own.access_id, "LM_ACCESS_KEY": own.access_key.reveal()}
    diagnosis = diagnose(environment=variables)
    assert (diagnosis.status, diagnosis.of("warning")) == (0, ["permission"])
    lmtokens_portal.fail("status-before-acting", status=403, code=1403, message="keep out")
    diagnosis = diagnose(environment=variables)
    assert (diagnosis.status, diagnosis.of("warning")) == (0, ["permission"])
    assert "role" in diagnosis.says("permission")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_request_is_not_repeated(lmtokens_portal: Portal, status: int) -> None:
    lmtokens_portal.fail("status-before-acting", status=status, times=3)
    diagnosis = diagnose()
    assert diagnosis.of("problem") == ["request"]
    assert len(lmtokens_portal.record) == 1


def test_text_is_aligned_and_ends_with_hints(lmtokens_portal: Portal) -> None:
    completed = run_shell("doctor", environment={"LM_ACCESS_KEY": ""})
    assert (completed.returncode, completed.stderr) == (PROBLEM, "")
    lines = completed.stdout.splitlines()
    assert [line[9:22].strip() for line in lines if "hint: " not in line] == NAMES
    position = next(number for number, line in enumerate(lines) if line.startswith("problem  credentials  "))
    assert lines[position + 1].startswith(" " * 22 + "hint: set LM_ACCESS_KEY as well")


def test_messages_follow_the_common_options(lmtokens_portal: Portal) -> None:
    assert run_shell("doctor", "-q").stderr == ""
    verbose = run_shell("doctor", "-v", "--error-format", "json")
    (line,) = verbose.stderr.splitlines()
    assert json.loads(line)["level"] == "debug"
    invalid = run_shell("doctor", "--timeout", "-1", "--error-format", "json")
    assert (invalid.returncode, json.loads(invalid.stderr)["kind"]) == (2, "argument")
