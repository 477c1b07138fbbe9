"""``lmtokens whoami`` names the source of each setting; ``lmtokens sign`` prints a header that the portal accepts."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import lmtokens
import pytest
from support import ACCESS_ID, ACCESS_KEY, HANG_TIMEOUT, SHELL, run_shell

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal

PAIR = {"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY}


class TestWhoami:
    def test_json_names_token_owner_and_sources(self, lmtokens_portal: Portal) -> None:
        own = lmtokens_portal.client().add_token(32, "ci", expires=86_400)
        assert own.access_key is not None
        environment = {"LM_ACCESS_ID": own.access_id, "LM_ACCESS_KEY": own.access_key.reveal()}
        completed = run_shell("whoami", "-o", "json", environment=environment)
        assert (completed.returncode, completed.stderr) == (0, "")
        shown = json.loads(completed.stdout)
        assert shown["access_id"] == own.access_id
        assert own.expires_on is not None
        assert shown["expires"] == own.expires_on.isoformat()
        assert (shown["base_url"], shown["portal_from"]) == (lmtokens_portal.base_url, "environment (LM_BASE_URL)")
        assert shown["credentials_from"] == "environment (LM_ACCESS_ID, LM_ACCESS_KEY)"
        assert (shown["token_id"], shown["note"], shown["status"]) == (own.id, "ci", 2)
        assert (shown["admin_id"], shown["admin_name"], shown["roles"]) == (32, "api-user", ["token-manager"])
        assert shown["limitation"] is None
        assert own.access_key.reveal() not in completed.stdout

    def test_bearer_token_is_not_shown(self, lmtokens_portal: Portal) -> None:
        bearer = lmtokens_portal.bearer_token.reveal()
        environment = {"LM_ACCESS_ID": "", "LM_ACCESS_KEY": "", "LM_BEARER_TOKEN": bearer}
        for form in ("table", "json", "jsonl", "csv"):
            completed = run_shell("whoami", "-o", form, environment=environment)
            assert (completed.returncode, completed.stderr) == (0, "")
            assert bearer[4:] not in completed.stdout
        shown = json.loads(run_shell("whoami", "-o", "json", environment=environment).stdout)
        assert (shown["credentials"], shown["access_id"], shown["expires"]) == ("bearer", None, None)

    def test_portal_from_an_argument(self, lmtokens_portal: Portal) -> None:
        completed = run_shell("whoami", "--base-url", lmtokens_portal.base_url, "-o", "json")
        assert json.loads(completed.stdout)["portal_from"] == "arguments"

    def test_rejected_credentials_are_4(self, lmtokens_portal: Portal) -> None:
        completed = run_shell("whoami", environment=PAIR)
        assert (completed.returncode, completed.stdout) == (4, "")


def send(portal: Portal, method: str, path: str, authorization: str, body: bytes | None) -> tuple[int, Any]:
    url = urlsplit(portal.base_url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=HANG_TIMEOUT)
    headers = {"Authorization": authorization, "X-Version": "3", "Content-Type": "application/json"}
    connection.request(method, url.path + path, body, headers)
    response = connection.getresponse()
    status, answer = response.status, json.loads(response.read())
    connection.close()
    return status, answer


class TestSign:
    def test_portal_accepts_the_header(self, lmtokens_portal: Portal, tmp_path: Path) -> None:
        file = tmp_path / "body.json"
        file.write_bytes(b'{"note": "r\xc3\xa9sum\xc3\xa9"}\r\n')
        path = "/setting/admins/32/apitokens"
        signed = run_shell("sign", "post", path, "--data", f"@{file}")
        assert (signed.returncode, signed.stderr) == (0, "")
        status, token = send(lmtokens_portal, "POST", path, signed.stdout.strip(), file.read_bytes())
        assert (status, token["note"]) == (200, "résumé")
        signed = run_shell("sign", "GET", path)
        assert send(lmtokens_portal, "GET", path, signed.stdout.strip(), None)[0] == 200
        assert len(lmtokens_portal.record) == 2

    def test_standard_input_is_signed_as_it_is(self) -> None:
        body = b"\x00\xff\r\n"
        completed = subprocess.run(
            [*SHELL, "sign", "PUT", "/x", "--data", "@-"],
            input=body,
            capture_output=True,
            env={**os.environ, **PAIR},
            timeout=HANG_TIMEOUT,
            check=True,
        )
        header = completed.stdout.decode().removesuffix("\n")
        time = int(header.rsplit(":", 1)[1])
        expected = lmtokens.sign("PUT", "/x", body, access_id=ACCESS_ID, access_key=ACCESS_KEY, timestamp_ms=time)
        assert header == expected

    def test_neither_portal_nor_settings_of_requests_are_needed(self) -> None:
        environment = {**PAIR, "HTTPS_PROXY": "not a url", "SSL_CERT_FILE": "/no/such/file", "LM_TIMEOUT": "x"}
        completed = run_shell("sign", "GET", "/x", environment=environment)
        assert (completed.returncode, completed.stderr) == (0, "")
        assert completed.stdout.startswith(f"LMv1 {ACCESS_ID}:")

    @pytest.mark.parametrize(
        ("arguments", "environment", "status", "words"),
        [
            (["GET"], PAIR, 2, "<PATH>"),
            (["G T", "/x"], PAIR, 2, "invalid method"),
            (["GET", "x"], PAIR, 2, "does not begin with a slash"),
            (["GET", "/santaba/rest/x"], PAIR, 2, "/santaba/rest, which is not signed"),
            (["GET", "/x?size=1"], PAIR, 2, "query"),
            (["PUT", "/x", "--data", "@/no/such/file"], PAIR, 2, "cannot read /no/such/file"),
            (["GET", "/x"], {}, 4, "LM_ACCESS_KEY"),
            (["GET", "/x"], {"LM_ACCESS_ID": ACCESS_ID}, 4, "LM_ACCESS_KEY"),
            (["GET", "/x"], {"LM_BEARER_TOKEN": "lmb_unit-test-bearer-that-opens-nothing"}, 4, "does not sign"),
        ],
    )
    def test_invalid_usage(self, arguments: list[str], environment: Any, status: int, words: str) -> None:
        completed = run_shell("sign", *arguments, environment=environment)
        assert (completed.returncode, completed.stdout) == (status, "")
        assert words in completed.stderr
        assert "unit-test-bearer" not in completed.stderr

    @pytest.mark.parametrize(
        "arguments",
        [
            ["sign", "PUT", "/x", "--data", "@-"],
            ["explain", "--method", "PUT", "--path", "/x", "--authorization", "LMv1 a:b:1", "--data", "@-"],
            ["explain", "--method", "PUT", "--path", "/x", "--authorization", "-"],
        ],
    )
    def test_interrupt_while_standard_input_is_awaited(self, arguments: list[str]) -> None:
        command = [*SHELL, *arguments]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **PAIR}
        ) as process:
            assert process.stdin is not None
            process.stdin.write(b"a")
            process.stdin.flush()
            # Only a process that reads can be interrupted by this test in time.
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            process.send_signal(signal.SIGINT)
            assert process.wait(HANG_TIMEOUT) == 130
