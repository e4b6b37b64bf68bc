# cython: annotation_typing=False
r"""Sorting: puts a list in order by moving pointers, in memory if there is room, else by spool and merge.

    positions  0 ......... RUN_SIZE ......... RUN_SIZE ..... n      keys decoded, sorted by list.sort
                   run            run               run            runs that changed go to the spool
                     \             |               /
                            merge of FAN_IN                         again while there are more runs
                                   |
                    entries in order, in a spool                    then written over those in the tree

Invariants:

* Blobs stay where they are. Entries of 16 bytes move, once, at the end. Until then, nothing is changed, so an
  exception from a key or a comparison leaves the list as it was. From then on, no code of users runs.
* Nothing in the list may change during the sort: other threads wait, and a changed version ends the sort.
* Entries that are kept during a call of user code never point to pending blobs, whose numbers would change
  with the next write-out: before there is a spool, all blobs are written out.
* A run is sorted by list.sort, which is stable. Runs are merged in order of position, and of equal values the
  one from the earlier run comes first. So the whole sort is stable. Only ``<`` is used, as in list.sort.
* A merge has some records of each run in memory. Of the last records in memory of all runs, take the one that
  comes first. All records up to it come before all records that are not in memory yet. So list.sort merges
  these records, and they are written.
* A run that was in order is not spooled; it is read again from the tree. It is joined with the run before it
  if that is in order, too. So to find out that a list is in order, it is read once, and nothing is written.

A blob larger than KEPT_SIZE is not copied into the spool; it is read again from its place.
"""

from collections.abc import Callable
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO, Any

from ..tree.path import cut
from .bracket import edit
from .values import Values

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import INLINE_SIZE, LEAF_CAPACITY
    from ..format.words import get64, low32

__all__ = ["sort"]

RUN_SIZE = 256 << 20
"""Estimated bytes that keys may take in memory: those of a run that is sorted, or all those of a merge."""

VALUE_SIZE = 128
"""Estimated bytes of a key in memory besides its content: object, position, pointers to both."""

GROWTH = 3
"""Estimated bytes in memory for each byte of a blob, when it is decoded."""

FAN_IN = 256
"""Number of runs that are merged at once, if that many keys fit into RUN_SIZE."""

KEPT_SIZE = 4096
"""Bytes of the largest blob that goes into the spool."""

GATHERED = 1024
"""Number of records of a run in one write to its spool."""

WRITTEN_BACK = 16 << 10
"""Number of entries that are put into the tree before checking again if a write-out is due."""


def sort(core: Values, key: Callable[[Any], Any] | None, reverse: bool, by_blob: bool) -> None:
    """Sort a list; see MemoryBuffer.sort."""
    core._require_open()
    work = Sorting(core, key, _is_reverse(reverse), _compares_blobs(core, key, by_blob))
    with core._store.exclusive():
        work.sort()
    core._relieve()


def _is_reverse(reverse: Any) -> bool:
    """Return ``reverse`` as list.sort understands it; which values it takes depends on the Python version.

    >>> _is_reverse(-1), _is_reverse(False)
    (True, False)
    """
    pair = [1, 2]
    pair.sort(reverse=reverse)
    return pair[0] == 2


def _compares_blobs(core: Values, key: Callable[[Any], Any] | None, by_blob: bool) -> bool:
    """Return whether to compare blobs: if asked for, or if that is the same as comparing values."""
    ordered = core._codec.is_ordered()
    if by_blob and key is not None:
        raise TypeError("sort compares by key or by blob: leave out key=, or by_blob=")
    if by_blob and not ordered:
        kind = type(core._codec.blobify).__name__
        raise TypeError(
            f"the blobs of {kind} do not compare as its values do (it has no order_preserving = True): "
            f"sort without by_blob, or make the list with blobify='text' or 'bytes'"
        )
    return ordered and key is None


