"""A secret leaves by one door, ``Secret.reveal()``, and by no other.

A marker stands for each secret: an access key, a bearer token, the answer to the prompt, the access key of a new
token, the password of a proxy and of a pasted URL, an access key given as access id. What is searched for any eight
characters of it:

- ``str``, ``repr``, ``format`` with every kind of specification, ``%``, f-strings, of Secret, Token, Client and Portal
- ``json``, ``pickle`` in all protocols, ``copy``, ``__reduce_ex__``, ``__getstate__``, ``vars``, ``dir``, attributes
- the size and the hash of a Secret, which would tell its length or its text
- ``to_dict``, hooks of rich display, ``reprlib``, ``pprint``, pytest's explanation of a failed comparison
- all records of ``logging`` at DEBUG, of every logger, with all their attributes
- every exception of wrong use, of a hostile portal, of a hostile network: ``str``, ``repr``, ``args``, attributes,
  notes, the chain of causes, the formatted traceback, the traceback with the locals of every frame, ``sys.excepthook``
- warnings, standard output and standard error, also of an unhandled KeyboardInterrupt in a create
- the shell: standard error, arguments in ``/proc``, with the environment asking for debug output
- what the interpreter's collector knows after the call, and the namespaces of our modules
- the dump of ``faulthandler`` in the middle of a call
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
import types
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
    run_python,
    run_shell,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = "********"


class Marker:
    """Gives its text without leaving it in a local variable, which a traceback would show as ours."""

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
# Letters and digits only, so that it passes for an access id.
PLAIN_KEY = Marker("Gd5mark", "erRs6TzXb4", "MiE")
MARKERS = [KEY, BEARER, PLAIN_KEY]


def told(values: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call, each marker as its text."""
    return {name: value() if isinstance(value, Marker) else value for name, value in values.items()}


def leaks(text: object) -> list[str]:
    """The places where any part of a marker stands."""
    searched = str(text)
    windows = [marker()[start : start + 8] for marker in MARKERS for start in range(len(marker()) - 7)]
    return [window for window in windows if window in searched]


def everything_about(error: BaseException) -> Iterator[object]:
    """All that a person, a log or a crash reporter may show of an exception."""
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


def check(error: BaseException) -> None:
    assert [text for text in everything_about(error) if leaks(text)] == []


def new_token() -> lmtokens.Token:
    """A token whose access key is the marker."""
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
    "Secret of a bearer": lambda: lmtokens.Secret(BEARER()),
    "Secret of a new token": lambda: new_token().access_key,
    "Token": new_token,
    "Client": signing_client,
    "Client of a bearer": bearer_client,
}


@pytest.fixture(params=sorted(HOLDERS))
def holder(request: pytest.FixtureRequest) -> Any:
    return HOLDERS[request.param]()


def test_the_search_finds_a_part() -> None:
    assert leaks(f"x{KEY()[5:13]}y")
    assert leaks(BEARER()[-8:])
    assert not leaks(MASK)


def test_the_door_is_open() -> None:
    assert lmtokens.Secret(KEY()).reveal() == KEY()
    key = new_token().access_key
    assert key is not None
    assert key.reveal() == KEY()


@pytest.mark.parametrize("name", ["Secret", "Secret of a bearer", "Secret of a new token"])
def test_text_of_a_secret_is_the_mask(name: str) -> None:
    secret = HOLDERS[name]()
    assert (str(secret), repr(secret)) == (MASK, f"Secret('{MASK}')")
    assert (f"{secret}", f"{secret!r}", f"{secret!s}", f"{secret!a}") == (MASK, repr(secret), MASK, repr(secret))
    assert (f"{secret}", "%s" % secret, "%r" % secret, "%a" % secret) == (MASK, MASK, repr(secret), repr(secret))  # noqa: UP031


