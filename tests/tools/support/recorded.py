"""Regions on recording devices, and regions made of bytes."""

import os

from stablemem import MemoryRegion
from stablemem._core.audit.verify import verify_writer
from stablemem._core.disk.device import MemoryDevice
from stablemem._core.txn.opening import open_handle
from support.recording import RecordingDevice

from .probe import handle_of

__all__ = ["BOOT", "NEXT_BOOT", "Recorder", "contents", "prove", "region_of", "region_on"]

BOOT = b"this boot here.."
NEXT_BOOT = b"the boot after.."
FILE_ID = b"\1" * 16


class Recorder(RecordingDevice):
    """A recording device whose bytes can be read when the region has closed it.

    Attributes:
        interrupt_at: number of the event that is done and then interrupted by Ctrl-C; None for never.
    """

    def __init__(self):
        super().__init__()
        self.interrupt_at = None
        self._kept = os.dup(self.descriptor)

    def __del__(self):
        os.close(self._kept)

    def bytes(self):
        """Return all that the device holds."""
        return os.pread(self._kept, os.fstat(self._kept).st_size, 0)

    def _interrupted(self):
        if self.interrupt_at == len(self.events) - 1:
            raise KeyboardInterrupt

    def write_run(self, address, pieces):
        super().write_run(address, pieces)
        self._interrupted()

    def sync(self):
        super().sync()
        self._interrupted()

    def truncate(self, size):
        super().truncate(size)
        self._interrupted()


def region_on(device, boot=BOOT, mode="a"):
    """Return a region on a device."""
    return MemoryRegion._of(open_handle(None, mode, device=device, boot=boot, file_id=FILE_ID), mode)


def region_of(image, boot=BOOT, mode="a", recording=False):
    """Return a region whose device holds the bytes of an image."""
    device = Recorder() if recording else MemoryDevice()
    if recording:
        MemoryDevice.write_run(device, 0, [image])
    else:
        device.write(0, image)
    return region_on(device, boot, mode)


def contents(region, names=("main", "second")):
    """Return what a region's lists hold; [] for those that are not there."""
    there = set(region.names())
    return {name: region.buffer(name, "bytes")[:] if name in there else [] for name in names}


def prove(region):
    """Assert that a region is sound, on the disk and in memory."""
    region.verify()
    assert verify_writer(handle_of(region)) == []
