"""
The native part of the package `lmtokens`.
"""

from collections.abc import Coroutine, Iterator
from datetime import datetime, timedelta
from lmtokens._enums import AuditReason, Severity, TokenStatus, TokenType
from lmtokens._types import Age, CredentialsCallable, Destination, OnWait, Ordered, Progress, Reasons, Rows, Then, Values, Words
from os import PathLike
from typing import Any, Final, Literal, final, overload
from typing_extensions import Self, disjoint_base

__all__ = ["__version__", "Audit", "BulkRun", "Client", "CreatedToken", "Field", "Filter", "Finding", "JournalEntry", "NewToken", "Rotation", "RowResult", "Secret", "SignatureCause", "SignatureExplanation", "Summary", "SweptToken", "TemporaryToken", "ToCommand", "ToFile", "ToKeyring", "Token", "TokenIterator", "User", "Where", "Whoami", "_AsyncBulkRun", "_AsyncCore", "_AsyncTemporaryToken", "_SandboxPortal", "_Signer", "_TokenPages", "_forget_default_client", "_printable", "_shell", "_signing_stages", "add_token", "add_tokens", "audit_tokens", "cancel_rotation", "configure", "default_client", "delete_token", "disable_token", "enable_token", "explain_signature", "find_token", "finish_rotations", "list_tokens", "list_users", "read_journal", "rotate_token", "sign", "sweep_tokens", "temporary_token", "to_command", "to_file", "to_keyring", "update_token", "whoami"]

__version__: Final[str]

@final
class Audit:
    """
    The report of an audit: an iterable of findings, the most severe first.

    A report without findings is false in a condition.
    """
    def __iter__(self, /) -> Iterator[Finding]: ...
    def __len__(self, /) -> int: ...
    def __repr__(self, /) -> str: ...
    def _repr_html_(self, /) -> "str": ...
    @property
    def checked(self, /) -> int:
        """
        int: how many tokens were checked.
        """
    @property
    def checked_on(self, /) -> datetime | None:
        """
        datetime.datetime | None: the portal's time by which the tokens were judged: aware, in UTC, to the second.
        """
    @property
    def counts(self, /) -> dict[AuditReason, int]:
        """
        dict[AuditReason, int]: how many tokens have each reason, without those that no token has.
        """
    @property
    def findings(self, /) -> list[Finding]:
        """
        list[Finding]: the tokens that were found.
        """
    @property
    def gone(self, /) -> list[dict[str, object]]:
        """
        list[dict[str, object]]: with ``diff=``, the findings of the earlier report that do not apply any more, as it
        has them: the token's members, ``portal``, ``profile`` and, in ``reasons``, those that are gone.
        """
    @property
    def limitations(self, /) -> list[str]:
        """
        list[str]: what could not be checked, and why.
        """
    def to_dict(self, /) -> "dict[str, object]":
        """
        Return the report as a ``dict`` for ``json``, which ``diff=`` reads again.

        Returns:
            dict[str, object]: ``checked_on`` (ISO 8601, UTC), ``checked``, ``limitations`` and ``findings``, a list of
                the ``dict`` of each finding.
        """

@final
class BulkRun:
    """
    A run of ``add_tokens``: an iterator of row results, in the order in which the rows end.

    The first step sends the first request. Leaving the iteration (``break``, ``close()``, the end of a ``with`` block)
    starts no new row; ``close()`` and the end of the block wait for the rows in progress, so that the journal can be
    resumed at once. Ctrl-C cancels the rows in progress, which ``resume=True`` finishes later. An error of the run as a
    whole (the credentials are rejected, the journal cannot be written) is raised at the end, after every row has ended.
    """
    def __enter__(self, /) -> BulkRun: ...
    def __exit__(self, /, *exception: "object") -> "None": ...
    def __iter__(self, /) -> BulkRun: ...
    def __next__(self, /) -> RowResult: ...
    def __repr__(self, /) -> str: ...
    def _repr_html_(self, /) -> "str": ...
    def close(self, /) -> None:
        """
        Start no new row, and wait for those in progress. The summary then counts them, and the others as skipped. If
        another thread iterates over the run, it gets the rows in progress, and this does not wait.
        """
    def finish(self, /) -> Summary:
        """
        Iterate to the end and return the summary.

        Returns:
            Summary: the number of rows by result.
        """
    @property
    def summary(self, /) -> Summary:
        """
        Summary: the number of rows by result, so far.
        """

