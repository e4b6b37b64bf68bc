"""Turns: handles that wait for the writer lock of a file get it in the order in which they came.

The lock itself is taken by ``flock``, which keeps no order and cannot wait for a limited time. So a handle
that waits takes a place in a queue, which is a lock on one byte (locks.py), and sleeps on the wake word in
the header. A handle that lets go of the lock changes that word and wakes the first in the queue. A newcomer
that is ready to wait takes the place after the last one, and does not try the lock before.

Invariants:

* A waiting handle reads the word, then tries the lock, then begins to sleep. The sleep ends at once if the
  word has changed. The word changes after the lock has become free. So a handle that sleeps while the lock
  is free is woken, unless the holder of the lock has died.
* A handle that has not tried the lock for POLL seconds tries it, even if it is not the first. So no handle
  waits longer than that for a holder that has died, or for a first one that was stopped.
* The word is written only if a handle waits, and only in a region: no other file is ever written to.
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
"""Seconds after which a waiting handle tries the lock without being woken."""

_LAST = PLACES + (1 << 32)


def somebody_waits(device: Device) -> bool:
    """Return whether another handle has a place in the queue."""
    return probe(device, PLACES, _LAST) is not None


def _mark(place: int) -> int:
    """Return the bit by which the handle at a place is woken; in a long queue, several share one bit."""
    return 1 << place % 32


class Turn:
    """A place in the queue of waiting handles, as a context: the place is given up at its end.

    Args:
        device: opened for writing.
        end: when the handle stops waiting, as a time of ``time.monotonic``.
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
        # This handle may have been woken and not used its turn: then the next one is woken.
        unused = kind is not None and self._is_first()
        self._leave()
        if unused:
            wake_first(self._device)

    def _take_place(self) -> None:
        """Take the place after the last one; take none if the kernel gives no more locks."""
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
        """Return the word, for ``sleep``. Call this before the lock is tried."""
        return self._device.read(WAKE_AT, 4)

    def has_come(self) -> bool:
        """Return whether to try the lock: it is the first handle, or has not tried for POLL, or times out."""
        now = time.monotonic()
        if now < self._next and not self._is_first():
            return False
        self._next = min(now + POLL, self._end)
        return True

    def sleep(self, seen: bytes) -> None:
        """Sleep until woken, or until it is time to try the lock; ``seen`` is the result of ``look``."""
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
    """Wake the first handle in the queue, if there is one, because the lock has become free."""
    # There may be an ImportError at the very end of the interpreter.
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
    """Let go of the writer lock, and wake the first handle that waits for it.

    The lock is unlocked, not only closed: if another thread is just starting a process, that process has a
    copy of the descriptor until it runs its own program.
    """
    with suppress(OSError):
        fcntl.flock(device.descriptor, fcntl.LOCK_UN)
    wake_first(device)