@pytest.mark.parametrize("spec", ["", "s", ">80", "<80", "^80", "*^80s", ".3", "x", "d", "!r", "0", ",", "%Y"])
def test_specification_of_a_format_changes_nothing(spec: str) -> None:
    assert format(lmtokens.Secret(KEY()), spec) == MASK
    assert "{:{}}".format(lmtokens.Secret(KEY()), spec) == MASK


def test_mask_and_size_tell_no_length() -> None:
    short, long = lmtokens.Secret("a"), lmtokens.Secret("a" * 5000)
    assert (str(short), repr(short)) == (str(long), repr(long))
    assert sys.getsizeof(short) == sys.getsizeof(long)
    with pytest.raises(TypeError):
        len(short)  # type: ignore[arg-type]


def test_secret_has_no_hash() -> None:
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
def test_secret_is_no_text(use: Callable[[Any], object]) -> None:
    secret = lmtokens.Secret(KEY())
    try:
        given = use(secret)
    except (TypeError, ValueError) as error:
        check(error)
    else:
        assert given is NotImplemented


def test_text_of_a_holder(holder: Any) -> None:
    texts = [str(holder), repr(holder), ascii(holder), f"{holder}", f"{holder!r}", "%s %r" % (holder, holder)]  # noqa: UP031
    texts += [reprlib.repr(holder), pprint.pformat([holder]), repr({"x": (holder,)}), f"{holder.__class__}"]
    assert leaks(texts) == []


def test_attributes_of_a_holder(holder: Any) -> None:
    doors = {"reveal"}
    attributes = {name: getattr(holder, name) for name in dir(holder) if name not in doors}
    assert leaks(repr(attributes)) == []
    for name, attribute in attributes.items():
        if name in {"__str__", "__repr__", "__dir__", "__sizeof__", "__getstate__", "to_dict"}:
            assert leaks(repr(attribute())) == []
    with pytest.raises(TypeError):
        vars(holder)
    assert not hasattr(holder, "__dict__")


def test_json_of_a_holder(holder: Any) -> None:
    with pytest.raises(TypeError, match="not JSON serializable") as caught:
        json.dumps({"x": holder})
    check(caught.value)
    assert leaks(json.dumps({"x": holder}, default=str)) == []
    assert leaks(json.dumps({"x": holder}, default=repr)) == []


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_of_a_holder_is_refused(holder: Any, protocol: int) -> None:
    for pickled in (holder, [holder], {"x": (holder,)}):
        with pytest.raises(TypeError, match="in the clear") as caught:
            pickle.dumps(pickled, protocol)
        check(caught.value)
    with pytest.raises(TypeError, match="in the clear"):
        holder.__reduce_ex__(protocol)


def test_pickle_of_the_base_class_has_nothing(holder: Any) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        try:
            reduced = object.__reduce_ex__(holder, protocol)
        except TypeError as error:
            check(error)
        else:
            assert leaks(repr(reduced)) == []


def test_copy_of_a_holder(holder: Any) -> None:
    for make in (copy.copy, copy.deepcopy):
        try:
            twin = make(holder)
        except TypeError as error:
            # A client is not copied: it holds connections.
            assert isinstance(holder, lmtokens.Client)
            check(error)
        else:
            assert twin is holder


def test_hooks_of_rich_display_are_absent_or_clean(holder: Any) -> None:
    hooks = ["html", "markdown", "svg", "png", "jpeg", "latex", "json", "javascript", "pdf", "mimebundle", "pretty"]
    names = [f"_repr_{hook}_" for hook in hooks]
    names += ["_ipython_display_", "__rich__", "__rich_repr__", "__rich_console__", "__pt_repr__", "__html__"]
    found = [name for name in names if hasattr(holder, name)]
    assert leaks([getattr(holder, name)() for name in found]) == []


def test_dict_of_a_token() -> None:
    members = new_token().to_dict()
    assert "access_key" not in members
    assert leaks(repr(members)) == []
    assert leaks(json.dumps(members)) == []


