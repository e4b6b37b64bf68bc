"""Ranges: entries over ranges of bytes, in order of address, without overlaps.

    chunks   [12288-12296, 12300-12301, ...]   [70000-70064, ...]   ...     up to MOST entries each

A sorted list in chunks. A search bisects the first addresses, and then one chunk; a change moves at most one
chunk. A copy shares the chunks, and a shared chunk is copied before it is changed. Addresses are in arrays,
not in objects: in a large list, a search would wait for memory at each object.

Invariants (``check``):

* Each entry has 1 byte or more; entries are in order of address, and do not overlap.
* A chunk has 1 to MOST entries; ``_firsts`` has the address of the first of each.
* Only the Ranges that owns a chunk changes it.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["MOST", "Entry", "Ranges"]

MOST, LEAST = 512, 64
"""The most entries of a chunk; a chunk with fewer than LEAST is joined to another, if both have few."""

Entry = tuple[int, int, Any]
"""(address, end, item)"""


class _Chunk:
    """Some entries, as arrays of their parts, and the owner of the chunk."""

    __slots__ = ("items", "owner", "starts", "stops")

    def __init__(self, owner: object, starts: "array[int]", stops: "array[int]", items: list[Any]) -> None:
        self.owner = owner
        self.starts = starts
        self.stops = stops
        self.items = items

    def part(self, owner: object, low: int, high: int) -> "_Chunk":
        """Return a chunk with the entries from number ``low`` to before ``high``."""
        return _Chunk(owner, self.starts[low:high], self.stops[low:high], self.items[low:high])

    def entries(self, low: int, high: int) -> Iterator[Entry]:
        """Return the entries from number ``low`` to before ``high``."""
        return zip(self.starts[low:high], self.stops[low:high], self.items[low:high], strict=True)

    def bounds(self, start: int, stop: int) -> tuple[int, int]:
        """Return the first and the end number of the entries over a range, or over a part of it."""
        low = bisect_right(self.stops, start)
        return low, bisect_left(self.starts, stop, low)


class Ranges:
    """Disjoint ranges of bytes, each with an item.

    Args:
        entries: the first entries, in order of address. O(n).

    >>> ranges = Ranges([(10, 20, "a"), (30, 40, "b")])
    >>> ranges.over(15, 31)
    [(10, 20, 'a'), (30, 40, 'b')]
    >>> then = ranges.copy()
    >>> ranges.take(15, 31)
    [(10, 20, 'a'), (30, 40, 'b')]
    >>> ranges.add(10, 15, "a"); list(ranges), list(then)
    ([(10, 15, 'a')], [(10, 20, 'a'), (30, 40, 'b')])
    """

    __slots__ = ("_chunks", "_count", "_firsts", "_owner")

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        # A chunk with another owner is shared with a copy.
        self._owner = object()
        self._chunks: list[_Chunk] = []
        self._firsts = array("Q")
        listed = list(entries)
        self._count = len(listed)
        for at in range(0, len(listed), MOST // 2):
            starts, stops, items = zip(*listed[at : at + MOST // 2], strict=True)
            self._chunks.append(_Chunk(self._owner, array("Q", starts), array("Q", stops), list(items)))
            self._firsts.append(starts[0])

    def copy(self) -> "Ranges":
        """Return a copy: later changes of one do not affect the other. O(n / MOST)."""
        twin = Ranges()
        twin._chunks, twin._firsts, twin._count = self._chunks[:], self._firsts[:], self._count
        # Neither owns the chunks that both have now.
        self._owner = object()
        return twin

    def __len__(self) -> int:
        """Return the number of entries."""
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        """Iterate in order of address."""
        for chunk in self._chunks:
            yield from chunk.entries(0, len(chunk.starts))

    # -- reading -------------------------------------------------------------------------------------

    def over(self, start: int, stop: int) -> list[Entry]:
        """Return the entries over a range or a part of it, not cut. O(log n + entries returned)."""
        found: list[Entry] = []
        where = max(0, bisect_right(self._firsts, start) - 1)
        while where < len(self._chunks) and self._firsts[where] < stop:
            low, high = self._chunks[where].bounds(start, stop)
            if low < high:
                found += self._chunks[where].entries(low, high)
            where += 1
        return found

    # -- changing ------------------------------------------------------------------------------------

    def add(self, address: int, stop: int, what: Any) -> None:
        """Add an entry over a range where there is none. O(log n + MOST)."""
        if not self._chunks:
            self._chunks.append(_Chunk(self._owner, array("Q"), array("Q"), []))
            self._firsts.append(address)
        where = max(0, bisect_right(self._firsts, address) - 1)
        chunk = self._own(where)
        place = bisect_left(chunk.starts, address)
        chunk.starts.insert(place, address)
        chunk.stops.insert(place, stop)
        chunk.items.insert(place, what)
        self._count += 1
        if place == 0:
            self._firsts[where] = address
        if len(chunk.starts) > MOST:
            half = MOST // 2
            more = chunk.part(self._owner, half, MOST + 1)
            self._chunks[where : where + 1] = [chunk.part(self._owner, 0, half), more]
            self._firsts.insert(where + 1, more.starts[0])

    def replace(self, start: int, stop: int, what: Any) -> Any:
        """Replace the item of the entry over exactly this range; return the old one, or None if not there."""
        where = bisect_right(self._firsts, start) - 1
        if where < 0:
            return None
        chunk = self._chunks[where]
        place = bisect_left(chunk.starts, start)
        if place == len(chunk.starts) or chunk.starts[place] != start or chunk.stops[place] != stop:
            return None
        chunk = self._own(where)
        before, chunk.items[place] = chunk.items[place], what
        return before

    def take(self, start: int, stop: int) -> list[Entry]:
        """Remove the entries over a range or a part of it, not cut, and return them.

        O(log n + MOST + entries returned).
        """
        found: list[Entry] = []
        few = False
        first = where = max(0, bisect_right(self._firsts, start) - 1)
        while where < len(self._chunks) and self._firsts[where] < stop:
            low, high = self._chunks[where].bounds(start, stop)
            if low < high:
                chunk = self._own(where)
                found += chunk.entries(low, high)
                del chunk.starts[low:high], chunk.stops[low:high], chunk.items[low:high]
                few = few or len(chunk.starts) < LEAST
                if low == 0 and chunk.starts:
                    self._firsts[where] = chunk.starts[0]
            where += 1
        self._count -= len(found)
        if few:
            self._join(first, where)
        return found

    def _own(self, where: int) -> _Chunk:
        """Return a chunk that may be changed, copied if it is shared."""
        chunk = self._chunks[where]
        if chunk.owner is not self._owner:
            chunk = self._chunks[where] = chunk.part(self._owner, 0, MOST)
        return chunk

    def _join(self, first: int, stop: int) -> None:
        """Join the chunks from which entries were taken, and one more on each side, as far as they fit."""
        first, stop = max(0, first - 1), min(stop + 1, len(self._chunks))
        left: list[_Chunk] = []
        for chunk in self._chunks[first:stop]:
            if left and len(left[-1].starts) + len(chunk.starts) <= MOST // 2:
                last = left[-1] = left[-1].part(self._owner, 0, MOST)
                last.starts += chunk.starts
                last.stops += chunk.stops
                last.items += chunk.items
            elif chunk.starts:
                left.append(chunk)
        self._chunks[first:stop] = left
        self._firsts[first:stop] = array("Q", [chunk.starts[0] for chunk in left])

    # -- checking ------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Return a sentence for every invariant that does not hold."""
        faults = []
        end = 0
        for address, stop, _ in self:
            if not end <= address < stop:
                faults.append(f"an entry from {address} to {stop}, after one that ends at {end}")
            end = stop
        counts = [len(chunk.starts) for chunk in self._chunks]
        if any(not 0 < count <= MOST for count in counts):
            faults.append(f"chunks of {counts} entries")
        if list(self._firsts) != [chunk.starts[0] for chunk in self._chunks if chunk.starts]:
            faults.append("the first addresses are not those of the chunks")
        if self._count != sum(counts):
            faults.append(f"{self._count} entries are counted, {sum(counts)} are there")
        return faults
