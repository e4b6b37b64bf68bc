# cython: annotation_typing=False
"""Pager: the nodes and blobs of one transaction, copied on write and written out in runs.

A clean node is a page of the region; it is verified when it is first read, and never changed. A dirty node is
a copy in memory. A pending blob is a blob that is not written yet. Dirty nodes and pending blobs are known by
a number with the bit DIRTY (see kinds.py). They get their addresses only when they are written out: at the
commit, or early when the budgets below are used up.

Invariants:

* A committed page is never written to: ``own`` copies it and frees the original.
* Only a dirty leaf has the number of a pending blob, and only a dirty inner node that of a dirty node.
* Blobs are written out before the leaves that point to them, and children before their parents. A parent has
  the XXH3-64 of each child's page as it is in the file.
* After ``write_blobs``, ``place_tree`` of every root and ``end_nodes``, nothing is dirty or pending.
"""

from itertools import pairwise

from ...errors import BlockError, CorruptRegionError
from ...layout import BLOB_PAGE, HEADER_SIZE, NODE_PAGE
from ..disk.region import Region
from ..format.checksum import crc32c, page_checksum
from ..format.words import Page
from ..space.freespace import FreeSpace
from .kinds import Node
from .marks import Mark

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import INLINE_SIZE, NODE_SIZE
    from ..format.words import high32, low32, mark, put64, unmark
    from .kinds import kind_of, level_of, start

__all__ = ["BLOB_BUDGET", "MOST_NODES", "NODE_BUDGET", "NUMBER_BUDGET", "Pager"]

BLOB_BUDGET = 4 << 20
"""Number of bytes of pending blobs that causes an early write-out."""

NUMBER_BUDGET = 1 << 19
"""Number of pending blobs, with freed ones, that does, too: a queue frees its blobs, not their numbers."""

NODE_BUDGET = 8192
"""Number of dirty nodes (32 MiB) that causes an early write-out; more if the lists had more leaves before."""

MOST_NODES = 32768
"""The most dirty nodes (128 MiB) before an early write-out, even if the lists are larger."""

WRITE_SIZE = 128 << 10
"""Bytes of blobs that are joined for one write; it ends at a multiple of this size."""

VERIFIED_LIMIT = 64 << 20
"""The most bytes for the bits that mark verified pages; pages after 2 TiB are verified at every read."""

if not cython.compiled:
    _BLOB_BUDGET = BLOB_BUDGET
    _NUMBER_BUDGET = NUMBER_BUDGET


