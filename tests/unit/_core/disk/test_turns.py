"""Who waits for the writer lock, and who gets it: woken, in order, and never by chance.

Where ``patient`` is asked for, nobody tries the lock unasked: whoever gets it then was woken. No test says
how long anything takes; what takes longer than WATCHDOG hangs.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from judge import judge
from stablemem import MemoryBuffer, NotARegionError, RegionLockedError
from stablemem._core.disk import turns
from stablemem._core.disk.device import FileDevice
from stablemem._core.disk.futex import Word
from stablemem._core.disk.locks import PLACES, lock, probe, unlock
from stablemem._core.disk.readers import lock_writer
from stablemem._core.disk.turns import Turn, let_go, somebody_waits
from stablemem.layout import HEADER_SIZE, WAKE_AT
from support import HANGS, environment
from support.probe import handle_of

WATCHDOG = HANGS
FOR_EVER = 1e6


def has_futex():
    device = FileDevice.open(__file__, writable=False)
    try:
        word = Word.of(device.descriptor, 0)
        if word is None:
            return False
        word.close()
        return True
    finally:
        device.close()


needs_futex = pytest.mark.skipif(not has_futex(), reason="no futex known on this machine")


@pytest.fixture
def patient(monkeypatch):
    """Let nobody try the lock unasked."""
    monkeypatch.setattr(turns, "POLL", FOR_EVER)


@pytest.fixture
def region(path):
    MemoryBuffer(path).close()
    return path


@pytest.fixture
def opened():
    """Open a file for writing as often as asked."""
    made = []

    def of(path):
        made.append(FileDevice.open(path, writable=True))
        return made[-1]

    yield of
    for device in made:
        device.close()


def places(device):
    """Return the places that others have among those who wait."""
    found, begin = [], PLACES
    while (each := probe(device, begin, PLACES + 1000)) is not None:
        found.append(each[0] - PLACES)
        begin = each[1]
    return found


def until(condition):
    """Wait until something is so."""
    end = time.monotonic() + WATCHDOG
    while not condition():
        assert time.monotonic() < end, "it hangs"
        time.sleep(0.001)


class Waiting(threading.Thread):
    """A thread that waits for the lock of a file, and lets go of it when told to."""

    def __init__(self, device, timeout=FOR_EVER):
        super().__init__(daemon=True)
        self.device = device
        self.timeout = timeout
        self.outcome = None
        self.start()

    def run(self):
        try:
            lock_writer(self.device, self.timeout)
            self.outcome = "locked"
        except RegionLockedError as error:
            self.outcome = error

    def done(self):
        self.join(WATCHDOG)
        assert not self.is_alive(), "it hangs"
        return self.outcome


@needs_futex
@pytest.mark.usefixtures("patient")
def test_whoever_lets_go_wakes_the_next(region, opened):
    probing = opened(region)
    for _ in range(20):
        one, two = opened(region), opened(region)
        lock_writer(one, 0)
        waiting = Waiting(two)
        until(lambda: somebody_waits(probing))
        one.close()
        assert waiting.done() == "locked"
        assert not somebody_waits(probing), "who has the lock waits no more"
        two.close()


@needs_futex
@pytest.mark.usefixtures("patient")
def test_one_after_the_other(region, opened):
    """In the order they came, whoever comes in between: more than there are marks to be woken by."""
    one, probing = opened(region), opened(region)
    lock_writer(one, 0)
    waiting = []
    for number in range(40):
        waiting.append(Waiting(opened(region)))
        until(lambda: len(places(probing)) == number + 1)  # noqa: B023 - it is called before the next
    assert places(probing) == list(range(40))
    one.close()
    for number, each in enumerate(waiting):
        assert each.done() == "locked"
        until(lambda: len(places(probing)) == 39 - number)  # noqa: B023
        assert not any(other.outcome for other in waiting[number + 1 :])
        each.device.close()


@needs_futex
@pytest.mark.usefixtures("patient")
def test_who_is_ready_to_wait_does_not_pass_by(region, opened):
    one, two, three, probing = (opened(region) for _ in range(4))
    lock(one, PLACES, shared=False)
    waiting = Waiting(two)
    until(lambda: places(probing) == [0, 1])
    assert waiting.outcome is None, "the lock is free, but another has come before"
    lock_writer(three, 0)
    unlock(one, PLACES)
    three.close()
    assert waiting.done() == "locked"


@pytest.mark.parametrize("timeout", [0, 0.1, FOR_EVER])
def test_who_is_first_and_stopped_keeps_nobody_waiting(region, opened, timeout):
    stopped, one = opened(region), opened(region)
    lock(stopped, PLACES, shared=False)
    assert Waiting(one, timeout).done() == "locked"


@needs_futex
@pytest.mark.usefixtures("patient")
def test_who_gives_up_hands_on(region, opened):
    """It may have been woken, and done nothing with it: the next one is woken then."""
    one, two, probing = (opened(region) for _ in range(3))
    with contextlib.suppress(KeyError), Turn(one, FOR_EVER):
        waiting = Waiting(two)
        until(lambda: places(probing) == [0, 1])
        raise KeyError
    assert waiting.done() == "locked"


@needs_futex
@pytest.mark.usefixtures("patient")
def test_who_looked_before_the_lock_was_free_does_not_fall_asleep(region, opened):
    one, two = opened(region), opened(region)
    lock_writer(one, 0)
    with Turn(two, FOR_EVER) as turn:
        seen = turn.look()
        one.close()
        sleeping = threading.Thread(target=turn.sleep, args=[seen], daemon=True)
        sleeping.start()
        sleeping.join(WATCHDOG)
        assert not sleeping.is_alive(), "it was woken before it slept, and would sleep for ever"


def test_the_lock_is_free_before_the_word_changes(region, opened, monkeypatch):
    """Whoever reads the changed word must not find the lock taken by the one who changed it."""
    one, two, other = (opened(region) for _ in range(3))
    lock(other, PLACES, shared=False)
    lock_writer(one, 0)
    seen = []
    real = FileDevice.write

    def noted(device, address, data):
        lock_writer(two, 0)
        seen.append((address, len(data)))
        real(device, address, data)

    monkeypatch.setattr(FileDevice, "write", noted)
    one.close()
    assert seen == [(WAKE_AT, 4)]


def test_nobody_waits_longer_than_he_said(region, opened):
    one, two, probing = opened(region), opened(region), opened(region)
    lock_writer(one, 0)
    with pytest.raises(RegionLockedError):
        lock_writer(two, 0.12)
    assert not somebody_waits(probing)
    with pytest.raises(RegionLockedError):
        lock_writer(two, 1e-9)


@contextlib.contextmanager
def started(code, *arguments, **streams):
    """Run Python code in a process that does not outlive the test, whatever it waits for."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, env=environment(), **streams) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_holder_that_died(region, opened):
    """Nobody is woken then: whoever waits tries the lock again by himself."""
    code = (
        "import sys, time; from stablemem import MemoryBuffer; b = MemoryBuffer(sys.argv[1]);"
        "print('open', flush=True); time.sleep(1e6)"
    )
    with started(code, region, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        one, probing = opened(region), opened(region)
        waiting = Waiting(one)
        until(lambda: somebody_waits(probing))
        process.kill()
        assert waiting.done() == "locked"


WAITER = """
import sys
from stablemem import MemoryBuffer
from stablemem._core.disk import turns
turns.POLL = 1e6
with MemoryBuffer(sys.argv[1], timeout=1e6) as values:
    values.append("was here")
"""


@needs_futex
def test_another_process_is_woken(region, opened):
    probing = opened(region)
    values = MemoryBuffer(region)
    with started(WAITER, region) as process:
        until(lambda: somebody_waits(probing))
        values.append("first")
        values.close()
        assert process.wait(WATCHDOG) == 0
    with MemoryBuffer(region, "r") as values:
        assert values[:] == ["first", "was here"]


@needs_futex
def test_control_c_ends_the_waiting(region, opened):
    probing = opened(region)
    with MemoryBuffer(region) as values, started(WAITER, region, stderr=subprocess.PIPE) as process:
        until(lambda: somebody_waits(probing))

        def ended():
            # Again and again: one that comes just before it sleeps is seen only when it wakes.
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
            return process.poll() is not None

        until(ended)
        assert b"KeyboardInterrupt" in process.stderr.read()
        assert not somebody_waits(probing)
        values.append("still the writer")


@needs_futex
@pytest.mark.usefixtures("patient")
def test_a_signal_runs_its_handler_and_the_waiting_goes_on(region, opened):
    one, two = opened(region), opened(region)
    lock_writer(one, 0)
    rung = []

    def ring(*arguments):
        rung.append(1)
        if len(rung) == 3:
            one.close()

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        lock_writer(two, FOR_EVER)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(rung) >= 3


def test_signals_do_not_put_the_next_try_off(region, opened, monkeypatch):
    """What ends a sleep early does not begin another whole one: the holder may have died."""
    one, two = opened(region), opened(region)
    lock(one, PLACES, shared=False)
    monkeypatch.setattr(Word, "sleep", lambda *arguments: True)
    assert Waiting(two).done() == "locked"


@pytest.mark.parametrize("broken", ["of", "sleep"])
def test_where_nobody_can_sleep_on_a_word(region, opened, monkeypatch, broken):
    """A file system without shared maps, say: the lock is tried from time to time."""

    def refused(*arguments):
        if broken == "of":
            return
        raise OSError("nobody sleeps here")

    monkeypatch.setattr(Word, broken, refused)
    one, two, probing = opened(region), opened(region), opened(region)
    lock_writer(one, 0)
    waiting = Waiting(two)
    until(lambda: somebody_waits(probing))
    one.close()
    assert waiting.done() == "locked"


def test_where_no_more_locks_are_to_be_had(region, opened, monkeypatch):
    def refused(*arguments, shared):
        raise OSError("no more locks")

    monkeypatch.setattr(turns, "lock", refused)
    one, two = opened(region), opened(region)
    lock_writer(one, 0)
    waiting = Waiting(two)
    one.close()
    assert waiting.done() == "locked"


def test_a_copy_of_the_descriptor_keeps_no_lock(region, opened):
    """A process that is just being started by another thread has one, until it runs its own program."""
    one = opened(region)
    lock_writer(one, 0)
    copy = os.dup(one.descriptor)
    one.close()
    lock_writer(opened(region), 0)
    os.close(copy)


def test_the_child_of_a_fork_takes_the_lock_not_away(region, opened):
    one = opened(region)
    lock_writer(one, 0)
    pid = os.fork()
    if pid == 0:
        one.close()
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(RegionLockedError):
        lock_writer(opened(region), 0)


# -- the word --------------------------------------------------------------------------------------------


def test_the_word_is_written_while_somebody_waits_and_nothing_else_is(region, opened):
    before = Path(region).read_bytes()
    for _ in range(3):
        device = opened(region)
        lock_writer(device, 0)
        device.close()
    assert Path(region).read_bytes() == before
    one, other = opened(region), opened(region)
    lock(other, PLACES + 5, shared=False)
    lock_writer(one, 0)
    one.close()
    after = Path(region).read_bytes()
    assert len(after) == len(before)
    assert after[:WAKE_AT] + before[WAKE_AT:HEADER_SIZE] + after[HEADER_SIZE:] == before
    assert after != before, "it changes, so that nobody falls asleep who has not seen the lock free"
    with MemoryBuffer(region) as values:
        values.verify()
        values.append(1)
    assert values.closed


def test_a_checker_takes_the_word_and_nothing_else_there(region):
    with MemoryBuffer(region) as values:
        for number in range(6):
            values.append(number)
            values.commit()
    content = bytearray(Path(region).read_bytes())
    content[WAKE_AT:HEADER_SIZE] = b"word"
    assert not judge(content).faults
    for at in (WAKE_AT - 1, 4096 - 1, 528):
        other = bytearray(content)
        other[at] = 1
        assert any("padding is not zero" in fault for fault in judge(other).faults)


@pytest.mark.parametrize("content", [b"", b"x", b"some text of somebody's " * 1000])
def test_what_is_no_region_is_never_written_to(tmp_path, opened, content):
    path = str(tmp_path / "notes.txt")
    Path(path).write_bytes(content)
    other = opened(path)
    lock(other, PLACES, shared=False)
    with pytest.raises(NotARegionError):
        MemoryBuffer(path, "r+", timeout=0.2)
    device = opened(path)
    lock_writer(device, 0)
    device.close()
    assert Path(path).read_bytes() == content


def test_whoever_waits_for_an_empty_file_or_one_that_is_replaced(path, opened):
    """They wait for the lock of a file that has its name no more: then they open what has."""
    Path(path).touch()
    for number in range(2):
        device = opened(path)
        lock_writer(device, 0)
        done = []

        def wait(done=done):
            with MemoryBuffer(path, timeout=FOR_EVER) as values:
                values.append(1)
                done.append(len(values))

        probing = opened(path)
        threads = [threading.Thread(target=wait, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(places(probing)) == 3)  # noqa: B023
        if number:
            MemoryBuffer(path + ".new").close()
            os.rename(path + ".new", path)
        device.close()
        for thread in threads:
            thread.join(WATCHDOG)
        assert sorted(done) == [1, 2, 3]


def test_many_threads_and_processes_lose_nothing(region):
    code = (
        "import sys\nfrom stablemem import MemoryBuffer\n"
        "for _ in range(40):\n    with MemoryBuffer(sys.argv[1], timeout=1e6) as b: b.append(sys.argv[2])"
    )

    def work(name):
        for _ in range(40):
            with MemoryBuffer(region, timeout=FOR_EVER) as values:
                values.append(name)

    threads = [threading.Thread(target=work, args=[f"thread {n}"], daemon=True) for n in range(3)]
    with started(code, region, "process 1") as one, started(code, region, "process 2") as two:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WATCHDOG)
            assert not thread.is_alive()
        assert [process.wait(WATCHDOG) for process in (one, two)] == [0, 0]
    with MemoryBuffer(region, "r") as values:
        assert len(values) == 200
        assert {values.count(name) for name in set(values)} == {40}
        values.verify()


def test_an_interrupt_while_the_lock_is_let_go_leaves_no_thread_waiting(region):
    """Whoever was waiting for the latch while another thread closed the list is told that it is closed."""
    values = MemoryBuffer(region)
    store = handle_of(values.region)
    let = store.region.device.before_close

    def interrupted():
        let()
        raise KeyboardInterrupt

    store.region.device.before_close = interrupted
    with pytest.raises(KeyboardInterrupt):
        values.close()
    # As for whoever looked at it before it was closed.
    store.latch.closed = ""
    done = []
    thread = threading.Thread(target=lambda: done.append(store.latch.enter()), daemon=True)
    thread.start()
    thread.join(WATCHDOG)
    assert done
    with MemoryBuffer(region) as values:
        assert values == []


def test_letting_go_twice_is_nothing(region, opened):
    device = opened(region)
    lock_writer(device, 0)
    let_go(device)
    device.close()
    device.close()
