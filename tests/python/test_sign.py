"""LMv1 signatures match the vectors and CPython's hmac, and input that can never verify is rejected."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import lmtokens
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lmtokens import _lmtokens
from support import ACCESS_ID, ACCESS_KEY, TOKENS_PATH

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "lmv1.json").read_text(encoding="utf-8")
)["cases"]

NOW = 1700000000000


# 9999-12-31T23:59:59.999 UTC, in milliseconds.
END_OF_9999 = 253_402_300_799_999


def reference(method: str, timestamp_ms: int, body: bytes, path: str, key: str) -> tuple[bytes, str, str]:
    """Return the three stages of a signature, computed by CPython alone."""
    text = method.encode() + str(timestamp_ms).encode() + body + path.encode()
    digest = hmac.new(key.encode(), text, hashlib.sha256).hexdigest()
    return text, digest, base64.b64encode(digest.encode()).decode()


def sign(method: Any = "POST", path: Any = TOKENS_PATH, body: Any = b"{}", **changed: Any) -> str:
    arguments = {"access_id": ACCESS_ID, "access_key": ACCESS_KEY, "timestamp_ms": NOW, **changed}
    return lmtokens.sign(method, path, body, **arguments)


@pytest.mark.parametrize("case", VECTORS, ids=[case["name"] for case in VECTORS])
def test_every_stage_matches_the_vector(case: dict[str, Any]) -> None:
    body = base64.b64decode(case["body_base64"])
    expected = (base64.b64decode(case["string_to_sign_base64"]), case["digest_hex"], case["signature"])
    stages = _lmtokens._signing_stages(
        case["method"], case["timestamp_ms"], body, case["resource_path"], case["access_key"]
    )
    assert stages == expected
    # Checks the vectors themselves.
    assert expected == reference(case["method"], case["timestamp_ms"], body, case["resource_path"], case["access_key"])


@pytest.mark.parametrize("case", VECTORS, ids=[case["name"] for case in VECTORS])
def test_sign_matches_the_vector(case: dict[str, Any]) -> None:
    header = lmtokens.sign(
        case["method"],
        case["resource_path"],
        base64.b64decode(case["body_base64"]),
        access_id=case["access_id"],
        access_key=case["access_key"],
        timestamp_ms=case["timestamp_ms"],
    )
    assert header == case["authorization"]


# No invisible characters, quotation marks and masks, which are refused around a key.
VISIBLE = st.characters(
    exclude_categories=("C", "M", "Z"),
    exclude_characters="\"'`“”„‟‘’‚«»‹›「」『』＂＇*•●∗\u115f\u1160\u2800\u3164\uffa0",
)
NO_KEYS = {"none", "null", "undefined", "changeme", "replaceme"}
KEYS = st.one_of(st.text(VISIBLE, min_size=1, max_size=80), st.text(VISIBLE, min_size=65, max_size=130)).filter(
    lambda key: key.lower().replace("_", "").replace("-", "") not in NO_KEYS
)
PATHS = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="?#"), max_size=40).map(
    lambda rest: f"/setting/{rest}"
)


@settings(max_examples=10_000)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    # Numbers between these are times in another unit.
    timestamp_ms=st.just(0) | st.integers(10**12, END_OF_9999),
    body=st.binary(max_size=200),
    path=PATHS,
    key=KEYS,
)
def test_random_input_agrees_with_hmac(method: str, timestamp_ms: int, body: bytes, path: str, key: str) -> None:
    expected = reference(method, timestamp_ms, b"" if method == "GET" else body, path, key)
    assert _lmtokens._signing_stages(method, timestamp_ms, body, path, key) == expected
    header = lmtokens.sign(method, path, body, access_id=ACCESS_ID, access_key=key, timestamp_ms=timestamp_ms)
    assert header == f"LMv1 {ACCESS_ID}:{expected[2]}:{timestamp_ms}"


def test_sign_matches_the_vendors_script() -> None:
    # The script concatenates strings, uses the key as UTF-8, and base64-encodes the hex digits instead of the digest.
    joined = "POST" + str(NOW) + "{}" + TOKENS_PATH
    hexadecimal = hmac.new(ACCESS_KEY.encode("utf-8"), joined.encode("utf-8"), "sha256").hexdigest()
    signature = base64.b64encode(hexadecimal.encode("utf-8")).decode("utf-8")
    assert sign() == "LMv1 " + ACCESS_ID + ":" + signature + ":" + str(NOW)


@pytest.mark.parametrize("spelling", ["post", "Post", "pOsT"])
def test_method_is_converted_to_upper_case(spelling: str) -> None:
    assert sign(spelling) == sign("POST")


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\x00{}",
        bytearray(b"\xff\x00{}"),
        memoryview(b"\xff\x00{}"),
        memoryview(b"\xff-\x00-{-}-")[::2],
    ],
    ids=["bytes", "bytearray", "memoryview", "memoryview with steps"],
)
def test_body_may_be_any_bytes_like_object(body: Any) -> None:
    assert sign(body=body).split(":")[1] == reference("POST", NOW, b"\xff\x00{}", TOKENS_PATH, ACCESS_KEY)[2]


def test_body_is_empty_by_default() -> None:
    without_body = lmtokens.sign("GET", TOKENS_PATH, access_id=ACCESS_ID, access_key=ACCESS_KEY, timestamp_ms=NOW)
    assert without_body == sign("GET", body=b"")


@pytest.mark.parametrize("method", ["GET", "head"])
def test_signature_does_not_cover_the_body_of_a_method_without_one(method: str) -> None:
    header = sign(method, body=b"{}")
    assert header == sign(method, body=b"")
    explained = lmtokens.explain_signature(
        header, method, TOKENS_PATH, b"{}", access_id=ACCESS_ID, access_key=ACCESS_KEY
    )
    assert "body-not-sent" not in str(explained)


def test_secret_objects_are_accepted() -> None:
    assert sign(access_id=lmtokens.Secret(ACCESS_ID), access_key=lmtokens.Secret(ACCESS_KEY)) == sign()


def test_timestamp_defaults_to_now() -> None:
    before = time.time_ns() // 1_000_000
    stamp = int(sign(timestamp_ms=None).rsplit(":", 1)[1])
    assert before <= stamp <= time.time_ns() // 1_000_000


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "begin with a slash"),
        ("setting/admins", "begin with a slash"),
        ("https://acme.logicmonitor.com/santaba/rest/setting", "begin with a slash"),
        ("/santaba/rest", "contains /santaba/rest"),
        ("/santaba/rest/setting/admins", "contains /santaba/rest"),
        ("/setting/admins/apitokens?size=1", "query"),
        ("/setting/admins/apitokens#top", "fragment"),
        ("/setting/admins\n", "control character"),
        ("/setting/\x00", "control character"),
    ],
)
def test_invalid_path_is_rejected(path: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        sign(path=path)
    assert "expected the path after /santaba/rest, such as /setting/admins/32/apitokens" in str(caught.value)


def test_path_similar_to_the_prefix_is_signed() -> None:
    assert (
        sign(path="/santaba/restful").split(":")[1]
        == (reference("POST", NOW, b"{}", "/santaba/restful", ACCESS_KEY)[2])
    )


@pytest.mark.parametrize("method", ["", " ", "GET ", "G3T", "POST\r\nX: y", "GÉT"])
def test_invalid_method_is_rejected(method: str) -> None:
    with pytest.raises(ValueError, match="GET, POST, PUT, PATCH or DELETE"):
        sign(method)


@pytest.mark.parametrize("body", ["{}", None, 1, {}, [1]])
def test_body_that_is_not_bytes_is_rejected(body: Any) -> None:
    with pytest.raises(TypeError, match=r"body must be bytes.*encode") as caught:
        sign(body=body)
    assert type(body).__name__ in str(caught.value)


@pytest.mark.parametrize(
    ("key", "words"),
    [("", "empty"), (" ", "white space"), ("key\n", "line break"), ("\tkey", "white space"), ("k y", "white")],
)
def test_invalid_access_key_is_rejected(key: str, words: str) -> None:
    with pytest.raises(lmtokens.CredentialsError, match=words) as caught:
        sign(access_key=key)
    assert "expected the access key" in str(caught.value)


@pytest.mark.parametrize("access_id", ["", "id\n", "two words", "a:b", "Zoë", "lmb_example", "lma_example"])
def test_invalid_access_id_is_rejected(access_id: str) -> None:
    with pytest.raises(lmtokens.CredentialsError, match="letters and digits only"):
        sign(access_id=access_id)


@pytest.mark.parametrize("timestamp_ms", [-1, END_OF_9999 + 1, 2**64, 10**30, -(10**30)])
def test_timestamp_out_of_range_is_rejected(timestamp_ms: int) -> None:
    with pytest.raises(ValueError, match=r"timestamp_ms.*milliseconds since 1970-01-01 UTC.*9999") as caught:
        sign(timestamp_ms=timestamp_ms)
    assert type(caught.value) is ValueError


@pytest.mark.parametrize("timestamp_ms", [0, END_OF_9999])
def test_smallest_and_largest_timestamp(timestamp_ms: int) -> None:
    assert sign(timestamp_ms=timestamp_ms).endswith(f":{timestamp_ms}")


def test_bearer_token_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"access_key: is a bearer token.*Authorization: Bearer") as caught:
        sign(access_key="lmb_inventedBearer")
    assert type(caught.value) is ValueError
    assert "inventedBearer" not in str(caught.value)


@pytest.mark.parametrize("timestamp_ms", [True, 1.5, "1700000000000"])
def test_timestamp_that_is_not_an_integer_is_rejected(timestamp_ms: Any) -> None:
    with pytest.raises(TypeError, match="timestamp_ms must be an int of milliseconds since 1970-01-01 UTC"):
        sign(timestamp_ms=timestamp_ms)


@pytest.mark.parametrize("missing", ["access_id", "access_key"])
def test_credentials_are_not_read_from_the_environment(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LM_ACCESS_ID", ACCESS_ID)
    monkeypatch.setenv("LM_ACCESS_KEY", ACCESS_KEY)
    arguments: dict[str, Any] = {"access_id": ACCESS_ID, "access_key": ACCESS_KEY}
    del arguments[missing]
    with pytest.raises(TypeError, match=missing):
        lmtokens.sign("GET", TOKENS_PATH, **arguments)