@disjoint_base
class Client:
    """
    A client of one portal with one set of credentials. Threads may share it. Idle connections are kept for at most 20 s,
    and no longer than the portal's ``Keep-Alive`` header allows.

    Missing settings are read from the environment, then from a profile of the configuration file; a missing company or
    credentials are then asked for if there is an interactive prompt (and ``CI`` is not set). Credentials are taken as a
    whole from the first source that has any.

    The configuration file is ``LM_CONFIG_FILE``, else ``lmtokens/config.toml`` in ``XDG_CONFIG_HOME`` or ``~/.config``
    (Windows: in ``APPDATA``). It is read only if a call needs it. ``lmtokens profile`` manages it::

        default = "acme"

        [profiles.acme]
        company = "acme"  # or base_url; also domain
        access_id = "..."
        access_key = "..."  # or bearer_token instead of both

    In place of the secret, a profile may have ``keyring = true``: the secret is in the keyring of the operating system
    (``pip install 'lmtokens[keyring]'``). Or it has ``credential_process = ["PROGRAM", "ARGUMENT"]``: a command that
    prints the secret, or a JSON object with ``access_id`` and ``access_key``, or with ``bearer_token``. No shell is
    involved, and the output is not shown. It is used as long as this process runs; if the object has ``expires`` or
    ``Expiration`` (a time as in RFC 3339), the command is run again before then, and after a 401; the clients of the
    process share its output. The command, but not what it started, is killed after 30 s.

    Only the owner of the file may have access to it if it holds a secret. Credentials of a profile with an address are
    not sent to another portal.

    Args:
        company (str | None): the name (``"acme"``), the portal's host or the URL of one of its pages. Environment:
            ``LM_COMPANY``, also ``LM_ACCOUNT`` and ``LM_PORTAL``.
        access_id (str | Secret | None): the access id of an LMv1 token. Environment: ``LM_ACCESS_ID``, also
            ``LM_API_ID``.
        access_key (str | Secret | None): its access key; one that begins with ``lmb_`` is a bearer token. Environment:
            ``LM_ACCESS_KEY``, also ``LM_API_KEY``, or ``LM_ACCESS_KEY_FILE`` with the path of a file that holds it.
        bearer_token (str | Secret | None): a bearer token, instead of a pair. Environment: ``LM_BEARER_TOKEN``, or
            ``LM_BEARER_TOKEN_FILE`` with the path of a file that holds it; used if no pair is set.
        profile (str | None): the profile that has the settings which no argument sets. The portal and the credentials of
            the environment are then ignored. Environment: ``LM_PROFILE``, which is refused beside variables with
            credentials. Default: if neither the arguments nor the environment have credentials, the file's default
            profile.
        domain (str | None): the part of the portal's host after the company; default ``"logicmonitor.com"``.
            Environment: ``LM_DOMAIN_NAME``.
        base_url (str | None): the portal's address, if it does not follow from company and domain; https, or http to
            loopback, ending with ``/santaba/rest``. Environment: ``LM_BASE_URL``, which overrides ``company`` and
            ``domain`` as well: ``repr`` and ``whoami`` say so, and unless it is on loopback, a warning is logged.
        timeout (float | tuple[float, float] | None): seconds for one attempt, or (seconds to connect, seconds in
            total); default 30, of which 10 to connect. The look at the portal after a lost create takes at most this
            long too, and at most 10 s. Environment: ``LM_TIMEOUT``.
        ca_bundle (str | os.PathLike | None): a PEM file of certificates, or a folder of such files, to trust instead of
            the system's. Environment: ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``, else ``REQUESTS_CA_BUNDLE``, else
            ``CURL_CA_BUNDLE``. Certificate checks cannot be disabled.
        client_cert (str | os.PathLike | tuple | None): a PEM file with a client certificate and its private key, or
            (certificate, private key) in two files; default none.
        credentials (Callable[[], object] | None): a callable that supplies the credentials, instead of the arguments, the
            environment and a profile. It takes no argument and returns a bearer token, a tuple (access_id, access_key), or
            a mapping with ``access_id`` and ``access_key`` or with ``bearer_token``, and possibly ``expires`` (an aware
            datetime, or a timedelta or seconds from now). It is called by the first request, not by the constructor; again
            a minute before the credentials expire (if they are valid for less than ten minutes: a tenth of that time earlier);
            and after the portal's 401, when the request is sent once more if the credentials are others. A create without
            ``deliver`` and ``expires`` is not: its 401 is raised, and the next call uses the new credentials. Nor is a
            deletion or a disabling without ``force``: it uses the credentials that were compared with the token. Calls at
            the same time wait for one call of it (in ``AsyncClient``, those of one event loop). Its exceptions are raised
            as they are, or as the cause of a ``CredentialsError`` if the portal may have acted on an earlier request. It
            runs on the thread of the call that needs it; ``AsyncClient`` runs it in a thread, or awaits a coroutine function
            in its loop. It must not use this client.
        max_attempts (int): the maximum number of attempts of one request, 1 to 100; default 3. Only harmless retries
            happen: GET, PATCH and DELETE after a failed connection, a timeout, 502, 503 or 504; any request that cannot
            have reached the portal. A create that may have happened is never retried.
        deadline (float | None): seconds for one call with all its requests, attempts, pauses and waits; default none. For
            a list, the time that its pages take in total; for a bulk run, the time of each row.
        on_limit (str): when a rate limit is reached: ``"wait"`` (the default) or ``"raise"`` a ``RateLimitError``. Rate
            limits are learned from the portal's responses and shared by all clients of the process.
        max_wait (float): the maximum of seconds that one request waits for its rate limit; default 120.
        on_wait (Callable[[float], object] | None): called with the seconds of a wait that takes more than 2. It runs on
            the caller's thread (async: in its loop).
        proxy (str | Secret | None): the URL of a proxy, ``http://USER:PASSWORD@HOST:PORT``, for all requests except
            to loopback. Environment: ``HTTPS_PROXY``, else ``ALL_PROXY``, with the exceptions of ``NO_PROXY``.

    Raises:
        ConfigurationError: settings that are invalid or contradict each other.
        CredentialsError: no credentials, half a pair, or malformed credentials.

    Example:
        >>> client = Client(company="acme", access_id="exampleAccessId00001", access_key="invented-key")
        >>> client
        <lmtokens.Client https://acme.logicmonitor.com/santaba/rest, LMv1 from arguments>
    """
    def __enter__(self, /) -> Self: ...
    def __exit__(self, /, *exception: "object") -> "None": ...
    def __new__(cls, /, company: "str | None" = None, *, access_id: "str | Secret | None" = None, access_key: "str | Secret | None" = None, bearer_token: "str | Secret | None" = None, profile: "str | None" = None, domain: "str | None" = None, base_url: "str | None" = None, timeout: "float | tuple[float, float] | None" = None, ca_bundle: str | PathLike[str] | None = None, client_cert: tuple[str | PathLike[str], str | PathLike[str]] | str | PathLike[str] | None = None, proxy: "str | Secret | None" = None, credentials: CredentialsCallable | None = None, max_attempts: "int" = 3, deadline: "float | None" = None, on_limit: "Literal['wait', 'raise']" = "wait", max_wait: "float" = 120.0, on_wait: OnWait | None = None) -> "Self": ...
    def __reduce_ex__(self, protocol: "object", /) -> "str": ...
    def __repr__(self, /) -> str:
        """
        Return the portal and the source of the credentials, never the credentials.
        """
    @overload
    def add_token(self, /, admin_id: int | str, note: str | None = None, status: "Literal[1, 2, 'disabled', 'enabled'] | TokenStatus" = 2, *, type: "Literal['lmv1', 'bearer'] | TokenType" = "lmv1", deliver: None = None, expires: datetime | timedelta | float | str | None = None) -> CreatedToken:
        """
        Create an API token for a user.

        Without ``deliver=`` and ``expires=``, a POST that may have created a token is never repeated.

        With ``deliver=``, the token is created disabled, under a tagged note. After its key has been delivered, one
        PATCH sets its status and note. If the call ends before that, the token stays disabled, and ``sweep_tokens``
        finds it. With ``expires=``, the same happens even without ``deliver=``: the expiry is in a marker before the
        note, ``[lmtokens 248 expires 2027-01-31T00:00Z] ci``, which needs the token's id.

        Args:
            admin_id (int | str): the user's id, 1 to 2147483647, or the user's name, which is looked up.
            note (str | None): a label; default none. Notes that begin as those that lmtokens writes itself are refused:
                with ``[lmtokens `` or the tag of a pending token.
            status (int | str | TokenStatus): 1, ``"disabled"`` or ``TokenStatus.DISABLED``; 2 (the default),
                ``"enabled"`` or ``TokenStatus.ENABLED``.
            type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.
            deliver (ToFile | ToKeyring | ToCommand | Callable[[CreatedToken], object] | object | None): the destination
                that receives the key before the token is enabled: ``lmtokens.deliver.to_file(…)``, ``to_keyring(…)``,
                ``to_command([…])``, a callable that takes the token, or an object with ``deliver(token)`` and optionally
                ``commit(token)`` and ``discard(token)``. Default ``None``: the key is only in the result.
            expires (datetime | timedelta | float | str | None): when the token expires. An aware ``datetime`` in the
                future is rounded down to a whole second. A ``timedelta``, a number of seconds or a text such as
                ``"30d"`` counts from the create by the portal's clock; it is rounded up to a whole second, and is at
                most ten years. Naive datetimes and larger numbers, such as milliseconds, are refused. The portal does
                not act on it: ``sweep_tokens`` deletes the token once it has expired, even if it is in use. Default
                ``None``: never.

        Returns:
            CreatedToken: the new token. Its ``access_key`` is a ``Secret``, which the portal returns only once; for a
                bearer token it is the bearer token itself. With ``deliver=``, a ``Token`` whose ``access_key`` is
                ``None``.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            ConfigurationError, CredentialsError: the settings or credentials are missing or invalid; nothing was sent.
            APIError: the portal rejected the request; no token was created. The subclass gives the reason:
                ``AuthenticationError``, ``PermissionDeniedError``, ``NotFoundError`` (the user does not exist),
                ``RateLimitError`` and others.
            ConnectError, TLSError: the connection failed; nothing was sent.
            DeliveryError: the destination failed. A token that is not yet enabled is deleted; if only ``commit``
                failed, the token is enabled. The message says what remains.
            OutcomeUnknownError: a response was lost, so a token may exist; ``candidates`` holds the tokens that may
                have been created. With ``deliver=`` or ``expires=``, such a token is disabled. If the response to the
                last PATCH was lost instead, the message names the token, which may be enabled; without ``deliver=``,
                ``token`` holds it with its key.

        If the call is interrupted (Ctrl-C) when the portal may already have acted, a warning is logged that a token may
        exist.

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
    @overload
    def add_token(self, /, admin_id: int | str, note: str | None = None, status: "Literal[1, 2, 'disabled', 'enabled'] | TokenStatus" = 2, *, type: "Literal['lmv1', 'bearer'] | TokenType" = "lmv1", deliver: Destination | None, expires: datetime | timedelta | float | str | None = None) -> Token: ...
    def add_tokens(self, /, tokens: Rows, *, journal: str | PathLike[str], resume: "bool" = False, concurrency: "int" = 8, on_error: "Literal['continue', 'stop']" = "continue", progress: Progress | None = None, lock: "bool" = True, trust_folder: "bool" = False, deliver: Destination | None = None) -> "BulkRun":
        """
        Create many tokens, with a journal from which an interrupted run can be resumed.

        All rows are checked before the first request. Each token is created disabled, and is enabled only after its key
        has been written to the journal and flushed to disk. The portal may e-mail the user for each change of a token:
        expect about two e-mails per row. If a rate limit is reached, the run waits as long as necessary (``max_wait``
        applies to single calls only), unless the client's ``on_limit`` is ``"raise"``.

        Args:
            tokens (Iterable[NewToken | Mapping | tuple] | DataFrame): the rows: ``NewToken`` objects; mappings, named
                tuples or dataclass instances with ``admin_id`` and optionally ``note``, ``status`` and ``type``; plain
                tuples and lists in this order; or a ``DataFrame`` of pandas or Polars with these columns, in which whole
                numbers may be floats, as pandas makes them if a value is missing. Names are compared without case;
                other names are refused, except ``Index`` in a named tuple, as of pandas' ``itertuples()``, which is
                ignored. A user is given by id or by name; each
                name is looked up once. The values of a row, but not of a ``NewToken``, may come from ``csv.DictReader``
                or ``csv.reader`` (pass ``strict=True`` to it): a text of the digits 0-9 is the user's id, and any other
                number is refused, so that a user whose name is a number is given by id. A status may be ``"1"`` or
                ``"2"``. White space around a text does not matter, except in a note. ``None``, NaN, ``pandas.NA`` and
                an empty text are values that are not given. A header among the rows is refused, and so is a first plain
                tuple or list that resembles one: give a user called ``admin`` or ``note`` there by id or in a mapping.
            journal (str | os.PathLike): path of the journal, a file of JSON lines that only its owner can read. It
                contains the keys: protect it like the keys. If it exists, ``resume=True`` is required.
            resume (bool): resume an existing journal: its tokens are compared with the portal, rows that are done are
                kept, the others are tried again, and no row ends with two enabled tokens. A row is ``"unknown"`` if the
                journal contradicts the portal, or if a token looks like one of the row and is not in the journal. If
                the journal does not exist, a new run starts. Default ``False``.
            concurrency (int): number of rows processed at once, 1 to 64; default 8. The first row is processed alone.
            on_error (str): what to do with the other rows when one fails: ``"continue"`` (the default) or ``"stop"``.
            progress (bool | Callable[[int, int], object] | None): ``True`` shows one bar, with failures and waits for the
                rate limit: in the output of a notebook, else on standard error, by tqdm if it is installed; a line at
                intervals if standard error is not a terminal. A callable is called after each row with (rows finished,
                all rows). Default none.
            lock (bool): lock the journal against other processes; default ``True``. Pass ``False`` only on a file
                system that does not support locks.
            trust_folder (bool): accept a journal that belongs to another user or is in a folder that other users can
                write to: they can change its lines. Default ``False``.
            deliver (ToFile | ToCommand | Callable | object | None): the destination of each key, as for ``add_token``;
                the journal then contains no keys. Default: the journal. A file holds one key, so that ``to_file`` is
                refused for several rows. A resumed run calls ``commit`` or ``discard``, with a token without its key, for
                each delivery that an interrupted run did not complete: also for one that was completed just before the
                interruption, so a second call must have no effect.

        Returns:
            BulkRun: an iterator of ``RowResult`` objects, in the order in which the rows finish, with a ``summary``.
            ``finish()`` processes all remaining rows. A run that is never iterated creates no token and leaves no new
            journal; a ``RuntimeWarning`` says so.

        Raises:
            TypeError, ValueError: an argument or a row is invalid; the message names the rows. Nothing was sent.
            DeliveryError: the journal exists, belongs to another portal, another input or another user, is damaged, is in
                use by another process, or cannot be written. An error that occurs during the run is raised at its end.
            AuthenticationError: the portal rejected the credentials; raised at the end of the run. The run stops at the
                first such response, because repeated failures lock a token.

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
    def audit_tokens(self, /, *, reasons: Reasons | None = None, idle_after: "Age | None" = None, never_used_after: "Age | None" = None, old_after: "Age | None" = None, disabled_after: "Age | None" = None, diff: str | PathLike[str] | None = None) -> Audit:
        """
        Find tokens that should be replaced, disabled or deleted.

        The tokens of all users, of both types, are read page by page and judged by the portal's clock; only findings
        are kept in memory. The reasons with their severities are:

        - critical: ``owner_suspended``
        - warning: ``idle``, ``never_used``, ``old``, ``expired``, ``pending``, ``rotation_stuck``, ``address_changed``
        - info: ``disabled``, ``no_note``, ``owner_not_api_only``, ``administrator``

        ``AuditReason`` describes them. If the credentials may not list users, the reasons about owners are left out;
        ``Audit.limitations`` says so. The audit changes nothing; ``lmtokens audit`` can also disable or delete tokens.

        Args:
            reasons (Iterable[AuditReason | str] | None): look only for these reasons; default: for all.
            idle_after (float | str | datetime.timedelta | None): how long ago the last use of an ``idle`` token is:
                seconds, ``"90s"``, ``"24h"``, ``"45d"`` or a ``timedelta``; default 45 days.
            never_used_after (float | str | datetime.timedelta | None): how long ago the creation of a ``never_used``
                token is; default 7 days.
            old_after (float | str | datetime.timedelta | None): how long ago the creation of an ``old`` token is;
                default 365 days, after which the vendor advises to rotate tokens.
            disabled_after (float | str | datetime.timedelta | None): how long ago the last use or, without one, the
                creation of a ``disabled`` token is; default 30 days.
            diff (str | os.PathLike[str] | None): compare with an earlier report: a JSON file of ``Audit.to_dict()`` or
                of ``lmtokens audit -o json``. ``Finding.new_reasons`` and ``Audit.gone`` then say what changed. The
                addresses of ``address_changed`` are those in the file; ``lmtokens audit --all`` writes those of all
                tokens, and so does a list of ``Token.to_dict()``. Default: no comparison.

        Returns:
            Audit: the findings, the most severe first.

        Raises:
            TypeError, ValueError: an argument is invalid, or the earlier report cannot be read; nothing was sent.
            APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
                response that could not be understood or has no time.

        Source: the vendor's page "Managing API Tokens".

        Example:
            >>> import lmtokens.sandbox
            >>> with lmtokens.sandbox.Portal() as portal, portal.client() as client:
            ...     token = client.add_token(32)
            ...     audit = client.audit_tokens(reasons=["no_note"])
            >>> [(finding.reasons, finding.severity, finding.remedy) for finding in audit]
            [([AuditReason.NO_NOTE], Severity.INFO, 'set a note that names the program that uses it')]
        """
    @property
    def base_url(self, /) -> str:
        """
        str: the portal's address, ending with ``/santaba/rest``.
        """
    def cancel_rotation(self, /, token: int | str | Token) -> Rotation:
        """
        Cancel a rotation: the old token works again, and the new one is disabled.

        The call waits a minute, in which other processes notice that the rotation is cancelled. A killed call is
        continued by the next one.

        Args:
            token (int | str | Token): the old or the new token.

        Returns:
            Rotation: the state is ``"cancelled"``, or ``"too_late"`` if the old token is deleted already: then the new
                one is kept.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            RotationError: the token is not part of a rotation, or other processes change it.
            SelfLockoutError: the new token signs this call.
            APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
                response that could not be understood. Call again to continue.
        """
    def close(self, /) -> None:
        """
        Close the idle connections. The client stays usable: the next call opens new ones.
        """
    def delete_token(self, /, token: int | str | Token, *, force: "bool" = False) -> None:
        """
        Delete a token permanently.

        If an attempt of this call may have deleted the token and its retry does not find it, the call succeeds.

        Args:
            token (int | str | Token): the token, its id or its access id.
            force (bool): delete the token even if it signs this call; default ``False``.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            SelfLockoutError: the token signs this call, or the portal does not show whether it does.
            APIError, TransportError: the portal rejected the request or could not be reached; ``maybe_applied`` is true
                if the token may have been deleted.

        Source: the vendor's API contract, DELETE on a token.
        """
    def disable_token(self, /, token: int | str | Token, *, force: "bool" = False) -> Token:
        """
        Disable a token. The portal keeps it and rejects its requests until it is enabled again.

        The note is kept as it is, with its marker or tag.

        Args:
            token (int | str | Token): the token, its id or its access id.
            force (bool): disable the token even if it signs this call; default ``False``.

        Returns:
            Token: the token after the change.

        Raises:
            The same errors as ``update_token``.

        Source: the vendor's page "Adding API Tokens": status 1 is disabled.
        """
    def enable_token(self, /, token: int | str | Token) -> Token:
        """
        Enable a token.

        The tag of a pending token is removed from its note, so that no sweep deletes it if it is disabled again. A marker
        is kept. An expiry therefore stays, and a token that a rotation disabled stays part of it: ``finish_rotations``
        and ``sweep_tokens`` report it and leave it enabled. Call ``cancel_rotation`` to end the rotation as well; it
        enables the token too. The token is read before it is changed, as by ``update_token``.

        Args:
            token (int | str | Token): the token, its id or its access id.

        Returns:
            Token: the token after the change.

        Raises:
            The same errors as ``update_token``.

        Source: the vendor's page "Adding API Tokens": status 2 is enabled.
        """
    def find_token(self, /, token: int | str | Token) -> Token:
        """
        Find a token of any user by its id or access id.

        Args:
            token (int | str | Token): its id or its access id; a ``Token`` is read again.

        Returns:
            Token: the token as it is now. ``access_key`` is ``None``: the portal returns a key only when it creates the
                token.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a
                response that could not be understood.

        Source: the vendor's page "Getting API Token Details". The portal has no request for a single token, so this
        searches its lists.
        """
    def finish_rotations(self, /, token: int | str | Token | None = None, *, quarantine: "float | str | timedelta" = 604800.0, force: "bool" = False) -> list[Rotation]:
        """
        Do what is due for rotations: disable old tokens after their overlap, and delete them after their quarantine.

        Rotations of every process and machine are found by the notes of their tokens. Before each change, both tokens
        are read again. If the new token was disabled or deleted by others, the old one is enabled again.

        Args:
            token (int | str | Token | None): the old or the new token of one rotation; default ``None``: all rotations.
            quarantine (float | str | timedelta): how long an old token that is disabled in this call stays so before it
                is deleted; default 7 days. If it is disabled already, the time in its note counts, but 0 with ``token``
                deletes it in this call.
            force (bool): disable and delete old tokens even if they are in use; default ``False``.

        Returns:
            list[Rotation]: all rotations, also those for which nothing is due. One that cannot be finished has the state
                ``"failed"`` and an ``error``, and does not stop the others.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            RotationError: the token is not being rotated, or its rotation cannot be finished now.
            APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
                response that could not be understood.

        Example:
            >>> import lmtokens.sandbox
            >>> with lmtokens.sandbox.Portal() as portal:
            ...     portal.client().finish_rotations()
            []
        """
    def list_tokens(self, /, admin_id: int | str | None = None, *, type: "Literal['lmv1', 'bearer'] | TokenType | None" = None, filter: Filter | str | None = None, page_size: "int" = 1000) -> "TokenIterator":
        """
        List tokens, requesting pages as they are iterated over.

        Tokens that are deleted during the iteration do not cause other tokens to be skipped or repeated.

        Args:
            admin_id (int | str | None): list the tokens of this user, given by id or name; default: of all users.
            type (str | TokenType | None): list only ``"lmv1"`` or ``"bearer"`` tokens; default: both, LMv1 first (the
                portal lists one type at a time).
            filter (Filter | str | None): a condition made with ``lmtokens.where``, or a string in the portal's filter
                syntax, which is sent unchanged (times in it are seconds since 1970-01-01 UTC). ``where.note`` compares
                the user's part of a note. The portal knows whole notes only, with the markers of lmtokens, so it may
                return more tokens than the list yields: those whose notes end with the text, for ``==``; all that the
                other conditions select, for ``!=`` and ``not_contains``. A string compares whole notes. Default: all
                tokens.
            page_size (int): tokens per request, 1 to 1000 (the default).

        Returns:
            Iterator[Token]: the tokens, without access keys. If the iteration raises an error, iterating again requests
                the same page again.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            APIError, TransportError, ResponseError: raised by the iteration if the portal rejects a request, cannot be
                reached, or sends a response that cannot be understood.

        Source: the vendor's page "Getting API Token Details".

        Example:
            >>> import lmtokens.sandbox
            >>> from lmtokens import where
            >>> with lmtokens.sandbox.Portal() as portal, portal.client() as client:
            ...     disabled = client.add_token(32, "old", 1)
            ...     [token.note for token in client.list_tokens(32, filter=where.status == 1)]
            ['old']
        """
    def list_users(self, /) -> list[User]:
        """
        List the users of the portal, for example to look up the id of one.

        A user may be missing if others are deleted meanwhile.

        Returns:
            list[User]: the users that the credentials may view, in the order of their ids.

        Raises:
            APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a
                response that could not be understood.

        Source: the vendor's API contract, GET on the users.

        Example:
            >>> import lmtokens.sandbox
            >>> with lmtokens.sandbox.Portal() as portal:
            ...     [(user.id, user.name) for user in portal.client().list_users()]
            [(1, 'admin'), (32, 'api-user'), (33, 'viewer')]
        """
    def rotate_token(self, /, token: int | str | Token, *, deliver: Destination, overlap: "float | str | timedelta", quarantine: "float | str | timedelta" = 604800.0, then: Then | None = None, note: str | None = None, allow_bearer: "bool" = False, take_over: "bool" = False, force: "bool" = False) -> Rotation:
        """
        Replace a token by a new one, without a moment in which no token works.

        The new token gets the owner, the type, the note and the expiry of the old one. It is created disabled; its key
        is delivered, and only then is it enabled. A request that is signed with the delivered key must succeed before
        the key is put in place. Until ``overlap`` is over, both tokens work. Then the old token is disabled, unless it
        is in use, and deleted after ``quarantine``.

        The call does what is due now and returns what remains. Nothing runs by itself: call it again, or
        ``finish_rotations`` from any machine. What is in progress is written in the notes of both tokens, so that a
        call whose process was killed is continued by the next one with the same destination, and nothing is stored
        elsewhere. During the overlap, a call whose file does not have the new key, or with another ``note``, is refused.

        If the token signs this call, the client signs its next calls with the new one. Other objects that were made with
        the old key keep it, such as other clients and ``LMv1Auth``: make them again during the overlap.

        Args:
            token (int | str | Token): the token to replace, its id or its access id.
            deliver (ToFile | ToCommand | Callable[[CreatedToken], object] | object): the destination of the new key, as
                for ``add_token``. A file with the key of the old token and nothing else is replaced even without
                ``overwrite=True``. The old key is kept as ``PATH.ID.previous``, with the id of the old token.
            overlap (float | str | timedelta): how long both tokens work: seconds, ``"30m"``, ``"24h"``, ``"7d"`` or a
                ``timedelta``. 0 disables the old token in this call. If the overlap runs already, the shorter one counts.
            quarantine (float | str | timedelta): how long the old token stays disabled before it is deleted; default 7
                days. If it is disabled already, the time in its note counts, but 0 deletes it in this call.
            then (Callable[[Token], object] | None): called with the new token once its key is in place, for example to
                restart the program that uses it, and to check that it works. It must end within 30 minutes: an hour
                after the create, another machine may replace the new token. If it raises, the rotation stops with both
                tokens working, and the next call calls it again. It is not called during the overlap.
            note (str | None): the note of the new token; default ``None``: the note of the old one.
            allow_bearer (bool): rotate a bearer token too; default ``False``. The portal may delete a user's bearer
                token as soon as another one is created.
            take_over (bool): continue a rotation of another machine 12 minutes after it created its token, instead of
                after an hour; default ``False``. A killed process on the same machine, with the same file, is continued
                at once.
            force (bool): disable and delete the old token even if it is in use; default ``False``.

        Returns:
            Rotation: the old and the new token, the state of the rotation, and when the next step is due.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            RotationError: the token cannot be rotated now, for example because another process is rotating it, it is
                disabled, or ``then`` raised; the old token works.
            DeliveryError: the destination failed; the old token works.
            SelfLockoutError: the call would disable the token that signs it, and its client has no other.
            OutcomeUnknownError: the response to the create was lost, so a disabled token may exist.
            APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
                response that could not be understood. Call again with the same arguments to continue.

        Example:
            >>> import lmtokens.sandbox, os, tempfile
            >>> from lmtokens.deliver import to_file
            >>> path = os.path.join(tempfile.mkdtemp(), "token.json")
            >>> with lmtokens.sandbox.Portal() as portal:
            ...     client = portal.client()
            ...     token = client.add_token(32, "ci", deliver=to_file(path))
            ...     client.rotate_token(token, deliver=to_file(path), overlap=0).state
            'quarantine'
        """
    def sweep_tokens(self, /, *, dry_run: "bool" = True, only: "Literal['orphans', 'expired', 'rotations', 'abandoned'] | None" = None) -> list[SweptToken]:
        """
        Find what is due: orphans, expired and abandoned tokens, rotations. Optionally do it: delete, disable or restore.

        Tokens of every process and machine are found, of both types. Each is read again before it is deleted. The token
        that signs the call is never deleted.

        A token is an orphan if a create with ``deliver=`` or ``expires=``, of ``add_tokens`` or on the command line left
        it pending: it is disabled, was never used, its note is exactly the one that its create wrote (a tag alone, or
        the tag, a space and the final note, which the tag proves), it was created within an hour of the time in the tag,
        and it is more than an hour old by the portal's clock and this machine's. A token that lacks only the exact note,
        because somebody added to it or cut it, is listed with ``kept`` and never deleted.

        A token has expired if its note begins with a marker that names this token and a time that has passed by the
        portal's clock and this machine's, such as ``[lmtokens 248 expires 2027-01-31T00:00Z]``. It is deleted even if it
        is enabled and in use. To keep it, change the time in the note or remove the marker, in the portal.

        A rotation is due if its overlap or its quarantine is over, or if its old token is deleted already. It is
        continued as by ``finish_rotations``, with a quarantine of 7 days.

        A token is abandoned if it was to replace another one, but that rotation was cancelled or another token
        replaces the old one instead; it is deleted once it is disabled and the time in its marker is 7 days ago.

        All other tokens are left alone.

        Args:
            dry_run (bool): ``True`` (the default) only lists the tokens; ``False`` does what is due.
            only (str | None): find only ``"orphans"``, ``"expired"`` or ``"abandoned"`` tokens, or ``"rotations"``;
                default ``None``: all.

        Returns:
            list[SweptToken]: the tokens that are due and those that are kept, each with ``token``, ``reason``,
                ``deleted``, ``kept``, ``rotation`` and ``error``. For a rotation, ``token`` is the old one.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            APIError: the portal rejected the request to list tokens.
            ResponseError: the portal's response has no time, or the portal's clock and this machine's differ by more
                than an hour. Neither is then reliable enough to delete a token. Two clocks on this machine (a sandbox)
                may differ.

        Example:
            >>> import lmtokens.sandbox
            >>> with lmtokens.sandbox.Portal() as portal:
            ...     portal.client().sweep_tokens()
            []
        """
    def temporary_token(self, /, admin_id: int | str, note: str | None = None, *, expires: datetime | timedelta | float | str = ..., type: "Literal['lmv1', 'bearer'] | TokenType" = "lmv1") -> "TemporaryToken":
        """
        Create a token for a ``with`` block and delete it at the end of the block.

        The token is created, enabled, when the block is entered, as by ``add_token(expires=…)``, and is deleted by the
        same client when the block ends: also by an exception, Ctrl-C or the cancellation of its task. A token that no
        longer exists is ignored. If the process is killed, the token remains until it expires and ``sweep_tokens``
        deletes it. A child process that is forked inside the block does not delete it. If the creation is interrupted, a warning says what may remain, as for ``add_token``.

        A Ctrl-C or cancellation during the deletion takes effect after it; a second one ends the deletion. If the
        deletion fails or is ended, a warning is logged that names the token and its expiry. The error is raised unless
        the block has raised an exception, which is never replaced by it.

        Args:
            admin_id (int | str): the user's id, 1 to 2147483647, or the user's name, which is looked up.
            note (str | None): a label, as for ``add_token``; default none.
            expires (datetime | timedelta | float | str): when ``sweep_tokens`` may delete the token if this block does
                not, as for ``add_token``; a number is in seconds. Choose it longer than the block takes:
                ``sweep_tokens`` also deletes a token that is in use. Default one hour.
            type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.

        Returns:
            TemporaryToken: the context manager, for one ``with`` statement; with ``AsyncClient``, an
                ``AsyncTemporaryToken`` for ``async with``. Its target is the ``CreatedToken`` with its ``access_key``.
                Nothing is sent before the block is entered.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            RuntimeError: the context manager is entered a second time.
            LMTokensError: entering the block raises the errors of ``add_token``, and leaving it those of
                ``delete_token``.

        Example:
            >>> import lmtokens.sandbox
            >>> with lmtokens.sandbox.Portal() as portal, portal.client() as client:
            ...     with client.temporary_token(32, "job") as token:
            ...         print([listed.note for listed in client.list_tokens(32)])
            ...     print(list(client.list_tokens(32)))
            ['job']
            []
        """
    def update_token(self, /, token: int | str | Token, note: str | None = None, status: "Literal[1, 2, 'disabled', 'enabled'] | TokenStatus | None" = None, *, force: "bool" = False) -> Token:
        """
        Change a token's note, its status, or both.

        A new note replaces the user's part only: a marker of lmtokens before it, such as an expiry, is kept. It also
        replaces the tag of a pending token. A new status changes the note as ``enable_token`` and ``disable_token`` do.

        The token is read before it is changed, even if it is passed as a ``Token``. There are two exceptions for a
        passed ``Token``: it is not read if it is only disabled with ``force=True``; and if the credentials may not view
        it, its own note is used, which may be out of date. Without ``force=True``, credentials that may not view a token
        cannot disable it.

        Args:
            token (int | str | Token): the token, its id or its access id.
            note (str | None): the new note; ``""`` removes it. ``None`` (the default) leaves it unchanged. Notes are
                refused as by ``add_token``.
            status (int | str | TokenStatus | None): the new status, as for ``add_token``. ``None`` (the default) leaves
                it unchanged.
            force (bool): disable the token even if it signs this call; default ``False``.

        Returns:
            Token: the token after the change.

        Raises:
            TypeError, ValueError: an argument is invalid, or neither note nor status is given; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            SelfLockoutError: the call would disable the token that signs it, or the portal does not show whether it
                would.
            APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a
                response that could not be understood; ``maybe_applied`` is true if the token may have been changed.

        Source: the vendor's API contract, PATCH on a token: members that are not sent stay unchanged. (A PUT without a
        status would enable a disabled token.)
        """
    def whoami(self, /) -> Whoami:
        """
        Return the portal, the token that signs the calls, its user, and the source of the credentials.

        Returns:
            Whoami: the identity, as far as it can be read. If the credentials may not view tokens, ``token`` is
                ``None`` and ``limitation`` gives the reason.

        Raises:
            AuthenticationError: the portal rejected the credentials.
            APIError, TransportError, ResponseError: the portal rejected the request for another reason, could not be
                reached, or sent a response that could not be understood.
        """

