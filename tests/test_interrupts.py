"""KeyboardInterrupt at any moment: the list is as before the call or as after it, and sound."""

import contextlib
import random
import signal
import sys
import threading
import time

import pytest

from stablemem import COMPILED, MemoryBuffer
from support import chosen_seed, scaled

SIZE = 3000 if COMPILED else 600
ARMED: list[int] = []
"""Not empty while an interrupt is wanted."""


class Slow:
    """A Blobify in Python: its methods are where an interrupt is met most."""

    name = "tests.Slow"

    def to_blob(self, value):
        return b"value number %d" % value

    def from_blob(self, blob):
        return int(blob.split()[-1])


def append(values):
    values.append(-1)


def extend(values):
    values.extend(n for n in range(SIZE, 2 * SIZE))


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
    values.sort(key=lambda value: -value)


OPERATIONS = [
    append, extend, pop, set_slice, set_stride, delete_stride, remove, shuffle, reverse, rotate, swap_remove,
    repeat, ring, search, sort,
]  # fmt: skip


def outcomes(operation):
    """Return what the list holds before and after, and how long the call takes."""
    with MemoryBuffer(blobify=Slow()) as values:
        values.extend(range(SIZE))
        values.commit()
        before = values[:]
        begin = time.perf_counter()
        operation(values)
        seconds = time.perf_counter() - begin
        return before, values[:], seconds


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread"
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_interrupts_by_a_signal(operation, path):
    rng = random.Random(chosen_seed())
    before, after, seconds = outcomes(operation)
    met = 0
    with MemoryBuffer(path, blobify=Slow()) as values:
        values.extend(range(SIZE))
        values.commit(sync=False)
        for _ in range(scaled(400, 40)):
            try:
                ARMED.append(1)
                signal.setitimer(signal.ITIMER_REAL, max(1e-6, rng.random() * 1.2 * seconds))
                operation(values)
                ARMED.clear()
            except KeyboardInterrupt:
                met += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
            found = values[:]
            assert found in (before, after)
            assert values._store.indexes["main"].check() == []
            if found != before:
                values[:] = before
            values.commit(sync=False)
        values.verify()
    print(f"{operation.__name__}: {met} interrupts met")


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
        for number in range(scaled(0, 60, 2000)):
            values[:] = before
            values.commit(sync=False)
            near = (number, total - number, rng.randrange(total))[number % 3]
            left = near + 1
            traced(values)
            left = 1 << 60
            assert values[:] in (before, after), near
            assert values._store.indexes["main"].check() == []
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
    moments = range(1, total + 1) if COMPILED else rng.sample(range(1, total + 1), scaled(0, 60, 1000))
    for moment in moments:
        interrupted(moment)
        assert values[:] in (base, changed, after), moment
        if values.region._store.failure:
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


@pytest.fixture(autouse=True)
def interrupting():
    """Let SIGALRM raise KeyboardInterrupt, as SIGINT does."""

    def interrupt(number, frame):
        if ARMED:
            ARMED.clear()
            raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    yield
    with contextlib.suppress(KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, old)
