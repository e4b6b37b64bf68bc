"""Which free pages are given back to the disk."""

from stablemem._core.space.punching import HOLE_LEAST, LOOK_EVERY, LOOK_SOON, Holes

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
    holes.committed([(MIB, 65536)], 0, MIB)
    assert holes.look(idle) == [(0, MIB), (MIB + 65536, 3 * MIB - 65536)]
    holes.committed([(0, 2 * MIB)], 0, MIB)
    assert holes.look(idle) == []
    assert holes.look(idle) == [(0, 2 * MIB)]


def test_it_is_time_after_so_many_commits():
    holes = Holes()
    for _ in range(LOOK_EVERY - 1):
        assert not holes.committed([], MIB, 2 * MIB)
    assert holes.committed([], MIB, 2 * MIB)
    holes.look([])
    assert not holes.committed([], MIB, 2 * MIB)


def commits_until_a_look(holes, idle, end):
    """Count the commits up to the one that looks."""
    total = sum(size for _, size in idle)
    return next(number for number in range(1, 1000) if holes.committed([], total, end))


def test_it_is_time_soon_when_most_has_become_free():
    holes = Holes()
    idle = [(0, 90 * MIB)]
    assert commits_until_a_look(holes, idle, 100 * MIB) == LOOK_SOON
    assert holes.look(idle) == []
    assert commits_until_a_look(holes, idle, 100 * MIB) == LOOK_SOON
    assert holes.look(idle) == idle
    # Nothing more to be had: as seldom as ever.
    assert commits_until_a_look(holes, idle, 100 * MIB) == LOOK_EVERY
    assert holes.look(idle) == []
    more = [(0, 90 * MIB), (100 * MIB, 30 * MIB)]
    assert commits_until_a_look(holes, more, 130 * MIB) == LOOK_SOON
    holes.look(more)
    assert commits_until_a_look(holes, more, 130 * MIB) == LOOK_SOON
    assert holes.look(more) == more[1:]


def test_many_short_runs_bring_no_looks_before_their_time():
    holes = Holes()
    idle = [(number * MIB, MIB - 65536) for number in range(90)]
    waits = []
    for _ in range(4):
        waits.append(commits_until_a_look(holes, idle, 90 * MIB))
        assert holes.look(idle) == []
    assert waits == [LOOK_SOON, LOOK_SOON, LOOK_EVERY, LOOK_EVERY]