@final
class CreatedToken(Token):
    """
    A token with its access key: the result of a create, a row or an entry of a journal, and what a destination
    receives.
    """
    @property
    def access_id(self, /) -> str | Any:
        """
        str: the public half of an LMv1 pair; ``None`` for a bearer token.
        """
    @property
    def access_key(self, /) -> Secret:
        """
        Secret: the secret half of an LMv1 pair, or the bearer token itself. The portal never returns it again.
        """

@final
class Field:
    """
    A field of a token, to compare with a value.
    """
    def __bool__(self, /) -> bool: ...
    def __eq__(self, other: object, /) -> Filter: ...
    def __ge__(self, other: Ordered, /) -> Filter: ...
    def __gt__(self, other: Ordered, /) -> Filter: ...
    def __le__(self, other: Ordered, /) -> Filter: ...
    def __lt__(self, other: Ordered, /) -> Filter: ...
    def __ne__(self, other: object, /) -> Filter: ...
    def __repr__(self, /) -> str: ...
    def contains(self, /, text: "str") -> "Filter":
        """
        Return a filter for tokens whose field contains a text.

        Args:
            text (str): the text, case-sensitive.
        """
    def not_contains(self, /, text: "str") -> "Filter":
        """
        Return a filter for tokens whose field does not contain a text.

        Args:
            text (str): the text, case-sensitive.
        """
    def one_of(self, /, values: Values) -> Filter:
        """
        Return a filter for tokens whose field equals one of several values.

        Args:
            values (Iterable): at least one value that the field can be compared with.
        """

@final
class Filter:
    """
    A selection of tokens: comparisons of fields of ``lmtokens.where``, combined with ``&`` and ``|``.

    The filter in the request is never narrower than this one, and the tokens in the response are checked again, so that
    the portal's treatment of special characters cannot hide a token.
    """
    def __and__(self, other: Filter, /) -> Filter: ...
    def __bool__(self, /) -> bool: ...
    def __or__(self, other: Filter, /) -> Filter: ...
    def __repr__(self, /) -> str:
        """
        Return the filter as it is sent, which may be wider.
        """

@final
class Finding:
    """
    A token that an audit found.
    """
    def __repr__(self, /) -> str: ...
    def _repr_html_(self, /) -> "str": ...
    @property
    def new_reasons(self, /) -> list[AuditReason]:
        """
        list[AuditReason]: with ``diff=``, the reasons that the earlier report does not have; otherwise empty.
        """
    @property
    def portal(self, /) -> str:
        """
        str: the address of its portal, ending with ``/santaba/rest``.
        """
    @property
    def portal_disables_on(self, /) -> datetime | None:
        """
        datetime.datetime | None: when the portal disables the token if it stays unused: aware, in UTC; ``None`` if the
        portal does not, if the credentials may not read its settings, or if the token is disabled.
        """
    @property
    def reasons(self, /) -> list[AuditReason]:
        """
        list[AuditReason]: why it was found.
        """
    @property
    def remedy(self, /) -> str:
        """
        str: what to do about the most severe reason, and when the portal itself disables the token.
        """
    @property
    def severity(self, /) -> Severity:
        """
        Severity: the highest severity of its reasons.
        """
    def to_dict(self, /) -> "dict[str, object]":
        """
        Return the finding as a ``dict`` for ``json``.

        Returns:
            dict[str, object]: the members of ``Token.to_dict()``, ``reasons`` and ``severity`` as words, ``remedy``,
                ``portal`` and ``profile``, which is ``None``.
        """
    @property
    def token(self, /) -> Token:
        """
        Token: the token.
        """

@final
class JournalEntry:
    """
    A token or a row of a journal.
    """
    def __repr__(self, /) -> str: ...
    def _repr_html_(self, /) -> "str": ...
    @property
    def admin_id(self, /) -> int | str | None:
        """
        int | str | None: the id of the token's user, or the user's name, as the input named it; ``None`` if the entry
        is damaged.
        """
    @property
    def columns(self, /) -> dict[str, str]:
        """
        dict[str, str]: the other columns of the row, which ``lmtokens bulk`` keeps, with their values.
        """
    @property
    def error(self, /) -> str | None:
        """
        str | None: the reason of a failure or of an unknown outcome.
        """
    @property
    def note(self, /) -> str | None:
        """
        str | None: the note of the row.
        """
    @property
    def number(self, /) -> int | None:
        """
        int | None: the number of the row in the input, counted from 1; ``None`` in a journal of an earlier version.
        """
    @property
    def state(self, /) -> Literal["created", "pending", "failed", "unknown", "damaged"]:
        """
        str: ``"created"``; ``"pending"``: the token is disabled, or not confirmed to be enabled; ``"failed"``;
        ``"unknown"``; ``"damaged"``: a part of the journal cannot be read, which ``error`` describes.
        """
    def to_dict(self, /) -> "dict[str, object]":
        """
        Return the entry as a ``dict`` for ``json``, without a key.

        Returns:
            dict[str, object]: ``number``, ``state``, ``admin_id`` and ``note``; ``id``, ``type`` and ``access_id`` of the
                token; ``error`` and ``columns``.
        """
    @property
    def token(self, /) -> Token | None:
        """
        Token | None: the token; a ``CreatedToken`` if the journal holds its key.
        """

@final
class NewToken:
    """
    A token to create, as a row of ``add_tokens``.

    Args:
        admin_id (int | str): the id of the token's user, or the user's name. A text of digits is refused.
        note (str | None): the note; default none.
        status (int | str | TokenStatus): as for ``add_token``; default 2, enabled.
        type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.

    Raises:
        TypeError, ValueError: an invalid argument.

    Example:
        >>> import lmtokens
        >>> lmtokens.NewToken(32, "ci")
        NewToken(32, note='ci', status=2, type='lmv1')
    """
    def __new__(cls, /, admin_id: "int | str", note: "str | None" = None, status: "Literal[1, 2, 'disabled', 'enabled'] | TokenStatus" = 2, *, type: "Literal['lmv1', 'bearer'] | TokenType" = "lmv1") -> NewToken: ...
    def __repr__(self, /) -> str: ...
    def _repr_html_(self, /) -> "str": ...
    @property
    def admin_id(self, /) -> int | str:
        """
        int | str: the id of the token's user, or the user's name.
        """
    @property
    def note(self, /) -> str | None:
        """
        str | None: the note.
        """
    @property
    def status(self, /) -> Literal[1, 2]:
        """
        int: 1 for disabled, 2 for enabled.
        """
    def to_dict(self, /) -> "dict[str, object]":
        """
        Return the row as a ``dict`` for ``json``.

        Returns:
            dict[str, object]: the members by attribute name.
        """
    @property
    def type(self, /) -> Literal["lmv1", "bearer"]:
        """
        str: ``"lmv1"`` or ``"bearer"``.
        """

@final
class Rotation:
    """
    The result of a rotation.
    """
    def __repr__(self, /) -> str: ...
    def _repr_html_(self, /) -> "str": ...
    @property
    def changes(self, /) -> int:
        """
        int: how many creates and changes of tokens the call sent. The portal may send an e-mail for each.
        """
    @property
    def due(self, /) -> datetime | None:
        """
        datetime.datetime | None: when the next step is due: aware, in UTC, to the second; ``None`` if there is none, or
        if it depends on the use of the old token.
        """
    @property
    def error(self, /) -> Any | None:
        """
        LMTokensError | None: for ``"failed"``, why the rotation cannot be continued or finished now.
        """
    @property
    def is_same_address(self, /) -> bool | None:
        """
        bool | None: for ``"in_use"``, whether the new token was last used from that address too; otherwise ``None``.
        """
    @property
    def last_used_from(self, /) -> str | None:
        """
        str | None: for ``"in_use"``, the address of that call.
        """
    @property
    def last_used_on(self, /) -> datetime | None:
        """
        datetime.datetime | None: for ``"in_use"``, when the old token was last used or, if it is disabled already, when the
        portal last refused a call with it: aware, in UTC, to the second.
        """
    @property
    def new(self, /) -> Token | None:
        """
        Token | None: the new token. Its key is only at its destination.
        """
    @property
    def old(self, /) -> Token:
        """
        Token: the old token as it was last read.
        """
    @property
    def state(self, /) -> Literal["overlap", "in_use", "quarantine", "finished", "restored", "cancelled", "too_late", "failed"]:
        """
        str: ``"overlap"``: both tokens work, and the old one is disabled when ``due``; ``"in_use"``: the overlap is
        over, but the old token is still used and works, or the quarantine is over, but the portal refused calls of the
        old token within a day, so that it is not deleted; ``"quarantine"``: the old token is disabled, and deleted when
        ``due``; ``"finished"``: the old token is deleted; ``"restored"``: the new token was disabled or deleted by
        others, so that the old one works again; ``"cancelled"``; ``"too_late"``: it could not be cancelled, and the new
        token is kept; ``"failed"``: ``error`` says why.
        """
    def to_dict(self, /) -> "dict[str, object]":
        """
        Return the rotation as a ``dict`` for ``json``.

        Returns:
            dict[str, object]: ``old_id`` and ``new_id``; ``admin_id``, ``admin_name`` and ``note`` of the old token; and
                ``state``, ``due``, ``last_used_on``, ``last_used_from`` and ``changes``, times in ISO 8601, UTC.
        """

@final
class RowResult:
    """
    The result of one row.
    """
    def __repr__(self, /) -> str: ...
    def _repr_html_(self, /) -> "str": ...
    @property
    def error(self, /) -> Any | None:
        """
        LMTokensError | None: the error of a failed or unknown row.
        """
    @property
    def number(self, /) -> int:
        """
        int: the number of the row, counted from 1.
        """
    @property
    def reason(self, /) -> str | None:
        """
        str | None: why it was not created.
        """
    @property
    def row(self, /) -> NewToken:
        """
        NewToken: the row.
        """
    @property
    def state(self, /) -> Literal["created", "failed", "unknown", "skipped"]:
        """
        str: ``"created"``; ``"failed"``: nothing was created, or nothing that is enabled; ``"unknown"``: ``error`` says
        what is known; ``"skipped"``: created by an earlier run (then ``token`` is set), or not attempted.
        """
    def to_dict(self, /) -> "dict[str, object]":
        """
        Return the result as a ``dict`` for ``json``, without a key.

        Returns:
            dict[str, object]: ``number`` and ``state``; ``admin_id``, ``note``, ``status`` and ``type`` of the row; ``id``
                and ``access_id`` of the token; and ``reason``.
        """
    @property
    def token(self, /) -> Token | None:
        """
        Token | None: the token; a ``CreatedToken`` with its key unless the key was delivered to ``deliver=``.
        """

@final
class Secret:
    """
    A secret text, which only `reveal()` returns.

    `str`, `repr`, `format`, `%`, f-strings and rich display show a constant mask. Pickling and JSON raise a
    `TypeError`; a copy is the same object. `==` compares with another `Secret` in constant time; a `Secret` never
    equals a `str`. The buffer is wiped with the last reference; a `str` that `reveal()` returned is not.

    Args:
        text (str): the secret.

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
        Return the secret.

        Returns:
            str: the secret in plain text.
        """

@final
class SignatureCause:
    """
    A mistake that makes an LMv1 header invalid.
    """
    def __repr__(self, /) -> str: ...
    def _repr_html_(self, /) -> "str": ...
    @property
    def explanation(self, /) -> str:
        """
        str: what to change.
        """
    @property
    def name(self, /) -> str:
        """
        str: its name, which does not change: ``"query"``, ``"raw-digest"``, ``"key-quotes"``, …
        """
    def to_dict(self, /) -> "dict[str, str]":
        """
        Return the cause as a ``dict`` for ``json``.

        Returns:
            dict[str, str]: ``name`` and ``explanation``.
        """

