"""
The native half of the package `lmtokens`.
"""

from collections.abc import Awaitable
from datetime import datetime
from lmtokens._types import Destination, OnWait, Progress, Rows, Words
from os import PathLike
from typing import Any, Final, final
from typing_extensions import Self, disjoint_base

__all__ = ["__version__", "AsyncBulkRun", "AsyncCore", "BulkRun", "Client", "Field", "Filter", "JournalEntry", "NewToken", "RowResult", "SandboxPortal", "Secret", "Signer", "Summary", "SweptToken", "ToCommand", "ToFile", "Token", "TokenIterator", "TokenPages", "TokenStatus", "TokenType", "Where", "Whoami", "_forget_default_client", "_shell", "_signing_stages", "add_token", "add_tokens", "configure", "default_client", "delete_token", "disable_token", "enable_token", "find_token", "list_tokens", "read_journal", "sign", "sweep_tokens", "to_command", "to_file", "update_token", "whoami"]

__version__: Final[str]

@final
class AsyncBulkRun:
    """
    The native half of the async face's run.
    """
    def close(self, /) -> None: ...
    @property
    def closed(self, /) -> bool: ...
    def interrupted(self, /) -> None: ...
    def next(self, /) -> Awaitable[Any]:
        """
        An awaitable of the next row that has ended, or of None at the end.
        """
    @property
    def summary(self, /) -> Summary: ...
    def told(self, /, result: RowResult) -> None:
        """
        Tells the progress, or raises what the destination of this row raised that is more than an error.
        """

@disjoint_base
class AsyncCore:
    """
    What `AsyncClient` is made of: each method returns an awaitable.
    """
    def __new__(cls, /, company: "str | None" = None, *, access_id: "str | Secret | None" = None, access_key: "str | Secret | None" = None, bearer_token: "str | Secret | None" = None, domain: "str | None" = None, base_url: "str | None" = None, timeout: "float | tuple[float, float] | None" = None, ca_bundle: str | PathLike[str] | None = None, client_cert: tuple[str | PathLike[str], str | PathLike[str]] | str | PathLike[str] | None = None, proxy: "str | Secret | None" = None, max_attempts: "int" = 3, deadline: "float | None" = None, on_limit: "str" = "wait", max_wait: "float" = 120.0, on_wait: OnWait | None = None) -> "Self": ...
    def __reduce_ex__(self, protocol: "object", /) -> "str": ...
    def __repr__(self, /) -> str:
        """
        Names the portal and where the credentials come from, never the credentials.
        """
    def _add_token(self, /, admin_id: "int | str", note: "str | None" = None, status: "int | str | TokenStatus" = 2, *, type: "str | TokenType" = "lmv1", deliver: Destination | None = None) -> Awaitable[Any]: ...
    def _add_tokens(self, /, tokens: Rows, *, journal: str | PathLike[str], resume: "bool" = False, concurrency: "int" = 8, on_error: "str" = "continue", progress: Progress | None = None, lock: "bool" = True, deliver: Destination | None = None) -> "AsyncBulkRun": ...
    def _close(self, /) -> None: ...
    def _delete_token(self, /, token: "int | str | Token", *, force: "bool" = False) -> Awaitable[Any]: ...
    def _disable_token(self, /, token: "int | str | Token", *, force: "bool" = False) -> Awaitable[Any]: ...
    def _enable_token(self, /, token: "int | str | Token") -> Awaitable[Any]: ...
    def _find_token(self, /, token: "int | str | Token") -> Awaitable[Any]: ...
    def _list_tokens(self, /, admin_id: "int | str | None" = None, *, type: "str | TokenType | None" = None, filter: "Filter | str | None" = None, page_size: "int" = 1000) -> "TokenPages": ...
    def _lost(self, outcome: "object", /) -> "None":
        """
        Tells what an awaited create ended with, which its caller will not get.
        """
    def _sweep_tokens(self, /, *, dry_run: "bool" = True) -> Awaitable[Any]: ...
    def _update_token(self, /, token: "int | str | Token", note: "str | None" = None, status: "int | str | TokenStatus | None" = None, *, force: "bool" = False) -> Awaitable[Any]: ...
    def _whoami(self, /) -> Awaitable[Any]: ...

@final
class BulkRun:
    """
    A run of ``add_tokens``: an iterator of how the rows ended, as they end.

    The first step of the iteration sends the first request. Leaving it (``break``, ``close()``, the end of a ``with``
    block) starts no new row; Ctrl-C cuts off what is under way, which ``resume=True`` finishes later. An error of the run as
    a whole (the credentials are refused, the journal cannot be written) is raised at the end, after every row has ended.
    """
    def __enter__(self, /) -> BulkRun: ...
    def __exit__(self, /, *exception: "object") -> "None": ...
    def __iter__(self, /) -> BulkRun: ...
    def __next__(self, /) -> RowResult: ...
    def __repr__(self, /) -> str: ...
    def close(self, /) -> None:
        """
        Start no new row. Those under way go on to their end.
        """
    def finish(self, /) -> Summary:
        """
        Go through all that is left, and say how the rows ended.

        Returns:
            Summary: how many rows ended how.
        """
    @property
    def summary(self, /) -> Summary:
        """
        Summary: how many rows ended how, so far.
        """

