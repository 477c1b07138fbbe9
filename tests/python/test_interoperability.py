"""The sandbox serves other clients, and our signature matches the code on the vendor's page."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import warnings
from typing import TYPE_CHECKING, Any, Callable

import lmtokens
import pytest
import requests
from support import HANG_TIMEOUT, TOKENS_PATH, StubServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmtokens.sandbox import Portal

with warnings.catch_warnings():
    # The docstrings of this generated code contain invalid escapes.
    warnings.simplefilter("ignore")
    import logicmonitor_sdk  # type: ignore[import-untyped]
    from logicmonitor_sdk.rest import ApiException  # type: ignore[import-untyped]

UNIX_HOUR_MS = 3_600_000


@pytest.fixture
def sdk(lmtokens_portal: Portal) -> Iterator[Any]:
    """The official SDK, with its fixed host replaced by the sandbox."""
    configuration = logicmonitor_sdk.Configuration()
    configuration.company = lmtokens_portal.company
    configuration.access_id = lmtokens_portal.access_id
    configuration.access_key = lmtokens_portal.access_key.reveal()
    configuration._host = lmtokens_portal.base_url
    client = logicmonitor_sdk.ApiClient(configuration)
    yield logicmonitor_sdk.LMApi(client)
    client.pool.close()
    client.pool.join()


def test_sdk_adds_a_token(sdk: Any, lmtokens_portal: Portal) -> None:
    created = sdk.add_api_token_by_admin_id(32, {"note": "from the SDK", "status": 1})
    stored = lmtokens_portal.tokens[-1]
    assert (created.id, created.access_id, created.admin_id) == (stored.id, stored.access_id, 32)
    assert created.access_key == stored.access_key.reveal()
    assert (created.note, created.status) == ("from the SDK", 1)
    assert [(seen.method, seen.signature) for seen in lmtokens_portal.record] == [("POST", "valid")]


def test_sdk_adds_a_bearer_token(sdk: Any, lmtokens_portal: Portal) -> None:
    created = sdk.add_api_token_by_admin_id(32, {}, type="bearer")
    assert created.access_key == lmtokens_portal.tokens[-1].access_key.reveal()
    assert lmtokens_portal.tokens[-1].type == "bearer"


def test_sdk_lists_tokens(sdk: Any, lmtokens_portal: Portal) -> None:
    ours = lmtokens.add_token(32, "ci")
    everything = sdk.get_api_token_list()
    assert everything.total == 2
    assert [item.id for item in everything.items] == [lmtokens_portal.tokens[0].id, ours.id]
    owned = sdk.get_api_token_list_by_admin_id(32, size=1, offset=0, filter='note:"ci"', fields="id,note")
    assert [(item.id, item.note) for item in owned.items] == [(ours.id, "ci")]
    # Only the response to the create contains the secret.
    assert [item.access_key for item in everything.items] == [None, None]


def test_sdk_raises_the_sandbox_error(sdk: Any) -> None:
    with pytest.raises(ApiException) as caught:
        sdk.add_api_token_by_admin_id(4711, {})
    assert (caught.value.status, json.loads(caught.value.body or "{}")["errorCode"]) == (404, 1404)


def test_sdk_authenticates_with_a_new_token(sdk: Any, lmtokens_portal: Portal) -> None:
    token = lmtokens.add_token(1)
    assert token.access_key is not None
    configuration = sdk.api_client.configuration
    configuration.access_id, configuration.access_key = token.access_id, token.access_key.reveal()
    assert sdk.get_api_token_list().total == 2
    assert lmtokens_portal.record[-1].token_id == token.id


def vendor_header(access_id: str, access_key: str, method: str, epoch: str, data: str, path: str) -> str:
    """Return the Authorization header computed as on the vendor's page: HMAC, hex digits, base64."""
    digest = hmac.new(access_key.encode("utf-8"), (method + epoch + data + path).encode("utf-8"), hashlib.sha256)
    signature = base64.b64encode(digest.hexdigest().encode("utf-8")).decode("utf-8")
    return f"LMv1 {access_id}:{signature}:{epoch}"


def post(
    portal: Portal, data: str = "{}", *, sent: str | None = None, clock_lag_ms: int = 0, **wrong: str
) -> requests.Response:
    """Send the request of the vendor's page, with the host replaced and the version header as text."""
    with requests.Session() as session:
        session.trust_env = False
        epoch = str(int(time.time() * 1000) - clock_lag_ms)
        key = wrong.get("access_key", portal.access_key.reveal())
        header = vendor_header(portal.access_id, key, "POST", epoch, data, TOKENS_PATH)
        headers = {"Content-Type": "application/json", "Authorization": header, "X-Version": "3"}
        body = data if sent is None else sent
        return session.post(portal.base_url + TOKENS_PATH, data=body, headers=headers, timeout=HANG_TIMEOUT)