@final
class SignatureExplanation:
    """
    What is wrong with an LMv1 header, from ``explain_signature``.
    """
    def __repr__(self, /) -> str: ...
    def _repr_html_(self, /) -> "str": ...
    @property
    def causes(self, /) -> list[SignatureCause]:
        """
        list[SignatureCause]: what is wrong; empty if nothing is.
        """
    @property
    def correct(self, /) -> bool:
        """
        bool: whether the header is the one that the portal computes for the same time. An epoch outside the portal's
        window is a cause, but not an error of the signature: only you know when the header was made.
        """
    @property
    def string_to_sign(self, /) -> str | None:
        """
        str | None: the correct string to sign, for the epoch in the header in milliseconds; ``None`` without an epoch.
        Compare it with yours. The correct header is not part of the result: it would be a credential for 30 minutes.
        """
    def to_dict(self, /) -> "dict[str, object]":
        """
        Return the explanation as a ``dict`` for ``json``.

        Returns:
            dict[str, object]: ``correct``; ``causes``, each with ``name`` and ``explanation``; and ``string_to_sign``.
        """

@final
class Summary:
    """
    The number of rows by result, so far.
    """
    def __eq__(self, value: object, /) -> bool: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __repr__(self, /) -> str: ...
    def _ended(self, /) -> int:
        """
        Return the number of rows that have ended.
        """
    def _repr_html_(self, /) -> "str": ...
    @property
    def already_done(self, /) -> int:
        """
        int: created by an earlier run.
        """
    @property
    def created(self, /) -> int:
        """
        int: created by this run.
        """
    @property
    def failed(self, /) -> int:
        """
        int: failed.
        """
    @property
    def skipped(self, /) -> int:
        """
        int: not attempted, because the run ended before.
        """
    def to_dict(self, /) -> "dict[str, int]":
        """
        Return the numbers as a ``dict`` for ``json``.

        Returns:
            dict[str, int]: the members by attribute name.
        """
    @property
    def total(self, /) -> int:
        """
        int: all rows.
        """
    @property
    def unknown(self, /) -> int:
        """
        int: outcome unknown.
        """

@final
class SweptToken:
    """
    A token that ``sweep_tokens`` found: something is due for it, or it is kept.
    """
    def __repr__(self, /) -> str: ...
    def _repr_html_(self, /) -> "str": ...
    @property
    def deleted(self, /) -> bool:
        """
        bool: whether it is deleted; ``False`` in a dry run.
        """
    @property
    def error(self, /) -> Any | None:
        """
        LMTokensError | None: why what was due could not be done.
        """
    @property
    def kept(self, /) -> str | None:
        """
        str | None: why the token is kept: it is not an orphan, or it is rotated and still used;
        ``None`` if it is due.
        """
    @property
    def reason(self, /) -> Literal["orphan", "expired", "rotation", "abandoned"]:
        """
        str: why it was found: ``"orphan"``, ``"expired"``, ``"rotation"``: the next step of its rotation was due, or
        ``"abandoned"``: it was to replace another token, and that rotation was given up.
        """
    @property
    def rotation(self, /) -> Literal["overlap", "in_use", "quarantine", "finished", "restored", "cancelled", "too_late", "failed"] | None:
        """
        str | None: the state of its rotation after what was due was done, as ``Rotation.state``; ``None`` in a dry run.
        """
    def to_dict(self, /) -> "dict[str, object]":
        """
        Return the token with what was found as a ``dict`` for ``json``.

        Returns:
            dict[str, object]: ``id``, ``type``, ``access_id``, ``admin_id``, ``admin_name``, ``created_on``, ``note`` and
                ``expires_on`` of the token, times in ISO 8601, UTC; and ``reason``, ``deleted``, ``kept`` and ``rotation``.
        """
    @property
    def token(self, /) -> Token:
        """
        Token: the token.
        """

@final
class TemporaryToken:
    """
    A token that exists during a ``with`` block: the result of ``temporary_token``, for one ``with`` statement.
    """
    def __enter__(self, /) -> "CreatedToken": ...
    def __exit__(self, /, *exception: "object") -> "None": ...

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
class ToKeyring:
    """
    An entry of the keyring as a destination; ``lmtokens.deliver.to_keyring`` makes one.
    """
    def __repr__(self, /) -> str: ...

@disjoint_base
class Token:
    """
    One API token, as the portal last reported it. Immutable.

    Two tokens are equal if they are the same token: their ``portal``, ``type`` and ``id`` are equal. So a token is found
    again in a set or a ``dict`` after its note, status or any other member has changed; compare ``to_dict()`` to see
    whether one has.

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
        Create a token from its members, for pickle.
        """
    def _repr_html_(self, /) -> "str": ...
    @property
    def access_id(self, /) -> str | None:
        """
        str | None: the public half of an LMv1 pair.
        """
    @property
    def access_key(self, /) -> Secret | None:
        """
        Secret | None: the secret half of an LMv1 pair, or the bearer token itself. Only a ``CreatedToken`` holds it: the
        portal never returns it again.
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
        str | None: the user name of its creator.
        """
    @property
    def created_on(self, /) -> datetime | None:
        """
        datetime.datetime | None: when it was created: aware, in UTC, to the second.
        """
    @property
    def expires_on(self, /) -> datetime | None:
        """
        datetime.datetime | None: when ``sweep_tokens`` may delete the token: aware, in UTC, to the second.
        """
    @property
    def id(self, /) -> int:
        """
        int: the id, which each portal assigns by itself.
        """
    @property
    def last_auth_ip(self, /) -> str | None:
        """
        str | None: the address it was last used from.
        """
    @property
    def last_used_on(self, /) -> datetime | None:
        """
        datetime.datetime | None: when it was last used: aware, in UTC, to the second; ``None`` if never, or if the
        portal reports a time that cannot be read. ``where.last_used_on == 0`` selects only tokens that were never used.
        """
    @property
    def note(self, /) -> str | None:
        """
        str | None: the note, without the marker that lmtokens may have put before it.
        """
    @property
    def portal(self, /) -> str | None:
        """
        str | None: the address of its portal, ending with ``/santaba/rest``, as ``Client.base_url``; ``None`` in a token
        that an earlier version pickled.
        """
    @property
    def replaced_by(self, /) -> int | None:
        """
        int | None: the id of the token that replaces this one, which is disabled and will be deleted.
        """
    @property
    def replaces(self, /) -> int | None:
        """
        int | None: the id of the token that this one replaces.
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
        Return the token as a ``dict`` for ``json``: all members except ``access_key`` and ``portal``, which the tokens
        of a client have in common; times in ISO 8601 and UTC.

        Returns:
            dict[str, object]: the members by attribute name; ``status`` is the portal's number.
        """
    @property
    def type(self, /) -> TokenType:
        """
        TokenType: LMv1 or bearer.
        """
    @property
    def user_permission(self, /) -> str | None:
        """
        str | None: the caller's permission on the owner: ``"write"``, ``"read"`` or ``"none"``.
        """

@final
class TokenIterator:
    """
    An iterator of tokens, which requests page by page.

    Its display in a notebook shows tokens that it has received already, and sends no request.
    """
    def __iter__(self, /) -> TokenIterator: ...
    def __next__(self, /) -> Token: ...
    def __repr__(self, /) -> str: ...
    def _received(self, /) -> tuple[int, list[Token]]:
        """
        Return the number of tokens that were received and not yet returned, and the first ten.
        """
    def _repr_html_(self, /) -> "str": ...

@final
class User:
    """
    A user, as the portal reported it. Immutable; two users are equal if all members are.

    Members that the portal did not send are ``None``; members that this version does not know are ignored.
    """
    def __copy__(self, /) -> User: ...
    def __deepcopy__(self, memo: "object", /) -> "User": ...
    def __eq__(self, value: object, /) -> bool: ...
    def __hash__(self, /) -> int: ...
    def __ne__(self, value: object, /) -> bool: ...
    def __reduce__(self, /) -> "tuple[object, ...]": ...
    def __repr__(self, /) -> str: ...
    @staticmethod
    def _from_members(members: "dict[str, object]", /) -> User:
        """
        Create a user from its members, for pickle.
        """
    def _repr_html_(self, /) -> "str": ...
    @property
    def api_only(self, /) -> bool | None:
        """
        bool | None: whether the user can only use the API and not log in to the portal.
        """
    @property
    def email(self, /) -> str | None:
        """
        str | None: the e-mail address.
        """
    @property
    def id(self, /) -> int:
        """
        int: the id, which ``admin_id`` arguments take.
        """
    @property
    def name(self, /) -> str | None:
        """
        str | None: the user name.
        """
    @property
    def roles(self, /) -> list[str]:
        """
        list[str]: the names of the roles.
        """
    @property
    def status(self, /) -> str | None:
        """
        str | None: ``"active"`` or ``"suspended"``.
        """
    def to_dict(self, /) -> "dict[str, object]":
        """
        Return the user as a ``dict`` for ``json``.

        Returns:
            dict[str, object]: the members by attribute name.
        """

@final
class Where:
    """
    The fields of a token by which a list can be filtered, as attributes of ``lmtokens.where``.

    Comparing a field with a value returns a ``Filter``: ``where.status == "enabled"``, ``where.note.contains("ci")``,
    ``where.created_on < datetime(2025, 1, 1, tzinfo=timezone.utc)``. Combine filters with ``&`` and ``|``.

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
        Field: the user name of its creator.
        """
    @property
    def created_on(self, /) -> Field:
        """
        Field: when it was created, as an aware ``datetime`` or seconds (not milliseconds) since 1970-01-01 UTC; numbers
        from 1 to 10**9 (in 2001) are refused: they are minutes, days or another unit.
        """
    @property
    def id(self, /) -> Field:
        """
        Field: the token's id.
        """
    @property
    def last_auth_ip(self, /) -> Field:
        """
        Field: the address it was last used from.
        """
    @property
    def last_used_on(self, /) -> Field:
        """
        Field: when it was last used, as ``created_on``; never counts as 0. A time that cannot be read matches
        only ``!=``.
        """
    @property
    def note(self, /) -> Field:
        """
        Field: the note without its marker; a missing one is the empty string. The portal compares the text with the end of
        the whole note, so that ``==`` may receive more tokens than it returns.
        """
    @property
    def status(self, /) -> Field:
        """
        Field: 1 or ``"disabled"``, 2 or ``"enabled"``.
        """

