# cython: annotation_typing=False
"""PageCache: reads bytes with ``pread``, and keeps the pages that were used last in memory.

    read(address, size)          young {page number: bytes}     at most ``most`` pages
      ^  pages that are missing  old   {page number: bytes}     at most ``most`` pages
      |
    a device, or any other source of bytes by address and size

A page that is used moves to the young generation. When the young generation is full, it becomes the old one,
and the previous old one is dropped. So a page stays while it is used at least once between ``most`` others;
nothing is sorted.

A page has 4 KiB: a node is one page, and small values share pages. Larger ranges are read each time, and not
kept. If two neighbours of a page on one side are known, it is read together with the next pages on the other
side. So going through a list in order takes one read for 64 KiB. A single neighbour would prove too little:
if a file is read at random, one in seven pages may be known.

Invariants:

* Each generation has at most ``most`` pages.
* A page has the bytes that the file had when the page was read: a writer must call ``drop``.
* A page may be short, at the end of the file. Only the bytes that it has are used; for more it is read again.
"""

from collections.abc import Callable

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import NODE_SIZE

__all__ = ["AHEAD", "PAGES", "PageCache"]

PAGES = 2048
"""The most pages of a generation: 8 MiB."""

AHEAD = 16
"""Number of pages that are read at once if the two pages before or after are known."""


class PageCache:
    r"""Pages of one file.

    Args:
        read: returns ``size`` bytes at ``address``; fewer at the end of the file.
        most: the most pages of each of the two generations.

    >>> cache = PageCache(lambda address, size: bytes(8192)[address : address + size], 4)
    >>> cache.load(8190, 1), cache.load(8190, 9), cache.kept
    (b'\x00', b'\x00\x00', 1)
    """

    __slots__ = ("_most", "_old", "_read", "_young")

    def __init__(self, read: Callable[[int, int], bytes], most: int = PAGES) -> None:
        self._read = read
        self._most = most
        self._young: dict[int, bytes] = {}
        self._old: dict[int, bytes] = {}

    @property
    def kept(self) -> int:
        """Number of pages in memory; a page that is in both generations counts once."""
        return len(self._young.keys() | self._old.keys())

    def page(self, number: int, end: int) -> bytes:
        """Return page ``number``, with at least its first ``end`` bytes, unless the file ends before.

        O(1), and one read if the page is not in memory.
        """
        page = self._young.get(number)
        if page is None:
            page = self._old.get(number)
            if page is None:
                return self._fetch(number)
            self._keep(number, page)
        if len(page) < end:
            # The file may have grown since then.
            self.drop(number * NODE_SIZE, NODE_SIZE)
            return self._fetch(number)
        return page

    def load(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes at ``address``; fewer at the end of the file."""
        if size > NODE_SIZE:
            return self._read(address, size)
        number = address // NODE_SIZE
        begin = address % NODE_SIZE
        end = begin + size
        if end <= NODE_SIZE:
            page = self.page(number, end)
            return page[begin:end] if size < NODE_SIZE else page
        return (
            self.page(number, NODE_SIZE)[begin:] + self.page(number + 1, end - NODE_SIZE)[: end - NODE_SIZE]
        )

    def drop(self, address: int, size: int) -> None:
        """Forget the pages of a range, because it was written or cut off."""
        first = address // NODE_SIZE
        stop = (address + size + NODE_SIZE - 1) // NODE_SIZE
        for pages in (self._young, self._old):
            if stop - first < len(pages):
                for number in range(first, stop):
                    pages.pop(number, None)
            else:
                for number in [each for each in pages if first <= each < stop]:
                    del pages[number]

    def clear(self) -> None:
        """Forget everything."""
        self._young = {}
        self._old = {}

    def _knows(self, number: int) -> bool:
        """Return whether a page is in memory."""
        return number in self._young or number in self._old

    def _fetch(self, number: int) -> bytes:
        """Read a page that is not in memory, with the pages next to it if that is likely to be useful."""
        first = number
        stop = number + 1
        if number > 1 and self._knows(number - 1) and self._knows(number - 2):
            stop = number + AHEAD
        elif self._knows(number + 1) and self._knows(number + 2):
            first = max(0, stop - AHEAD)
        content = self._read(first * NODE_SIZE, (stop - first) * NODE_SIZE)
        found = b""
        for each in range(first, stop):
            page = content[(each - first) * NODE_SIZE : (each - first + 1) * NODE_SIZE]
            if each == number:
                found = page
            if page and not self._knows(each):
                self._keep(each, page)
        return found

    def _keep(self, number: int, page: bytes) -> None:
        """Put a page into the young generation."""
        if len(self._young) >= self._most:
            self._old = self._young
            self._young = {}
        self._young[number] = page
