"""LogicMonitor API tokens: one line, native signing, native HTTP.

>>> import lmtokens, lmtokens.sandbox
>>> with lmtokens.sandbox.Portal() as portal:
...     token = portal.client().add_token(32, note="ci")
>>> token.status
TokenStatus.ENABLED
"""

# The errors come first: the extension loads their classes when it is imported.
from lmtokens import errors
from lmtokens._lmtokens import (
    Client,
    Secret,
    Token,
    TokenStatus,
    TokenType,
    __version__,
    add_token,
    configure,
    default_client,
    sign,
)
from lmtokens.errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    ConnectError,
    CredentialsError,
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

__all__ = [
    "APIError",
    "AuthenticationError",
    "BadRequestError",
    "Client",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "CredentialsError",
    "LMTokensError",
    "NotFoundError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTimeoutError",
    "ResponseError",
    "Secret",
    "SelfLockoutError",
    "ServerError",
    "TLSError",
    "Token",
    "TokenStatus",
    "TokenType",
    "TransportError",
    "TwoFactorRequiredError",
    "__version__",
    "add_token",
    "configure",
    "default_client",
    "errors",
    "sign",
]
