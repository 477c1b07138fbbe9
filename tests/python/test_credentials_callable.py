"""Credentials from a callable: called when they are needed, once for calls at the same time, and again after a 401."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import os
import signal
import threading
import time
import warnings
import weakref
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Callable

import lmtokens
import pytest
from api_variants import VARIANTS, api_for, credentials_of, modifying_requests
from support import HANG_TIMEOUT, UNLIMITED, run_python

if TYPE_CHECKING:
    from pathlib import Path

    from lmtokens.sandbox import Portal, StoredToken

WRONG = {"access_id": "exampleAccessId00001", "access_key": "invented-key"}


class Source:
    """A callable that counts its calls and returns what it holds."""

    def __init__(self, result: object) -> None:
        self.result = result
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        return self.result


class AsyncSource(Source):
    async def __call__(self) -> Any:
        self.calls += 1
        await asyncio.sleep(0)
        return self.result


def as_function(source: Callable[[], Any]) -> Callable[[], Any]:
    """Return an ordinary function that returns what the source does: the coroutine of a coroutine function."""

    def call() -> Any:
        return source()

    return call


@pytest.fixture
def token(lmtokens_portal: Portal) -> StoredToken:
    """A second token of the administrator, which the administrator can delete."""
    return lmtokens_portal.create_token(1)


def delete(portal: Portal, token: StoredToken) -> None:
    portal.client().delete_token(token.id)
    portal.clear_record()


def replaced(portal: Portal, source: Source, token: StoredToken) -> StoredToken:
    """Delete a token, and let the source return a new one."""
    new = portal.create_token(1)
    delete(portal, token)
    source.result = credentials_of(new)
    return new


@pytest.mark.parametrize("variant", VARIANTS)
def test_callable_is_called_at_the_first_request_and_not_again(lmtokens_portal: Portal, variant: str) -> None:
    source = Source((lmtokens_portal.access_id, lmtokens_portal.access_key))
    api = api_for(variant, lmtokens_portal, credentials=source)
    assert source.calls == 0
    for _ in range(3):
        api.add_token(32)
    assert api.whoami().credentials_from == "callable"
    assert source.calls == 1


@pytest.mark.parametrize(("type", "form"), [("lmv1", dict), ("lmv1", tuple), ("bearer", dict), ("bearer", str)])
def test_forms_of_credentials(lmtokens_portal: Portal, type: Any, form: type) -> None:
    token = lmtokens_portal.create_token(1, type=type)
    forms: dict[Any, Any] = {
        dict: credentials_of(token),
        tuple: (token.access_id, token.access_key),
        str: token.access_key.reveal(),
    }
    client = lmtokens_portal.client(credentials=Source(forms[form]))
    assert client.whoami().token_id == token.id


@pytest.mark.parametrize(
    "result",
    [
        None,
        b"lmb_invented",
        ["exampleAccessId00001", "invented-key"],
        ("exampleAccessId00001",),
        {"access_id": "exampleAccessId00001", "access_key": "invented-key", "expiry": 60},
        {**WRONG, "expires": "2030-01-01"},
        {**WRONG, "expires": datetime(2030, 1, 1)},
        {**WRONG, "expires": -1},
        {"access_id": "exampleAccessId00001"},
        {},
        {**WRONG, "expires": datetime.now(timezone.utc) - timedelta(hours=1)},
    ],
)
def test_other_results_are_errors_that_do_not_repeat_them(lmtokens_portal: Portal, result: object) -> None:
    client = lmtokens_portal.client(credentials=Source(result))
    with pytest.raises((TypeError, ValueError, lmtokens.CredentialsError)) as caught:
        client.add_token(32)
    assert "invented" not in str(caught.value)
    assert "exampleAccessId" not in str(caught.value)
    assert lmtokens_portal.record == []


def test_threads_share_one_call(lmtokens_portal: Portal) -> None:
    lmtokens_portal.set_rate_limit(UNLIMITED)
    started = threading.Barrier(12)
    source = Source((lmtokens_portal.access_id, lmtokens_portal.access_key))

    def slow() -> object:
        time.sleep(0.2)
        return source()

    client = lmtokens_portal.client(credentials=slow)
    done: list[int] = []

    def add() -> None:
        started.wait(HANG_TIMEOUT)
        done.append(client.add_token(32).id)

    threads = [threading.Thread(target=add) for _ in range(started.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_TIMEOUT)
    assert len(set(done)) == started.parties
    assert source.calls == 1


@pytest.mark.parametrize("kind", [Source, AsyncSource])
def test_tasks_share_one_call(lmtokens_portal: Portal, kind: type[Source]) -> None:
    lmtokens_portal.set_rate_limit(UNLIMITED)
    source = kind((lmtokens_portal.access_id, lmtokens_portal.access_key))

    async def main() -> None:
        client = lmtokens_portal.async_client(credentials=source)
        await asyncio.gather(*(client.add_token(32) for _ in range(12)))

    asyncio.run(main())
    assert source.calls == 1


@pytest.mark.parametrize("variant", VARIANTS)
def test_create_is_not_sent_again_after_a_401_and_the_next_one_has_new_credentials(
    lmtokens_portal: Portal, token: StoredToken, variant: str
) -> None:
    source = Source(credentials_of(token))
    api = api_for(variant, lmtokens_portal, credentials=source)
    api.add_token(32)
    new = replaced(lmtokens_portal, source, token)
    with pytest.raises(lmtokens.AuthenticationError, match="call again") as caught:
        api.add_token(32, "after")
    assert not caught.value.maybe_applied
    assert source.calls == 2
    api.add_token(32, "after")
    sent = modifying_requests(lmtokens_portal)
    assert [(seen.status, seen.applied, seen.access_id) for seen in sent] == [
        (401, False, token.access_id),
        (200, True, new.access_id),
    ]
    assert source.calls == 2


@pytest.mark.parametrize("fault", ["act-then-status", "act-then-html"])
def test_create_that_happened_before_a_401_happens_once(
    lmtokens_portal: Portal, token: StoredToken, fault: Any
) -> None:
    pairs = iter([credentials_of(token), credentials_of(lmtokens_portal.create_token(1))])
    client = lmtokens_portal.client(credentials=lambda: next(pairs))
    lmtokens_portal.fail(fault, method="POST", status=401)
    with pytest.raises(lmtokens.AuthenticationError):
        client.add_token(32, "once")
    assert len([stored for stored in lmtokens_portal.tokens if stored.note == "once"]) == 1


def test_pending_create_is_sent_again_with_new_credentials_after_a_401(
    lmtokens_portal: Portal, token: StoredToken, tmp_path: Path
) -> None:
    new = replaced(lmtokens_portal, Source(None), token)
    pairs = iter([credentials_of(token), credentials_of(new)])
    client = lmtokens_portal.client(credentials=lambda: next(pairs))
    client.add_token(32, deliver=lmtokens.deliver.to_file(tmp_path / "key.json"))
    assert [seen.status for seen in modifying_requests(lmtokens_portal)][:2] == [401, 200]


@pytest.mark.parametrize("operation", ["delete_token", "disable_token"])
def test_guarded_change_keeps_the_credentials_that_were_checked(
    lmtokens_portal: Portal, token: StoredToken, operation: str
) -> None:
    other = lmtokens_portal.create_token(1)
    source = Source(credentials_of(token))
    client = lmtokens_portal.client(credentials=source)
    client.whoami()
    source.result = credentials_of(other)
    method: Any = {"delete_token": "DELETE", "disable_token": "PATCH"}[operation]
    lmtokens_portal.fail("status-before-acting", method=method, status=401)
    with pytest.raises(lmtokens.AuthenticationError):
        getattr(client, operation)(other.id)
    assert [stored.status for stored in lmtokens_portal.tokens if stored.id == other.id] == [other.status]


@pytest.mark.parametrize("operation", ["delete_token", "disable_token"])
def test_guarded_change_keeps_the_credentials_that_were_checked_when_they_expire(
    lmtokens_portal: Portal, token: StoredToken, operation: str
) -> None:
    other = lmtokens_portal.create_token(1)
    given = [credentials_of(token)]

    def source() -> Any:
        return {**given.pop(), "expires": 1} if given else credentials_of(other)

    client = lmtokens_portal.client(credentials=source)
    lmtokens_portal.fail("delay", method="GET", seconds=1.5)
    getattr(client, operation)(other.id)
    assert [seen.access_id for seen in modifying_requests(lmtokens_portal)] == [token.access_id]


@pytest.mark.parametrize("variant", VARIANTS)
def test_same_credentials_are_not_tried_again(lmtokens_portal: Portal, token: StoredToken, variant: str) -> None:
    source = Source(credentials_of(token))
    api = api_for(variant, lmtokens_portal, credentials=source)
    delete(lmtokens_portal, token)
    with pytest.raises(lmtokens.AuthenticationError, match="the credentials from callable") as caught:
        api.add_token(32)
    assert caught.value.attempts == len(lmtokens_portal.record) == 1
    assert source.calls == 2


def test_second_rejection_of_a_request_is_final(lmtokens_portal: Portal, token: StoredToken) -> None:
    delete(lmtokens_portal, token)
    tried = iter([credentials_of(token), WRONG, WRONG])
    client = lmtokens_portal.client(credentials=lambda: next(tried))
    with pytest.raises(lmtokens.AuthenticationError):
        client.whoami()
    assert [seen.status for seen in lmtokens_portal.record] == [401, 401]
    assert next(tried) is WRONG


def test_credentials_are_renewed_but_no_request_is_repeated_if_there_is_one_attempt(
    lmtokens_portal: Portal, token: StoredToken
) -> None:
    source = Source(credentials_of(token))
    client = lmtokens_portal.client(credentials=source, max_attempts=1)
    client.add_token(32)
    replaced(lmtokens_portal, source, token)
    with pytest.raises(lmtokens.AuthenticationError):
        client.add_token(32)
    assert client.add_token(32)
    assert [seen.status for seen in lmtokens_portal.record] == [401, 200]


def test_rejected_threads_share_one_call(lmtokens_portal: Portal, token: StoredToken) -> None:
    lmtokens_portal.set_rate_limit(UNLIMITED)
    source = Source(credentials_of(token))

    async def main() -> None:
        client = lmtokens_portal.async_client(credentials=source)
        await client.add_token(32)
        replaced(lmtokens_portal, source, token)
        await asyncio.gather(*(client.whoami() for _ in range(12)))

    asyncio.run(main())
    assert source.calls == 2


@pytest.mark.parametrize("absolute", [False, True])
def test_credentials_are_renewed_before_they_expire(lmtokens_portal: Portal, absolute: bool) -> None:
    credentials = {"access_id": lmtokens_portal.access_id, "access_key": lmtokens_portal.access_key}
    calls = 0

    def source() -> dict[str, object]:
        nonlocal calls
        calls += 1
        lifetime = timedelta(seconds=2 if calls == 1 else 3600)
        return {**credentials, "expires": datetime.now(timezone.utc) + lifetime if absolute else lifetime}

    client = lmtokens_portal.client(credentials=source)
    client.add_token(32)
    time.sleep(2)
    client.add_token(32)
    client.add_token(32)
    assert calls == 2
    assert all(seen.status == 200 for seen in lmtokens_portal.record)


def test_exception_of_the_callable_is_raised_as_it_is_and_the_next_call_tries_again(lmtokens_portal: Portal) -> None:
    failure = OSError("the vault is sealed")
    outcomes: list[Any] = [failure, (lmtokens_portal.access_id, lmtokens_portal.access_key)]

    def source() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    client = lmtokens_portal.client(credentials=source)
    with pytest.raises(OSError, match="sealed") as caught:
        client.add_token(32)
    assert caught.value is failure
    assert getattr(failure, "__notes__", ["credential source: callable"]) == ["credential source: callable"]
    assert lmtokens_portal.record == []
    assert client.add_token(32)


def test_exception_of_the_callable_does_not_hide_that_the_portal_may_have_acted(lmtokens_portal: Portal) -> None:
    failure = OSError("the vault is sealed")
    outcomes: list[Any] = [(lmtokens_portal.access_id, lmtokens_portal.access_key)]

    def source() -> Any:
        if not outcomes:
            raise failure
        return outcomes.pop()

    client = lmtokens_portal.client(credentials=source)
    token = lmtokens_portal.create_token(32)
    lmtokens_portal.fail("act-then-status", method="PATCH", status=503)
    lmtokens_portal.fail("status-before-acting", method="PATCH", status=401)
    with pytest.raises(lmtokens.CredentialsError) as caught:
        client.update_token(token.id, "ci")
    assert caught.value.maybe_applied
    assert caught.value.__cause__ is failure
    assert [one.note for one in lmtokens_portal.tokens if one.id == token.id] == ["ci"]


@pytest.mark.parametrize(
    "failure", [OSError("the vault is sealed"), KeyboardInterrupt()], ids=lambda it: type(it).__name__
)
def test_exception_of_the_callable_names_the_pending_token_that_remains(
    lmtokens_portal: Portal, tmp_path: Path, failure: BaseException
) -> None:
    given = [(lmtokens_portal.access_id, lmtokens_portal.access_key)]

    def source() -> Any:
        if not given:
            raise failure
        return given.pop()

    for method in ("PATCH", "DELETE"):
        lmtokens_portal.fail("status-before-acting", method=method, status=401)
    deliver = lmtokens.deliver.to_file(tmp_path / "key.json")
    with pytest.raises((lmtokens.CredentialsError, KeyboardInterrupt)) as caught:
        lmtokens_portal.client(credentials=source).add_token(32, deliver=deliver)
    remains = f"token {lmtokens_portal.tokens[-1].id} remains, disabled"
    if isinstance(failure, KeyboardInterrupt):
        assert caught.value is failure
        # Notes exist since Python 3.11.
        for note in getattr(failure, "__notes__", []):
            assert remains in note
            assert "sweep_tokens" in note
        return
    assert caught.value.__cause__ is failure
    assert isinstance(caught.value, lmtokens.CredentialsError)
    assert remains in str(caught.value.suggestion)
    assert "sweep_tokens" in str(caught.value.suggestion)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_interrupt_of_the_callable_ends_the_call(lmtokens_portal: Portal, interrupt: type[BaseException]) -> None:
    def source() -> Any:
        raise interrupt

    with pytest.raises(interrupt):
        lmtokens_portal.client(credentials=source).whoami()
    assert lmtokens_portal.record == []


def test_ctrl_c_ends_a_call_that_waits_for_another_thread_with_the_callable(lmtokens_portal: Portal) -> None:
    running, released = threading.Event(), threading.Event()

    def source() -> Any:
        running.set()
        released.wait(HANG_TIMEOUT)
        return lmtokens_portal.access_id, lmtokens_portal.access_key

    client = lmtokens_portal.client(credentials=source)
    thread = threading.Thread(target=client.whoami)
    thread.start()
    assert running.wait(HANG_TIMEOUT)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            client.whoami()
    finally:
        timer.join()
        released.set()
        thread.join(HANG_TIMEOUT)


def test_async_client_does_not_run_a_function_on_the_thread_of_the_loop(lmtokens_portal: Portal) -> None:
    async def main() -> None:
        loop_continues = threading.Event()

        def source() -> Any:
            assert loop_continues.wait(HANG_TIMEOUT)
            return lmtokens_portal.access_id, lmtokens_portal.access_key

        client = lmtokens_portal.async_client(credentials=source)
        call = asyncio.ensure_future(client.whoami())
        await asyncio.sleep(0.1)
        loop_continues.set()
        await asyncio.wait_for(call, HANG_TIMEOUT)

    asyncio.run(main())


def test_coroutine_function_runs_in_the_loop_of_the_call(lmtokens_portal: Portal) -> None:
    loops = []

    async def source() -> Any:
        loops.append(asyncio.get_running_loop())
        return lmtokens_portal.access_id, lmtokens_portal.access_key

    async def main() -> None:
        for credentials in (source, functools.partial(source), as_function(source)):
            await lmtokens_portal.async_client(credentials=credentials).whoami()
        assert loops == [asyncio.get_running_loop()] * 3

    asyncio.run(main())


def test_client_refuses_coroutines(lmtokens_portal: Portal) -> None:
    source = AsyncSource(WRONG)
    with pytest.raises(TypeError, match="AsyncClient"):
        lmtokens_portal.client(credentials=source)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TypeError, match="not coroutine"):
            lmtokens_portal.client(credentials=as_function(source)).whoami()


@pytest.mark.parametrize("variant", ["client", "async"])
def test_callable_that_uses_its_own_client_is_an_error(lmtokens_portal: Portal, variant: str) -> None:
    def source() -> Any:
        return api.whoami()

    api = api_for(variant, lmtokens_portal, credentials=source)
    with pytest.raises(RuntimeError, match="used the client that waits for it"):
        api.whoami()


def test_coroutine_that_uses_its_own_client_is_an_error(lmtokens_portal: Portal) -> None:
    async def main() -> None:
        async def source() -> Any:
            return await asyncio.ensure_future(client.whoami())

        for credentials in (source, as_function(source)):
            client = lmtokens_portal.async_client(credentials=credentials)
            with pytest.raises(RuntimeError, match="used the client that waits for it"):
                await asyncio.wait_for(client.whoami(), HANG_TIMEOUT)

    asyncio.run(main())


@pytest.mark.parametrize("variant", ["client", "async"])
def test_callable_may_use_another_client_of_the_portal(lmtokens_portal: Portal, variant: str) -> None:
    admin = lmtokens_portal.client()

    def source() -> Any:
        token = admin.add_token(1)
        assert token.access_id
        assert token.access_key
        return token.access_id, token.access_key

    assert api_for(variant, lmtokens_portal, credentials=source).add_token(1).admin_id == 1


@pytest.mark.parametrize("is_closed", [False, True])
def test_call_does_not_wait_for_a_loop_that_no_longer_runs(lmtokens_portal: Portal, is_closed: bool) -> None:
    calls = 0

    async def source() -> Any:
        nonlocal calls
        calls += 1
        await asyncio.sleep(HANG_TIMEOUT if calls == 1 else 0)
        return lmtokens_portal.access_id, lmtokens_portal.access_key

    client = lmtokens_portal.async_client(credentials=source)

    async def start() -> asyncio.Future[Any]:
        call = asyncio.ensure_future(client.whoami())
        await asyncio.sleep(0.2)
        return call

    async def whoami() -> None:
        await asyncio.wait_for(client.whoami(), HANG_TIMEOUT / 2)

    loop = asyncio.new_event_loop()
    call = loop.run_until_complete(start())
    if is_closed:
        # Its task is destroyed when it is pending, which is logged.
        loop.set_exception_handler(lambda *_: None)
        loop.close()
    asyncio.run(whoami())
    assert calls == 2
    if not is_closed:
        call.cancel()
        loop.run_until_complete(asyncio.wait([call]))
        loop.close()


def test_stop_iteration_of_the_callable_ends_the_call(lmtokens_portal: Portal) -> None:
    exhausted: Any = iter([])
    client = lmtokens_portal.async_client(credentials=lambda: next(exhausted))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="raised StopIteration") as caught:
            asyncio.run(asyncio.wait_for(client.whoami(), HANG_TIMEOUT))
        assert isinstance(caught.value.__cause__, StopIteration)


def test_task_that_the_callable_started_may_use_the_client_later(lmtokens_portal: Portal) -> None:
    async def main() -> None:
        tasks = []
        ended = asyncio.Event()

        async def later() -> None:
            await ended.wait()
            await client.whoami()

        async def source() -> Any:
            tasks.append(asyncio.ensure_future(later()))
            return lmtokens_portal.access_id, lmtokens_portal.access_key

        client = lmtokens_portal.async_client(credentials=source)
        await client.whoami()
        ended.set()
        await asyncio.wait_for(asyncio.gather(*tasks), HANG_TIMEOUT)

    asyncio.run(main())


@pytest.mark.parametrize("variant", ["client", "async"])
@pytest.mark.parametrize("name", ["credentials", "on_wait"])
def test_client_that_its_callable_refers_to_is_collected(lmtokens_portal: Portal, variant: str, name: str) -> None:
    class Owner:
        def __init__(self) -> None:
            create: Any = lmtokens_portal.client if variant == "client" else lmtokens_portal.async_client
            self.client = create(**{name: self.call})

        def call(self, *_: object) -> Any:
            return lmtokens_portal.access_id, lmtokens_portal.access_key

        def use(self) -> None:
            called = self.client.whoami()
            if variant == "async":
                asyncio.run(called)

    owner = Owner()
    if variant == "client":
        owner.use()
    reference = weakref.ref(owner)
    del owner
    # The threads that served the call may refer to the client a moment longer.
    deadline = time.monotonic() + HANG_TIMEOUT
    while gc.collect() >= 0 and reference() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_deadline_limits_a_coroutine(lmtokens_portal: Portal) -> None:
    cancelled = []

    async def source() -> Any:
        try:
            await asyncio.sleep(HANG_TIMEOUT)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def main() -> None:
        client = lmtokens_portal.async_client(credentials=source, deadline=0.2)
        for call in (client.add_token(32), client.whoami()):
            with pytest.raises(lmtokens.RequestTimeoutError, match="deadline"):
                await call
        await asyncio.sleep(0.1)

    asyncio.run(main())
    assert cancelled == [True, True]


@pytest.mark.parametrize(
    "other", [{"access_id": "exampleAccessId00001", "access_key": "invented-key"}, {"bearer_token": "lmb_invented"}]
)
def test_callable_and_other_credentials_are_refused(lmtokens_portal: Portal, other: dict[str, str]) -> None:
    with pytest.raises(lmtokens.CredentialsError, match="both credentials and"):
        lmtokens.Client(base_url=lmtokens_portal.base_url, credentials=Source(WRONG), **other)  # type: ignore[arg-type]


def test_argument_must_be_callable() -> None:
    with pytest.raises(TypeError, match="credentials must be a callable without parameters, not tuple"):
        lmtokens.Client("acme", credentials=("exampleAccessId00001", "invented-key"))  # type: ignore[arg-type]


def test_environment_is_ignored(lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch, token: StoredToken) -> None:
    monkeypatch.setenv("LM_ACCESS_ID", "half")
    client = lmtokens.Client(base_url=lmtokens_portal.base_url, credentials=Source(credentials_of(token)))
    assert client.whoami().token_id == token.id


def test_profile_names_the_portal(
    lmtokens_portal: Portal, monkeypatch: pytest.MonkeyPatch, token: StoredToken, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[profiles.acme]\nbase_url = "{lmtokens_portal.base_url}"\n')
    monkeypatch.setenv("LM_CONFIG_FILE", str(file))
    client = lmtokens.Client(profile="acme", credentials=Source(credentials_of(token)))
    assert client.whoami().token_id == token.id


def test_repr_names_the_source(lmtokens_portal: Portal) -> None:
    client = lmtokens_portal.client(credentials=Source((lmtokens_portal.access_id, lmtokens_portal.access_key)))
    assert repr(client).endswith(", credentials from callable>")
    client.whoami()
    assert repr(client).endswith(", LMv1 from callable>")
    with pytest.raises(TypeError, match="cannot pickle"):
        copy.copy(client)


@pytest.mark.parametrize("variant", VARIANTS)
def test_whoami_finds_the_token_of_new_credentials(lmtokens_portal: Portal, token: StoredToken, variant: str) -> None:
    source = Source(credentials_of(token))
    api = api_for(variant, lmtokens_portal, credentials=source)
    api.whoami()
    assert api.whoami().token_id == token.id
    new = replaced(lmtokens_portal, source, token)
    assert api.whoami().token_id == new.id


def test_self_lockout_knows_the_renewed_credentials(lmtokens_portal: Portal, token: StoredToken) -> None:
    source = Source(credentials_of(token))
    client = lmtokens_portal.client(credentials=source)
    client.whoami()
    new = replaced(lmtokens_portal, source, token)
    with pytest.raises(lmtokens.SelfLockoutError):
        client.delete_token(new.id)


@pytest.mark.parametrize("user", [32, "viewer"])
def test_bulk_run_stops_if_the_callable_fails(lmtokens_portal: Portal, journal: Path, user: int | str) -> None:
    calls: list[None] = []

    def failing() -> str:
        calls.append(None)
        raise OSError("the vault is sealed")

    client = lmtokens.Client(base_url=lmtokens_portal.base_url, credentials=failing)
    run = client.add_tokens([(user, str(number)) for number in range(20)], journal=journal)
    with pytest.raises(OSError, match="the vault is sealed"):
        run.finish()
    assert len(calls) == 1
    assert run.summary.failed + run.summary.skipped == 20


def test_bulk_run_survives_a_replaced_token(lmtokens_portal: Portal, token: StoredToken, tmp_path: Path) -> None:
    lmtokens_portal.set_rate_limit(UNLIMITED)
    source = Source(credentials_of(token))
    client = lmtokens_portal.client(credentials=source)
    rows = [lmtokens.NewToken(32, f"row {number}") for number in range(30)]
    run = client.add_tokens(rows, journal=tmp_path / "journal.jsonl", concurrency=2)
    next(run)
    replaced(lmtokens_portal, source, token)
    assert run.finish().created == 30
    assert source.calls == 2


def test_rotation_of_the_own_token_continues_with_the_new_one(
    lmtokens_portal: Portal, token: StoredToken, tmp_path: Path
) -> None:
    source = Source(credentials_of(token))
    client = lmtokens_portal.client(credentials=source)
    rotation = client.rotate_token(token.id, deliver=lmtokens.deliver.to_file(tmp_path / "key.json"), overlap=0)
    assert rotation.new is not None
    assert client.whoami().token_id == rotation.new.id
    assert source.calls == 1
    # Once the new token is refused, the callable is asked again.
    source.result = (lmtokens_portal.access_id, lmtokens_portal.access_key)
    lmtokens_portal.client().delete_token(rotation.new.id)
    client.whoami()
    assert source.calls == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_child_uses_and_renews_the_credentials(lmtokens_portal: Portal, token: StoredToken) -> None:
    source = Source(credentials_of(token))
    client = lmtokens_portal.client(credentials=source)
    client.whoami()
    replaced(lmtokens_portal, source, token)
    child = os.fork()
    if child == 0:
        try:
            client.whoami()
            os._exit(source.calls)
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2


def _returns(source: Callable[[], Any]) -> None:
    """Check that type checkers accept the forms of credentials."""
    lmtokens.Client("acme", credentials=lambda: ("exampleAccessId00001", "invented-key"))
    lmtokens.Client("acme", credentials=lambda: "lmb_invented")
    lmtokens.Client("acme", credentials=lambda: {"bearer_token": "lmb_invented", "expires": timedelta(hours=1)})
    lmtokens.AsyncClient("acme", credentials=AsyncSource(WRONG))
    lmtokens.Client("acme", credentials=source)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_callable_that_forks_ends_the_call_of_the_child(lmtokens_portal: Portal) -> None:
    completed = run_python(
        """
import lmtokens, os, signal
children = []

def source():
    if not children:
        children.append(os.fork())
        if children == [0]:
            signal.alarm(20)
    return os.environ["LM_ACCESS_ID"], os.environ["LM_ACCESS_KEY"]

client = lmtokens.Client(credentials=source)
try:
    client.whoami()
    assert children != [0]
except RuntimeError as error:
    assert children == [0] and "forked during this call" in str(error)
    client.whoami()
    os._exit(0)
assert os.waitpid(children[0], 0)[1] == 0
"""
    )
    assert completed.returncode == 0, completed.stderr