@disjoint_base
class Client:
    """
    Calls one portal as one identity. Threads may share a client; connections are kept for 20 s of idleness.

    What is not given is looked for in the environment, and what is not there either is asked for where a person sits
    at a terminal or a notebook (and ``CI`` is not set). Credentials are taken whole from the first source that has any.

    Args:
        company (str | None): the bare name (``"acme"``), the portal's host or the URL of one of its pages. Environment:
            ``LM_COMPANY``, also ``LM_ACCOUNT`` and ``LM_PORTAL``.
        access_id (str | Secret | None): the access id of an LMv1 token. Environment: ``LM_ACCESS_ID``, also
            ``LM_API_ID``.
        access_key (str | Secret | None): its access key; one that begins with ``lmb_`` is a bearer token. Environment:
            ``LM_ACCESS_KEY``, also ``LM_API_KEY``.
        bearer_token (str | Secret | None): a bearer token, instead of a pair. Environment: ``LM_BEARER_TOKEN``, used
            where no pair is set.
        domain (str | None): what follows the company in the portal's host; default ``"logicmonitor.com"``. Environment:
            ``LM_DOMAIN_NAME``.
        base_url (str | None): the portal's address where it is not made of company and domain; https, or http to
            loopback, ending with ``/santaba/rest``. Environment: ``LM_BASE_URL``.
        timeout (float | tuple[float, float] | None): seconds that one request may take, or (seconds to connect, seconds
            in all); default 30, of which 10 to connect. Environment: ``LM_TIMEOUT``.
        ca_bundle (str | os.PathLike | None): a file of certificates in PEM, or a folder of such files, to trust instead
            of the system's. Environment: ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, else ``REQUESTS_CA_BUNDLE``, else
            ``CURL_CA_BUNDLE``. Certificate checks cannot be switched off.
        client_cert (str | os.PathLike | tuple | None): a file with a certificate of our own and its private key in PEM,
            or (certificate, private key) in two files; default none.
        max_attempts (int): how often one request is sent at most, the first time included; default 3, 1 to 100. Only what
            can do no harm is sent again: GET, PATCH and DELETE after a failed connection, a time-out, 502, 503 or 504; any
            request that never reached the portal. A create that may have happened is never sent again.
        deadline (float | None): seconds that one request may take with all its attempts, pauses and waits; default none.
        on_limit (str): where the portal's budget is spent: ``"wait"`` (the default) or ``"raise"`` a ``RateLimitError``.
            Budgets are learned from the portal's answers, and all clients of this process share them.
        max_wait (float): seconds that one request may wait for its budget in all; default 120.
        on_wait (Callable[[float], object] | None): called with the seconds that such a wait takes, as soon as they are more
            than 2. It runs on the caller's thread (async: in its loop).
        proxy (str | Secret | None): the URL of a proxy, ``http://USER:PASSWORD@HOST:PORT``, used for every request but
            to loopback. Environment: ``HTTPS_PROXY``, else ``ALL_PROXY``, with the exceptions of ``NO_PROXY``.

    Raises:
        ConfigurationError: settings that contradict each other or cannot be used.
        CredentialsError: no credentials, half a pair, or credentials that cannot be right.

    Example:
        >>> client = Client(company="acme", access_id="exampleAccessId00001", access_key="invented-key")
        >>> client
        <lmtokens.Client https://acme.logicmonitor.com/santaba/rest, LMv1 from arguments>
    """
    def __enter__(self, /) -> Self: ...
    def __exit__(self, /, *exception: "object") -> "None": ...
    def __new__(cls, /, company: "str | None" = None, *, access_id: "str | Secret | None" = None, access_key: "str | Secret | None" = None, bearer_token: "str | Secret | None" = None, domain: "str | None" = None, base_url: "str | None" = None, timeout: "float | tuple[float, float] | None" = None, ca_bundle: str | PathLike[str] | None = None, client_cert: tuple[str | PathLike[str], str | PathLike[str]] | str | PathLike[str] | None = None, proxy: "str | Secret | None" = None, max_attempts: "int" = 3, deadline: "float | None" = None, on_limit: "str" = "wait", max_wait: "float" = 120.0, on_wait: OnWait | None = None) -> "Self": ...
    def __reduce_ex__(self, protocol: "object", /) -> "str": ...
    def __repr__(self, /) -> str:
        """
        Names the portal and where the credentials come from, never the credentials.
        """
    def add_token(self, /, admin_id: "int | str", note: "str | None" = None, status: "int | str | TokenStatus" = 2, *, type: "str | TokenType" = "lmv1", deliver: Destination | None = None) -> "Token":
        """
        Create an API token for a user, with exactly one POST.

        With ``deliver=``, the token is created disabled, under a tagged note. After its key has been delivered, one PATCH
        sets its status and note. If the call ends before that, the token stays disabled, and ``sweep_tokens`` finds it.

        Args:
            admin_id (int | str): the user's id, 1 to 2147483647, or the user's name, which is looked up.
            note (str | None): a label; default none.
            status (int | str | TokenStatus): 1, ``"disabled"`` or ``TokenStatus.DISABLED``; 2 (the default), ``"enabled"``
                or ``TokenStatus.ENABLED``.
            type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.
            deliver (ToFile | ToCommand | Callable[[Token], object] | object | None): the destination that receives the key
                before the token is enabled: ``lmtokens.deliver.to_file(…)``, ``to_command([…])``, a callable that takes the
                token, or an object with ``deliver(token)`` and optionally ``commit(token)`` and ``discard(token)``. Default
                ``None``: the key is only in the result.

        Returns:
            Token: the new token. Its ``access_key`` is a ``Secret``, which the portal returns only once; for a bearer token it
            is the bearer token itself. With ``deliver=``, ``access_key`` is ``None``.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            ConfigurationError, CredentialsError: the settings or credentials are missing or invalid; nothing was sent.
            APIError: the portal rejected the request; no token was created. The subclass gives the reason:
                ``AuthenticationError``, ``PermissionDeniedError``, ``NotFoundError`` (the user does not exist),
                ``RateLimitError`` and others.
            ConnectError, TLSError: the connection failed; nothing was sent.
            DeliveryError: the key could not be delivered; the token was never enabled and is deleted.
            OutcomeUnknownError: the response was lost, so the token may exist. The POST is not repeated; ``candidates`` holds
                the tokens that may have been created by it.

        If the call is interrupted (Ctrl-C) when the portal may already have acted, a warning is logged that a token may exist.

        Source: the vendor's page "Adding API Tokens"
        (https://www.logicmonitor.com/support/adding-api-tokens).

        Example:
            >>> import lmtokens.sandbox
            >>> with lmtokens.sandbox.Portal() as portal:
            ...     token = portal.client().add_token(32, "ci")
            >>> token.admin_id, token.note, token.status
            (32, 'ci', TokenStatus.ENABLED)
            >>> print(token.access_key)
            ********
        """
    def add_tokens(self, /, tokens: Rows, *, journal: str | PathLike[str], resume: "bool" = False, concurrency: "int" = 8, on_error: "str" = "continue", progress: Progress | None = None, lock: "bool" = True, deliver: Destination | None = None) -> "BulkRun":
        """
        Create many tokens, with a journal from which an interrupted run can be resumed.

        All rows are checked before the first request. Each token is created disabled, and is enabled only after its key has
        been written to the journal and flushed to disk. The portal may e-mail the user for each change of a token: expect about
        two e-mails per row. If a rate limit is reached, the run waits as long as necessary (``max_wait`` applies to single calls
        only), unless the client's ``on_limit`` is ``"raise"``.

        Args:
            tokens (Iterable[NewToken | dict | tuple]): the rows: ``NewToken`` objects, ``dict`` objects with ``admin_id`` and
                optionally ``note``, ``status`` and ``type``, or tuples in this order. A user is given by id or by name; each
                name is looked up once.
            journal (str | os.PathLike): path of the journal, a file of JSON lines that only its owner can read. It contains the
                keys: protect it like the keys. If it exists, ``resume=True`` is required.
            resume (bool): resume an existing journal: rows that are done are kept, the others are tried again, and no row ends
                with two enabled tokens. If the journal does not exist, a new run starts. Default ``False``.
            concurrency (int): number of rows processed at once, 1 to 64; default 8. The first row is processed alone.
            on_error (str): what to do with the other rows when one fails: ``"continue"`` (the default) or ``"stop"``.
            progress (bool | Callable[[int, int], object] | None): ``True`` shows progress on standard error; a callable is
                called after each row with (rows finished, all rows). Default none.
            lock (bool): lock the journal against other processes; default ``True``. Pass ``False`` only on a file system that
                does not support locks.
            deliver (ToFile | ToCommand | Callable | object | None): the destination of each key, as for ``add_token``; the
                journal then contains no keys. Default: the journal.

        Returns:
            BulkRun: an iterator of ``RowResult`` objects, in the order in which the rows finish, with a ``summary``.
            ``finish()`` processes all remaining rows.

        Raises:
            TypeError, ValueError: an argument or a row is invalid; the message names the rows. Nothing was sent.
            DeliveryError: the journal exists, belongs to another portal or another input, is in use by another process, or
                cannot be written. An error that occurs during the run is raised at its end.
            AuthenticationError: the portal rejected the credentials; raised at the end of the run. The run stops at the first
                such response, because repeated failures lock a token.

        Example:
            >>> import lmtokens.sandbox, os, tempfile
            >>> journal = os.path.join(tempfile.mkdtemp(), "run.journal")
            >>> with lmtokens.sandbox.Portal() as portal:
            ...     run = portal.client().add_tokens([(32, "a"), {"admin_id": "viewer", "note": "b"}], journal=journal)
            ...     for result in run:
            ...         print(result.number, result.state)
            1 created
            2 created
            >>> run.summary
            Summary(total=2, created=2, already_done=0, failed=0, unknown=0, skipped=0)
        """
    def close(self, /) -> None:
        """
        Let go of the idle connections. The client stays usable: its next call makes new ones.
        """
    def delete_token(self, /, token: "int | str | Token", *, force: "bool" = False) -> "None":
        """
        Delete a token permanently.

        If an attempt of this call may have deleted the token and its retry does not find it, the call succeeds.

        Args:
            token (int | str | Token): the token, its id or its access id.
            force (bool): delete the token even if it signs this call; default ``False``.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            SelfLockoutError: the token signs this call.
            APIError, TransportError: the portal rejected the request or could not be reached; ``maybe_applied`` is true if the
                token may have been deleted.

        Source: the vendor's API contract, DELETE on a token.
        """
    def disable_token(self, /, token: "int | str | Token", *, force: "bool" = False) -> "Token":
        """
        Disable a token. The portal keeps it and rejects its requests until it is enabled again.

        Args:
            token (int | str | Token): the token, its id or its access id.
            force (bool): disable the token even if it signs this call; default ``False``.

        Returns:
            Token: the token after the change.

        Raises:
            The same errors as ``update_token``.

        Source: the vendor's page "Adding API Tokens": status 1 is disabled.
        """
    def enable_token(self, /, token: "int | str | Token") -> "Token":
        """
        Enable a token.

        Args:
            token (int | str | Token): the token, its id or its access id.

        Returns:
            Token: the token after the change.

        Raises:
            The same errors as ``update_token``.

        Source: the vendor's page "Adding API Tokens": status 2 is enabled.
        """
    def find_token(self, /, token: "int | str | Token") -> "Token":
        """
        Find a token of any user by its id or access id.

        Args:
            token (int | str | Token): its id or its access id; a ``Token`` is read again.

        Returns:
            Token: the token as it is now. ``access_key`` is ``None``: the portal returns a key only when it creates the token.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a response
                that could not be understood.

        Source: the vendor's page "Getting API Token Details". The portal has no request for a single token, so this searches
        its lists.
        """
    def list_tokens(self, /, admin_id: "int | str | None" = None, *, type: "str | TokenType | None" = None, filter: "Filter | str | None" = None, page_size: "int" = 1000) -> "TokenIterator":
        """
        List tokens, requesting pages as they are iterated over.

        Tokens that are deleted during the iteration do not cause other tokens to be skipped or repeated.

        Args:
            admin_id (int | str | None): list the tokens of this user, given by id or name; default: of all users.
            type (str | TokenType | None): list only ``"lmv1"`` or ``"bearer"`` tokens; default: both, LMv1 first (the portal
                lists one type at a time).
            filter (Filter | str | None): a condition made with ``lmtokens.where``, or a string in the portal's filter syntax,
                which is sent unchanged. Default: all tokens.
            page_size (int): tokens per request, 1 to 1000 (the default).

        Returns:
            Iterator[Token]: the tokens, without access keys. If the iteration raises an error, iterating again requests the
            same page again.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            APIError, TransportError, ResponseError: raised by the iteration if the portal rejects a request, cannot be reached,
                or sends a response that cannot be understood.

        Source: the vendor's page "Getting API Token Details".

        Example:
            >>> import lmtokens.sandbox
            >>> from lmtokens import where
            >>> with lmtokens.sandbox.Portal() as portal, portal.client() as client:
            ...     disabled = client.add_token(32, "old", 1)
            ...     [token.note for token in client.list_tokens(32, filter=where.status == 1)]
            ['old']
        """
    def sweep_tokens(self, /, *, dry_run: "bool" = True) -> "list[SweptToken]":
        """
        Find orphans: tokens that a crash left disabled before their key was delivered. Optionally delete them.

        With ``deliver=``, in ``add_tokens`` and in the shell, a token is created disabled with a tag as its note. It is enabled
        and gets its own note after its secret has been delivered. If the process ends before that, the disabled token remains.

        Orphans of every process and machine are found. A token is an orphan if it is disabled, was never used, has a tag as
        its whole note, was created within an hour of the time in the tag, and is more than an hour old by the portal's clock.
        All other tokens are left alone. Each orphan is read again before it is deleted.

        Args:
            dry_run (bool): ``True`` (the default) only lists the orphans; ``False`` deletes them.

        Returns:
            list[SweptToken]: the orphans, each with ``token``, ``deleted`` and ``error``.

        Raises:
            APIError: the portal rejected the request to list tokens, or rejected the credentials.
            ResponseError: the portal's response has no time. The local clock is not used instead, because it may be wrong.

        Example:
            >>> import lmtokens.sandbox
            >>> with lmtokens.sandbox.Portal() as portal:
            ...     portal.client().sweep_tokens()
            []
        """
    def update_token(self, /, token: "int | str | Token", note: "str | None" = None, status: "int | str | TokenStatus | None" = None, *, force: "bool" = False) -> "Token":
        """
        Change a token's note, its status, or both.

        Args:
            token (int | str | Token): the token, its id or its access id.
            note (str | None): the new note; ``""`` removes it. ``None`` (the default) leaves it unchanged.
            status (int | str | TokenStatus | None): the new status, as for ``add_token``. ``None`` (the default) leaves it
                unchanged.
            force (bool): disable the token even if it signs this call; default ``False``.

        Returns:
            Token: the token after the change.

        Raises:
            TypeError, ValueError: an argument is invalid, or neither note nor status is given; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            SelfLockoutError: the call would disable the token that signs it.
            APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a response
                that could not be understood; ``maybe_applied`` is true if the token may have been changed.

        Source: the vendor's API contract, PATCH on a token: members that are not sent stay unchanged. (A PUT without a status
        would enable a disabled token.)
        """
    def whoami(self, /) -> "Whoami":
        """
        Return the portal, the token that signs the calls, its user, and the source of the credentials.

        Returns:
            Whoami: the identity, as far as it can be read. If the credentials may not view tokens, ``token`` is ``None`` and
            ``limitation`` gives the reason.

        Raises:
            AuthenticationError: the portal rejected the credentials.
            APIError, TransportError, ResponseError: the portal rejected the request for another reason, could not be reached,
                or sent a response that could not be understood.
        """

