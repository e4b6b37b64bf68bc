# cython: annotation_typing=False
r"""Sorting: a list put in order by moving pointers, in memory if that is enough, else by spool and merge.

    positions  0 ......... RUN_SIZE ......... RUN_SIZE ..... n      keys decoded, sorted by list.sort
                   run            run               run            what moved goes to the spool
                     \             |               /
                            merge of FAN_IN                         again while there are more runs
                                   |
                    entries in order, in a spool                    then over those in the tree

Invariants:

* Blobs stay where they are: entries of 16 bytes move, once, at the end. Until then nothing is changed; so
  whatever a key or a comparison raises leaves the list as it was. No user code runs from there on.
* Nothing of the list may change meanwhile: other threads wait, and a changed version ends the sort.
* Entries that outlast a call of user code point to no pending blob, whose number would change with the
  next write-out: before there is a spool, all blobs are written out.
* A run is sorted by list.sort, which is stable; runs are merged in order of position, and of equal values
  that of the earlier run comes first: so the whole is stable. Only ``<`` is asked, as list.sort does.
* A merge has some records of each run in memory. Those up to the run's last that comes first of all are
  before all that is not in memory yet: list.sort merges them, and they go.
* A run that was in order is not spooled but read again from the tree, and joined with the one before it if
  that is in order too. So a list that is in order is found out by one reading, and nothing is written.

A blob above KEPT_SIZE is not copied into the spool but read again where it is.
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
"""Bytes that keys in memory may take, by estimate: a run while it is sorted, all heads of a merge."""

VALUE_SIZE = 128
"""Bytes estimated for a key in memory besides its content: object, position, pointers to both."""

GROWTH = 3
"""Bytes estimated for a byte of a blob once it is decoded."""

FAN_IN = 256
"""Runs merged at once, if that many keys fit into RUN_SIZE."""

KEPT_SIZE = 4096
"""Bytes of the largest blob that goes into the spool."""

GATHERED = 1024
"""Records of a run that are made for one write to its spool."""

WRITTEN_BACK = 16 << 10
"""Entries put into the tree between two looks at whether a write-out is due."""


def sort(core: Values, key: Callable[[Any], Any] | None, reverse: bool, by_blob: bool) -> None:
    """Sort a list; see MemoryBuffer.sort."""
    core._require_open()
    work = Sorting(core, key, _is_reverse(reverse), _compares_blobs(core, key, by_blob))
    with core._store.exclusive():
        work.sort()
    core._relieve()


def _is_reverse(reverse: Any) -> bool:
    """Return what list.sort makes of its ``reverse``; what it takes depends on the version of Python.

    >>> _is_reverse(-1), _is_reverse(False)
    (True, False)
    """
    pair = [1, 2]
    pair.sort(reverse=reverse)
    return pair[0] == 2


def _compares_blobs(core: Values, key: Callable[[Any], Any] | None, by_blob: bool) -> bool:
    """Return whether blobs are compared: asked for, or the same as comparing values."""
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
        key: what a value is compared by, or None.
        reverse: whether the greatest comes first.
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
        """Return what a blob is compared by; ``position`` is -1 where it is not known."""
        if self._raw:
            return blob
        value = self._core._codec.decode(blob, position)
        return value if self._key is None else self._key(value)

    def estimate(self, size: int) -> int:
        """Return how many bytes the key of a blob takes, more or less; notes the largest."""
        needed: int = VALUE_SIZE + (size if self._raw else GROWTH * size)
        self._largest = max(self._largest, needed)
        return needed

    def piece_size(self) -> int:
        """Return how many bytes of its spool a run reads at once: of large records as many as it may hold."""
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
        """Return the places of the keys in sorted order; nothing if they are in it."""
        order = sorted(range(len(keys)), key=keys.__getitem__, reverse=self.reverse)
        self._require_unchanged()
        for place, number in enumerate(order):
            if number != place:
                return order
        return []

    def before(self, key: Any, other: Any, earlier: bool) -> bool:
        """Return whether a key comes before another, by one ``<``; of equal ones, the ``earlier`` does."""
        if self.reverse:
            key, other = other, key
        return not other < key if earlier else bool(key < other)

    # -- larger than memory ----------------------------------------------------------------------------

    def _merged(self, keys: list[Any], files: ExitStack) -> "Spool | None":
        """Return a spool with all entries in order; None if they are. ``keys`` are those of the first run."""
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
        """Return the sorted runs of the list, those that moved in the spool."""
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
            # The first run's belong to the caller: emptied, they take no room beside the next run's.
            keys.clear()
            position = stop
        # The comparison that joins the last run may have changed what it was found to be.
        self._require_unchanged()
        return runs

    def _spool(self, order: list[int], keys: list[Any], start: int, spool: "Spool") -> None:
        """Write the records of a run that begins at a position."""
        entries = self.entries(start, start + len(order))
        for place in range(0, len(order), GATHERED):
            spool.write(self._records(entries, order[place : place + GATHERED], keys))
        spool.flush()

    def _records(self, entries: bytes, order: list[int], keys: list[Any]) -> list[bytes]:
        """Return the records of some places of a run, given its entries and keys."""
        core = self._core
        records = []
        # Gathered first, in loops so short that the processor waits for many places at once.
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
        """Return entries of the tree, which must be as it was."""
        self._require_unchanged()
        core = self._core
        return core._entries_between(start, stop)

    def blob(self, first: int, second: int) -> bytes:
        """Return the blob of an entry of the tree, which must be as it was."""
        self._require_unchanged()
        core = self._core
        core._enter()
        try:
            return core._pager.blob(first, second)
        finally:
            core._latch.leave()

    def _merge(self, runs: "list[Run]", spool: "Spool", whole: bool) -> None:
        """Write the records of some runs in order; without blobs unless they are to be ``whole``."""
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
    """Sorted records of a spool, or of the tree itself, some of them in memory.

    Args:
        work: the sort.
        number: how many runs come before it.
        file: the spool, None for the tree.
        place: its first byte in the spool, or position in the tree.
        end: the byte or position behind it.

    Attributes:
        whole: whether records have the blob behind the entry.
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
        """Return whether a record is left; there is one in memory then."""
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
        """Move what comes before the last record in memory of run ``number``, or is it, to two lists.

        Args:
            bound: the key of that record.
            number: that run's.
            keys: what keys are put behind.
            records: what records are put behind.
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
        """Return some records, at least one of them whole."""
        if self.file is None:
            return self._work.entries(self.place, min(self.end, self.place + 256))
        self.file.seek(self.place)
        return self.file.read(min(self.end - self.place, max(self._work.piece_size(), KEPT_SIZE + 16)))


class Spool:
    """An unnamed temporary file of records, written one behind the other.

    Args:
        files: what closes it in the end.

    Attributes:
        file: the file.
        size: bytes written.
    """

    __slots__ = ("file", "size")

    def __init__(self, files: ExitStack) -> None:
        try:
            self.file: IO[bytes] = files.enter_context(TemporaryFile())  # noqa: SIM115 - the stack closes it
        except OSError as error:
            raise _told(error) from None
        self.size = 0

    def write(self, records: list[bytes]) -> None:
        """Add records, so many that they are worth a call."""
        data = b"".join(records)
        try:
            self.file.write(data)
        except OSError as error:
            raise _told(error) from None
        self.size += len(data)

    def flush(self) -> None:
        """Have what was added in the file, where runs read it."""
        try:
            self.file.flush()
        except OSError as error:
            raise _told(error) from None


def _told(error: OSError) -> OSError:
    """Return an error of a temporary file, which has no name, with what it was for and what to do."""
    said = error.strerror or str(error)
    why = f"{said} in a temporary file, which sorting this list needs"
    return OSError(
        error.errno, f"{why}: free some space, or name another folder in the environment variable TMPDIR"
    )


def _permute(core: Values, order: list[int]) -> None:
    """Give the whole list a new order, by positions; within a change."""
    core._index.put_entries_at(0, permuted(core._index.entries(0, core._index.length), order))


def _write_back(core: Values, file: IO[bytes]) -> None:
    """Put the entries of a file into the tree, from the first position on, in bounded memory.

    Within one change: no other thread reads a list half sorted.
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
    """Return the entries of 16 bytes at some places, or all of them in another order.

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
