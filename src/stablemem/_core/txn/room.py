"""Room: how far a region may grow, and when the user's function is called because little room is left."""

from collections.abc import Callable

from ...layout import MAX_ADDRESS, REGION_PAGE
from ..disk.region import Region
from ..space.freespace import FreeSpace

__all__ = ["Room"]


class Room:
    """The user's choices about the size of a region.

    Args:
        most: the most bytes that the file may have; None for no limit.
        low_space: the share of the room at which ``call`` is due.
        call: called once each time the bytes in use reach that share.
    """

    def __init__(
        self,
        most: int | None = None,
        low_space: float = 1.0,
        call: Callable[[], None] | None = None,
    ) -> None:
        self.most = MAX_ADDRESS if most is None else min(most, MAX_ADDRESS) // REGION_PAGE * REGION_PAGE
        self._low_space = low_space
        self._call = call
        self._told_low = False
        self._room = 0

    def watch(self, space: FreeSpace, region: Region, pending: int) -> None:
        """Call ``call`` if the used and pending bytes have reached the share since the last look."""
        grown, space.grown = space.grown, False
        if self._call is None:
            return
        if grown or not self._room:
            self._room = min(self.most, region.length + region.device.room())
        low = space.end - space.free_bytes + pending >= self._low_space * self._room
        told, self._told_low = self._told_low, low
        if low and not told:
            self._call()
