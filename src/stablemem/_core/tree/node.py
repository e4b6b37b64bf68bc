# cython: annotation_typing=False
"""Counted nodes: the 4 KiB pages of an index tree, and how they are searched and changed.

    leaf (level 0)                             inner node (level 1 and up)
    0     level             u8                 0     level            u8
    1     mark 0x4E 'N'     u8                 1     mark 0x4E 'N'    u8
    2     count             u16                2     count            u16
    4     zero              u32                4     zero             u32
    8     transaction       u64                8     transaction      u64
    16    255 entries of 16 bytes:             16    170 cumulative counts   u64
            address or value  u64              1376  170 children of 16 bytes:
            size              u32                      address   u64
            CRC-32C of blob   u32                      XXH3-64   u64
    4096                                       4096

A leaf entry is a pointer (12 bytes) and the checksum of its blob; a blob of 8 bytes or less sits in the
address field, padded with zeros, and its checksum field is zero. Entry k of an inner node says how many
values lie below children 0 to k, where child k is, and what its page's checksum must be: the checksum
lies in what points, so that a stale or swapped page is caught as well as a flipped bit. Bytes behind the
last entry are zero.

The functions take a page (a pointer compiled; a slice of the map or a bytearray interpreted). They
bound the count of the page, whatever it says.
"""

from bisect import bisect_right
from struct import Struct

from ..format.words import Page
from .kinds import Node, NodeKind, register

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ...layout import INLINE_SIZE, INNER_CAPACITY, INNER_MINIMUM, LEAF_CAPACITY, LEAF_MINIMUM
    from ..format.words import get8, get16, get64, low32, move, put16, put64, unmark

__all__ = ["COUNTED_KIND", "CountedKind"]

if not cython.compiled:
    COUNTED = 0x4E
    _COUNTS = 16
    _CHILDREN = _COUNTS + 8 * INNER_CAPACITY
    _ENTRIES = 16
    _WORDS = Struct("<510Q")


def count_of(page: Page) -> int:
    """Return how many entries the node has, never more than there is room for.

    A page of the map may be changed by another program between two looks at it; bounded here, every
    offset that is computed from the count stays within the page.
    """
    count = get16(page, 2)
    if get8(page, 0) == 0:
        return count if count <= LEAF_CAPACITY else LEAF_CAPACITY
    return count if count <= INNER_CAPACITY else INNER_CAPACITY


def set_count(page: bytearray, count: int) -> None:
    """Set how many entries the node has."""
    put16(page, 2, count)


def total_of(page: Page) -> int:
    """Return how many values lie in and below the node."""
    count = count_of(page)
    if get8(page, 0) == 0:
        return count
    return get64(page, _COUNTS + 8 * (count - 1)) if count else 0


# -- leaves ------------------------------------------------------------------------------------------


def word0(page: Page, slot: int) -> int:
    """Return the address field of a leaf entry."""
    return get64(page, _ENTRIES + 16 * slot)


def word1(page: Page, slot: int) -> int:
    """Return size and checksum of a leaf entry: size in the low 32 bits."""
    return get64(page, _ENTRIES + 16 * slot + 8)


def set_entry(page: bytearray, slot: int, first: int, second: int) -> None:
    """Overwrite a leaf entry."""
    put64(page, _ENTRIES + 16 * slot, first)
    put64(page, _ENTRIES + 16 * slot + 8, second)


def open_entries(page: bytearray, slot: int, number: int) -> None:
    """Move the entries from ``slot`` on up by ``number`` and count them in."""
    count = count_of(page)
    place = _ENTRIES + 16 * slot
    move(page, place + 16 * number, place, 16 * (count - slot))
    put16(page, 2, count + number)


def close_entries(page: bytearray, slot: int, number: int) -> None:
    """Take ``number`` entries out, and zero the room behind the last."""
    count = count_of(page)
    place = _ENTRIES + 16 * slot
    move(page, place, place + 16 * number, 16 * (count - slot - number))
    end = _ENTRIES + 16 * count
    clear(page, end - 16 * number, end)
    put16(page, 2, count - number)


def clear(page: bytearray, begin: int, end: int) -> None:
    """Zero the bytes from ``begin`` to ``end`` of a page."""
    if cython.compiled:
        memset(page + begin, 0, end - begin)
    else:
        page[begin:end] = bytes(end - begin)


def entries_of(page: Page, slot: int, stop: int) -> bytes:
    """Return leaf entries ``slot`` to ``stop`` as bytes, 16 each."""
    if cython.compiled:
        return PyBytes_FromStringAndSize(
            cython.cast(cython.p_char, page + _ENTRIES + 16 * slot), 16 * (stop - slot)
        )
    else:
        return bytes(page[_ENTRIES + 16 * slot : _ENTRIES + 16 * stop])


def put_entries(node: Node, slot: int, entries: bytes) -> None:
    """Overwrite leaf entries from ``slot`` on."""
    place = _ENTRIES + 16 * slot
    if cython.compiled:
        source = cython.cast(page_t, cython.cast(cython.p_char, entries))
        memcpy(node.page + place, source, len(entries))
    else:
        node.bytes[place : place + len(entries)] = entries


