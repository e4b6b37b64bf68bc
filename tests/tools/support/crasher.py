"""Processes that change a region until they are killed, and write down each commit that is done.

``Nursery`` starts one process, which forks the others: so a kill costs milliseconds.
"""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from stablemem import MemoryRegion
from support import HANGS, environment
from support.player import Player
from support.waiting import wait_for

from .probe import handle_of

__all__ = ["CHANGES", "MOST", "Nursery", "commits", "main"]

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
            handle_of(player.region).write_early()
        yield not (unsynced and rng.random() < 0.7)


class Nursery:
    """A process that forks crashers, and their killer.

    Args:
        folder: where they write down what they did.
    """

    def __init__(self, folder):
        self.log = Path(folder) / "done"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.crasher"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def run_and_kill(self, path, seed, unsynced, least):
        """Kill a crasher that has opened the region and told of so many commits; return its last one."""
        self.log.write_bytes(b"")
        print(
            json.dumps([str(path), seed, bool(unsynced), str(self.log)]), file=self.process.stdin, flush=True
        )
        pid = int(self.process.stdout.readline())
        wait_for(lambda: self.log.read_bytes().count(b"\n") > least)
        os.kill(pid, signal.SIGKILL)
        status = int(self.process.stdout.readline())
        assert os.WTERMSIG(status) == signal.SIGKILL, f"it ended by itself, with status {status}"
        # Each line is one write, begun when the commit had returned.
        lines = self.log.read_bytes().split(b"\n")
        return int(lines[-2]) if lines[-2].isdigit() else 0


def crash(path, seed, unsynced, log):
    """Change the region until killed."""
    done = os.open(log, os.O_WRONLY | os.O_APPEND)
    region = MemoryRegion(path, timeout=HANGS)
    player = Player(seed, region, most=MOST)
    os.write(done, b"ready\n")
    for number, sync in enumerate(commits(player, unsynced), 1):
        player.commit(sync)
        os.write(done, b"%d\n" % number)


def main():
    """Fork a crasher for each line of standard input; print its pid, and its status when it is dead."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                crash(*json.loads(line))
            finally:
                os._exit(1)
        print(pid, flush=True)
        print(os.waitpid(pid, 0)[1], flush=True)


if __name__ == "__main__":
    main()
