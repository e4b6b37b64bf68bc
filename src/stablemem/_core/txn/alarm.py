"""Alarm: one call, some seconds from now, in a thread of its own."""

import sys
import threading
import time
from collections.abc import Callable

__all__ = ["Alarm"]

LONGEST = 3600.0
"""Seconds of one wait: Python refuses very long ones."""


class Alarm:
    """A call that is due at a time, which may be put off or called off.

    The thread exists only while something is due, and does not keep the process alive. Once the interpreter
    ends, no thread is started or spoken to: it would never answer.

    Args:
        call: what to call; what it raises goes to ``threading.excepthook``, and the thread goes on.

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
        """Let the call be due ``seconds`` from now, unless it is due already."""
        if self._due is not None or sys.is_finalizing():
            return
        with self._changed:
            self._due = time.monotonic() + seconds
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="stablemem alarm", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    # No more threads: the next call tries again, and nothing else fails for it.
                    self._due = None
                else:
                    self._thread = thread

    def cancel(self) -> None:
        """Call the call off; costs nothing if it was not due. The thread finds out when it wakes."""
        self._due = None

    def stop(self) -> None:
        """Call it off for good, and let the thread end now."""
        self._due = None
        if self._thread is not None and not sys.is_finalizing():
            with self._changed:
                self._changed.notify()

    def _run(self) -> None:
        """Sleep until something is due, and do it; end when nothing is."""
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
