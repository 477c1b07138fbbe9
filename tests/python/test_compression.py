"""Responses are requested without compression, and the error of a compressed one names the compression."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from support import ACCESS_ID, ACCESS_KEY, LoopbackServer, ReceivedRequest, RequestHandler, run_shell

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

TOKEN = {"id": 7, "accessId": "x" * 20, "accessKey": "k" * 40, "adminId": 32, "note": "ci", "status": 2}
CREATED = json.dumps(TOKEN).encode()
LISTED = json.dumps({"total": 1, "items": [{**TOKEN, "accessKey": ""}]}).encode()


class HeaderServer(LoopbackServer):
    """Sends given bodies with given headers to POSTs; GETs are answered in plain JSON."""

    def __init__(self, body: bytes, *headers: tuple[str, str], status: int = 200, get: bytes | None = LISTED) -> None:
        self.requests: list[ReceivedRequest] = []
        outer = self

        class Handler(RequestHandler):
            def _reply(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests.append(ReceivedRequest(self.command, self.path, dict(self.headers.items()), sent))
                is_plain = self.command == "GET" and get is not None
                self.send_response(200 if is_plain else status)
                for header in () if is_plain else headers:
                    self.send_header(*header)
                reply = (get or b"") if is_plain else body
                if status != 204 or is_plain:
                    self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_POST = do_PATCH = do_DELETE = _reply

        super().__init__(Handler)

    def client(self, **settings: Any) -> lmtokens.Client:
        return lmtokens.Client(base_url=self.base_url, access_id=ACCESS_ID, access_key=ACCESS_KEY, **settings)


def test_every_request_asks_for_no_compression() -> None:
    with HeaderServer(CREATED) as server, server.client() as client:
        token = client.add_token(32, "ci")
        client.update_token(token, status=2)
        list(client.list_tokens())
        client.delete_token(token, force=True)
    assert {request.method for request in server.requests} == {"POST", "PATCH", "GET", "DELETE"}
    for request in server.requests:
        names = [name.lower() for name in request.headers]
        assert names.count("accept-encoding") == 1
        assert (
            request.headers[next(name for name in request.headers if name.lower() == "accept-encoding")] == "identity"
        )


def test_every_variant_sends_the_header(lmtokens_portal: Portal, api: lmtokens.Client) -> None:
    api.add_token(32, "ci")
    api.whoami()
    assert all("accept-encoding" in seen.headers for seen in lmtokens_portal.record)


def compressed(name: str, body: bytes) -> bytes:
    if name == "deflate":
        return zlib.compress(body)
    return gzip.compress(body) if "gzip" in name else b"\x0b\x02\x80"


# The header, and what the error names.
COMPRESSIONS = {
    "gzip": "gzip",
    "GZip": "gzip",
    "x-gzip": "x-gzip",
    "deflate": "deflate",
    "br": "br",
    "zstd": "zstd",
    "gzip, identity": "gzip",
    "identity,, br ,gzip": "br, gzip",
    'odd;name="secret"': "unknown",
    "caf\xe9": "unknown",
    "x" * 500: "unknown",
}


@pytest.mark.parametrize("header", COMPRESSIONS)
def test_compressed_create_is_an_unknown_outcome_that_names_the_compression(header: str) -> None:
    name = COMPRESSIONS[header]
    body = compressed(name, CREATED)
    with (
        HeaderServer(body, ("Content-Encoding", header)) as server,
        server.client() as client,
        pytest.raises(lmtokens.OutcomeUnknownError) as raised,
    ):
        client.add_token(32, "ci")
    error = raised.value
    assert f"compressed ({name})" in str(error)
    assert error.candidates is not None
    assert [token.id for token in error.candidates] == [7]
    assert [request.method for request in server.requests] == ["POST", "GET"]
    assert (error.status, error.maybe_applied, error.attempts) == (200, True, 1)
    assert isinstance(error.__cause__, lmtokens.ResponseError)


def test_two_headers_are_both_named() -> None:
    headers = ("Content-Encoding", "gzip"), ("Content-Encoding", "br")
    with (
        HeaderServer(b"\x00", *headers) as server,
        server.client() as client,
        pytest.raises(lmtokens.OutcomeUnknownError, match=r"compressed \(gzip, br\)"),
    ):
        client.add_token(32, "ci")


@pytest.mark.parametrize("header", [(), ("Content-Encoding", "identity")])
def test_compression_that_the_server_does_not_name_is_recognized(header: tuple[str, str]) -> None:
    with (
        HeaderServer(gzip.compress(CREATED), *([header] if header else [])) as server,
        server.client() as client,
        pytest.raises(lmtokens.OutcomeUnknownError, match=r"compressed \(gzip\)"),
    ):
        client.add_token(32, "ci")


@pytest.mark.parametrize("header", ["identity", "IDENTITY", "", " ", "identity, identity", "gzip", "br"])
def test_plain_body_keeps_its_key_whatever_the_header_says(header: str) -> None:
    with HeaderServer(CREATED, ("Content-Encoding", header)) as server, server.client() as client:
        key = client.add_token(32, "ci").access_key
    assert key is not None
    assert key.reveal() == TOKEN["accessKey"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, lmtokens.AuthenticationError),
        (403, lmtokens.PermissionDeniedError),
        (404, lmtokens.NotFoundError),
        (429, lmtokens.RateLimitError),
        (302, lmtokens.APIError),
    ],
)
def test_status_of_a_compressed_error_decides(status: int, error: type[lmtokens.LMTokensError]) -> None:
    body = gzip.compress(b'{"errorMessage":"no"}')
    with (
        HeaderServer(body, ("Content-Encoding", "gzip"), status=status) as server,
        server.client(max_attempts=1) as client,
        pytest.raises(error) as raised,
    ):
        client.add_token(32, "ci")
    assert (raised.value.status, raised.value.maybe_applied) == (status, False)
    assert [request.method for request in server.requests] == ["POST"]
    if status != 302:
        assert "compressed (gzip)" in str(raised.value)


def test_compressed_server_error_leaves_the_outcome_unknown() -> None:
    with (
        HeaderServer(gzip.compress(b"{}"), ("Content-Encoding", "gzip"), status=500) as server,
        server.client() as client,
        pytest.raises(lmtokens.OutcomeUnknownError, match=r"compressed \(gzip\)"),
    ):
        client.add_token(32, "ci")


def test_compressed_list_names_the_compression() -> None:
    with (
        HeaderServer(gzip.compress(LISTED), ("Content-Encoding", "gzip"), get=None) as server,
        server.client() as client,
    ):
        for call in (
            lambda: list(client.list_tokens()),
            lambda: client.find_token(7),
            lambda: client.add_token("ghost"),
        ):
            with pytest.raises(lmtokens.ResponseError, match=r"compressed \(gzip\)"):
                call()


@pytest.mark.parametrize("status", [200, 204])
def test_empty_body_is_not_compressed(status: int, lmtokens_portal: Portal) -> None:
    with HeaderServer(b"", ("Content-Encoding", "gzip"), status=status) as server, server.client() as client:
        client.delete_token(client.find_token(7), force=True)


@pytest.mark.parametrize("charset", ["iso-8859-1", "windows-1252", "no-such", '"utf-8"'])
def test_charset_does_not_lose_the_key(charset: str) -> None:
    body = json.dumps({**TOKEN, "createdBy": "Ren@"}).encode().replace(b"@", b"\xe9")
    with (
        HeaderServer(body, ("Content-Type", f"application/json; charset={charset}")) as server,
        server.client() as client,
    ):
        assert client.add_token(32, "ci").access_key


def test_shell_names_the_compression() -> None:
    with HeaderServer(gzip.compress(CREATED), ("Content-Encoding", "gzip")) as server:
        settings = {"LM_BASE_URL": server.base_url, "LM_ACCESS_ID": ACCESS_ID, "LM_ACCESS_KEY": ACCESS_KEY}
        shown = run_shell("add", "32", "--note", "ci", environment=settings)
    assert shown.returncode == 7
    assert "compressed (gzip)" in shown.stderr
    assert "k" * 8 not in shown.stderr
