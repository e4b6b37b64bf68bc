"""KeyboardInterrupt at any moment: the list is as before the call or as after it, and sound."""

import random
import signal
import sys
import threading

import pytest

from stablemem import COMPILED, MemoryBuffer, MemoryRegion, StableMemoryError
from support import chosen_seed, scaled
from support.probe import handle_of

SIZE = 3000 if COMPILED else 600


class Slow:
    """A Blobify in Python: its methods are where an interrupt is met most."""

    name = "tests.Slow"

    def to_blob(self, value):
        MOMENTS.one()
        return b"value number %d" % value

    def from_blob(self, blob):
        MOMENTS.one()
        return int(blob.split()[-1])


class Moments:
    """Counts when Python code that a call needs is run, and interrupts one of these times by a signal."""

    def count(self, chosen):
        """Count anew; at the moment ``chosen``, from 1 on, interrupt; 0 never does."""
        self.seen, self.chosen = 0, chosen

    def one(self):
        self.seen += 1
        if self.seen == self.chosen:
            signal.raise_signal(signal.SIGALRM)


MOMENTS = Moments()
MOMENTS.count(0)


def append(values):
    values.append(-1)


def extend(values):
    values.extend(MOMENTS.one() or n for n in range(SIZE, 2 * SIZE))


def pop(values):
    values.pop(5)


def set_slice(values):
    values[10:2000] = range(500)


def set_stride(values):
    values[::3] = range(len(values[::3]))


def delete_stride(values):
    del values[::2]


def remove(values):
    values.remove(300)


def shuffle(values):
    values.shuffle(random.Random(5))


def reverse(values):
    values.reverse()


def rotate(values):
    values.rotate(777)


def swap_remove(values):
    values.swap_remove(9)


def repeat(values):
    values *= 2


def ring(values):
    values.appendleft(1)


def search(values):
    values.count(3)


def sort(values):
    values.sort(key=lambda value: MOMENTS.one() or -value)


OPERATIONS = [
    append, extend, pop, set_slice, set_stride, delete_stride, remove, shuffle, reverse, rotate, swap_remove,
    repeat, ring, search, sort,
]  # fmt: skip
WITHOUT_MOMENTS = {delete_stride, shuffle, reverse, rotate, repeat}
"""These move blobs and never decode one."""


def outcomes(operation):
    """Return what the list holds before and after, and how many moments the call has."""
    with MemoryBuffer(blobify=Slow()) as values:
        values.extend(range(SIZE))
        values.commit()
        before = values[:]
        MOMENTS.count(0)
        operation(values)
        total = MOMENTS.seen
        return before, values[:], total


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread"
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_interrupts_by_a_signal(operation, path):
    """It comes while the Blobify, the key or the iterable works: at its first times, its last, others."""
    rng = random.Random(chosen_seed())
    before, after, total = outcomes(operation)
    tries = scaled(60, 24)
    chosen = {*range(1, total + 1)}
    if total > tries:
        edge = tries // 6
        chosen = {*range(1, edge), *range(total - edge, total + 1), *rng.sample(range(1, total + 1), tries)}
    with MemoryBuffer(path, blobify=Slow()) as values:
        values.extend(range(SIZE))
        values.commit(sync=False)
        for moment in sorted(chosen):
            MOMENTS.count(moment)
            with pytest.raises(KeyboardInterrupt):
                operation(values)
            MOMENTS.count(0)
            found = values[:]
            assert found in (before, after)
            assert handle_of(values).indexes["main"].check() == []
            if found != before:
                values[:] = before
            values.commit(sync=False)
        values.verify()
    assert (total == 0) == (operation in WITHOUT_MOMENTS)


@pytest.mark.skipif(COMPILED, reason="compiled, nothing is raised between the lines")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_interrupts_at_any_line(operation, path):
    """Raised by a trace function, at more places than a signal reaches."""
    rng = random.Random(chosen_seed())
    before, after, _ = outcomes(operation)
    left = 1 << 60
    lines = 0

    def trace(frame, event, argument):
        nonlocal left, lines
        if "stablemem" not in frame.f_code.co_filename:
            return None
        if event == "line":
            lines += 1
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    def traced(values):
        nonlocal lines
        lines = 0
        sys.settrace(trace)
        try:
            operation(values)
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
        return False

    with MemoryBuffer(path, blobify=Slow()) as values:
        values.extend(range(SIZE))
        values.commit(sync=False)
        traced(values)
        total = lines
        for number in range(scaled(0, 36, 2000)):
            values[:] = before
            values.commit(sync=False)
            near = (number, total - number, rng.randrange(total))[number % 3]
            left = near + 1
            traced(values)
            left = 1 << 60
            assert values[:] in (before, after), near
            assert handle_of(values).indexes["main"].check() == []
        values.commit()
        values.verify()


