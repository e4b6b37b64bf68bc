"""Snapshots: how a reader gets to the newest commit."""

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
    """Return the newest commit of a file, registered as its reader; None if it is the one of this number.

    Raises:
        RegionReplacedError: it is, and there will be no newer one, since the file has lost its name.
    """
    if not _is_behind(device, boot, number):
        led = device.name_leads_to()
        # A commit between the two looks is shown first: whoever opens another file misses it else.
        if led == "this" or not _is_behind(device, boot, number):
            _require_name(device, led)
            return None
    return acquire_newest(device.reopen(), boot, number)


def _is_behind(device: Device, boot: bytes, number: int) -> bool:
    """Return whether a file has a newer commit."""
    return newest_number(device) > number and look(device, boot).newest.transaction > number


def _require_name(device: Device, found: str) -> None:
    """Raise if the name was found to lead to another file, or to none."""
    # The name that was asked for: the path of a symbolic link's file still leads to that file.
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
    """Return which lists that a snapshot showed, though nobody had committed them, are not in a state either.

    Args:
        state: where the snapshot moves to.
        before: the lists it had.
        opened: names of those that are open.
        absent: names of those that nobody had committed.
        path: the file, for messages.

    Raises:
        BlobifyError: another list that is open is not in the state, or not the same.
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
