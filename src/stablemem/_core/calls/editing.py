"""Editing: changes a value of a list in place, and assigns it back."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from operator import index as as_index
from typing import Any

from ...errors import StableMemoryError
from .list_core import ListCore

__all__ = ["edited"]

_IMMUTABLE = (type(None), bool, int, float, complex, str, bytes, frozenset, range)
_OF_IMMUTABLES = {"datetime", "decimal", "fractions", "ipaddress", "numpy", "pathlib", "uuid"}
"""Modules whose values cannot be changed, unless they have ``__setitem__``, like numpy's arrays."""


@contextmanager
def edited(core: ListCore, index: Any) -> Iterator[Any]:
    """Yield the value at an index, and assign it if the block ends without an exception."""
    at = as_index(index)
    core._require_writable()
    position = at + len(core) if at < 0 else at
    before = bytes(core.blob_view(at))
    value = core._codec.decode(before, position)
    if _is_immutable(value):
        raise TypeError(
            f"edit() changes a value in place, and the {type(value).__name__} at index {at} cannot be "
            f"changed: assign another, as in b[{at}] = value"
        )
    yield value
    with core._store.exclusive():
        if position >= len(core) or core.blob_view(position) != before:
            raise StableMemoryError(
                f"the list was changed within edit(): another value is at index {position} now, so "
                f"nothing was assigned; change the list before or after, and edit again"
            )
        core[position] = value
    core._relieve()


def _is_immutable(value: object) -> bool:
    """Return whether nothing in a value can be changed; False if that is not known, for an unknown class.

    >>> _is_immutable("x"), _is_immutable((1, ("x",))), _is_immutable(([],)), _is_immutable({})
    (True, True, False, False)
    """
    kind = type(value)
    if isinstance(value, Enum):
        return True
    if kind.__module__.partition(".")[0].lstrip("_") in _OF_IMMUTABLES:
        return not hasattr(kind, "__setitem__")
    if kind.__dictoffset__:
        return False
    return isinstance(value, _IMMUTABLE) or (isinstance(value, tuple) and all(map(_is_immutable, value)))
