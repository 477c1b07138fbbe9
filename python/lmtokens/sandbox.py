"""The sandbox: an embedded portal on loopback, for tests and demonstrations without an account.

>>> import lmtokens.sandbox
>>> with lmtokens.sandbox.Portal() as portal:
...     token = portal.client().add_token(32, "ci")
...     portal.record[-1].method, portal.record[-1].signature, portal.record[-1].status
('POST', 'valid', 200)

The sandbox checks signatures, the clock, rate limits and permissions in the real portal's order, and responds in the
same formats. It starts with the users 1 ``admin`` (whose credentials ``client()`` uses), 32 ``api-user`` and 33
``viewer``. Faults can be injected: ``portal.fail("act-then-close", method="POST")``. The sandbox listens on 127.0.0.1
only. Its credentials are recognizable as fake, so that secret scanners do not report them.
"""

from __future__ import annotations

import json
import math
import operator
import os
import reprlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from numbers import Number
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from lmtokens._lmtokens import Client, Secret, _SandboxPortal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Unpack

    from lmtokens._enums import TokenStatus, TokenType
    from lmtokens.aio import AsyncClient
    from lmtokens.auth import LMv1Auth

__all__ = ["Behavior", "Portal", "Seen", "StoredToken"]

FaultKind = Literal[
    "close-before-acting",
    "act-then-close",
    "status-before-acting",
    "act-then-status",
    "html",
    "act-then-html",
    "rate-limited",
    "delay",
    "act-then-delay",
    "error-in-200",
    "v1-envelope",
    "v1-error",
    "truncated",
    "garbage",
    "empty",
    "wrong-shape",
    "trickle",
    "redirect",
    "no-key",
    "late",
]
Signature = Literal[
    "valid",
    "invalid",
    "stale",
    "absent",
    "malformed",
    "unknown-id",
    "bearer-valid",
    "bearer-invalid",
]


@dataclass(frozen=True)
class Seen:
    """A recorded request. Contains no credential.

    Attributes:
        method: As received.
        path: As received, with ``/santaba/rest``.
        query: As received, without the question mark.
        body: As text; bytes that are not UTF-8 become replacement characters.
        headers: The names of the headers, lower case, sorted.
        user_agent: The value of ``User-Agent``.
        signature: The result of checking the ``Authorization`` header: ``"valid"``, ``"invalid"``, ``"stale"``,
            ``"absent"``, ``"malformed"``, ``"unknown-id"``, ``"bearer-valid"`` or ``"bearer-invalid"``.
        causes: The mistakes that explain a refused LMv1 header: the names that ``explain_signature`` uses. The
            response header ``X-Sandbox-Hint`` says what to change.
        access_id: The access id in an LMv1 header.
        token_id: The id of the token in the ``Authorization`` header.
        status: The HTTP status of the response; ``None`` if there was no response.
        fault: The fault that was applied.
        applied: Whether the request created, changed or deleted anything.
        connection: The number of the connection, counted from 1.
        received_at_ms: Milliseconds since 1970-01-01 UTC, by the real clock.
    """

    method: str
    path: str
    query: str
    body: str
    headers: list[str]
    user_agent: str | None
    signature: Signature
    causes: list[str]
    access_id: str | None
    token_id: int | None
    status: int | None
    fault: str | None
    applied: bool
    connection: int
    received_at_ms: int


@dataclass(frozen=True)
class StoredToken:
    """A token as the portal stores it, including its secret.

    Attributes:
        id: Unique in the portal.
        type: ``"lmv1"`` or ``"bearer"``.
        access_id: The access id; empty for a bearer token.
        access_key: The access key, or the bearer token itself.
        admin_id: The id of the user who owns the token.
        status: 1 disabled, 2 enabled.
        note: The note.
        created_by: The name of the user who created the token.
        created_on: Seconds since 1970-01-01 UTC.
        last_used_on: Seconds since 1970-01-01 UTC; 0 if the token was never used.
        last_auth_ip: The address of its last use; empty if the token was never used.
        failures: How many requests with its access id failed in a row.
        locked: Whether too many failures locked the token out.
    """

    id: int
    type: Literal["lmv1", "bearer"]
    access_id: str
    access_key: Secret
    admin_id: int
    status: int
    note: str
    created_by: str
    created_on: int
    last_used_on: int
    last_auth_ip: str
    failures: int
    locked: bool


