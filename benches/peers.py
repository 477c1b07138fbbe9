"""The compared packages, each with one client that keeps its connections, as its manual recommends.

Every peer does the same: it signs the request (LMv1), sends it over TLS with a verified certificate and reads the JSON
in the response. The environment gives the portal, the credentials and the trusted certificates (`server.py`).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

CREATE = "/setting/admins/32/apitokens"
LIST = "/setting/admins/apitokens"
PAGE_SIZE = 1000
# More connections than any measurement uses at once: some clients have a lower limit.
MAX_CONNECTIONS = 128


def sign(method: str, resource: str, body: bytes, access_id: str, access_key: str) -> str:
    """Return the value of the `Authorization` header, as the vendor's page computes it."""
    epoch = str(int(time.time() * 1000))
    message = method.encode() + epoch.encode() + body + resource.encode()
    digest = hmac.new(access_key.encode(), message, hashlib.sha256).hexdigest()
    return f"LMv1 {access_id}:{base64.b64encode(digest.encode()).decode()}:{epoch}"


def headers(method: str, resource: str, body: bytes, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    return {
        "Accept": "application/json",
        "Authorization": sign(method, resource, body, environment["LM_ACCESS_ID"], environment["LM_ACCESS_KEY"]),
        "Content-Type": "application/json",
        "X-Version": "3",
    }


def create_body() -> bytes:
    return json.dumps({"note": "ci", "status": 2}).encode()


def page_query(offset: int) -> str:
    return f"?size={PAGE_SIZE}&offset={offset}&sort=%2Bid"


def check_created(token: Any) -> None:
    assert token["id"]
    assert token["accessId"]
    assert token["accessKey"]


def tls_context() -> ssl.SSLContext:
    import ssl

    return ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])


class Peer:
    """A blocking HTTP library with the signature written by hand."""

    def __init__(self) -> None:
        self.base_url = os.environ["LM_BASE_URL"]

    def send(self, method: str, resource: str, query: str, body: bytes) -> Any:
        """Send one signed request and return the JSON in the response."""
        raise NotImplementedError

    def create(self) -> None:
        check_created(self.send("POST", CREATE, "", create_body()))

    def list_tokens(self) -> int:
        """List all tokens and return their number."""
        tokens: list[dict[str, Any]] = []
        while True:
            page = self.send("GET", LIST, page_query(len(tokens)), b"")
            tokens += page["items"]
            if len(tokens) >= page["total"]:
                return len(tokens)


class Requests(Peer):
    def __init__(self) -> None:
        import requests

        super().__init__()
        self.session = requests.Session()

    def send(self, method: str, resource: str, query: str, body: bytes) -> Any:
        url, signed = self.base_url + resource + query, headers(method, resource, body)
        response = self.session.request(method, url, data=body, headers=signed)
        response.raise_for_status()
        return response.json()


class Httpx(Peer):
    def __init__(self) -> None:
        import httpx

        super().__init__()
        self.client = httpx.Client(verify=tls_context())

    def send(self, method: str, resource: str, query: str, body: bytes) -> Any:
        url, signed = self.base_url + resource + query, headers(method, resource, body)
        return self.client.request(method, url, content=body, headers=signed).raise_for_status().json()


class Pyreqwest(Peer):
    def __init__(self) -> None:
        from pyreqwest.client import SyncClientBuilder  # pyright: ignore[reportMissingImports]

        super().__init__()
        self.client = SyncClientBuilder().error_for_status().build()

    def send(self, method: str, resource: str, query: str, body: bytes) -> Any:
        url, signed = self.base_url + resource + query, headers(method, resource, body)
        return self.client.request(method, url).headers(signed).body_bytes(body).build().send().json()


