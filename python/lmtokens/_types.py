"""Argument types for type checkers. Nothing imports this module at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import Any, Protocol, Union

from lmtokens._lmtokens import NewToken, ToCommand, ToFile, Token

__all__ = ["Destination", "OnWait", "Progress", "Rows", "Words"]


class _Delivers(Protocol):
    def deliver(self, token: Token, /) -> object: ...


Destination = Union[ToFile, ToCommand, Callable[[Token], object], _Delivers]
OnWait = Callable[[float], object]
Progress = Union[bool, Callable[[int, int], object]]
Rows = Iterable[Union[NewToken, "dict[str, Any]", "tuple[Any, ...]", "list[Any]"]]
Words = Sequence[Union[str, "PathLike[str]"]]
