"""Roots: names for integers that the user keeps, such as the addresses of raw blocks."""

from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, Set, ValuesView
from operator import index
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ._core.calls.bracket import edit
from ._core.txn.hidden import visible
from .layout import exact, is_hidden, is_own_name
from .shown import MOST, shown, shown_names, shown_path

if TYPE_CHECKING:
    from .raw_blocks import RawBlocks

__all__ = ["Roots"]

D = TypeVar("D")

_LIMIT = 1 << 127
_MOST = 65535


class Roots(MutableMapping[str, tuple[int, ...]]):
    """A small mapping of names to tuples of integers, committed and rolled back with everything else.

    It is meant for addresses and sizes. A commit that changes one root writes all roots. Each integer is
    from -2**127 to 2**127 - 1. A single integer may be given without a tuple.

    >>> from stablemem import MemoryRegion
    >>> with MemoryRegion() as region:
    ...     region.roots["greeting"] = region.add_blob(b"hello"), 5
    ...     region.load(*region.roots["greeting"])
    b'hello'
    """

    def __init__(self, heap: "RawBlocks") -> None:
        self._heap = heap

    def __getitem__(self, name: str) -> tuple[int, ...]:
        self._heap._handle.require_open()
        found = self._heap._handle.roots.get(name)
        if found is None or is_hidden(name):
            raise self._missing(name)
        return found

    def _missing(self, name: object) -> KeyError:
        """Return the error for a name that no root has."""
        handle = self._heap._handle
        names = shown_names(visible(handle.roots))
        return KeyError(
            f"{shown_path(handle.path)} has no root {shown(name)}; it has {names}: "
            f"set it with roots[name] = (address, size), or ask with roots.get(name)"
        )

    def __setitem__(self, name: str, numbers: Iterable[int] | int) -> None:
        if not is_own_name(name):
            raise ValueError(
                f"the name of a root is a str of 1 to 65535 bytes in UTF-8 that does not begin with NUL, not "
                f"{shown(name)}"
            )
        root = _integers(numbers)
        if root is None:
            raise TypeError(
                f"a root holds integers, such as (address, size), not {shown(numbers)}: "
                f"keep other values in a block, with add_blob() or add_as(), and its address and size here"
            )
        if len(root) > _MOST:
            raise ValueError(f"a root holds at most {_MOST} integers, not {len(root)}: keep them in a block")
        if any(not -_LIMIT <= number < _LIMIT for number in root):
            raise OverflowError(
                "an integer in a root is from -2**127 to 2**127 - 1: keep larger ones in a block"
            )
        edit(self._heap, self._heap._handle.set_root, (exact(name), root))

    def __delitem__(self, name: str) -> None:
        def check(name: str, _: None) -> None:
            if name not in self._heap._handle.roots or is_hidden(name):
                raise self._missing(name)

        edit(self._heap, self._heap._handle.set_root, (name, None), check)

    @overload
    def pop(self, name: str, /) -> tuple[int, ...]: ...
    @overload
    def pop(self, name: str, /, default: D) -> tuple[int, ...] | D: ...

    def pop(self, name: str, /, *default: Any, **named: Any) -> Any:
        """Delete a root and return its integers, or the default if there is no such root."""
        handle = self._heap._handle
        with handle.exclusive():
            found = super().pop(name, *default, **named)
        handle.relieve()
        return found

    def __iter__(self) -> Iterator[str]:
        self._heap._handle.require_open()
        return iter(visible(self._heap._handle.roots))

    def __len__(self) -> int:
        self._heap._handle.require_open()
        return len(visible(self._heap._handle.roots))

    def items(self) -> ItemsView[str, tuple[int, ...]]:
        """Return the names and integers of all roots as of one moment, by name."""
        self._heap._handle.require_open()
        return visible(self._heap._handle.roots).items()

    def values(self) -> ValuesView[tuple[int, ...]]:
        """Return the integers of all roots as of one moment, in the order of their names."""
        return dict(self.items()).values()

    def __repr__(self) -> str:
        return f"Roots({shown(dict(self.items()), 4 * MOST)})"


def _integers(numbers: object) -> tuple[int, ...] | None:
    """Return the given integers as a tuple; None if something else was given.

    Text and bytes count as something else, although iterating over bytes yields integers. So do dicts, of
    which only the keys would remain, and sets, which have no order.
    """
    if isinstance(numbers, str | bytes | bytearray | memoryview | Mapping | Set):
        return None
    if hasattr(numbers, "__index__"):
        return (index(numbers),)
    try:
        iterator = iter(numbers)  # type: ignore[call-overload]
    except TypeError:
        return None
    root = []
    for number in iterator:
        if not hasattr(number, "__index__"):
            return None
        root.append(index(number))
    return tuple(root)