class Sorting:
    """One sort of a list.

    Args:
        core: the list.
        key: returns the key by which a value is compared; None compares the values.
        reverse: whether the greatest value comes first.
        raw: whether blobs are compared instead of values.
    """

    __slots__ = ("_core", "_index", "_key", "_largest", "_length", "_raw", "_version", "reverse")

    def __init__(self, core: Values, key: Callable[[Any], Any] | None, reverse: bool, raw: bool) -> None:
        self._core = core
        self._index = self._core._index
        self._key = key
        self._raw = raw
        self._largest = 1
        self._length = 0
        self._version = 0
        self.reverse = reverse

    def sort(self) -> None:
        """Sort; the caller keeps other threads out."""
        self._version = self._core._version()
        self._core._store.require_writable()
        self._length = self._index.length
        keys = self._keys(0)
        if len(keys) == self._length:
            order = self._order(keys)
            if order:
                edit(self._core, _permute, (self._core, order))
            return
        with ExitStack() as files:
            spool = self._merged(keys, files)
            if spool is not None:
                edit(self._core, _write_back, (self._core, spool.file))

    def _require_unchanged(self) -> None:
        """Raise if user code has changed the list."""
        if self._core._version() != self._version:
            raise ValueError("list modified during sort")

    # -- keys ------------------------------------------------------------------------------------------

    def keyed(self, blob: bytes, position: int) -> Any:
        """Return the key of a blob; ``position`` is -1 if it is not known."""
        if self._raw:
            return blob
        value = self._core._codec.decode(blob, position)
        return value if self._key is None else self._key(value)

    def estimate(self, size: int) -> int:
        """Return the estimated bytes of the key of a blob; note the largest estimate."""
        needed: int = VALUE_SIZE + (size if self._raw else GROWTH * size)
        self._largest = max(self._largest, needed)
        return needed

    def piece_size(self) -> int:
        """Return the bytes of its spool that a run reads at once: as many large records as it may hold."""
        return RUN_SIZE // FAN_IN // (1 if self._raw else GROWTH)

    def _keys(self, position: int) -> list[Any]:
        """Return the keys of a run from a position on."""
        keys: list[Any] = []
        room = RUN_SIZE
        while position < self._length and room > 0:
            self._require_unchanged()
            for blob in self._core._read_ahead(position, 1, LEAF_CAPACITY):
                room -= self.estimate(len(blob))
                keys.append(self.keyed(blob, position))
                position += 1
                if room <= 0:
                    break
        return keys

    def _order(self, keys: list[Any]) -> list[int]:
        """Return the places of the keys in sorted order; an empty list if they are in order already."""
        order = sorted(range(len(keys)), key=keys.__getitem__, reverse=self.reverse)
        self._require_unchanged()
        for place, number in enumerate(order):
            if number != place:
                return order
        return []

    def before(self, key: Any, other: Any, earlier: bool) -> bool:
        """Return whether a key comes before another, by one ``<``; of equal keys, the ``earlier`` does."""
        if self.reverse:
            key, other = other, key
        return not other < key if earlier else bool(key < other)

    # -- larger than memory ----------------------------------------------------------------------------

    def _merged(self, keys: list[Any], files: ExitStack) -> "Spool | None":
        """Return a spool with all entries in order, given the keys of the first run; None if they are."""
        if self._core._pager.pending_bytes:
            self._core._store.write_early()
        spool = Spool(files)
        runs = self._runs(keys, spool)
        if len(runs) == 1:
            return None
        while True:
            fan_in = max(2, min(FAN_IN, RUN_SIZE // self._largest))
            groups = cut(len(runs), fan_in, False)
            merged = Spool(files)
            last = len(groups) == 1
            made: list[Run] = []
            for number in groups:
                begin = merged.size
                self._merge(runs[:number], merged, not last)
                del runs[:number]
                made.append(Run(self, len(made), merged.file, begin, merged.size))
            spool.file.close()
            if last:
                return merged
            runs, spool = made, merged

    def _runs(self, keys: list[Any], spool: "Spool") -> "list[Run]":
        """Return the sorted runs of the list; runs that were not in order are in the spool."""
        runs: list[Run] = []
        position = 0
        joined = False
        last_key = None
        while position < self._length:
            if position:
                keys = self._keys(position)
            stop = position + len(keys)
            order = self._order(keys)
            if order:
                begin = spool.size
                self._spool(order, keys, position, spool)
                runs.append(Run(self, len(runs), spool.file, begin, spool.size))
                joined = False
            else:
                if joined and not (last_key < keys[0] if self.reverse else keys[0] < last_key):
                    runs[-1].end = stop
                else:
                    runs.append(Run(self, len(runs), None, position, stop))
                joined = True
                last_key = keys[-1]
            # The list of the first run belongs to the caller. It is emptied to make room for the next run.
            keys.clear()
            position = stop
        # The comparison that joins the last run may have changed the list.
        self._require_unchanged()
        return runs

    def _spool(self, order: list[int], keys: list[Any], start: int, spool: "Spool") -> None:
        """Write the records of a run that begins at ``start`` to the spool."""
        entries = self.entries(start, start + len(order))
        for place in range(0, len(order), GATHERED):
            spool.write(self._records(entries, order[place : place + GATHERED], keys))
        spool.flush()

    def _records(self, entries: bytes, order: list[int], keys: list[Any]) -> list[bytes]:
        """Return the records of some places of a run, given its entries and keys."""
        core = self._core
        records = []
        # Gather the entries first, in loops so short that the processor waits for many of them at once.
        chosen = permuted(entries, order)
        blobs = [keys[number] for number in order] if self._raw else []
        core._enter()
        try:
            for place in range(len(order)):
                record = chosen[16 * place : 16 * place + 16]
                first, second = get64(record, 0), get64(record, 8)
                if INLINE_SIZE < low32(second) <= KEPT_SIZE:
                    record += blobs[place] if self._raw else core._pager.blob(first, second)
                records.append(record)
        finally:
            core._latch.leave()
        return records

    def entries(self, start: int, stop: int) -> bytes:
        """Return entries of the tree; raise if the list has changed."""
        self._require_unchanged()
        core = self._core
        return core._entries_between(start, stop)

    def blob(self, first: int, second: int) -> bytes:
        """Return the blob of an entry of the tree; raise if the list has changed."""
        self._require_unchanged()
        core = self._core
        core._enter()
        try:
            return core._pager.blob(first, second)
        finally:
            core._latch.leave()

    def _merge(self, runs: "list[Run]", spool: "Spool", whole: bool) -> None:
        """Write the records of some runs in order; with their blobs only if ``whole``."""
        for run in runs:
            run.whole = whole
        while True:
            first = None
            for run in runs:
                if run.has_more() and (first is None or self.before(run.last(), first.last(), False)):
                    first = run
            if first is None:
                break
            keys: list[Any] = []
            records: list[bytes] = []
            bound = first.last()
            for run in runs:
                run.take(bound, first.number, keys, records)
            if len(records) > 1:
                order = sorted(range(len(keys)), key=keys.__getitem__, reverse=self.reverse)
                records = [records[number] for number in order]
            spool.write(records)
        spool.flush()
        self._require_unchanged()


class Run:
    """Sorted records of a spool, or of the tree itself; some of them are in memory.

    Args:
        work: the sort.
        number: number of runs before this one.
        file: the spool; None for the tree.
        place: its first byte in the spool, or its first position in the tree.
        end: the byte or position after its last one.

    Attributes:
        whole: whether records have the blob after the entry.
    """

    __slots__ = ("_at", "_keys", "_records", "_work", "end", "file", "number", "place", "whole")

    def __init__(self, work: Sorting, number: int, file: IO[bytes] | None, place: int, end: int) -> None:
        self._work = work
        self.number = number
        self.file = file
        self.place = place
        self.end = end
        self.whole = False
        self._keys: list[Any] = []
        self._records: list[bytes] = []
        self._at = 0

    def has_more(self) -> bool:
        """Return whether a record is left; if so, there is one in memory."""
        if self._at == len(self._keys):
            self._keys, self._records, self._at = [], [], 0
            if self.place == self.end:
                return False
            self._load()
        return True

    def last(self) -> Any:
        """Return the key of the last record in memory."""
        return self._keys[-1]

    def take(self, bound: Any, number: int, keys: list[Any], records: list[bytes]) -> None:
        """Move all records up to the last record in memory of run ``number``, included, to two lists.

        Args:
            bound: the key of that last record.
            number: number of its run.
            keys: gets the keys at its end.
            records: gets the records at its end.
        """
        stop = len(self._keys)
        if self.number != number:
            low = self._at
            while low < stop:
                middle = (low + stop) // 2
                if self._work.before(self._keys[middle], bound, self.number < number):
                    low = middle + 1
                else:
                    stop = middle
        keys += self._keys[self._at : stop]
        records += self._records[self._at : stop]
        self._at = stop

    def _load(self) -> None:
        """Read some records and their keys."""
        work = self._work
        data = self._read()
        keys = []
        records = []
        at = 0
        room = max(1, RUN_SIZE // FAN_IN)
        while at + 16 <= len(data) and room > 0:
            first, second = get64(data, at), get64(data, at + 8)
            size = low32(second)
            kept = INLINE_SIZE < size <= KEPT_SIZE
            behind = size if kept and self.file is not None else 0
            if at + 16 + behind > len(data):
                break
            record = data[at : at + 16]
            blob = data[at + 16 : at + 16 + behind] if behind else work.blob(first, second)
            keys.append(work.keyed(blob, -1 if self.file is not None else self.place))
            records.append(record + blob if self.whole and kept else record)
            room -= work.estimate(size)
            at += 16 + behind
            self.place += 1 if self.file is None else 16 + behind
        if not keys:
            raise OSError("a temporary file of sort() was cut short: sort again")
        self._keys, self._records, self._at = keys, records, 0

    def _read(self) -> bytes:
        """Return the bytes of some records, at least one of them whole."""
        if self.file is None:
            return self._work.entries(self.place, min(self.end, self.place + 256))
        self.file.seek(self.place)
        return self.file.read(min(self.end - self.place, max(self._work.piece_size(), KEPT_SIZE + 16)))


class Spool:
    """An unnamed temporary file of records, written one after the other.

    Args:
        files: the stack that closes the file at the end.

    Attributes:
        file: the file.
        size: number of bytes written.
    """

    __slots__ = ("file", "size")

    def __init__(self, files: ExitStack) -> None:
        try:
            self.file: IO[bytes] = files.enter_context(TemporaryFile())  # noqa: SIM115 - the stack closes it
        except OSError as error:
            raise _told(error) from None
        self.size = 0

    def write(self, records: list[bytes]) -> None:
        """Add records; there should be enough of them to be worth a call."""
        data = b"".join(records)
        try:
            self.file.write(data)
        except OSError as error:
            raise _told(error) from None
        self.size += len(data)

    def flush(self) -> None:
        """Write buffered records to the file, where runs can read them."""
        try:
            self.file.flush()
        except OSError as error:
            raise _told(error) from None


def _told(error: OSError) -> OSError:
    """Return the error of a temporary file, which has no name, with its purpose and advice."""
    said = error.strerror or str(error)
    why = f"{said} in a temporary file, which sorting this list needs"
    return OSError(
        error.errno, f"{why}: free some space, or name another folder in the environment variable TMPDIR"
    )


def _permute(core: Values, order: list[int]) -> None:
    """Give the whole list a new order, by positions; inside a change."""
    core._index.put_entries_at(0, permuted(core._index.entries(0, core._index.length), order))


def _write_back(core: Values, file: IO[bytes]) -> None:
    """Put the entries of a file into the tree, from the first position on, with limited memory.

    It is inside one change, so no other thread reads a list that is half sorted.
    """
    position = 0
    length = core._index.length
    file.seek(0)
    while position < length:
        entries = file.read(16 * WRITTEN_BACK)
        if not entries:
            raise OSError("a temporary file of sort() was cut short: sort again")
        core._index.put_entries_at(position, entries)
        position += len(entries) // 16
        core._write_out_if_full()


def permuted(entries: bytes, order: list[int]) -> bytes:
    """Return the entries of 16 bytes at some places, in that order.

    >>> permuted(b"a" * 16 + b"b" * 16, [1, 0])[:1]
    b'b'
    """
    if cython.compiled:
        made = bytearray(16 * len(order))
        target = cython.cast(dirty_t, made)
        source = cython.cast(page_t, entries)
        place = 0
        for number in order:
            memcpy(target + place, source + 16 * number, 16)
            place += 16
        return bytes(made)
    else:
        return b"".join([entries[16 * number : 16 * number + 16] for number in order])
