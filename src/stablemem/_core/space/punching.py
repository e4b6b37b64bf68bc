"""Punching: chooses the free region pages in the middle of a file that are given back to the disk.

Using the space of a hole again has a cost: the disk must find room again, and a small commit into the hole
takes half as long again. So a run of free pages is punched out only if it is long, and was free at two looks
in a row. The looks are some commits apart; fewer if most of the region has become free at once, as when a
snapshot ends that was open for a long time.

Invariants: no page in ``seen`` or ``punched`` has been given to a committed transaction since it was put
there. Pages that were free once and brought no hole do not cause an early look again.
"""

from .freetree import FreeTree

__all__ = ["HOLE_LEAST", "LOOK_EVERY", "LOOK_SOON", "Holes"]

HOLE_LEAST = 1 << 20
"""Bytes of the shortest run that is punched out."""

LOOK_EVERY = 64
"""Commits from one look to the next."""

LOOK_SOON = 2
"""Commits until a look after much has become free, and from that look to the next."""


class Holes:
    """The free pages of one region that are known from the last look.

    Attributes:
        seen: the pages that were free at the last look.
        punched: those of them that were given back to the disk.

    >>> holes = Holes()
    >>> holes.look([(0, 1 << 20)]), holes.look([(0, 2 << 20)]), holes.look([(0, 2 << 20)])
    ([], [(0, 1048576)], [(1048576, 1048576)])
    """

    def __init__(self) -> None:
        self.seen = FreeTree()
        self.punched = FreeTree()
        self._commits = 0
        self._idle = 0
        self._promising = False

    def committed(self, given: list[tuple[int, int]], idle: int, end: int) -> bool:
        """Note the pages that a commit has taken; return whether it is time to look.

        Args:
            given: those pages.
            idle: bytes in all pages that are free now.
            end: bytes of the region.
        """
        for address, size in given:
            self.seen.discard(address, address + size)
            self.punched.discard(address, address + size)
        self._commits += 1
        due = self._commits >= LOOK_EVERY
        if self._commits >= LOOK_SOON and idle > end >> 1:
            due = due or self._promising or idle > self._idle + (end >> 3)
        self._idle = idle if due else min(idle, self._idle)
        return due

    def look(self, idle: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the runs to punch out: parts of the now ``idle`` runs that were free at the last look."""
        self._commits = 0
        now, punched, found = FreeTree(), FreeTree(), FreeTree()
        for address, size in idle:
            now.insert(address, size)
            for begin, end in _common(self.seen, address, address + size):
                found.insert(begin, end - begin)
            for begin, end in _common(self.punched, address, address + size):
                punched.insert(begin, end - begin)
                found.discard(begin, end)
        runs = [(address, size) for address, size in found.blocks() if size >= HOLE_LEAST]
        for address, size in runs:
            punched.insert(address, size)
        # Neither term includes pages that were punched out before.
        fresh = now.total - punched.total + sum(size for _, size in runs) - found.total
        self._promising = fresh >= max(HOLE_LEAST, now.total >> 4)
        self.seen, self.punched = now, punched
        return runs


def _common(tree: FreeTree, start: int, stop: int) -> list[tuple[int, int]]:
    """Return the parts (begin, end) of a range that are in a tree."""
    blocks = tree.blocks(start, stop)
    return [(max(address, start), min(address + size, stop)) for address, size in blocks]
