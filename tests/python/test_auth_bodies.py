"""A body that is read while it is sent cannot be signed before: it is refused, and nothing is sent."""

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

REFUSAL = r"read while it is sent cannot be signed before: pass it whole, as bytes, as text or with json="


def pieces() -> Iterator[bytes]:
    yield b"{"
    yield b"}"


async def async_pieces() -> AsyncIterator[bytes]:
    yield b"{"
    yield b"}"


class Iterable:
    def __iter__(self) -> Iterator[bytes]:
        return pieces()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[io.BufferedReader]:
    path = tmp_path / "body.json"
    path.write_bytes(b"{}")
    with path.open("rb") as opened:
        yield opened


def with_requests(portal: Portal, **body: Any) -> int:
    with requests.Session() as session:
        return session.post(
            portal.base_url + TOKENS_PATH, auth=portal.auth(), headers={"X-Version": "3"}, timeout=HANG_TIMEOUT, **body
        ).status_code


def with_httpx(portal: Portal, **body: Any) -> int:
    with httpx.Client(auth=portal.auth(), headers={"X-Version": "3"}, timeout=HANG_TIMEOUT) as client:
        return client.post(portal.base_url + TOKENS_PATH, **body).status_code


def with_httpx_async(portal: Portal, **body: Any) -> int:
    async def run() -> int:
        async with httpx.AsyncClient(auth=portal.auth(), headers={"X-Version": "3"}, timeout=HANG_TIMEOUT) as client:
            return (await client.post(portal.base_url + TOKENS_PATH, **body)).status_code

    return asyncio.run(run())


def with_aiohttp(portal: Portal, **body: Any) -> int:
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


MADE: dict[str, tuple[Callable[..., int], Callable[[], dict[str, Any]]]] = {
    "requests, generator": (with_requests, lambda: {"data": pieces()}),
    "requests, iterable": (with_requests, lambda: {"data": Iterable()}),
    "requests, BytesIO": (with_requests, lambda: {"data": io.BytesIO(b"{}")}),
    "httpx, generator": (with_httpx, lambda: {"content": pieces()}),
    "httpx, BytesIO": (with_httpx, lambda: {"content": io.BytesIO(b"{}")}),
    "httpx, files": (with_httpx, lambda: {"files": {"file": b"{}"}}),
    "httpx async, generator": (with_httpx_async, lambda: {"content": async_pieces()}),
    "httpx async, files": (with_httpx_async, lambda: {"files": {"file": b"{}"}}),
    "aiohttp, generator": (with_aiohttp, lambda: {"data": async_pieces()}),
    "aiohttp, BytesIO": (with_aiohttp, lambda: {"data": io.BytesIO(b"{}")}),
    "aiohttp, multipart": (with_aiohttp, lambda: {"data": multipart()}),
    "aiohttp, compressed": (with_aiohttp, lambda: {"data": b"{}", "compress": True}),
}


@pytest.mark.parametrize("kind", MADE)
def test_refused(lmtokens_portal: Portal, kind: str) -> None:
    post, body = MADE[kind]
    with pytest.raises(TypeError, match=REFUSAL):
        post(lmtokens_portal, **body())
    assert lmtokens_portal.record == []


@pytest.mark.parametrize(
    ("post", "name"),
    [(with_requests, "data"), (with_httpx, "content"), (with_aiohttp, "data")],
    ids=["requests", "httpx", "aiohttp"],
)
def test_file_is_refused(lmtokens_portal: Portal, file: io.BufferedReader, post: Callable[..., int], name: str) -> None:
    with pytest.raises(TypeError, match=REFUSAL):
        post(lmtokens_portal, **{name: file})
    assert lmtokens_portal.record == []


def test_refusal_names_nothing_of_httpx(lmtokens_portal: Portal) -> None:
    with pytest.raises(TypeError) as caught:
        with_httpx(lmtokens_portal, content=pieces())
    assert caught.value.__suppress_context__


def test_files_of_requests_are_whole(lmtokens_portal: Portal, file: io.BufferedReader) -> None:
    # requests reads them into memory before it signs.
    with_requests(lmtokens_portal, files={"file": file}, data={"note": "Zoë"})
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid"]
    assert "body.json" in lmtokens_portal.record[0].body


def test_bytearray_of_requests(lmtokens_portal: Portal) -> None:
    assert with_requests(lmtokens_portal, data=bytearray(b"{}")) == 200
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid"]


def test_text_of_aiohttp_in_another_encoding(lmtokens_portal: Portal) -> None:
    with_aiohttp(lmtokens_portal, data=aiohttp.StringPayload("é", encoding="latin-1", content_type="text/plain"))
    assert [(seen.signature, seen.body) for seen in lmtokens_portal.record] == [("valid", "\N{REPLACEMENT CHARACTER}")]


def test_text_stream_of_aiohttp_is_whole(lmtokens_portal: Portal) -> None:
    # aiohttp reads it into memory before it signs.
    assert with_aiohttp(lmtokens_portal, data=io.StringIO('{"note":"Zoë"}')) == 200
    assert [seen.signature for seen in lmtokens_portal.record] == ["valid"]


def test_session_goes_on_after_a_refusal(lmtokens_portal: Portal) -> None:
    with requests.Session() as session:
        session.auth = lmtokens_portal.auth()
        session.headers["X-Version"] = "3"
        with pytest.raises(TypeError, match=REFUSAL):
            session.post(lmtokens_portal.base_url + TOKENS_PATH, data=pieces(), timeout=HANG_TIMEOUT)
        assert session.post(lmtokens_portal.base_url + TOKENS_PATH, data=b"{}", timeout=HANG_TIMEOUT).status_code == 200
