# cython: annotation_typing=False
"""PageCache: bytes read with ``pread``, with the pages used last kept in memory.

    read(address, size)          young {page number: bytes}     at most ``most`` pages
      ^  pages that are missing  old   {page number: bytes}     at most ``most`` pages
      |
    a device, or anything else that gives bytes by address and size

A page that is used moves to the young generation. When that is full, it becomes the old one, and the old
one is dropped. So a page stays while it is used at least once in ``most`` others; nothing is sorted.

A page is 4 KiB: a node is one page, and small values share pages. What is larger is read each time, and not
kept. A page next to two that are known is read with those that follow it in the same direction, so that
going through a list in order takes one read for 64 KiB. One neighbour would say too little: of a file that
is read at random, one in seven pages may be known.

Invariants:

* Each generation has at most ``most`` pages.
* A page is what the file had when it was read: whoever writes says so with ``drop``.
* A page may be short, where the file ended. It is used only for what it has, and read again for more.
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
"""Pages that a generation has at most: 8 MiB."""

AHEAD = 16
"""Pages that are read at once, where the two pages before or after are known."""


class PageCache:
    r"""Pages of one file.

    Args:
        read: returns ``size`` bytes at ``address``, fewer where the file ends.
        most: pages that each of the two generations has at most.

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
        """How many pages are in memory; one that is in both generations counts once."""
        return len(self._young.keys() | self._old.keys())

    def page(self, number: int, end: int) -> bytes:
        """Return page ``number``; it has its first ``end`` bytes at least, unless the file ends before.

        O(1), and one read if the page is not in memory.
        """
        page = self._young.get(number)
        if page is None:
            page = self._old.get(number)
            if page is None:
                return self._fetch(number)
            self._keep(number, page)
        if len(page) < end:
            # The file may have grown since.
            self.drop(number * NODE_SIZE, NODE_SIZE)
            return self._fetch(number)
        return page

    def load(self, address: int, size: int) -> bytes:
        """Return ``size`` bytes at ``address``, fewer where the file ends."""
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
        """Forget the pages of a range: it was written, or cut off."""
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
        """Read a page that is not in memory, with its neighbours if that looks useful."""
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
