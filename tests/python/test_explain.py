"""``explain_signature``, ``lmtokens explain`` and the sandbox find the mistakes of hand-written code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable
from urllib.parse import urlsplit

import lmtokens
import pytest
from support import ACCESS_ID, ACCESS_KEY, HANG_TIMEOUT, SHELL, TOKENS_PATH, run_shell

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

QUERY = "format=json&note=a%20b"
BODY = '{"note":"ci é","status":2}'

# Each script prints a header. Its name is its mistakes, joined by "+".
SCRIPTS = sorted((Path(__file__).parent / "signing_scripts").iterdir())
INTERPRETERS = {".py": "python3", ".sh": "bash", ".mjs": "node"}
LANGUAGES = ["py", "sh", "mjs"]


def powershell(
    method: str,
    epoch: int,
    body: str,
    path: str,
    key: str,
    encode: Callable[[bytes], bytes] = lambda digest: digest.hex().encode(),
) -> str:
    """Sign as this PowerShell code does, with ``encode`` between the digest and base64.

    $hmac = New-Object System.Security.Cryptography.HMACSHA256
    $hmac.Key = [Text.Encoding]::UTF8.GetBytes($key)
    $digest = $hmac.ComputeHash([Text.Encoding]::UTF8.GetBytes($method + $epoch + $body + $path))
    $hex = [BitConverter]::ToString($digest).Replace('-', '').ToLower()
    [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes($hex))
    """
    digest = hmac.new(key.encode(), f"{method}{epoch}{body}{path}".encode(), hashlib.sha256).digest()
    return base64.b64encode(encode(digest)).decode()


def bit_converter(digest: bytes) -> str:
    """Return the digest as ``[BitConverter]::ToString`` does."""
    return digest.hex("-").upper()


# What replaces the last lines of the code above, and the mistakes.
POWERSHELL: dict[str, Callable[[bytes], bytes]] = {
    # $hex = [BitConverter]::ToString($digest)
    "hex-separators+upper-case-hex": lambda digest: bit_converter(digest).encode(),
    # $hex = [BitConverter]::ToString($digest).Replace('-', '')
    "upper-case-hex": lambda digest: bit_converter(digest).replace("-", "").encode(),
    # [Convert]::ToBase64String($digest)
    "raw-digest": lambda digest: digest,
    # [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($hex))
    "utf-16": lambda digest: digest.hex().encode("utf-16-le"),
}


def explain(portal: Portal, header: str) -> lmtokens.SignatureExplanation:
    return lmtokens.explain_signature(
        header,
        "POST",
        f"{portal.base_url}{TOKENS_PATH}?{QUERY}",
        BODY.encode(),
        access_id=portal.access_id,
        access_key=portal.access_key,
    )


def send(
    portal: Portal,
    header: str | None,
    method: str = "POST",
    path: str = f"{TOKENS_PATH}?{QUERY}",
    body: bytes = BODY.encode(),
) -> http.client.HTTPResponse:
    """Send a request to the sandbox with this header."""
    url = urlsplit(portal.base_url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=HANG_TIMEOUT)
    headers = {"X-Version": "3", **({"Authorization": header} if header else {})}
    connection.request(method, f"{url.path}{path}", body, headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def names(explanation: lmtokens.SignatureExplanation) -> list[str]:
    return [cause.name for cause in explanation.causes]


def run_script(portal: Portal, script: Path) -> str:
    program = shutil.which(INTERPRETERS[script.suffix])
    if program is None or (script.suffix == ".sh" and shutil.which("openssl") is None):
        pytest.skip(f"{INTERPRETERS[script.suffix]} is not installed")
    environment = {
        **os.environ,
        **portal.environment(),
        "METHOD": "POST",
        "RESOURCE": TOKENS_PATH,
        "QUERY": QUERY,
        "BODY": BODY,
    }
    completed = subprocess.run(
        [program, str(script)], env=environment, capture_output=True, text=True, timeout=HANG_TIMEOUT, check=True
    )
    return completed.stdout.strip()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_mistakes_of_a_script_are_found_by_the_function_and_by_the_sandbox(portal: Portal, script: Path) -> None:
    expected = [] if script.stem == "correct" else script.stem.split("+")
    header = run_script(portal, script)
    explanation = explain(portal, header)
    assert (explanation.correct, names(explanation)) == (not expected, expected)
    response = send(portal, header)
    assert response.status == (401 if expected else 200)
    assert portal.record[-1].causes == expected
    hint = response.headers["X-Sandbox-Hint"]
    shown = "; ".join(f"{cause.name}: {cause.explanation}" for cause in explanation.causes)
    assert hint == (shown or None)


@pytest.mark.parametrize("mistakes", POWERSHELL)
def test_mistakes_of_powershell_code_are_found(portal: Portal, mistakes: str) -> None:
    epoch = int(time.time() * 1000)
    key = portal.access_key.reveal()
    correct = powershell("POST", epoch, BODY, TOKENS_PATH, key)
    assert explain(portal, f"LMv1 {portal.access_id}:{correct}:{epoch}").correct
    header = (
        f"LMv1 {portal.access_id}:{powershell('POST', epoch, BODY, TOKENS_PATH, key, POWERSHELL[mistakes])}:{epoch}"
    )
    assert names(explain(portal, header)) == mistakes.split("+")
    send(portal, header)
    assert portal.record[-1].causes == mistakes.split("+")


def test_body_of_convertto_json_is_found(portal: Portal) -> None:
    epoch = int(time.time() * 1000)
    body = '{\r\n    "note":  "ci é",\r\n    "status":  2\r\n}'
    signature = powershell("POST", epoch, body, TOKENS_PATH, portal.access_key.reveal())
    assert names(explain(portal, f"LMv1 {portal.access_id}:{signature}:{epoch}")) == ["body-white-space"]


def sign(method: str = "GET", path: str = "/setting/admins", body: bytes = b"", **changed: str | int) -> str:
    given = {"access_id": ACCESS_ID, "access_key": ACCESS_KEY, **changed}
    return lmtokens.sign(method, path, body, **given)  # type: ignore[arg-type]


def explain_pair(header: str, method: str = "GET", path: str = "/setting/admins", body: bytes = b"") -> list[str]:
    explanation = lmtokens.explain_signature(
        header, method, path, body, access_id=ACCESS_ID, access_key=lmtokens.Secret(ACCESS_KEY)
    )
    assert explanation.correct == (names(explanation) in ([], ["time-window"]))
    return names(explanation)


@pytest.mark.parametrize(
    "path", ["/setting/admins", "/santaba/rest/setting/admins?size=5", "https://x.y/santaba/rest/setting/admins#z"]
)
@pytest.mark.parametrize("prefix", ["", "Authorization: "])
def test_header_of_sign_is_correct(path: str, prefix: str) -> None:
    assert explain_pair(prefix + sign(), path=path) == []


def test_old_header_is_correct_but_outside_the_window() -> None:
    assert explain_pair(sign(timestamp_ms=1_700_000_000_000)) == ["time-window"]


def test_wrong_old_header_has_both_causes() -> None:
    assert explain_pair(sign("POST", timestamp_ms=1_700_000_000_000)) == ["other-method", "time-window"]


def signed_get_with_body(path: str, body: bytes, access_id: str, access_key: str) -> str:
    """Return a header that covers the body of a GET, which no function of lmtokens makes."""
    epoch = int(time.time() * 1000)
    text = f"GET{epoch}".encode() + body + path.encode()
    digest = hmac.new(access_key.encode(), text, hashlib.sha256).hexdigest()
    return f"LMv1 {access_id}:{base64.b64encode(digest.encode()).decode()}:{epoch}"


def test_signed_body_of_a_get_is_wrong() -> None:
    signed = signed_get_with_body("/setting/admins", b"{}x", ACCESS_ID, ACCESS_KEY)
    assert explain_pair(signed, body=b"{}x") == ["body-not-sent"]
    assert explain_pair(sign(body=b"{}x"), body=b"{}x") == []
    assert explain_pair(sign(), body=b"{}x") == []


def test_sandbox_does_not_count_the_body_of_a_get(portal: Portal) -> None:
    path, body = "/setting/admins", b"{}x"
    credentials: dict[str, Any] = {"access_id": portal.access_id, "access_key": portal.access_key}
    auth = lmtokens.LMv1Auth(base_url=portal.base_url, **credentials)
    for header in (
        lmtokens.sign("GET", path, body, **credentials),
        auth._authorization("GET", portal.base_url + path, body),
    ):
        assert send(portal, header, "GET", path, body).status == 200
    signed = signed_get_with_body(path, body, portal.access_id, portal.access_key.reveal())
    refused = send(portal, signed, "GET", path, body)
    assert refused.status == 401
    assert refused.headers["X-Sandbox-Hint"].startswith("body-not-sent: ")


def test_signed_host_is_found_with_the_portal_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hmac.new(ACCESS_KEY.encode(), b"GET1700000000000https://acme.logicmonitor.com/santaba/rest/x", "sha256")
    header = f"LMv1 {ACCESS_ID}:{base64.b64encode(digest.hexdigest().encode()).decode()}:1700000000000"
    assert explain_pair(header, path="/x") == ["unknown", "time-window"]
    assert explain_pair(header, path="https://acme.logicmonitor.com/santaba/rest/x") == ["host", "time-window"]
    monkeypatch.setenv("LM_COMPANY", "acme")
    assert explain_pair(header, path="/x") == ["host", "time-window"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda header: header.replace("LMv1", "lmv1"), ["scheme"]),
        (lambda header: header.replace("LMv1", "Bearer"), ["scheme"]),
        (lambda header: header.replace("LMv1 ", ""), ["scheme"]),
        (lambda header: header.replace("LMv1 ", "LMv1\t"), ["header-white-space"]),
        (lambda header: f"'{header}'", ["header-quotes"]),
        (lambda header: f"b'{header}'", ["bytes-repr"]),
        (lambda header: header.replace("==", ""), ["missing-padding"]),
        (lambda header: header.replace("=", "%3D"), ["header-percent-encoded"]),
        (lambda header: header.replace(ACCESS_ID, "other"), ["access-id"]),
        (lambda header: "LMv1 " + ":".join(reversed(header[5:].split(":"))), ["field-order"]),
        (lambda header: header.rsplit(":", 1)[0], ["header-fields", "unknown"]),
        (lambda header: "LMv1 x", ["header-fields", "access-id", "signature"]),
        (lambda header: "", ["scheme", "header-fields", "access-id", "signature"]),
    ],
)
def test_mistakes_in_the_form_of_the_header_are_found(change: Callable[[str], str], expected: list[str]) -> None:
    assert explain_pair(change(sign())) == expected


@pytest.mark.parametrize(
    ("sent", "signed", "expected"),
    [
        ("/device?filter=a%20b", "/device?filter=a+b", ["query"]),
        ('/device?filter=note:"a"', "/device?filter=note%3A%22a%22", ["query"]),
        ("/device?size=5&filter=x", "/device?filter=x&size=5", ["query"]),
        ("/santaba/rest", "/", ["trailing-slash"]),
    ],
)
def test_other_spellings_of_the_path_are_found(sent: str, signed: str, expected: list[str]) -> None:
    epoch = str(time.time_ns() // 1_000_000)
    digest = hmac.new(ACCESS_KEY.encode(), f"GET{epoch}{signed}".encode(), hashlib.sha256).hexdigest()
    header = f"LMv1 {ACCESS_ID}:{base64.b64encode(digest.encode()).decode()}:{epoch}"
    assert explain_pair(header, path=sent) == expected


def test_string_to_sign_is_shown_and_the_correct_signature_is_not() -> None:
    correct = sign("POST", body=b"{}", timestamp_ms=1_700_000_000_000)
    explanation = lmtokens.explain_signature(
        sign("POST", timestamp_ms=1_700_000_000_000),
        "POST",
        "/setting/admins",
        b"{}",
        access_id=ACCESS_ID,
        access_key=ACCESS_KEY,
    )
    assert explanation.string_to_sign == "POST1700000000000{}/setting/admins"
    shown = f"{explanation!r} {explanation.causes!r} {explanation.string_to_sign}"
    assert correct.split(":")[1] not in shown
    assert ACCESS_KEY not in shown


def test_another_key_is_unknown() -> None:
    assert explain_pair(sign(access_key="another-key")) == ["unknown"]


def test_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(lmtokens.CredentialsError):
        lmtokens.explain_signature(sign(), "GET", "/setting/admins")
    monkeypatch.setenv("LM_ACCESS_ID", ACCESS_ID)
    monkeypatch.setenv("LM_ACCESS_KEY", ACCESS_KEY)
    assert lmtokens.explain_signature(sign(), "GET", "/setting/admins").correct
    with pytest.raises(lmtokens.CredentialsError, match="access_key is missing"):
        lmtokens.explain_signature(sign(), "GET", "/setting/admins", access_id=ACCESS_ID)
    monkeypatch.delenv("LM_ACCESS_ID")
    monkeypatch.setenv("LM_ACCESS_KEY", "lmb_invented")
    with pytest.raises(lmtokens.CredentialsError, match="bearer token"):
        lmtokens.explain_signature(sign(), "GET", "/setting/admins")


@pytest.mark.parametrize(
    "header", ["Bearer lmb_invented", "Authorization: bearer invented", "lmb_invented", "x lmb_a:b:c"]
)
def test_bearer_token_is_refused_and_not_repeated(header: str) -> None:
    with pytest.raises(ValueError, match="bearer token, which is not signed") as caught:
        explain_pair(header)
    assert "invented" not in str(caught.value)


def test_path_without_slash_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="invalid path: does not begin with a slash") as caught:
        explain_pair(sign(), path="setting/admins")
    assert "admins" not in str(caught.value).split(";")[0]


def test_sandbox_names_the_causes_of_other_refusals(portal: Portal) -> None:
    send(portal, None)
    send(portal, sign())
    send(portal, "Bearer lmb_invented")
    send(portal, "bearer invented")
    assert [seen.causes for seen in portal.record] == [["header-missing"], ["unknown-access-id"], [], []]


def test_sandbox_judges_the_epoch_by_its_clock_and_window(portal: Portal) -> None:
    header = lmtokens.sign("POST", TOKENS_PATH, BODY.encode(), access_id=portal.access_id, access_key=portal.access_key)
    portal.configure(timestamp_window=60)
    portal.set_clock_offset(120)
    response = send(portal, header)
    assert response.status == 401
    assert response.headers["X-Sandbox-Hint"].startswith("time-window: ")
    assert portal.record[-1].causes == ["time-window"]


def test_hint_comes_with_an_injected_fault(portal: Portal) -> None:
    portal.fail("delay", seconds=0.01)
    assert send(portal, None).headers["X-Sandbox-Hint"].startswith("header-missing: ")


# The shell.


def run_explain(
    *arguments: str, stdin: str = "", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    credentials = {"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY}
    return subprocess.run(
        [*SHELL, "explain", *arguments],
        env={**os.environ, **(credentials if environment is None else environment)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=HANG_TIMEOUT,
        check=False,
    )


REQUEST = ("--method", "POST", "--path", "/setting/admins?size=5")


def test_command_accepts_a_correct_header_from_an_argument_and_from_standard_input() -> None:
    header = sign("POST", body=b"{}")
    for authorization, stdin in ((header, ""), ("-", f"{header}\n"), ("-", f"authorization: {header}\r\n")):
        completed = run_explain(*REQUEST, "--data", "{}", "--authorization", authorization, stdin=stdin)
        assert (completed.returncode, completed.stdout, completed.stderr) == (0, "correct\n", "")


def test_command_names_the_causes_as_text_and_as_json() -> None:
    header = sign("POST", path="/setting/admins/", timestamp_ms=1_700_000_000_000)
    completed = run_explain(*REQUEST, "--data", "{}", "--authorization", header)
    lines = completed.stdout.splitlines()
    assert completed.returncode == 1
    assert [line.split(":")[0] for line in lines] == [
        "incorrect",
        "body-missing",
        "trailing-slash",
        "time-window",
        "string to sign",
    ]
    assert lines[-1] == "string to sign: POST1700000000000{}/setting/admins"
    completed = run_explain(*REQUEST, "--data", "{}", "-o", "json", "--authorization", "-", stdin=header)
    explanation = json.loads(completed.stdout)
    assert completed.returncode == 1
    assert explanation["correct"] is False
    assert [cause["name"] for cause in explanation["causes"]] == ["body-missing", "trailing-slash", "time-window"]
    assert all(cause["explanation"] for cause in explanation["causes"])
    explained = lmtokens.explain_signature(
        header, "POST", "/setting/admins", b"{}", access_id=ACCESS_ID, access_key=ACCESS_KEY
    )
    assert explanation == explained.to_dict()


def test_command_reads_the_body_from_a_file_and_from_standard_input(tmp_path: Path) -> None:
    body = b'{"note":"ci"}\n'
    file = tmp_path / "body.json"
    file.write_bytes(body)
    header = sign("POST", body=body)
    assert run_explain(*REQUEST, "--data", f"@{file}", "--authorization", header).returncode == 0
    assert run_explain(*REQUEST, "--data", "@-", "--authorization", header, stdin=body.decode()).returncode == 0
    missing = run_explain(*REQUEST, "--data", f"@{tmp_path / 'none'}", "--authorization", header)
    assert missing.returncode == 2
    assert "cannot read" in missing.stderr
    both = run_explain(*REQUEST, "--data", "@-", "--authorization", "-")
    assert both.returncode == 2
    assert "both --authorization and --data" in both.stderr


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs a file without an end")
def test_command_does_not_read_a_body_without_an_end() -> None:
    explained = run_explain(*REQUEST, "--data", "@/dev/zero", "--authorization", sign())
    credentials = {"LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY}
    signed = run_shell("sign", "POST", "/x", "--data", "@/dev/zero", environment=credentials)
    for completed in (explained, signed):
        assert (completed.returncode, completed.stdout) == (2, "")
        assert "cannot read /dev/zero: it is larger than 16777216 bytes" in completed.stderr


def test_command_refuses_a_bearer_header_and_missing_credentials() -> None:
    bearer = run_explain(*REQUEST, "--authorization", "Bearer lmb_invented")
    assert (bearer.returncode, bearer.stdout) == (2, "")
    assert "bearer token" in bearer.stderr
    assert "invented" not in bearer.stderr
    missing = run_explain(*REQUEST, "--authorization", sign(), environment={})
    assert missing.returncode == 4


def test_sandbox_command_writes_a_line_for_each_refused_header() -> None:
    code = (
        "import os, urllib.request, urllib.error\n"
        "request = urllib.request.Request(os.environ['LM_BASE_URL'] + '/setting/admins?size=5', "
        "headers={'X-Version': '3', 'Authorization': 'LMv1 ' + os.environ['LM_ACCESS_ID'] + ':eA==:1700000000000'})\n"
        "try: urllib.request.urlopen(request)\n"
        "except urllib.error.HTTPError as error: print(error.code)\n"
    )
    completed = run_shell("sandbox", "--", "python3", "-c", code)
    assert completed.stdout == "401\n"
    [line] = completed.stderr.splitlines()
    start = "the sandbox refused GET /santaba/rest/setting/admins: signature: encode the signature as base64"
    assert line.startswith(start)
    assert "; time-window: " in line


def test_deep_and_long_inputs_are_explained_in_bounded_time() -> None:
    bodies = ["[" * 100 + "1," * 32_000 + "1" + "]" * 100, json.dumps({"a": [{"b": 1}] * 6_000})]
    for body in bodies:
        assert len(body) > 60_000
        started = time.monotonic()
        explained = lmtokens.explain_signature(
            "LMv1 a:" + "A" * 88 + ":1769000000000",
            "POST",
            "/x",
            body.encode(),
            access_id="a" * 20,
            access_key="=" * 20_000,
        )
        assert not explained.correct
        assert time.monotonic() - started < HANG_TIMEOUT
