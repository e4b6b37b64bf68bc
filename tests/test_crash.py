"""SIGKILL in the middle of the work: nothing committed is lost, nothing else is there."""

import os
import random
import subprocess
import sys
import time

import pytest

from stablemem import MemoryRegion
from support import chosen_seed, environment, scaled
from support.crasher import MOST, Nursery, commits
from support.player import Player
from support.recorded import contents, prove


def states_from(seed, start, unsynced):
    """Yield what the lists hold at each commit of a crasher, the start first."""
    player = Player(seed, None, start=start, most=MOST)
    yield player.committed
    for _ in commits(player, unsynced):
        player.commit()
        yield player.committed


@pytest.mark.parametrize("unsynced", [0, 1], ids=["synced", "unsynced"])
def test_killed_again_and_again(tmp_path, unsynced):
    """The same file through a chain of killed writers; every one starts where the one before stopped."""
    seed = chosen_seed()
    print(f"STABLEMEM_SEED={seed}")
    rng = random.Random(seed)
    path = str(tmp_path / "list.smem")
    with MemoryRegion(path) as region:
        held = contents(region)
        region.buffer("main", "bytes")
        region.buffer("second", "bytes")
    done = 0
    kills = scaled(100, 25, 5000)
    with Nursery(tmp_path) as nursery:
        for kill in range(kills):
            one = rng.randrange(1 << 30)
            delay = rng.choice([0.0, 0.001, 0.01, 0.05]) * rng.random()
            reported = nursery.run_and_kill(path, one, unsynced, delay)
            with MemoryRegion(path, "r") as region:
                found = contents(region)
                region.verify()
            states = states_from(one, held, unsynced)
            passed = [next(states) for _ in range(reported + 2)]
            assert found in passed[reported:], (
                f"seed {seed}, kill {kill}: not commit {reported}, which was reported, nor the one after it"
            )
            done += reported
            held = found
            if kill % 3 == 2:
                # A writer that is not killed finds everything whole and goes on.
                with MemoryRegion(path, "r+") as region:
                    region.buffer("main").append(b"between two kills")
                    region.commit()
                    prove(region)
                    held = contents(region)
    print(f"{kills} kills, {done} commits reported before them, none lost")


def test_killed_while_creating(tmp_path):
    """A file of the name is always a whole region, however early its maker dies."""
    code = "import sys; from stablemem import MemoryRegion; print('x', flush=True); MemoryRegion(sys.argv[1])"
    for number in range(scaled(10, 4)):
        path = str(tmp_path / f"new{number}.smem")
        process = subprocess.Popen(
            [sys.executable, "-c", code, path], stdout=subprocess.PIPE, env=environment()
        )
        with process:
            process.stdout.readline()
            time.sleep(0.0005 * number)
            process.kill()
        if os.path.exists(path):
            with MemoryRegion(path, "r") as region:
                region.verify()
        with MemoryRegion(path, "a") as region:
            region.buffer("main").append(1)
    for left in tmp_path.glob(".*.new"):
        left.unlink()  # a killed maker may leave its temporary file, and nothing else
