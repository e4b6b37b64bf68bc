import threading
import time

import pytest

from stablemem import RegionClosedError, StableMemoryError
from stablemem._core.txn.latch import Latch
from support.waiting import HANGS, in_thread, join, wait_for, waits_for_latch


@pytest.fixture
def waiting(monkeypatch):
    """Return what tells how many threads wait for a latch."""
    return waits_for_latch(monkeypatch)


def is_free(latch):
    """Return whether another thread comes in at once, to change something."""
    done = []
    join(in_thread(lambda: (latch.enter_change(), done.append(latch.owner), latch.leave())))
    return done == [0]


def test_enter_and_leave(waiting):
    """Between the two nobody else comes in; before and after, everybody does."""
    latch = Latch()
    for enter in (latch.enter, latch.enter_change) * 2:
        assert is_free(latch)
        order = []
        enter()
        other = in_thread(lambda order=order: (latch.enter(), order.append("other"), latch.leave()))
        wait_for(waiting)
        order.append("first")
        latch.leave()
        join(other)
        assert order == ["first", "other"]
    assert is_free(latch)


def test_closed():
    latch = Latch()
    latch.closed = "x.smem is closed"
    for enter in (latch.enter, latch.enter_change):
        with pytest.raises(RegionClosedError, match=r"x\.smem is closed"):
            enter()


def test_a_call_within_a_call():
    latch = Latch()
    latch.enter()
    with pytest.raises(StableMemoryError, match="from within one of its own calls"):
        latch.enter()
    latch.leave()
    latch.enter()
    latch.leave()


def test_another_thread_waits_for_the_call(waiting):
    latch = Latch()
    order = []
    latch.enter()

    def other():
        latch.enter()
        order.append("other")
        latch.leave()

    thread = in_thread(other)
    wait_for(waiting)
    order.append("first")
    latch.leave()
    join(thread)
    assert order == ["first", "other"]


def test_a_block_waits_for_the_call_of_another_thread(waiting):
    latch = Latch()
    order = []
    latch.enter()

    def block():
        latch.own()
        order.append("block")
        latch.disown()

    thread = in_thread(block)
    wait_for(waiting)
    order.append("call")
    latch.leave()
    join(thread)
    assert order == ["call", "block"]


def test_changes_wait_for_a_block_and_reads_do_not(waiting):
    latch = Latch()
    order = []
    latch.own()

    def change():
        latch.enter_change()
        order.append("change")
        latch.leave()

    def read():
        latch.enter()
        order.append("read")
        latch.leave()

    changing = in_thread(change)
    wait_for(waiting)
    join(in_thread(read))
    latch.enter_change()
    order.append("mine")
    latch.leave()
    latch.disown()
    join(changing)
    assert order == ["read", "mine", "change"]


def test_blocks_nest():
    latch = Latch()
    latch.own()
    latch.own()
    assert latch.owner == threading.get_ident()
    latch.disown()
    assert latch.owner == threading.get_ident()
    latch.disown()
    assert latch.owner == 0
    assert is_free(latch)


def test_reset():
    latch = Latch()
    latch.own()
    latch.enter()
    latch.reset()
    assert latch.owner == 0
    assert is_free(latch)


def test_many_threads_are_one_at_a_time():
    """Each leaves a mark and yields to the others before it looks: who comes in meanwhile is seen."""
    latch = Latch()
    marks = []
    together = threading.Barrier(4)
    mixed = []

    def work(name):
        together.wait(HANGS)
        for _ in range(100):
            latch.enter_change()
            marks.append(name)
            length = len(marks)
            time.sleep(0)
            if len(marks) != length:
                mixed.append(name)
            latch.leave()

    join(*[in_thread(lambda name=name: work(name)) for name in range(4)])
    assert sorted(marks) == sorted([*range(4)] * 100)
    assert not mixed
