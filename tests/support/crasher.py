"""A process that changes a region until it is killed, and says after each commit that it is done.

    python -m support.crasher PATH SEED UNSYNCED

Line by line on standard output: "ready", then the number of each commit once it has returned.
"""

import os
import random
import sys

from stablemem import MemoryRegion
from support.player import Player

__all__ = ["CHANGES", "commits", "main"]

CHANGES = 4
MOST = 400


def commits(player, unsynced):
    """Change a player's lists for ever; yield whether each coming commit is to be synced."""
    rng = random.Random(player.seed ^ 0x5EED)
    while True:
        for _ in range(rng.randrange(1, 2 * CHANGES)):
            player.change()
        chance = rng.random()
        if chance < 0.05:
            player.rollback()
            player.change()
        elif chance < 0.2 and player.region is not None:
            player.region._store.write_early()
        yield not (unsynced and rng.random() < 0.7)


def main():
    """Run until killed."""
    path, seed, unsynced = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1"
    region = MemoryRegion(path, timeout=10)
    player = Player(seed, region, most=MOST)
    os.write(1, b"ready\n")
    for number, sync in enumerate(commits(player, unsynced), 1):
        player.commit(sync)
        os.write(1, b"%d\n" % number)


if __name__ == "__main__":
    main()
