"""Create and manage LogicMonitor API tokens.

>>> import lmtokens, lmtokens.sandbox
>>> with lmtokens.sandbox.Portal() as portal:
...     token = portal.client().add_token(32, note="ci")
>>> token.status
TokenStatus.ENABLED
"""

# Import the errors first: importing the extension loads their classes.
from lmtokens import errors as errors

# isort: split
from lmtokens import _lmtokens
from lmtokens._lmtokens import __version__ as __version__
from lmtokens.errors import *  # noqa: F403

TYPE_CHECKING = False  # as in typing, whose import takes longer than all of this package
if TYPE_CHECKING:
    from lmtokens import deliver as deliver
    from lmtokens._enums import AuditReason as AuditReason
    from lmtokens._enums import Severity as Severity
    from lmtokens._enums import TokenStatus as TokenStatus
    from lmtokens._enums import TokenType as TokenType
    from lmtokens._frames import to_dataframe as to_dataframe
    from lmtokens._lmtokens import *  # noqa: F403
    from lmtokens._lmtokens import ToCommand, ToFile, ToKeyring, Where, to_command, to_file, to_keyring
    from lmtokens.aio import AsyncBulkRun as AsyncBulkRun
    from lmtokens.aio import AsyncClient as AsyncClient
    from lmtokens.aio import AsyncTemporaryToken as AsyncTemporaryToken
    from lmtokens.auth import LMv1Auth as LMv1Auth

    del ToCommand, ToFile, ToKeyring, to_command, to_file, to_keyring  # public in lmtokens.deliver

    where = Where()
    """The members of a token that a list can be filtered by: ``lmtokens.where.status == 1``."""
else:  # Type checkers would accept any name.

    def __getattr__(name: str) -> object:
        """Take a class, which is created then, or a rarely needed name on first use."""
        if name == "where":
            value = _lmtokens.Where()
        elif name in _NATIVE:
            value = getattr(_lmtokens, name)
        else:
            from importlib import import_module

            if name in _LAZY_MODULES:
                return import_module(f"lmtokens.{name}")
            if name not in _LAZY:
                raise AttributeError(f"module 'lmtokens' has no attribute {name!r}")
            value = getattr(import_module(_LAZY[name]), name)
        globals()[name] = value
        return value


del TYPE_CHECKING

_IN_DELIVER = {"ToCommand", "ToFile", "ToKeyring", "to_command", "to_file", "to_keyring"}
_NATIVE = {name for name in _lmtokens.__all__ if name[0].isalpha() and name not in _IN_DELIVER}
globals().update((name, function) for name, function in vars(_lmtokens).items() if name in _NATIVE)

_LAZY = {
    "AsyncBulkRun": "lmtokens.aio",
    "AsyncClient": "lmtokens.aio",
    "AsyncTemporaryToken": "lmtokens.aio",
    "AuditReason": "lmtokens._enums",
    "LMv1Auth": "lmtokens.auth",
    "Severity": "lmtokens._enums",
    "TokenStatus": "lmtokens._enums",
    "TokenType": "lmtokens._enums",
    "to_dataframe": "lmtokens._frames",
}
_LAZY_MODULES = {"deliver"}

# Type checkers take the public names from the imports above.
__all__ = [  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]
    *{*(name for name in globals() if name[0].isalpha()), *_NATIVE, *_LAZY, *_LAZY_MODULES},
    *("__version__", "where"),
]


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__})
