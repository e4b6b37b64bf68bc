# cython: annotation_typing=False
"""Latch: one thread at a time in the structures of a handle, at almost no cost when there is one.

``enter``/``leave`` bracket a single call. Compiled, under the GIL, that is a test and a store: nothing
between the two can let another thread in, and a call that reaches the kernel meanwhile leaves
``busy`` set for the others to see. Interpreted, threads switch anywhere, so a real lock is taken.

``lock`` is what a transaction block holds for longer; ``owner`` says to changes of other threads that
they must wait for it. Reads do not: they see the block's uncommitted state.

Interpreted, an interrupt too may come anywhere, also between ``enter`` and the ``try`` whose ``finally``
leaves. The call is gone then, and the latch still taken: the thread's next call sees that by the frame of
the call, which is not on the stack any more, and has ``repair`` undo what may be half done.

When the interpreter ends, other threads are stopped wherever they wait, and never leave. So one thread takes
each latch for good before that (``keep``), which leaves no change of another half done; and from then on
nobody waits for a thread: a read that was stopped is passed over, and anything else is an error.
"""

import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from ...errors import RegionClosedError, StableMemoryError

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from threading import get_ident

__all__ = ["Held", "Latch", "Owned", "running_task"]

LOOK = 0.05
"""Seconds after which who waits for another thread's block looks whether that thread still has it."""