def block(values):
    with values.transaction():
        values[::3] = range(len(values[::3]))


def nested_blocks(values):
    with values.transaction():
        values.append(-1)
        with values.transaction():
            values[::3] = range(len(values[::3]))


@pytest.mark.parametrize("behind_changes", [False, True], ids=["alone", "behind changes"])
@pytest.mark.parametrize("operation", [block, nested_blocks])
def test_interrupts_of_a_block(operation, behind_changes, path):
    """Any line, and what was not committed before it is whole as well; the handle goes on, the file is sound.

    Compiled, the lines are those of Python's own modules beneath the block.
    """
    rng = random.Random(chosen_seed())
    left = lines = 0

    def trace(frame, event, argument):
        nonlocal left, lines
        if frame.f_code.co_filename == __file__:
            return None
        lines += 1
        left -= 1
        if left == 0:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    def traced(values, moment):
        """Do it, and interrupt it at a moment."""
        nonlocal left, lines
        left, lines = moment, 0
        sys.settrace(trace)
        try:
            operation(values)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)

    base = list(range(SIZE // 4))
    changed = [*base, -7] if behind_changes else base
    with MemoryBuffer.from_iterable(changed) as model:
        operation(model)
        after = model[:]
    values = MemoryBuffer(path, sync=False)

    def interrupted(moment):
        """Begin anew, interrupt at a moment, and return how many there were."""
        values[:] = base
        values.commit()
        if behind_changes:
            values.append(-7)
        traced(values, moment)
        return lines

    total = interrupted(0)
    assert values[:] == after
    moments = rng.sample(range(1, total + 1), min(total, scaled(150, 40, 10_000)))
    for moment in moments:
        interrupted(moment)
        assert values[:] in (base, changed, after), moment
        if handle_of(values.region).failure:
            # The header was being written: what was committed is found when it is opened again.
            values.close()
            values = MemoryBuffer(path, sync=False)
            assert values[:] in (base, after), moment
        with values.transaction():
            values.append(-8)
        values[5:5] = range(40)
        del values[50:90]
        values.commit()
        values.verify()
    values.close()


class UndoneError(Exception):
    """Leaves a block."""


def undoing(moment, inner):
    """Interrupt a block that is being undone, within one that goes on; return how many moments there were.

    At each line of stablemem that Python itself runs the interrupt may come, but for those of the latch; 0
    never comes.
    """
    lines = 0
    said = None

    def tracer(frame, event, arg):
        nonlocal lines
        module = frame.f_globals.get("__name__", "")
        if not module.startswith("stablemem.") or module == "stablemem._core.txn.latch":
            return None
        if event == "line":
            lines += 1
            if lines == moment:
                raise KeyboardInterrupt
        return tracer

    with MemoryRegion() as region:
        values, block = region.buffer("values"), region.add_blob(b"before")
        values.extend(range(300))
        region.commit()
        before = [*range(300)], b"before"
        after = [*range(300), *inner], b"beyond"
        try:
            with region.transaction():
                values.extend(inner)
                if inner:
                    region.store(block, b"beyond")
                try:
                    with region.transaction():
                        values[10:20] = range(400)
                        region.store(block, b"behind")
                        sys.settrace(tracer)
                        raise UndoneError
                except (UndoneError, KeyboardInterrupt):
                    pass
                finally:
                    sys.settrace(None)
        except StableMemoryError as error:
            said = error
        found = values[:], region.load(block, 6)
        assert found == before if said else found in (before, after), moment
        assert said is None or "rolled back" in str(said) or "undone" in str(said), (moment, said)
        values.append(1)
        region.commit()
        region.verify()
    return lines


@pytest.mark.parametrize("inner", [[], [1, 2]], ids=["first", "after changes"])
def test_interrupts_while_a_block_is_undone(inner):
    """Who catches it within a block around does not commit half of what was undone."""
    for moment in range(1, undoing(0, inner) + 1):
        undoing(moment, inner)


@pytest.fixture(autouse=True)
def interrupting():
    """Let SIGALRM raise KeyboardInterrupt, as SIGINT does."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    yield
    signal.signal(signal.SIGALRM, old)
