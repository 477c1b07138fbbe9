"""Argument types for type checkers. Nothing imports this module at run time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from os import PathLike
from typing import Any, ClassVar, Protocol, SupportsFloat, TypeVar, Union

from lmtokens._lmtokens import CreatedToken, NewToken, Secret, ToCommand, ToFile, Token, ToKeyring

__all__ = [
    "Age",
    "CredentialsCallable",
    "Destination",
    "OnWait",
    "Ordered",
    "Progress",
    "Reasons",
    "Rows",
    "Then",
    "Values",
    "Words",
]

_Item_co = TypeVar("_Item_co", covariant=True)


class _Delivers(Protocol):
    def deliver(self, token: CreatedToken, /) -> object: ...


class _Named(Protocol):
    def keys(self) -> Iterable[Any]: ...
    def __getitem__(self, name: Any, /) -> Any: ...


class _NamedTuple(Protocol):
    @property
    def _fields(self) -> Iterable[str]: ...


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


class _PandasFrame(Protocol):
    @property
    def itertuples(self) -> Callable[..., Iterable[Any]]: ...


class _PolarsFrame(Protocol):
    @property
    def iter_rows(self) -> Callable[..., Iterable[Any]]: ...
    @property
    def to_dicts(self) -> Callable[..., Iterable[Any]]: ...


class _List(Protocol[_Item_co]):
    """A sequence, but not a ``str``: that has a narrower ``__contains__``."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[_Item_co]: ...
    def __getitem__(self, index: int, /) -> _Item_co: ...
    def __contains__(self, value: object, /) -> bool: ...


class _Time(Protocol):
    """A ``datetime``, but not a ``date``."""

    def timestamp(self) -> float: ...
    def utcoffset(self) -> object: ...


Age = Union[SupportsFloat, timedelta, str]
_Text = Union[str, Secret]
_Credentials = Union[_Text, "tuple[_Text, _Text]", Mapping[str, object]]
CredentialsCallable = Callable[[], Union[_Credentials, Awaitable[_Credentials]]]
Destination = Union[ToFile, ToKeyring, ToCommand, Callable[[CreatedToken], object], _Delivers]
OnWait = Callable[[float], object]
Ordered = Union[SupportsFloat, _Time]
Progress = Union[bool, Callable[[int, int], object]]
Reasons = Iterable[str]
_Row = Union[NewToken, _Named, _NamedTuple, _Dataclass, "tuple[Any, ...]", "list[Any]"]
Rows = Union[Iterable[_Row], _PandasFrame, _PolarsFrame]
Then = Callable[[Token], object]
Values = Iterable[Union[str, float, datetime]]
Words = _List[Union[str, "PathLike[str]"]]
