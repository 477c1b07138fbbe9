"""The exceptions of this package.

    LMTokensError
    ├─ ConfigurationError (ValueError)      contradictory or invalid settings; nothing was sent
    ├─ CredentialsError                     missing, incomplete or invalid; nothing was sent
    ├─ APIError                             the portal rejected the request
    │  ├─ BadRequestError                   400, 413
    │  ├─ AuthenticationError               401
    │  ├─ PermissionDeniedError (PermissionError)  403
    │  ├─ NotFoundError (LookupError)       404
    │  ├─ ConflictError                     409
    │  ├─ TwoFactorRequiredError            412
    │  ├─ RateLimitError                    429
    │  └─ ServerError                       5xx
    ├─ TransportError (ConnectionError)     no usable response
    │  ├─ ConnectError                      no connection could be made
    │  ├─ TLSError                          the TLS connection failed
    │  └─ RequestTimeoutError (TimeoutError)
    ├─ ResponseError                        a response that could not be understood
    ├─ OutcomeUnknownError                  a create may have succeeded; holds candidates
    ├─ DeliveryError                        a secret could not be delivered
    ├─ RotationError                        a token cannot be rotated now
    └─ SelfLockoutError                     would disable or delete the token that signs the call

Invalid arguments raise plain ``TypeError`` and ``ValueError``. The manual's page ``docs/errors.md`` has a section for
each class, with causes and remedies.

This module imports nothing, and importing the extension loads every class here. Errors can therefore be built while a
signal is pending, when an import would raise ``KeyboardInterrupt``.
"""

TYPE_CHECKING = False  # recognized by type checkers; this module must not import typing
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
    "RotationError",
    "SelfLockoutError",
    "ServerError",
    "TLSError",
    "TransportError",
    "TwoFactorRequiredError",
]


class LMTokensError(Exception):
    """Base class of all errors that this package raises, except those for invalid arguments.

    Attributes:
        status (int | None): HTTP status of the response; ``None`` if there was no response. An error that was concluded
            from a success, such as an empty list, has its status, 200. That of a ``ConnectError`` is the proxy's.
        code (int | None): the portal's own error code, such as 1401.
        suggestion (str | None): what the user can do next.
        maybe_applied (bool): whether the portal may have acted on the request. ``False`` means that it did not.
        attempts (int): how many times the failed request was sent, including the first. Other requests of the same
            call, such as the lookup of a user's id, are not counted. If no request failed, for example because a lookup
            found nothing: how many requests were sent. 0 if none was.
        elapsed (float): seconds from the start of the call to the error. For a list, the time that its pages took.

    Causes and remedies: ``docs/errors.md#LMTokensError``
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
        if self.status is not None and (self.status >= 300 or self.code is not None):
            facts.append(f"HTTP {self.status}")
        if self.code is not None and self.code != self.status:
            facts.append(f"code {self.code}")
        if facts:
            text = f"{text} ({', '.join(facts)})"
        if self.suggestion:
            text = f"{text}\nhint: {self.suggestion}"
        return text


class ConfigurationError(LMTokensError, ValueError):
    """The settings contradict each other or are invalid. Nothing was sent.

    Causes and remedies: ``docs/errors.md#ConfigurationError``
    """


class CredentialsError(LMTokensError):
    """The credentials are missing, incomplete or invalid. Nothing was sent.

    Causes and remedies: ``docs/errors.md#CredentialsError``
    """


class APIError(LMTokensError):
    """The portal rejected the request. Subclasses give the reason; this class itself is raised for any other.

    Causes and remedies: ``docs/errors.md#APIError``
    """


class BadRequestError(APIError):
    """400 or 413: the portal found the request invalid or too large.

    Causes and remedies: ``docs/errors.md#BadRequestError``
    """


class AuthenticationError(APIError):
    """401: the portal rejected the credentials; ``suggestion`` says what to check.

    Never retried with the same credentials, because repeated failures lock a token. If ``credentials=`` supplies other
    ones, the request is sent once more, unless it creates an enabled token or must not change the calling one.

    Causes and remedies: ``docs/errors.md#AuthenticationError``
    """


class PermissionDeniedError(APIError, PermissionError):
    """403: the credentials are valid, but may not do this.

    Causes and remedies: ``docs/errors.md#PermissionDeniedError``
    """


class NotFoundError(APIError, LookupError):
    """404: the user or token does not exist.

    Causes and remedies: ``docs/errors.md#NotFoundError``
    """


class ConflictError(APIError):
    """409: the object already exists.

    Causes and remedies: ``docs/errors.md#ConflictError``
    """


class TwoFactorRequiredError(APIError):
    """412: the portal requires two-factor authentication for this user; API-only users are exempt.

    Causes and remedies: ``docs/errors.md#TwoFactorRequiredError``
    """


class RateLimitError(APIError):
    """429: the rate limit for this method and endpoint is reached. The portal did not act on the request.

    Attributes:
        limit (int | None): requests that the portal allows per window.
        remaining (int | None): requests left in this window.
        window (float | None): length of the rolling window in seconds.

    Causes and remedies: ``docs/errors.md#RateLimitError``
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
    """5xx: the portal failed or is being upgraded.

    Causes and remedies: ``docs/errors.md#ServerError``
    """


