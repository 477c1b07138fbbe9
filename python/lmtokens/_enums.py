"""Enumerations of the portal's values, loaded on first use: importing ``enum`` takes longer than all of lmtokens."""

from __future__ import annotations

from enum import Enum, IntEnum

__all__ = ["AuditReason", "Severity", "TokenStatus", "TokenType"]


class TokenStatus(IntEnum):
    """The status of a token: ``TokenStatus.DISABLED`` (1) or ``TokenStatus.ENABLED`` (2).

    Members are the portal's numbers, also in JSON; ``str()`` and ``format()`` give the words ``"disabled"`` and
    ``"enabled"``. A number that this version does not know becomes a member such as ``TokenStatus.UNKNOWN_3``.

    Example:
        >>> from lmtokens import TokenStatus
        >>> list(TokenStatus)
        [TokenStatus.DISABLED, TokenStatus.ENABLED]
        >>> f"{TokenStatus.ENABLED:>10}", TokenStatus.ENABLED == 2, TokenStatus(3).name
        ('   enabled', True, 'UNKNOWN_3')
    """

    DISABLED = 1
    ENABLED = 2

    @classmethod
    def _missing_(cls, value: object) -> TokenStatus | None:
        if type(value) is not int:
            return None
        member = int.__new__(cls, value)
        member._name_, member._value_ = f"UNKNOWN_{value}", value
        # The same object for the same number, so that ``is`` holds.
        known: TokenStatus = cls._value2member_map_.setdefault(value, member)  # type: ignore[assignment]
        return known

    def __str__(self) -> str:
        return str(self._value_) if self._name_.startswith("UNKNOWN_") else self._name_.lower()

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __repr__(self) -> str:
        return f"TokenStatus.{self._name_}"


class TokenType(str, Enum):
    """The type of a token: ``TokenType.LMV1`` (``"lmv1"``) or ``TokenType.BEARER`` (``"bearer"``).

    Members are strings. A word that this version does not know becomes a member such as ``TokenType.UNKNOWN_oauth``.

    Example:
        >>> from lmtokens import TokenType
        >>> TokenType.BEARER == "bearer", TokenType("LMv1") is TokenType.LMV1, TokenType("oauth").value
        (True, True, 'oauth')
    """

    LMV1 = "lmv1"
    BEARER = "bearer"

    @classmethod
    def _missing_(cls, value: object) -> TokenType | None:
        if not isinstance(value, str):
            return None
        known = cls._value2member_map_.get(value.lower())
        if known is None:
            known = str.__new__(cls, value)
            known._name_, known._value_ = f"UNKNOWN_{value}", value
            known = cls._value2member_map_.setdefault(value, known)
        return known  # type: ignore[return-value]

    def __str__(self) -> str:
        return str(self._value_)

    def __format__(self, spec: str) -> str:
        return format(str(self._value_), spec)

    def __repr__(self) -> str:
        # The word of an unknown type comes from the portal and may contain control characters.
        return f"TokenType.{repr(self._name_)[1:-1]}"


class AuditReason(str, Enum):
    """Why a token is in an audit. Members are strings.

    The reasons that concern the use of a token apply to enabled tokens only.

    Attributes:
        IDLE: Enabled, and last used more than ``idle_after`` ago.
        NEVER_USED: Enabled, never used, and created more than ``never_used_after`` ago.
        OLD: Enabled, and created more than ``old_after`` ago.
        DISABLED: Disabled, and last used, or created if it was never used, more than ``disabled_after`` ago. A token
            that was replaced and awaits its deletion is not.
        NO_NOTE: Without a note.
        EXPIRED: Past the time at which it expires, so that ``sweep_tokens`` deletes it.
        PENDING: Its create ended before its secret was delivered, more than an hour ago.
        ROTATION_STUCK: A step of its rotation has been due for more than a day.
        OWNER_SUSPENDED: Enabled, although its owner is suspended.
        OWNER_NOT_API_ONLY: Enabled, and its owner can also log in to the portal.
        ADMINISTRATOR: Enabled, and its owner has the role ``administrator``.
        ADDRESS_CHANGED: Enabled, and last used from another address than in the report given as ``diff``.

    Example:
        >>> from lmtokens import AuditReason
        >>> AuditReason.IDLE == "idle", f"{AuditReason.IDLE}"
        (True, 'idle')
    """

    IDLE = "idle"
    NEVER_USED = "never_used"
    OLD = "old"
    DISABLED = "disabled"
    NO_NOTE = "no_note"
    EXPIRED = "expired"
    PENDING = "pending"
    ROTATION_STUCK = "rotation_stuck"
    OWNER_SUSPENDED = "owner_suspended"
    OWNER_NOT_API_ONLY = "owner_not_api_only"
    ADMINISTRATOR = "administrator"
    ADDRESS_CHANGED = "address_changed"

    def __str__(self) -> str:
        return str(self._value_)

    def __format__(self, spec: str) -> str:
        return format(str(self._value_), spec)

    def __repr__(self) -> str:
        return f"AuditReason.{self._name_}"


class Severity(IntEnum):
    """How urgent a finding is, in ascending order: ``Severity.INFO``, ``Severity.WARNING``, ``Severity.CRITICAL``.

    Example:
        >>> from lmtokens import Severity
        >>> Severity.CRITICAL > Severity.WARNING, str(Severity.INFO)
        (True, 'info')
    """

    INFO = 1
    WARNING = 2
    CRITICAL = 3

    def __str__(self) -> str:
        return self._name_.lower()

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __repr__(self) -> str:
        return f"Severity.{self._name_}"
