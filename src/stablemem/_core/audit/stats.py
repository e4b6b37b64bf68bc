"""Stats: the use of the bytes of an open region, including its uncommitted changes."""

from dataclasses import dataclass

from ...shown import shown_record
from ..txn.compaction import oldest_snapshot, reclaimable
from ..txn.handle import Handle
from .uses import total_uses

__all__ = ["Stats", "stats"]


@dataclass(frozen=True, repr=False)
class Stats:
    """The use of the bytes of a region.

    A writer's figures include its uncommitted changes; a reader's are those of its commit. Used, free and
    limbo bytes together are the region. The file may have more bytes at its end, which mean nothing.

    Attributes:
        path: the file; empty for a region in memory.
        transaction: number of the last commit.
        lists: number of values in each list, by name, including uncommitted changes.
        changes: number of changes since the last commit.
        file_bytes: length of the file.
        disk_bytes: bytes that the file takes on the disk, without its holes.
        used_bytes: bytes in use: header, log, index, values, raw blocks.
        raw_bytes: the part of ``used_bytes`` in raw blocks.
        free_bytes: bytes that can be used again now.
        limbo_bytes: bytes that were freed, but that an older commit or a snapshot still uses.
        free_blocks: number of free blocks.
        largest_free: bytes of the largest free block.
        fragmentation: share of the free bytes that are not in the largest free block, from 0 to 1.
        reclaimable_bytes: estimate of the bytes by which ``compact()`` could shorten the file now, with the
            snapshots that are open.
        oldest_snapshot: number of the oldest commit on which a snapshot is open, in this process or another;
            None if there is no snapshot.
        held_bytes: bytes in limbo that would be free if there were no snapshots.
        written_bytes: bytes that the last commit of this handle wrote; 0 before its first commit.
        written_runs: number of pieces in which it wrote them.
    """

    path: str
    transaction: int
    lists: dict[str, int]
    changes: int
    file_bytes: int
    disk_bytes: int
    used_bytes: int
    raw_bytes: int
    free_bytes: int
    limbo_bytes: int
    free_blocks: int
    largest_free: int
    fragmentation: float
    reclaimable_bytes: int
    oldest_snapshot: int | None
    held_bytes: int
    written_bytes: int
    written_runs: int

    def __repr__(self) -> str:
        return shown_record(self)


def stats(handle: Handle) -> Stats:
    """Return the use of the bytes of a region. O(free blocks + region pages of 64 KiB)."""
    with handle.latch.held():
        lengths = {name: entry.tree[3] for name, entry in handle.entries.items()}
        lengths |= {name: index.length for name, index in handle.indexes.items()}
        space = handle.space
        length = max(space.used_end(), handle.slot.length)
        blocks = [(a, min(n, length - a)) for a, n in space.free_blocks(0, length)]
        uses = total_uses(space, length)
        oldest = oldest_snapshot(handle)
        held = 0 if oldest is None else space.held_bytes(oldest, handle.header.floor)
        gain = reclaimable(handle, space, oldest)
    free = uses["free"]
    largest = max((size for _, size in blocks), default=0)
    device = handle.region.device
    return Stats(
        path=handle.path,
        transaction=handle.slot.transaction,
        lists=dict(sorted(lengths.items())),
        changes=handle.changes,
        file_bytes=device.size(),
        disk_bytes=device.allocated(),
        used_bytes=length - free - uses["limbo"],
        raw_bytes=uses["raw"],
        free_bytes=free,
        limbo_bytes=uses["limbo"],
        free_blocks=len(blocks),
        largest_free=largest,
        fragmentation=1 - largest / free if free else 0.0,
        reclaimable_bytes=gain,
        oldest_snapshot=oldest,
        held_bytes=held,
        written_bytes=handle.wrote[0],
        written_runs=handle.wrote[1],
    )
