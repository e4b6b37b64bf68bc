"""Locks on far bytes: what two handles of one process see of each other."""

import fcntl
import os
import struct

import pytest

from stablemem._core.disk.device import FileDevice
from stablemem._core.disk.locks import PLACES, READERS, WHOLE, lock, probe, unlock


@pytest.fixture
def two(tmp_path):
    """Return two devices on one file, which are two owners of locks."""
    path = tmp_path / "file"
    path.write_bytes(b"short")
    devices = [FileDevice.open(str(path), writable=True) for _ in range(2)]
    yield devices
    for device in devices:
        device.close()


def test_the_three_kinds_of_bytes_never_meet():
    """A transaction's number is below 2**48, and so is a place among those who wait."""
    assert sorted([WHOLE, PLACES, READERS]) == [WHOLE, PLACES, READERS]
    assert min(PLACES - WHOLE, READERS - PLACES) > 1 << 48
    assert READERS + (1 << 48) < 1 << 63


def test_a_lock_alone(two):
    one, other = two
    lock(one, PLACES + 7, shared=False)
    for shared in (False, True):
        with pytest.raises(BlockingIOError):
            lock(other, PLACES + 7, shared=shared)
    lock(other, PLACES + 6, shared=False)
    lock(other, PLACES + 8, shared=False)
    unlock(one, PLACES + 7)
    lock(other, PLACES + 7, shared=False)


def test_shared_locks(two):
    one, other = two
    lock(one, READERS + 3, shared=True)
    lock(other, READERS + 3, shared=True)
    with pytest.raises(BlockingIOError):
        lock(one, READERS + 3, shared=False)
    unlock(other, READERS + 3)
    lock(one, READERS + 3, shared=False)


def test_probe_sees_those_of_others_and_the_first(two):
    one, other = two
    assert probe(one, READERS, READERS + 100) is None
    lock(one, READERS + 5, shared=True)
    assert probe(one, READERS, READERS + 100) is None, "its own"
    for place in (50, 20):
        lock(other, READERS + place, shared=True)
    assert probe(one, READERS, READERS + 100) == (READERS + 20, READERS + 21)
    assert probe(one, READERS + 21, READERS + 100) == (READERS + 50, READERS + 51)
    assert probe(one, READERS + 21, READERS + 50) is None, "the end is not in the range"
    assert probe(other, READERS, READERS + 100) == (READERS + 5, READERS + 6)


def test_a_lock_to_the_end_of_all_bytes(two):
    """Another program may take one: it has no end."""
    one, other = two
    fcntl.fcntl(
        one.descriptor,
        fcntl.F_OFD_SETLK,
        struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, READERS + 9, 0, 0),
    )
    assert probe(other, READERS, READERS + 100) == (READERS + 9, 1 << 63)


def test_locks_end_with_the_device(two):
    one, other = two
    lock(one, PLACES, shared=False)
    assert probe(other, PLACES, PLACES + 1) == (PLACES, PLACES + 1)
    one.close()
    assert probe(other, PLACES, PLACES + 1) is None


def test_the_file_gets_no_longer(two):
    one, _ = two
    lock(one, READERS + 1, shared=True)
    assert os.path.getsize(one.path) == 5
