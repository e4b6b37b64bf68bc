"""The list's calls against list's own, argument by argument."""

import itertools
import operator
import random
import sys

import pytest

from stablemem import COMPILED, BlobifyError, MemoryBuffer, StableMemoryError
from stablemem.layout import LEAF_CAPACITY
from support import chosen_seed, scaled
from support.errors import as_list_says
from support.probe import handle_of
from support.steps import steps

SIZES = [0, 1, 5, LEAF_CAPACITY, LEAF_CAPACITY + 1, 700]
BOUNDS = [None, 0, 1, 3, -1, -2, 5, -5, 6, -6, 100, -100, sys.maxsize, -sys.maxsize - 1, 1 << 70, -(1 << 70)]
STEPS = [None, 1, -1, 2, -2, 7, 1 << 70, -(1 << 70)]


class Five:
    def __index__(self):
        return 5


@pytest.fixture
def values():
    with MemoryBuffer() as made:
        yield made


def both(values, model, call):
    """Do the same to both; they give the same, or raise the same with the same words."""
    outcomes = []
    for each in (model, values):
        try:
            outcomes.append(call(each))
        except (IndexError, ValueError, TypeError) as error:
            words = as_list_says(error)
            if "cannot fit 'int'" in words:
                words = "list index out of range"  # said of larger numbers by list, of 2**62 by us
            outcomes.append((type(error), words.replace("assignment ", "")))
    assert outcomes[0] == outcomes[1]
    assert values[:] == model


@pytest.mark.parametrize("size", SIZES)
def test_reading(values, size):
    model = list(range(size))
    values.extend(model)
    for index in [bound for bound in BOUNDS if bound is not None]:
        both(values, model, operator.itemgetter(index))
    both(values, model, operator.itemgetter(Five()))
    both(values, model, operator.itemgetter(True))
    for start, stop, step in itertools.product(BOUNDS[:12], BOUNDS[:12], STEPS):
        assert values[start:stop:step] == model[start:stop:step]
    assert list(values) == model
    assert list(reversed(values)) == model[::-1]
    assert len(values) == size
    assert bool(values) == bool(model)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("index", [bound for bound in BOUNDS if bound is not None])
def test_changing_one(values, size, index):
    model = list(range(size))
    values.extend(model)
    for call in (
        lambda each: each.__setitem__(index, "set"),
        lambda each: each.__delitem__(index),
        lambda each: each.insert(index, "inserted") if abs(index) < 1 << 63 else None,
        lambda each: each.append("appended"),
    ):
        both(values, model, call)
    if size and abs(index) < 1 << 63:
        for each in (model, values):
            if -len(each) <= index < len(each):
                each.pop(index)
            else:
                with pytest.raises(IndexError, match="pop index out of range"):
                    each.pop(index)
        assert values[:] == model


@pytest.mark.parametrize("size", [0, 1, 5, 300])
def test_assigning_slices(values, size):
    for start, stop, step in itertools.product(BOUNDS[:12:2], BOUNDS[:12], [None, 1, -1, 2, -3]):
        for given in ([], ["a"], ["a", "b", "c"], list(range(300))):
            model = list(range(size))
            values[:] = model
            both(values, model, lambda each, g=given, s=slice(start, stop, step): each.__setitem__(s, g))
        model = list(range(size))
        values[:] = model
        chosen = len(model[start:stop:step])
        both(values, model, lambda each, s=slice(start, stop, step), n=chosen: each.__setitem__(s, "x" * n))
        both(values, model, lambda each, s=slice(start, stop, step): each.__delitem__(s))


@pytest.mark.parametrize("bad", [slice("a"), slice(None, None, 0), slice(1.5, 2), slice(0, 2, "x")])
def test_bad_slices_change_nothing_and_block_nothing(values, bad):
    model = [1, 2, 3]
    values.extend(model)
    for call in (
        operator.itemgetter(bad),
        lambda each: each.__setitem__(bad, [5]),
        lambda each: each.__delitem__(bad),
        lambda each: each.append(4),
    ):
        both(values, model, call)
    assert values.stats().changes > 0


