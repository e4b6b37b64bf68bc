"""Which free pages are given back to the disk."""

from stablemem._core.holes import HOLE_LEAST, LOOK_EVERY, Holes

MIB = 1 << 20


def test_only_what_was_free_at_two_looks():
    holes = Holes()
    assert holes.look([(0, 4 * MIB)]) == []
    assert holes.look([(MIB, 2 * MIB), (8 * MIB, MIB)]) == [(MIB, 2 * MIB)]
    assert holes.look([(MIB, 2 * MIB), (8 * MIB, MIB)]) == [(8 * MIB, MIB)]
    assert holes.look([(MIB, 2 * MIB), (8 * MIB, MIB)]) == []


def test_short_runs_are_left():
    holes = Holes()
    holes.look([(0, HOLE_LEAST - 65536)])
    assert holes.look([(0, HOLE_LEAST - 65536)]) == []
    assert holes.look([(0, HOLE_LEAST)]) == []
    # Only part of it is new, but the run is long enough now.
    assert holes.look([(0, HOLE_LEAST)]) == [(0, HOLE_LEAST)]


def test_pages_that_were_used_meanwhile_begin_anew():
    holes = Holes()
    idle = [(0, 4 * MIB)]
    holes.look(idle)
    holes.committed([(MIB, 65536)])
    assert holes.look(idle) == [(0, MIB), (MIB + 65536, 3 * MIB - 65536)]
    holes.committed([(0, 2 * MIB)])
    assert holes.look(idle) == []
    assert holes.look(idle) == [(0, 2 * MIB)]


def test_it_is_time_after_so_many_commits():
    holes = Holes()
    for _ in range(LOOK_EVERY - 1):
        assert not holes.committed([])
    assert holes.committed([])
    holes.look([])
    assert not holes.committed([])
