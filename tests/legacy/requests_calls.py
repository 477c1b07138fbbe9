"""Make every kind of call with the installed requests, against a sandbox, and print the results.

tests/python/test_auth_legacy.py runs it with the versions of older distributions and with current ones.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import lmtokens
import requests
from lmtokens.sandbox import Portal

PATH = "/setting/admins/32/apitokens"
NOTE = "Zoë’s 🔑"
LATIN = "Zoë"
TEXT = json.dumps({"note": NOTE}, ensure_ascii=False)
LATIN_TEXT = json.dumps({"note": LATIN}, ensure_ascii=False)


def pieces() -> Iterator[bytes]:
    yield b"{}"


# The arguments of each call. Each call has its own session.
CALLS: dict[str, dict[str, Any]] = {
    "GET with a query": {"method": "GET", "params": {"filter": f'note:"{NOTE}"', "size": "1"}},
    "GET with an escape in the path": {"method": "GET", "path": "/setting/admins/no%20such/Zoë"},
    "POST of json": {"method": "POST", "json": {"note": NOTE}},
    "POST of text": {"method": "POST", "data": TEXT},
    "POST of text in Latin-1": {"method": "POST", "data": LATIN_TEXT},
    "POST of bytes": {"method": "POST", "data": TEXT.encode()},
    "POST of bytes that are not UTF-8": {"method": "POST", "data": b"\xff\x00"},
    "POST of nothing": {"method": "POST"},
    "POST of a form": {"method": "POST", "data": {"note": NOTE}},
    "POST of files": {"method": "POST", "files": {"file": b"{}"}},
    "POST of a generator": {"method": "POST", "data": pieces()},
    "PATCH": {"method": "PATCH", "path": f"{PATH}/103", "json": {"note": NOTE, "status": 1}},
    "DELETE": {"method": "DELETE", "path": f"{PATH}/103"},
    "another address": {"method": "GET", "url": "http://127.0.0.1:9/santaba/rest/setting/admins"},
}


def call(
    portal: Portal,
    method: str,
    path: str = PATH,
    url: str | None = None,
    auth: Callable[[requests.PreparedRequest], requests.PreparedRequest] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    with requests.Session() as session:
        session.auth = auth or portal.auth()
        session.headers["X-Version"] = "3"
        portal.clear_record()
        try:
            status: int | str = session.request(
                method, url or portal.base_url + path, timeout=60, **settings
            ).status_code
        except (TypeError, ValueError) as error:
            status = type(error).__name__
    # The multipart boundary is random.
    seen = [(entry.signature, "" if "files" in settings else entry.body) for entry in portal.record]
    return {"status": status, "seen": seen}


def sign_text(portal: Portal) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """Return an auth that signs text as UTF-8 but leaves it a str, as scripts do: older urllib3 sends it as Latin-1."""

    def sign(request: requests.PreparedRequest) -> requests.PreparedRequest:
        assert isinstance(request.body, str)
        request.headers["Authorization"] = lmtokens.sign(
            "POST", PATH, request.body.encode(), access_id=portal.access_id, access_key=portal.access_key
        )
        return request

    return sign


def redirected(portal: Portal) -> dict[str, Any]:
    with Portal() as other:
        portal.fail("redirect", location=other.base_url + PATH)
        result = call(portal, "GET")
        return {**result, "elsewhere": [entry.signature for entry in other.record]}


def main() -> None:
    results: dict[str, Any] = {}
    with Portal() as portal:
        portal.create_token(32)
        for name, settings in CALLS.items():
            results[name] = call(portal, **settings)
        results["redirect elsewhere"] = redirected(portal)
        results["bearer"] = call(portal, "GET", auth=portal.auth(bearer_token=portal.bearer_token))
        results["text in Latin-1, signed by hand"] = call(portal, "POST", data=LATIN_TEXT, auth=sign_text(portal))
    versions = {name: version(name) for name in ("requests", "urllib3")}
    json.dump({"versions": versions, "results": results}, sys.stdout)


if __name__ == "__main__":
    main()
