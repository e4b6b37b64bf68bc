"""Waiting for threads and processes: as long as it takes, and not for ever.

No test depends on how fast the machine is. What has to come first is waited for, by an event, a count or a
state, never by a time; and only what hangs meets the one watchdog, HANGS.
"""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from stablemem._core.txn import latch
from support import HANGS

__all__ = ["HANGS", "finish", "in_thread", "join", "wait_for", "waits_for_latch"]


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until something that happens elsewhere has happened."""
    end = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.001)


def in_thread(call: Callable[[], object]) -> threading.Thread:
    """Start a call in a thread of its own, which does not keep the process alive."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


def join(*threads: threading.Thread) -> None:
    """Wait for threads to end."""
    for thread in threads:
        thread.join(HANGS)
        assert not thread.is_alive(), "a thread hangs"


def finish(process: subprocess.Popen[str]) -> list[str]:
    """Return the words that a process printed; assert that it ended well."""
    out, err = process.communicate(timeout=HANGS)
    assert process.returncode == 0, f"{out}\n{err}"
    return out.split()


class _Watched:
    """A lock that notes who has to wait for it."""

    def __init__(self, waiting: list[int]) -> None:
        self._lock = threading.RLock()
        self._waiting = waiting
        self._is_owned = self._lock._is_owned  # type: ignore[attr-defined]
        self._release_save = self._lock._release_save  # type: ignore[attr-defined]
        self.release = self._lock.release

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self._lock.acquire(blocking=False):
            return True
        if not blocking:
            return False
        with _noted(self._waiting):
            return self._lock.acquire(True, timeout)

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


@contextmanager
def _noted(waiting: list[int]) -> Iterator[None]:
    waiting.append(threading.get_ident())
    try:
        yield
    finally:
        waiting.remove(threading.get_ident())


def waits_for_latch(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return what tells how many threads wait for a handle that was made since.

    ``wait_for`` of it proves that one came to the place where it waits; a pause would only make that likely.
    """
    waiting: list[int] = []

    def sleep(seconds: float) -> None:
        with _noted(waiting):
            time.sleep(seconds)

    monkeypatch.setattr(latch, "threading", SimpleNamespace(RLock=lambda: _Watched(waiting)))
    monkeypatch.setattr(latch, "time", SimpleNamespace(sleep=sleep))
    return waiting.__len__
