"""Ending: what happens to handles that nobody has closed.

    nothing refers to the handle        it ends; uncommitted changes are lost, with a warning
    only a cycle of garbage refers      the same, after the finalizers of all objects in the cycle
    to it
    the interpreter ends normally       a handle that commits by itself does so; then as above
    the interpreter ends by an          as above, without the commit
    exception
    a worker of multiprocessing ends    as when the interpreter ends
    a process forks                     in the child, its handles become readers

The interpreter ends in two steps. First, when all functions of ``atexit`` have run, other threads are kept
out of the handles, because from then on daemon threads may be stopped anywhere; and the handles that commit
by themselves do so. The handles stay open for the finalizers (``__del__``) that run when Python clears the
modules of the program. After these, and before any module of this package is cleared, the handles are ended.

Invariant: a handle has been let go before its warning is given, because a warning may be an error.
"""

import atexit
import gc
import os
import sys
import threading
import types
import warnings
from types import FrameType
from typing import Any, Protocol
from weakref import WeakSet

__all__ = ["OPEN", "collected", "opened", "warn"]


class Handle(Protocol):
    """The calls that end a handle. Each does nothing if there is nothing to do."""

    def settle(self, well: bool) -> None:
        """Keep other threads out from now on; commit if the policy says so and the process ends ``well``."""

    def drop(self, well: bool | None = None, leave: bool = False) -> None:
        """End a handle that nobody has closed.

        Args:
            well: as for ``settle`` if the process ends; else None.
            leave: whether the handle stays open.
        """

    def after_fork(self) -> None:
        """Become a reader, in the child of a fork."""


OPEN: "WeakSet[Any]" = WeakSet()
"""The handles of this process that are open."""

_garbage: list[Handle] = []
_last: list[types.ModuleType] = []
_workers: "dict[int, _Worker]" = {}


def opened(handle: Handle) -> None:
    """Note a handle that has been opened."""
    OPEN.add(handle)
    _watch_worker()


def collected(handle: Handle) -> None:
    """End a handle that nothing refers to. Its ``__del__`` calls this."""
    if not gc.is_finalized(handle):
        handle.drop()
        return
    # The collector calls the finalizers of a cycle in any order, and a later one may commit or close.
    _garbage.append(handle)
    if _after_collection not in gc.callbacks:
        gc.callbacks.append(_after_collection)


def _after_collection(*_: object) -> None:
    """End the handles that the collector found. Called once, after all finalizers of this collection."""
    gc.callbacks.remove(_after_collection)
    while _garbage:
        _garbage.pop().drop()


def _handles() -> list[Any]:
    """Return the handles that are open."""
    while True:
        try:
            return list(OPEN)
        except RuntimeError:
            # Another thread has opened or closed a handle in the meantime.
            continue


def _after_fork_in_child() -> None:
    for handle in _handles():
        handle.after_fork()


# -- the end of the interpreter ------------------------------------------------------------------------


class _AtExit:
    """Called as a function of ``atexit``. Nothing else refers to it, so it is deleted after the last one."""

    def __init__(self) -> None:
        self._process = 0

    def __call__(self) -> None:
        self._process = os.getpid()

    def __del__(self) -> None:
        if self._process == os.getpid():
            _exit()


class _Last:
    """Deleted when Python, after collecting garbage, clears the modules, beginning with the newest."""

    def __init__(self, handles: list[Handle], well: bool) -> None:
        self._handles = handles
        self._well = well

    def __del__(self) -> None:
        _end_all([*self._handles, *_garbage, *_handles()], self._well)


def _ends_well() -> bool:
    """Return whether the program ends without an exception; an interactive session always does."""
    if os.getpid() in _workers and _workers[os.getpid()].has_failed():
        return False
    if hasattr(sys, "ps1") or sys.flags.interactive:
        return True
    return getattr(sys, "last_value", None) is None and getattr(sys, "last_exc", None) is None


def _exit() -> None:
    """Settle all handles, and arrange that they end after the finalizers of the program have run."""
    handles, well = _handles(), _ends_well()
    last = types.ModuleType("stablemem._last")
    last._last = _Last(handles, well)  # type: ignore[attr-defined]
    _last.append(last)
    sys.modules["stablemem._last"] = last
    for handle in handles:
        handle.settle(well)


def _end_all(handles: list[Handle], well: bool, leave: bool = False) -> None:
    """End handles. If a warning is an error, report it, and still end the other handles."""
    for handle in handles:
        try:
            handle.settle(well)
            handle.drop(well, leave)
        except Exception as error:  # noqa: BLE001 - nobody is there to catch it
            _Untold(error)


class _Untold:
    """Reports an exception that nobody can catch, in the way Python reports those of finalizers."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __del__(self) -> None:
        raise self._error


def warn(text: str, kind: type[Warning]) -> None:
    """Warn at the line of the program that is responsible; at no line while the interpreter ends."""
    level = 1
    frame: FrameType | None = sys._getframe()
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("stablemem."):
        frame = frame.f_back
        level += 1
    warnings.warn(text, kind, stacklevel=level)


# -- workers of multiprocessing ------------------------------------------------------------------------


class _Worker:
    """A process as a worker of multiprocessing.

    The function of multiprocessing that ends a worker prints the exception and forgets it. So the exception
    is looked for in the frame of that function.
    """

    def __init__(self) -> None:
        self._runs: FrameType | None = None
        self._spawned = False
        frame = sys._current_frames().get(threading.main_thread().ident or 0)
        while frame is not None:
            if frame.f_code.co_name == "_bootstrap":
                self._runs = frame
            self._spawned = self._spawned or frame.f_code.co_name == "spawn_main"
            frame = frame.f_back

    def has_failed(self) -> bool:
        """Return whether an exception has ended the worker's task."""
        if not isinstance(sys.exc_info()[1], SystemExit | None):
            return True
        return self._runs is not None and "traceback" in self._runs.f_locals

    def exit(self) -> None:
        """End all handles if the worker ends by ``os._exit``, which runs no ``atexit``."""
        failed = self.has_failed()
        if not self._spawned:
            # This waits for the threads that are not daemons, whose changes are part of the work.
            # multiprocessing calls it next, and then it does nothing.
            threading._shutdown()  # type: ignore[attr-defined]
            _end_all(_handles(), not failed, leave=True)
        elif failed:
            # The worker ends later, as other programs do. The exception may be gone by then.
            self.has_failed = lambda: True  # type: ignore[method-assign]


def _watch_worker() -> None:
    """Have multiprocessing call ``_Worker.exit`` at the end of this process, if it is a worker."""
    process = sys.modules.get("multiprocessing.process")
    if process is None or os.getpid() in _workers or process.parent_process() is None:
        return
    from multiprocessing.util import Finalize

    _workers[os.getpid()] = worker = _Worker()
    # The lowest priority: after everything else that is to be done at the end.
    Finalize(None, worker.exit, exitpriority=-sys.maxsize)


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_AtExit())
