"""Room: its owner is called when the share is reached, once each time, and never else."""

from types import SimpleNamespace

import pytest

from stablemem._core.txn.room import Room
from stablemem.layout import MAX_ADDRESS, REGION_PAGE


class Stand:
    """A room of 10 pages on a disk that has so many bytes left, and what has been told."""

    def __init__(self, most=10 * REGION_PAGE, left=1 << 40, share=0.5):
        self.told = 0
        self.space = SimpleNamespace(grown=False, end=0, free_bytes=0)
        self.asked = 0
        self.left = left
        self.region = SimpleNamespace(length=0, device=SimpleNamespace(room=self._room))
        self.room = Room(most, share, self._tell)

    def _tell(self):
        self.told += 1

    def _room(self):
        self.asked += 1
        return self.left

    def use(self, used, free=0, pending=0, grown=False):
        """Look again with so much in use; return how often the owner was told in all."""
        self.space.end, self.space.free_bytes, self.space.grown = used + free, free, grown
        self.room.watch(self.space, self.region, pending)
        return self.told


def test_told_once_until_there_is_room_again():
    stand = Stand()
    half = 5 * REGION_PAGE
    assert [stand.use(used) for used in (half - 1, half, half + 1, half - 1, half)] == [0, 1, 1, 1, 2]


def test_free_bytes_do_not_count_and_pending_ones_do():
    stand = Stand()
    half = 5 * REGION_PAGE
    assert stand.use(half - 1, free=REGION_PAGE) == 0
    assert stand.use(half - 1, free=REGION_PAGE, pending=1) == 1


def test_the_disk_may_have_less_room_than_the_region():
    stand = Stand(left=2 * REGION_PAGE)
    assert stand.use(REGION_PAGE - 1) == 0
    assert stand.use(REGION_PAGE) == 1


def test_the_disk_is_asked_again_only_when_the_region_grew():
    stand = Stand(left=2 * REGION_PAGE)
    for _ in range(3):
        stand.use(1)
    assert stand.asked == 1
    stand.left = 1
    stand.use(1, grown=True)
    assert (stand.asked, stand.told) == (2, 1)
    assert not stand.space.grown, "that it grew is told once"


def test_without_an_owner_nothing_is_asked():
    stand = Stand()
    stand.room = Room(10 * REGION_PAGE)
    assert stand.use(20 * REGION_PAGE, grown=True) == 0
    assert (stand.asked, stand.space.grown) == (0, False)


@pytest.mark.parametrize(
    ("most", "bytes_"),
    [
        (None, MAX_ADDRESS), (1 << 70, MAX_ADDRESS), (REGION_PAGE, REGION_PAGE),
        (3 * REGION_PAGE - 1, 2 * REGION_PAGE), (REGION_PAGE - 1, 0),
    ],
)  # fmt: skip
def test_the_most_is_whole_region_pages(most, bytes_):
    assert Room(most).most == bytes_
