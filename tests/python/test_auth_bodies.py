"""A streamed body cannot be signed before it is sent: the request is rejected and not sent."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any, Callable

import aiohttp
import httpx
import pytest
import requests
from support import HANG_TIMEOUT, TOKENS_PATH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from lmtokens.sandbox import Portal

REFUSAL = r"cannot sign a streamed body, because .*; pass it as bytes, as a string or with json="


def chunks() -> Iterator[bytes]:
    yield b"{"
    yield b"}"


async def async_chunks() -> AsyncIterator[bytes]:
    yield b"{"
    yield b"}"


class Iterable:
    def __iter__(self) -> Iterator[bytes]:
        return chunks()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[io.BufferedReader]:
    path = tmp_path / "body.json"
    path.write_bytes(b"{}")
    with path.open("rb") as opened:
        yield opened


def post_with_requests(portal: Portal, **body: Any) -> int:
    with requests.Session() as session:
        return session.post(
            portal.base_url + TOKENS_PATH, auth=portal.auth(), headers={"X-Version": "3"}, timeout=HANG_TIMEOUT, **body
        ).status_code


def post_with_httpx(portal: Portal, **body: Any) -> int:
    with httpx.Client(auth=portal.auth(), headers={"X-Version": "3"}, timeout=HANG_TIMEOUT) as client:
        return client.post(portal.base_url + TOKENS_PATH, **body).status_code


def post_with_httpx_async(portal: Portal, **body: Any) -> int:
    async def run() -> int:
        async with httpx.AsyncClient(auth=portal.auth(), headers={"X-Version": "3"}, timeout=HANG_TIMEOUT) as client:
            return (await client.post(portal.base_url + TOKENS_PATH, **body)).status_code

    return asyncio.run(run())


def post_with_aiohttp(portal: Portal, **body: Any) -> int:
    async def run() -> int:
        timeout = aiohttp.ClientTimeout(HANG_TIMEOUT)
        async with (
            aiohttp.ClientSession(middlewares=[portal.auth()], headers={"X-Version": "3"}, timeout=timeout) as session,
            session.post(portal.base_url + TOKENS_PATH, **body) as response,
        ):
            return response.status

    return asyncio.run(run())


def multipart() -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("file", b"{}", filename="body.json")
    return form


BODIES: dict[str, tuple[Callable[..., int], Callable[[], dict[str, Any]]]] = {
    "requests, generator": (post_with_requests, lambda: {"data": chunks()}),
    "requests, iterable": (post_with_requests, lambda: {"data": Iterable()}),
    "requests, BytesIO": (post_with_requests, lambda: {"data": io.BytesIO(b"{}")}),
    "httpx, generator": (post_with_httpx, lambda: {"content": chunks()}),
    "httpx, BytesIO": (post_with_httpx, lambda: {"content": io.BytesIO(b"{}")}),
    "httpx, files": (post_with_httpx, lambda: {"files": {"file": b"{}"}}),
    "httpx async, generator": (post_with_httpx_async, lambda: {"content": async_chunks()}),
    "httpx async, files": (post_with_httpx_async, lambda: {"files": {"file": b"{}"}}),
    "aiohttp, generator": (post_with_aiohttp, lambda: {"data": async_chunks()}),
    "aiohttp, BytesIO": (post_with_aiohttp, lambda: {"data": io.BytesIO(b"{}")}),
    "aiohttp, multipart": (post_with_aiohttp, lambda: {"data": multipart()}),
    "aiohttp, compressed": (post_with_aiohttp, lambda: {"data": b"{}", "compress": True}),
}


@pytest.mark.parametrize("kind", BODIES)
def test_streamed_body_is_rejected(lmtokens_portal: Portal, kind: str) -> None:
    post, body = BODIES[kind]
    with pytest.raises(TypeError, match=REFUSAL):
        post(lmtokens_portal, **body())
    assert lmtokens_portal.record == []


@pytest.mark.parametrize(
    ("post", "name"),
    [(post_with_requests, "data"), (post_with_httpx, "content"), (post_with_aiohttp, "data")],
    ids=["requests", "httpx", "aiohttp"],
)
def test_file_is_rejected(
    lmtokens_portal: Portal, file: io.BufferedReader, post: Callable[..., int], name: str
) -> None:
    with pytest.raises(TypeError, match=REFUSAL):
        post(lmtokens_portal, **{name: file})
    assert lmtokens_portal.record == []


def test_rejection_hides_the_context_of_httpx(lmtokens_portal: Portal) -> None:
    with pytest.raises(TypeError) as caught:
        post_with_httpx(lmtokens_portal, content=chunks())
    assert caught.value.__suppress_context__


def test_files_argument_of_requests_is_signed(lmtokens_portal: Portal, file: io.BufferedReader) -> None:
    # requests reads them into memory before it signs.
    post_with_requests(lmtokens_portal, files={"file": file}, data={"note": "Zoë"})
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid"]
    assert "body.json" in lmtokens_portal.record[0].body


def test_bytearray_with_requests_is_signed(lmtokens_portal: Portal) -> None:
    assert post_with_requests(lmtokens_portal, data=bytearray(b"{}")) == 200
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid"]


def test_text_in_another_encoding_with_aiohttp_is_signed(lmtokens_portal: Portal) -> None:
    post_with_aiohttp(lmtokens_portal, data=aiohttp.StringPayload("é", encoding="latin-1", content_type="text/plain"))
    assert [(seen.signature, seen.body) for seen in lmtokens_portal.record] == [("valid", "\N{REPLACEMENT CHARACTER}")]


def test_text_stream_with_aiohttp_is_signed(lmtokens_portal: Portal) -> None:
    # aiohttp reads it into memory before it signs.
    assert post_with_aiohttp(lmtokens_portal, data=io.StringIO('{"note":"Zoë"}')) == 200
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid"]


def test_session_works_after_a_rejection(lmtokens_portal: Portal) -> None:
    with requests.Session() as session:
        session.auth = lmtokens_portal.auth()
        session.headers["X-Version"] = "3"
        with pytest.raises(TypeError, match=REFUSAL):
            session.post(lmtokens_portal.base_url + TOKENS_PATH, data=chunks(), timeout=HANG_TIMEOUT)
        assert session.post(lmtokens_portal.base_url + TOKENS_PATH, data=b"{}", timeout=HANG_TIMEOUT).status_code == 200
