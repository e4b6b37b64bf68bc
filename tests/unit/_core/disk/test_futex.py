"""Futex: a thread sleeps until a word of a file changes, or somebody wakes it."""

import time

import pytest

from stablemem._core.disk import futex
from stablemem._core.disk.device import MemoryDevice
from stablemem._core.disk.futex import ALL, Word
from support.waiting import in_thread, join, wait_for

FOR_EVER = 1e9


@pytest.fixture
def device():
    made = MemoryDevice()
    made.write(60, b"word")
    yield made
    made.close()


@pytest.fixture
def word(device):
    found = Word.of(device.descriptor, 60)
    if found is None:
        pytest.skip("no futex known on this machine")
    yield found
    found.close()


def sleeper(word, mark):
    """Start a thread that sleeps on a word; return it and what it says when it wakes."""
    said = []
    return in_thread(lambda: said.append(word.sleep(b"word", FOR_EVER, mark))), said


def test_it_is_another_word_already(word):
    assert word.sleep(b"else", FOR_EVER, ALL)


def test_the_time_is_over(word):
    assert not word.sleep(b"word", time.monotonic() - 1, ALL)


def test_nobody_is_there_to_be_woken(word):
    assert word.wake(ALL) == 0


def test_only_those_that_share_a_bit_are_woken(word):
    first, said_first = sleeper(word, 0b0011)
    second, said_second = sleeper(word, 0b0100)
    # Whoever is not asleep yet is not woken: so it is woken until somebody was.
    woken = []
    wait_for(lambda: woken.append(word.wake(0b0010)) or woken[-1])
    join(first)
    assert (woken[-1], said_first, said_second) == (1, [True], [])
    wait_for(lambda: woken.append(word.wake(0b1100)) or woken[-1])
    join(second)
    assert (woken[-1], said_second) == (1, [True])


def test_two_maps_of_one_file_are_one_word(device, word):
    other = Word.of(device.descriptor, 60)
    thread, said = sleeper(word, ALL)
    wait_for(lambda: other.wake(ALL) or said)
    join(thread)
    assert said == [True]
    other.close()


def test_what_is_no_file_has_no_word():
    assert Word.of(-1, 60) is None


def test_a_processor_that_nobody_knows(device, monkeypatch):
    monkeypatch.setattr(futex, "_CALL", {})
    futex._library.cache_clear()
    try:
        assert Word.of(device.descriptor, 60) is None
    finally:
        futex._library.cache_clear()