@final
class Field:
    """
    One member of a token, to be compared with a value.
    """
    def __eq__(self, other: object, /) -> Filter: ...
    def __ge__(self, other: object, /) -> Filter: ...
    def __gt__(self, other: object, /) -> Filter: ...
    def __le__(self, other: object, /) -> Filter: ...
    def __lt__(self, other: object, /) -> Filter: ...
    def __ne__(self, other: object, /) -> Filter: ...
    def __repr__(self, /) -> str: ...
    def contains(self, /, text: "str") -> "Filter":
        """
        Tokens whose member contains a text.

        Args:
            text (str): what to look for, letter by letter.
        """
    def not_contains(self, /, text: "str") -> "Filter":
        """
        Tokens whose member does not contain a text.

        Args:
            text (str): what to look for, letter by letter.
        """
    def one_of(self, /, values: Any) -> Filter:
        """
        Tokens whose member equals one of some values.

        Args:
            values (Iterable[str | int]): at least one.
        """

@final
class Filter:
    """
    Which tokens to list; made by comparing members of ``lmtokens.where``, joined with ``&`` and ``|``.

    What the portal is asked is never narrower than the filter, and what it answers is checked again, so that its
    treatment of special characters cannot hide a token.
    """
    def __and__(self, other: object, /) -> Filter: ...
    def __bool__(self, /) -> bool: ...
    def __or__(self, other: object, /) -> Filter: ...
    def __repr__(self, /) -> str:
        """
        Shows what the portal is asked, which may be wider than the filter.
        """