def move_entries(source: Node, target: Node, slot: int) -> None:
    """Move the entries from ``slot`` on into an empty leaf."""
    count = count_of(source.page)
    begin, end = _ENTRIES + 16 * slot, _ENTRIES + 16 * count
    if cython.compiled:
        memcpy(target.page + _ENTRIES, source.page + begin, end - begin)
    else:
        target.bytes[_ENTRIES : _ENTRIES + end - begin] = source.bytes[begin:end]
    put16(target.page, 2, count - slot)
    clear(source.page, begin, end)
    put16(source.page, 2, slot)


# -- inner nodes -------------------------------------------------------------------------------------


def slot_of(page: Page, position: int) -> int:
    """Return the child below which value ``position`` lies; the count of entries if none does.

    Binary search for the first cumulative count above ``position``; compiled without branches on the
    data (a mispredicted one costs more than the load).
    """
    count = count_of(page)
    if cython.compiled:
        low = 0
        size = count
        while size > 1:
            half = size >> 1
            low += half * (get64(page, _COUNTS + 8 * (low + half - 1)) <= position)
            size -= half
        return low + (get64(page, _COUNTS + 8 * low) <= position)
    else:
        counts = memoryview(page)[_COUNTS:_CHILDREN].cast("Q")
        return bisect_right(counts, position, 0, count)


def before(page: Page, slot: int) -> int:
    """Return how many values lie below the children in front of ``slot``."""
    return get64(page, _COUNTS + 8 * (slot - 1)) if slot else 0


def child_of(page: Page, slot: int) -> int:
    """Return the address of child ``slot``."""
    return get64(page, _CHILDREN + 16 * slot)


def check_of(page: Page, slot: int) -> int:
    """Return the checksum that the page of child ``slot`` must have."""
    return get64(page, _CHILDREN + 16 * slot + 8)


def set_child(page: bytearray, slot: int, address: int, check: int) -> None:
    """Point child ``slot`` somewhere else."""
    put64(page, _CHILDREN + 16 * slot, address)
    put64(page, _CHILDREN + 16 * slot + 8, check)


def add_count(page: bytearray, slot: int, delta: int) -> None:
    """Add ``delta`` values to the cumulative counts from ``slot`` on."""
    count = count_of(page)
    if cython.compiled:
        for place in range(_COUNTS + 8 * slot, _COUNTS + 8 * count, 8):
            # Signed, as delta is: a build with overflow checks minds a wrap.
            put64(page, place, cython.cast(cython.longlong, get64(page, place)) + delta)
    else:
        counts = memoryview(page)[_COUNTS + 8 * slot : _COUNTS + 8 * count].cast("Q")
        for number, value in enumerate(counts.tolist()):
            counts[number] = value + delta


def split_child(page: bytearray, slot: int, values: int, address: int, more: int) -> None:
    """Note that child ``slot`` has ``values`` values now, and a dirty right neighbour with ``more``.

    The node has room for it.
    """
    count = count_of(page)
    below = before(page, slot)
    delta = values + more - (get64(page, _COUNTS + 8 * slot) - below)
    move(page, _COUNTS + 8 * (slot + 2), _COUNTS + 8 * (slot + 1), 8 * (count - slot - 1))
    move(page, _CHILDREN + 16 * (slot + 2), _CHILDREN + 16 * (slot + 1), 16 * (count - slot - 1))
    put16(page, 2, count + 1)
    put64(page, _COUNTS + 8 * slot, below + values)
    put64(page, _COUNTS + 8 * (slot + 1), below + values + more)
    set_child(page, slot + 1, address, 0)
    add_count(page, slot + 2, delta)


def deal_children(page: bytearray, slot: int, values: int, first: int, second: int) -> None:
    """Note how child ``slot`` and its right neighbour, both dirty, share what they have together.

    The first has ``values`` of it.
    """
    put64(page, _COUNTS + 8 * slot, before(page, slot) + values)
    set_child(page, slot, first, 0)
    set_child(page, slot + 1, second, 0)


def join_children(page: bytearray, slot: int, address: int) -> None:
    """Put one dirty child in the place of child ``slot`` and its right neighbour."""
    count = count_of(page)
    move(page, _COUNTS + 8 * slot, _COUNTS + 8 * (slot + 1), 8 * (count - slot - 1))
    put64(page, _COUNTS + 8 * (count - 1), 0)
    move(page, _CHILDREN + 16 * (slot + 1), _CHILDREN + 16 * (slot + 2), 16 * (count - slot - 2))
    set_child(page, count - 1, 0, 0)
    put16(page, 2, count - 1)
    set_child(page, slot, address, 0)


def children_of(page: Page) -> list[tuple[int, int, int]]:
    """Return (address, checksum, values below) of every child."""
    count = count_of(page)
    children = []
    seen = 0
    for slot in range(count):
        total = get64(page, _COUNTS + 8 * slot)
        children.append(
            (get64(page, _CHILDREN + 16 * slot), get64(page, _CHILDREN + 16 * slot + 8), total - seen)
        )
        seen = total
    return children


