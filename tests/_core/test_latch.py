import threading
import time

import pytest

from stablemem import RegionClosedError, StableMemoryError
from stablemem._core.latch import Latch


def test_enter_and_leave():
    latch = Latch()
    for _ in range(3):
        latch.enter()
        latch.leave()
        latch.enter_change()
        latch.leave()


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


def in_thread(call):
    thread = threading.Thread(target=call)
    thread.start()
    return thread


def test_another_thread_waits_for_the_call():
    latch = Latch()
    order = []
    latch.enter()

    def other():
        latch.enter()
        order.append("other")
        latch.leave()

    thread = in_thread(other)
    time.sleep(0.03)
    order.append("first")
    latch.leave()
    thread.join(10)
    assert order == ["first", "other"]


def test_changes_wait_for_a_block_and_reads_do_not():
    latch = Latch()
    order = []
    before = latch.own()

    def change():
        latch.enter_change()
        order.append("change")
        latch.leave()

    def read():
        latch.enter()
        order.append("read")
        latch.leave()

    changing = in_thread(change)
    in_thread(read).join(10)
    latch.enter_change()
    order.append("mine")
    latch.leave()
    latch.disown(before)
    changing.join(10)
    assert order == ["read", "mine", "change"]


def test_blocks_nest():
    latch = Latch()
    one = latch.own()
    two = latch.own()
    assert latch.owner == threading.get_ident()
    latch.disown(two)
    assert latch.owner == threading.get_ident()
    latch.disown(one)
    assert latch.owner == 0
    in_thread(lambda: (latch.enter_change(), latch.leave())).join(10)


def test_reset():
    latch = Latch()
    latch.own()
    latch.enter()
    latch.reset()
    latch.enter_change()
    latch.leave()
    assert latch.owner == 0


def test_many_threads_are_one_at_a_time():
    latch = Latch()
    inside = []
    most = []

    def work():
        for _ in range(200):
            latch.enter_change()
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            latch.leave()

    threads = [in_thread(work) for _ in range(4)]
    for thread in threads:
        thread.join(30)
    assert max(most) == 1
