"""Several processes and threads on one region: whole states, live snapshots, one writer, forks."""

import contextlib
import fcntl
import os
import pickle
import random
import signal
import subprocess
import sys
import threading

import pytest

from stablemem import (
    MemoryBuffer,
    MemoryRegion,
    RegionClosedError,
    RegionLockedError,
)
from stablemem._core.disk.readers import oldest_reader
from stablemem._core.txn.ending import OPEN
from support import environment, scaled
from support.probe import handle_of
from support.waiting import HANGS, finish, in_thread, join, wait_for, waits_for_latch

COPIES = 60

WRITER = """
import select, sys
from stablemem import MemoryBuffer
path = sys.argv[1]
with MemoryBuffer(path, blobify="bytes") as values:
    number = 0
    print("ready", flush=True)
    # Until standard input ends, and long enough that every kind of commit was made.
    while number < 100 or not select.select([sys.stdin], [], [], 0)[0]:
        number += 1
        size = number * 37 % 400
        values[:] = [b"%d " % number + bytes(size)] * (COPIES + number % 7)
        if number % 5 == 0:
            values._store.write_early()
        values.commit(sync=number % 9 == 0)
    print(number, flush=True)
""".replace("COPIES", str(COPIES))

READER = """
import sys
from stablemem import MemoryBuffer
path, wanted = sys.argv[1], int(sys.argv[2])
values = MemoryBuffer(path, "r", blobify="bytes")
states = refreshed = last = 0
held = []
while refreshed < wanted:
    found = values[:]
    if found:
        assert len(set(found)) == 1, "a mixture of states"
        number = int(found[0].split()[0])
        assert number >= last, (number, last)
        assert len(found) == COPIES + number % 7
        assert found[0] == b"%d " % number + bytes(number * 37 % 400)
        last = number
        states += 1
    if states % 10 == 0 and len(held) < 5:
        held.append((MemoryBuffer(path, "r", blobify="bytes"), []))
        held[-1][1].extend(held[-1][0][:])
    for snapshot, then in held:
        assert snapshot[:] == then, "a snapshot changed"
    if len(held) == 5:
        held.pop(0)[0].close()
    if states % 40 == 3:
        values.verify()
    refreshed += values.refresh()
print(states, refreshed, last)
values.close()
for snapshot, _ in held:
    snapshot.close()
""".replace("COPIES", str(COPIES))


