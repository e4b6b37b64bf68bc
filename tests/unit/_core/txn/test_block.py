"""Whose a transaction block is, and what happens to blocks that are not left in the reverse order."""

import asyncio
import gc
import itertools
import threading

import pytest

from stablemem import MemoryBuffer, MemoryRegion, RegionClosedError, StableMemoryError
from support.waiting import HANGS, in_thread, join

BASE = ["a value that was there before"] * 20


@pytest.fixture
def values(path):
    made = MemoryBuffer.from_iterable(BASE, path)
    yield made
    made.close()


def left(values):
    """Return what stays when a handle that everybody has left is used on."""
    values.append("later")
    values.commit()
    assert values.verify().faults == []
    assert values[-1] == "later"
    return values[len(BASE) : -1]


def holding(values, text, fails):
    """Be a generator that has a block open between its two steps."""
    with values.transaction():
        values.append(text * 30)
        yield
        if fails:
            raise KeyError(text)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("failing", range(8))
def test_blocks_that_overlap(values, order, failing):
    """A stack is the model: what is not its top takes what lies on it along; nothing is undone in silence."""
    blocks = [holding(values, name, failing >> at & 1) for at, name in enumerate("abc")]
    for block in blocks:
        next(block)
    stack = [(at, {at}) for at in range(3)]
    committed = set()
    for at in order:
        depth = [number for number, _ in stack].index(at) if at in [number for number, _ in stack] else None
        fails = failing >> at & 1
        well = depth is not None and depth == len(stack) - 1 and not fails
        if well:
            next(blocks[at], None)
            done = stack.pop()[1]
            (stack[-1][1] if stack else committed).update(done)
            continue
        with pytest.raises(KeyError if fails else StableMemoryError, match=None if fails else "undone"):
            next(blocks[at], None)
        if depth is not None:
            del stack[depth:]
    assert left(values) == [name * 30 for at, name in enumerate("abc") if at in committed]


def test_a_block_left_first_undoes_those_within_it(values):
    outer, inner = values.transaction(), values.transaction()
    outer.__enter__()
    values.append("outer")
    inner.__enter__()
    values.append("inner")
    with pytest.raises(StableMemoryError, match="left before one that was begun within it, and both"):
        outer.__exit__(None, None, None)
    assert values[:] == BASE
    values.append("a change in between")
    with pytest.raises(StableMemoryError, match="leave blocks in the reverse order"):
        inner.__exit__(None, None, None)
    assert left(values) == ["a change in between"]


def test_a_block_within_is_undone_alone(values):
    """Of three, the middle one ends too early: the outermost stays."""
    with values.transaction():
        values.append("outermost")
        middle, inner = values.transaction(), values.transaction()
        middle.__enter__()
        values.append("middle")
        inner.__enter__()
        values.append("inner")
        with pytest.raises(StableMemoryError, match="reverse order"):
            middle.__exit__(None, None, None)
        values.append("after it")
        with pytest.raises(StableMemoryError, match="reverse order"):
            inner.__exit__(None, None, None)
    assert left(values) == ["outermost", "after it"]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("failing", [False, True])
def test_a_block_left_by_another_thread(values, nested, failing):
    """It is undone, and nobody waits for it any more."""
    values.append("before the block")
    outer, inner = values.transaction(), values.transaction()
    outer.__enter__()
    values.append("outer")
    if nested:
        inner.__enter__()
        values.append("inner")
    told = []

    def leave():
        try:
            (inner if nested else outer).__exit__(KeyError if failing else None, None, None)
        except StableMemoryError as error:
            told.append(str(error))

    join(in_thread(leave))
    assert failing or "left by another thread than the one that entered it" in told[0]
    join(in_thread(lambda: values.append("another thread")))
    if nested:
        with pytest.raises(StableMemoryError, match="left by another thread"):
            outer.__exit__(None, None, None)
    assert left(values) == ["before the block", "another thread"]


