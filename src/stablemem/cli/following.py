"""Following: finds the values that were added to a list since the last look, for ``tail --follow``.

A follower has a snapshot, and moves it to the newest commit at each look. Positions alone do not tell which
values are new, because a ring drops its first values when others come. So the follower remembers the entries
of the last values that it has seen, and looks where they are now. The values after them are new.

An entry is 16 bytes: the address of the blob, or the blob itself if it is short; then size and checksum. The
follower first looks for whole entries, so that it can tell equal values apart. Then it compares only the
parts that depend on the content, because ``compact`` moves blobs.

Limits: in a ring that has only equal short values, nothing new can be seen. Values that come and go between
two looks are missed.
"""

import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from ..errors import BlobifyError, NotARegionError, RegionReplacedError
from ..layout import INLINE_SIZE
from ..memory_buffer import MemoryBuffer
from ..memory_region import MemoryRegion
from .base import is_text, list_of, say
from .printing import shown_name

__all__ = ["Follower", "first_new", "wait"]

ENTRY = 16
REMEMBERED = 256
"""Number of entries that are remembered."""

BLOCK = 1 << 16
"""Number of entries that are searched at once."""

Entries = Callable[[int, int], bytes]
"""Returns the entries from one position to another."""

Show = Callable[[MemoryBuffer[Any], range, bool], None]
"""Shows values of a list; the last argument says whether it is a list of text."""


# -- finding new values ------------------------------------------------------------------------------


def first_new(entries: Entries, length: int, seen: bytes, before: int) -> int | None:
    """Return the position of the first new value; None if none of the seen values is there any more.

    O(log n) if values were only added at the end; O(k + log n) if a ring has got k new ones; O(n) if the list
    was changed in other ways.

    Args:
        entries: returns entries of the list as it is now.
        length: number of values that it has now.
        seen: the entries of the last values that it had at the last look.
        before: number of values that it had then.
    """
    if not before:
        return 0
    found = _after(entries, 0, length, seen, before)
    if found is not None:
        return found
    # The next search is slow for each entry, so it does not cover all of a long list.
    least = max(0, length - BLOCK)
    content = _content(seen)
    found = _after(lambda start, stop: _content(entries(start, stop)), least, length, content, before)
    if found is not None:
        return found
    # The list was changed elsewhere than at its ends. The best guess: new values follow the last seen one.
    known = set(_each(content))
    for number, entry in enumerate(reversed(_each(_content(entries(least, length))))):
        if entry in known:
            return length - number
    return None


def _content(entries: bytes) -> bytes:
    """Return entries without the addresses of blobs."""
    found = bytearray(entries)
    for place in range(0, len(entries), ENTRY):
        if int.from_bytes(entries[place + 8 : place + 12], "little") > INLINE_SIZE:
            found[place : place + 8] = bytes(8)
    return bytes(found)


def _each(entries: bytes) -> list[bytes]:
    return [entries[place : place + ENTRY] for place in range(0, len(entries), ENTRY)]


def _after(entries: Entries, least: int, length: int, seen: bytes, before: int) -> int | None:
    """Return the end of a run of entries, of which a ring may have dropped the first; None if not found.

    The search goes from the end down to the position ``least``, and then to the very beginning.
    """
    number = len(seen) // ENTRY
    if before <= length and entries(before - number, before) == seen:
        return before
    stop = length
    while stop >= least + number:
        start = max(least, stop - BLOCK - number)
        block = entries(start, stop)
        place = block.rfind(seen)
        while place >= 0 and place % ENTRY:
            place = block.rfind(seen, 0, place + len(seen) - 1)
        if place >= 0:
            return start + place // ENTRY + number
        if start == least:
            break
        stop = start + number - 1
    # The last values may have been changed, in a list that is not a ring.
    here = _each(entries(before - number, min(before, length))) if before - number < length else []
    pairs = zip(here, _each(seen), strict=False)
    same = [place for place, (now, then) in enumerate(pairs) if now == then]
    half = number // 2 + 1
    if same[:half] == list(range(half)):
        return before - number + same[-1] + 1
    front = entries(0, min(length, number))
    for rest in range(len(front) // ENTRY, 0, -1):
        if front[: rest * ENTRY] == seen[-rest * ENTRY :]:
            return rest
    return None


# -- the file ----------------------------------------------------------------------------------------


class Follower:
    """Follows one list of a file through commits, and through other files that take the same name.

    Args:
        path: the file.
        name: the name of the list, which may not exist yet.
        region: the file, opened for reading; the follower closes it.
    """

    def __init__(self, path: str, name: str, region: MemoryRegion) -> None:
        self._path = path
        self._name = name
        self._region: MemoryRegion | None = region
        self._values: MemoryBuffer[Any] | None = list_of(region, name) if name in region.names() else None
        self._remember()

    def close(self) -> None:
        """Close the file."""
        region, self._region, self._values = self._region, None, None
        if region is not None:
            region.close()

    def look(self, show: Show) -> None:
        """Show the new values; report on standard error what else has happened."""
        region = self._region
        if region is None:
            self._open()
            if self._region is not None:
                say(f"{self._path} is there again: the next values are from the new file")
            self._added(show)
            return
        moved = False
        try:
            # First show the values that were committed before the file lost its name.
            if region.refresh():
                self._added(show)
                region.refresh()
        except BlobifyError:
            say(
                f"{self._path}: the list {shown_name(self._name)} was made again: the next values are from "
                "the new list"
            )
            self._again()
            self._added(show)
            return
        except RegionReplacedError:
            moved = True
        self._added(show)
        if moved:
            self._again()
            if self._region is None:
                say(f"{self._path} was removed: waiting for another file")
            else:
                say(f"{self._path} was replaced: the next values are from the new file")
            self._added(show)

    def _added(self, show: Show) -> None:
        """Show the new values in the snapshot, and remember the last ones."""
        if self._region is None:
            return
        if self._values is None:
            if self._name not in self._region.names():
                return
            self._values = list_of(self._region, self._name)
        length = len(self._values)
        entries = partial(self._region.inspect().entries, self._name)
        start = first_new(entries, length, self._seen, self._length)
        if start is None:
            start = 0
            if length:
                say(f"{self._path}: the values printed last are gone: others may have come and gone unseen")
        new = range(start, length)
        self._remember()
        if new:
            show(self._values, new, is_text(self._values))

    def _remember(self) -> None:
        if self._region is None or self._values is None:
            self._length, self._seen = 0, b""
            return
        self._length = len(self._values)
        start = max(0, self._length - REMEMBERED)
        self._seen = self._region.inspect().entries(self._name, start, self._length)

    def _again(self) -> None:
        """Open the file that the path names now, of which nothing has been seen."""
        self.close()
        self._remember()
        self._open()

    def _open(self) -> None:
        """Open the file if it is there."""
        try:
            self._region = MemoryRegion(self._path, "r")
        except (FileNotFoundError, NotADirectoryError):
            return
        except NotARegionError:
            if os.path.getsize(self._path):
                raise


def wait(seconds: float) -> None:
    """Wait; raise BrokenPipeError if the reader of standard output is gone."""
    watch = select.poll()
    # Standard output may have no descriptor.
    with suppress(OSError, ValueError):
        watch.register(sys.stdout.fileno(), 0)
    for _, event in watch.poll(seconds * 1000):
        if event & (select.POLLERR | select.POLLHUP):
            raise BrokenPipeError