def test_code_on_the_vendors_page_creates_a_token(lmtokens_portal: Portal) -> None:
    response = post(lmtokens_portal)
    stored = lmtokens_portal.tokens[-1]
    assert response.status_code == 200
    assert (response.json()["id"], response.json()["accessKey"]) == (stored.id, stored.access_key.reveal())
    assert [(seen.method, seen.signature) for seen in lmtokens_portal.record] == [("POST", "valid")]


def test_code_on_the_vendors_page_creates_a_token_with_a_note(lmtokens_portal: Portal) -> None:
    assert post(lmtokens_portal, '{"note": "by hand", "status": 1}').json()["status"] == 1
    assert lmtokens_portal.tokens[-1].note == "by hand"


def test_integer_version_header_breaks_the_code_on_the_vendors_page(lmtokens_portal: Portal) -> None:
    with pytest.raises(requests.exceptions.InvalidHeader):
        requests.post(lmtokens_portal.base_url + TOKENS_PATH, data="{}", headers={"X-Version": 3}, timeout=HANG_TIMEOUT)  # type: ignore[dict-item]
    assert lmtokens_portal.record == []


@pytest.mark.parametrize(
    ("send_invalid", "signature"),
    [
        (lambda portal: post(portal, access_key="invented-wrong-key"), "invalid"),
        (lambda portal: post(portal, "", sent="{}"), "invalid"),
        (lambda portal: post(portal, '{"note":"ci"}', sent='{"note": "ci"}'), "invalid"),
        (lambda portal: post(portal, clock_lag_ms=UNIX_HOUR_MS), "stale"),
        (lambda portal: post(portal, clock_lag_ms=-UNIX_HOUR_MS), "stale"),
    ],
    ids=["wrong key", "empty body signed", "different whitespace signed", "slow clock", "fast clock"],
)
def test_invalid_signature_is_rejected(
    lmtokens_portal: Portal, send_invalid: Callable[[Portal], requests.Response], signature: str
) -> None:
    response = send_invalid(lmtokens_portal)
    assert response.status_code == 401
    assert response.json() == {"errorMessage": "Authentication failed", "errorCode": 1401, "errorDetail": None}
    assert [(seen.signature, seen.applied) for seen in lmtokens_portal.record] == [(signature, False)]


def test_request_without_a_version_header_gets_a_version_1_response(lmtokens_portal: Portal) -> None:
    header = lmtokens.sign(
        "POST", TOKENS_PATH, b"{}", access_id=lmtokens_portal.access_id, access_key=lmtokens_portal.access_key
    )
    with requests.Session() as session:
        session.trust_env = False
        response = session.post(
            lmtokens_portal.base_url + TOKENS_PATH, data=b"{}", headers={"Authorization": header}, timeout=HANG_TIMEOUT
        )
    assert (response.status_code, response.json()["status"], response.json()["errmsg"]) == (200, 200, "OK")


@pytest.mark.parametrize("note", [None, "ci", "Zoë’s 🔑"])
def test_client_sends_the_header_of_the_vendors_page(note: str | None) -> None:
    key = "unit+test(key)]{%~^_=Z"
    with StubServer(b'{"id":1,"accessId":"exampleAccessId00002","accessKey":"invented-new-key"}') as server:
        client = lmtokens.Client(access_id="exampleAccessId00001", access_key=key, base_url=server.base_url)
        client.add_token(32, note)
        (heard,) = server.requests
    header = {name.lower(): value for name, value in heard.headers.items()}["authorization"]
    epoch = header.rsplit(":", 1)[1]
    assert header == vendor_header("exampleAccessId00001", key, "POST", epoch, heard.body.decode("utf-8"), TOKENS_PATH)
    assert abs(int(epoch) - time.time() * 1000) < HANG_TIMEOUT * 1000


def test_sign_authenticates_a_request_of_another_library(lmtokens_portal: Portal) -> None:
    body = '{"note":"Zoë"}'.encode()
    header = lmtokens.sign(
        "post", TOKENS_PATH, body, access_id=lmtokens_portal.access_id, access_key=lmtokens_portal.access_key
    )
    with requests.Session() as session:
        session.trust_env = False
        response = session.post(
            lmtokens_portal.base_url + TOKENS_PATH + "?type=bearer",
            data=body,
            headers={"Authorization": header, "X-Version": "3", "Content-Type": "application/json"},
            timeout=HANG_TIMEOUT,
        )
    assert response.json()["note"] == "Zoë"
    assert lmtokens_portal.record[0].signature == "valid"
