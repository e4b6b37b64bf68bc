# cython: annotation_typing=False
"""Latch: one thread at a time in the structures of a handle, at almost no cost when there is one.

``enter``/``leave`` bracket a single call. Compiled, under the GIL, that is a test and a store: nothing
between the two can let another thread in, and a call that reaches the kernel meanwhile leaves
``busy`` set for the others to see. Interpreted, threads switch anywhere, so a real lock is taken.

``lock`` is what a transaction block holds for longer; ``owner`` says to changes of other threads that
they must wait for it. Reads do not: they see the block's uncommitted state.
"""

import threading
import time

from ..errors import RegionClosedError, StableMemoryError

try:
    import cython
except ModuleNotFoundError:
    from . import _cython as cython
if not cython.compiled:
    from threading import get_ident

__all__ = ["Held", "Latch"]


class Latch:
    """The latch of one region handle and everything on it.

    Attributes:
        lock: held by transaction blocks, commits and other long work.
        owner: identifier of the thread that holds ``lock`` for a block, 0 for none.
        busy: identifier of the thread inside a call, 0 for none.
        closed: why no call may enter any more; empty while the handle is open.
    """

    __slots__ = ("_inner", "busy", "closed", "lock", "owner")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._inner = threading.RLock()
        self.owner = 0
        self.busy = 0
        self.closed = ""

    def enter(self) -> None:
        """Begin a call that reads."""
        if self.closed:
            raise RegionClosedError(self.closed)
        thread = get_ident()
        if cython.compiled:
            if self.busy:
                self._wait(thread)
        else:
            self._inner.acquire()
            if self.busy:
                self._inner.release()
                self._re_entered()
        self.busy = thread

    def enter_change(self) -> None:
        """Begin a call that changes something: waits while another thread's block holds the handle."""
        while True:
            if self.owner and self.owner != get_ident():
                with self.lock:
                    pass
            self.enter()
            if not self.owner or self.owner == get_ident():
                return
            self.leave()

    def leave(self) -> None:
        """End a call."""
        self.busy = 0
        if not cython.compiled:
            self._inner.release()

    def reset(self) -> None:
        """Become new, in the child of a fork: whoever was inside is not in this process."""
        self.lock = threading.RLock()
        self._inner = threading.RLock()
        self.owner = 0
        self.busy = 0

    def _wait(self, thread: int) -> None:
        """Wait until no other thread is inside."""
        if self.busy == thread:
            self._re_entered()
        pause = 0.0
        while self.busy:
            time.sleep(pause)
            pause = min(pause + 1e-5, 1e-3)
        if self.closed:
            raise RegionClosedError(self.closed)

    def _re_entered(self) -> None:
        """Raise for a call from within a call, as a finalizer or signal handler might make it."""
        raise StableMemoryError(
            "this list was used from within one of its own calls in the same thread: wait until that has "
            "returned, or use a handle of its own, such as snapshot()"
        )

    def own(self) -> int:
        """Hold the handle for a block of calls; returns the owner before, for ``disown``."""
        self.lock.acquire()
        before = self.owner
        self.owner = get_ident()
        return before

    def disown(self, before: int) -> None:
        """End a block that ``own`` began; in the child of a fork there is none to end."""
        if self.owner == get_ident():
            self.owner = before
            self.lock.release()

    def held(self) -> "Held":
        """Return a context for work that keeps changes and calls of other threads out."""
        return Held(self)


class Held:
    """A stretch of work inside the latch, with the lock held; it may nest in a transaction block's."""

    __slots__ = ("_before", "_latch")

    def __init__(self, latch: Latch) -> None:
        self._latch = latch
        self._before = 0

    def __enter__(self) -> None:
        self._before = self._latch.own()
        try:
            self._latch.enter()
        except BaseException:
            self._latch.disown(self._before)
            raise

    def __exit__(self, *_: object) -> None:
        self._latch.leave()
        self._latch.disown(self._before)