@final
class Whoami:
    """
    The calling credentials and their source. What they cannot view is ``None``; ``limitation`` says why.
    """
    def __repr__(self, /) -> str: ...
    def _repr_html_(self, /) -> "str": ...
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
        str | None: the company, if one was given.
        """
    @property
    def credentials(self, /) -> Literal["LMv1", "bearer"]:
        """
        str: the kind of credentials, ``"LMv1"`` or ``"bearer"``.
        """
    @property
    def credentials_from(self, /) -> str:
        """
        str: their source: ``"arguments"``, ``"environment (LM_ACCESS_ID, LM_ACCESS_KEY)"``, ``"profile acme in PATH"``,
        ``"prompt"``, …
        """
    @property
    def ignored_sources(self, /) -> list[str]:
        """
        list[str]: environment variables that hold other credentials or name another portal, and were ignored.
        """
    @property
    def limitation(self, /) -> str | None:
        """
        str | None: why the token is not visible.
        """
    @property
    def overridden_arguments(self, /) -> list[str]:
        """
        list[str]: the arguments ``"company"`` and ``"domain"``, as far as ``LM_BASE_URL`` overrides them.
        """
    @property
    def portal_from(self, /) -> str:
        """
        str: the source of the portal: ``"arguments"``, ``"environment (LM_COMPANY)"``, ``"profile acme in PATH"``,
        ``"prompt"``, …
        """
    @property
    def roles(self, /) -> list[str]:
        """
        list[str]: the names of its owner's roles.
        """
    @property
    def status(self, /) -> TokenStatus | None:
        """
        TokenStatus | None: its status.
        """
    def to_dict(self, /) -> "dict[str, object]":
        """
        Return the report as a ``dict`` for ``json``: what ``lmtokens whoami -o json`` prints, without a secret.

        Returns:
            dict[str, object]: the members, those of the token beside those of its user and the sources.
        """
    @property
    def token(self, /) -> Token | None:
        """
        Token | None: the calling token.
        """
    @property
    def token_id(self, /) -> int | None:
        """
        int | None: its id.
        """
    @property
    def user_permission(self, /) -> str | None:
        """
        str | None: its permission on its owner: ``"write"``, ``"read"`` or ``"none"``.
        """

@final
class _AsyncBulkRun:
    """
    The native part of the run of the async API.
    """
    def close(self, /) -> None: ...
    @property
    def closed(self, /) -> bool: ...
    def interrupted(self, /) -> None: ...
    def next(self, /) -> Coroutine[Any, Any, RowResult | None]:
        """
        Return the future of the next row that ends, or of None at the end, with its call.
        """
    def returned(self, /, result: RowResult) -> None:
        """
        Report the progress, or raise the interrupt of this row's destination.
        """
    def stop(self, /) -> bool:
        """
        Start no new row. Return whether rows may be in progress that the caller can wait for.
        """
    @property
    def summary(self, /) -> Summary: ...
    def warn_if_unused(self, /) -> None: ...

@disjoint_base
class _AsyncCore:
    """
    The native base of `AsyncClient`: its methods return futures with their calls, of which `AsyncClient` makes
    coroutines.
    """
    def __new__(cls, /, company: "str | None" = None, *, access_id: "str | Secret | None" = None, access_key: "str | Secret | None" = None, bearer_token: "str | Secret | None" = None, profile: "str | None" = None, domain: "str | None" = None, base_url: "str | None" = None, timeout: "float | tuple[float, float] | None" = None, ca_bundle: str | PathLike[str] | None = None, client_cert: tuple[str | PathLike[str], str | PathLike[str]] | str | PathLike[str] | None = None, proxy: "str | Secret | None" = None, credentials: CredentialsCallable | None = None, max_attempts: "int" = 3, deadline: "float | None" = None, on_limit: "Literal['wait', 'raise']" = "wait", max_wait: "float" = 120.0, on_wait: OnWait | None = None) -> "Self": ...
    def __reduce_ex__(self, protocol: "object", /) -> "str": ...
    def __repr__(self, /) -> str:
        """
        Return the portal and the source of the credentials, never the credentials.
        """
    def _add_tokens(self, /, tokens: Rows, *, journal: str | PathLike[str], resume: "bool" = False, concurrency: "int" = 8, on_error: "Literal['continue', 'stop']" = "continue", progress: Progress | None = None, lock: "bool" = True, trust_folder: "bool" = False, deliver: Destination | None = None) -> "_AsyncBulkRun":
        """
        Create many tokens, with a journal from which an interrupted run can be resumed.

        All rows are checked before the first request. Each token is created disabled, and is enabled only after its key
        has been written to the journal and flushed to disk. The portal may e-mail the user for each change of a token:
        expect about two e-mails per row. If a rate limit is reached, the run waits as long as necessary (``max_wait``
        applies to single calls only), unless the client's ``on_limit`` is ``"raise"``.

        Args:
            tokens (Iterable[NewToken | Mapping | tuple] | DataFrame): the rows: ``NewToken`` objects; mappings, named
                tuples or dataclass instances with ``admin_id`` and optionally ``note``, ``status`` and ``type``; plain
                tuples and lists in this order; or a ``DataFrame`` of pandas or Polars with these columns, in which whole
                numbers may be floats, as pandas makes them if a value is missing. Names are compared without case;
                other names are refused, except ``Index`` in a named tuple, as of pandas' ``itertuples()``, which is
                ignored. A user is given by id or by name; each
                name is looked up once. The values of a row, but not of a ``NewToken``, may come from ``csv.DictReader``
                or ``csv.reader`` (pass ``strict=True`` to it): a text of the digits 0-9 is the user's id, and any other
                number is refused, so that a user whose name is a number is given by id. A status may be ``"1"`` or
                ``"2"``. White space around a text does not matter, except in a note. ``None``, NaN, ``pandas.NA`` and
                an empty text are values that are not given. A header among the rows is refused, and so is a first plain
                tuple or list that resembles one: give a user called ``admin`` or ``note`` there by id or in a mapping.
            journal (str | os.PathLike): path of the journal, a file of JSON lines that only its owner can read. It
                contains the keys: protect it like the keys. If it exists, ``resume=True`` is required.
            resume (bool): resume an existing journal: its tokens are compared with the portal, rows that are done are
                kept, the others are tried again, and no row ends with two enabled tokens. A row is ``"unknown"`` if the
                journal contradicts the portal, or if a token looks like one of the row and is not in the journal. If
                the journal does not exist, a new run starts. Default ``False``.
            concurrency (int): number of rows processed at once, 1 to 64; default 8. The first row is processed alone.
            on_error (str): what to do with the other rows when one fails: ``"continue"`` (the default) or ``"stop"``.
            progress (bool | Callable[[int, int], object] | None): ``True`` shows one bar, with failures and waits for the
                rate limit: in the output of a notebook, else on standard error, by tqdm if it is installed; a line at
                intervals if standard error is not a terminal. A callable is called after each row with (rows finished,
                all rows). Default none.
            lock (bool): lock the journal against other processes; default ``True``. Pass ``False`` only on a file
                system that does not support locks.
            trust_folder (bool): accept a journal that belongs to another user or is in a folder that other users can
                write to: they can change its lines. Default ``False``.
            deliver (ToFile | ToCommand | Callable | object | None): the destination of each key, as for ``add_token``;
                the journal then contains no keys. Default: the journal. A file holds one key, so that ``to_file`` is
                refused for several rows. A resumed run calls ``commit`` or ``discard``, with a token without its key, for
                each delivery that an interrupted run did not complete: also for one that was completed just before the
                interruption, so a second call must have no effect.

        Returns:
            BulkRun: an iterator of ``RowResult`` objects, in the order in which the rows finish, with a ``summary``.
            ``finish()`` processes all remaining rows. A run that is never iterated creates no token and leaves no new
            journal; a ``RuntimeWarning`` says so.

        Raises:
            TypeError, ValueError: an argument or a row is invalid; the message names the rows. Nothing was sent.
            DeliveryError: the journal exists, belongs to another portal, another input or another user, is damaged, is in
                use by another process, or cannot be written. An error that occurs during the run is raised at its end.
            AuthenticationError: the portal rejected the credentials; raised at the end of the run. The run stops at the
                first such response, because repeated failures lock a token.

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
    def _close(self, /) -> None: ...
    def _list_tokens(self, /, admin_id: int | str | None = None, *, type: "Literal['lmv1', 'bearer'] | TokenType | None" = None, filter: Filter | str | None = None, page_size: "int" = 1000) -> "_TokenPages":
        """
        List tokens, requesting pages as they are iterated over.

        Tokens that are deleted during the iteration do not cause other tokens to be skipped or repeated.

        Args:
            admin_id (int | str | None): list the tokens of this user, given by id or name; default: of all users.
            type (str | TokenType | None): list only ``"lmv1"`` or ``"bearer"`` tokens; default: both, LMv1 first (the
                portal lists one type at a time).
            filter (Filter | str | None): a condition made with ``lmtokens.where``, or a string in the portal's filter
                syntax, which is sent unchanged (times in it are seconds since 1970-01-01 UTC). ``where.note`` compares
                the user's part of a note. The portal knows whole notes only, with the markers of lmtokens, so it may
                return more tokens than the list yields: those whose notes end with the text, for ``==``; all that the
                other conditions select, for ``!=`` and ``not_contains``. A string compares whole notes. Default: all
                tokens.
            page_size (int): tokens per request, 1 to 1000 (the default).

        Returns:
            Iterator[Token]: the tokens, without access keys. If the iteration raises an error, iterating again requests
                the same page again.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            APIError, TransportError, ResponseError: raised by the iteration if the portal rejects a request, cannot be
                reached, or sends a response that cannot be understood.

        Source: the vendor's page "Getting API Token Details".

        Example:
            >>> import lmtokens.sandbox
            >>> from lmtokens import where
            >>> with lmtokens.sandbox.Portal() as portal, portal.client() as client:
            ...     disabled = client.add_token(32, "old", 1)
            ...     [token.note for token in client.list_tokens(32, filter=where.status == 1)]
            ['old']
        """
    def _temporary_token(self, /, admin_id: int | str, note: str | None = None, *, expires: datetime | timedelta | float | str = ..., type: "Literal['lmv1', 'bearer'] | TokenType" = "lmv1") -> "_AsyncTemporaryToken":
        """
        Create a token for a ``with`` block and delete it at the end of the block.

        The token is created, enabled, when the block is entered, as by ``add_token(expires=…)``, and is deleted by the
        same client when the block ends: also by an exception, Ctrl-C or the cancellation of its task. A token that no
        longer exists is ignored. If the process is killed, the token remains until it expires and ``sweep_tokens``
        deletes it. A child process that is forked inside the block does not delete it. If the creation is interrupted, a warning says what may remain, as for ``add_token``.

        A Ctrl-C or cancellation during the deletion takes effect after it; a second one ends the deletion. If the
        deletion fails or is ended, a warning is logged that names the token and its expiry. The error is raised unless
        the block has raised an exception, which is never replaced by it.

        Args:
            admin_id (int | str): the user's id, 1 to 2147483647, or the user's name, which is looked up.
            note (str | None): a label, as for ``add_token``; default none.
            expires (datetime | timedelta | float | str): when ``sweep_tokens`` may delete the token if this block does
                not, as for ``add_token``; a number is in seconds. Choose it longer than the block takes:
                ``sweep_tokens`` also deletes a token that is in use. Default one hour.
            type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.

        Returns:
            TemporaryToken: the context manager, for one ``with`` statement; with ``AsyncClient``, an
                ``AsyncTemporaryToken`` for ``async with``. Its target is the ``CreatedToken`` with its ``access_key``.
                Nothing is sent before the block is entered.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            RuntimeError: the context manager is entered a second time.
            LMTokensError: entering the block raises the errors of ``add_token``, and leaving it those of
                ``delete_token``.

        Example:
            >>> import lmtokens.sandbox
            >>> with lmtokens.sandbox.Portal() as portal, portal.client() as client:
            ...     with client.temporary_token(32, "job") as token:
            ...         print([listed.note for listed in client.list_tokens(32)])
            ...     print(list(client.list_tokens(32)))
            ['job']
            []
        """
    @overload
    def add_token(self, /, admin_id: int | str, note: str | None = None, status: "Literal[1, 2, 'disabled', 'enabled'] | TokenStatus" = 2, *, type: "Literal['lmv1', 'bearer'] | TokenType" = "lmv1", deliver: None = None, expires: datetime | timedelta | float | str | None = None) -> Coroutine[Any, Any, CreatedToken]:
        """
        Create an API token for a user.

        Without ``deliver=`` and ``expires=``, a POST that may have created a token is never repeated.

        With ``deliver=``, the token is created disabled, under a tagged note. After its key has been delivered, one
        PATCH sets its status and note. If the call ends before that, the token stays disabled, and ``sweep_tokens``
        finds it. With ``expires=``, the same happens even without ``deliver=``: the expiry is in a marker before the
        note, ``[lmtokens 248 expires 2027-01-31T00:00Z] ci``, which needs the token's id.

        Args:
            admin_id (int | str): the user's id, 1 to 2147483647, or the user's name, which is looked up.
            note (str | None): a label; default none. Notes that begin as those that lmtokens writes itself are refused:
                with ``[lmtokens `` or the tag of a pending token.
            status (int | str | TokenStatus): 1, ``"disabled"`` or ``TokenStatus.DISABLED``; 2 (the default),
                ``"enabled"`` or ``TokenStatus.ENABLED``.
            type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.
            deliver (ToFile | ToKeyring | ToCommand | Callable[[CreatedToken], object] | object | None): the destination
                that receives the key before the token is enabled: ``lmtokens.deliver.to_file(…)``, ``to_keyring(…)``,
                ``to_command([…])``, a callable that takes the token, or an object with ``deliver(token)`` and optionally
                ``commit(token)`` and ``discard(token)``. Default ``None``: the key is only in the result.
            expires (datetime | timedelta | float | str | None): when the token expires. An aware ``datetime`` in the
                future is rounded down to a whole second. A ``timedelta``, a number of seconds or a text such as
                ``"30d"`` counts from the create by the portal's clock; it is rounded up to a whole second, and is at
                most ten years. Naive datetimes and larger numbers, such as milliseconds, are refused. The portal does
                not act on it: ``sweep_tokens`` deletes the token once it has expired, even if it is in use. Default
                ``None``: never.

        Returns:
            CreatedToken: the new token. Its ``access_key`` is a ``Secret``, which the portal returns only once; for a
                bearer token it is the bearer token itself. With ``deliver=``, a ``Token`` whose ``access_key`` is
                ``None``.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            ConfigurationError, CredentialsError: the settings or credentials are missing or invalid; nothing was sent.
            APIError: the portal rejected the request; no token was created. The subclass gives the reason:
                ``AuthenticationError``, ``PermissionDeniedError``, ``NotFoundError`` (the user does not exist),
                ``RateLimitError`` and others.
            ConnectError, TLSError: the connection failed; nothing was sent.
            DeliveryError: the destination failed. A token that is not yet enabled is deleted; if only ``commit``
                failed, the token is enabled. The message says what remains.
            OutcomeUnknownError: a response was lost, so a token may exist; ``candidates`` holds the tokens that may
                have been created. With ``deliver=`` or ``expires=``, such a token is disabled. If the response to the
                last PATCH was lost instead, the message names the token, which may be enabled; without ``deliver=``,
                ``token`` holds it with its key.

        If the call is interrupted (Ctrl-C) when the portal may already have acted, a warning is logged that a token may
        exist.

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
    @overload
    def add_token(self, /, admin_id: int | str, note: str | None = None, status: "Literal[1, 2, 'disabled', 'enabled'] | TokenStatus" = 2, *, type: "Literal['lmv1', 'bearer'] | TokenType" = "lmv1", deliver: Destination | None, expires: datetime | timedelta | float | str | None = None) -> Coroutine[Any, Any, Token]: ...
    def audit_tokens(self, /, *, reasons: Reasons | None = None, idle_after: "Age | None" = None, never_used_after: "Age | None" = None, old_after: "Age | None" = None, disabled_after: "Age | None" = None, diff: str | PathLike[str] | None = None) -> Coroutine[Any, Any, Audit]:
        """
        Find tokens that should be replaced, disabled or deleted.

        The tokens of all users, of both types, are read page by page and judged by the portal's clock; only findings
        are kept in memory. The reasons with their severities are:

        - critical: ``owner_suspended``
        - warning: ``idle``, ``never_used``, ``old``, ``expired``, ``pending``, ``rotation_stuck``, ``address_changed``
        - info: ``disabled``, ``no_note``, ``owner_not_api_only``, ``administrator``

        ``AuditReason`` describes them. If the credentials may not list users, the reasons about owners are left out;
        ``Audit.limitations`` says so. The audit changes nothing; ``lmtokens audit`` can also disable or delete tokens.

        Args:
            reasons (Iterable[AuditReason | str] | None): look only for these reasons; default: for all.
            idle_after (float | str | datetime.timedelta | None): how long ago the last use of an ``idle`` token is:
                seconds, ``"90s"``, ``"24h"``, ``"45d"`` or a ``timedelta``; default 45 days.
            never_used_after (float | str | datetime.timedelta | None): how long ago the creation of a ``never_used``
                token is; default 7 days.
            old_after (float | str | datetime.timedelta | None): how long ago the creation of an ``old`` token is;
                default 365 days, after which the vendor advises to rotate tokens.
            disabled_after (float | str | datetime.timedelta | None): how long ago the last use or, without one, the
                creation of a ``disabled`` token is; default 30 days.
            diff (str | os.PathLike[str] | None): compare with an earlier report: a JSON file of ``Audit.to_dict()`` or
                of ``lmtokens audit -o json``. ``Finding.new_reasons`` and ``Audit.gone`` then say what changed. The
                addresses of ``address_changed`` are those in the file; ``lmtokens audit --all`` writes those of all
                tokens, and so does a list of ``Token.to_dict()``. Default: no comparison.

        Returns:
            Audit: the findings, the most severe first.

        Raises:
            TypeError, ValueError: an argument is invalid, or the earlier report cannot be read; nothing was sent.
            APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
                response that could not be understood or has no time.

        Source: the vendor's page "Managing API Tokens".

        Example:
            >>> import lmtokens.sandbox
            >>> with lmtokens.sandbox.Portal() as portal, portal.client() as client:
            ...     token = client.add_token(32)
            ...     audit = client.audit_tokens(reasons=["no_note"])
            >>> [(finding.reasons, finding.severity, finding.remedy) for finding in audit]
            [([AuditReason.NO_NOTE], Severity.INFO, 'set a note that names the program that uses it')]
        """
    @property
    def base_url(self, /) -> str:
        """
        str: the portal's address, ending with ``/santaba/rest``.
        """
    def cancel_rotation(self, /, token: int | str | Token) -> Coroutine[Any, Any, Rotation]:
        """
        Cancel a rotation: the old token works again, and the new one is disabled.

        The call waits a minute, in which other processes notice that the rotation is cancelled. A killed call is
        continued by the next one.

        Args:
            token (int | str | Token): the old or the new token.

        Returns:
            Rotation: the state is ``"cancelled"``, or ``"too_late"`` if the old token is deleted already: then the new
                one is kept.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            RotationError: the token is not part of a rotation, or other processes change it.
            SelfLockoutError: the new token signs this call.
            APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
                response that could not be understood. Call again to continue.
        """
    def delete_token(self, /, token: int | str | Token, *, force: "bool" = False) -> Coroutine[Any, Any, None]:
        """
        Delete a token permanently.

        If an attempt of this call may have deleted the token and its retry does not find it, the call succeeds.

        Args:
            token (int | str | Token): the token, its id or its access id.
            force (bool): delete the token even if it signs this call; default ``False``.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            SelfLockoutError: the token signs this call, or the portal does not show whether it does.
            APIError, TransportError: the portal rejected the request or could not be reached; ``maybe_applied`` is true
                if the token may have been deleted.

        Source: the vendor's API contract, DELETE on a token.
        """
    def disable_token(self, /, token: int | str | Token, *, force: "bool" = False) -> Coroutine[Any, Any, Token]:
        """
        Disable a token. The portal keeps it and rejects its requests until it is enabled again.

        The note is kept as it is, with its marker or tag.

        Args:
            token (int | str | Token): the token, its id or its access id.
            force (bool): disable the token even if it signs this call; default ``False``.

        Returns:
            Token: the token after the change.

        Raises:
            The same errors as ``update_token``.

        Source: the vendor's page "Adding API Tokens": status 1 is disabled.
        """
    def enable_token(self, /, token: int | str | Token) -> Coroutine[Any, Any, Token]:
        """
        Enable a token.

        The tag of a pending token is removed from its note, so that no sweep deletes it if it is disabled again. A marker
        is kept. An expiry therefore stays, and a token that a rotation disabled stays part of it: ``finish_rotations``
        and ``sweep_tokens`` report it and leave it enabled. Call ``cancel_rotation`` to end the rotation as well; it
        enables the token too. The token is read before it is changed, as by ``update_token``.

        Args:
            token (int | str | Token): the token, its id or its access id.

        Returns:
            Token: the token after the change.

        Raises:
            The same errors as ``update_token``.

        Source: the vendor's page "Adding API Tokens": status 2 is enabled.
        """
    def find_token(self, /, token: int | str | Token) -> Coroutine[Any, Any, Token]:
        """
        Find a token of any user by its id or access id.

        Args:
            token (int | str | Token): its id or its access id; a ``Token`` is read again.

        Returns:
            Token: the token as it is now. ``access_key`` is ``None``: the portal returns a key only when it creates the
                token.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a
                response that could not be understood.

        Source: the vendor's page "Getting API Token Details". The portal has no request for a single token, so this
        searches its lists.
        """
    def finish_rotations(self, /, token: int | str | Token | None = None, *, quarantine: "float | str | timedelta" = 604800.0, force: "bool" = False) -> Coroutine[Any, Any, list[Rotation]]:
        """
        Do what is due for rotations: disable old tokens after their overlap, and delete them after their quarantine.

        Rotations of every process and machine are found by the notes of their tokens. Before each change, both tokens
        are read again. If the new token was disabled or deleted by others, the old one is enabled again.

        Args:
            token (int | str | Token | None): the old or the new token of one rotation; default ``None``: all rotations.
            quarantine (float | str | timedelta): how long an old token that is disabled in this call stays so before it
                is deleted; default 7 days. If it is disabled already, the time in its note counts, but 0 with ``token``
                deletes it in this call.
            force (bool): disable and delete old tokens even if they are in use; default ``False``.

        Returns:
            list[Rotation]: all rotations, also those for which nothing is due. One that cannot be finished has the state
                ``"failed"`` and an ``error``, and does not stop the others.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            RotationError: the token is not being rotated, or its rotation cannot be finished now.
            APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
                response that could not be understood.

        Example:
            >>> import lmtokens.sandbox
            >>> with lmtokens.sandbox.Portal() as portal:
            ...     portal.client().finish_rotations()
            []
        """
    def list_users(self, /) -> Coroutine[Any, Any, list[User]]:
        """
        List the users of the portal, for example to look up the id of one.

        A user may be missing if others are deleted meanwhile.

        Returns:
            list[User]: the users that the credentials may view, in the order of their ids.

        Raises:
            APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a
                response that could not be understood.

        Source: the vendor's API contract, GET on the users.

        Example:
            >>> import lmtokens.sandbox
            >>> with lmtokens.sandbox.Portal() as portal:
            ...     [(user.id, user.name) for user in portal.client().list_users()]
            [(1, 'admin'), (32, 'api-user'), (33, 'viewer')]
        """
    def rotate_token(self, /, token: int | str | Token, *, deliver: Destination, overlap: "float | str | timedelta", quarantine: "float | str | timedelta" = 604800.0, then: Then | None = None, note: str | None = None, allow_bearer: "bool" = False, take_over: "bool" = False, force: "bool" = False) -> Coroutine[Any, Any, Rotation]:
        """
        Replace a token by a new one, without a moment in which no token works.

        The new token gets the owner, the type, the note and the expiry of the old one. It is created disabled; its key
        is delivered, and only then is it enabled. A request that is signed with the delivered key must succeed before
        the key is put in place. Until ``overlap`` is over, both tokens work. Then the old token is disabled, unless it
        is in use, and deleted after ``quarantine``.

        The call does what is due now and returns what remains. Nothing runs by itself: call it again, or
        ``finish_rotations`` from any machine. What is in progress is written in the notes of both tokens, so that a
        call whose process was killed is continued by the next one with the same destination, and nothing is stored
        elsewhere. During the overlap, a call whose file does not have the new key, or with another ``note``, is refused.

        If the token signs this call, the client signs its next calls with the new one. Other objects that were made with
        the old key keep it, such as other clients and ``LMv1Auth``: make them again during the overlap.

        Args:
            token (int | str | Token): the token to replace, its id or its access id.
            deliver (ToFile | ToCommand | Callable[[CreatedToken], object] | object): the destination of the new key, as
                for ``add_token``. A file with the key of the old token and nothing else is replaced even without
                ``overwrite=True``. The old key is kept as ``PATH.ID.previous``, with the id of the old token.
            overlap (float | str | timedelta): how long both tokens work: seconds, ``"30m"``, ``"24h"``, ``"7d"`` or a
                ``timedelta``. 0 disables the old token in this call. If the overlap runs already, the shorter one counts.
            quarantine (float | str | timedelta): how long the old token stays disabled before it is deleted; default 7
                days. If it is disabled already, the time in its note counts, but 0 deletes it in this call.
            then (Callable[[Token], object] | None): called with the new token once its key is in place, for example to
                restart the program that uses it, and to check that it works. It must end within 30 minutes: an hour
                after the create, another machine may replace the new token. If it raises, the rotation stops with both
                tokens working, and the next call calls it again. It is not called during the overlap.
            note (str | None): the note of the new token; default ``None``: the note of the old one.
            allow_bearer (bool): rotate a bearer token too; default ``False``. The portal may delete a user's bearer
                token as soon as another one is created.
            take_over (bool): continue a rotation of another machine 12 minutes after it created its token, instead of
                after an hour; default ``False``. A killed process on the same machine, with the same file, is continued
                at once.
            force (bool): disable and delete the old token even if it is in use; default ``False``.

        Returns:
            Rotation: the old and the new token, the state of the rotation, and when the next step is due.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            RotationError: the token cannot be rotated now, for example because another process is rotating it, it is
                disabled, or ``then`` raised; the old token works.
            DeliveryError: the destination failed; the old token works.
            SelfLockoutError: the call would disable the token that signs it, and its client has no other.
            OutcomeUnknownError: the response to the create was lost, so a disabled token may exist.
            APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
                response that could not be understood. Call again with the same arguments to continue.

        Example:
            >>> import lmtokens.sandbox, os, tempfile
            >>> from lmtokens.deliver import to_file
            >>> path = os.path.join(tempfile.mkdtemp(), "token.json")
            >>> with lmtokens.sandbox.Portal() as portal:
            ...     client = portal.client()
            ...     token = client.add_token(32, "ci", deliver=to_file(path))
            ...     client.rotate_token(token, deliver=to_file(path), overlap=0).state
            'quarantine'
        """
    def sweep_tokens(self, /, *, dry_run: "bool" = True, only: "Literal['orphans', 'expired', 'rotations', 'abandoned'] | None" = None) -> Coroutine[Any, Any, list[SweptToken]]:
        """
        Find what is due: orphans, expired and abandoned tokens, rotations. Optionally do it: delete, disable or restore.

        Tokens of every process and machine are found, of both types. Each is read again before it is deleted. The token
        that signs the call is never deleted.

        A token is an orphan if a create with ``deliver=`` or ``expires=``, of ``add_tokens`` or on the command line left
        it pending: it is disabled, was never used, its note is exactly the one that its create wrote (a tag alone, or
        the tag, a space and the final note, which the tag proves), it was created within an hour of the time in the tag,
        and it is more than an hour old by the portal's clock and this machine's. A token that lacks only the exact note,
        because somebody added to it or cut it, is listed with ``kept`` and never deleted.

        A token has expired if its note begins with a marker that names this token and a time that has passed by the
        portal's clock and this machine's, such as ``[lmtokens 248 expires 2027-01-31T00:00Z]``. It is deleted even if it
        is enabled and in use. To keep it, change the time in the note or remove the marker, in the portal.

        A rotation is due if its overlap or its quarantine is over, or if its old token is deleted already. It is
        continued as by ``finish_rotations``, with a quarantine of 7 days.

        A token is abandoned if it was to replace another one, but that rotation was cancelled or another token
        replaces the old one instead; it is deleted once it is disabled and the time in its marker is 7 days ago.

        All other tokens are left alone.

        Args:
            dry_run (bool): ``True`` (the default) only lists the tokens; ``False`` does what is due.
            only (str | None): find only ``"orphans"``, ``"expired"`` or ``"abandoned"`` tokens, or ``"rotations"``;
                default ``None``: all.

        Returns:
            list[SweptToken]: the tokens that are due and those that are kept, each with ``token``, ``reason``,
                ``deleted``, ``kept``, ``rotation`` and ``error``. For a rotation, ``token`` is the old one.

        Raises:
            TypeError, ValueError: an argument is invalid; nothing was sent.
            APIError: the portal rejected the request to list tokens.
            ResponseError: the portal's response has no time, or the portal's clock and this machine's differ by more
                than an hour. Neither is then reliable enough to delete a token. Two clocks on this machine (a sandbox)
                may differ.

        Example:
            >>> import lmtokens.sandbox
            >>> with lmtokens.sandbox.Portal() as portal:
            ...     portal.client().sweep_tokens()
            []
        """
    def update_token(self, /, token: int | str | Token, note: str | None = None, status: "Literal[1, 2, 'disabled', 'enabled'] | TokenStatus | None" = None, *, force: "bool" = False) -> Coroutine[Any, Any, Token]:
        """
        Change a token's note, its status, or both.

        A new note replaces the user's part only: a marker of lmtokens before it, such as an expiry, is kept. It also
        replaces the tag of a pending token. A new status changes the note as ``enable_token`` and ``disable_token`` do.

        The token is read before it is changed, even if it is passed as a ``Token``. There are two exceptions for a
        passed ``Token``: it is not read if it is only disabled with ``force=True``; and if the credentials may not view
        it, its own note is used, which may be out of date. Without ``force=True``, credentials that may not view a token
        cannot disable it.

        Args:
            token (int | str | Token): the token, its id or its access id.
            note (str | None): the new note; ``""`` removes it. ``None`` (the default) leaves it unchanged. Notes are
                refused as by ``add_token``.
            status (int | str | TokenStatus | None): the new status, as for ``add_token``. ``None`` (the default) leaves
                it unchanged.
            force (bool): disable the token even if it signs this call; default ``False``.

        Returns:
            Token: the token after the change.

        Raises:
            TypeError, ValueError: an argument is invalid, or neither note nor status is given; nothing was sent.
            NotFoundError: the token does not exist, or the credentials may not view it.
            SelfLockoutError: the call would disable the token that signs it, or the portal does not show whether it
                would.
            APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a
                response that could not be understood; ``maybe_applied`` is true if the token may have been changed.

        Source: the vendor's API contract, PATCH on a token: members that are not sent stay unchanged. (A PUT without a
        status would enable a disabled token.)
        """
    def whoami(self, /) -> Coroutine[Any, Any, Whoami]:
        """
        Return the portal, the token that signs the calls, its user, and the source of the credentials.

        Returns:
            Whoami: the identity, as far as it can be read. If the credentials may not view tokens, ``token`` is
                ``None`` and ``limitation`` gives the reason.

        Raises:
            AuthenticationError: the portal rejected the credentials.
            APIError, TransportError, ResponseError: the portal rejected the request for another reason, could not be
                reached, or sent a response that could not be understood.
        """

@final
class _AsyncTemporaryToken:
    """
    The native part of `AsyncTemporaryToken`.
    """
    def create(self, /) -> Coroutine[Any, Any, Token]:
        """
        Return the future of the new token, with its call.
        """
    def delete(self, token: Token, /) -> Coroutine[Any, Any, None]:
        """
        Return the future of the deletion, with its call.
        """
    def delete_now(self, token: Token, /) -> None:
        """
        Delete the token without an event loop.
        """
    def is_of_this_process(self, /) -> bool:
        """
        Return whether this process created the token. A child process leaves it to its parent.
        """

@final
class _SandboxPortal:
    """
    The native part of ``lmtokens.sandbox.Portal``.
    """
    def __new__(cls, /, settings: str) -> _SandboxPortal: ...
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
        Apply a command in JSON. Return its result in JSON, and the secrets of the tokens in it, in their order.
        """
    @staticmethod
    def items(name: "str", values: "object") -> "list[str]":
        """
        Return the items of an argument that is an iterable of texts.
        """
    def stop(self, /) -> None: ...

