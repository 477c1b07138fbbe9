"""Only ``Secret.reveal()`` discloses a secret.

Each secret is a marker: an access key, a bearer token, a key typed at the prompt, the access key of a new token, the
password of a proxy and of a pasted URL, an access key passed as the access id. The tests search for any eight
consecutive characters of a marker in:

- ``str``, ``repr``, ``format`` with every kind of format spec, ``%``, f-strings, of Secret, Token, Client and Portal
- ``json``, ``pickle`` in all protocols, ``copy``, ``__reduce_ex__``, ``__getstate__``, ``vars``, ``dir``, attributes
- the size and the hash of a Secret, which could reveal its length or its text
- ``to_dict``, rich display hooks, ``reprlib``, ``pprint``, pytest's explanation of a failed comparison
- all ``logging`` records of every logger at DEBUG, with all their attributes
- every exception caused by wrong use, a hostile portal or a hostile network: ``str``, ``repr``, ``args``, attributes,
  notes, the chain of causes, the formatted traceback, the traceback with the locals of every frame, ``sys.excepthook``
- warnings, standard output and standard error, including an unhandled KeyboardInterrupt in a create
- the shell: standard error and arguments in ``/proc``, with debug output enabled by the environment
- the objects known to the garbage collector after a call, and the namespaces of our modules
- the dump of ``faulthandler`` during a call
"""

from __future__ import annotations

