"""Turns: those who wait for the writer lock of a file get it one after the other, in the order they came.

The lock itself is taken by ``flock``, which keeps no order and cannot wait for a limited time. So whoever
waits takes a place, which is a lock on a byte of its own (locks.py), and sleeps on a word of the header.
Whoever lets go of the lock changes that word and wakes the first of them. A newcomer that is ready to wait
takes the place after the last one, and does not try the lock before.

Invariants:

* The word is read, then the lock is tried, then the sleep begins, which ends at once if the word is another.
  The word changes after the lock has become free. So whoever sleeps while the lock is free is woken, unless
  its holder has died.
* Whoever has not tried the lock for POLL seconds tries it, the first or not: nobody waits for longer than
  that for a holder that has died, or for a first one that was stopped.
* The word is written only while somebody waits, and only to a region: another file is never written to.
"""

import fcntl
import os
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from ...layout import HEADER_SIZE, NODE_SIZE, WAKE_AT
from ..format.slots import MAGIC
from .device import Device
from .futex import Word
from .locks import PLACES, lock, probe, unlock

__all__ = ["POLL", "Turn", "let_go", "somebody_waits"]

POLL = 0.05
"""Seconds after which whoever waits tries the lock unasked."""

_LAST = PLACES + (1 << 32)


def somebody_waits(device: Device) -> bool:
    """Return whether somebody else has a place."""
    return probe(device, PLACES, _LAST) is not None


def _mark(place: int) -> int:
    """Return the bit by which whoever has a place is woken; in a long queue several have the same."""
    return 1 << place % 32


class Turn:
    """A place among those who wait, as a context: at its end it is given up.

    Args:
        device: opened for writing.
        end: a time of ``time.monotonic``: when it gives up.
    """

    def __init__(self, device: Device, end: float) -> None:
        self._device = device
        self._end = end
        self._place = 0
        self._word: Word | None = None
        self._next = min(time.monotonic() + POLL, end)

    def __enter__(self) -> Self:
        try:
            self._take_place()
            if self._place:
                self._word = Word.of(self._device.descriptor, WAKE_AT)
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # It may have been woken for nothing: then the next one is.
        unused = kind is not None and self._is_first()
        self._leave()
        if unused:
            wake_first(self._device)

    def _take_place(self) -> None:
        """Take the place after the last one; none where the kernel gives no more locks."""
        place = PLACES
        while place < _LAST and (found := probe(self._device, place, _LAST)) is not None:
            place = found[1]
        while place < _LAST:
            try:
                lock(self._device, place, shared=False)
            except BlockingIOError:
                place += 1
            except OSError:
                return
            else:
                self._place = place
                return

    def _is_first(self) -> bool:
        return self._place <= PLACES or probe(self._device, PLACES, self._place) is None

    def _leave(self) -> None:
        word, self._word = self._word, None
        if word is not None:
            word.close()
        place, self._place = self._place, 0
        if place:
            unlock(self._device, place)

    def look(self) -> bytes:
        """Return the word, for ``sleep``: to be read before the lock is tried."""
        return self._device.read(WAKE_AT, 4)

    def has_come(self) -> bool:
        """Return whether to try the lock: it is the first, or has not tried for long, or gives up next."""
        now = time.monotonic()
        if now < self._next and not self._is_first():
            return False
        self._next = min(now + POLL, self._end)
        return True

    def sleep(self, seen: bytes) -> None:
        """Sleep until it is woken, or is to try the lock unasked; ``seen`` is what ``look`` returned."""
        if self._word is not None and len(seen) == 4:
            try:
                self._word.sleep(seen, self._next, _mark(self._place))
            except OSError:
                self._word.close()
                self._word = None
            else:
                return
        time.sleep(max(0.0, self._next - time.monotonic()))


def wake_first(device: Device) -> None:
    """Wake the first of those who wait, if anybody does: the lock has become free."""
    # ImportError: at the very end of the interpreter.
    with suppress(OSError, ImportError):
        first = _LAST
        while first > PLACES and (found := probe(device, PLACES, first)) is not None:
            first = max(found[0], PLACES)
        if first == _LAST:
            return
        header = device.read(0, HEADER_SIZE)
        if len(header) < HEADER_SIZE:
            return
        if any(header[slot : slot + len(MAGIC)] == MAGIC for slot in range(0, HEADER_SIZE, NODE_SIZE)):
            device.write(WAKE_AT, os.urandom(4))
        word = Word.of(device.descriptor, WAKE_AT)
        if word is not None:
            try:
                word.wake(_mark(first))
            finally:
                word.close()


def let_go(device: Device) -> None:
    """Let go of the writer lock, and wake the first of those who wait for it.

    It is unlocked, not only closed: a process that another thread is just starting has a copy of the
    descriptor until it runs its own program.
    """
    with suppress(OSError):
        fcntl.flock(device.descriptor, fcntl.LOCK_UN)
    wake_first(device)