@final
class JournalEntry:
    """
    One row of a journal.
    """
    def __repr__(self, /) -> str: ...
    @property
    def admin(self, /) -> str:
        """
        str: the user as the input named one, an id or a name.
        """
    @property
    def error(self, /) -> str | None:
        """
        str | None: why there is none, or why it is not known.
        """
    @property
    def note(self, /) -> str | None:
        """
        str | None: the note that the row asks for.
        """
    @property
    def state(self, /) -> str:
        """
        str: ``"created"``; ``"pending"``: there is a token, disabled or not known to be enabled; ``"failed"``;
        ``"unknown"``.
        """
    @property
    def token(self, /) -> Token | None:
        """
        Token | None: the token, with its key where the journal holds keys.
        """

@final
class NewToken:
    """
    A token to be made, as ``add_tokens`` takes it.

    Args:
        admin_id (int | str): the id of the token's user, or the user's name.
        note (str | None): a label; default none.
        status (int | str | TokenStatus): as for ``add_token``; default 2, enabled.
        type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.

    Raises:
        TypeError, ValueError: what can never be right.

    Example:
        >>> import lmtokens
        >>> lmtokens.NewToken(32, "ci")
        NewToken(32, note='ci', status=2, type='lmv1')
    """
    def __new__(cls, /, admin_id: "int | str", note: "str | None" = None, status: "int | str | TokenStatus" = 2, *, type: "str | TokenType" = "lmv1") -> NewToken: ...
    def __repr__(self, /) -> str: ...
    @property
    def admin_id(self, /) -> Any:
        """
        int | str: the id of the token's user, or the user's name.
        """
    @property
    def note(self, /) -> str | None:
        """
        str | None: the label.
        """
    @property
    def status(self, /) -> int:
        """
        int: 1 for disabled, 2 for enabled.
        """
    @property
    def type(self, /) -> str:
        """
        str: ``"lmv1"`` or ``"bearer"``.
        """

@final
class RowResult:
    """
    How one row ended.
    """
    def __repr__(self, /) -> str: ...
    @property
    def error(self, /) -> Any | None:
        """
        LMTokensError | None: the error of a failed or unknown row.
        """
    @property
    def number(self, /) -> int:
        """
        int: which row it is, counted from 1.
        """
    @property
    def reason(self, /) -> str | None:
        """
        str | None: why it is not created.
        """
    @property
    def row(self, /) -> NewToken:
        """
        NewToken: what was asked for.
        """
    @property
    def state(self, /) -> str:
        """
        str: ``"created"``; ``"failed"``: nothing works that was not there before; ``"unknown"``: ``error`` says what is
        known; ``"skipped"``: done by an earlier run, whose token ``token`` is, or not tried.
        """
    @property
    def token(self, /) -> Token | None:
        """
        Token | None: the token, its key included unless that went to a destination of the caller's.
        """

@final
class SandboxPortal:
    """
    The native half of ``lmtokens.sandbox.Portal``.
    """
    def __new__(cls, /, settings: str) -> SandboxPortal: ...
    @property
    def access_id(self, /) -> str: ...
    @property
    def access_key(self, /) -> Secret: ...
    @property
    def base_url(self, /) -> str: ...
    @property
    def bearer_token(self, /) -> Secret: ...
    @property
    def company(self, /) -> str: ...
    def control(self, /, command: str) -> tuple[str, list[Secret]]:
        """
        Carry out a command in JSON. The result is the answer in JSON and the secrets of its tokens, in their order.
        """
    def stop(self, /) -> None: ...

@final
class Secret:
    """
    A text that leaves by one door: `reveal()`.

    `str`, `repr`, `format`, `%`, f-strings and rich display show a constant mask without prefix, suffix or length.
    Pickling and JSON are refused with a `TypeError`; a copy is the same object. `==` compares with another `Secret`, in
    constant time; a `Secret` never equals a `str`. The buffer is wiped when the last reference is gone; a `str` that
    `reveal()` gave is Python's, and is not.

    Args:
        text (str): the text to keep.

    Example:
        >>> import lmtokens
        >>> print(lmtokens.Secret("invented"))
        ********
        >>> lmtokens.Secret("invented").reveal()
        'invented'
    """
    def __copy__(self, /) -> Secret: ...
    def __deepcopy__(self, memo: "object", /) -> Secret: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __format__(self, spec: str, /) -> str: ...
    def __new__(cls, /, text: "str") -> Secret: ...
    def __reduce_ex__(self, protocol: "object", /) -> "str": ...
    def __repr__(self, /) -> str: ...
    def __str__(self, /) -> str: ...
    def reveal(self, /) -> str:
        """
        The text itself.

        Returns:
            str: the secret, in the clear.
        """

@disjoint_base
class Signer:
    """
    Signs requests to one portal; what `LMv1Auth` is made of.
    """
    def __copy__(self, /) -> Signer: ...
    def __deepcopy__(self, memo: "object", /) -> "Signer": ...
    def __new__(cls, /, company: "str | None" = None, *, access_id: "str | Secret | None" = None, access_key: "str | Secret | None" = None, bearer_token: "str | Secret | None" = None, domain: "str | None" = None, base_url: "str | None" = None, timeout: "float | tuple[float, float] | None" = None, ca_bundle: str | PathLike[str] | None = None, client_cert: tuple[str | PathLike[str], str | PathLike[str]] | str | PathLike[str] | None = None, proxy: "str | Secret | None" = None) -> "Self": ...
    def __reduce_ex__(self, protocol: "object", /) -> "str": ...
    def __repr__(self, /) -> str: ...
    def _authorization(self, /, method: "str", url: "str", body: "bytes") -> "str":
        """
        The value of the ``Authorization`` header for a request whose body is exactly ``body``.
        """
    def _is_bound_to(self, /, url: str) -> bool:
        """
        Whether a URL is one of the portal's.
        """

