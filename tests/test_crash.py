"""SIGKILL in the middle of the work: nothing committed is lost, nothing else is there."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from stablemem import MemoryRegion
from support import chosen_seed, environment, scaled
from support.crasher import MOST, commits
from support.player import Player
from support.recorded import contents, prove


def states_from(seed, start, unsynced):
    """Yield what the lists hold at each commit of a crasher, the start first."""
    player = Player(seed, None, start=start, most=MOST)
    yield player.committed
    for _ in commits(player, unsynced):
        player.commit()
        yield player.committed


def read_lines(process, delay, rng):
    """Kill a crasher ``delay`` seconds after it is ready; return the number of its last finished commit."""
    assert process.stdout.readline() == b"ready\n"
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    lines = process.stdout.read().split(b"\n")
    process.wait()
    # A line that was cut short was begun after its commit had returned.
    numbers = [int(line) for line in lines[:-1]] + ([int(lines[-1])] if lines[-1] else [])
    return max([number for place, number in enumerate(numbers, 1) if number == place], default=0)


@pytest.mark.parametrize("unsynced", [0, 1], ids=["synced", "unsynced"])
def test_killed_again_and_again(path, unsynced):
    """The same file through a chain of killed writers; every one starts where the one before stopped."""
    seed = chosen_seed()
    print(f"STABLEMEM_SEED={seed}")
    rng = random.Random(seed)
    with MemoryRegion(path) as region:
        held = contents(region)
        region.buffer("main", "bytes")
        region.buffer("second", "bytes")
    done = 0
    for kill in range(scaled(8, 4, 150)):
        one = rng.randrange(1 << 30)
        process = subprocess.Popen(
            [sys.executable, "-m", "support.crasher", path, str(one), str(unsynced)],
            stdout=subprocess.PIPE, env=environment(),
        )  # fmt: skip
        with process:
            reported = read_lines(process, rng.choice([0.0, 0.01, 0.05, 0.15]) * rng.random(), rng)
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
    print(f"{done} commits")


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
