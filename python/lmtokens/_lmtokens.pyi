"""
The native half of the package `lmtokens`.
"""

from datetime import datetime
from typing import Final, SupportsFloat, SupportsIndex, final
from typing_extensions import disjoint_base

__all__ = [
    "__version__",
    "Client",
    "SandboxPortal",
    "Secret",
    "Token",
    "TokenStatus",
    "TokenType",
    "_forget_default_client",
    "_shell",
    "_signing_stages",
    "add_token",
    "configure",
    "default_client",
    "sign",
]

__version__: Final[str]

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

    Raises:
        ConfigurationError: settings that contradict each other or cannot be used.
        CredentialsError: no credentials, half a pair, or credentials that cannot be right.

    Example:
        >>> client = Client(company="acme", access_id="exampleAccessId00001", access_key="invented-key")
        >>> client
        <lmtokens.Client https://acme.logicmonitor.com/santaba/rest, LMv1 from arguments>
    """
    def __enter__(self, /) -> Client: ...
    def __exit__(self, /, *exception: "object") -> "None": ...
    def __new__(
        cls,
        /,
        company: "str | None" = None,
        *,
        access_id: "str | Secret | None" = None,
        access_key: "str | Secret | None" = None,
        bearer_token: "str | Secret | None" = None,
        domain: "str | None" = None,
        base_url: "str | None" = None,
        timeout: "float | tuple[float, float] | None" = None,
    ) -> Client: ...
    def __reduce_ex__(self, protocol: "object", /) -> "str": ...
    def __repr__(self, /) -> str:
        """
        Names the portal and where the credentials come from, never the credentials.
        """
    def add_token(
        self,
        /,
        admin_id: "int",
        note: "str | None" = None,
        status: "int | str | TokenStatus" = 2,
        *,
        type: "str | TokenType" = "lmv1",
    ) -> "Token":
        """
        Make an API token for a user, with exactly one POST.

        Args:
            admin_id (int): the id of the token's user, 1 to 2147483647.
            note (str | None): a label; default none.
            status (int | str | TokenStatus): 1, ``"disabled"`` or ``TokenStatus.DISABLED``; 2 (the default), ``"enabled"``
                or ``TokenStatus.ENABLED``.
            type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.

        Returns:
            Token: the new token. ``token.access_key`` is a ``Secret`` and is told this once; for a bearer token it is the
            token itself.

        Raises:
            TypeError, ValueError: an argument that can never be right; nothing was sent.
            ConfigurationError, CredentialsError: no portal or no credentials; nothing was sent.
            APIError: the portal said no, and did nothing; ``AuthenticationError``, ``PermissionDeniedError``,
                ``NotFoundError`` (no such user), ``RateLimitError`` and others say which no.
            ConnectError, TLSError: the connection was never made; nothing was sent.
            OutcomeUnknownError: the answer was lost, so a token may have been made. Nothing is sent twice; ``candidates``
                holds the tokens that may be it.

        Interrupting the call (Ctrl-C) logs a warning that a token may exist, since the portal may have acted.

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
    def close(self, /) -> None:
        """
        Let go of the idle connections. The client stays usable: its next call makes new ones.
        """

@final
class SandboxPortal:
    """
    The embedded portal, as ``lmtokens.sandbox`` wraps it.
    """
    def __new__(cls, /, settings: str) -> SandboxPortal: ...
    @property
    def access_id(self, /) -> str: ...
    @property
    def access_key(self, /) -> Secret: ...
    def add_fault(self, /, fault: str) -> None: ...
    def add_user(self, /, user: str) -> int: ...
    @property
    def base_url(self, /) -> str: ...
    @property
    def bearer_token(self, /) -> Secret: ...
    def clear_faults(self, /) -> None: ...
    def clear_record(self, /) -> None: ...
    @property
    def company(self, /) -> str: ...
    def create_token(self, /, token: str) -> tuple[str, Secret]:
        """
        The token's members and its secret.
        """
    def record(self, /) -> str: ...
    def reset(self, /) -> None: ...
    def set_budget(
        self, /, method: str | None, limit: SupportsIndex, window_seconds: SupportsFloat | SupportsIndex
    ) -> None: ...
    def set_clock_offset(self, /, seconds: SupportsIndex) -> None: ...
    def set_random_faults(self, /, faults: str | None) -> None: ...
    def stop(self, /) -> None: ...
    def tokens(self, /) -> list[tuple[str, Secret]]:
        """
        Every token's members and its secret.
        """

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
    def __new__(cls, /, text: str) -> Secret: ...
    def __reduce_ex__(self, protocol: "object", /) -> "str": ...
    def __repr__(self, /) -> str: ...
    def __str__(self, /) -> str: ...
    def reveal(self, /) -> str:
        """
        The text itself.

        Returns:
            str: the secret, in the clear.
        """

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

