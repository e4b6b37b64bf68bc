# cython: annotation_typing=False
"""Latch: lets one thread at a time into a handle, at almost no cost if there is only one thread.

``enter`` and ``leave`` bracket a single call. In the compiled form, under the GIL, that is a test and a
store: no other thread can get in between the two. If the call goes into the kernel, ``busy`` stays set, and
other threads see it. In the interpreted form, threads can switch anywhere, so a real lock is taken.

A transaction block holds ``lock`` until it ends; ``owner`` tells changes of other threads to wait for it.
Reads do not wait: they see the uncommitted state of the block.

In the interpreted form, an interrupt may come anywhere, too, even between ``enter`` and the ``try`` whose
``finally`` leaves. Then the call has ended, and the latch is still taken. The next call of the thread notices
this, because the frame of the old call is not on the stack any more, and lets ``repair`` undo what may be
half done.

When the interpreter ends, other threads are stopped while they wait, and never leave. So before that, one
thread takes each latch for good (``keep``), so that no change of another thread is left half done. From then
on no thread waits for another: a read that was stopped is passed over, and anything else is an error.
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
"""Seconds after which a thread that waits for another thread's block looks whether that one still has it."""


class Latch:
    """The latch of one handle and everything that uses it.

    Attributes:
        lock: held by transaction blocks, commits and other long work.
        owner: identifier of the thread that holds ``lock`` for a block; 0 for none.
        task: the task of asyncio that has a transaction block open; None for none.
        busy: identifier of the thread that is inside a call; 0 for none.
        closed: why no call may enter any more; empty while the handle is open.
        repair: called within the latch if a change was interrupted and has not left.
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
        """Begin a call that changes something. Waits while a block of another thread holds the handle."""
        self.enter()
        self._changing = True
        if self.owner:
            self._await_owner()

    def _await_owner(self) -> None:
        """Leave, wait and enter again until no block of another thread holds the handle."""
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
        """Return whether no block of another thread, or of another task of this one, holds the handle."""
        if not self.owner:
            return True
        return self.owner == get_ident() and (self.task is None or running_task() is self.task)

    def is_inside(self) -> bool:
        """Return whether this thread is inside a call."""
        if cython.compiled:
            return self.busy == get_ident()
        if not self._inner._is_owned():  # type: ignore[attr-defined]
            return False
        frame: FrameType | None = sys._getframe()
        while frame is not None and frame is not self._frame:
            frame = frame.f_back
        return frame is not None

    def _acquire(self) -> None:
        """Wait for the lock. Meanwhile another thread may replace it by a new one (``take_over``)."""
        while True:
            lock = self.lock
            if lock.acquire(True, LOOK):
                if lock is self.lock:
                    return
                lock.release()

    def take_over(self) -> None:
        """Own the handle instead of another thread; the caller ends the blocks of that thread."""
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
        """Become new, in the child of a fork: a thread that was inside is not in this process."""
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
        """Do the same as ``_wait``, in the interpreted form, and acquire the lock."""
        if sys.is_finalizing():
            self._pass_over(get_ident())
        self._inner.acquire()

    def _pass_over(self, thread: int) -> None:
        """Enter although the end of the interpreter stopped another thread inside: it was in a read."""
        if self.owner != thread:
            self._refuse()
        self.busy = 0
        self._inner = threading.RLock()

    def _refuse(self) -> None:
        """Raise for a call that would wait for a thread that does not run any more."""
        raise StableMemoryError(
            "the end of the program stopped another thread in the middle of a call of this list or "
            "region: join all threads before the program ends"
        )

    def _re_entered(self) -> None:
        """Raise for a call from within a call, such as a finalizer or a signal handler might make."""
        raise StableMemoryError(
            "this list or region was used from within one of its own calls in the same thread: wait until "
            "that call has returned, or use another handle, such as snapshot()"
        )

    def _left_behind(self) -> None:
        """Take over the latch from a call of this thread that an interrupt ended; raise if it still runs."""
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
        """Hold the handle for a block of calls; return the previous owner, 0 for none."""
        thread = get_ident()
        before = self.owner
        if before == thread:
            self._depth += 1
            return before
        try:
            if not self.lock.acquire(False):
                if sys.is_finalizing():
                    self._refuse()
                self._acquire()
            self.owner = thread
            self._depth = 1
        except BaseException:
            # An interrupt ends the waiting, or it comes just after the waiting: then the lock is taken.
            if self.lock._is_owned():  # type: ignore[attr-defined]
                self.owner = self._depth = 0
                self.lock.release()
            raise
        try:
            self._await_calls(thread)
        except BaseException:
            self.disown()
            raise
        return 0

    def _await_calls(self, thread: int) -> None:
        """Wait until a call that another thread is in has ended: it may be a change."""
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
        """Take the handle for this thread for good, because the process ends; other threads' changes wait.

        Returns:
            Whether the handle was free within ``seconds``. If not, another thread's block or call goes on.
        """
        thread = get_ident()
        until = time.monotonic() + seconds
        if self.owner != thread and not self.lock.acquire(timeout=seconds):
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
        """End a block that ``own`` began. In the child of a fork there is no block to end."""
        if self.owner == get_ident():
            self._depth -= 1
            if self._depth <= 0:
                try:
                    self.owner = self._depth = 0
                    self.task = None
                finally:
                    self.lock.release()

    def held(self) -> "Held":
        """Return a context for work that keeps out the changes and calls of other threads."""
        return Held(self)


class Owned:
    """A block of calls with the lock held: changes of other threads wait."""

    __slots__ = ("_latch",)

    def __init__(self, latch: Latch) -> None:
        self._latch = latch

    def __enter__(self) -> None:
        self._latch.own()

    def __exit__(self, *_: object) -> None:
        self._latch.disown()


class Held(Owned):
    """A piece of work inside the latch, with the lock held. It may be inside a transaction block."""

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
    """Return the asyncio task that runs in this thread, or None."""
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio.current_task() if asyncio is not None else None
    except (RuntimeError, AttributeError):
        # No event loop runs, or another thread is still importing the module.
        return None


def _frame_of_call() -> FrameType:
    """Return the frame of the public call that is being made (interpreted form); it ends with that call."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_back.f_globals.get("__name__", "").startswith("stablemem."):
        frame = frame.f_back
    return frame