def test_explanation_of_a_failed_comparison() -> None:
    left, right = lmtokens.Secret(KEY()), lmtokens.Secret(BEARER())
    with pytest.raises(AssertionError) as caught:
        assert left == right
    assert MASK in str(caught.value)
    check(caught.value)
    token = new_token()
    with pytest.raises(AssertionError) as caught:
        assert [token] == [None]
    check(caught.value)


def refused_by_the_portal(**settings: Any) -> None:
    with Portal() as portal:
        portal.client(**told(settings)).add_token(32, "ci")


def echoed(request: ReceivedRequest) -> bytes:
    """What a careless proxy answers: the request that it got."""
    return json.dumps({"errorMessage": json.dumps(request.headers), "errorCode": 1400}).encode()


def hostile(answer: Callable[[ReceivedRequest], bytes], status: int, **credentials: Any) -> None:
    with StubServer(answer, status) as server:
        lmtokens.Client("acme", base_url=server.base_url, **told(credentials)).add_token(32)


def cut(request: ReceivedRequest) -> bytes:
    """A text so long that it is shortened in the middle of the secret."""
    return json.dumps({"errorMessage": "x" * 488 + KEY() + "x" * 500, "errorCode": 1400}).encode()


def named(request: ReceivedRequest) -> bytes:
    return json.dumps({"errorMessage": f"bad key {KEY()} or {BEARER()}", "errorCode": 1400}).encode()


def no_token(request: ReceivedRequest) -> bytes:
    """Holds the new key, and is no token all the same."""
    return json.dumps({"accessKey": KEY(), "note": "ci"}).encode()


def no_id(request: ReceivedRequest) -> bytes:
    return json.dumps({"id": 7, "accessKey": KEY(), "note": "ci"}).encode()


def no_json(request: ReceivedRequest) -> bytes:
    return f"<html>{KEY()}</html>".encode()


def broken_json(request: ReceivedRequest) -> bytes:
    return f'{{"id": 7, "accessKey": "{KEY()}'.encode()


def through_a_proxy_with_a_password() -> None:
    with Listener() as proxy, pytest.MonkeyPatch.context() as patch:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            patch.setenv(name, f"http://user:{PLAIN_KEY()}@127.0.0.1:{proxy.port}")
        lmtokens.Client("acme", access_id=ACCESS_ID, access_key=KEY(), timeout=5).add_token(32)