def _forget_default_client() -> None:
    """
    Forget the default client: the next use makes one from the environment as it is then. For test fixtures.
    """

def _shell(arguments: "list[str]") -> "int":
    """
    Runs the command that ``arguments`` holds, without the program's name; the result is the exit status.
    """

def _signing_stages(
    method: "str", timestamp_ms: "int", body: "bytes", resource_path: "str", access_key: "str"
) -> "tuple[bytes, str, str]":
    """
    The stages of a signature, for tests against vectors: (string to sign, hex digest, base64 signature).
    """

def add_token(
    admin_id: "int",
    note: "str | None" = None,
    status: "int | str | TokenStatus" = 2,
    *,
    type: "str | TokenType" = "lmv1",
) -> "Token":
    """
    Make an API token for a user, with exactly one POST.

    Args:
        admin_id (int): the id of the token's user, 1 to 2147483647.
        note (str | None): a label; default none.
        status (int | str | TokenStatus): 1, ``"disabled"`` or ``TokenStatus.DISABLED``; 2 (the default), ``"enabled"``
            or ``TokenStatus.ENABLED``.
        type (str | TokenType): ``"lmv1"`` (the default) or ``"bearer"``.

    Returns:
        Token: the new token. ``token.access_key`` is a ``Secret`` and is told this once; for a bearer token it is the
        token itself.

    Raises:
        TypeError, ValueError: an argument that can never be right; nothing was sent.
        ConfigurationError, CredentialsError: no portal or no credentials; nothing was sent.
        APIError: the portal said no, and did nothing; ``AuthenticationError``, ``PermissionDeniedError``,
            ``NotFoundError`` (no such user), ``RateLimitError`` and others say which no.
        ConnectError, TLSError: the connection was never made; nothing was sent.
        OutcomeUnknownError: the answer was lost, so a token may have been made. Nothing is sent twice; ``candidates``
            holds the tokens that may be it.

    Interrupting the call (Ctrl-C) logs a warning that a token may exist, since the portal may have acted.

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

def configure(
    company: "str | None" = None,
    *,
    access_id: "str | Secret | None" = None,
    access_key: "str | Secret | None" = None,
    bearer_token: "str | Secret | None" = None,
    domain: "str | None" = None,
    base_url: "str | None" = None,
    timeout: "float | tuple[float, float] | None" = None,
) -> "Client":
    """
    Say what the module's functions use from now on, with the arguments of ``Client``.

    Args:
        company, access_id, access_key, bearer_token, domain, base_url, timeout: as for ``Client``.

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

def sign(
    method: "str",
    resource_path: "str",
    body: "bytes | bytearray | memoryview" = ...,
    *,
    access_id: "str | Secret",
    access_key: "str | Secret",
    timestamp_ms: "int | None" = None,
) -> "str":
    """
    Sign one request with LMv1, for code that makes its own.

    Args:
        method (str): the HTTP method; lower case is raised to upper case.
        resource_path (str): the percent-decoded path after ``/santaba/rest``, beginning with a slash, without query.
        body (bytes | bytearray | memoryview): the exact bytes that will be sent; default none. A ``str`` is refused:
            encode it as it will travel.
        access_id (str | Secret): letters and digits.
        access_key (str | Secret): any text without white space.
        timestamp_ms (int | None): milliseconds since 1970-01-01 UTC; default now. The portal accepts what is within 30
            minutes of its own clock.

    Returns:
        str: the value of the ``Authorization`` header, ``"LMv1 id:signature:milliseconds"``. It is no secret of
        lasting value, but whoever has it can repeat this one request for 30 minutes.

    Raises:
        ValueError: a method or path whose signature could never verify.
        CredentialsError: credentials that cannot be right.

    Source: the vendor's page "REST API Authentication"; the hex step, which its formula leaves out, is in its sample.

    Example:
        >>> import lmtokens
        >>> lmtokens.sign("get", "/setting/admins/apitokens", access_id="exampleAccessId00001",
        ...               access_key="unit+test(key)]{%~^_=Z", timestamp_ms=1700000000000)
        'LMv1 exampleAccessId00001:MDljOGVkMWVlYzdhOTg4ZTRkODhmMzRmZTIyMmY4MDM3ODk2Nzc5ZDIzNGQyNzQ1YWUxMmMxZGFiODhkYTJlYQ==:1700000000000'
    """
