"""Power cuts, enumerated: ten thousand distinct states of what a disk may hold, each judged."""

import random

import pytest

from powercut import judging
from powercut.__main__ import main
from powercut.cutting import cuts, subsets
from powercut.disk import ALL, NONE, RETAINED, Disk, Probe
from powercut.running import RANDOM, replay, run
from powercut.workloads import SHORT, SHORT_SEQUENCES, Failure, play
from support import LONG, chosen_seed, scaled

pytestmark = pytest.mark.usefixtures("damaged")

STATES = scaled(10_000, 600, 200_000)


def test_power_cuts(capsys):
    """Short and random workloads: no state breaks a promise. The seed of the random ones is printed."""
    first = chosen_seed(RANDOM)
    # With a budget for each workload, so that many of them have a turn.
    tally = run(STATES, most=4096 if LONG else 40, budget=1500 if LONG else 60, first=first)
    with capsys.disabled():
        print(f"\nrandom workloads from STABLEMEM_SEED={first}: {tally}")
    assert not tally.found, "\n".join(map(str, tally.found))
    assert tally.states >= STATES
    kinds = " ".join(tally.kinds)
    for kind in (
        "none",
        "all",
        "subset",
        "torn page",
        "torn slot",
        "kill",
        "after a failed sync",
        "second cut",
    ):
        assert kind in kinds


def test_every_short_sequence_is_among_the_workloads():
    assert SHORT == 20 + 20**2 + 20**3
    assert play(SHORT_SEQUENCES.index("Acr")).steps == ["new file, Acr"]
    assert play(SHORT + SHORT_SEQUENCES.index("Acr")).steps == ["used file, Acr"]


@pytest.mark.parametrize("seed", [17, SHORT + 1234, RANDOM + 9])
def test_a_seed_replays(seed, capsys):
    """The same seed gives the same events and the same states, by number."""
    one, two = play(seed), play(seed)
    assert one.events == two.events
    assert one.marks == two.marks
    found = [(cut.number, str(cut)) for cut in cuts(one, Disk(), 16)]
    assert found == [(cut.number, str(cut)) for cut in cuts(two, Disk(), 16)]
    assert [number for number, _ in found] == [*range(1, len(found) + 1)]
    assert replay(seed, found[-1][0], 16) is None
    assert found[-1][1] in capsys.readouterr().out


@pytest.mark.parametrize("seed", [1386500364, 1386500291])
def test_seeds_that_found_something(seed):
    """Both: a reader stood on a commit that left no trace, and the next writer took its number."""
    assert not run(1 << 40, 24, scaled(100, 20), which=[seed]).found


def test_every_subset_of_twelve():
    """Up to 12 pieces: every subset; more of them: the chosen kinds, as many as asked for."""
    rng = random.Random(1)
    assert len({tuple(kept) for _, kept in subsets(12, rng, 4096)}) == 4096
    some = list(subsets(40, rng, 100))
    assert 60 < len(some) <= 100
    assert {kind for kind, _ in some} == {"none", "all", "only one", "all but one", "pair", "random"}


def test_disk():
    """The model of a disk: pieces, growth, cutting, images taken off again, failed syncs."""
    disk = Disk(b"a" * 5000)
    disk.play(("write", 4000, b"b" * 200))
    disk.play(("write", 5000, bytes(20_000)))
    disk.play(("write", 6000, b"c" * 10))
    assert [piece[0] for piece in disk.loose] == [4000, 4096, 25_000, 6000]

    def image(*kept):
        pages, length, key = disk.build([disk.loose[one] for one in kept])
        disk.lay(pages, length)
        found = disk.bytes()
        disk.clear()
        assert disk.bytes() == disk.safe
        return found, key

    assert image()[0] == b"a" * 5000
    assert image(0)[0] == b"a" * 4000 + b"b" * 96 + b"a" * 904
    assert image(3)[0] == b"a" * 5000 + bytes(1000) + b"c" * 10
    assert len(image(2)[0]) == 25_000
    assert len({image(*kept)[1] for kept in ((), (0,), (1,), (2,), (3,), (0, 1))}) == 6
    disk.play(("sync",))
    disk.play(("truncate", 4096))
    assert image(0)[0] == b"a" * 4000 + b"b" * 96
    assert len(disk.safe) == 25_000
    for choice, length, waiting in ((NONE, 25_000, 0), (ALL, 4096, 0), (RETAINED, 25_000, 1)):
        other = Disk(bytes(disk.safe))
        other.play(("truncate", 4096))
        other.play(("failed", None), choice)
        assert (len(other.safe), len(other.loose)) == (length, waiting)
        other.close()
    probe = Probe(disk)
    probe.write(10, b"scribble")
    probe.truncate(100)
    disk.clear()
    assert disk.bytes() == disk.safe
    disk.close()


def test_a_failure_prints_what_replays_it(monkeypatch, capsys):
    """The line of a failure, run as it stands, meets the same failure."""
    sound = judging.verify

    def broken(store):
        report = sound(store)
        if len(report.lists) and store.slot.transaction > 4:
            report.faults.append("planted")
        return report

    monkeypatch.setattr(judging, "verify", broken)
    tally = run(1 << 40, 16, 100, first=RANDOM, stop=1)
    (found,) = tally.found
    line = str(found).splitlines()[0].split()
    assert line[:3] == ["python", "-m", "powercut"]
    monkeypatch.setattr("sys.argv", line[2:])
    assert main() == 1
    printed = capsys.readouterr().out
    assert found.message in printed
    assert found.cut in printed
    monkeypatch.setattr(judging, "verify", sound)
    assert main() == 0
    assert "sound" in capsys.readouterr().out


def test_command_line(monkeypatch, capsys):
    """Processes share the work; the counts are printed."""
    monkeypatch.setattr("sys.argv", ["powercut", "--states", "400", "--most", "8", "--budget", "20"])
    assert main() == 0
    assert "distinct states" in capsys.readouterr().out


def test_a_workload_that_fails_says_so(monkeypatch):
    monkeypatch.setattr("powercut.workloads._step", lambda session, step, number: 1 / 0)
    with pytest.raises(Failure, match="ZeroDivisionError"):
        play(3)