@disjoint_base
class _Signer:
    """
    Signs requests to one portal; the base of `LMv1Auth`.
    """
    def __copy__(self, /) -> _Signer: ...
    def __deepcopy__(self, memo: "object", /) -> "_Signer": ...
    def __new__(cls, /, company: "str | None" = None, *, access_id: "str | Secret | None" = None, access_key: "str | Secret | None" = None, bearer_token: "str | Secret | None" = None, profile: "str | None" = None, domain: "str | None" = None, base_url: "str | None" = None, timeout: "float | tuple[float, float] | None" = None, ca_bundle: str | PathLike[str] | None = None, client_cert: tuple[str | PathLike[str], str | PathLike[str]] | str | PathLike[str] | None = None, proxy: "str | Secret | None" = None) -> "Self": ...
    def __reduce_ex__(self, protocol: "object", /) -> "str": ...
    def __repr__(self, /) -> str: ...
    def _authorization(self, /, method: "str", url: "str", body: "bytes") -> "str":
        """
        Return the value of the ``Authorization`` header for a request with exactly this body.
        """
    def _is_bound_to(self, /, url: str) -> bool:
        """
        Return whether a URL belongs to the portal.
        """
    @property
    def base_url(self, /) -> str:
        """
        str: the portal's address, ending with ``/santaba/rest``. Only requests to it are signed.
        """

@final
class _TokenPages:
    """
    The pages of a list, for the iterator of the async API.
    """
    def next(self, /) -> Coroutine[Any, Any, bool]:
        """
        Return the future of whether there are more tokens, which `take` then returns, with its call.
        """
    def take(self, /) -> list[Token]:
        """
        Return the tokens that were received and not yet taken.
        """

def _forget_default_client() -> None:
    """
    Reset the default client: the next use creates one from the environment. For test fixtures.
    """

def _printable(text: str, /) -> str:
    """
    Return a text as a part of one line, with its hidden characters escaped.
    """

def _shell(arguments: "list[str]") -> "int":
    """
    Runs the command that ``arguments`` holds, without the program's name; the result is the exit status.
    """

def _signing_stages(method: "str", timestamp_ms: "int", body: "bytes", resource_path: "str", access_key: "str") -> "tuple[bytes, str, str]":
    """
    Return the stages of a signature, for tests against vectors: (string to sign, hex digest, base64 signature).
    """

@overload
def add_token(admin_id: int | str, note: str | None = None, status: "Literal[1, 2, 'disabled', 'enabled'] | TokenStatus" = 2, *, type: "Literal['lmv1', 'bearer'] | TokenType" = "lmv1", deliver: None = None, expires: datetime | timedelta | float | str | None = None) -> CreatedToken:
    """
    Create an API token for a user.

    Without ``deliver=`` and ``expires=``, a POST that may have created a token is never repeated.

    With ``deliver=``, the token is created disabled, under a tagged note. After its key has been delivered, one
    PATCH sets its status and note. If the call ends before that, the token stays disabled, and ``sweep_tokens``
    finds it. With ``expires=``, the same happens even without ``deliver=``: the expiry is in a marker before the
    note, ``[lmtokens 248 expires 2027-01-31T00:00Z] ci``, which needs the token's id.

    Args:
        admin_id (int | str): the user's id, 1 to 2147483647, or the user's name, which is looked up.
        note (str | None): a label; default none. Notes that begin as those that lmtokens writes itself are refused:
            with ``[lmtokens `` or the tag of a pending token.
        status (int | str | TokenStatus): 1, ``"disabled"`` or ``TokenStatus.DISABLED``; 2 (the default),
            ``"enabled"`` or ``TokenStatus.ENABLED``.
        type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.
        deliver (ToFile | ToKeyring | ToCommand | Callable[[CreatedToken], object] | object | None): the destination
            that receives the key before the token is enabled: ``lmtokens.deliver.to_file(…)``, ``to_keyring(…)``,
            ``to_command([…])``, a callable that takes the token, or an object with ``deliver(token)`` and optionally
            ``commit(token)`` and ``discard(token)``. Default ``None``: the key is only in the result.
        expires (datetime | timedelta | float | str | None): when the token expires. An aware ``datetime`` in the
            future is rounded down to a whole second. A ``timedelta``, a number of seconds or a text such as
            ``"30d"`` counts from the create by the portal's clock; it is rounded up to a whole second, and is at
            most ten years. Naive datetimes and larger numbers, such as milliseconds, are refused. The portal does
            not act on it: ``sweep_tokens`` deletes the token once it has expired, even if it is in use. Default
            ``None``: never.

    Returns:
        CreatedToken: the new token. Its ``access_key`` is a ``Secret``, which the portal returns only once; for a
            bearer token it is the bearer token itself. With ``deliver=``, a ``Token`` whose ``access_key`` is
            ``None``.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was sent.
        ConfigurationError, CredentialsError: the settings or credentials are missing or invalid; nothing was sent.
        APIError: the portal rejected the request; no token was created. The subclass gives the reason:
            ``AuthenticationError``, ``PermissionDeniedError``, ``NotFoundError`` (the user does not exist),
            ``RateLimitError`` and others.
        ConnectError, TLSError: the connection failed; nothing was sent.
        DeliveryError: the destination failed. A token that is not yet enabled is deleted; if only ``commit``
            failed, the token is enabled. The message says what remains.
        OutcomeUnknownError: a response was lost, so a token may exist; ``candidates`` holds the tokens that may
            have been created. With ``deliver=`` or ``expires=``, such a token is disabled. If the response to the
            last PATCH was lost instead, the message names the token, which may be enabled; without ``deliver=``,
            ``token`` holds it with its key.

    If the call is interrupted (Ctrl-C) when the portal may already have acted, a warning is logged that a token may
    exist.

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
@overload
def add_token(admin_id: int | str, note: str | None = None, status: "Literal[1, 2, 'disabled', 'enabled'] | TokenStatus" = 2, *, type: "Literal['lmv1', 'bearer'] | TokenType" = "lmv1", deliver: Destination | None, expires: datetime | timedelta | float | str | None = None) -> Token: ...

def add_tokens(tokens: Rows, *, journal: str | PathLike[str], resume: "bool" = False, concurrency: "int" = 8, on_error: "Literal['continue', 'stop']" = "continue", progress: Progress | None = None, lock: "bool" = True, trust_folder: "bool" = False, deliver: Destination | None = None) -> "BulkRun":
    """
    Create many tokens, with a journal from which an interrupted run can be resumed.

    All rows are checked before the first request. Each token is created disabled, and is enabled only after its key
    has been written to the journal and flushed to disk. The portal may e-mail the user for each change of a token:
    expect about two e-mails per row. If a rate limit is reached, the run waits as long as necessary (``max_wait``
    applies to single calls only), unless the client's ``on_limit`` is ``"raise"``.

    Args:
        tokens (Iterable[NewToken | Mapping | tuple] | DataFrame): the rows: ``NewToken`` objects; mappings, named
            tuples or dataclass instances with ``admin_id`` and optionally ``note``, ``status`` and ``type``; plain
            tuples and lists in this order; or a ``DataFrame`` of pandas or Polars with these columns, in which whole
            numbers may be floats, as pandas makes them if a value is missing. Names are compared without case;
            other names are refused, except ``Index`` in a named tuple, as of pandas' ``itertuples()``, which is
            ignored. A user is given by id or by name; each
            name is looked up once. The values of a row, but not of a ``NewToken``, may come from ``csv.DictReader``
            or ``csv.reader`` (pass ``strict=True`` to it): a text of the digits 0-9 is the user's id, and any other
            number is refused, so that a user whose name is a number is given by id. A status may be ``"1"`` or
            ``"2"``. White space around a text does not matter, except in a note. ``None``, NaN, ``pandas.NA`` and
            an empty text are values that are not given. A header among the rows is refused, and so is a first plain
            tuple or list that resembles one: give a user called ``admin`` or ``note`` there by id or in a mapping.
        journal (str | os.PathLike): path of the journal, a file of JSON lines that only its owner can read. It
            contains the keys: protect it like the keys. If it exists, ``resume=True`` is required.
        resume (bool): resume an existing journal: its tokens are compared with the portal, rows that are done are
            kept, the others are tried again, and no row ends with two enabled tokens. A row is ``"unknown"`` if the
            journal contradicts the portal, or if a token looks like one of the row and is not in the journal. If
            the journal does not exist, a new run starts. Default ``False``.
        concurrency (int): number of rows processed at once, 1 to 64; default 8. The first row is processed alone.
        on_error (str): what to do with the other rows when one fails: ``"continue"`` (the default) or ``"stop"``.
        progress (bool | Callable[[int, int], object] | None): ``True`` shows one bar, with failures and waits for the
            rate limit: in the output of a notebook, else on standard error, by tqdm if it is installed; a line at
            intervals if standard error is not a terminal. A callable is called after each row with (rows finished,
            all rows). Default none.
        lock (bool): lock the journal against other processes; default ``True``. Pass ``False`` only on a file
            system that does not support locks.
        trust_folder (bool): accept a journal that belongs to another user or is in a folder that other users can
            write to: they can change its lines. Default ``False``.
        deliver (ToFile | ToCommand | Callable | object | None): the destination of each key, as for ``add_token``;
            the journal then contains no keys. Default: the journal. A file holds one key, so that ``to_file`` is
            refused for several rows. A resumed run calls ``commit`` or ``discard``, with a token without its key, for
            each delivery that an interrupted run did not complete: also for one that was completed just before the
            interruption, so a second call must have no effect.

    Returns:
        BulkRun: an iterator of ``RowResult`` objects, in the order in which the rows finish, with a ``summary``.
        ``finish()`` processes all remaining rows. A run that is never iterated creates no token and leaves no new
        journal; a ``RuntimeWarning`` says so.

    Raises:
        TypeError, ValueError: an argument or a row is invalid; the message names the rows. Nothing was sent.
        DeliveryError: the journal exists, belongs to another portal, another input or another user, is damaged, is in
            use by another process, or cannot be written. An error that occurs during the run is raised at its end.
        AuthenticationError: the portal rejected the credentials; raised at the end of the run. The run stops at the
            first such response, because repeated failures lock a token.

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

