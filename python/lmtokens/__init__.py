"""Create and manage LogicMonitor API tokens.

>>> import lmtokens, lmtokens.sandbox
>>> with lmtokens.sandbox.Portal() as portal:
...     token = portal.client().add_token(32, note="ci")
>>> token.status
TokenStatus.ENABLED
"""

# Import the errors first: importing the extension loads their classes.
from lmtokens import errors
from lmtokens._lmtokens import (
    BulkRun,
    Client,
    Field,
    Filter,
    JournalEntry,
    NewToken,
    RowResult,
    Secret,
    Summary,
    SweptToken,
    Token,
    TokenIterator,
    Where,
    Whoami,
    __version__,
    add_token,
    add_tokens,
    configure,
    default_client,
    delete_token,
    disable_token,
    enable_token,
    find_token,
    list_tokens,
    read_journal,
    sign,
    sweep_tokens,
    update_token,
    whoami,
)
from lmtokens.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ConnectError,
    CredentialsError,
    DeliveryError,
    LMTokensError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeoutError,
    ResponseError,
    SelfLockoutError,
    ServerError,
    TLSError,
    TransportError,
    TwoFactorRequiredError,
)

TYPE_CHECKING = False  # recognized by type checkers; importing typing would cost more than the rest of this module
if TYPE_CHECKING:
    from lmtokens._enums import TokenStatus, TokenType
    from lmtokens.aio import AsyncBulkRun, AsyncClient
    from lmtokens.auth import LMv1Auth
del TYPE_CHECKING

__all__ = [
    "APIError",
    "AsyncBulkRun",
    "AsyncClient",
    "AuthenticationError",
    "BadRequestError",
    "BulkRun",
    "Client",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "CredentialsError",
    "DeliveryError",
    "Field",
    "Filter",
    "JournalEntry",
    "LMTokensError",
    "LMv1Auth",
    "NewToken",
    "NotFoundError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTimeoutError",
    "ResponseError",
    "RowResult",
    "Secret",
    "SelfLockoutError",
    "ServerError",
    "Summary",
    "SweptToken",
    "TLSError",
    "Token",
    "TokenIterator",
    "TokenStatus",
    "TokenType",
    "TransportError",
    "TwoFactorRequiredError",
    "Where",
    "Whoami",
    "__version__",
    "add_token",
    "add_tokens",
    "configure",
    "default_client",
    "delete_token",
    "deliver",
    "disable_token",
    "enable_token",
    "errors",
    "find_token",
    "list_tokens",
    "read_journal",
    "sign",
    "sweep_tokens",
    "update_token",
    "where",
    "whoami",
]

where = Where()
"""The members of a token that a list can be filtered by: ``lmtokens.where.status == 1``."""

_LAZY = {
    "AsyncBulkRun": "lmtokens.aio",
    "AsyncClient": "lmtokens.aio",
    "LMv1Auth": "lmtokens.auth",
    "TokenStatus": "lmtokens._enums",
    "TokenType": "lmtokens._enums",
}
_LAZY_MODULES = {"deliver"}


def __getattr__(name: str) -> object:
    """Import rarely needed names on first use."""
    from importlib import import_module

    if name in _LAZY_MODULES:
        return import_module(f"lmtokens.{name}")
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'lmtokens' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> "list[str]":
    return sorted({*globals(), *_LAZY, *_LAZY_MODULES})