@final
class Summary:
    """
    How many rows of a run ended how, so far.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __repr__(self, /) -> str: ...
    @property
    def already_done(self, /) -> int:
        """
        int: done by an earlier run.
        """
    @property
    def created(self, /) -> int:
        """
        int: made by this run.
        """
    @property
    def failed(self, /) -> int:
        """
        int: failed.
        """
    @property
    def skipped(self, /) -> int:
        """
        int: not tried, because the run ended before.
        """
    @property
    def total(self, /) -> int:
        """
        int: all rows.
        """
    @property
    def unknown(self, /) -> int:
        """
        int: not known.
        """

@final
class SweptToken:
    """
    A token that was left behind, and whether it is deleted now.
    """
    def __repr__(self, /) -> str: ...
    @property
    def deleted(self, /) -> bool:
        """
        bool: whether it is deleted; never in a dry run.
        """
    @property
    def error(self, /) -> Any | None:
        """
        LMTokensError | None: why it could not be deleted.
        """
    @property
    def token(self, /) -> Token:
        """
        Token: what it was.
        """

@final
class ToCommand:
    """
    A command as a destination; ``lmtokens.deliver.to_command`` makes one.
    """
    def __repr__(self, /) -> str: ...

@final
class ToFile:
    """
    A file as a destination; ``lmtokens.deliver.to_file`` makes one.
    """
    def __repr__(self, /) -> str: ...

@final
class Token:
    """
    One API token, as the portal last told. A frozen value; two are equal where all members are.

    Members that the portal did not send are ``None``; members that this version does not know are ignored.
    """
    def __copy__(self, /) -> Token: ...
    def __deepcopy__(self, memo: "object", /) -> "Token": ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __reduce__(self, /) -> "tuple[object, ...]": ...
    def __repr__(self, /) -> str: ...
    @staticmethod
    def _from_members(members: "dict[str, object]", /) -> Token:
        """
        The token of the portal's members, for pickle.
        """
    @property
    def access_id(self, /) -> str | None:
        """
        str | None: the public half of an LMv1 pair.
        """
    @property
    def access_key(self, /) -> Secret | None:
        """
        Secret | None: the secret half of an LMv1 pair, or the bearer token itself. Only the answer to a create holds
        it; the portal never tells it again.
        """
    @property
    def admin_id(self, /) -> int | None:
        """
        int | None: the owner's user id.
        """
    @property
    def admin_name(self, /) -> str | None:
        """
        str | None: the owner's user name.
        """
    @property
    def created_by(self, /) -> str | None:
        """
        str | None: the user name of who made it.
        """
    @property
    def created_on(self, /) -> datetime | None:
        """
        datetime.datetime | None: when it was made, aware, in UTC, to the second.
        """
    @property
    def id(self, /) -> int:
        """
        int: the token's number, unique in the portal.
        """
    @property
    def last_auth_ip(self, /) -> str | None:
        """
        str | None: the address it was last used from.
        """
    @property
    def last_used_on(self, /) -> datetime | None:
        """
        datetime.datetime | None: when it was last used, aware, in UTC, to the second; ``None`` for never.
        """
    @property
    def note(self, /) -> str | None:
        """
        str | None: the label.
        """
    @property
    def roles(self, /) -> list[str]:
        """
        list[str]: the names of the owner's roles, which are the token's.
        """
    @property
    def status(self, /) -> TokenStatus | None:
        """
        TokenStatus | None: enabled or disabled.
        """
    def to_dict(self, /) -> "dict[str, object]":
        """
        The token as a ``dict`` that ``json`` takes: all members but ``access_key``, times as ISO 8601 texts in UTC.

        Returns:
            dict[str, object]: member names as the attributes'.
        """
    @property
    def type(self, /) -> TokenType:
        """
        TokenType: LMv1 or bearer.
        """
    @property
    def user_permission(self, /) -> str | None:
        """
        str | None: what the caller may do with the owner: ``"write"``, ``"read"`` or ``"none"``.
        """

@final
class TokenIterator:
    """
    Tokens, asked for page by page as they are wanted.
    """
    def __iter__(self, /) -> TokenIterator: ...
    def __next__(self, /) -> Token: ...

@final
class TokenPages:
    """
    Pages of tokens, for an iterator of the async face.
    """
    def next(self, /) -> Awaitable[Any]:
        """
        An awaitable of whether there are more tokens, which `take` then gives.
        """
    def take(self, /) -> list[Token]:
        """
        The tokens that were read and not yet taken.
        """

@final
class TokenStatus:
    """
    Whether a token may be used: ``TokenStatus.DISABLED`` (1) or ``TokenStatus.ENABLED`` (2).

    Equal to the portal's number: ``token.status == 2``. A number that this version does not know is kept.

    Args:
        number (int): the portal's number.
    """
    DISABLED: Final[TokenStatus]
    """
    Kept by the portal, and refused.
    """
    ENABLED: Final[TokenStatus]
    """
    Usable.
    """
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int:
        """
        Equal to the number's, as equal values must be.
        """
    def __index__(self, /) -> int: ...
    def __int__(self, /) -> int: ...
    def __new__(cls, /, number: "int") -> TokenStatus: ...
    def __reduce__(self, /) -> "tuple[object, ...]": ...
    def __repr__(self, /) -> str: ...
    def __str__(self, /) -> str: ...

@final
class TokenType:
    """
    The kind of an API token: ``TokenType.LMV1`` (``"lmv1"``) or ``TokenType.BEARER`` (``"bearer"``).

    Equal to the word: ``token.type == "bearer"``. A word that this version does not know is kept.

    Args:
        word (str): the kind's word.
    """
    BEARER: Final[TokenType]
    """
    One text that is sent as it is.
    """
    LMV1: Final[TokenType]
    """
    An access id and an access key that signs.
    """
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self, /) -> int:
        """
        Equal to the word's, as equal values must be.
        """
    def __new__(cls, /, word: "str") -> TokenType: ...
    def __reduce__(self, /) -> "tuple[object, ...]": ...
    def __repr__(self, /) -> str: ...
    def __str__(self, /) -> str: ...

@final
class Where:
    """
    The members of a token by which a list can be filtered, as attributes of ``lmtokens.where``.

    Compared with a value, a member becomes a ``Filter``: ``where.status == 1``, ``where.note.contains("ci")``,
    ``where.created_on < datetime(2025, 1, 1, tzinfo=timezone.utc)``. Filters are joined with ``&`` and ``|``.

    Example:
        >>> from lmtokens import where
        >>> (where.status == 1) & where.note.contains("ci")
        <lmtokens.Filter status:1,note~"ci">
    """
    def __new__(cls, /) -> Where: ...
    def __repr__(self, /) -> str: ...
    @property
    def access_id(self, /) -> Field:
        """
        Field: the public half of a pair.
        """
    @property
    def admin_id(self, /) -> Field:
        """
        Field: the owner's user id.
        """
    @property
    def admin_name(self, /) -> Field:
        """
        Field: the owner's user name.
        """
    @property
    def created_by(self, /) -> Field:
        """
        Field: the user name of who made it.
        """
    @property
    def created_on(self, /) -> Field:
        """
        Field: when it was made; compared with an aware ``datetime`` or seconds since 1970-01-01 UTC.
        """
    @property
    def id(self, /) -> Field:
        """
        Field: the token's number.
        """
    @property
    def last_auth_ip(self, /) -> Field:
        """
        Field: the address it was last used from.
        """
    @property
    def last_used_on(self, /) -> Field:
        """
        Field: when it was last used; never is before everything (0).
        """
    @property
    def note(self, /) -> Field:
        """
        Field: the label; a missing one is the empty text.
        """
    @property
    def status(self, /) -> Field:
        """
        Field: 1 (disabled) or 2 (enabled).
        """

@final
class Whoami:
    """
    Who calls, and which source said so. What the credentials may not see is ``None``, and ``limitation`` says why.
    """
    def __repr__(self, /) -> str: ...
    @property
    def admin_id(self, /) -> int | None:
        """
        int | None: the user id of its owner.
        """
    @property
    def admin_name(self, /) -> str | None:
        """
        str | None: the user name of its owner.
        """
    @property
    def base_url(self, /) -> str:
        """
        str: the portal's address, ending with ``/santaba/rest``.
        """
    @property
    def company(self, /) -> str | None:
        """
        str | None: the company, where one was named.
        """
    @property
    def credentials(self, /) -> str:
        """
        str: the kind of credentials, ``"LMv1"`` or ``"bearer"``.
        """
    @property
    def credentials_from(self, /) -> str:
        """
        str: where they were found: ``"arguments"``, ``"environment (LM_ACCESS_ID, LM_ACCESS_KEY)"``, ``"prompt"``, …
        """
    @property
    def ignored_sources(self, /) -> list[str]:
        """
        list[str]: variables that hold other credentials, which were not used.
        """
    @property
    def limitation(self, /) -> str | None:
        """
        str | None: why the token cannot be seen.
        """
    @property
    def portal_from(self, /) -> str:
        """
        str: where the portal was named: ``"arguments"``, ``"environment (LM_COMPANY)"``, ``"prompt"``, …
        """
    @property
    def roles(self, /) -> list[str]:
        """
        list[str]: the names of its owner's roles.
        """
    @property
    def status(self, /) -> TokenStatus | None:
        """
        TokenStatus | None: whether it is enabled.
        """
    @property
    def token(self, /) -> Token | None:
        """
        Token | None: the token that calls.
        """
    @property
    def token_id(self, /) -> int | None:
        """
        int | None: its id.
        """
    @property
    def user_permission(self, /) -> str | None:
        """
        str | None: what it may do with its owner: ``"write"``, ``"read"`` or ``"none"``.
        """

def _forget_default_client() -> None:
    """
    Forget the default client: the next use makes one from the environment as it is then. For test fixtures.
    """

def _shell(arguments: "list[str]") -> "int":
    """
    Runs the command that ``arguments`` holds, without the program's name; the result is the exit status.
    """

def _signing_stages(method: "str", timestamp_ms: "int", body: "bytes", resource_path: "str", access_key: "str") -> "tuple[bytes, str, str]":
    """
    The stages of a signature, for tests against vectors: (string to sign, hex digest, base64 signature).
    """

def add_token(admin_id: "int | str", note: "str | None" = None, status: "int | str | TokenStatus" = 2, *, type: "str | TokenType" = "lmv1", deliver: Destination | None = None) -> "Token":
    """
    Create an API token for a user, with exactly one POST.

    With ``deliver=``, the token is created disabled, under a tagged note. After its key has been delivered, one PATCH
    sets its status and note. If the call ends before that, the token stays disabled, and ``sweep_tokens`` finds it.

    Args:
        admin_id (int | str): the user's id, 1 to 2147483647, or the user's name, which is looked up.
        note (str | None): a label; default none.
        status (int | str | TokenStatus): 1, ``"disabled"`` or ``TokenStatus.DISABLED``; 2 (the default), ``"enabled"``
            or ``TokenStatus.ENABLED``.
        type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.
        deliver (ToFile | ToCommand | Callable[[Token], object] | object | None): the destination that receives the key
            before the token is enabled: ``lmtokens.deliver.to_file(…)``, ``to_command([…])``, a callable that takes the
            token, or an object with ``deliver(token)`` and optionally ``commit(token)`` and ``discard(token)``. Default
            ``None``: the key is only in the result.

    Returns:
        Token: the new token. Its ``access_key`` is a ``Secret``, which the portal returns only once; for a bearer token it
        is the bearer token itself. With ``deliver=``, ``access_key`` is ``None``.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was sent.
        ConfigurationError, CredentialsError: the settings or credentials are missing or invalid; nothing was sent.
        APIError: the portal rejected the request; no token was created. The subclass gives the reason:
            ``AuthenticationError``, ``PermissionDeniedError``, ``NotFoundError`` (the user does not exist),
            ``RateLimitError`` and others.
        ConnectError, TLSError: the connection failed; nothing was sent.
        DeliveryError: the key could not be delivered; the token was never enabled and is deleted.
        OutcomeUnknownError: the response was lost, so the token may exist. The POST is not repeated; ``candidates`` holds
            the tokens that may have been created by it.

    If the call is interrupted (Ctrl-C) when the portal may already have acted, a warning is logged that a token may exist.

    Source: the vendor's page "Adding API Tokens"
    (https://www.logicmonitor.com/support/adding-api-tokens).

    Example:
        >>> import lmtokens.sandbox
        >>> with lmtokens.sandbox.Portal() as portal:
        ...     token = portal.client().add_token(32, "ci")
        >>> token.admin_id, token.note, token.status
        (32, 'ci', TokenStatus.ENABLED)
        >>> print(token.access_key)
        ********
    """

def add_tokens(tokens: Rows, *, journal: str | PathLike[str], resume: "bool" = False, concurrency: "int" = 8, on_error: "str" = "continue", progress: Progress | None = None, lock: "bool" = True, deliver: Destination | None = None) -> "BulkRun":
    """
    Create many tokens, with a journal from which an interrupted run can be resumed.

    All rows are checked before the first request. Each token is created disabled, and is enabled only after its key has
    been written to the journal and flushed to disk. The portal may e-mail the user for each change of a token: expect about
    two e-mails per row. If a rate limit is reached, the run waits as long as necessary (``max_wait`` applies to single calls
    only), unless the client's ``on_limit`` is ``"raise"``.

    Args:
        tokens (Iterable[NewToken | dict | tuple]): the rows: ``NewToken`` objects, ``dict`` objects with ``admin_id`` and
            optionally ``note``, ``status`` and ``type``, or tuples in this order. A user is given by id or by name; each
            name is looked up once.
        journal (str | os.PathLike): path of the journal, a file of JSON lines that only its owner can read. It contains the
            keys: protect it like the keys. If it exists, ``resume=True`` is required.
        resume (bool): resume an existing journal: rows that are done are kept, the others are tried again, and no row ends
            with two enabled tokens. If the journal does not exist, a new run starts. Default ``False``.
        concurrency (int): number of rows processed at once, 1 to 64; default 8. The first row is processed alone.
        on_error (str): what to do with the other rows when one fails: ``"continue"`` (the default) or ``"stop"``.
        progress (bool | Callable[[int, int], object] | None): ``True`` shows progress on standard error; a callable is
            called after each row with (rows finished, all rows). Default none.
        lock (bool): lock the journal against other processes; default ``True``. Pass ``False`` only on a file system that
            does not support locks.
        deliver (ToFile | ToCommand | Callable | object | None): the destination of each key, as for ``add_token``; the
            journal then contains no keys. Default: the journal.

    Returns:
        BulkRun: an iterator of ``RowResult`` objects, in the order in which the rows finish, with a ``summary``.
        ``finish()`` processes all remaining rows.

    Raises:
        TypeError, ValueError: an argument or a row is invalid; the message names the rows. Nothing was sent.
        DeliveryError: the journal exists, belongs to another portal or another input, is in use by another process, or
            cannot be written. An error that occurs during the run is raised at its end.
        AuthenticationError: the portal rejected the credentials; raised at the end of the run. The run stops at the first
            such response, because repeated failures lock a token.

    Example:
        >>> import lmtokens.sandbox, os, tempfile
        >>> journal = os.path.join(tempfile.mkdtemp(), "run.journal")
        >>> with lmtokens.sandbox.Portal() as portal:
        ...     run = portal.client().add_tokens([(32, "a"), {"admin_id": "viewer", "note": "b"}], journal=journal)
        ...     for result in run:
        ...         print(result.number, result.state)
        1 created
        2 created
        >>> run.summary
        Summary(total=2, created=2, already_done=0, failed=0, unknown=0, skipped=0)
    """

def configure(company: "str | None" = None, *, access_id: "str | Secret | None" = None, access_key: "str | Secret | None" = None, bearer_token: "str | Secret | None" = None, domain: "str | None" = None, base_url: "str | None" = None, timeout: "float | tuple[float, float] | None" = None, ca_bundle: str | PathLike[str] | None = None, client_cert: tuple[str | PathLike[str], str | PathLike[str]] | str | PathLike[str] | None = None, proxy: "str | Secret | None" = None, max_attempts: "int" = 3, deadline: "float | None" = None, on_limit: "str" = "wait", max_wait: "float" = 120.0, on_wait: OnWait | None = None) -> "Client":
    """
    Say what the module's functions use from now on.

    Args:
        company, access_id, access_key, bearer_token, domain, base_url, timeout, ca_bundle, client_cert, proxy,
            max_attempts, deadline, on_limit, max_wait, on_wait: as for ``Client``.

    Returns:
        Client: the new default client.

    Raises:
        ConfigurationError, CredentialsError: as for ``Client``; the default client is then unchanged.
    """

def default_client() -> "Client":
    """
    The client that the module's functions use: what ``configure`` said, or one made from the environment now.

    One that could not be made is not remembered: the next call tries again.

    Returns:
        Client: the same one each time, until ``configure`` is called.

    Raises:
        ConfigurationError, CredentialsError: the environment does not say which portal, or as whom.
    """

def delete_token(token: "int | str | Token", *, force: "bool" = False) -> "None":
    """
    Delete a token permanently.

    If an attempt of this call may have deleted the token and its retry does not find it, the call succeeds.

    Args:
        token (int | str | Token): the token, its id or its access id.
        force (bool): delete the token even if it signs this call; default ``False``.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was sent.
        NotFoundError: the token does not exist, or the credentials may not view it.
        SelfLockoutError: the token signs this call.
        APIError, TransportError: the portal rejected the request or could not be reached; ``maybe_applied`` is true if the
            token may have been deleted.

    Source: the vendor's API contract, DELETE on a token.
    """

def disable_token(token: "int | str | Token", *, force: "bool" = False) -> "Token":
    """
    Disable a token. The portal keeps it and rejects its requests until it is enabled again.

    Args:
        token (int | str | Token): the token, its id or its access id.
        force (bool): disable the token even if it signs this call; default ``False``.

    Returns:
        Token: the token after the change.

    Raises:
        The same errors as ``update_token``.

    Source: the vendor's page "Adding API Tokens": status 1 is disabled.
    """

def enable_token(token: "int | str | Token") -> "Token":
    """
    Enable a token.

    Args:
        token (int | str | Token): the token, its id or its access id.

    Returns:
        Token: the token after the change.

    Raises:
        The same errors as ``update_token``.

    Source: the vendor's page "Adding API Tokens": status 2 is enabled.
    """

def find_token(token: "int | str | Token") -> "Token":
    """
    Find a token of any user by its id or access id.

    Args:
        token (int | str | Token): its id or its access id; a ``Token`` is read again.

    Returns:
        Token: the token as it is now. ``access_key`` is ``None``: the portal returns a key only when it creates the token.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was sent.
        NotFoundError: the token does not exist, or the credentials may not view it.
        APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a response
            that could not be understood.

    Source: the vendor's page "Getting API Token Details". The portal has no request for a single token, so this searches
    its lists.
    """

def list_tokens(admin_id: "int | str | None" = None, *, type: "str | TokenType | None" = None, filter: "Filter | str | None" = None, page_size: "int" = 1000) -> "TokenIterator":
    """
    List tokens, requesting pages as they are iterated over.

    Tokens that are deleted during the iteration do not cause other tokens to be skipped or repeated.

    Args:
        admin_id (int | str | None): list the tokens of this user, given by id or name; default: of all users.
        type (str | TokenType | None): list only ``"lmv1"`` or ``"bearer"`` tokens; default: both, LMv1 first (the portal
            lists one type at a time).
        filter (Filter | str | None): a condition made with ``lmtokens.where``, or a string in the portal's filter syntax,
            which is sent unchanged. Default: all tokens.
        page_size (int): tokens per request, 1 to 1000 (the default).

    Returns:
        Iterator[Token]: the tokens, without access keys. If the iteration raises an error, iterating again requests the
        same page again.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was sent.
        APIError, TransportError, ResponseError: raised by the iteration if the portal rejects a request, cannot be reached,
            or sends a response that cannot be understood.

    Source: the vendor's page "Getting API Token Details".

    Example:
        >>> import lmtokens.sandbox
        >>> from lmtokens import where
        >>> with lmtokens.sandbox.Portal() as portal, portal.client() as client:
        ...     disabled = client.add_token(32, "old", 1)
        ...     [token.note for token in client.list_tokens(32, filter=where.status == 1)]
        ['old']
    """

def read_journal(path: str | PathLike[str]) -> "list[JournalEntry]":
    """
    Read the rows of a journal that ``add_tokens`` or ``lmtokens bulk`` wrote, and hand their keys out again.

    Args:
        path (str | os.PathLike): the journal. It may be in use; a line that a crash tore off is left out, since its token
            never worked.

    Returns:
        list[JournalEntry]: one for each row that was begun, in that order.

    Raises:
        DeliveryError: the file cannot be read, or is no journal.

    Example:
        >>> import lmtokens.sandbox, os, tempfile
        >>> journal = os.path.join(tempfile.mkdtemp(), "run.journal")
        >>> with lmtokens.sandbox.Portal() as portal:
        ...     summary = portal.client().add_tokens([(32, "a"), (32, "b")], journal=journal).finish()
        >>> [(entry.state, entry.note, entry.token.access_key) for entry in lmtokens.read_journal(journal)]
        [('created', 'a', Secret('********')), ('created', 'b', Secret('********'))]
    """

def sign(method: "str", resource_path: "str", body: "bytes | bytearray | memoryview" = ..., *, access_id: "str | Secret", access_key: "str | Secret", timestamp_ms: "int | None" = None) -> "str":
    """
    Sign one request with LMv1, for code that makes its own.

    Args:
        method (str): the HTTP method; lower case is raised to upper case.
        resource_path (str): the percent-decoded path after ``/santaba/rest``, beginning with a slash, without query.
        body (bytes | bytearray | memoryview): the exact bytes that will be sent; default none. A ``str`` is refused:
            encode it as it will travel.
        access_id (str | Secret): letters and digits.
        access_key (str | Secret): any text without white space.
        timestamp_ms (int | None): milliseconds since 1970-01-01 UTC, up to the end of the year 9999; default now. The
            portal accepts what is within 30 minutes of its own clock.

    Returns:
        str: the value of the ``Authorization`` header, ``"LMv1 id:signature:milliseconds"``. It is no secret of
        lasting value, but whoever has it can repeat this one request for 30 minutes.

    Raises:
        ValueError: a method, path or time whose signature could never verify, or a bearer token (it begins with
            ``lmb_``), which travels as it is.
        CredentialsError: credentials that cannot be right.

    Source: the vendor's page "REST API Authentication"; the hex step, which its formula leaves out, is in its sample.

    Example:
        >>> import lmtokens
        >>> lmtokens.sign("get", "/setting/admins/apitokens", access_id="exampleAccessId00001",
        ...               access_key="unit+test(key)]{%~^_=Z", timestamp_ms=1700000000000)
        'LMv1 exampleAccessId00001:MDljOGVkMWVlYzdhOTg4ZTRkODhmMzRmZTIyMmY4MDM3ODk2Nzc5ZDIzNGQyNzQ1YWUxMmMxZGFiODhkYTJlYQ==:1700000000000'
    """

def sweep_tokens(*, dry_run: "bool" = True) -> "list[SweptToken]":
    """
    Find orphans: tokens that a crash left disabled before their key was delivered. Optionally delete them.

    With ``deliver=``, in ``add_tokens`` and in the shell, a token is created disabled with a tag as its note. It is enabled
    and gets its own note after its secret has been delivered. If the process ends before that, the disabled token remains.

    Orphans of every process and machine are found. A token is an orphan if it is disabled, was never used, has a tag as
    its whole note, was created within an hour of the time in the tag, and is more than an hour old by the portal's clock.
    All other tokens are left alone. Each orphan is read again before it is deleted.

    Args:
        dry_run (bool): ``True`` (the default) only lists the orphans; ``False`` deletes them.

    Returns:
        list[SweptToken]: the orphans, each with ``token``, ``deleted`` and ``error``.

    Raises:
        APIError: the portal rejected the request to list tokens, or rejected the credentials.
        ResponseError: the portal's response has no time. The local clock is not used instead, because it may be wrong.

    Example:
        >>> import lmtokens.sandbox
        >>> with lmtokens.sandbox.Portal() as portal:
        ...     portal.client().sweep_tokens()
        []
    """

def to_command(command: Words, *, timeout: "float" = 30.0) -> "ToCommand":
    """
    Hand the secret of a new token to a command, as JSON on its standard input.

    The command has the secret when it ends with status 0; anything else fails the delivery, and the token is deleted.
    What it prints is thrown away: it may be the secret.

    Args:
        command (Sequence[str | os.PathLike]): the program and its arguments, each a word of its own; no shell reads them.
        timeout (float): seconds that it may take; default 30. Then it is killed.

    Returns:
        ToCommand: for ``deliver=``.

    Raises:
        TypeError: a text instead of a list of words.
        ValueError: no words, or a time limit of 0 or less.

    Example:
        >>> import lmtokens.sandbox, sys
        >>> from lmtokens.deliver import to_command
        >>> store = [sys.executable, "-c", "import json, sys; json.load(sys.stdin)['access_key']"]
        >>> with lmtokens.sandbox.Portal() as portal:
        ...     token = portal.client().add_token(32, deliver=to_command(store))
        >>> token.status
        TokenStatus.ENABLED
    """

def to_file(path: str | PathLike[str], format: "str" = "json", *, overwrite: "bool" = False) -> "ToFile":
    """
    Write the secret of a new token to a file.

    Before the token works, the secret is in ``PATH.<tag>.pending`` beside it, on disk and readable by its owner only from
    the moment it exists; when the token works, that file takes the place of ``path`` in one step. So an old key in
    ``path`` is never lost before the new one works.

    Args:
        path (str | os.PathLike): where the secret is to be. A symbolic link is refused, and so is a folder that others may
            write to, unless it is sticky as ``/tmp`` is.
        format (str): ``"json"`` (the default: one object with the token's members), ``"env"`` (the variables that this
            package reads) or ``"key"`` (the secret alone); each ends with a line break.
        overwrite (bool): replace a file that is there; default no, which is an error before anything is made.

    Returns:
        ToFile: for ``deliver=``.

    Raises:
        ValueError: a format that is not known.

    Example:
        >>> import lmtokens.sandbox, os, tempfile
        >>> from lmtokens.deliver import to_file
        >>> path = os.path.join(tempfile.mkdtemp(), "token.json")
        >>> with lmtokens.sandbox.Portal() as portal:
        ...     token = portal.client().add_token(32, "ci", deliver=to_file(path))
        >>> oct(os.stat(path).st_mode & 0o777), token.access_key
        ('0o600', None)
    """

def update_token(token: "int | str | Token", note: "str | None" = None, status: "int | str | TokenStatus | None" = None, *, force: "bool" = False) -> "Token":
    """
    Change a token's note, its status, or both.

    Args:
        token (int | str | Token): the token, its id or its access id.
        note (str | None): the new note; ``""`` removes it. ``None`` (the default) leaves it unchanged.
        status (int | str | TokenStatus | None): the new status, as for ``add_token``. ``None`` (the default) leaves it
            unchanged.
        force (bool): disable the token even if it signs this call; default ``False``.

    Returns:
        Token: the token after the change.

    Raises:
        TypeError, ValueError: an argument is invalid, or neither note nor status is given; nothing was sent.
        NotFoundError: the token does not exist, or the credentials may not view it.
        SelfLockoutError: the call would disable the token that signs it.
        APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a response
            that could not be understood; ``maybe_applied`` is true if the token may have been changed.

    Source: the vendor's API contract, PATCH on a token: members that are not sent stay unchanged. (A PUT without a status
    would enable a disabled token.)
    """

def whoami() -> "Whoami":
    """
    Return the portal, the token that signs the calls, its user, and the source of the credentials.

    Returns:
        Whoami: the identity, as far as it can be read. If the credentials may not view tokens, ``token`` is ``None`` and
        ``limitation`` gives the reason.

    Raises:
        AuthenticationError: the portal rejected the credentials.
        APIError, TransportError, ResponseError: the portal rejected the request for another reason, could not be reached,
            or sent a response that could not be understood.
    """