def start(code, *arguments):
    """Start Python code in another process."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip


def test_readers_in_other_processes_see_whole_states(path):
    MemoryBuffer(path, blobify="bytes").close()
    writer = start(WRITER, path)
    assert writer.stdout.readline() == "ready\n"
    wanted = scaled(300, 100)
    readers = [start(READER, path, wanted) for _ in range(2)]
    seen = [tuple(map(int, finish(reader))) for reader in readers]
    commits = int(finish(writer)[-1])
    for states, refreshed, last in seen:
        # What it saw when it opened the list may be empty.
        assert wanted == refreshed <= states + 1
        assert wanted - 1 <= last <= commits
    with MemoryBuffer(path, "r") as values:
        values.verify()
        assert int(values[0].split()[0]) == commits


def test_snapshots_outlive_thousands_of_commits(path):
    """Space is reused all the time, but never what a snapshot reaches."""
    rng = random.Random(5)
    with MemoryRegion(path) as region:
        values = region.buffer("main", "bytes")
        values.extend([b"%d" % number * 20 for number in range(500)])
        region.commit()
        first, then = region.snapshot(), values[:]
        held = []
        sizes = []
        for number in range(scaled(1500, 500)):
            for _ in range(3):
                values[rng.randrange(500)] = b"%d" % number * rng.randrange(60)
            region.commit(sync=number % 3 == 0)
            if number % 100 == 0:
                held.append((region.snapshot(), values[:]))
                sizes.append(region.stats().file_bytes)
            if len(held) == 4:
                snapshot, was = held.pop(0)
                assert snapshot.buffer("main")[:] == was
                snapshot.verify()
                snapshot.close()
        assert first.buffer("main")[:] == then
        first.verify()
        for snapshot, was in held:
            assert snapshot.buffer("main")[:] == was
            snapshot.close()
        first.close()
        for _ in range(5):
            values[0] = b"something new"
            region.commit()
        assert region.stats().limbo_bytes < 200_000


def test_space_of_an_ended_snapshot_is_used_again(path):
    with MemoryRegion(path) as region:
        values = region.buffer("main", "bytes")
        values.extend([bytes(1000)] * 300)
        region.commit()
        snapshot = region.snapshot()
        for number in range(10):
            values[:] = [b"%d" % number * 500] * 200
            region.commit()
        assert region.stats().limbo_bytes > 1_000_000
        snapshot.close()
        for number in range(6):
            values[0] = b"%d" % number
            region.commit()
        assert region.stats().limbo_bytes < 200_000
        before = region.stats().file_bytes
        for number in range(10):
            values[:] = [b"%d" % number * 500] * 200
            region.commit()
        assert region.stats().file_bytes <= before


# -- one writer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r+", "a", "w"])
def test_a_second_writer_in_this_process(path, mode):
    with MemoryBuffer(path) as values:
        values.append(1)
        values.commit()
        with pytest.raises(RegionLockedError) as caught:
            MemoryBuffer(path, mode)
        assert caught.value.pid == os.getpid()
        assert isinstance(caught.value, BlockingIOError)
        for part in (path, f"this process ({os.getpid()}) already", "close()", "region", "mode='r'"):
            assert part in str(caught.value)
        assert "timeout" not in str(caught.value), "waiting for oneself does not help"
        with MemoryBuffer(path, "r") as reader:
            assert reader[:] == [1]
    with MemoryBuffer(path, "r+") as values:
        assert values[:] == [1]


def test_a_second_writer_in_another_process(path):
    holder = start(
        "import sys; from stablemem import *; b = MemoryBuffer(sys.argv[1]); b.append(1); b.commit();"
        "print('ready', flush=True); sys.stdin.read()",
        path,
    )
    with holder:
        assert holder.stdout.readline() == "ready\n"
        with pytest.raises(RegionLockedError) as caught:
            MemoryBuffer(path)
        assert caught.value.pid == holder.pid
        assert f"process {holder.pid}" in str(caught.value)
        with pytest.raises(RegionLockedError):
            MemoryBuffer(path, timeout=0.2)
        with MemoryBuffer(path, "r") as values:
            assert values[:] == [1]
        holder.kill()
    with MemoryBuffer(path, timeout=HANGS) as values:
        assert values[:] == [1]


def test_waiting_for_the_other_writer(path, monkeypatch):
    first = MemoryBuffer(path)
    first.append("before")
    got = []
    refused = threading.Event()
    flock = fcntl.flock

    def noted(*arguments):
        try:
            flock(*arguments)
        except BlockingIOError:
            refused.set()
            raise

    def wait():
        with MemoryBuffer(path, timeout=HANGS) as second:
            got.append(second[:])

    monkeypatch.setattr(fcntl, "flock", noted)
    thread = in_thread(wait)
    assert refused.wait(HANGS)
    assert not got
    first.close()
    join(thread)
    assert got == [["before"]]


def test_many_processes_create_one_file(tmp_path):
    """Exactly one region comes to be, nobody fails wrongly, and nothing else is left behind."""
    code = (
        "import sys; from stablemem import *\n"
        f"b = MemoryBuffer(sys.argv[1], timeout={HANGS}); b.append(int(sys.argv[2])); b.close()"
    )
    for round_ in range(scaled(4, 2)):
        path = str(tmp_path / f"made{round_}.smem")
        makers = [start(code, path, number) for number in range(5)]
        for maker in makers:
            finish(maker)
        with MemoryBuffer(path, "r") as values:
            assert sorted(values) == list(range(5))
    assert not list(tmp_path.glob(".*"))


def test_many_processes_create_in_mode_x(tmp_path):
    path = str(tmp_path / "one.smem")
    code = (
        "import sys; from stablemem import *\n"
        "try:\n    b = MemoryBuffer(sys.argv[1], 'x'); b.append(1); b.close(); print('made')\n"
        "except FileExistsError:\n    print('exists')"
    )
    outcomes = [finish(maker)[0] for maker in [start(code, path) for _ in range(5)]]
    assert sorted(outcomes) == ["exists"] * 4 + ["made"]


def test_mode_w_leaves_readers_their_region(path):
    with MemoryBuffer(path) as values:
        values.extend(range(100))
    with MemoryBuffer(path, "r") as reader:
        with MemoryBuffer(path, "w") as values:
            assert len(values) == 0
            values.append("new")
        assert reader[:] == list(range(100))
    with MemoryBuffer(path, "r") as values:
        assert values[:] == ["new"]


# -- forks -----------------------------------------------------------------------------------------------


def in_child(call):
    """Fork; run a call in the child; return what it returned, or the exception."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            try:
                answer = call()
            except BaseException as error:  # noqa: BLE001 - everything is told to the parent
                answer = f"{type(error).__name__}: {error}"
            with open(write, "wb") as pipe:
                pickle.dump(answer, pipe)
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        answer = pickle.load(pipe)
    os.waitpid(pid, 0)
    return answer