def with_environment(**variables: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in variables:
            patch.setenv(name, told(variables)[name])
        lmtokens.Client()


PAIR: dict[str, Any] = {"access_id": ACCESS_ID}

WRONG_USE: dict[str, Callable[[], object]] = {
    "key with a line break": lambda: lmtokens.Client("acme", **PAIR, access_key=KEY() + "\n"),
    "key with a space": lambda: lmtokens.Client("acme", **PAIR, access_key=KEY() + " " + KEY()),
    "key as id": lambda: lmtokens.Client("acme", access_id=KEY(), access_key=ACCESS_ID),
    "key as id and key": lambda: lmtokens.Client("acme", access_id=KEY(), access_key=KEY()),
    "plain key as id, refused": lambda: refused_by_the_portal(access_id=PLAIN_KEY, access_key=ACCESS_ID),
    "bearer as id": lambda: lmtokens.Client("acme", access_id=BEARER(), access_key=KEY()),
    "bearer and pair": lambda: lmtokens.Client("acme", **PAIR, access_key=KEY(), bearer_token=BEARER()),
    "bearer with a line break": lambda: lmtokens.Client("acme", bearer_token=BEARER() + "\n"),
    "bearer with its word": lambda: lmtokens.Client("acme", bearer_token="Bearer " + BEARER()),
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
    "Secret as admin_id": lambda: signing_client().add_token(lmtokens.Secret(KEY())),  # type: ignore[arg-type]
    "Secret as note": lambda: signing_client().add_token(32, lmtokens.Secret(KEY())),  # type: ignore[arg-type]
    "Secret as status": lambda: signing_client().add_token(32, status=lmtokens.Secret(KEY())),  # type: ignore[arg-type]
    "Secret as type": lambda: signing_client().add_token(32, type=lmtokens.Secret(KEY())),  # type: ignore[arg-type]
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
    "environment that differs": lambda: with_environment(
        LM_COMPANY="acme", LM_ACCESS_ID=ACCESS_ID, LM_ACCESS_KEY=KEY, LM_API_ID=ACCESS_ID, LM_API_KEY=PLAIN_KEY
    ),
    "environment with a key as timeout": lambda: with_environment(LM_COMPANY="acme", LM_TIMEOUT=KEY),
    "wrong key": lambda: refused_by_the_portal(access_id=ACCESS_ID, access_key=KEY),
    "wrong bearer": lambda: refused_by_the_portal(bearer_token=BEARER),
    "proxy with a password": through_a_proxy_with_a_password,
    "portal names the secrets": lambda: hostile(named, 400, **PAIR, access_key=KEY),
    "portal names the bearer": lambda: hostile(named, 500, bearer_token=BEARER),
    "portal echoes the bearer": lambda: hostile(echoed, 400, bearer_token=BEARER),
    "portal echoes the bearer in a 200": lambda: hostile(echoed, 200, bearer_token=BEARER),
    "portal cuts the secret": lambda: hostile(cut, 400, **PAIR, access_key=KEY),
    "answer without a token": lambda: hostile(no_token, 200, **PAIR, access_key=KEY),
    "answer without an id": lambda: hostile(no_id, 200, **PAIR, access_key=KEY),
    "answer in HTML": lambda: hostile(no_json, 200, **PAIR, access_key=KEY),
    "answer that breaks off": lambda: hostile(broken_json, 200, **PAIR, access_key=KEY),
}


@pytest.mark.parametrize("name", sorted(WRONG_USE))
def test_exception_of_wrong_use(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises((lmtokens.LMTokensError, TypeError, ValueError)) as caught:
            WRONG_USE[name]()
    # "portal names the secrets" may keep the one that this client does not know.
    if name.startswith("portal names"):
        assert MASK in str(caught.value)
        known = KEY if "secrets" in name else BEARER
        assert all(known() not in str(text) for text in everything_about(caught.value))
    else:
        check(caught.value)
    assert leaks([str(warning.message) for warning in warned]) == []
    assert leaks(capfd.readouterr()) == []


def test_signature_that_is_echoed_is_not_shown() -> None:
    # Whoever reads it can send the request again for half an hour.
    with StubServer(echoed, 400) as server:
        client = lmtokens.Client(access_id=ACCESS_ID, access_key=KEY(), base_url=server.base_url)
        with pytest.raises(lmtokens.BadRequestError) as caught:
            client.add_token(32)
    signature = next(value for name, value in server.requests[0].headers.items() if name.lower() == "authorization")
    assert signature.split(":")[1] not in str(caught.value)


def test_logs_at_debug(caplog: pytest.LogCaptureFixture, lmtokens_portal: Portal) -> None:
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "lmtokens"):
        new_token()
        logging.getLogger("elsewhere").debug("%s %r %s", new_token(), lmtokens.Secret(KEY()), signing_client())
        for name in (
            "wrong key",
            "wrong bearer",
            "portal echoes the bearer",
            "proxy with a password",
            "answer in HTML",
        ):
            try:
                WRONG_USE[name]()
            except lmtokens.LMTokensError:
                logging.getLogger("elsewhere").exception("went wrong")
    ours = [record for record in caplog.records if record.name == "lmtokens"]
    assert any("POST /setting/admins/{adminId}/apitokens: 200" in record.getMessage() for record in ours)
    assert leaks(caplog.text) == []
    assert leaks([vars(record) for record in caplog.records]) == []


def test_answer_to_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setattr("builtins.input", lambda question: ACCESS_ID)
    monkeypatch.setattr("getpass.getpass", lambda question: KEY())
    client = lmtokens.Client("acme")
    assert leaks(repr(client)) == []
    monkeypatch.setattr("getpass.getpass", lambda question: KEY() + " " + KEY())
    with pytest.raises(lmtokens.CredentialsError) as caught:
        lmtokens.Client("acme")
    check(caught.value)
    monkeypatch.setattr("getpass.getpass", lambda question: KEY() + "\ud800")
    with pytest.raises(lmtokens.CredentialsError) as caught:
        lmtokens.Client("acme")
    check(caught.value)
    # The one who types may be asked for the id first.
    monkeypatch.setattr("builtins.input", lambda question: KEY())
    with pytest.raises(lmtokens.CredentialsError) as caught:
        lmtokens.Client("acme")
    check(caught.value)


def test_no_frame_of_ours_is_in_a_traceback() -> None:
    with pytest.raises(lmtokens.AuthenticationError) as caught, Portal() as portal:
        portal.client(access_id=ACCESS_ID, access_key=KEY()).add_token(32)
    ours = Path(lmtokens.__file__).parent
    frames = [frame for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert [frame.f_code.co_name for frame in frames if Path(frame.f_code.co_filename).parent == ours] == []


def test_modules_keep_nothing(lmtokens_portal: Portal) -> None:
    lmtokens.configure("acme", access_id=ACCESS_ID, access_key=KEY())
    new_token()
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "lmtokens"]
    assert len(modules) >= 3
    assert leaks([vars(module) for module in modules]) == []


AFTERMATH = """
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


def test_collector_knows_nothing_after_a_call() -> None:
    completed = run_python(AFTERMATH, stdin=f"{KEY()}\n{KEY()[4:14]}\n")
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
def test_unhandled_interrupt_of_a_create(argument: str) -> None:
    environment = {"RUST_LOG": "trace", "RUST_BACKTRACE": "full", "RUST_LIB_BACKTRACE": "1"}
    completed = run_python(UNHANDLED, argument, stdin=KEY(), environment=environment)
    assert "KeyboardInterrupt" in completed.stderr
    assert "a token of user 32" in completed.stderr
    assert leaks(completed.stdout + completed.stderr) == []


def test_finalised_objects_show_nothing_in_debug_builds_of_the_collector() -> None:
    token = new_token()
    assert leaks(gc.get_referents(token)) == []
    assert leaks(gc.get_referents(signing_client())) == []


@pytest.mark.parametrize(
    "fault",
    [None, ("status-before-acting", {"status": 400}), ("close-before-acting", {}), ("garbage", {}), ("no-key", {})],
    ids=str,
)
def test_shell_shows_a_secret_on_standard_output_alone(fault: Any, lmtokens_portal: Portal) -> None:
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
def test_shell_has_no_secret_among_its_arguments(lmtokens_portal: Portal) -> None:
    lmtokens_portal.fail("delay", method="POST", seconds=2)
    with subprocess.Popen([*SHELL, "add", "32"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_until(lambda: lmtokens_portal.record)
        arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
        process.communicate(timeout=HANG_TIMEOUT)
    assert "add" in arguments
    assert lmtokens_portal.access_key.reveal() not in arguments


def test_record_of_the_portal_holds_no_credential() -> None:
    with Portal() as portal:
        portal.client().add_token(32, "ci")
        portal.client(bearer_token=portal.bearer_token).add_token(32, type="bearer")
        secrets = [token.access_key.reveal() for token in portal.tokens]
        shown = repr(portal.tokens) + repr(portal) + repr(portal.client())
        # Where a confused program puts them.
        confused = portal.client()
        for secret in secrets:
            confused.add_token(32, note=secret)
        shown += repr(portal.record)
    assert len(secrets) == 4
    assert shown.count(f'"note":"{MASK}"') == 4
    assert [secret for secret in secrets if secret[12:] in shown] == []
