"""SIGKILL in the middle of the work: nothing committed is lost, nothing else is there."""

import os
import random
import signal

import pytest

from stablemem import MemoryRegion
from support import chosen_seed, scaled
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
    kills = scaled(50, 16, 5000)
    with Nursery(tmp_path) as nursery:
        for kill in range(kills):
            one = rng.randrange(1 << 30)
            least = rng.choice([0, 0, 1, 2, 5, 20])
            reported = nursery.run_and_kill(path, one, unsynced, least)
            assert reported >= least
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
    assert done >= kills


CALLS = ("open", "fsync", "fdatasync", "ftruncate", "pwrite", "pwritev", "link", "rename", "unlink")
"""What making a file asks of the kernel."""


def make_and_die(path, before):
    """Make a region in a child that is killed before so many calls; return what it asked for, or None."""
    pid = os.fork()
    if pid == 0:
        asked = 0

        def counted(real):
            def call(*arguments, **more):
                nonlocal asked
                if asked == before:
                    os.kill(os.getpid(), signal.SIGKILL)
                asked += 1
                return real(*arguments, **more)

            return call

        try:
            for name in CALLS:
                setattr(os, name, counted(getattr(os, name)))
            MemoryRegion(path)
        finally:
            os._exit(asked)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return None
    return os.WEXITSTATUS(status)


def test_killed_while_creating(tmp_path):
    """A file of the name is always a whole region, however early its maker dies."""
    asked = make_and_die(str(tmp_path / "whole.smem"), -1)
    assert asked >= 6
    seen = []
    for before in range(asked):
        path = str(tmp_path / f"new{before}.smem")
        assert make_and_die(path, before) is None
        seen.append(os.path.exists(path))
        if seen[-1]:
            with MemoryRegion(path, "r") as region:
                region.verify()
        with MemoryRegion(path, "a") as region:
            region.buffer("main").append(1)
    assert seen == sorted(seen)
    assert set(seen) == {False, True}
    for left in tmp_path.glob(".*.new"):
        left.unlink()  # a killed maker may leave its temporary file, and nothing else
