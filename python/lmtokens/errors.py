"""What can go wrong.

    LMTokensError
    ├─ ConfigurationError (ValueError)      settings that cannot be used; nothing was sent
    ├─ CredentialsError                     none, half a pair, or impossible ones; nothing was sent
    ├─ APIError                             the portal said no
    │  ├─ BadRequestError                   400, 413
    │  ├─ AuthenticationError               401
    │  ├─ PermissionDeniedError (PermissionError)  403
    │  ├─ NotFoundError (LookupError)       404
    │  ├─ ConflictError                     409
    │  ├─ TwoFactorRequiredError            412
    │  ├─ RateLimitError                    429
    │  └─ ServerError                       5xx
    ├─ TransportError (ConnectionError)     no usable answer
    │  ├─ ConnectError                      the connection was never made
    │  ├─ TLSError                          the connection is not secure
    │  └─ RequestTimeoutError (TimeoutError)
    ├─ ResponseError                        an answer that could not be understood
    ├─ OutcomeUnknownError                  a create may have happened; carries what was found
    ├─ DeliveryError                        a secret could not be put where it belongs
    └─ SelfLockoutError                     would disable or delete the calling token

Arguments that can never be right are plain ``TypeError`` and ``ValueError``.

This module imports nothing, and the extension loads every class when it is imported: an error can then be built
while a signal is pending.
"""

TYPE_CHECKING = False  # as typing has it, whose import costs more than everything here
if TYPE_CHECKING:
    from lmtokens._lmtokens import Token
del TYPE_CHECKING

__all__ = [
    "APIError",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "ConnectError",
    "CredentialsError",
    "DeliveryError",
    "LMTokensError",
    "NotFoundError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTimeoutError",
    "ResponseError",
    "SelfLockoutError",
    "ServerError",
    "TLSError",
    "TransportError",
    "TwoFactorRequiredError",
]


class LMTokensError(Exception):
    """The base of everything that this package raises, wrong arguments aside.

    Attributes:
        status (int | None): HTTP status of the answer; ``None`` where there was none.
        code (int | None): the portal's own error code, such as 1401.
        suggestion (str | None): what to do next, for people.
        maybe_applied (bool): whether the portal may have acted on the request. ``False`` means that it did not.
        attempts (int): how often the request that failed was sent, the first time included; 0 where it never was. Other
            requests of the same call, such as a look for the user's id, do not count.
        elapsed (float): seconds from the start of the call to the error.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: "int | None" = None,
        code: "int | None" = None,
        suggestion: "str | None" = None,
        maybe_applied: bool = False,
        attempts: int = 0,
        elapsed: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.suggestion = suggestion
        self.maybe_applied = maybe_applied
        self.attempts = attempts
        self.elapsed = elapsed

    def __str__(self) -> str:
        text = str(self.args[0]) if self.args else ""
        facts = []
        if self.status is not None:
            facts.append(f"HTTP {self.status}")
        if self.code is not None and self.code != self.status:
            facts.append(f"code {self.code}")
        if facts:
            text = f"{text} ({', '.join(facts)})"
        if self.suggestion:
            text = f"{text}\nhint: {self.suggestion}"
        return text


class ConfigurationError(LMTokensError, ValueError):
    """Settings that contradict each other or cannot be used. Nothing was sent."""


class CredentialsError(LMTokensError):
    """No credentials, half a pair, or credentials that cannot be right. Nothing was sent."""


class APIError(LMTokensError):
    """The portal said no. Its subclasses say which no; this class itself is any other."""


class BadRequestError(APIError):
    """400 or 413: the portal did not understand or accept the request."""


class AuthenticationError(APIError):
    """401: the portal did not accept the credentials; ``suggestion`` says what to look at.

    Never retried: repeated failures lock a token.
    """


class PermissionDeniedError(APIError, PermissionError):
    """403: the credentials are good, and may not do this."""


class NotFoundError(APIError, LookupError):
    """404: no such user or token."""


class ConflictError(APIError):
    """409: it exists already."""


class TwoFactorRequiredError(APIError):
    """412: the portal wants two-factor authentication from this user; API-only users are not asked for it."""


class RateLimitError(APIError):
    """429: the portal's budget for this method and endpoint is spent. The portal did not act.

    Attributes:
        limit (int | None): requests that the portal allows in one window.
        remaining (int | None): requests left in this window.
        window (float | None): length of the rolling window in seconds.
    """

    def __init__(
        self,
        message: str = "",
        *,
        limit: "int | None" = None,
        remaining: "int | None" = None,
        window: "float | None" = None,
        status: "int | None" = None,
        code: "int | None" = None,
        suggestion: "str | None" = None,
        maybe_applied: bool = False,
        attempts: int = 0,
        elapsed: float = 0.0,
    ) -> None:
        super().__init__(
            message,
            status=status,
            code=code,
            suggestion=suggestion,
            maybe_applied=maybe_applied,
            attempts=attempts,
            elapsed=elapsed,
        )
        self.limit = limit
        self.remaining = remaining
        self.window = window


class ServerError(APIError):
    """5xx: the portal failed, or is being upgraded."""


class TransportError(LMTokensError, ConnectionError):
    """No usable answer came back."""


class ConnectError(TransportError):
    """The connection was never made, so the portal cannot have acted."""


class TLSError(TransportError):
    """The connection is not secure: the certificate was refused, or TLS failed otherwise. Nothing was sent."""


class RequestTimeoutError(TransportError, TimeoutError):
    """The time limit passed."""


class ResponseError(LMTokensError):
    """An answer came back that could not be understood."""


class OutcomeUnknownError(LMTokensError):
    """A create may have happened: its answer was lost. It was sent once; ``__cause__`` says how the answer was lost.

    Attributes:
        candidates (list[Token] | None): the owner's tokens that may be the lost one, as one look at the portal found
            them (same note, made since the call began, never used); ``None`` where that look failed too. Their keys
            are lost: delete the one that is yours, then call again.
    """

    def __init__(
        self,
        message: str = "",
        *,
        candidates: "list[Token] | None" = None,
        status: "int | None" = None,
        code: "int | None" = None,
        suggestion: "str | None" = None,
        maybe_applied: bool = False,
        attempts: int = 0,
        elapsed: float = 0.0,
    ) -> None:
        super().__init__(
            message,
            status=status,
            code=code,
            suggestion=suggestion,
            maybe_applied=maybe_applied,
            attempts=attempts,
            elapsed=elapsed,
        )
        self.candidates = candidates


class DeliveryError(LMTokensError):
    """The secret of a new token could not be put where it belongs, or a journal cannot be used.

    The token, if one was made, never worked and is deleted, unless ``maybe_applied`` is true; ``suggestion`` says what
    is left where deleting it failed too. What the caller's own destination raised is the ``__cause__``.
    """


class SelfLockoutError(LMTokensError):
    """The call would disable or delete the token that signs it; ``force=True`` does it all the same."""