def audit_tokens(*, reasons: Reasons | None = None, idle_after: "Age | None" = None, never_used_after: "Age | None" = None, old_after: "Age | None" = None, disabled_after: "Age | None" = None, diff: str | PathLike[str] | None = None) -> Audit:
    """
    Find tokens that should be replaced, disabled or deleted.

    The tokens of all users, of both types, are read page by page and judged by the portal's clock; only findings
    are kept in memory. The reasons with their severities are:

    - critical: ``owner_suspended``
    - warning: ``idle``, ``never_used``, ``old``, ``expired``, ``pending``, ``rotation_stuck``, ``address_changed``
    - info: ``disabled``, ``no_note``, ``owner_not_api_only``, ``administrator``

    ``AuditReason`` describes them. If the credentials may not list users, the reasons about owners are left out;
    ``Audit.limitations`` says so. The audit changes nothing; ``lmtokens audit`` can also disable or delete tokens.

    Args:
        reasons (Iterable[AuditReason | str] | None): look only for these reasons; default: for all.
        idle_after (float | str | datetime.timedelta | None): how long ago the last use of an ``idle`` token is:
            seconds, ``"90s"``, ``"24h"``, ``"45d"`` or a ``timedelta``; default 45 days.
        never_used_after (float | str | datetime.timedelta | None): how long ago the creation of a ``never_used``
            token is; default 7 days.
        old_after (float | str | datetime.timedelta | None): how long ago the creation of an ``old`` token is;
            default 365 days, after which the vendor advises to rotate tokens.
        disabled_after (float | str | datetime.timedelta | None): how long ago the last use or, without one, the
            creation of a ``disabled`` token is; default 30 days.
        diff (str | os.PathLike[str] | None): compare with an earlier report: a JSON file of ``Audit.to_dict()`` or
            of ``lmtokens audit -o json``. ``Finding.new_reasons`` and ``Audit.gone`` then say what changed. The
            addresses of ``address_changed`` are those in the file; ``lmtokens audit --all`` writes those of all
            tokens, and so does a list of ``Token.to_dict()``. Default: no comparison.

    Returns:
        Audit: the findings, the most severe first.

    Raises:
        TypeError, ValueError: an argument is invalid, or the earlier report cannot be read; nothing was sent.
        APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
            response that could not be understood or has no time.

    Source: the vendor's page "Managing API Tokens".

    Example:
        >>> import lmtokens.sandbox
        >>> with lmtokens.sandbox.Portal() as portal, portal.client() as client:
        ...     token = client.add_token(32)
        ...     audit = client.audit_tokens(reasons=["no_note"])
        >>> [(finding.reasons, finding.severity, finding.remedy) for finding in audit]
        [([AuditReason.NO_NOTE], Severity.INFO, 'set a note that names the program that uses it')]
    """

def cancel_rotation(token: int | str | Token) -> Rotation:
    """
    Cancel a rotation: the old token works again, and the new one is disabled.

    The call waits a minute, in which other processes notice that the rotation is cancelled. A killed call is
    continued by the next one.

    Args:
        token (int | str | Token): the old or the new token.

    Returns:
        Rotation: the state is ``"cancelled"``, or ``"too_late"`` if the old token is deleted already: then the new
            one is kept.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was sent.
        NotFoundError: the token does not exist, or the credentials may not view it.
        RotationError: the token is not part of a rotation, or other processes change it.
        SelfLockoutError: the new token signs this call.
        APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
            response that could not be understood. Call again to continue.
    """

def configure(company: "str | None" = None, *, access_id: "str | Secret | None" = None, access_key: "str | Secret | None" = None, bearer_token: "str | Secret | None" = None, profile: "str | None" = None, domain: "str | None" = None, base_url: "str | None" = None, timeout: "float | tuple[float, float] | None" = None, ca_bundle: str | PathLike[str] | None = None, client_cert: tuple[str | PathLike[str], str | PathLike[str]] | str | PathLike[str] | None = None, proxy: "str | Secret | None" = None, credentials: CredentialsCallable | None = None, max_attempts: "int" = 3, deadline: "float | None" = None, on_limit: "Literal['wait', 'raise']" = "wait", max_wait: "float" = 120.0, on_wait: OnWait | None = None) -> "Client":
    """
    Set the default client of the module functions.

    Args:
        company, access_id, access_key, bearer_token, profile, domain, base_url, timeout, ca_bundle, client_cert,
            proxy, credentials, max_attempts, deadline, on_limit, max_wait, on_wait: as for ``Client``.

    Returns:
        Client: the new default client.

    Raises:
        ConfigurationError, CredentialsError: as for ``Client``; the default client is then unchanged.
    """

def default_client() -> "Client":
    """
    Return the client of the module functions: the one from ``configure``, or one created from the environment or the
    default profile now.

    A failure is not remembered: the next call tries again.

    Returns:
        Client: the same object until ``configure`` is called.

    Raises:
        ConfigurationError, CredentialsError: the environment and the default profile do not name a portal, or have no
            credentials.
    """

def delete_token(token: int | str | Token, *, force: "bool" = False) -> None:
    """
    Delete a token permanently.

    If an attempt of this call may have deleted the token and its retry does not find it, the call succeeds.

    Args:
        token (int | str | Token): the token, its id or its access id.
        force (bool): delete the token even if it signs this call; default ``False``.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was sent.
        NotFoundError: the token does not exist, or the credentials may not view it.
        SelfLockoutError: the token signs this call, or the portal does not show whether it does.
        APIError, TransportError: the portal rejected the request or could not be reached; ``maybe_applied`` is true
            if the token may have been deleted.

    Source: the vendor's API contract, DELETE on a token.
    """

def disable_token(token: int | str | Token, *, force: "bool" = False) -> Token:
    """
    Disable a token. The portal keeps it and rejects its requests until it is enabled again.

    The note is kept as it is, with its marker or tag.

    Args:
        token (int | str | Token): the token, its id or its access id.
        force (bool): disable the token even if it signs this call; default ``False``.

    Returns:
        Token: the token after the change.

    Raises:
        The same errors as ``update_token``.

    Source: the vendor's page "Adding API Tokens": status 1 is disabled.
    """

def enable_token(token: int | str | Token) -> Token:
    """
    Enable a token.

    The tag of a pending token is removed from its note, so that no sweep deletes it if it is disabled again. A marker
    is kept. An expiry therefore stays, and a token that a rotation disabled stays part of it: ``finish_rotations``
    and ``sweep_tokens`` report it and leave it enabled. Call ``cancel_rotation`` to end the rotation as well; it
    enables the token too. The token is read before it is changed, as by ``update_token``.

    Args:
        token (int | str | Token): the token, its id or its access id.

    Returns:
        Token: the token after the change.

    Raises:
        The same errors as ``update_token``.

    Source: the vendor's page "Adding API Tokens": status 2 is enabled.
    """

def explain_signature(authorization: "str | Secret", method: "str", path: "str", body: "bytes | bytearray | memoryview" = ..., *, access_id: "str | Secret | None" = None, access_key: "str | Secret | None" = None) -> "SignatureExplanation":
    """
    Find the mistake in an LMv1 header that other code made, or confirm that the header is correct.

    The portal is not contacted. Known mistakes are tried one by one and in pairs: in the encoding of the signature, the access key,
    the parts of the string to sign and their order, and the form of the header. A mistake is reported only if it gives
    exactly this signature.

    Args:
        authorization (str | Secret): the value of the ``Authorization`` header, with or without the header's name.
        method (str): the HTTP method of the request, in any case.
        path (str): the path of the request with its query, or its URL; with or without ``/santaba/rest``.
        body (bytes | bytearray | memoryview): the exact bytes of the body; default none. ``GET`` and ``HEAD`` do not
            send a body: a signature that covers it is then wrong.
        access_id (str | Secret | None): the access id of the token; default from the environment, as for ``Client``.
        access_key (str | Secret | None): its access key; default from the environment.

    Returns:
        SignatureExplanation: ``correct``, ``causes`` and the correct ``string_to_sign``. ``correct`` does not depend on
            the current time: an epoch more than 30 minutes away from this machine's clock is reported in ``causes``,
            as ``"time-window"``.

    Raises:
        ValueError: an invalid method or path, or a header with a bearer token, which is not signed.
        CredentialsError: no credentials, half a pair, malformed credentials, or a bearer token.

    Example:
        >>> import lmtokens
        >>> pair = {"access_id": "exampleAccessId00001", "access_key": "invented-key"}
        >>> header = lmtokens.sign("GET", "/setting/admins", **pair)
        >>> lmtokens.explain_signature(header, "GET", "/setting/admins?size=5", **pair).correct
        True
        >>> lmtokens.explain_signature(header, "POST", "/setting/admins", b"{}", **pair)
        <lmtokens.SignatureExplanation incorrect: other-method, body-missing>
    """

def find_token(token: int | str | Token) -> Token:
    """
    Find a token of any user by its id or access id.

    Args:
        token (int | str | Token): its id or its access id; a ``Token`` is read again.

    Returns:
        Token: the token as it is now. ``access_key`` is ``None``: the portal returns a key only when it creates the
            token.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was sent.
        NotFoundError: the token does not exist, or the credentials may not view it.
        APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a
            response that could not be understood.

    Source: the vendor's page "Getting API Token Details". The portal has no request for a single token, so this
    searches its lists.
    """

def finish_rotations(token: int | str | Token | None = None, *, quarantine: "float | str | timedelta" = 604800.0, force: "bool" = False) -> list[Rotation]:
    """
    Do what is due for rotations: disable old tokens after their overlap, and delete them after their quarantine.

    Rotations of every process and machine are found by the notes of their tokens. Before each change, both tokens
    are read again. If the new token was disabled or deleted by others, the old one is enabled again.

    Args:
        token (int | str | Token | None): the old or the new token of one rotation; default ``None``: all rotations.
        quarantine (float | str | timedelta): how long an old token that is disabled in this call stays so before it
            is deleted; default 7 days. If it is disabled already, the time in its note counts, but 0 with ``token``
            deletes it in this call.
        force (bool): disable and delete old tokens even if they are in use; default ``False``.

    Returns:
        list[Rotation]: all rotations, also those for which nothing is due. One that cannot be finished has the state
            ``"failed"`` and an ``error``, and does not stop the others.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was sent.
        NotFoundError: the token does not exist, or the credentials may not view it.
        RotationError: the token is not being rotated, or its rotation cannot be finished now.
        APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
            response that could not be understood.

    Example:
        >>> import lmtokens.sandbox
        >>> with lmtokens.sandbox.Portal() as portal:
        ...     portal.client().finish_rotations()
        []
    """

def list_tokens(admin_id: int | str | None = None, *, type: "Literal['lmv1', 'bearer'] | TokenType | None" = None, filter: Filter | str | None = None, page_size: "int" = 1000) -> "TokenIterator":
    """
    List tokens, requesting pages as they are iterated over.

    Tokens that are deleted during the iteration do not cause other tokens to be skipped or repeated.

    Args:
        admin_id (int | str | None): list the tokens of this user, given by id or name; default: of all users.
        type (str | TokenType | None): list only ``"lmv1"`` or ``"bearer"`` tokens; default: both, LMv1 first (the
            portal lists one type at a time).
        filter (Filter | str | None): a condition made with ``lmtokens.where``, or a string in the portal's filter
            syntax, which is sent unchanged (times in it are seconds since 1970-01-01 UTC). ``where.note`` compares
            the user's part of a note. The portal knows whole notes only, with the markers of lmtokens, so it may
            return more tokens than the list yields: those whose notes end with the text, for ``==``; all that the
            other conditions select, for ``!=`` and ``not_contains``. A string compares whole notes. Default: all
            tokens.
        page_size (int): tokens per request, 1 to 1000 (the default).

    Returns:
        Iterator[Token]: the tokens, without access keys. If the iteration raises an error, iterating again requests
            the same page again.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was sent.
        APIError, TransportError, ResponseError: raised by the iteration if the portal rejects a request, cannot be
            reached, or sends a response that cannot be understood.

    Source: the vendor's page "Getting API Token Details".

    Example:
        >>> import lmtokens.sandbox
        >>> from lmtokens import where
        >>> with lmtokens.sandbox.Portal() as portal, portal.client() as client:
        ...     disabled = client.add_token(32, "old", 1)
        ...     [token.note for token in client.list_tokens(32, filter=where.status == 1)]
        ['old']
    """

def list_users() -> list[User]:
    """
    List the users of the portal, for example to look up the id of one.

    A user may be missing if others are deleted meanwhile.

    Returns:
        list[User]: the users that the credentials may view, in the order of their ids.

    Raises:
        APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a
            response that could not be understood.

    Source: the vendor's API contract, GET on the users.

    Example:
        >>> import lmtokens.sandbox
        >>> with lmtokens.sandbox.Portal() as portal:
        ...     [(user.id, user.name) for user in portal.client().list_users()]
        [(1, 'admin'), (32, 'api-user'), (33, 'viewer')]
    """

def read_journal(path: str | PathLike[str], *, skip_damaged: "bool" = False) -> "list[JournalEntry]":
    """
    Read the rows and keys of a journal that ``add_tokens`` or ``lmtokens bulk`` wrote.

    Args:
        path (str | os.PathLike): the journal. It may be in use. A torn last line is ignored: a token whose line with
            the key is torn was never enabled.
        skip_damaged (bool): read the intact lines of a damaged journal; each problem is an entry with the state
            ``"damaged"``. Default ``False``: raise an error that names the first damaged line.

    Returns:
        list[JournalEntry]: the rows that were started, in the order of the input: one entry for each token of a row that
        was not deleted, or one entry if there is none. A row can have several tokens. A row without a token is left out
        once the input of a resumed run no longer has it, for example because it was corrected. A token of such a row
        keeps the number that the row had. Damaged parts are at the end.

    Raises:
        DeliveryError: the file cannot be read, is not a journal, or is damaged.

    Example:
        >>> import lmtokens.sandbox, os, tempfile
        >>> journal = os.path.join(tempfile.mkdtemp(), "run.journal")
        >>> with lmtokens.sandbox.Portal() as portal:
        ...     summary = portal.client().add_tokens([(32, "a"), (32, "b")], journal=journal).finish()
        >>> [(entry.state, entry.note, entry.token.access_key) for entry in lmtokens.read_journal(journal)]
        [('created', 'a', Secret('********')), ('created', 'b', Secret('********'))]
    """

