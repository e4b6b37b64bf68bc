"""The device that the crash and fault tests are built on."""

import errno
from collections.abc import Sequence

from stablemem._core.disk.device import Buffer, MemoryDevice

__all__ = ["RecordingDevice"]


class RecordingDevice(MemoryDevice):
    """Memory that records what is done to it and fails when told to.

    Attributes:
        events: ``("write", address, bytes)``, ``("truncate", size)`` and ``("sync",)`` in order.
        fail_at: the number of the event, from 0, that fails; None for never.
        fail_with: the error number it fails with.
        fail_short: how many bytes of a failing write arrive before it fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self.path = "recording"
        self.events: list[tuple[object, ...]] = []
        self.fail_at: int | None = None
        self.fail_with = errno.EIO
        self.fail_short = 0

    def _record(self, *event: object) -> bool:
        """Write the event down; return whether it is the one that fails."""
        self.events.append(event)
        return len(self.events) - 1 == self.fail_at

    def write_run(self, address: int, pieces: Sequence[Buffer]) -> None:
        """Write, record, and fail if it is this event's turn."""
        data = b"".join(pieces)
        if self._record("write", address, data):
            super().write_run(address, [data[: self.fail_short]])
            raise self.error(self.fail_with, f"writing {len(data)} bytes at address {address}")
        super().write_run(address, [data])

    def sync(self) -> None:
        """Record, and fail if it is this event's turn."""
        if self._record("sync"):
            raise self.error(self.fail_with, "syncing")

    def punch(self, address: int, size: int) -> None:
        """Write zeros, which a power cut may leave half done, as it may a hole; a failure is none."""
        if not self._record("write", address, bytes(size)):
            super().punch(address, size)

    def truncate(self, size: int) -> None:
        """Cut or extend, record, and fail if it is this event's turn."""
        if self._record("truncate", size):
            raise self.error(self.fail_with, f"setting the length to {size} bytes")
        super().truncate(size)