class TransportError(LMTokensError, ConnectionError):
    """No usable response was received.

    Causes and remedies: ``docs/errors.md#TransportError``
    """


class ConnectError(TransportError):
    """No connection could be made, so the portal cannot have acted on the request.

    Causes and remedies: ``docs/errors.md#ConnectError``
    """


class TLSError(TransportError):
    """The certificate was rejected, or TLS failed for another reason. Nothing was sent.

    Causes and remedies: ``docs/errors.md#TLSError``
    """


class RequestTimeoutError(TransportError, TimeoutError):
    """The request exceeded its timeout or deadline.

    Causes and remedies: ``docs/errors.md#RequestTimeoutError``
    """


class ResponseError(LMTokensError):
    """The portal sent a response that could not be understood.

    Causes and remedies: ``docs/errors.md#ResponseError``
    """


class OutcomeUnknownError(LMTokensError):
    """The response to a create was lost: a token may exist. The create was sent once; ``__cause__`` says what failed.

    Attributes:
        candidates (list[Token] | None): tokens of the user that this create may have made: same note, created since the
            call began, never used. ``None`` if they could not be listed. Their keys are lost: delete the token that is
            yours, then call again.
        token (Token | None): the token of the portal's response with its key, if it may be the created one: only its
            note differs from the requested one, its status could not be set, or (with ``expires=``) the response to its
            last PATCH was lost. A pickled copy does not have it.

    Causes and remedies: ``docs/errors.md#OutcomeUnknownError``
    """

    def __init__(
        self,
        message: str = "",
        *,
        candidates: "list[Token] | None" = None,
        token: "Token | None" = None,
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
        self.token = token

    def __reduce__(self) -> "tuple[object, ...]":
        # A worker process returns its errors as pickles, in which a key would be plain text.
        return (*super().__reduce__()[:2], {**self.__dict__, "token": None})


class DeliveryError(LMTokensError):
    """The secret of a new token could not be delivered, or a journal cannot be used.

    If a token was created, it was never enabled and has been deleted; if deleting it failed, ``suggestion`` names it.
    If ``maybe_applied`` is true, the token may be enabled. An exception that the caller's own destination raised is the
    ``__cause__``.

    Causes and remedies: ``docs/errors.md#DeliveryError``
    """


class RotationError(LMTokensError):
    """A rotation cannot be continued, finished or cancelled now.

    The message says why, for example that another process is rotating the token, or that somebody disabled one of the
    tokens. A token of the owner works whose secret is where it was delivered.

    Causes and remedies: ``docs/errors.md#RotationError``
    """


class SelfLockoutError(LMTokensError):
    """The call would disable or delete the token that signs it, or the portal does not show whether it would.

    Pass ``force=True`` to do it anyway.

    Causes and remedies: ``docs/errors.md#SelfLockoutError``
    """
