"""Invalid input is rejected before any request, with a message that names what is expected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lmtokens
import pytest
from lmtokens import ConfigurationError, CredentialsError
from support import ACCESS_ID, ACCESS_KEY, Listener

if TYPE_CHECKING:
    from lmtokens.sandbox import Portal

OWNER = "an integer from 1 to 2147483647"
STATUS = r'1 \(disabled\), 2 \(enabled\), "disabled" or "enabled"'
TYPE = '"lmv1"(,| or) "bearer"'
COMPANY = r"name \(acme\), the portal's host \(acme.logicmonitor.com\) or the URL of one of its pages"
BASE_URL = "https URL that ends with /santaba/rest.*http only to 127.0.0.1"
TIMEOUT = "numbers? of seconds"
KEY = "expected the access key as the portal showed it once, without white space"
ID = "letters and digits only"
BEARER = "expected the token as the portal showed it once"


@pytest.mark.parametrize(
    ("admin_id", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (2**31, ValueError),
        (2**64, ValueError),
        (-(2**64), ValueError),
        ("", ValueError),
        ("32", ValueError),
        (b"32", TypeError),
        (True, TypeError),
        (False, TypeError),
        (3.5, TypeError),
        (32.0, TypeError),
        (None, TypeError),
        ([32], TypeError),
    ],
    ids=repr,
)
def test_invalid_admin_id_is_rejected(lmtokens_portal: Portal, admin_id: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=OWNER) as caught:
        lmtokens.add_token(admin_id)
    assert type(caught.value) is error
    assert lmtokens_portal.record == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (0, ValueError),
        (3, ValueError),
        (-1, ValueError),
        (2**70, ValueError),
        ("on", ValueError),
        ("", ValueError),
        ("2", ValueError),
        (lmtokens.TokenStatus(7), ValueError),
        (True, TypeError),
        (None, TypeError),
        (2.0, TypeError),
        (b"enabled", TypeError),
    ],
    ids=repr,
)
def test_invalid_status_is_rejected(lmtokens_portal: Portal, status: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=STATUS) as caught:
        lmtokens.add_token(32, status=status)
    assert type(caught.value) is error
    assert lmtokens_portal.record == []


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("x", ValueError),
        ("", ValueError),
        ("API token", ValueError),
        (lmtokens.TokenType("x"), ValueError),
        (None, TypeError),
        (1, TypeError),
        (b"bearer", TypeError),
    ],
    ids=repr,
)
def test_invalid_type_is_rejected(lmtokens_portal: Portal, kind: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=TYPE) as caught:
        lmtokens.add_token(32, type=kind)
    assert type(caught.value) is error
    assert lmtokens_portal.record == []


@pytest.mark.parametrize("arguments", [{"foo": 1}, {"statuss": 1}, {"destination": None}, {"key": "x"}])
def test_unknown_argument_is_rejected(lmtokens_portal: Portal, arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(arguments))):
        lmtokens.add_token(32, **arguments)
    assert lmtokens_portal.record == []


def test_admin_id_is_required(lmtokens_portal: Portal) -> None:
    with pytest.raises(TypeError, match="admin_id"):
        lmtokens.add_token()  # type: ignore[call-overload]
    assert lmtokens_portal.record == []


COMPANIES = [
    "acme/evil",
    "acme/santaba/rest",
    "/acme",
    "",
    " ",
    ".",
    "-acme",
    "acme-",
    "ac me",
    "acme\r\nHost: x",
    "acme@evil",
    "acme:443",
    "acme?x",
    "acme#x",
    "acme%2eevil",
    "zoë",
    "a" * 64,
    "acme.example.com",
    "acme.logicmonitor.com.example.com",
    "a.b.logicmonitor.com",
    ".logicmonitor.com",
    "http://acme.logicmonitor.com",
    "https://acme.example.com",
    "https://user@acme.logicmonitor.com",
    "https://acme.logicmonitor.com:8443/x",
    "https://acme.logicmonitor.com@evil.example.com",
    "ftp://acme.logicmonitor.com",
    "https://",
]

BASE_URLS = [
    "",
    "acme",
    "http://acme.logicmonitor.com/santaba/rest",
    "http://192.0.2.1/santaba/rest",
    "http://10.0.0.1/santaba/rest",
    "http://0.0.0.0/santaba/rest",
    "http://128.0.0.1/santaba/rest",
    "http://[::]/santaba/rest",
    "http://[::2]/santaba/rest",
    "http://[::ffff:127.0.0.1]/santaba/rest",
    "http://127.0.0.1.example.com/santaba/rest",
    "http://localhost.example.com/santaba/rest",
    "http://localhost./santaba/rest",
    "http://xlocalhost/santaba/rest",
    "http://loopback/santaba/rest",
    "http://127.0.0.1@example.com/santaba/rest",
    "http://localhost:80@example.com/santaba/rest",
    "http://127.0.0.1\\@example.com/santaba/rest",
    "http://user:invented@127.0.0.1/santaba/rest",
    "https://user@acme.logicmonitor.com/santaba/rest",
    "https://@acme.logicmonitor.com/santaba/rest",
    "https://acme.logicmonitor.com",
    "https://acme.logicmonitor.com/",
    "https://acme.logicmonitor.com/santaba",
    "https://acme.logicmonitor.com/santaba/rest?v=3",
    "https://acme.logicmonitor.com/santaba/rest#top",
    "https://acme.logicmonitor.com/santaba/rest/setting/admins",
    "ftp://127.0.0.1/santaba/rest",
    "file:///santaba/rest",
    "//127.0.0.1/santaba/rest",
    "https:///santaba/rest",
]

TIMEOUTS: list[tuple[Any, type[Exception]]] = [
    (0, ValueError),
    (-1, ValueError),
    (0.0, ValueError),
    (float("nan"), ValueError),
    (float("inf"), ValueError),
    (86_401, ValueError),
    ((0, 5), ValueError),
    ((5, 0), ValueError),
    ((float("nan"), 5), ValueError),
    (True, TypeError),
    ("5", TypeError),
    (b"5", TypeError),
    ((), TypeError),
    ((1,), TypeError),
    ((1, 2, 3), TypeError),
    ((1, "2"), TypeError),
    ((None, 2), TypeError),
    ([1, 2], TypeError),
    ({}, TypeError),
]

CLIENTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    *[({"company": name}, ConfigurationError, COMPANY) for name in COMPANIES],
    *[({"base_url": url}, ConfigurationError, BASE_URL) for url in BASE_URLS],
    *[({"timeout": timeout}, error, TIMEOUT) for timeout, error in TIMEOUTS],
    ({"company": 5}, TypeError, "company"),
    ({"company": b"acme"}, TypeError, "company"),
    ({"base_url": 5}, TypeError, "base_url"),
    ({"domain": "logicmonitor"}, ConfigurationError, "invalid domain; expected the part of"),
    ({"domain": "lm gov.us"}, ConfigurationError, "invalid domain; expected the part of"),
    ({"domain": "evil.example/x.y"}, ConfigurationError, "invalid domain; expected the part of"),
    (
        {"company": "acme.logicmonitor.com", "domain": "lmgov.us"},
        ConfigurationError,
        "the company is on logicmonitor.com, but another domain is set",
    ),
    ({"access_key": f"{ACCESS_KEY}\n"}, CredentialsError, f"line break.*{KEY}"),
    ({"access_key": f"{ACCESS_KEY}\r\n"}, CredentialsError, f"line break.*{KEY}"),
    ({"access_key": f" {ACCESS_KEY}"}, CredentialsError, KEY),
    ({"access_key": f"{ACCESS_KEY}\u00a0"}, CredentialsError, KEY),
    ({"access_key": "two words"}, CredentialsError, KEY),
    ({"access_key": "nul\x00nul"}, CredentialsError, KEY),
    ({"access_key": ""}, CredentialsError, KEY),
    ({"access_key": 5}, TypeError, "str or a Secret, not int"),
    ({"access_key": b"bytes"}, TypeError, "str or a Secret, not bytes"),
    # Not a UnicodeEncodeError, whose attribute ``object`` has the whole text.
    ({"access_key": "surrogate\ud800"}, ValueError, "surrogate"),
    ({"access_id": f"{ACCESS_ID}\n"}, CredentialsError, f"line break.*{ID}"),
    ({"access_id": ""}, CredentialsError, ID),
    ({"access_id": ACCESS_KEY}, CredentialsError, f"swapped.*{ID}"),
    ({"access_id": "lma_invented"}, CredentialsError, f"swapped.*{ID}"),
    ({"access_id": "lmb_invented"}, CredentialsError, f"bearer_token.*{ID}"),
    ({"access_id": 5}, TypeError, "str or a Secret, not int"),
    ({"access_id": None}, CredentialsError, "access_id is missing"),
    ({"access_key": None}, CredentialsError, "access_key is missing"),
    ({"bearer_token": "lmb_invented"}, CredentialsError, "one kind"),
    *[
        ({"access_id": None, "access_key": None, "bearer_token": token}, CredentialsError, f"{expected}.*{BEARER}")
        for token, expected in [
            ("", "empty"),
            ("lmb_invented\n", "line break"),
            ("lmb_inv ented", "white space"),
            ("lmb_zoë", "non-ASCII"),
            ("lma_invented", "access_key"),
            ("Bearer lmb_invented", "word Bearer"),
        ]
    ],
]


@pytest.mark.parametrize(
    ("changed", "error", "expected"), CLIENTS, ids=[repr(settings)[:60] for settings, _, _ in CLIENTS]
)
def test_invalid_setting_is_rejected_before_any_connection(
    changed: dict[str, Any],
    error: type[Exception],
    expected: str,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, url in listener.proxies().items():
        monkeypatch.setenv(name, url)
    settings = {"company": "acme", "access_id": ACCESS_ID, "access_key": ACCESS_KEY, "timeout": 5, **changed}
    with pytest.raises(error, match=f"(?s){expected}") as caught:
        lmtokens.Client(**settings).add_token(32)
    # Invalid arguments raise built-in classes, invalid settings and credentials those of the package.
    assert type(caught.value) is error
    assert listener.received == []


def test_valid_client_reaches_the_proxy_of_these_tests(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, url in listener.proxies().items():
        monkeypatch.setenv(name, url)
    client = lmtokens.Client("acme", access_id=ACCESS_ID, access_key=ACCESS_KEY, timeout=5)
    with pytest.raises(lmtokens.LMTokensError):
        client.add_token(32)
    assert listener.received[0].startswith(b"CONNECT acme.logicmonitor.com:443 ")


@pytest.mark.parametrize(
    ("settings", "base_url"),
    [
        ({"company": "acme"}, "https://acme.logicmonitor.com/santaba/rest"),
        ({"company": " ACME "}, "https://acme.logicmonitor.com/santaba/rest"),
        ({"company": "acme.logicmonitor.com"}, "https://acme.logicmonitor.com/santaba/rest"),
        (
            {"company": "https://acme.logicmonitor.com/santaba/uiv4/settings?x=1#y"},
            "https://acme.logicmonitor.com/santaba/rest",
        ),
        ({"company": "acme.lmgov.us"}, "https://acme.lmgov.us/santaba/rest"),
        ({"company": "acme", "domain": "lmgov.us"}, "https://acme.lmgov.us/santaba/rest"),
        ({"company": "acme.lmgov.us", "domain": "lmgov.us"}, "https://acme.lmgov.us/santaba/rest"),
        ({"base_url": "https://proxy.example.com/acme/santaba/rest/"}, "https://proxy.example.com/acme/santaba/rest"),
        ({"base_url": "http://127.0.0.1:8080/santaba/rest"}, "http://127.0.0.1:8080/santaba/rest"),
        ({"base_url": "http://127.9.9.9/santaba/rest"}, "http://127.9.9.9/santaba/rest"),
        ({"base_url": "http://[::1]:80/santaba/rest"}, "http://[::1]/santaba/rest"),
        ({"base_url": "http://localhost/santaba/rest"}, "http://localhost/santaba/rest"),
    ],
    ids=repr,
)
def test_settings_that_the_messages_list_are_accepted(settings: dict[str, Any], base_url: str) -> None:
    client = lmtokens.Client(access_id=ACCESS_ID, access_key=ACCESS_KEY, **settings)
    assert repr(client) == f"<lmtokens.Client {base_url}, LMv1 from arguments>"


@pytest.mark.parametrize("timeout", [5, 0.5, (1, 5), (0.5, 86_400)])
def test_valid_timeout_is_accepted(lmtokens_portal: Portal, timeout: Any) -> None:
    assert lmtokens_portal.client(timeout=timeout).add_token(32).id


@pytest.mark.parametrize("arguments", [("acme", ACCESS_ID), ("acme", ACCESS_ID, ACCESS_KEY)], ids=["id", "id and key"])
def test_credentials_are_keyword_only(arguments: tuple[str, ...]) -> None:
    with pytest.raises(TypeError) as caught:
        lmtokens.Client(*arguments)
    assert ACCESS_KEY not in str(caught.value)
    assert ACCESS_ID not in str(caught.value)


@pytest.mark.parametrize("query", ["/setting/admins/apitokens?size=1", "/setting/admins/32/apitokens?type=bearer"])
def test_query_in_a_signed_path_is_rejected(query: str) -> None:
    with pytest.raises(ValueError, match="contains a query string, which is never signed; expected the path after"):
        lmtokens.sign("GET", query, access_id=ACCESS_ID, access_key=ACCESS_KEY)
