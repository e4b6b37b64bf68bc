import fcntl
import os
import random

import pytest

from stablemem import RegionLockedError
from stablemem._core.disk.device import FileDevice, MemoryDevice
from stablemem._core.disk.readers import is_read, lock_writer, oldest_reader, register_reader, writer_pid
from support.waiting import HANGS


@pytest.fixture
def open_file(tmp_path):
    (tmp_path / "file").touch()
    made = []

    def opened(writable=True):
        made.append(FileDevice.open(str(tmp_path / "file"), writable=writable))
        return made[-1]

    yield opened
    for device in made:
        device.close()


def test_one_writer(open_file):
    one, two = open_file(), open_file()
    assert writer_pid(one) is None
    lock_writer(one, 0)
    assert writer_pid(two) == os.getpid()
    with pytest.raises(RegionLockedError) as caught:
        lock_writer(two, 0)
    assert caught.value.pid == os.getpid()
    one.close()
    lock_writer(two, 0)


def test_waiting(open_file, monkeypatch):
    """As often as the lock is refused, until it is free or the time is over."""
    one, two = open_file(), open_file()
    lock_writer(one, 0)
    refused = 0
    flock = fcntl.flock

    def counted(*arguments):
        nonlocal refused
        try:
            flock(*arguments)
        except BlockingIOError:
            refused += 1
            if refused == 5:
                one.close()
            raise

    monkeypatch.setattr(fcntl, "flock", counted)
    with pytest.raises(RegionLockedError):
        lock_writer(two, 0)
    assert refused == 1
    with pytest.raises(RegionLockedError):
        lock_writer(two, 1e-9)
    assert 2 <= refused <= 3
    lock_writer(two, HANGS)
    assert refused == 5


def test_the_oldest_reader(open_file):
    writer = open_file()
    assert oldest_reader(writer, 1 << 40) is None
    readers = {number: open_file(writable=False) for number in (9, 5, 700, 6)}
    for number, device in readers.items():
        register_reader(device, number)
    assert oldest_reader(writer, 1 << 40) == 5
    assert oldest_reader(writer, 6) == 5
    assert oldest_reader(writer, 5) is None
    readers[5].close()
    assert oldest_reader(writer, 1 << 40) == 6
    assert oldest_reader(writer, 6) is None
    readers[6].close()
    readers[9].close()
    assert oldest_reader(writer, 700) is None
    assert oldest_reader(writer, 701) == 700


def test_many_readers_against_a_set(open_file):
    rng = random.Random(1)
    writer = open_file()
    held = []
    for _ in range(150):
        if held and rng.random() < 0.4:
            held.pop(rng.randrange(len(held)))[1].close()
        else:
            device = open_file(writable=False)
            number = rng.choice([rng.randrange(1, 30), rng.randrange(1, 1 << 47)])
            register_reader(device, number)
            held.append((number, device))
        below = rng.randrange(1, 40)
        older = [number for number, _ in held if number < below]
        assert oldest_reader(writer, below) == min(older, default=None)
        above = rng.randrange(40)
        assert is_read(writer, above, below) == any(number > above for number in older)


def test_two_readers_of_one_transaction(open_file):
    writer, one, two = open_file(), open_file(writable=False), open_file(writable=False)
    register_reader(one, 5)
    register_reader(two, 5)
    one.close()
    assert oldest_reader(writer, 9) == 5
    two.close()
    assert oldest_reader(writer, 9) is None


def test_a_map_keeps_the_registration(open_file):
    """That is how a view of a snapshot keeps its snapshot."""
    writer, reader = open_file(), open_file(writable=False)
    writer.write(0, b"x" * 100)
    register_reader(reader, 5)
    mapped = reader.map(100)
    reader.close()
    assert oldest_reader(writer, 9) == 5
    mapped.close()
    assert oldest_reader(writer, 9) is None


def test_in_memory():
    device = MemoryDevice()
    reader = device.reopen()
    register_reader(reader, 3)
    assert oldest_reader(device, 4) == 3
    reader.close()
    assert oldest_reader(device, 4) is None
    device.close()


def test_a_child_that_ends_takes_nothing_away(open_file):
    writer, reader = open_file(), open_file(writable=False)
    register_reader(reader, 5)
    pid = os.fork()
    if pid == 0:
        os.close(reader.descriptor)
        os._exit(0)
    os.waitpid(pid, 0)
    assert oldest_reader(writer, 9) == 5