def test_who_waits_for_a_block_that_another_thread_ends(values):
    """They were waiting for the thread that had it, and go on."""
    block = values.transaction()
    block.__enter__()
    values.append("lost")
    begun = threading.Event()

    def change():
        begun.set()
        values.append("waited")

    waiting = in_thread(change)
    begun.wait(HANGS)
    with pytest.raises(StableMemoryError, match="another thread"):
        raise_from_thread(lambda: block.__exit__(None, None, None))
    join(waiting)
    assert left(values) == ["waited"]


def raise_from_thread(call):
    """Call in another thread, and raise here what it raises."""
    raised = []

    def run():
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - it is raised again
            raised.append(error)

    join(in_thread(run))
    if raised:
        raise raised[0]


def test_a_block_that_is_collected(values):
    block = holding(values, "lost", False)
    next(block)
    del block
    gc.collect()
    assert left(values) == []


class Collects:
    """A Blobify within whose work a generator that has a block open is collected."""

    name = "tests.Collects"

    def __init__(self):
        self.held = None

    def to_blob(self, value):
        self.held = None
        return value

    def from_blob(self, blob):
        self.held = None
        return blob


@pytest.mark.parametrize("call", ["append", "get", "extend"])
def test_a_block_that_is_collected_within_a_call(path, call):
    blobify = Collects()
    with MemoryBuffer(path, blobify=blobify) as values:
        values.append(b"kept")
        values.commit()
        block = holding(values, b"lost", False)
        next(block)
        blobify.held, block = block, None
        if call == "append":
            values.append(b"after")
        elif call == "extend":
            values.extend([b"after"])
        else:
            assert values[0] == b"kept"
        values.commit()
        assert values[:] == [b"kept", b"after"][: 1 if call == "get" else 2]
        assert values.verify().faults == []


def test_closing_undoes_every_block(path):
    values = MemoryBuffer.from_iterable(BASE, path)
    blocks = [values.transaction() for _ in range(3)]
    for block in blocks:
        block.__enter__()
        values.append("lost")
    values.close()
    for block in reversed(blocks):
        with pytest.raises(StableMemoryError, match="was closed in a transaction block, which was undone"):
            block.__exit__(None, None, None)
    with pytest.raises(RegionClosedError):
        values.append("closed")
    with MemoryBuffer(path, "r") as again:
        assert again[:] == BASE


# -- tasks -------------------------------------------------------------------------------------------------


def test_another_task_is_refused(values):
    async def holder(entered, done):
        with values.transaction():
            values.append("held")
            entered.set()
            await done.wait()

    async def main():
        entered, done = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(holder(entered, done))
        await entered.wait()
        for call in (lambda: values.append("other"), values.transaction().__enter__, values.clear):
            with pytest.raises(StableMemoryError, match="another task has a transaction block open"):
                call()
        assert values[-1] == "held", "reading is free"
        done.set()
        await task
        values.append("afterwards")

    asyncio.run(main())
    assert left(values) == ["held", "afterwards"]


def test_tasks_wait_for_each_other(values):
    running = []

    async def add(number):
        async with values.transaction():
            assert not running
            running.append(number)
            values.append(number)
            await asyncio.sleep(0)
            values.append(number)
            running.remove(number)

    async def main():
        await asyncio.gather(*[add(number) for number in range(5)])

    asyncio.run(main())
    added = left(values)
    assert added[::2] == added[1::2]
    assert sorted(added[::2]) == [0, 1, 2, 3, 4]


def test_a_task_that_is_cancelled_in_its_block(values):
    async def holder():
        async with values.transaction():
            values.append("lost")
            await asyncio.sleep(HANGS)

    async def main():
        task = asyncio.create_task(holder())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with values.transaction():
            values.append("kept")

    asyncio.run(main())
    assert left(values) == ["kept"]


def test_blocks_of_other_regions_are_no_concern():
    with MemoryRegion() as one, MemoryRegion() as other, one.transaction():
        other.buffer("values").append(1)
        other.commit()
        one.buffer("values").append(1)