def test_the_child_of_a_writer_reads_the_last_commit(path):
    with MemoryBuffer(path, blobify="bytes") as values:
        values.extend([b"committed", b"a longer value, also committed"])
        values.commit()
        values.append(b"not committed")

        def look():
            return values[:], values.mode, values.stats().changes, len(values.verify().faults)

        assert in_child(look) == ([b"committed", b"a longer value, also committed"], "r", 0, 0)
        for change in (
            lambda: values.append(b"x"),
            lambda: values.__delitem__(0),
            lambda: values.__setitem__(0, b""),
            values.clear,
        ):
            assert in_child(change).startswith("ReadOnlyError: this process was forked")
        assert in_child(lambda: (values.rollback(), values[:])[1]) == values[:2]
        assert in_child(lambda: (values.commit(), values[:])[1]) == values[:2]

        def close():
            values.close()
            return values.closed

        assert in_child(close) is True
        assert values[:] == [b"committed", b"a longer value, also committed", b"not committed"]
        values.append(b"the parent goes on")
        values.commit()
        assert in_child(lambda: values[-1]) == b"the parent goes on"

        read, write = os.pipe()
        go_read, go_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                os.write(write, b"ready")
                os.read(go_read, 2)
                os.write(write, repr((len(values), values.refresh(), len(values))).encode())
            os._exit(0)
        assert os.read(read, 5) == b"ready"
        values.append(b"while the child waits")
        values.commit()
        os.write(go_write, b"go")
        os.waitpid(pid, 0)
        assert os.read(read, 100) == b"(4, True, 5)"
        for descriptor in (read, write, go_read, go_write):
            os.close(descriptor)


def test_a_fork_before_the_first_commit(path):
    values = MemoryBuffer(path, blobify="text")
    values.append("nobody will see this")
    assert in_child(lambda: values[:]) == []
    assert in_child(lambda: values.append("x")).startswith("ReadOnlyError")
    values.close()
    with MemoryBuffer(path, "r") as again:
        assert again[:] == ["nobody will see this"]


def test_a_fork_within_a_transaction_block(path):
    values = MemoryBuffer.from_iterable(["kept"], path)
    read, write = os.pipe()
    parent = os.getpid()
    try:
        with values.transaction():
            values.append("in the block")
            pid = os.fork()
            if pid:
                os.waitpid(pid, 0)
        outcome = "left"
    except BaseException as error:  # noqa: BLE001 - the child must not go on in pytest
        outcome = repr(error)
    if os.getpid() != parent:
        with contextlib.suppress(BaseException):
            os.write(write, f"{outcome} {values[:]}".encode())
        os._exit(0)
    assert os.read(read, 1000) == b"left ['kept']"
    os.close(read)
    os.close(write)
    assert outcome == "left"
    assert values[:] == ["kept", "in the block"]
    values.close()


def test_the_child_of_a_snapshot_reads_on(path):
    with MemoryBuffer(path, blobify="bytes") as values:
        values.extend([b"x" * 100] * 50)
        values.commit()
        snapshot = values.snapshot()
        assert in_child(lambda: snapshot[:]) == snapshot[:]
        assert in_child(lambda: (snapshot.close(), 1)[1]) == 1
        # The child's end took nothing away: the snapshot is registered still.
        store = handle_of(values)
        values[0] = b"newer"
        values.commit()
        assert (
            oldest_reader(store.region.device, store.slot.transaction) == snapshot.region.transaction_number
        )
        assert snapshot[0] == b"x" * 100
        snapshot.close()
        assert oldest_reader(store.region.device, store.slot.transaction) is None


