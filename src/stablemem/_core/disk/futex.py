"""Futex: threads of any process sleep until a word of a file changes, or until they are woken.

The kernel finds the word by a shared, read-only map of the file. The word is changed by ordinary writes.

Invariants:

* A word may be missing: if the processor, the kernel or the file system does not support it, ``Word.of``
  returns None or ``sleep`` raises. Then a thread that waits has to look again from time to time.
* This module reads nothing through the map. So if the file was cut short, that is an error, not a signal.
"""

import errno
import os
from functools import cache
from typing import Any, Self

__all__ = ["ALL", "Word"]

_CALL = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "loongarch64": 98, "ppc64le": 221}
"""The number of the system call, by processor."""

_WAIT_BITSET, _WAKE_BITSET = 9, 10
_PROT_READ, _MAP_SHARED = 1, 1

_EVERYBODY = (1 << 31) - 1
_FAILED = (1 << 64) - 1

ALL = (1 << 32) - 1
"""Bits that match every sleeper."""


@cache
def _library() -> Any:
    """Return the C library, prepared for the calls of this module; None if no futex is known here."""
    # Imported here, because few programs have to wait.
    import ctypes

    if ctypes.sizeof(ctypes.c_void_p) != 8 or os.uname().machine not in _CALL:
        return None
    library = ctypes.CDLL(None, use_errno=True)
    pointer, word = ctypes.c_void_p, ctypes.c_long
    library.mmap.restype = pointer
    library.mmap.argtypes = (pointer, word, word, word, word, word)
    library.munmap.argtypes = (pointer, word)
    library.syscall.restype = word
    library.syscall.argtypes = (word, pointer, word, word, pointer, pointer, word)
    return library


class Word:
    """Four bytes of a file, on which threads sleep.

    Each sleeper has a ``mark``, a set of 32 bits. A call of ``wake`` wakes it if their marks share a bit.

    Args:
        begin: address of the map in memory.
        at: address of the word in the file.

    >>> from stablemem._core.disk.device import MemoryDevice
    >>> device = MemoryDevice(); device.write(60, b"some")
    >>> word = Word.of(device.descriptor, 60)
    >>> if word is not None:
    ...     assert word.sleep(b"more", 1e9, ALL), "it is another"
    ...     assert not word.sleep(b"some", 0.0, ALL), "the time is over"
    ...     word.close()
    >>> device.close()
    """

    def __init__(self, begin: int, at: int) -> None:
        self._begin = begin
        self._at = at

    @classmethod
    def of(cls, descriptor: int, at: int) -> Self | None:
        """Return the word at an address (a multiple of 4) of an open file; None if it is not supported."""
        library = _library()
        if library is None:
            return None
        begin = library.mmap(None, at + 4, _PROT_READ, _MAP_SHARED, descriptor, 0)
        return None if begin is None or begin == _FAILED else cls(begin, at)

    def _futex(self, operation: int, value: int, until: Any, mark: int) -> int:
        """Call the kernel without holding the GIL; return its result, or an error number times -1."""
        import ctypes

        call = _CALL[os.uname().machine]
        result: int = _library().syscall(call, self._begin + self._at, operation, value, until, None, mark)
        return result if result >= 0 else -ctypes.get_errno()

    def sleep(self, seen: bytes, until: float, mark: int) -> bool:
        """Sleep while the word equals ``seen``; return False when the time is over, True to look again.

        Args:
            seen: the word, as it was read.
            until: a time of ``time.monotonic``.
            mark: the bits by which this thread may be woken.

        Raises:
            OSError: the system cannot sleep on this word.
        """
        import ctypes

        seconds = int(until)
        time = (ctypes.c_long * 2)(seconds, int((until - seconds) * 1e9))
        value = int.from_bytes(seen, "little")
        error = self._futex(_WAIT_BITSET, value, ctypes.addressof(time), mark)
        if error in {0, -errno.EAGAIN, -errno.EINTR}:
            return True
        if error == -errno.ETIMEDOUT:
            return False
        raise OSError(-error, os.strerror(-error))

    def wake(self, mark: int) -> int:
        """Wake the sleepers whose mark shares a bit with this one; return their number."""
        return max(0, self._futex(_WAKE_BITSET, _EVERYBODY, None, mark))

    def close(self) -> None:
        """Unmap the file."""
        _library().munmap(self._begin, self._at + 4)
