"""Snapshots: how a reader moves to the newest commit."""

from collections.abc import Mapping, Set

from ...errors import BlobifyError, RegionReplacedError
from ...shown import shown, shown_path
from ..disk.device import Device
from ..disk.header import Header, newest_number
from ..disk.readers import acquire_newest, look
from ..format.catalog import LIST, Entry
from .state import State

__all__ = ["newer", "still_absent"]


def newer(device: Device, boot: bytes, number: int) -> tuple[Device, Header] | None:
    """Return a device and the header of the newest commit, registered as its reader.

    None if ``number`` is the newest commit.

    Raises:
        RegionReplacedError: ``number`` is the newest, and the last, because the file has lost its name.
    """
    if not _is_behind(device, boot, number):
        led = device.name_leads_to()
        # If a commit came between the two looks, show it first: a caller that now opens the other file
        # would miss it.
        if led == "this" or not _is_behind(device, boot, number):
            _require_name(device, led)
            return None
    return acquire_newest(device.reopen(), boot, number)


def _is_behind(device: Device, boot: bytes, number: int) -> bool:
    """Return whether a file has a commit newer than ``number``."""
    return newest_number(device) > number and look(device, boot).newest.transaction > number


def _require_name(device: Device, found: str) -> None:
    """Raise if the name leads to another file, or to none."""
    # The name that was asked for may be a symbolic link; the path of its target still leads to that file.
    path = shown_path(device.name or device.path)
    if found == "another":
        raise RegionReplacedError(
            f"{path} was replaced by another file after this handle was opened: the handle shows the "
            f"old file, which gets no more commits; close the handle, and open {path} again"
        )
    if found == "none":
        raise RegionReplacedError(
            f"{path} was removed or renamed after this handle was opened: the handle still shows the old "
            f"contents; close the handle, and open the file by its new name, or make a new file"
        )


def still_absent(
    state: State, before: Mapping[str, Entry], opened: Set[str], absent: Set[str], path: str
) -> set[str]:
    """Return the names of the lists that were never committed before, and are not in the new state either.

    Args:
        state: the state that the snapshot moves to.
        before: the lists that the snapshot had.
        opened: names of the lists that are open.
        absent: names of the lists that the snapshot showed although they were never committed.
        path: the file, for messages.

    Raises:
        BlobifyError: another open list is not in the state, or is not the same list.
    """
    for name in opened - absent:
        ours, theirs = before[name], state.lists.get(name)
        if theirs is None or theirs.kind != LIST:
            raise BlobifyError(
                f"the list {shown(name)} is no longer in {shown_path(path)}: open the file again"
            )
        if (ours.blobify, ours.options) != (theirs.blobify, theirs.options):
            raise BlobifyError(
                f"the list {shown(name)} was made again with blobify "
                f"{shown(theirs.blobify)}, not {shown(ours.blobify)}: open the file again"
            )
    return set(absent - state.lists.keys())