def test_a_killed_parent_releases_the_lock_though_a_child_lives(path):
    code = """
import os, signal, sys
from stablemem import MemoryBuffer
values = MemoryBuffer(sys.argv[1], blobify="bytes")
values.append(b"from the parent"); values.commit()
snapshot = values.snapshot()
pid = os.fork()
if pid:
    print(pid, flush=True)
signal.pause()
"""
    parent = start(code, path)
    child = int(parent.stdout.readline())
    try:
        with pytest.raises(RegionLockedError) as caught:
            MemoryBuffer(path)
        assert caught.value.pid == parent.pid
        parent.kill()
        parent.wait()
        with MemoryBuffer(path, timeout=HANGS) as values:
            assert values[:] == [b"from the parent"]
            values.append(b"from the next")
        os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        parent.kill()
        parent.wait()
        for pipe in (parent.stdin, parent.stdout, parent.stderr):
            pipe.close()


def test_forks_of_many_regions():
    """A region in memory, a closed one and a snapshot: the hook takes each as it is."""
    one, two = MemoryBuffer(blobify="bytes"), MemoryBuffer()
    one.extend([b"1", b"2"])
    one.commit()
    two.close()
    snapshot = one.snapshot()
    one.append(b"3")
    assert in_child(lambda: (one[:], snapshot[:], two.closed)) == ([b"1", b"2"], [b"1", b"2"], True)
    assert one[:] == [b"1", b"2", b"3"]
    snapshot.close()
    one.close()


# -- threads ---------------------------------------------------------------------------------------------


def run_threads(*calls):
    """Run calls in threads that start together; re-raise what the first of them raised."""
    errors = []
    barrier = threading.Barrier(len(calls))

    def run(call):
        barrier.wait(HANGS)
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    join(*[in_thread(lambda call=call: run(call)) for call in calls])
    if errors:
        raise errors[0]


