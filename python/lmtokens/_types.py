"""Argument types for type checkers. Nothing imports this module at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from os import PathLike
from typing import Any, ClassVar, Protocol, Union

from lmtokens._lmtokens import CreatedToken, NewToken, ToCommand, ToFile

__all__ = ["Destination", "OnWait", "Progress", "Rows", "Values", "Words"]


class _Delivers(Protocol):
    def deliver(self, token: CreatedToken, /) -> object: ...


class _Named(Protocol):
    def keys(self) -> Iterable[str]: ...
    def __getitem__(self, name: str, /) -> Any: ...


class _NamedTuple(Protocol):
    @property
    def _fields(self) -> Iterable[str]: ...


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Destination = Union[ToFile, ToCommand, Callable[[CreatedToken], object], _Delivers]
OnWait = Callable[[float], object]
Progress = Union[bool, Callable[[int, int], object]]
Rows = Iterable[Union[NewToken, _Named, _NamedTuple, _Dataclass, "tuple[Any, ...]", "list[Any]"]]
Values = Iterable[Union[str, float, datetime]]
Words = Sequence[Union[str, "PathLike[str]"]]