def rotate_token(token: int | str | Token, *, deliver: Destination, overlap: "float | str | timedelta", quarantine: "float | str | timedelta" = 604800.0, then: Then | None = None, note: str | None = None, allow_bearer: "bool" = False, take_over: "bool" = False, force: "bool" = False) -> Rotation:
    """
    Replace a token by a new one, without a moment in which no token works.

    The new token gets the owner, the type, the note and the expiry of the old one. It is created disabled; its key
    is delivered, and only then is it enabled. A request that is signed with the delivered key must succeed before
    the key is put in place. Until ``overlap`` is over, both tokens work. Then the old token is disabled, unless it
    is in use, and deleted after ``quarantine``.

    The call does what is due now and returns what remains. Nothing runs by itself: call it again, or
    ``finish_rotations`` from any machine. What is in progress is written in the notes of both tokens, so that a
    call whose process was killed is continued by the next one with the same destination, and nothing is stored
    elsewhere. During the overlap, a call whose file does not have the new key, or with another ``note``, is refused.

    If the token signs this call, the client signs its next calls with the new one. Other objects that were made with
    the old key keep it, such as other clients and ``LMv1Auth``: make them again during the overlap.

    Args:
        token (int | str | Token): the token to replace, its id or its access id.
        deliver (ToFile | ToCommand | Callable[[CreatedToken], object] | object): the destination of the new key, as
            for ``add_token``. A file with the key of the old token and nothing else is replaced even without
            ``overwrite=True``. The old key is kept as ``PATH.ID.previous``, with the id of the old token.
        overlap (float | str | timedelta): how long both tokens work: seconds, ``"30m"``, ``"24h"``, ``"7d"`` or a
            ``timedelta``. 0 disables the old token in this call. If the overlap runs already, the shorter one counts.
        quarantine (float | str | timedelta): how long the old token stays disabled before it is deleted; default 7
            days. If it is disabled already, the time in its note counts, but 0 deletes it in this call.
        then (Callable[[Token], object] | None): called with the new token once its key is in place, for example to
            restart the program that uses it, and to check that it works. It must end within 30 minutes: an hour
            after the create, another machine may replace the new token. If it raises, the rotation stops with both
            tokens working, and the next call calls it again. It is not called during the overlap.
        note (str | None): the note of the new token; default ``None``: the note of the old one.
        allow_bearer (bool): rotate a bearer token too; default ``False``. The portal may delete a user's bearer
            token as soon as another one is created.
        take_over (bool): continue a rotation of another machine 12 minutes after it created its token, instead of
            after an hour; default ``False``. A killed process on the same machine, with the same file, is continued
            at once.
        force (bool): disable and delete the old token even if it is in use; default ``False``.

    Returns:
        Rotation: the old and the new token, the state of the rotation, and when the next step is due.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was sent.
        NotFoundError: the token does not exist, or the credentials may not view it.
        RotationError: the token cannot be rotated now, for example because another process is rotating it, it is
            disabled, or ``then`` raised; the old token works.
        DeliveryError: the destination failed; the old token works.
        SelfLockoutError: the call would disable the token that signs it, and its client has no other.
        OutcomeUnknownError: the response to the create was lost, so a disabled token may exist.
        APIError, TransportError, ResponseError: the portal rejected a request, could not be reached, or sent a
            response that could not be understood. Call again with the same arguments to continue.

    Example:
        >>> import lmtokens.sandbox, os, tempfile
        >>> from lmtokens.deliver import to_file
        >>> path = os.path.join(tempfile.mkdtemp(), "token.json")
        >>> with lmtokens.sandbox.Portal() as portal:
        ...     client = portal.client()
        ...     token = client.add_token(32, "ci", deliver=to_file(path))
        ...     client.rotate_token(token, deliver=to_file(path), overlap=0).state
        'quarantine'
    """

def sign(method: "str", resource_path: "str", body: "bytes | bytearray | memoryview" = ..., *, access_id: "str | Secret", access_key: "str | Secret", timestamp_ms: "int | None" = None) -> "str":
    """
    Sign one request with LMv1, for a request that you send yourself.

    Args:
        method (str): the HTTP method, in any case.
        resource_path (str): the percent-decoded path after ``/santaba/rest``, beginning with a slash, without query.
        body (bytes | bytearray | memoryview): the exact bytes of the body; default none. A ``str`` is refused:
            encode it as it will be sent. ``GET`` and ``HEAD`` do not send a body: the signature does not cover it.
        access_id (str | Secret): letters and digits.
        access_key (str | Secret): any text without white space.
        timestamp_ms (int | None): milliseconds since 1970-01-01 UTC, up to the end of the year 9999; default now. The
            portal accepts times within 30 minutes of its own clock. A number from 1 to 10**12 (in 2001) is rejected: it
            is a time in another unit.

    Returns:
        str: the value of the ``Authorization`` header, ``"LMv1 id:signature:milliseconds"``. Treat it as a credential:
            it allows this one request to be repeated for 30 minutes.

    Raises:
        ValueError: an invalid method, path or time, or a bearer token (it begins with ``lmb_``), which does not sign.
        CredentialsError: malformed credentials.

    Source: the vendor's page "REST API Authentication". Its formula omits the hex step, which its sample code has.

    Example:
        >>> import lmtokens
        >>> lmtokens.sign("get", "/setting/admins/apitokens", access_id="exampleAccessId00001",
        ...               access_key="unit+test(key)]{%~^_=Z", timestamp_ms=1700000000000)
        'LMv1 exampleAccessId00001:MDljOGVkMWVlYzdhOTg4ZTRkODhmMzRmZTIyMmY4MDM3ODk2Nzc5ZDIzNGQyNzQ1YWUxMmMxZGFiODhkYTJlYQ==:1700000000000'
    """

def sweep_tokens(*, dry_run: "bool" = True, only: "Literal['orphans', 'expired', 'rotations', 'abandoned'] | None" = None) -> list[SweptToken]:
    """
    Find what is due: orphans, expired and abandoned tokens, rotations. Optionally do it: delete, disable or restore.

    Tokens of every process and machine are found, of both types. Each is read again before it is deleted. The token
    that signs the call is never deleted.

    A token is an orphan if a create with ``deliver=`` or ``expires=``, of ``add_tokens`` or on the command line left
    it pending: it is disabled, was never used, its note is exactly the one that its create wrote (a tag alone, or
    the tag, a space and the final note, which the tag proves), it was created within an hour of the time in the tag,
    and it is more than an hour old by the portal's clock and this machine's. A token that lacks only the exact note,
    because somebody added to it or cut it, is listed with ``kept`` and never deleted.

    A token has expired if its note begins with a marker that names this token and a time that has passed by the
    portal's clock and this machine's, such as ``[lmtokens 248 expires 2027-01-31T00:00Z]``. It is deleted even if it
    is enabled and in use. To keep it, change the time in the note or remove the marker, in the portal.

    A rotation is due if its overlap or its quarantine is over, or if its old token is deleted already. It is
    continued as by ``finish_rotations``, with a quarantine of 7 days.

    A token is abandoned if it was to replace another one, but that rotation was cancelled or another token
    replaces the old one instead; it is deleted once it is disabled and the time in its marker is 7 days ago.

    All other tokens are left alone.

    Args:
        dry_run (bool): ``True`` (the default) only lists the tokens; ``False`` does what is due.
        only (str | None): find only ``"orphans"``, ``"expired"`` or ``"abandoned"`` tokens, or ``"rotations"``;
            default ``None``: all.

    Returns:
        list[SweptToken]: the tokens that are due and those that are kept, each with ``token``, ``reason``,
            ``deleted``, ``kept``, ``rotation`` and ``error``. For a rotation, ``token`` is the old one.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was sent.
        APIError: the portal rejected the request to list tokens.
        ResponseError: the portal's response has no time, or the portal's clock and this machine's differ by more
            than an hour. Neither is then reliable enough to delete a token. Two clocks on this machine (a sandbox)
            may differ.

    Example:
        >>> import lmtokens.sandbox
        >>> with lmtokens.sandbox.Portal() as portal:
        ...     portal.client().sweep_tokens()
        []
    """

def temporary_token(admin_id: int | str, note: str | None = None, *, expires: datetime | timedelta | float | str = ..., type: "Literal['lmv1', 'bearer'] | TokenType" = "lmv1") -> "TemporaryToken":
    """
    Create a token for a ``with`` block and delete it at the end of the block.

    The token is created, enabled, when the block is entered, as by ``add_token(expires=…)``, and is deleted by the
    same client when the block ends: also by an exception, Ctrl-C or the cancellation of its task. A token that no
    longer exists is ignored. If the process is killed, the token remains until it expires and ``sweep_tokens``
    deletes it. A child process that is forked inside the block does not delete it. If the creation is interrupted, a warning says what may remain, as for ``add_token``.

    A Ctrl-C or cancellation during the deletion takes effect after it; a second one ends the deletion. If the
    deletion fails or is ended, a warning is logged that names the token and its expiry. The error is raised unless
    the block has raised an exception, which is never replaced by it.

    Args:
        admin_id (int | str): the user's id, 1 to 2147483647, or the user's name, which is looked up.
        note (str | None): a label, as for ``add_token``; default none.
        expires (datetime | timedelta | float | str): when ``sweep_tokens`` may delete the token if this block does
            not, as for ``add_token``; a number is in seconds. Choose it longer than the block takes:
            ``sweep_tokens`` also deletes a token that is in use. Default one hour.
        type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.

    Returns:
        TemporaryToken: the context manager, for one ``with`` statement; with ``AsyncClient``, an
            ``AsyncTemporaryToken`` for ``async with``. Its target is the ``CreatedToken`` with its ``access_key``.
            Nothing is sent before the block is entered.

    Raises:
        TypeError, ValueError: an argument is invalid; nothing was sent.
        RuntimeError: the context manager is entered a second time.
        LMTokensError: entering the block raises the errors of ``add_token``, and leaving it those of
            ``delete_token``.

    Example:
        >>> import lmtokens.sandbox
        >>> with lmtokens.sandbox.Portal() as portal, portal.client() as client:
        ...     with client.temporary_token(32, "job") as token:
        ...         print([listed.note for listed in client.list_tokens(32)])
        ...     print(list(client.list_tokens(32)))
        ['job']
        []
    """

def to_command(command: Words, *, timeout: "float" = 30.0) -> "ToCommand":
    """
    Deliver the secret of a new token to a command, as JSON on its standard input.

    The command must exit with status 0 once it has stored the secret; any other status fails the delivery, and the
    token is deleted. Its output is discarded: it may contain the secret.

    Args:
        command (Sequence[str | os.PathLike]): the program and its arguments; no shell is involved.
        timeout (float): seconds until the command is killed; default 30.

    Returns:
        ToCommand: for ``deliver=``.

    Raises:
        TypeError: a string or another object instead of a list.
        ValueError: an empty list, or a timeout of 0 or less.

    Example:
        >>> import lmtokens.sandbox, sys
        >>> from lmtokens.deliver import to_command
        >>> store = [sys.executable, "-c", "import json, sys; json.load(sys.stdin)['access_key']"]
        >>> with lmtokens.sandbox.Portal() as portal:
        ...     token = portal.client().add_token(32, deliver=to_command(store))
        >>> token.status
        TokenStatus.ENABLED
    """

def to_file(path: str | PathLike[str], format: "Literal['json', 'env', 'env-file', 'key']" = "json", *, overwrite: "bool" = False, trust_folder: "bool" = False) -> "ToFile":
    """
    Deliver the secret of a new token to a file.

    Until the token is enabled, the secret is in ``PATH.<tag>.pending``, on disk and readable by its owner only. An old
    key in ``path`` is therefore kept until the new one is valid. If the process is killed before the key is in
    ``path``, the same call finishes that create instead of creating another token: with the same portal, user, type,
    note, status and expiry. If the expiry is given as a duration, it counts from the first call. Pending files of other
    tokens are named in a warning and not changed. Only one create at a time can use a path.

    Args:
        path (str | os.PathLike): the path of the file. Symbolic links are refused, and so are folders that other users
            can write to, unless they are sticky like ``/tmp``. A folder of another user causes a warning.
        format (str): ``"json"`` (the default: one object with the token's members), ``"env"`` (shell commands that
            export the environment variables of the token and its portal, for ``eval`` and ``.`` of POSIX shells),
            ``"env-file"`` (the same variables as ``NAME=value`` without quotes, for ``docker --env-file``, ``kubectl
            create secret --from-env-file`` and systemd's ``EnvironmentFile``) or ``"key"`` (the secret alone); each
            ends with a line break. If the secret cannot be written so that the readers of ``"env"`` or ``"env-file"``
            get it unchanged, the token is deleted and the error says so.
        overwrite (bool): replace an existing file; default ``False``: an existing file is an error before anything is
            sent.
        trust_folder (bool): accept a folder that other users can write to, and do not warn if it belongs to another
            user; default ``False``.

    Returns:
        ToFile: for ``deliver=``.

    Raises:
        ValueError: an unknown format.

    Example:
        >>> import lmtokens.sandbox, os, tempfile
        >>> from lmtokens.deliver import to_file
        >>> path = os.path.join(tempfile.mkdtemp(), "token.json")
        >>> with lmtokens.sandbox.Portal() as portal:
        ...     token = portal.client().add_token(32, "ci", deliver=to_file(path))
        >>> oct(os.stat(path).st_mode & 0o777), token.access_key
        ('0o600', None)
    """

def to_keyring(name: "str", *, overwrite: "bool" = False) -> "ToKeyring":
    """
    Deliver the secret of a new token to the keyring of the operating system, for a profile with ``keyring = true``.

    The entry of the service ``lmtokens`` with the profile's name holds the access id and the access key, or the bearer
    token, as JSON. Until the token is enabled, it is in an entry ``NAME.pending``, so that an old secret is kept. If the
    call is interrupted, call it again with the same arguments: the token is then completed, or deleted.
    ``rotate_token`` does not accept it: the entry would not keep the old secret. Needs the package keyring: ``pip
    install 'lmtokens[keyring]'``. A dialog of the keyring delays an interrupt by up to 2 seconds.

    Args:
        name (str): the name of the profile, which may not exist yet.
        overwrite (bool): replace an existing entry; default ``False``: an existing entry is an error before the token
            is created.

    Returns:
        ToKeyring: for ``deliver=``.

    Raises:
        ValueError: a name that no profile can have.

    Example:
        >>> from lmtokens.deliver import to_keyring
        >>> to_keyring("acme")
        <lmtokens.deliver.ToKeyring the keyring entry acme>
    """

def update_token(token: int | str | Token, note: str | None = None, status: "Literal[1, 2, 'disabled', 'enabled'] | TokenStatus | None" = None, *, force: "bool" = False) -> Token:
    """
    Change a token's note, its status, or both.

    A new note replaces the user's part only: a marker of lmtokens before it, such as an expiry, is kept. It also
    replaces the tag of a pending token. A new status changes the note as ``enable_token`` and ``disable_token`` do.

    The token is read before it is changed, even if it is passed as a ``Token``. There are two exceptions for a
    passed ``Token``: it is not read if it is only disabled with ``force=True``; and if the credentials may not view
    it, its own note is used, which may be out of date. Without ``force=True``, credentials that may not view a token
    cannot disable it.

    Args:
        token (int | str | Token): the token, its id or its access id.
        note (str | None): the new note; ``""`` removes it. ``None`` (the default) leaves it unchanged. Notes are
            refused as by ``add_token``.
        status (int | str | TokenStatus | None): the new status, as for ``add_token``. ``None`` (the default) leaves
            it unchanged.
        force (bool): disable the token even if it signs this call; default ``False``.

    Returns:
        Token: the token after the change.

    Raises:
        TypeError, ValueError: an argument is invalid, or neither note nor status is given; nothing was sent.
        NotFoundError: the token does not exist, or the credentials may not view it.
        SelfLockoutError: the call would disable the token that signs it, or the portal does not show whether it
            would.
        APIError, TransportError, ResponseError: the portal rejected the request, could not be reached, or sent a
            response that could not be understood; ``maybe_applied`` is true if the token may have been changed.

    Source: the vendor's API contract, PATCH on a token: members that are not sent stay unchanged. (A PUT without a
    status would enable a disabled token.)
    """

def whoami() -> Whoami:
    """
    Return the portal, the token that signs the calls, its user, and the source of the credentials.

    Returns:
        Whoami: the identity, as far as it can be read. If the credentials may not view tokens, ``token`` is
            ``None`` and ``limitation`` gives the reason.

    Raises:
        AuthenticationError: the portal rejected the credentials.
        APIError, TransportError, ResponseError: the portal rejected the request for another reason, could not be
            reached, or sent a response that could not be understood.
    """
