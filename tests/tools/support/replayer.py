"""A deterministic life of a region in a file, the same bytes in every mode.

python -m support.replayer PATH SEED WORKLOAD
"""

import random
import sys
from unittest.mock import patch

from stablemem import COMPILED, MemoryRegion
from stablemem._core.txn import handle
from stablemem._core.txn.opening import open_handle
from support.player import Player

from .probe import handle_of

__all__ = ["WORKLOADS", "live", "main"]

FILE_ID = bytes(range(16))
BOOT = b"the boot of ever"
NEVER = 1e9


def opened(path):
    """Return a region with nothing random in it."""
    return MemoryRegion._of(open_handle(path, "a", file_id=FILE_ID, boot=BOOT), "a")


def mixed(path, seed):
    """Random changes to two lists: commits of both kinds, rollbacks, early write-outs, blocks, reopening."""
    region = opened(path)
    player = Player(seed, region, most=700)
    for number in range(120):
        player.change()
        if number % 9 == 4:
            player.commit(sync=number % 2 == 0)
        if number % 31 == 30:
            player.rollback()
        if number % 13 == 12:
            handle_of(region).write_early()
        if number % 17 == 16:
            with region.transaction():
                player.change()
                with region.transaction():
                    player.change()
            player.keep()
        if number % 40 == 39:
            region.close()
            player.keep()
            region = opened(path)
            player = Player(f"{seed} {number}", region, most=700)
    region.close()


def large(path, seed):
    """Three levels, whole subtrees deleted, more pending bytes than the budget."""
    region = opened(path)
    values = region.buffer("main", "bytes")
    values.extend([b"%d" % number * (number % 4) for number in range(50_000)])
    region.commit()
    values.extend([bytes([number % 256]) * 100_000 for number in range(60)])
    del values[1000:40_000]
    region.commit()
    values[500:600] = [b"x%d" % number for number in range(3000)]
    del values[::7]
    region.commit()
    region.close()


def small(path, seed):
    """What the golden file holds."""
    region = opened(path)
    text = region.buffer("main", "text")
    plain = region.buffer("plain", "bytes")
    packed = region.buffer("packed")
    text.extend(["", "eight by", "nine byte", "z\u00fcrich", "a longer text " * 20])
    region.commit()
    plain.extend([b"%d" % number * (number % 5) for number in range(240)])
    packed.extend([None, True, 1.5, 2**40, "text", b"bytes", [1, [2]], {"key": "value", "other": [1.25]}])
    region.commit()
    del plain[100:200]
    plain[0] = bytes(range(256)) * 20
    text.insert(1, "inserted")
    region.commit(sync=False)
    packed.append("the last")
    region.commit()
    region.close()


def best(path, seed):
    """Raw blocks and a list, placed by best fit; two openings."""
    rng = random.Random(seed)
    for _ in range(2):
        region = opened(path)
        handle_of(region).fit("best")
        values = region.buffer("main", "bytes")
        blocks = []
        for number in range(1500):
            if blocks and rng.random() < 0.45:
                region.deallocate(*blocks.pop(rng.randrange(len(blocks))))
            else:
                size = rng.choice([rng.randrange(1, 100), rng.randrange(1, 3000)])
                blocks.append((region.add_blob(bytes([number % 251]) * size), size))
            values.append(bytes([number % 251]) * rng.randrange(9, 300))
            if len(values) > 300:
                del values[rng.randrange(300)]
            if number % 100 == 50:
                region.commit(sync=number % 200 == 50)
        region.close()


WORKLOADS = {"mixed": mixed, "large": large, "small": small, "best": best}


def live(path, seed, workload):
    """Make a region and let it live; no clock decides what is synced."""
    with patch.object(handle, "UNSYNCED_SECONDS", NEVER):
        WORKLOADS[workload](path, seed)


def main():
    """Make a region; say in which mode."""
    live(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    print(COMPILED)


if __name__ == "__main__":
    main()