import copy
import gc
import io
import json
import logging
import pickle
import pprint
import reprlib
import subprocess
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import lmtokens
import pytest
from lmtokens.sandbox import Portal
from support import (
    ACCESS_ID,
    HANG_TIMEOUT,
    SHELL,
    Listener,
    ReceivedRequest,
    StubServer,
    fake_kernel,
    run_python,
    run_shell,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = "********"


class Marker:
    """Builds its text on demand: a local variable of a test that holds it would count as a leak in tracebacks."""

    def __init__(self, *parts: str) -> None:
        self._parts = parts

    def __call__(self) -> str:
        return "".join(self._parts)

    def __add__(self, more: str) -> Marker:
        return Marker(*self._parts, more)

    def __radd__(self, before: str) -> Marker:
        return Marker(before, *self._parts)

    def __repr__(self) -> str:
        return "Marker()"


KEY = Marker("Qx7+mar", "ker(Zk9]{%", "~^_=VwJ")
BEARER = Marker("lmb_", "Hy3mark", "erBt8NfUc2", "PoL")
# Letters and digits only, so that it is a valid access id.
PLAIN_KEY = Marker("Gd5mark", "erRs6TzXb4", "MiE")
MARKERS = [KEY, BEARER, PLAIN_KEY]


def resolve_markers(values: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call with each marker replaced by its text."""
    return {name: value() if isinstance(value, Marker) else value for name, value in values.items()}


def leaks(text: object) -> list[str]:
    """Return every part of a marker that the text contains."""
    searched = str(text)
    windows = [marker()[start : start + 8] for marker in MARKERS for start in range(len(marker()) - 7)]
    return [window for window in windows if window in searched]


def everything_about(error: BaseException) -> Iterator[object]:
    """Yield everything that a user, a log or a crash reporter may see of an exception."""
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield from (str(current), repr(current), repr(current.args), repr(vars(current)))
        yield [getattr(current, name, None) for name in dir(current) if not name.startswith("__")]
        yield getattr(current, "__notes__", None)
        queue += [current.__cause__, current.__context__]
    yield "".join(traceback.format_exception(type(error), error, error.__traceback__))
    with_locals = traceback.TracebackException(type(error), error, error.__traceback__, capture_locals=True)
    yield "".join(with_locals.format())
    shown = io.StringIO()
    standard_error, sys.stderr = sys.stderr, shown
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        sys.stderr = standard_error
    yield shown.getvalue()


def assert_no_leak(error: BaseException) -> None:
    assert [text for text in everything_about(error) if leaks(text)] == []


def new_token() -> lmtokens.Token:
    """Create a token whose access key is the marker."""
    body = {"id": 7, "accessId": ACCESS_ID, "accessKey": KEY(), "adminId": 32, "status": 2, "note": "ci"}
    with StubServer(json.dumps(body).encode()) as server:
        client = lmtokens.Client(access_id=ACCESS_ID, access_key=KEY(), base_url=server.base_url)
        return client.add_token(32, "ci")


def signing_client() -> lmtokens.Client:
    return lmtokens.Client("acme", access_id=ACCESS_ID, access_key=KEY())


def bearer_client() -> lmtokens.Client:
    return lmtokens.Client("acme", bearer_token=BEARER())


HOLDERS: dict[str, Callable[[], Any]] = {
    "Secret": lambda: lmtokens.Secret(KEY()),
    "Secret of a bearer token": lambda: lmtokens.Secret(BEARER()),
    "Secret of a new token": lambda: new_token().access_key,
    "Token": new_token,
    "Client": signing_client,
    "Client with a bearer token": bearer_client,
}


@pytest.fixture(params=sorted(HOLDERS))
def holder(request: pytest.FixtureRequest) -> Any:
    return HOLDERS[request.param]()


def test_search_finds_part_of_a_marker() -> None:
    assert leaks(f"x{KEY()[5:13]}y")
    assert leaks(BEARER()[-8:])
    assert not leaks(MASK)


def test_reveal_returns_the_secret() -> None:
    assert lmtokens.Secret(KEY()).reveal() == KEY()
    key = new_token().access_key
    assert key is not None
    assert key.reveal() == KEY()


@pytest.mark.parametrize("name", ["Secret", "Secret of a bearer token", "Secret of a new token"])
def test_str_and_repr_of_a_secret_are_masked(name: str) -> None:
    secret = HOLDERS[name]()
    assert (str(secret), repr(secret)) == (MASK, f"Secret('{MASK}')")
    assert (f"{secret}", f"{secret!r}", f"{secret!s}", f"{secret!a}") == (MASK, repr(secret), MASK, repr(secret))
    assert (f"{secret}", "%s" % secret, "%r" % secret, "%a" % secret) == (MASK, MASK, repr(secret), repr(secret))  # noqa: UP031


@pytest.mark.parametrize("spec", ["", "s", ">80", "<80", "^80", "*^80s", ".3", "x", "d", "!r", "0", ",", "%Y"])
def test_format_spec_does_not_unmask_a_secret(spec: str) -> None:
    assert format(lmtokens.Secret(KEY()), spec) == MASK
    assert "{:{}}".format(lmtokens.Secret(KEY()), spec) == MASK


def test_mask_and_size_do_not_reveal_the_length() -> None:
    short, long = lmtokens.Secret("a"), lmtokens.Secret("a" * 5000)
    assert (str(short), repr(short)) == (str(long), repr(long))
    assert sys.getsizeof(short) == sys.getsizeof(long)
    with pytest.raises(TypeError):
        len(short)  # type: ignore[arg-type]


def test_secret_is_not_hashable() -> None:
    with pytest.raises(TypeError):
        hash(lmtokens.Secret(KEY()))


def test_secret_equals_only_a_secret() -> None:
    assert lmtokens.Secret(KEY()) == lmtokens.Secret(KEY())
    assert lmtokens.Secret(KEY()) != lmtokens.Secret(BEARER())
    assert (lmtokens.Secret(KEY()) == KEY()) is False
    assert (lmtokens.Secret(KEY()) != KEY()) is True


@pytest.mark.parametrize(
    "use",
    [bytes, list, tuple, set, iter, sorted, int, float, complex, memoryview, "".join, "%d".__mod__, "x".__add__],
    ids=lambda use: getattr(use, "__name__", str(use)),
)
def test_secret_does_not_convert_to_other_types(use: Callable[[Any], object]) -> None:
    secret = lmtokens.Secret(KEY())
    try:
        result = use(secret)
    except (TypeError, ValueError) as error:
        assert_no_leak(error)
    else:
        assert result is NotImplemented


def test_str_and_repr_of_a_holder_do_not_leak(holder: Any) -> None:
    texts = [str(holder), repr(holder), ascii(holder), f"{holder}", f"{holder!r}", "%s %r" % (holder, holder)]  # noqa: UP031
    texts += [reprlib.repr(holder), pprint.pformat([holder]), repr({"x": (holder,)}), f"{holder.__class__}"]
    assert leaks(texts) == []


def test_attributes_of_a_holder_do_not_leak(holder: Any) -> None:
    skipped = {"reveal"}
    attributes = {name: getattr(holder, name) for name in dir(holder) if name not in skipped}
    assert leaks(repr(attributes)) == []
    for name, attribute in attributes.items():
        if name in {"__str__", "__repr__", "__dir__", "__sizeof__", "__getstate__", "to_dict"}:
            assert leaks(repr(attribute())) == []
    with pytest.raises(TypeError):
        vars(holder)
    assert not hasattr(holder, "__dict__")


def test_holder_is_not_json_serializable(holder: Any) -> None:
    with pytest.raises(TypeError, match="not JSON serializable") as caught:
        json.dumps({"x": holder})
    assert_no_leak(caught.value)
    assert leaks(json.dumps({"x": holder}, default=str)) == []
    assert leaks(json.dumps({"x": holder}, default=repr)) == []


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_holder_cannot_be_pickled(holder: Any, protocol: int) -> None:
    for pickled in (holder, [holder], {"x": (holder,)}):
        with pytest.raises(TypeError, match="in plain text") as caught:
            pickle.dumps(pickled, protocol)
        assert_no_leak(caught.value)
    with pytest.raises(TypeError, match="in plain text"):
        holder.__reduce_ex__(protocol)


def test_object_reduce_does_not_leak(holder: Any) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        try:
            reduced = object.__reduce_ex__(holder, protocol)
        except TypeError as error:
            assert_no_leak(error)
        else:
            assert leaks(repr(reduced)) == []


def test_copy_returns_the_same_object(holder: Any) -> None:
    for make in (copy.copy, copy.deepcopy):
        try:
            copied = make(holder)
        except TypeError as error:
            # A client cannot be copied because it holds connections.
            assert isinstance(holder, lmtokens.Client)
            assert_no_leak(error)
        else:
            assert copied is holder


def test_rich_display_hooks_do_not_leak(holder: Any) -> None:
    hooks = ["html", "markdown", "svg", "png", "jpeg", "latex", "json", "javascript", "pdf", "mimebundle", "pretty"]
    names = [f"_repr_{hook}_" for hook in hooks]
    names += ["_ipython_display_", "__rich__", "__rich_repr__", "__rich_console__", "__pt_repr__", "__html__"]
    found = [name for name in names if hasattr(holder, name)]
    assert leaks([getattr(holder, name)() for name in found]) == []


def test_to_dict_omits_the_access_key() -> None:
    members = new_token().to_dict()
    assert "access_key" not in members
    assert leaks(repr(members)) == []
    assert leaks(json.dumps(members)) == []


def test_pytest_assertion_message_is_masked() -> None:
    left, right = lmtokens.Secret(KEY()), lmtokens.Secret(BEARER())
    with pytest.raises(AssertionError) as caught:
        assert left == right
    assert MASK in str(caught.value)
    assert_no_leak(caught.value)
    token = new_token()
    with pytest.raises(AssertionError) as caught:
        assert [token] == [None]
    assert_no_leak(caught.value)


def rejected_by_the_portal(**settings: Any) -> None:
    with Portal() as portal:
        portal.client(**resolve_markers(settings)).add_token(32, "ci")


def echo_request(request: ReceivedRequest) -> bytes:
    """Echo the request, as a careless proxy does."""
    return json.dumps({"errorMessage": json.dumps(request.headers), "errorCode": 1400}).encode()


def call_hostile_portal(response: Callable[[ReceivedRequest], bytes], status: int, **credentials: Any) -> None:
    with StubServer(response, status) as server:
        lmtokens.Client("acme", base_url=server.base_url, **resolve_markers(credentials)).add_token(32)


def truncated_message(request: ReceivedRequest) -> bytes:
    """Return a message so long that it is truncated in the middle of the secret."""
    return json.dumps({"errorMessage": "x" * 488 + KEY() + "x" * 500, "errorCode": 1400}).encode()


def both_secrets(request: ReceivedRequest) -> bytes:
    return json.dumps({"errorMessage": f"bad key {KEY()} or {BEARER()}", "errorCode": 1400}).encode()


def response_without_token(request: ReceivedRequest) -> bytes:
    """Return the new key without the other members of a token."""
    return json.dumps({"accessKey": KEY(), "note": "ci"}).encode()


def response_without_access_id(request: ReceivedRequest) -> bytes:
    return json.dumps({"id": 7, "accessKey": KEY(), "note": "ci"}).encode()


def html_response(request: ReceivedRequest) -> bytes:
    return f"<html>{KEY()}</html>".encode()


def truncated_json(request: ReceivedRequest) -> bytes:
    return f'{{"id": 7, "accessKey": "{KEY()}'.encode()


def through_a_proxy_with_a_password() -> None:
    with Listener() as proxy, pytest.MonkeyPatch.context() as patch:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            patch.setenv(name, f"http://user:{PLAIN_KEY()}@127.0.0.1:{proxy.port}")
        lmtokens.Client("acme", access_id=ACCESS_ID, access_key=KEY(), timeout=5).add_token(32)


def with_environment(**variables: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in variables:
            patch.setenv(name, resolve_markers(variables)[name])
        lmtokens.Client()


PAIR: dict[str, Any] = {"access_id": ACCESS_ID}

WRONG_USE: dict[str, Callable[[], object]] = {
    "key with a line break": lambda: lmtokens.Client("acme", **PAIR, access_key=KEY() + "\n"),
    "key with a space": lambda: lmtokens.Client("acme", **PAIR, access_key=KEY() + " " + KEY()),
    "key as id": lambda: lmtokens.Client("acme", access_id=KEY(), access_key=ACCESS_ID),
    "key as id and key": lambda: lmtokens.Client("acme", access_id=KEY(), access_key=KEY()),
    "plain key as id, rejected": lambda: rejected_by_the_portal(access_id=PLAIN_KEY, access_key=ACCESS_ID),
    "bearer as id": lambda: lmtokens.Client("acme", access_id=BEARER(), access_key=KEY()),
    "bearer and pair": lambda: lmtokens.Client("acme", **PAIR, access_key=KEY(), bearer_token=BEARER()),
    "bearer with a line break": lambda: lmtokens.Client("acme", bearer_token=BEARER() + "\n"),
    "bearer with its scheme": lambda: lmtokens.Client("acme", bearer_token="Bearer " + BEARER()),
    "key as bearer": lambda: lmtokens.Client("acme", bearer_token="lma_" + KEY()),
    "key alone": lambda: lmtokens.Client("acme", access_key=KEY()),
    "key as bytes": lambda: lmtokens.Client("acme", **PAIR, access_key=KEY().encode()),  # type: ignore[arg-type]
    "key in a list": lambda: lmtokens.Client("acme", **PAIR, access_key=[KEY()]),  # type: ignore[arg-type]
    "key with a surrogate": lambda: lmtokens.Client("acme", **PAIR, access_key=KEY() + "\ud800"),
    "id with a surrogate": lambda: lmtokens.Client("acme", access_id=KEY() + "\ud800", access_key=KEY()),
    "bearer with a surrogate": lambda: lmtokens.Client("acme", bearer_token=BEARER() + "\ud800"),
    "Secret with a surrogate": lambda: lmtokens.Secret(KEY() + "\ud800"),
    "Secret of bytes": lambda: lmtokens.Secret(KEY().encode()),  # type: ignore[arg-type]
    "Secret of a list": lambda: lmtokens.Secret([KEY()]),  # type: ignore[arg-type]
    "Secret of two": lambda: lmtokens.Secret(KEY(), KEY()),  # type: ignore[call-arg]
    "credentials by position": lambda: lmtokens.Client("acme", ACCESS_ID, KEY()),  # type: ignore[call-arg]
    "configure": lambda: lmtokens.configure("acme", access_id=KEY(), access_key=KEY()),
    "sign with a line break": lambda: lmtokens.sign("GET", "/x", **PAIR, access_key=KEY() + "\n"),
    "sign with a key as id": lambda: lmtokens.sign("GET", "/x", access_id=KEY(), access_key=ACCESS_ID),
    "sign with a surrogate": lambda: lmtokens.sign("GET", "/x", **PAIR, access_key=KEY() + "\ud800"),
    "sign a query": lambda: lmtokens.sign("GET", "/x?y", **PAIR, access_key=KEY()),
    "sign a str": lambda: lmtokens.sign("POST", "/x", KEY(), **PAIR, access_key=KEY()),  # type: ignore[arg-type]
    "key as admin_id": lambda: signing_client().add_token(KEY()),
    "Secret as admin_id": lambda: signing_client().add_token(lmtokens.Secret(KEY())),  # type: ignore[call-overload]
    "Secret as note": lambda: signing_client().add_token(32, lmtokens.Secret(KEY())),  # type: ignore[call-overload]
    "Secret as status": lambda: signing_client().add_token(32, status=lmtokens.Secret(KEY())),  # type: ignore[call-overload]
    "Secret as type": lambda: signing_client().add_token(32, type=lmtokens.Secret(KEY())),  # type: ignore[call-overload]
    "Secret as company": lambda: lmtokens.Client(lmtokens.Secret(KEY())),  # type: ignore[arg-type]
    "key as company": lambda: lmtokens.Client(KEY(), **PAIR, access_key=KEY()),
    "key in a URL's password": lambda: lmtokens.Client(
        **PAIR, access_key=KEY(), base_url=f"https://user:{PLAIN_KEY()}@acme.logicmonitor.com/santaba/rest"
    ),
    "key in a URL's query": lambda: lmtokens.Client(
        **PAIR, access_key=KEY(), base_url=f"https://acme.logicmonitor.com/santaba/rest?key={PLAIN_KEY()}"
    ),
    "key in a company's URL": lambda: lmtokens.Client(
        f"https://user:{PLAIN_KEY()}@acme.logicmonitor.com", **PAIR, access_key=KEY()
    ),
    "key as domain": lambda: lmtokens.Client("acme", domain=KEY(), **PAIR, access_key=KEY()),
    "key as timeout": lambda: lmtokens.Client("acme", timeout=KEY()),  # type: ignore[arg-type]
    "environment with a line break": lambda: with_environment(
        LM_COMPANY="acme", LM_ACCESS_ID=ACCESS_ID, LM_ACCESS_KEY=KEY + "\n"
    ),
    "environment swapped": lambda: with_environment(LM_COMPANY="acme", LM_ACCESS_ID=KEY, LM_ACCESS_KEY=ACCESS_ID),
    "environment with half a pair": lambda: with_environment(LM_COMPANY="acme", LM_ACCESS_KEY=KEY),
    "environment with conflicting aliases": lambda: with_environment(
        LM_COMPANY="acme", LM_ACCESS_ID=ACCESS_ID, LM_ACCESS_KEY=KEY, LM_API_ID=ACCESS_ID, LM_API_KEY=PLAIN_KEY
    ),
    "environment with a key as timeout": lambda: with_environment(LM_COMPANY="acme", LM_TIMEOUT=KEY),
    "wrong key": lambda: rejected_by_the_portal(access_id=ACCESS_ID, access_key=KEY),
    "wrong bearer": lambda: rejected_by_the_portal(bearer_token=BEARER),
    "proxy with a password": through_a_proxy_with_a_password,
    "portal names the secrets": lambda: call_hostile_portal(both_secrets, 400, **PAIR, access_key=KEY),
    "portal names the bearer": lambda: call_hostile_portal(both_secrets, 500, bearer_token=BEARER),
    "portal echoes the bearer": lambda: call_hostile_portal(echo_request, 400, bearer_token=BEARER),
    "portal echoes the bearer in a 200": lambda: call_hostile_portal(echo_request, 200, bearer_token=BEARER),
    "portal truncates the secret": lambda: call_hostile_portal(truncated_message, 400, **PAIR, access_key=KEY),
    "response without a token": lambda: call_hostile_portal(response_without_token, 200, **PAIR, access_key=KEY),
    "response without an access id": lambda: call_hostile_portal(
        response_without_access_id, 200, **PAIR, access_key=KEY
    ),
    "HTML response": lambda: call_hostile_portal(html_response, 200, **PAIR, access_key=KEY),
    "truncated response": lambda: call_hostile_portal(truncated_json, 200, **PAIR, access_key=KEY),
}


@pytest.mark.parametrize("name", sorted(WRONG_USE))
def test_exception_does_not_leak(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises((lmtokens.LMTokensError, TypeError, ValueError)) as caught:
            WRONG_USE[name]()
    # A client withholds only the secret that it knows.
    if name.startswith("portal names"):
        assert "the portal's message is withheld" in str(caught.value)
        known = KEY if "secrets" in name else BEARER
        assert all(known() not in str(text) for text in everything_about(caught.value))
    else:
        assert_no_leak(caught.value)
    assert leaks([str(warning.message) for warning in warned]) == []
    assert leaks(capfd.readouterr()) == []


def test_echoed_signature_is_masked() -> None:
    # A signature stays valid for half an hour: anyone who reads it could replay the request.
    with StubServer(echo_request, 400) as server:
        client = lmtokens.Client(access_id=ACCESS_ID, access_key=KEY(), base_url=server.base_url)
        with pytest.raises(lmtokens.BadRequestError) as caught:
            client.add_token(32)
    signature = next(value for name, value in server.requests[0].headers.items() if name.lower() == "authorization")
    assert signature.split(":")[1] not in str(caught.value)


def test_debug_logs_do_not_leak(caplog: pytest.LogCaptureFixture, lmtokens_portal: Portal) -> None:
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "lmtokens"):
        new_token()
        logging.getLogger("elsewhere").debug("%s %r %s", new_token(), lmtokens.Secret(KEY()), signing_client())
        for name in (
            "wrong key",
            "wrong bearer",
            "portal echoes the bearer",
            "proxy with a password",
            "HTML response",
        ):
            try:
                WRONG_USE[name]()
            except lmtokens.LMTokensError:
                logging.getLogger("elsewhere").exception("went wrong")
    ours = [record for record in caplog.records if record.name == "lmtokens"]
    assert any("POST /setting/admins/{adminId}/apitokens: 200" in record.getMessage() for record in ours)
    assert leaks(caplog.text) == []
    assert leaks([vars(record) for record in caplog.records]) == []


def test_key_typed_at_the_prompt_does_not_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_kernel(monkeypatch)
    monkeypatch.setattr("builtins.input", lambda question: ACCESS_ID)
    monkeypatch.setattr("getpass.getpass", lambda question: KEY())
    client = lmtokens.Client("acme")
    assert leaks(repr(client)) == []
    monkeypatch.setattr("getpass.getpass", lambda question: KEY() + " " + KEY())
    with pytest.raises(lmtokens.CredentialsError) as caught:
        lmtokens.Client("acme")
    assert_no_leak(caught.value)
    monkeypatch.setattr("getpass.getpass", lambda question: KEY() + "\ud800")
    with pytest.raises(lmtokens.CredentialsError) as caught:
        lmtokens.Client("acme")
    assert_no_leak(caught.value)
    # A user may type the key at the prompt for the access id.
    monkeypatch.setattr("builtins.input", lambda question: KEY())
    with pytest.raises(lmtokens.CredentialsError) as caught:
        lmtokens.Client("acme")
    assert_no_leak(caught.value)


def test_traceback_has_no_frame_of_lmtokens() -> None:
    with pytest.raises(lmtokens.AuthenticationError) as caught, Portal() as portal:
        portal.client(access_id=ACCESS_ID, access_key=KEY()).add_token(32)
    ours = Path(lmtokens.__file__).parent
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert [frame.f_code.co_name for frame in frames if Path(frame.f_code.co_filename).parent == ours] == []


def test_module_namespaces_do_not_leak(lmtokens_portal: Portal) -> None:
    lmtokens.configure("acme", access_id=ACCESS_ID, access_key=KEY())
    new_token()
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "lmtokens"]
    assert len(modules) >= 3
    assert leaks([vars(module) for module in modules]) == []


SEARCH_COLLECTOR = """
import gc, sys
import lmtokens, lmtokens.sandbox
portal = lmtokens.sandbox.Portal()

def work():
    client = lmtokens.Client("acme", access_id="exampleAccessId00001", access_key=sys.stdin.readline()[:-1],
                             base_url=portal.base_url)
    try:
        client.add_token(32)
    except lmtokens.AuthenticationError as error:
        return client, error

client, error = work()
needle = sys.stdin.readline()[:-1]
found = []
for holder in gc.get_objects():
    if holder is globals():
        continue
    if isinstance(holder, dict):
        held = [*holder.keys(), *holder.values()]
    elif isinstance(holder, (list, tuple, set, frozenset)):
        held = list(holder)
    else:
        held = []
    found += [type(holder).__name__ for text in held if isinstance(text, (str, bytes)) and needle in str(text)]
planted = ["x" + needle]
assert any(holder is planted for holder in gc.get_objects())
print(found)
"""


def test_garbage_collector_finds_no_secret_after_a_call() -> None:
    completed = run_python(SEARCH_COLLECTOR, stdin=f"{KEY()}\n{KEY()[4:14]}\n")
    assert completed.stderr == ""
    assert completed.stdout == "[]\n"


UNHANDLED = """
import os, signal, sys, threading, time
import lmtokens, lmtokens.sandbox
portal = lmtokens.sandbox.Portal()
portal.fail("delay", method="POST", seconds=40)

def interrupt():
    while not portal.record:
        time.sleep(0.01)
    if "faulthandler" in sys.argv:
        import faulthandler
        faulthandler.dump_traceback()
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
lmtokens.Client(access_id="exampleAccessId00001", access_key=sys.stdin.read(), base_url=portal.base_url).add_token(32)
"""


@pytest.mark.parametrize("argument", ["plain", "faulthandler"])
def test_unhandled_interrupt_of_a_create_does_not_leak(argument: str) -> None:
    environment = {"RUST_LOG": "trace", "RUST_BACKTRACE": "full", "RUST_LIB_BACKTRACE": "1"}
    completed = run_python(UNHANDLED, argument, stdin=KEY(), environment=environment)
    assert "KeyboardInterrupt" in completed.stderr
    assert "a token of user 32" in completed.stderr
    assert leaks(completed.stdout + completed.stderr) == []


def test_gc_referents_do_not_leak() -> None:
    token = new_token()
    assert leaks(gc.get_referents(token)) == []
    assert leaks(gc.get_referents(signing_client())) == []


@pytest.mark.parametrize(
    "fault",
    [None, ("status-before-acting", {"status": 400}), ("close-before-acting", {}), ("garbage", {}), ("no-key", {})],
    ids=str,
)
def test_shell_prints_a_secret_to_standard_output_only(fault: Any, lmtokens_portal: Portal) -> None:
    if fault:
        lmtokens_portal.fail(fault[0], method="POST", **fault[1])
    environment = {"RUST_LOG": "trace", "RUST_BACKTRACE": "full", "PYTHONDEVMODE": "1", "LMTOKENS_DEBUG": "1"}
    completed = run_shell("add", "32", "--note", "ci", "-o", "json", environment=environment)
    secrets = [token.access_key.reveal() for token in lmtokens_portal.tokens]
    secrets.append(lmtokens_portal.bearer_token.reveal())
    assert [secret for secret in secrets if secret in completed.stderr] == []
    if completed.returncode == 0:
        assert json.loads(completed.stdout)["access_key"] == secrets[-2]
    else:
        assert completed.stdout == ""


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="arguments are read from /proc")
def test_shell_has_no_secret_in_its_arguments(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("delay", method="POST", seconds=2)
    with subprocess.Popen([*SHELL, "add", "32"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(lambda: lmtokens_portal.record)
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
        process.communicate(timeout=HANG_TIMEOUT)
    assert "add" in arguments
    assert lmtokens_portal.access_key.reveal() not in arguments


def test_sandbox_record_masks_credentials() -> None:
    with Portal() as portal:
        portal.client().add_token(32, "ci")
        portal.client(bearer_token=portal.bearer_token).add_token(32, type="bearer")
        secrets = [token.access_key.reveal() for token in portal.tokens]
        shown = repr(portal.tokens) + repr(portal) + repr(portal.client())
        # A confused program may put a secret into the note.
        confused = portal.client()
        for secret in secrets:
            confused.add_token(32, note=secret)
        shown += repr(portal.record)
    assert len(secrets) == 4
    assert shown.count(f'"note":"{MASK}"') == 4
    assert [secret for secret in secrets if secret[12:] in shown] == []
