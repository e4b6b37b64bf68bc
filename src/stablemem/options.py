"""Options: the keyword arguments for opening a region. They are declared only here.

The docstrings of MemoryRegion and MemoryBuffer say what each option means. Type checkers and editors read the
classes. ``help()`` and ``inspect.signature`` show the options because ``spelled_out`` puts them into the
signature.
"""

import inspect
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Literal, TypedDict, TypeVar

from ._core.audit.stats import Stats
from ._core.format.catalog import MAIN
from .shown import shown

__all__ = ["BUFFER_DEFAULTS", "DEFAULTS", "BufferOptions", "RegionOptions", "require_known", "spelled_out"]

Function = TypeVar("Function", bound=Callable[..., Any])


class RegionOptions(TypedDict, total=False):
    """The options of a region; MemoryRegion says what each means."""

    fit: Literal["first", "best"]
    autocommit: bool
    commit_every: float | timedelta | None
    sync: bool
    checksums: bool
    io: Literal["map", "pread"]
    timeout: float
    max_size: int | None
    on_low_space: Callable[[Stats], object] | None
    low_space: float


class BufferOptions(RegionOptions, total=False):
    """The options of a list, except its Blobify; MemoryBuffer says what each means."""

    name: str
    maxlen: int | None


DEFAULTS: RegionOptions = {
    "fit": "first",
    "autocommit": False,
    "commit_every": None,
    "sync": True,
    "checksums": True,
    "io": "map",
    "timeout": 0.0,
    "max_size": None,
    "on_low_space": None,
    "low_space": 0.9,
}
BUFFER_DEFAULTS: BufferOptions = {"name": MAIN, "maxlen": None, **DEFAULTS}


def require_known(call: str, options: Mapping[str, object], kind: type) -> None:
    """Raise if a call does not have one of the given options; the message lists those it has."""
    for name in options:
        if name not in kind.__annotations__:
            raise TypeError(
                f"{call} got an unexpected keyword argument {shown(name)}: "
                f"its options are {', '.join(sorted(kind.__annotations__))}"
            )


def spelled_out(kind: type, defaults: Mapping[str, object]) -> Callable[[Function], Function]:
    """Return a decorator that puts the options of a class, with their defaults, into a signature."""

    def with_signature(function: Function) -> Function:
        found = inspect.signature(function)
        named = [each for each in found.parameters.values() if each.kind is not each.VAR_KEYWORD]
        options = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind.__annotations__[name]
            )
            for name, default in defaults.items()
        ]
        function.__signature__ = found.replace(parameters=[*named, *options])  # type: ignore[attr-defined]
        return function

    return with_signature