def test_a_slice_whose_bounds_use_the_list(values):
    class Nosy:
        def __index__(self):
            values.append("from within")
            return 1

    values.extend([1, 2, 3])
    assert values[Nosy() :] == [2, 3, "from within"]
    del values[Nosy() : 2]
    assert values[:] == [1, 3, "from within", "from within"]
    values[Nosy() :] = []
    assert values[:] == [1]


def test_assigning_what_is_no_iterable(values):
    model = [1, 2, 3]
    values.extend(model)
    both(values, model, lambda each: each.__setitem__(slice(0, 1), 5))
    both(values, model, lambda each: each.__setitem__(slice(0, 3, 2), "abc"))
    both(values, model, lambda each: each.__setitem__(slice(0, 3, 2), "ab"))


def test_assigning_and_extending_by_itself(values):
    model = [1, 2, 3]
    values.extend(model)
    values.extend(values)
    model.extend(model)
    assert values[:] == model
    values[1:3] = values
    model[1:3] = model
    assert values[:] == model
    values += values
    model += model
    assert values[:] == model
    values[::-1] = values
    model[::-1] = model
    assert values[:] == model
    values.extend(iter(values[:3]))
    assert values[:] == model + model[:3]


def test_popping(values):
    model = list(range(600))
    values.extend(model)
    for index in (-1, 0, 300, -300, 5, -1):
        assert values.pop(index) == model.pop(index)
    assert values.pop() == model.pop()
    assert values[:] == model
    values.clear()
    with pytest.raises(IndexError, match="pop from empty list"):
        values.pop()
    with pytest.raises(IndexError, match="pop from empty list"):
        values.pop(3)


def test_iterators_see_changes_as_those_of_list_do(values):
    def script(each):
        seen = []
        iterator = iter(each)
        seen.append(next(iterator))
        each.append("appended")
        seen.append(next(iterator))
        del each[0]
        seen.append(next(iterator))
        each.insert(0, "in front")
        seen.append(next(iterator))
        each[4:] = ["x"] * 3
        seen += list(iterator)
        each.append("after the end")
        seen.append(next(iterator, "exhausted for good"))
        backwards = reversed(each)
        seen.append(next(backwards))
        each.append("not seen")
        seen.append(next(backwards))
        del each[-4:]
        seen += list(backwards)
        return seen

    model = list(range(400))
    values.extend(model)
    assert script(values) == script(model)