class Behavior(TypedDict, total=False):
    """The settings of ``Portal`` that can also change while it runs; see there."""

    lock_out_after: int
    negative_totals: bool
    timestamp_window: int
    last_used_lag: float
    list_lag: float
    enable_delay: float
    note_limit: int | None
    long_notes: Literal["reject", "cut"]
    one_bearer_per_user: bool
    token_disabled_days: int
    user_suspend_days: int
    email_notifications: bool


class Portal:
    """A running sandbox; as a context manager, it stops at the end of the block.

    Besides users and tokens, it has the resources ``/setting/accesslogs`` (the audit log: every request that names an
    existing access id and is refused, newest first) and ``/setting/companySetting``. Some of the settings imitate what
    the real portal may do. They are off by default, and say what is known about the real portal.

    Args:
        port: The port of 127.0.0.1; 0 (the default) takes a free one.
        rate_limit: Requests per window for each method and endpoint; default: the real portal's.
        window: The length of the rolling window of every rate limit, in seconds; default: 60.
        clock_offset: How many seconds the portal's clock is ahead of the real one; a negative number is behind.
        seed: Derives every generated credential from this number; default: the operating system's random numbers.
        record_limit: How many requests the record keeps; 0 keeps none, which is fastest.
        lock_out_after: How many failures in a row lock a token out; default: 10; 0 never does.
        negative_totals: Lists report the negative of their total, as some endpoints of the real portal do.
        timestamp_window: By how many seconds the time of a signature may differ; default: 1800, as the vendor
            documents. One source found it to be a setting of the portal, which ``/setting/companySetting`` returns as
            ``timestampWindowOfApiUsersInSec``.
        last_used_lag: After how many seconds a use of a token shows in ``lastUsedOn`` and ``lastAuthIp``, 0 to 86400.
            The real portal's lag is unknown.
        list_lag: How many seconds old the contents of lists are, 0 to 86400: a created token appears, a changed one
            shows its change, and a deleted one disappears only after this time. Whether lists of the real portal lag
            is unknown.
        enable_delay: For how many seconds the requests of a token are rejected after it was enabled, or created
            enabled, 0 to 86400. The real portal's delay, if any, is unknown.
        note_limit: The maximum length of notes, in characters; default: none. The vendor documents none; the real one
            is unknown.
        long_notes: What happens to a longer note: ``"reject"`` (the default) the request, or ``"cut"`` the note.
        one_bearer_per_user: A bearer token replaces the user's earlier one, which is deleted. The vendor's page calls
            bearer tokens unique for each user, which may mean this; it is not certain.
        token_disabled_days: After how many days a token that was not used, created or enabled is disabled; 0 (the
            default) never does it. The real portal does this after a number of days that ``/setting/companySetting``
            returns as ``tokenDisabledDays`` (one source); 365 according to the vendor's page. The tokens with which
            the sandbox starts are not disabled.
        user_suspend_days: The number that ``/setting/companySetting`` returns as ``userSuspendDays`` (one source);
            without other effect.
        email_notifications: ``email_count`` counts an e-mail for each create and change of an LMv1 token.
            ``/setting/companySetting`` returns this as ``enableUserDetailsEmailNotification`` (one source). The vendor
            documents e-mails for changes in the user interface; whether changes over the API send them is unknown.

    Raises:
        TypeError: There is no such setting.
        ValueError: A setting is invalid.
        lmtokens.ConfigurationError: The port is not available.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        rate_limit: int | None = None,
        window: float | None = None,
        clock_offset: int = 0,
        seed: int | None = None,
        record_limit: int = 100_000,
        **behavior: Unpack[Behavior],
    ) -> None:
        settings: dict[str, Any] = {
            "port": port,
            "rate_limit": rate_limit,
            "window": window,
            "clock_offset": clock_offset,
            "seed": seed,
            "record_limit": record_limit,
        }
        settings = {**_jsonable(settings), "behavior": _jsonable(_known("Portal", behavior))}
        self._portal = _SandboxPortal(json.dumps(settings))

    def _control(self, command: str, arguments: dict[str, Any] | None = None) -> tuple[Any, list[Secret]]:
        """Carry out a command; the result is its answer and the secrets of the tokens in it."""
        answer, secrets = self._portal.control(json.dumps({command: arguments and _jsonable(arguments)}))
        return json.loads(answer), secrets

    def close(self) -> None:
        """Stop the sandbox; a second call does nothing."""
        self._portal.stop()

    def __enter__(self) -> Portal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<lmtokens.sandbox.Portal {self.base_url}>"

    @property
    def base_url(self) -> str:
        """The replacement for ``https://company.logicmonitor.com/santaba/rest``."""
        return self._portal.base_url

    @property
    def company(self) -> str:
        """The company name of the sandbox."""
        return self._portal.company

    @property
    def access_id(self) -> str:
        """The access id of a token of user 1, the administrator."""
        return self._portal.access_id

    @property
    def access_key(self) -> Secret:
        """The access key of ``access_id``."""
        return self._portal.access_key

    @property
    def bearer_token(self) -> Secret:
        """A bearer token of user 1, the administrator."""
        return self._portal.bearer_token

    def client(self, **settings: Any) -> Client:
        """Create a client of this sandbox for the administrator; ``settings`` of ``Client`` override the defaults."""
        return Client(**self._settings(settings))

    def async_client(self, **settings: Any) -> AsyncClient:
        """Create an async client of this sandbox for the administrator.

        ``settings`` of ``AsyncClient`` override the defaults.
        """
        from lmtokens.aio import AsyncClient

        return AsyncClient(**self._settings(settings))

    def auth(self, **settings: Any) -> LMv1Auth:
        """Create an ``LMv1Auth`` for this sandbox and the administrator; ``settings`` override the defaults."""
        from lmtokens.auth import LMv1Auth

        return LMv1Auth(**self._settings(settings))

    def _settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        defaults: dict[str, Any] = {"company": self.company, "base_url": self.base_url}
        if not {"access_id", "access_key", "bearer_token", "credentials"} & settings.keys():
            defaults.update(access_id=self.access_id, access_key=self.access_key)
        return {**defaults, **settings}

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which another process uses this sandbox as the administrator.

        They also shut out the profiles of the user, one of which could name a real portal, and the user's keyring. To
        deliver to a keyring on purpose, set ``PYTHON_KEYRING_BACKEND`` to its backend afterwards.
        """
        return {
            "LM_COMPANY": self.company,
            "LM_BASE_URL": self.base_url,
            "LM_ACCESS_ID": self.access_id,
            "LM_ACCESS_KEY": self.access_key.reveal(),
            "LM_CONFIG_FILE": os.devnull,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        }

    @property
    def record(self) -> list[Seen]:
        """The recorded requests, oldest first."""
        return [Seen(**seen) for seen in self._control("get-record")[0]]

    def clear_record(self) -> None:
        """Delete the recorded requests."""
        self._control("clear-record")

    def fail(
        self,
        kind: FaultKind,
        *,
        method: str | None = None,
        path: str | None = None,
        skip: int = 0,
        times: int | None = 1,
        **parameters: Any,
    ) -> None:
        """Inject a fault into matching requests. If several faults match a request, the one added first applies.

        Args:
            kind: ``"close-before-acting"``, ``"act-then-close"``, ``"status-before-acting"``, ``"act-then-status"``,
                ``"html"``, ``"act-then-html"``, ``"rate-limited"``, ``"delay"``, ``"act-then-delay"``,
                ``"error-in-200"``, ``"v1-envelope"``, ``"v1-error"``, ``"truncated"``, ``"garbage"``, ``"empty"``,
                ``"wrong-shape"``, ``"trickle"``, ``"redirect"``, ``"no-key"`` or ``"late"``.
            method: Applies only to this method.
            path: Applies only to this path after ``/santaba/rest``; a ``*`` at its end matches any suffix.
            skip: How many matching requests pass before the first fault.
            times: How many matching requests the fault applies to; ``None`` is all.
            parameters: Depending on the kind: ``status``, ``seconds``, ``headers`` (``"normal"``, ``"missing"``,
                ``"nonsense"`` or ``"contradictory"``), ``code``, ``message``, ``location``.

        Raises:
            ValueError: The fault could never apply, or the kind does not take a parameter.
        """
        fault = {"kind": kind, "method": method, "path": path, "skip": skip, "times": times, **parameters}
        self._control("add-fault", fault)

    def fail_at_random(
        self,
        rate: float,
        *,
        seed: int,
        kinds: Iterable[FaultKind] | None = None,
        methods: Iterable[str] | None = None,
        seconds: float | None = None,
    ) -> None:
        """Inject random faults: the same ones for the same seed and order of requests.

        Args:
            rate: The share of requests with a fault, 0 to 1.
            seed: The seed of the random numbers.
            kinds: The kinds of fault, each equally likely; default: a mix.
            methods: Applies only to these methods; default: all.
            seconds: The time span for kinds that wait; default: that of each kind.

        Raises:
            ValueError: A number, kind or method is invalid.
        """
        faults: dict[str, Any] = {"rate": rate, "seed": seed, "seconds": seconds}
        if kinds is not None:
            faults["kinds"] = _SandboxPortal.items("kinds", kinds)
        if methods is not None:
            faults["methods"] = _SandboxPortal.items("methods", methods)
        self._control("set-random-faults", faults)

    def clear_faults(self) -> None:
        """End every fault, random faults included."""
        self._control("clear-faults")

    def set_rate_limit(self, limit: int, window: float = 60.0, *, method: str | None = None) -> None:
        """Allow ``limit`` requests per rolling ``window`` (in seconds) at each endpoint, for one method or all.

        Raises:
            ValueError: The limit, the window or the method is invalid.
        """
        self._control("set-rate-limit", {"method": method, "limit": limit, "window": window})

    def set_clock_offset(self, seconds: int) -> None:
        """Set how many seconds the portal's clock is ahead of the real one; a negative number is behind.

        What ``advance`` adds is not affected.
        """
        self._control("set-clock", {"seconds": seconds})

    def advance(self, seconds: float | timedelta = 0, *, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
        """Let time pass: advance the portal's clock by the sum of the arguments, in addition to earlier advances.

        All times that the portal reports follow, and so do the windows of rate limits, lags, delays and the disabling
        of idle tokens. Clients remain accepted: the time of a signature is compared with the clock as it would be
        without advances. The command ``lmtokens sandbox advance 2h`` does the same.

        Args:
            seconds: Seconds, or a ``timedelta``.
            minutes: Minutes.
            hours: Hours.
            days: Days of 24 hours.

        Raises:
            ValueError: A number is negative, or the sum is more than 36525 days.

        Example:
            >>> import lmtokens.sandbox
            >>> from datetime import timedelta
            >>> with lmtokens.sandbox.Portal() as portal:
            ...     before = portal.client().add_token(32)
            ...     portal.advance(hours=2)
            ...     portal.client().add_token(32).created_on - before.created_on >= timedelta(hours=2)
            True
        """
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        self._control("advance", {"seconds": seconds, "minutes": minutes, "hours": hours, "days": days})

    def configure(self, **behavior: Unpack[Behavior]) -> None:
        """Change settings while the sandbox runs; the others keep their values.

        Args:
            behavior: The settings of ``Portal`` from ``lock_out_after`` to ``email_notifications``.

        Raises:
            TypeError: There is no such setting, or it can only be set at the start.
            ValueError: A setting is invalid; nothing is changed.
        """
        self._control("configure", _known("configure", behavior))

    @property
    def email_count(self) -> int:
        """How many e-mails the portal would have sent while ``email_notifications`` was set."""
        count: int = self._control("count-emails")[0]["count"]
        return count

    def add_user(
        self,
        username: str = "",
        *,
        id: int | None = None,
        apionly: bool = False,
        roles: Iterable[str] = (),
        may_view: bool = True,
        may_create: bool = True,
        may_manage: bool = True,
    ) -> int:
        """Add a user, or replace the user with the same id, and return the id.

        As on the real portal, a user who may not view tokens gets an empty list instead of an error.
        """
        user = {
            "id": id,
            "username": username,
            "apionly": apionly,
            "roles": _SandboxPortal.items("roles", roles),
            "may_view": may_view,
            "may_create": may_create,
            "may_manage": may_manage,
        }
        answer, _ = self._control("add-user", user)
        added: int = answer["id"]
        return added

    def create_token(
        self,
        admin_id: int = 32,
        *,
        note: str = "",
        status: int | TokenStatus = 2,
        type: Literal["lmv1", "bearer"] | TokenType = "lmv1",
        created_on: int | None = None,
        last_used_on: int = 0,
    ) -> StoredToken:
        """Create a token without a request; times are seconds since 1970-01-01 UTC."""
        from lmtokens._enums import TokenStatus

        token = {
            "admin_id": admin_id,
            "note": note,
            "status": int(status) if isinstance(status, TokenStatus) else status,
            "type": type,
            "created_on": created_on,
            "last_used_on": last_used_on,
        }
        answer, [access_key] = self._control("create-token", token)
        return StoredToken(access_key=access_key, **answer)

    @property
    def tokens(self) -> list[StoredToken]:
        """Every token by id, including the built-in ones of user 1."""
        tokens, secrets = self._control("list-tokens")
        return [StoredToken(access_key=secret, **token) for token, secret in zip(tokens, secrets)]

    def reset(self) -> None:
        """Restore users, tokens, logs, faults, rate limits, settings and clock to their initial state."""
        self._control("reset")


def _jsonable(arguments: dict[str, Any]) -> dict[str, Any]:
    """Prepare arguments for JSON. The native half validates them, so that each is validated once."""
    return {name: _json_value(value) for name, value in arguments.items()}


def _known(function: str, behavior: Behavior) -> dict[str, Any]:
    """Return the settings. An unknown one is a ``TypeError``, as Python raises it for a misspelt argument."""
    for name in behavior:
        if name not in Behavior.__annotations__:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
    return dict(behavior)


def _json_value(value: Any) -> Any:
    """Convert numbers of any class to JSON; wrap other values, which the native half then rejects."""
    if value is None or isinstance(value, (str, bool, list)):
        return value
    # A member of an IntEnum is a number to Python, but not here. An array has the methods of a number, but they fail.
    # NumPy's bool is a class of its own.
    is_member = isinstance(value, Enum) or type(value).__name__ in ("bool", "bool_")
    with suppress(TypeError):
        if hasattr(value, "__index__") and not is_member:
            integer = operator.index(value)
            if -(2**63) <= integer < 2**64:
                return integer
        elif isinstance(value, Number) and not is_member and math.isfinite(number := float(value)):  # type: ignore[arg-type]
            return number
    try:
        return {"repr": reprlib.repr(value)}
    except ValueError:  # An integer with more digits than Python prints.
        return {"repr": f"<{type(value).__name__}>"}