class Latch:
    """The latch of one region handle and everything on it.

    Attributes:
        lock: held by transaction blocks, commits and other long work.
        owner: identifier of the thread that holds ``lock`` for a block, 0 for none.
        task: the task of asyncio that has a transaction block open, None for none.
        busy: identifier of the thread inside a call, 0 for none.
        closed: why no call may enter any more; empty while the handle is open.
        repair: called within the latch when a change was left without its end.
    """

    __slots__ = (
        "_changing", "_depth", "_frame", "_inner", "busy", "closed", "lock", "owner", "repair", "task",
    )  # fmt: skip

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._inner = threading.RLock()
        self.owner = 0
        self.task: object = None
        self._depth = 0
        self.busy = 0
        self.closed = ""
        self.repair: Callable[[], object] | None = None
        self._frame: FrameType | None = None
        self._changing = False

    def enter(self) -> None:
        """Begin a call that reads."""
        if self.closed:
            raise RegionClosedError(self.closed)
        thread = get_ident()
        if cython.compiled:
            if self.busy:
                self._wait(thread)
        else:
            frame = _frame_of_call()
            if self._inner._is_owned():  # type: ignore[attr-defined]
                self._left_behind()
            if not self._inner.acquire(False):
                self._await_inner()
            self._frame = frame
            self._changing = False
        self.busy = thread

    def enter_change(self) -> None:
        """Begin a call that changes something: waits while another thread's block holds the handle."""
        self.enter()
        self._changing = True
        if self.owner:
            self._await_owner()

    def _await_owner(self) -> None:
        """Go out, and in again, until no other thread's block holds the handle."""
        while self.owner and self.owner != get_ident():
            self.leave()
            if sys.is_finalizing():
                self._refuse()
            self._acquire()
            self.lock.release()
            self.enter()
            self._changing = True
        if self.task is not None and running_task() is not self.task:
            self.leave()
            self.require_task()

    def require_task(self) -> None:
        """Raise if another task of this thread has a transaction block open."""
        if self.task is not None and self.owner == get_ident() and running_task() is not self.task:
            raise StableMemoryError(
                "another task has a transaction block open, and must end it first: keep no block open over "
                "an await, or let each task enter its own by `async with`, which waits for the others"
            )

    def is_free(self) -> bool:
        """Return whether neither another thread nor another task of this one holds the handle for a block."""
        if not self.owner:
            return True
        return self.owner == get_ident() and (self.task is None or running_task() is self.task)

    def is_inside(self) -> bool:
        """Return whether a call of this thread goes on."""
        if cython.compiled:
            return self.busy == get_ident()
        if not self._inner._is_owned():  # type: ignore[attr-defined]
            return False
        frame: FrameType | None = sys._getframe()
        while frame is not None and frame is not self._frame:
            frame = frame.f_back
        return frame is not None

    def _acquire(self) -> None:
        """Wait for the lock; another thread may put a new one in its place (``take_over``)."""
        while True:
            lock = self.lock
            if lock.acquire(True, LOOK):
                if lock is self.lock:
                    return
                lock.release()

    def take_over(self) -> None:
        """Own the handle in the place of another thread, whose blocks this one ends."""
        lock = threading.RLock()
        lock.acquire()
        self.lock, self.owner, self._depth, self.task = lock, get_ident(), 1, None
        self._await_calls(get_ident())

    def leave(self) -> None:
        """End a call."""
        self.busy = 0
        if not cython.compiled:
            self._frame = None
            self._inner.release()

    def reset(self) -> None:
        """Become new, in the child of a fork: whoever was inside is not in this process."""
        self.lock = threading.RLock()
        self._inner = threading.RLock()
        self.owner = self._depth = 0
        self.task = None
        self.busy = 0

    def _wait(self, thread: int) -> None:
        """Wait until no other thread is inside."""
        if self.busy == thread:
            self._re_entered()
        pause = 0.0
        while self.busy:
            if sys.is_finalizing():
                self._pass_over(thread)
                break
            time.sleep(pause)
            pause = min(pause + 1e-5, 1e-3)
        if self.closed:
            raise RegionClosedError(self.closed)

    def _await_inner(self) -> None:
        """Do as ``_wait``, interpreted, and acquire the lock."""
        if sys.is_finalizing():
            self._pass_over(get_ident())
        self._inner.acquire()

    def _pass_over(self, thread: int) -> None:
        """Go on where another thread was stopped inside, at the end of the interpreter: it was in a read."""
        if self.owner != thread:
            self._refuse()
        self.busy = 0
        self._inner = threading.RLock()

    def _refuse(self) -> None:
        """Raise for a call that would wait for a thread that is no more."""
        raise StableMemoryError(
            "the end of the program stopped another thread in the middle of a call of this list or "
            "region: join all threads before the program ends"
        )

    def _re_entered(self) -> None:
        """Raise for a call from within a call, as a finalizer or signal handler might make it."""
        raise StableMemoryError(
            "this list or region was used from within one of its own calls in the same thread: wait until "
            "that call has returned, or use another handle, such as snapshot()"
        )

    def _left_behind(self) -> None:
        """Take over the latch from a call of this thread that an interrupt ended; or raise if it goes on."""
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            if frame is self._frame:
                self._re_entered()
            frame = frame.f_back
        if self._changing and self.repair is not None:
            self.repair()
        self.busy = 0
        self._frame = None
        self._inner._release_save()  # type: ignore[attr-defined]

    def own(self) -> int:
        """Hold the handle for a block of calls; return the owner before, 0 for none."""
        thread = get_ident()
        try:
            if not self.lock.acquire(False):
                if sys.is_finalizing():
                    self._refuse()
                self._acquire()
        except BaseException:
            # An interrupt ends the waiting; or it comes just behind it, and then the lock is taken.
            if self.lock._is_owned():  # type: ignore[attr-defined]
                self.lock.release()
            raise
        before = self.owner
        self.owner = thread
        self._depth += 1
        if before == 0:
            try:
                self._await_calls(thread)
            except BaseException:
                self.disown()
                raise
        return before

    def _await_calls(self, thread: int) -> None:
        """Wait until the call that another thread is inside has ended: it may be a change."""
        if cython.compiled:
            pause = 0.0
            while self.busy and self.busy != thread:
                if sys.is_finalizing():
                    self._pass_over(thread)
                    break
                time.sleep(pause)
                pause = min(pause + 1e-5, 1e-3)
        elif not self._inner._is_owned():  # type: ignore[attr-defined]
            if not self._inner.acquire(False):
                self._await_inner()
            self._inner.release()

    def keep(self, seconds: float) -> bool:
        """Take the handle for this thread for good, since the process ends; changes of other threads wait.

        Returns:
            Whether it was free within so many seconds; else another thread's block or call goes on.
        """
        thread = get_ident()
        until = time.monotonic() + seconds
        if not self.lock.acquire(timeout=seconds):
            return False
        self.owner = thread
        self._depth += 1
        while self.busy and self.busy != thread:
            if sys.is_finalizing():
                self._pass_over(thread)
            elif time.monotonic() > until:
                self.disown()
                return False
            else:
                time.sleep(1e-3)
        return True

    def disown(self) -> None:
        """End a block that ``own`` began; in the child of a fork there is none to end."""
        if self.owner == get_ident():
            self._depth -= 1
            if not self._depth:
                self.owner = 0
                self.task = None
            self.lock.release()

    def held(self) -> "Held":
        """Return a context for work that keeps changes and calls of other threads out."""
        return Held(self)


class Owned:
    """A block of calls, with the lock held: changes by other threads wait."""

    __slots__ = ("_latch",)

    def __init__(self, latch: Latch) -> None:
        self._latch = latch

    def __enter__(self) -> None:
        self._latch.own()

    def __exit__(self, *_: object) -> None:
        self._latch.disown()


class Held(Owned):
    """A stretch of work inside the latch, with the lock held; it may nest in a transaction block's."""

    __slots__ = ()

    def __enter__(self) -> None:
        self._latch.own()
        try:
            self._latch.enter()
            self._latch._changing = True
        except BaseException:
            self._latch.disown()
            raise

    def __exit__(self, *_: object) -> None:
        self._latch.leave()
        self._latch.disown()


def running_task() -> object:
    """Return the task of asyncio that runs in this thread, or None."""
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio.current_task() if asyncio is not None else None
    except (RuntimeError, AttributeError):
        # No loop runs; or another thread is importing the module.
        return None


def _frame_of_call() -> FrameType:
    """Return the frame of the public call that is being made, interpreted: it ends when the call does."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_back.f_globals.get("__name__", "").startswith("stablemem."):
        frame = frame.f_back
    return frame