class Pager:
    """Nodes and blobs of one handle, by address or by number.

    Args:
        region: has the clean nodes and the written blobs.
        space: gives the addresses; an empty one for a snapshot, which never changes anything.
        checksums: whether a blob is verified at each read (nodes always are, at the first read).

    Attributes:
        transaction: number of the transaction that writes nodes.
        pending_bytes: bytes of pending blobs.
        dirty_nodes: number of dirty nodes.
        node_budget: number of dirty nodes that causes an early write-out.
    """

    __slots__ = (
        "_first_blob", "_mark", "_marks", "_nodes", "_pending", "_run", "_run_begin", "_run_end", "_serial",
        "_spare", "_verified", "checksums", "dirty_nodes", "node_budget", "pending_bytes", "region", "space",
        "transaction",
    )  # fmt: skip

    def __init__(self, region: Region, space: FreeSpace, checksums: bool) -> None:
        self.region = region
        self.space = space
        self.checksums = checksums
        self.transaction = 0
        self.pending_bytes = 0
        self.dirty_nodes = 0
        self.node_budget = NODE_BUDGET
        self._verified = bytearray()
        self._nodes: list[Node | None] = []
        self._pending: list[bytes | None] = []
        self._spare: list[tuple[int, int]] = []
        self._run: list[bytes | bytearray] = []
        self._run_begin = 0
        self._run_end = 0
        self._marks: list[Mark] = []
        self._serial = 0
        self._mark = 0
        self._first_blob = 0

    # -- reading -------------------------------------------------------------------------------------

    def page(self, reference: int, check: int) -> Page:
        """Return the page of a node; verify it if this is the first read."""
        if reference >> 63:
            return self._dirty(reference).page
        number = reference >> 12
        if (
            reference & 4095
            or number >> 3 >= len(self._verified)
            or not self._verified[number >> 3] >> (number & 7) & 1
        ):
            self.verify(reference, check)
        return self.region.at(reference, NODE_SIZE)

    def _dirty(self, reference: int) -> Node:
        """Return the dirty node of a reference."""
        number = unmark(reference)
        nodes = self._nodes
        if number < len(nodes):
            if cython.compiled:
                node = cython.cast(Node, PyList_GET_ITEM(nodes, number))
            else:
                node = nodes[number]
            if node is not None:
                return node
        raise CorruptRegionError(0, "the address of a node", hex(reference), self.region.path)

    def verify(self, reference: int, check: int) -> None:
        """Verify a page with the checksum from its pointer, and remember that it was verified."""
        self._check(self.region.load(reference, NODE_SIZE), reference, check)
        number = reference >> 12
        if number >> 3 >= len(self._verified):
            if number >> 3 >= VERIFIED_LIMIT:
                return
            self._verified.extend(bytes((number >> 3) + 4096 - len(self._verified)))
        self._verified[number >> 3] |= 1 << (number & 7)

    def _check(self, content: bytes | bytearray, reference: int, check: int) -> None:
        """Raise unless a copy of a page matches the pointer to it and has no fault."""
        if reference & 4095:
            raise CorruptRegionError(reference, "a node at a multiple of 4096", "another", self.region.path)
        found = page_checksum(content)
        if found != check:
            raise CorruptRegionError(
                reference, f"a node of checksum {check:016x}", f"{found:016x}", self.region.path
            )
        fault = kind_of(content).fault(content)
        if fault:
            raise CorruptRegionError(reference, "a sound node", fault, self.region.path)

    def rebase(self, region: Region) -> None:
        """From now on, read from another region; every page is verified again when it is next read."""
        self.region = region
        self._verified = bytearray()

    def blob(self, first: int, second: int) -> bytes:
        """Return the blob of a leaf entry, given its two words.

        Raises:
            CorruptRegionError: the bytes do not match the checksum in the entry.
        """
        size = low32(second)
        if size <= INLINE_SIZE:
            if cython.compiled:
                return PyBytes_FromStringAndSize(
                    cython.cast(cython.p_char, cython.address(first)), cython.cast(cython.Py_ssize_t, size)
                )
            else:
                return first.to_bytes(8, "little")[:size]
        if first >> 63:
            return self._pending_blob(first)
        # It is copied before it is verified: the map may change in between, and the copy cannot.
        blob = self.region.load(first, size)
        if not self.checksums:
            return blob
        if cython.compiled:
            found = crc32c_at(blob, size)
        else:
            found = crc32c(blob)
        if found != high32(second):
            raise CorruptRegionError(
                first, f"a blob of {size} bytes with CRC-32C {high32(second):08x}", f"{found:08x}",
                self.region.path,
            )  # fmt: skip
        return blob

    def _pending_blob(self, first: int) -> bytes:
        """Return a blob that is not written out yet."""
        number = unmark(first)
        if number < len(self._pending):
            blob = self._pending[number]
            if blob is not None:
                return blob
        raise CorruptRegionError(0, "the address of a blob", hex(first), self.region.path)

    # -- changing ------------------------------------------------------------------------------------

    def create(self, level: int, mark: int) -> Node:
        """Return a new, empty dirty node of the kind with a mark byte."""
        if cython.compiled:
            content = PyByteArray_FromStringAndSize(cython.NULL, NODE_SIZE)
            memset(cython.cast(dirty_t, content), 0, NODE_SIZE)
        else:
            content = bytearray(NODE_SIZE)
        node = self._adopt(content)
        start(node.page, level, mark)
        return node

    def own(self, reference: int, check: int) -> Node:
        """Return the dirty node of a reference; a clean node is copied, and its page is freed."""
        if reference >> 63:
            node = self._dirty(reference)
            if node.mark != self._mark:
                self._keep(node)
            return node
        page = self.region.at(reference, NODE_SIZE)
        if cython.compiled:
            content = PyByteArray_FromStringAndSize(cython.cast(cython.p_char, page), NODE_SIZE)
        else:
            content = bytearray(page)
        # Verify the copy, even if the page was verified before: the page may have changed since then.
        self._check(content, reference, check)
        node = self._adopt(content)
        # Set by the code that changes an entry. Most owned leaves never are, so write_blobs can skip them.
        node.pending = False
        self._free(reference, NODE_SIZE)
        return node

    def _adopt(self, content: bytearray) -> Node:
        """Give a new dirty node its number."""
        # Without a call of ``__init__``, which would cost as much as a search in a node.
        node = Node.__new__(Node)
        node.reference = mark(len(self._nodes))
        node.bytes = content
        node.page = content
        node.pending = True
        node.mark = self._mark
        self._nodes.append(node)
        self.dirty_nodes += 1
        return node

    def drop(self, reference: int) -> None:
        """Drop a node to which nothing points any more."""
        if reference >> 63:
            self._keep(self._dirty(reference))
            self._nodes[unmark(reference)] = None
            self.dirty_nodes -= 1
        else:
            self._free(reference, NODE_SIZE)

    def hold(self, blob: bytes) -> int:
        """Keep a blob of more than 8 bytes until it is written out; return its number with the bit DIRTY."""
        self._pending.append(blob)
        self.pending_bytes += len(blob)
        return mark(len(self._pending) - 1)

    def release(self, first: int, second: int) -> None:
        """Free the blob of a leaf entry that was deleted or replaced."""
        size = low32(second)
        if size <= INLINE_SIZE:
            pass
        elif first >> 63:
            blob = self._pending_blob(first)
            if unmark(first) < self._first_blob:
                self._newest_mark().keep_blob(unmark(first), blob)
            self._pending[unmark(first)] = None
            self.pending_bytes -= size
        else:
            self._free(first, size)

    def _free(self, address: int, size: int) -> None:
        """Free the block of a node or of a blob."""
        try:
            if address < HEADER_SIZE:
                raise BlockError(f"address {address} is in the header")
            self.space.free(address, size)
        except BlockError as error:
            # For raw blocks, this is a mistake of the caller. Here, two pointers of the tree share a block.
            raise CorruptRegionError(address, "a block of its own", str(error), self.region.path) from error

    def is_full(self) -> bool:
        """Return whether an early write-out is due."""
        return (
            self.pending_bytes >= _BLOB_BUDGET
            or self.dirty_nodes >= self.node_budget
            or len(self._pending) >= _NUMBER_BUDGET
        )

    def is_due(self) -> bool:
        """Return whether an early write-out or a check of the room is due."""
        return self.is_full() or self.space.grown

    def discard(self) -> None:
        """Drop all dirty nodes and pending blobs."""
        self._nodes = []
        self._pending = []
        self._spare = []
        self._run = []
        self._run_end = 0
        self.dirty_nodes = 0
        self.pending_bytes = 0
        self._marks = []
        self._look_at_marks()

    # -- marks ---------------------------------------------------------------------------------------

    def set_mark(self) -> Mark:
        """Set a mark at the present dirty nodes and pending blobs, for ``undo_to``. O(1)."""
        self._serial += 1
        mark = Mark(
            self._serial, len(self._nodes), len(self._pending), self.dirty_nodes, self.pending_bytes
        )  # fmt: skip
        self._marks.append(mark)
        self._look_at_marks()
        return mark

    def undo_to(self, mark: Mark) -> None:
        """Restore the dirty nodes and pending blobs of a mark, and end this mark and those after it.

        O(k) for k nodes changed since then and numbers given since the last write-out. It may be called again
        if an interrupt has ended it.
        """
        if mark not in self._marks:
            return
        nodes, pending = self._nodes, self._pending
        at = self._marks.index(mark)
        for each in reversed(self._marks[at:]):
            nodes = each.nodes_then(nodes)
            pending = each.blobs_then(pending)
        self._nodes = nodes
        self._pending = pending
        self._spare = []
        self._run = []
        self._run_end = 0
        self.dirty_nodes = mark.dirty_nodes
        self.pending_bytes = mark.pending_bytes
        del self._marks[at:]
        self._look_at_marks()

    def end_mark(self) -> None:
        """End the newest mark and keep the changes since then. O(k) for k nodes changed since then."""
        if len(self._marks) > 1:
            self._marks[-2].join(self._marks[-1])
        self._marks.pop()
        self._look_at_marks()

    def _newest_mark(self) -> Mark:
        """Return the newest mark; there must be one."""
        return self._marks[-1]

    def _look_at_marks(self) -> None:
        """Note the numbers of the newest mark, with which nodes and blobs are compared."""
        self._mark = self._first_blob = 0
        if self._marks:
            newest = self._newest_mark()
            self._mark = newest.number
            if newest.pending is None:
                self._first_blob = newest.first_blob

    def _keep(self, node: Node) -> None:
        """Let the newest mark take an image of a node that is about to change, if it needs one."""
        if self._marks:
            self._newest_mark().keep_node(unmark(node.reference), node)
        node.mark = self._mark

    def _let_blobs_go(self) -> None:
        """Let the marks take their pending blobs, before all pending blobs are written out."""
        for node in self._nodes:
            if node is not None and node.pending:
                self._keep(node)
        pending = self._pending
        for mark in reversed(self._marks):
            pending = mark.take_blobs(pending)
        self._first_blob = 0

    def _let_nodes_go(self) -> None:
        """Let the marks take their dirty nodes, before all dirty nodes are written out."""
        nodes, inner = self._nodes, None
        for mark in reversed(self._marks):
            nodes = mark.take_nodes(nodes, inner)
            inner = mark

    # -- writing out ---------------------------------------------------------------------------------

    def write_blobs(self) -> None:
        """Give every pending blob an address, in as few runs as possible, and write them."""
        if not self._pending:
            return
        if self._marks:
            self._let_blobs_go()
        placed = bytearray(8 * len(self._pending))
        pieces: list[bytes] = []
        left = self.pending_bytes
        place = begin = end = 0
        for number, blob in enumerate(self._pending):
            if blob is None:
                continue
            size = len(blob)
            if size > end - place:
                self._close_run(begin, place, end, pieces)
                begin, room = self.space.take_run(BLOB_PAGE, left, size)
                place, end = begin, begin + room
                pieces = []
            put64(placed, 8 * number, place)
            pieces.append(blob)
            place += size
            left -= size
        self._close_run(begin, place, end, pieces)
        self._patch_leaves(placed)
        self._pending = []
        self.pending_bytes = 0

    def _close_run(self, begin: int, place: int, end: int, pieces: list[bytes]) -> None:
        """Write the pieces of a run, and free the rest of it."""
        if end > place:
            self.space.free(place, end - place)
        first = 0
        rest = b""
        while first < len(pieces):
            # Join the pieces in parts that stay in the cache until the kernel has copied them. Each part
            # begins where a large page of the kernel does: a few large pages cost less to fill and map than
            # many small ones.
            stop = first
            size = len(rest)
            wanted = WRITE_SIZE - begin % WRITE_SIZE
            while stop < len(pieces) and size < wanted:
                piece = pieces[stop]
                size += len(piece)
                stop += 1
            part = pieces[first] if stop - first == 1 else b"".join(pieces[first:stop])
            over = (begin + size) % WRITE_SIZE if stop < len(pieces) else 0
            head = memoryview(part)[: len(part) - over] if over else part
            self.region.write_run(begin, [rest, head] if rest else [head])
            rest = part[len(part) - over :] if over else b""
            begin += size - over
            first = stop

    def _patch_leaves(self, placed: bytearray) -> None:
        """Replace the numbers of pending blobs by their addresses, 8 bytes each, in all dirty leaves."""
        for node in self._nodes:
            if node is None or not node.pending:
                continue
            node.pending = False
            if level_of(node.page) == 0:
                kind_of(node.page).place_blobs(node.page, placed)

    def begin_nodes(self, spare: int) -> None:
        """Reserve addresses for all dirty nodes and for ``spare`` pages after them."""
        if self._marks:
            self._let_nodes_go()
        left = NODE_SIZE * (self.dirty_nodes + spare)
        self._spare = []
        while left:
            begin, room = self.space.take_run(NODE_PAGE, left, NODE_SIZE)
            self._spare.append((begin, room))
            left -= room
        self._spare.reverse()

    def place_tree(self, root: int, check: int) -> tuple[int, int]:
        """Give reserved addresses to the dirty nodes of a tree; return address and checksum of the root."""
        if not root >> 63:
            return root, check
        return self._place(self._dirty(root))

    def _place(self, node: Node) -> tuple[int, int]:
        """Give a node an address, after its children; return address and checksum."""
        page = node.page
        if level_of(page):
            kind = kind_of(page)
            for spot in range(kind.count(page)):
                child = kind.child(page, spot)
                if child >> 63:
                    address, check = self._place(self._dirty(child))
                    kind.set_child(page, spot, address, check)
        put64(page, 8, self.transaction)
        address = self.spare_page()
        self.place_page(address, node.bytes)
        self._nodes[unmark(node.reference)] = None
        self.dirty_nodes -= 1
        return address, page_checksum(node.bytes)

    def spare_page(self) -> int:
        """Return the next address that ``begin_nodes`` has reserved."""
        begin, room = self._spare.pop()
        if room > NODE_SIZE:
            self._spare.append((begin + NODE_SIZE, room - NODE_SIZE))
        number = begin >> 12
        if number >> 3 < len(self._verified):
            self._verified[number >> 3] &= ~(1 << (number & 7)) & 255
        return begin

    def place_page(self, address: int, content: bytes | bytearray) -> None:
        """Keep a page of 4096 bytes for ``end_nodes``; pages at adjacent addresses are written at once."""
        if address != self._run_end:
            self._close_pages()
            self._run_begin = self._run_end = address
        self._run.append(content)
        self._run_end += NODE_SIZE

    def _close_pages(self) -> None:
        """Write the pages that were placed last."""
        if self._run:
            self.region.write_run(self._run_begin, self._run)
            self._run = []
        self._run_end = 0

    def end_nodes(self) -> None:
        """Write the placed pages that are not written yet; nothing may be dirty or reserved any more."""
        self._close_pages()
        self._nodes = []

    # -- checking ------------------------------------------------------------------------------------

    def check(self) -> list[str]:
        """Return a sentence for each fault of the counts and the marks."""
        faults = []
        dirty = sum(node is not None for node in self._nodes)
        pending = sum(len(blob) for blob in self._pending if blob is not None)
        if dirty != self.dirty_nodes:
            faults.append(f"{dirty} nodes are dirty, counted as {self.dirty_nodes}")
        if pending != self.pending_bytes:
            faults.append(f"{pending} bytes of blobs are pending, counted as {self.pending_bytes}")
        for older, newer in pairwise(self._marks):
            if older.number >= newer.number:
                faults.append(f"mark {older.number} is older than mark {newer.number}")
            if (newer.nodes is not None and older.nodes is None) or (
                newer.pending is not None and older.pending is None
            ):
                faults.append(f"mark {newer.number} has taken what mark {older.number} has not")
        for mark in self._marks:
            if mark.nodes is None and not all(number < mark.first_node for number in mark.images):
                faults.append(f"mark {mark.number} has an image of a newer node")
        return faults
