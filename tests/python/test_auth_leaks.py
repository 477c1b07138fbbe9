"""What HTTP libraries print of a signed request contains neither the key nor the Authorization header."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import traceback
from typing import TYPE_CHECKING

import aiohttp
import httpx
import lmtokens
import pytest
import requests
from http_libraries import LIBRARIES, VERSION_3, send
from support import HANG_TIMEOUT, TOKENS_PATH

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal


def secrets(portal: Portal) -> list[str]:
    return [portal.access_key.reveal(), portal.bearer_token.reveal(), "LMv1 sandbox", "Bearer sandbox"]


def leaked_secrets(portal: Portal, shown: object) -> list[str]:
    return [secret for secret in secrets(portal) if secret in str(shown)]


def auths(portal: Portal) -> list[lmtokens.LMv1Auth]:
    return [portal.auth(), portal.auth(bearer_token=portal.bearer_token)]


def test_prepared_request_of_requests_shows_no_secret(lmtokens_portal: Portal) -> None:
    for auth in auths(lmtokens_portal):
        response = requests.get(
            lmtokens_portal.base_url + TOKENS_PATH, auth=auth, headers=VERSION_3, timeout=HANG_TIMEOUT
        )
        assert response.status_code == 200
        sent = response.request.headers
        assert sent["Authorization"].startswith(("LMv1 ", "Bearer "))
        assert "********" in repr(sent)
        assert (
            leaked_secrets(lmtokens_portal, [sent, dict(sent), vars(response.request), vars(copy.copy(response))]) == []
        )


def test_error_of_aiohttp_shows_no_secret(lmtokens_portal: Portal) -> None:
    async def fail(auth: lmtokens.LMv1Auth) -> None:
        url = lmtokens_portal.base_url + "/no/such/resource"
        async with (
            aiohttp.ClientSession(middlewares=[auth], headers=VERSION_3, raise_for_status=True) as session,
            session.get(url) as response,
        ):
            raise AssertionError(f"the portal has {response.url}")

    for auth in auths(lmtokens_portal):
        with pytest.raises(aiohttp.ClientResponseError) as caught:
            asyncio.run(fail(auth))
        error = caught.value
        assert error.status == 404
        assert "********" in repr(error)
        assert leaked_secrets(lmtokens_portal, [repr(error), error.args, vars(error), error.request_info.headers]) == []


def test_request_of_httpx_shows_no_secret(lmtokens_portal: Portal) -> None:
    for auth in auths(lmtokens_portal):
        with httpx.Client(auth=auth, headers=VERSION_3) as client:
            response = client.get(lmtokens_portal.base_url + "/no/such/resource")
            with pytest.raises(httpx.HTTPStatusError) as caught:
                response.raise_for_status()
        shown = [repr(caught.value), response.request.headers, repr(client.auth)]
        assert leaked_secrets(lmtokens_portal, shown) == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_logs_show_no_secret(library: str, lmtokens_portal: Portal, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for auth in auths(lmtokens_portal):
        send(library, auth, "POST", lmtokens_portal.base_url + TOKENS_PATH, json={})
    assert [seen.status for seen in lmtokens_portal.record] == [200, 200]
    assert leaked_secrets(lmtokens_portal, [caplog.text, *(vars(record) for record in caplog.records)]) == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_traceback_with_locals_shows_no_secret(library: str, lmtokens_portal: Portal) -> None:
    # Crash reporters print the variables of every frame.
    for auth in auths(lmtokens_portal):
        lmtokens_portal.fail("close-before-acting", times=None)
        with pytest.raises((requests.RequestException, httpx.HTTPError, aiohttp.ClientError)) as caught:
            send(library, auth, "GET", lmtokens_portal.base_url + TOKENS_PATH)
        error = caught.value
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert "LMv1Auth" in shown
        assert leaked_secrets(lmtokens_portal, shown) == []


def test_auth_object_shows_no_secret(lmtokens_portal: Portal) -> None:
    for auth in auths(lmtokens_portal):
        shown = [repr(auth), str(auth), f"{auth}", *(getattr(auth, name, None) for name in dir(auth))]
        assert leaked_secrets(lmtokens_portal, shown) == []
        with pytest.raises(TypeError, match="in plain text"):
            pickle.dumps(auth)
    assert "LMv1 from arguments" in repr(auths(lmtokens_portal)[0])
