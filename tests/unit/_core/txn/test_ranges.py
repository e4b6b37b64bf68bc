"""Ranges beside a list of entries that is searched from end to end."""

import random

import pytest

from stablemem._core.txn.ranges import LEAST, MOST, Ranges
from support import chosen_seed, scaled
from support.steps import steps


def over(model, start, stop):
    return [entry for entry in model if entry[0] < stop and entry[1] > start]


def laid(number, gap=3):
    """Return so many entries of 1 to 3 bytes with gaps between some."""
    return [(at * gap, at * gap + 1 + at % gap, at) for at in range(number)]


def test_nothing():
    ranges = Ranges()
    assert (len(ranges), list(ranges), ranges.over(0, 100), ranges.take(0, 100)) == (0, [], [], [])
    assert ranges.replace(5, 6, "x") is None
    assert list(ranges.copy()) == []
    assert ranges.check() == []


@pytest.mark.parametrize("number", [1, LEAST, MOST // 2, MOST // 2 + 1, MOST, MOST + 1, 5 * MOST])
def test_every_place(number):
    model = laid(number)
    ranges = Ranges(iter(model))
    assert ranges.check() == []
    assert list(ranges) == model
    for start in range(0, 3 * number, 1 + number // 40):
        for size in (1, 2, 7):
            assert ranges.over(start, start + size) == over(model, start, start + size)
    assert ranges.over(0, 3 * number) == model


@pytest.mark.parametrize("order", ["up", "down", "random"])
def test_added_one_by_one(order):
    model = laid(4 * MOST)
    entries = {"up": model, "down": model[::-1], "random": random.Random(1).sample(model, len(model))}[order]
    ranges = Ranges()
    for number, entry in enumerate(entries, 1):
        ranges.add(*entry)
        assert len(ranges) == number
    assert ranges.check() == []
    assert list(ranges) == model
    for entry in entries:
        assert ranges.replace(*entry[:2], "new") == entry[2]
        assert ranges.replace(entry[0], entry[1] + 1, "longer") is None
        assert ranges.take(entry[0], entry[0] + 1) == [(*entry[:2], "new")]
    assert ranges.check() == []
    assert list(ranges) == []


def test_what_is_left_of_many_lies_in_few_chunks():
    ranges, model = Ranges(laid(100 * MOST)), laid(100 * MOST)
    for place, entry in enumerate(model):
        if place % MOST:
            assert ranges.take(*entry[:2]) == [entry]
    assert ranges.check() == []
    assert list(ranges) == model[::MOST]
    assert len(ranges._chunks) <= 100 // LEAST + 2


@pytest.mark.parametrize("seed", [chosen_seed(), chosen_seed(1)])
def test_random_work(seed):
    """And copies: each stays as it was, whatever is done to another."""
    print(f"STABLEMEM_SEED={seed}")
    rng = random.Random(seed)
    ranges, model = Ranges(), []
    kept = []
    for step in range(scaled(1500, 400)):
        start = rng.randrange(20_000)
        stop = start + rng.choice([1, 1, 8, 100, 5000])
        what = rng.random()
        if what < 0.05:
            entries = laid(rng.randrange(2 * MOST), rng.choice([3, 9]))
            ranges, model = Ranges(entries), entries
        elif what < 0.5:
            if not over(model, start, stop):
                ranges.add(start, stop, step)
                model = sorted([*model, (start, stop, step)])
        elif what < 0.7 and model:
            place = rng.randrange(len(model))
            before = model[place]
            model = [*model[:place], (*before[:2], step), *model[place + 1 :]]
            assert ranges.replace(*before[:2], step) == before[2]
        elif what < 0.8:
            taken = over(model, start, stop)
            assert ranges.take(start, stop) == taken
            model = [entry for entry in model if entry[0] >= stop or entry[1] <= start]
        elif what < 0.9:
            kept.append((ranges.copy(), model))
        elif kept and what < 0.95:
            # Go on with a copy; the one that was gone on with is kept.
            number = rng.randrange(len(kept))
            kept[number], (ranges, model) = (ranges, model), kept[number]
        assert ranges.over(start, stop) == over(model, start, stop)
        if step % 50 == 0:
            assert ranges.check() == []
            assert list(ranges) == model
    for copied, then in [*kept, (ranges, model)]:
        assert copied.check() == []
        assert list(copied) == then


def test_faults_are_found():
    for spoil in (
        lambda ranges: ranges._chunks[0].stops.__setitem__(0, 5),
        lambda ranges: ranges._chunks[0].stops.__setitem__(0, 0),
        lambda ranges: ranges._firsts.__setitem__(1, 1),
        lambda ranges: setattr(ranges, "_count", 7),
        lambda ranges: ranges._chunks.append(ranges._chunks[0].part(None, 0, 0)),
    ):
        ranges = Ranges(laid(MOST))
        assert ranges.check() == []
        spoil(ranges)
        assert ranges.check() != []


def test_steps_do_not_grow_with_the_number():
    calls = [
        lambda ranges, at: ranges.over(at, at + 1),
        lambda ranges, at: ranges.replace(at, at + 1, "new"),
        lambda ranges, at: ranges.take(at, at + 1),
        lambda ranges, at: ranges.add(at, at + 1, "again"),
        lambda ranges, _: ranges.copy(),
    ]
    few, many = Ranges(laid(MOST)), Ranges(laid(100 * MOST))
    for call in calls:
        for place in (0, 1, MOST // 3):
            in_few = steps(lambda: call(few, 3 * place))  # noqa: B023 - called at once
            # A chunk may be taken over, or cut in two, in one and not in the other.
            assert steps(lambda: call(many, 300 * place)) <= in_few + 25  # noqa: B023
