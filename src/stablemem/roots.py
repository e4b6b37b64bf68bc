"""Roots: names for what the user of a region keeps in raw blocks."""

from collections.abc import Iterable, Iterator, MutableMapping
from operator import index

from ._core.heap import Heap
from .layout import is_name

__all__ = ["Roots"]

_LIMIT = 1 << 127
_MOST = 65535


class Roots(MutableMapping[str, tuple[int, ...]]):
    """A small mapping of names to tuples of integers, committed and rolled back with everything else.

    It is meant for addresses and sizes. A commit that changes one root writes all of them. Each integer is
    from -2**127 to 2**127 - 1. A single integer may be given without a tuple.

    >>> from stablemem import MemoryRegion
    >>> with MemoryRegion() as region:
    ...     region.roots["greeting"] = region.add_blob(b"hello"), 5
    ...     region.load(*region.roots["greeting"])
    b'hello'
    """

    def __init__(self, heap: Heap) -> None:
        self._heap = heap

    def __getitem__(self, name: str) -> tuple[int, ...]:
        self._heap._store.require_open()
        return self._heap._store.roots[name]

    def __setitem__(self, name: str, numbers: Iterable[int] | int) -> None:
        if not is_name(name):
            raise ValueError(f"the name of a root is a str of 1 to 65535 bytes in UTF-8, not {name!r:.60}")
        listed = (numbers,) if isinstance(numbers, int) else tuple(numbers)
        try:
            root = tuple(index(number) for number in listed)
        except TypeError:
            raise TypeError(f"a root holds integers, such as (address, size), not {numbers!r:.60}") from None
        if len(root) > _MOST:
            raise ValueError(f"a root holds at most {_MOST} integers, not {len(root)}: keep them in a block")
        if any(not -_LIMIT <= number < _LIMIT for number in root):
            raise OverflowError(
                "an integer in a root is from -2**127 to 2**127 - 1: keep larger ones in a block"
            )
        self._heap._edit(self._heap._store.set_root, name, root)

    def __delitem__(self, name: str) -> None:
        self[name]
        self._heap._edit(self._heap._store.set_root, name, None)

    def __iter__(self) -> Iterator[str]:
        self._heap._store.require_open()
        return iter(sorted(self._heap._store.roots))

    def __len__(self) -> int:
        self._heap._store.require_open()
        return len(self._heap._store.roots)

    def __repr__(self) -> str:
        return f"Roots({dict(self)!r})"