def change(rng, length):
    """Return a change, somewhere, or near an end, that list has as well."""
    at = rng.choice([0, 1, length // 2, max(0, length - 2), length, rng.randrange(length + 1)])
    more = rng.choice([1, 2, 300])
    new = [f"new {rng.random()}" for _ in range(more)]
    return rng.choice(
        [
            lambda each: each.append(new[0]),
            lambda each: each.insert(at, new[0]),
            lambda each: each.extend(new),
            lambda each: each.pop() if each else None,
            lambda each: each.__delitem__(slice(at, at + more)),
            lambda each: each.__setitem__(slice(at, at), new),
            lambda each: each.__setitem__(slice(at, at + more), new[: len(each[at : at + more])]),
            lambda each: each.reverse(),
            *[lambda each: each.__setitem__(at, new[0]) if at < len(each) else None] * 8,
        ]
    )


@pytest.mark.parametrize("walk", [iter, reversed])
@pytest.mark.parametrize("most", [1, 3, 7, 8, 20])
def test_iterators_beside_any_changes(values, walk, most):
    """What was read ahead and has changed is not given; a change elsewhere takes nothing away."""
    print(f"STABLEMEM_SEED={chosen_seed()}")
    rng = random.Random(chosen_seed(most))
    for size in (1, 200, 700):
        model = [f"value {number}" for number in range(size)]
        values[:] = model
        ours, theirs = walk(values), walk(model)
        for step in range(scaled(400, 200)):
            for _ in range(rng.choice([0, 1, 1, most])):
                one = change(rng, len(model))
                one(model)
                one(values)
            expected = next(theirs, None)
            assert next(ours, None) == expected, f"step {step}"
            if expected is None:
                ours, theirs = walk(values), walk(model)
        assert values == model


@pytest.mark.parametrize("walk", [iter, reversed])
def test_what_rolls_back_takes_back_what_was_read(values, walk):
    values.extend(range(600))
    values.commit()
    values[300:] = ["changed"] * 300
    values[:300] = ["changed"] * 300
    iterator = walk(values)
    assert next(iterator) == "changed"
    values.rollback()
    assert next(iterator) == (1 if walk is iter else 598)
    values.append("more")
    assert next(iterator) == (2 if walk is iter else 597)
    with pytest.raises(KeyError), values.transaction():  # noqa: PT012 - what the exception does is tested
        values[:] = range(1000, 1600)
        assert next(iterator) in {1003, 1596}
        raise KeyError
    assert next(iterator) == (4 if walk is iter else 595)


WALKS = {
    "enumerate": enumerate,
    "items": lambda each: each.items(),
    "items, reverse": lambda each: each.items(reverse=True),
    "reversed": lambda each: ((len(each) - 1 - number, value) for number, value in enumerate(reversed(each))),
    "blobs": lambda each: enumerate(each.blobs()),
}
CHANGES = {
    "the value itself": lambda each, place, value: each.__setitem__(place, value),
    "one that is to come": lambda each, place, value: each.__setitem__((place + 9) % len(each), value),
    "several": lambda each, _, value: [each.__setitem__(place, value) for place in range(12)],
    "at the end": lambda each, _, value: each.append(value),
    "at the front": lambda each, _, value: each.insert(0, value),
    "from the front": lambda each, *_: each.__delitem__(0),
}


@pytest.mark.skipif(COMPILED, reason="steps are counted interpreted; compiled, the source is the same")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("walk", WALKS)
def test_a_change_within_a_loop_costs_what_it_costs_alone(walk, change):
    """Each change dropped all that had been read ahead: a leaf's worth was read anew at every step."""
    count = 300

    def loop(each):
        for number, (place, value) in enumerate(WALKS[walk](each)):
            if number == count:
                break
            CHANGES[change](each, place, value)

    def parts(each):
        for number in range(count):
            CHANGES[change](each, number, each[number])

    with MemoryBuffer.filled(3000, b"some value", blobify="bytes") as values:
        values[5] = b"begins the transaction"
        # What is read ahead at first may go for nothing, and up to twice what is of use from then on.
        assert steps(lambda: loop(values)) <= 2 * steps(lambda: parts(values))


def test_length_hints(values):
    values.extend(range(300))
    iterator = iter(values)
    assert operator.length_hint(iterator) == 300
    next(iterator)
    assert operator.length_hint(iterator) == 299
    values.append(1)
    assert operator.length_hint(iterator) == 300
    assert operator.length_hint(reversed(values)) == 301
    list(iterator)
    assert operator.length_hint(iterator) == 0
    assert iter(iterator) is iterator


def test_deleting_while_iterating(values):
    model = list(range(1000))
    values.extend(model)
    for each in (model, values):
        for value in each:
            if isinstance(value, int) and value % 3 == 0:
                del each[0]
    assert values[:] == model


def failing(values, after):
    yield from values[:after]
    raise KeyError("the iterable failed")


@pytest.mark.parametrize("after", [0, 1, 5000, 9000])
def test_extend_is_all_or_nothing(values, after):
    values.extend(["kept", "too"])
    values.commit()
    values.append("uncommitted, and kept")
    with pytest.raises(KeyError, match="the iterable failed"):
        values.extend(failing(list(range(10_000)), after))
    assert values[:] == ["kept", "too", "uncommitted, and kept"]
    with pytest.raises(BlobifyError) as caught:
        values.extend([*range(after), {1, 2}])
    assert caught.value.index == after
    assert values[:] == ["kept", "too", "uncommitted, and kept"]
    with pytest.raises(TypeError):
        values.extend(5)
    values.commit()
    assert values.verify().lists == {"main": 3}


def test_extend_by_what_commits_in_between(values):
    """A failing iterable that commits half of itself: none of it is in the list; the next commit says so."""

    def commits():
        yield from range(5000)
        values.commit()
        raise KeyError

    values.append("first")
    with pytest.raises(KeyError):
        values.extend(commits())
    assert values[:] == ["first"]
    with values.snapshot() as snapshot:
        assert snapshot[:1] == ["first"]
    values.append("last")
    values.commit()
    with values.snapshot() as snapshot:
        assert snapshot[:] == ["first", "last"]


def test_extend_takes_any_iterable(values):
    values.extend(range(3))
    values.extend("ab")
    values.extend({"k": 1})
    values.extend(iter([[1]]))
    values += (7, 8)
    assert values[:] == [0, 1, 2, "a", "b", "k", [1], 7, 8]


def test_extend_in_bounded_memory():
    """What is written early does not wait for the commit."""
    with MemoryBuffer(blobify="bytes") as values:
        most = 0

        def many():
            nonlocal most
            for number in range(scaled(400, 100)):
                most = max(most, handle_of(values).pager.pending_bytes)
                yield bytes([number % 256]) * 100_000

        values.extend(many())
        assert most < 8 << 20
        assert len(values) == scaled(400, 100)
        assert values[77] == bytes([77]) * 100_000


def test_values_of_every_size_around_the_limits():
    with MemoryBuffer(blobify="bytes") as values:
        model = [
            bytes([size % 256]) * size
            for size in [*range(20), 4095, 4096, 4097, 65535, 65536, 65537, 300_000]
        ]
        values.extend(model)
        assert values[:] == model
        values.commit()
        assert values[:] == model
        values.verify()
        for index in range(len(model)):
            values[index] = model[index] = model[-1 - index]
        assert values[:] == model


def test_values_come_back_as_new_objects(values):
    values.append({"a": [1]})
    one = values[0]
    one["a"].append(2)
    assert values[0] == {"a": [1]}
    assert values[0] is not values[0]


def test_a_blobify_that_gives_no_bytes():
    class Wrong:
        name = "tests.Wrong"

        def to_blob(self, value):
            return value

        def from_blob(self, blob):
            return blob

    with MemoryBuffer(blobify=Wrong()) as values:
        for good in (b"bytes", bytearray(b"array"), memoryview(b"view")):
            values.append(good)
            assert values[-1] == bytes(good)
        for bad in ("text", None, 5):
            with pytest.raises(BlobifyError, match="to_blob returned"):
                values.append(bad)
        assert len(values) == 3


def test_a_blobify_that_fails_to_decode():
    class Picky:
        name = "tests.Picky"

        def to_blob(self, value):
            return value

        def from_blob(self, blob):
            if blob == b"bad":
                raise BlobifyError("it is bad")
            return blob

    with MemoryBuffer(blobify=Picky()) as values:
        values.extend([b"good", b"bad", b"good"])
        for call in (lambda: values[1], lambda: values[:], lambda: list(values), lambda: values.pop(1)):
            with pytest.raises(BlobifyError, match="it is bad") as caught:
                call()
            assert caught.value.index == 1
        assert len(values) == 3, "pop deletes nothing that it cannot return"


def test_a_changed_blob_does_not_reach_the_list():
    """A mutable buffer handed over by a Blobify is copied at once."""
    shared = bytearray(b"as it was then")

    class Sharing:
        name = "tests.Sharing"

        def to_blob(self, value):
            return shared

        def from_blob(self, blob):
            return blob

    with MemoryBuffer(blobify=Sharing()) as values:
        values.append(None)
        shared[:] = b"changed later."
        assert values[0] == b"as it was then"


def test_calls_from_a_finalizer_are_refused_or_done_not_half_done(values):
    class Finalized:
        def __del__(self):
            try:
                values.append("from a finalizer")
            except StableMemoryError:
                refused.append(1)

    refused = []
    for _ in range(50):
        cycle = Finalized()
        cycle.itself = cycle
        del cycle
        values.extend(range(100))
        values[10:20] = []
    import gc

    gc.collect()
    values.verify()
    assert values.count("from a finalizer") + len(refused) == 50