def put_children(node: Node, children: list[tuple[int, int, int]]) -> None:
    """Give an inner node exactly these children."""
    content = node.bytes
    content[_COUNTS:] = bytes(len(content) - _COUNTS)
    page = node.page
    put16(page, 2, len(children))
    total = 0
    for slot, (address, check, values) in enumerate(children):
        total += values
        put64(page, _COUNTS + 8 * slot, total)
        put64(page, _CHILDREN + 16 * slot, address)
        put64(page, _CHILDREN + 16 * slot + 8, check)


# -- what a page from a file must satisfy -----------------------------------------------------------


def fault_of(page: Page) -> str:
    """Return what is wrong with a counted node that came from a file, "" if nothing is.

    A checksum proves that the page is what was written, not that whoever wrote it meant well; behind
    this check every count is within its array and no address has the mark of a dirty one.
    """
    count = get16(page, 2)
    if get8(page, 0) == 0:
        if not 0 < count <= LEAF_CAPACITY:
            return f"a leaf of {count} entries"
        if cython.compiled:
            for slot in range(count):
                if word0(page, slot) >> 63 and low32(word1(page, slot)) > INLINE_SIZE:
                    return "a leaf with a pointer out of the region"
        else:
            words = _WORDS.unpack_from(page, _ENTRIES)[: 2 * count]
            for first, second in zip(words[::2], words[1::2], strict=True):
                if first >> 63 and low32(second) > INLINE_SIZE:
                    return "a leaf with a pointer out of the region"
        return ""
    if not 0 < count <= INNER_CAPACITY:
        return f"an inner node of {count} children"
    seen = 0
    for slot in range(count):
        total = get64(page, _COUNTS + 8 * slot)
        if total <= seen or total >> 63:
            return f"an inner node whose counts go from {seen} to {total}"
        if child_of(page, slot) >> 63:
            return "an inner node with a child out of the region"
        seen = total
    return ""


class CountedKind(NodeKind):
    """The kind of these nodes."""

    __slots__ = ()

    def fault(self, page: Page) -> str:
        """Return what is wrong with a page from a file, "" if nothing is."""
        return fault_of(page)

    def count(self, page: Page) -> int:
        """Return how many entries the node has."""
        return count_of(page)

    def total(self, page: Page) -> int:
        """Return how many values lie in and below the node."""
        return total_of(page)

    def capacity(self, level: int) -> int:
        """Return how many entries a node of a level has room for."""
        return INNER_CAPACITY if level else LEAF_CAPACITY

    def minimum(self, level: int) -> int:
        """Return how many entries a node of a level has at least."""
        return INNER_MINIMUM if level else LEAF_MINIMUM

    def slot_of(self, page: Page, position: int) -> int:
        """Return the child below which a value lies; the count of entries if none does."""
        return slot_of(page, position)

    def before(self, page: Page, slot: int) -> int:
        """Return how many values lie below the children in front of ``slot``."""
        return before(page, slot)

    def child(self, page: Page, slot: int) -> int:
        """Return the address of a child."""
        return child_of(page, slot)

    def check(self, page: Page, slot: int) -> int:
        """Return the checksum that the page of a child must have."""
        return check_of(page, slot)

    def set_child(self, page: bytearray, slot: int, address: int, check: int) -> int:
        """Point a child somewhere else."""
        set_child(page, slot, address, check)
        return 0

    def children(self, page: Page) -> list[tuple[int, int, int]]:
        """Return (address, checksum, values below) of each child."""
        return children_of(page)

    def put_children(self, node: Node, children: list[tuple[int, int, int]]) -> int:
        """Give a branch exactly these children."""
        put_children(node, children)
        return 0

    def add_count(self, page: bytearray, slot: int, delta: int) -> int:
        """Note that there are ``delta`` more values below a child."""
        add_count(page, slot, delta)
        return 0

    def split_child(
        self, page: bytearray, slot: int, left: tuple[int, int, int], right: tuple[int, int, int]
    ) -> int:
        """Put two dirty nodes in the place of a child, without a list of all children."""
        split_child(page, slot, left[2], right[0], right[2])
        return 0

    def blobs(self, page: Page) -> list[tuple[int, int, int]]:
        """Return (slot, address, size and checksum) of each blob that does not sit in its entry."""
        found = []
        for slot in range(count_of(page)):
            if low32(word1(page, slot)) > INLINE_SIZE:
                found.append((slot, word0(page, slot), word1(page, slot)))
        return found

    def set_blob(self, page: bytearray, slot: int, address: int) -> int:
        """Point to a blob where it lies now."""
        set_entry(page, slot, address, word1(page, slot))
        return 0

    def place_blobs(self, page: bytearray, placed: bytearray) -> int:
        """Replace the numbers of pending blobs by their addresses, without a list of all blobs."""
        for slot in range(count_of(page)):
            first = word0(page, slot)
            if first >> 63:
                second = word1(page, slot)
                if low32(second) > INLINE_SIZE:
                    set_entry(page, slot, get64(placed, 8 * unmark(first)), second)
        return 0


COUNTED_KIND = CountedKind(COUNTED)
register(COUNTED_KIND)
