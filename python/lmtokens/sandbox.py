"""A small LogicMonitor in this process, on loopback: everything works with no account.

>>> import lmtokens.sandbox
>>> with lmtokens.sandbox.Portal() as portal:
...     token = portal.client().add_token(32, "ci")
...     portal.record[-1].method, portal.record[-1].signature, portal.record[-1].status
('POST', 'valid', 200)

It checks signatures, the clock, budgets and permissions in the real portal's order, and answers in its shapes. Users
at the start: 1 ``admin`` (whose credentials ``client()`` uses), 32 ``api-user`` and 33 ``viewer``. Faults can be asked
for: ``portal.fail("act-then-close", method="POST")``. It listens on 127.0.0.1 only, and what it makes up does not look
like a real credential to a secret scanner.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmtokens._lmtokens import Client, SandboxPortal, Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from lmtokens.aio import AsyncClient
    from lmtokens.auth import LMv1Auth

__all__ = ["Portal", "Seen", "StoredToken"]


@dataclass(frozen=True)
class Seen:
    """One request that the portal saw. Holds no credential.

    Attributes:
        method: as received.
        path: as received, with ``/santaba/rest``.
        query: as received, without the question mark.
        body: as text, with replacement characters where it was none.
        headers: the names of the headers, lower case, sorted.
        user_agent: the value of ``User-Agent``.
        signature: what became of the ``Authorization`` header: ``"valid"``, ``"invalid"``, ``"stale"``, ``"absent"``, …
        access_id: the access id that an LMv1 header named.
        token_id: the id of the token that was named.
        status: the HTTP status answered; ``None`` where the connection was closed without an answer, or before one.
        fault: the fault that was applied.
        applied: whether the request made, changed or deleted anything.
        connection: counts connections from 1; equal numbers shared one.
        received_at_ms: milliseconds since 1970-01-01 UTC, by the real clock.
    """

    method: str
    path: str
    query: str
    body: str
    headers: list[str]
    user_agent: str | None
    signature: str
    access_id: str | None
    token_id: int | None
    status: int | None
    fault: str | None
    applied: bool
    connection: int
    received_at_ms: int


@dataclass(frozen=True)
class StoredToken:
    """A token as the portal keeps it, its secret included.

    Attributes:
        id: unique in the portal.
        type: ``"lmv1"`` or ``"bearer"``.
        access_id: the public half of an LMv1 pair; empty for a bearer.
        access_key: the secret half, or the bearer itself.
        admin_id: the owner's user id.
        status: 1 disabled, 2 enabled.
        note: the label.
        created_by: the name of the user who made it.
        created_on: seconds since 1970-01-01 UTC.
        last_used_on: seconds since 1970-01-01 UTC; 0 for never.
        last_auth_ip: the address it was last used from; empty for never.
        failures: failures of its access id in a row.
        locked: whether too many failures locked it out.
    """

    id: int
    type: str
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


class Portal:
    """A running embedded portal; a context manager that stops it at the end.

    Args:
        port: the port of 127.0.0.1; 0 (the default) takes a free one.
        rate_limit: requests per window for each method and endpoint; default the real portal's.
        window: the length of the rolling window in seconds; default 60.
        clock_offset: seconds by which the portal's clock runs ahead; negative is behind.
        seed: makes every made-up credential follow from this number; default the operating system's randomness.
        lock_out_after: failures in a row after which a token is locked out; 0 is never.
        negative_totals: lists answer the negative of their total, as some endpoints of the real portal do.
        record_limit: how many requests the record keeps; 0 keeps none, which is fastest.

    Raises:
        ValueError: a setting that cannot be used.
        lmtokens.ConfigurationError: the port cannot be had.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        rate_limit: int | None = None,
        window: float | None = None,
        clock_offset: int = 0,
        seed: int | None = None,
        lock_out_after: int = 10,
        negative_totals: bool = False,
        record_limit: int = 100_000,
    ) -> None:
        self._portal = SandboxPortal(
            json.dumps(
                {
                    "port": _whole("port", port, 65_535),
                    "rate_limit": _whole("rate_limit", rate_limit, _U32),
                    "window_seconds": _seconds("window", window, above_0=True),
                    "clock_offset_seconds": _whole("clock_offset", clock_offset, _I64, -_I64),
                    "seed": _whole("seed", seed, _U64),
                    "lock_out_after": _whole("lock_out_after", lock_out_after, _U32),
                    "negative_totals": negative_totals,
                    "record_limit": _whole("record_limit", record_limit, _U32),
                }
            )
        )

    def close(self) -> None:
        """Stop the portal; a second call does nothing."""
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
        """What stands for ``https://company.logicmonitor.com/santaba/rest``."""
        return self._portal.base_url

    @property
    def company(self) -> str:
        """The company name that stands for the portal."""
        return self._portal.company

    @property
    def access_id(self) -> str:
        """The access id of a token of user 1, the administrator."""
        return self._portal.access_id

    @property
    def access_key(self) -> Secret:
        """The access key to ``access_id``."""
        return self._portal.access_key

    @property
    def bearer_token(self) -> Secret:
        """A bearer token of user 1, the administrator."""
        return self._portal.bearer_token

    def client(self, **settings: Any) -> Client:
        """A client of this portal, as the administrator; ``settings`` are those of ``Client``, and win."""
        return Client(**self._settings(settings))

    def async_client(self, **settings: Any) -> AsyncClient:
        """An async client of this portal, as the administrator; ``settings`` are those of ``AsyncClient``, and win."""
        from lmtokens.aio import AsyncClient

        return AsyncClient(**self._settings(settings))

    def auth(self, **settings: Any) -> LMv1Auth:
        """What signs for this portal, as the administrator; ``settings`` are those of ``LMv1Auth``, and win."""
        from lmtokens.auth import LMv1Auth

        return LMv1Auth(**self._settings(settings))

    def _settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        defaults: dict[str, Any] = {"company": self.company, "base_url": self.base_url}
        if not {"access_id", "access_key", "bearer_token"} & settings.keys():
            defaults.update(access_id=self.access_id, access_key=self.access_key)
        return {**defaults, **settings}

    def environment(self) -> dict[str, str]:
        """The variables by which a program in a process of its own finds this portal, as the administrator."""
        return {
            "LM_COMPANY": self.company,
            "LM_BASE_URL": self.base_url,
            "LM_ACCESS_ID": self.access_id,
            "LM_ACCESS_KEY": self.access_key.reveal(),
        }

    @property
    def record(self) -> list[Seen]:
        """The requests that the portal saw, oldest first."""
        return [Seen(**seen) for seen in json.loads(self._portal.record())]

    def clear_record(self) -> None:
        """Forget what the portal saw."""
        self._portal.clear_record()

    def fail(
        self,
        kind: str,
        *,
        method: str | None = None,
        path: str | None = None,
        skip: int = 0,
        times: int | None = 1,
        **parameters: Any,
    ) -> None:
        """Ask for a fault. Of several that match a request, the one asked for first strikes.

        Args:
            kind: ``"close-before-acting"``, ``"act-then-close"``, ``"status-before-acting"``, ``"act-then-status"``,
                ``"html"``, ``"act-then-html"``, ``"rate-limited"``, ``"delay"``, ``"act-then-delay"``,
                ``"error-in-200"``, ``"v1-envelope"``, ``"v1-error"``, ``"truncated"``, ``"garbage"``, ``"empty"``,
                ``"wrong-shape"``, ``"trickle"``, ``"redirect"``, ``"no-key"`` or ``"late"``.
            method: strikes only this method.
            path: strikes only this path after ``/santaba/rest``; with a ``*`` at its end, every path that begins so.
            skip: lets so many matching requests pass first.
            times: strikes so often; ``None`` is for ever.
            parameters: what the kind takes: ``status``, ``seconds``, ``headers`` (``"normal"``, ``"missing"``,
                ``"nonsense"``, ``"contradictory"``), ``code``, ``message``, ``location``.

        Raises:
            ValueError: a fault that could never strike, or a parameter that the kind does not take.
        """
        fault = {
            "kind": kind,
            "method": method,
            "path": path,
            "skip": _whole("skip", skip, _U32),
            "times": _whole("times", times, _U32),
            **parameters,
            "status": _whole("status", parameters.get("status"), 599, 200),
            "seconds": _seconds("seconds", parameters.get("seconds")),
            "code": _whole("code", parameters.get("code"), _I64, -_I64),
        }
        self._portal.add_fault(json.dumps(fault))

    def fail_at_random(
        self,
        rate: float,
        *,
        seed: int,
        kinds: Iterable[str] | None = None,
        methods: Iterable[str] | None = None,
        seconds: float | None = None,
    ) -> None:
        """Let faults strike by chance, the same ones for the same seed and order of requests.

        Args:
            rate: the share of requests that are struck, 0 to 1.
            seed: where the numbers come from.
            kinds: what goes wrong, each as likely as the other; default a mix.
            methods: strikes only these methods.
            seconds: the time span of those kinds that wait.

        Raises:
            ValueError: a number or kind that is not accepted.
        """
        faults: dict[str, Any] = {
            "rate": _number("rate", rate, "a number from 0 to 1", lambda number: 0 <= number <= 1),
            "seed": _whole("seed", seed, _U64),
            "seconds": _seconds("seconds", seconds),
        }
        if kinds is not None:
            faults["kinds"] = list(kinds)
        if methods is not None:
            faults["methods"] = list(methods)
        self._portal.set_random_faults(json.dumps(faults))

    def clear_faults(self) -> None:
        """End every fault, asked for and by chance."""
        self._portal.clear_faults()

    def set_rate_limit(self, limit: int, window: float = 60.0, *, method: str | None = None) -> None:
        """Allow ``limit`` requests per rolling ``window`` seconds at each endpoint, for one method or every one.

        Raises:
            ValueError: a limit, window or method that is not accepted.
        """
        limit, window = _whole("limit", limit, _U32), _seconds("window", window, above_0=True)
        self._portal.set_rate_limit(method, limit, window)

    def set_clock_offset(self, seconds: int) -> None:
        """Set how many seconds the portal's clock runs ahead of the real one; negative is behind."""
        self._portal.set_clock_offset(_whole("seconds", seconds, _I64, -_I64))

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
        """Add a user, or replace the one of the same id; the result is the id.

        A user who may not view tokens gets an empty list, not a refusal, as on the real portal.
        """
        return self._portal.add_user(
            json.dumps(
                {
                    "id": _whole("id", id, _U32),
                    "username": username,
                    "apionly": apionly,
                    "roles": list(roles),
                    "may_view": may_view,
                    "may_create": may_create,
                    "may_manage": may_manage,
                }
            )
        )

    def create_token(
        self,
        admin_id: int = 32,
        *,
        note: str = "",
        status: int = 2,
        type: str = "lmv1",
        created_on: int | None = None,
        last_used_on: int = 0,
    ) -> StoredToken:
        """Put a token on the portal without a request; times are seconds since 1970-01-01 UTC."""
        return _stored(
            self._portal.create_token(
                json.dumps(
                    {
                        "admin_id": _whole("admin_id", admin_id, _U32),
                        "note": note,
                        "status": _whole("status", status, _I64, -_I64),
                        "type": type,
                        "created_on": _whole("created_on", created_on, _I64, -_I64),
                        "last_used_on": _whole("last_used_on", last_used_on, _I64, -_I64),
                    }
                )
            )
        )

    @property
    def tokens(self) -> list[StoredToken]:
        """Every token that the portal keeps, the built-in ones of user 1 included, by id."""
        return [_stored(kept) for kept in self._portal.tokens()]

    def reset(self) -> None:
        """Put users, tokens, record, faults, budgets and clock back to the start."""
        self._portal.reset()