@pytest.fixture
def often():
    """Let threads switch often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("source", ["file", "memory"])
def test_threads_share_a_handle(path, source, often):
    rounds = scaled(400, 150)
    with MemoryBuffer(path if source == "file" else None, blobify="bytes") as values:
        values.extend([b"the first value"] * 10)
        stop = threading.Event()

        def write(letter):
            for number in range(rounds):
                values.append(b"%c%d with some more" % (letter, number))
                if number % 50 == 7:
                    values.commit(sync=False)
                if number % 60 == 9:
                    handle_of(values).write_early()

        def read():
            rng = random.Random(1)
            while not stop.is_set():
                assert values[rng.randrange(10)] == b"the first value"
                assert values[:5] == [b"the first value"] * 5
                for count, value in enumerate(values):
                    assert value
                    if count > 40:
                        break
                with values.snapshot() as snapshot:
                    len(snapshot)

        def writers():
            try:
                run_threads(*[lambda letter=letter: write(letter) for letter in b"abcd"])
            finally:
                stop.set()

        run_threads(writers, read, read)
        assert len(values) == 10 + 4 * rounds
        for letter in b"abcd":
            mine = [value for value in values if value[0] == letter]
            assert mine == [b"%c%d with some more" % (letter, number) for number in range(rounds)]
        values.verify()
        values.commit()
        values.verify()


def test_a_block_keeps_other_threads_changes_out(often, monkeypatch):
    waiting = waits_for_latch(monkeypatch)
    with MemoryBuffer() as values:
        inside = threading.Event()
        order = []

        def block():
            with contextlib.suppress(KeyError), values.transaction():
                values.append("block")
                inside.set()
                wait_for(lambda: waiting() and order)
                assert list(values) == ["block"]
                order.append("end of the block")
                raise KeyError

        def other():
            assert inside.wait(HANGS)
            assert values[:] == ["block"]  # reads do not wait, and see what is not committed
            order.append("read")
            values.append("other")
            order.append("other")

        run_threads(block, other)
        assert order == ["read", "end of the block", "other"]
        assert values[:] == ["other"]


def test_rollbacks_and_changes_in_threads(often):
    """Whatever the order, the list stays sound and holds whole calls only."""
    with MemoryBuffer(blobify="bytes") as values:
        values.extend([b"base"] * 300)
        values.commit()

        def change():
            rng = random.Random(threading.get_ident())
            for _ in range(scaled(150, 50)):
                with contextlib.suppress(IndexError):
                    kind = rng.randrange(5)
                    if kind == 0:
                        values.extend([b"a run of values"] * 20)
                    elif kind == 1:
                        values.insert(rng.randrange(300), b"inserted, long enough")
                    elif kind == 2:
                        del values[rng.randrange(300)]
                    elif kind == 3:
                        values.pop()
                    else:
                        values[5:9] = [b"sliced in"] * 3

        def turn():
            for number in range(40):
                if number % 3:
                    values.commit(sync=False)
                else:
                    values.rollback()

        run_threads(change, change, turn)
        assert set(values) <= {b"base", b"a run of values", b"inserted, long enough", b"sliced in"}
        values.verify()
        values.commit()
        values.verify()


def test_closing_while_others_read(often):
    for _ in range(scaled(10, 5)):
        values = MemoryBuffer.from_iterable([b"x" * 50] * 1000, blobify="bytes")
        reading = threading.Semaphore(0)
        ended = []

        def read(values=values, reading=reading, ended=ended):
            count = 0
            with contextlib.suppress(RegionClosedError):
                while True:
                    assert values[500] == b"x" * 50
                    for value in values:
                        assert value == b"x" * 50
                        count += 1
                        if count == 1500:  # in the middle of the second walk
                            reading.release()
            ended.append(count)

        def close(values=values, reading=reading):
            for _ in range(2):
                assert reading.acquire(timeout=HANGS)
            values.close()

        run_threads(read, read, close)
        assert len(ended) == 2
        assert min(ended) >= 1500


def test_a_call_from_within_a_call_is_refused_not_deadlocked():
    """A Blobify may use the list; it runs before anything is entered."""

    class Nosy:
        name = "tests.Nosy"

        def to_blob(self, value):
            lengths.append(len(values))
            return value

        def from_blob(self, blob):
            lengths.append(len(values))
            return blob

    lengths = []
    with MemoryBuffer(blobify=Nosy()) as values:
        values.append(b"one")
        values.extend([b"two", b"three"])
        assert values[1] == b"two"
        assert list(values) == [b"one", b"two", b"three"]
        assert values.pop() == b"three"
    assert lengths[:3] == [0, 1, 1]


# -- pickling --------------------------------------------------------------------------------------------


# -- ends ------------------------------------------------------------------------------------------------


def test_nothing_is_left_open():
    before = len(os.listdir("/proc/self/fd"))
    count = len(OPEN)
    for _ in range(20):
        with MemoryBuffer(blobify="bytes") as values:
            values.extend([bytes(100)] * 100)
            values.commit()
            with values.snapshot() as snapshot:
                values[0] = b"x"
                values.commit()
                snapshot.refresh()
            values.verify()
            values.stats()
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(OPEN) == count


def test_a_read_beside_a_block_that_is_being_undone(monkeypatch):
    """It sees the list as it was in the block, or without it; never what is between the two."""
    waiting = waits_for_latch(monkeypatch)
    with MemoryRegion() as region:
        values = region.buffer("values")
        values.extend(["a text of more than eight bytes"] * 600)
        region.commit()
        patches = handle_of(region).patches
        real, read = patches.undo_to, []

        def undo_to(mark):
            reader = in_thread(lambda: read.append(values[300]))
            wait_for(lambda: waiting() or not reader.is_alive())
            threads.append(reader)
            real(mark)

        threads = []
        monkeypatch.setattr(patches, "undo_to", undo_to)
        with region.transaction():
            values[0] = "outer"
            with contextlib.suppress(KeyError), region.transaction():
                values[300] = "changed in the inner block"
                raise KeyError
            join(*threads)
            assert read in (["changed in the inner block"], ["a text of more than eight bytes"])
        assert values[0] == "outer"
