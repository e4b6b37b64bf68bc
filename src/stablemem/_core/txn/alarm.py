"""Alarm: makes one call after some seconds, in a thread of its own."""

import sys
import threading
import time
from collections.abc import Callable

__all__ = ["Alarm"]

LONGEST = 3600.0
"""Seconds of the longest single wait: Python refuses very long ones."""


class Alarm:
    """A call that is due at some time, and may be cancelled before.

    The thread exists only while the call is due, and does not keep the process alive. When the interpreter
    is ending, no thread is started or notified, because it would never answer.

    Args:
        call: the function to call. Its exceptions go to ``threading.excepthook``, and the thread goes on.

    >>> rung = threading.Event()
    >>> alarm = Alarm(rung.set)
    >>> alarm.set(0.01); rung.wait(10)
    True
    """

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._due: float | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()

    def set(self, seconds: float) -> None:
        """Make the call due ``seconds`` from now, unless it is due already."""
        if self._due is not None or sys.is_finalizing():
            return
        with self._changed:
            self._due = time.monotonic() + seconds
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="stablemem alarm", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    # There are no more threads. The next ``set`` tries again; nothing else fails.
                    self._due = None
                else:
                    self._thread = thread

    def cancel(self) -> None:
        """Cancel the call. Costs nothing if it was not due. The thread notices when it wakes."""
        self._due = None

    def stop(self) -> None:
        """Cancel the call, and let the thread end now."""
        self._due = None
        if self._thread is not None and not sys.is_finalizing():
            with self._changed:
                self._changed.notify()

    def _run(self) -> None:
        """Sleep until the call is due, and make it; end when it is not due any more."""
        while True:
            with self._changed:
                due = self._due
                if due is None:
                    self._thread = None
                    return
                left = due - time.monotonic()
                if left > 0:
                    self._changed.wait(min(left, LONGEST))
                    continue
                self._due = None
            try:
                self._call()
            except BaseException:  # noqa: BLE001 - whatever it is, what is due after it is due
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), self._thread)))