def _stored(kept: tuple[str, Secret]) -> StoredToken:
    members, access_key = kept
    return StoredToken(access_key=access_key, **json.loads(members))


# What the native half can hold.
_U32 = 2**32 - 1
_U64 = 2**64 - 1
_I64 = 2**63 - 1


def _whole(name: str, value: Any, highest: int, lowest: int = 0) -> Any:
    """Refuse what is no whole number in a range; ``None`` is the native half's business."""
    if value is not None and (type(value) is bool or not hasattr(value, "__index__")):
        value = lowest - 1
    if value is not None and not lowest <= value <= highest:
        raise ValueError(f"{name} is not accepted: accepted are whole numbers from {lowest} to {highest}")
    return None if value is None else int(value)


def _seconds(name: str, value: Any, *, above_0: bool = False) -> Any:
    """Refuse what is no time span of at most a day."""
    accepted = "seconds above 0 and up to 86400" if above_0 else "0 to 86400 seconds"
    return _number(name, value, accepted, lambda number: 0 <= number <= 86_400 and not (above_0 and number == 0))


def _number(name: str, value: Any, accepted: str, is_accepted: Callable[[float], bool]) -> Any:
    if value is not None and (type(value) is bool or not hasattr(value, "__float__") or not is_accepted(value)):
        raise ValueError(f"{name} is not accepted: accepted is {accepted}")
    return None if value is None else float(value)