class Sdk:
    """The official SDK, which signs by itself."""

    def __init__(self) -> None:
        import warnings

        with warnings.catch_warnings():
            # The docstrings of this generated code contain invalid escapes.
            warnings.simplefilter("ignore")
            import logicmonitor_sdk  # type: ignore[import-untyped]
        configuration: Any = logicmonitor_sdk.Configuration()
        configuration.company = os.environ["LM_COMPANY"]
        configuration.access_id = os.environ["LM_ACCESS_ID"]
        configuration.access_key = os.environ["LM_ACCESS_KEY"]
        configuration.ssl_ca_cert = os.environ["SSL_CERT_FILE"]
        # The configuration accepts only the vendor's host.
        configuration._host = os.environ["LM_BASE_URL"]
        self.api: Any = logicmonitor_sdk.LMApi(logicmonitor_sdk.ApiClient(configuration))

    def create(self) -> None:
        token = self.api.add_api_token_by_admin_id(32, {"note": "ci", "status": 2})
        check_created({"id": token.id, "accessId": token.access_id, "accessKey": token.access_key})

    def list_tokens(self) -> int:
        tokens: list[Any] = []
        while True:
            page = self.api.get_api_token_list(size=PAGE_SIZE, offset=len(tokens))
            tokens += page.items
            if len(tokens) >= page.total:
                return len(tokens)


class Lmtokens:
    def __init__(self) -> None:
        import lmtokens

        self.client = lmtokens.Client()

    def create(self) -> None:
        assert self.client.add_token(32, "ci").access_key

    def list_tokens(self) -> int:
        return len(list(self.client.list_tokens(type="lmv1")))


class AsyncPeer:
    """An async HTTP library with the signature written by hand; made within a running event loop."""

    def __init__(self) -> None:
        self.base_url = os.environ["LM_BASE_URL"]

    async def send(self, method: str, resource: str, query: str, body: bytes) -> Any:
        """Send one signed request and return the JSON in the response."""
        raise NotImplementedError

    async def create(self) -> None:
        check_created(await self.send("POST", CREATE, "", create_body()))

    async def list_tokens(self) -> int:
        """List all tokens and return their number."""
        tokens: list[dict[str, Any]] = []
        while True:
            page = await self.send("GET", LIST, page_query(len(tokens)), b"")
            tokens += page["items"]
            if len(tokens) >= page["total"]:
                return len(tokens)

    async def close(self) -> None:
        raise NotImplementedError


class AsyncAiohttp(AsyncPeer):
    def __init__(self) -> None:
        import aiohttp

        super().__init__()
        connector = aiohttp.TCPConnector(ssl=tls_context(), limit=MAX_CONNECTIONS)
        self.session = aiohttp.ClientSession(connector=connector, raise_for_status=True)

    async def send(self, method: str, resource: str, query: str, body: bytes) -> Any:
        url, signed = self.base_url + resource + query, headers(method, resource, body)
        async with self.session.request(method, url, data=body, headers=signed) as response:
            return await response.json()

    async def close(self) -> None:
        await self.session.close()


class AsyncHttpx(AsyncPeer):
    def __init__(self) -> None:
        import httpx

        super().__init__()
        limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS)
        self.client = httpx.AsyncClient(verify=tls_context(), limits=limits)

    async def send(self, method: str, resource: str, query: str, body: bytes) -> Any:
        url, signed = self.base_url + resource + query, headers(method, resource, body)
        response = await self.client.request(method, url, content=body, headers=signed)
        return response.raise_for_status().json()

    async def close(self) -> None:
        await self.client.aclose()


class AsyncPyreqwest(AsyncPeer):
    def __init__(self) -> None:
        from pyreqwest.client import ClientBuilder  # pyright: ignore[reportMissingImports]

        super().__init__()
        self.client = ClientBuilder().error_for_status().build()

    async def send(self, method: str, resource: str, query: str, body: bytes) -> Any:
        url, signed = self.base_url + resource + query, headers(method, resource, body)
        response = await self.client.request(method, url).headers(signed).body_bytes(body).build().send()
        return await response.json()

    async def close(self) -> None:
        await self.client.close()


class AsyncLmtokens:
    def __init__(self) -> None:
        from lmtokens.aio import AsyncClient

        self.client = AsyncClient()

    async def create(self) -> None:
        assert (await self.client.add_token(32, "ci")).access_key

    async def list_tokens(self) -> int:
        return len([token async for token in self.client.list_tokens(type="lmv1")])

    async def close(self) -> None:
        await self.client.close()


BLOCKING: dict[str, type[Any]] = {
    "lmtokens": Lmtokens,
    "requests": Requests,
    "httpx": Httpx,
    "pyreqwest": Pyreqwest,
    "SDK": Sdk,
}
ASYNC: dict[str, type[Any]] = {
    "lmtokens": AsyncLmtokens,
    "aiohttp": AsyncAiohttp,
    "httpx": AsyncHttpx,
    "pyreqwest": AsyncPyreqwest,
}
