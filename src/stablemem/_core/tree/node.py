# cython: annotation_typing=False
"""Counted nodes: the 4 KiB pages of an index tree, and the functions that search and change them.

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

A leaf entry is a pointer (12 bytes) and the checksum of its blob. A blob of 8 bytes or less is in the address
field, padded with zeros, and its checksum field is zero. Entry k of an inner node has the number of values
below children 0 to k, the address of child k, and the checksum that the page of child k must have. The
checksum is kept with the pointer, so that a stale or swapped page is detected, and not only a flipped bit.
Bytes after the last entry are zero.

The functions take a page: in the compiled form a pointer, in the interpreted form a slice of the map or a
bytearray. They limit the count in the page to the capacity.
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
    """Return the number of entries of the node, limited to its capacity.

    Another program may change a page of the map between two reads. Because of the limit, every offset that
    is computed from the count stays inside the page.
    """
    count = get16(page, 2)
    if get8(page, 0) == 0:
        return count if count <= LEAF_CAPACITY else LEAF_CAPACITY
    return count if count <= INNER_CAPACITY else INNER_CAPACITY


def set_count(page: bytearray, count: int) -> None:
    """Set the number of entries of the node."""
    put16(page, 2, count)


def total_of(page: Page) -> int:
    """Return the number of values in and below the node."""
    count = count_of(page)
    if get8(page, 0) == 0:
        return count
    return get64(page, _COUNTS + 8 * (count - 1)) if count else 0


# -- leaves ------------------------------------------------------------------------------------------


def word0(page: Page, spot: int) -> int:
    """Return the address field of a leaf entry."""
    return get64(page, _ENTRIES + 16 * spot)


def word1(page: Page, spot: int) -> int:
    """Return size and checksum of a leaf entry; the size is in the low 32 bits."""
    return get64(page, _ENTRIES + 16 * spot + 8)


def set_entry(page: bytearray, spot: int, first: int, second: int) -> None:
    """Overwrite a leaf entry."""
    put64(page, _ENTRIES + 16 * spot, first)
    put64(page, _ENTRIES + 16 * spot + 8, second)


def open_entries(page: bytearray, spot: int, number: int) -> None:
    """Make room for ``number`` entries at ``spot``: move the later ones up, and add to the count."""
    count = count_of(page)
    place = _ENTRIES + 16 * spot
    move(page, place + 16 * number, place, 16 * (count - spot))
    put16(page, 2, count + number)


def close_entries(page: bytearray, spot: int, number: int) -> None:
    """Remove ``number`` entries at ``spot``, and zero the room after the last entry."""
    count = count_of(page)
    place = _ENTRIES + 16 * spot
    move(page, place, place + 16 * number, 16 * (count - spot - number))
    end = _ENTRIES + 16 * count
    clear(page, end - 16 * number, end)
    put16(page, 2, count - number)


def clear(page: bytearray, begin: int, end: int) -> None:
    """Zero the bytes from ``begin`` to ``end`` of a page."""
    if cython.compiled:
        memset(page + begin, 0, end - begin)
    else:
        page[begin:end] = bytes(end - begin)


def entries_of(page: Page, spot: int, stop: int) -> bytes:
    """Return the leaf entries from ``spot`` to before ``stop`` as bytes, 16 for each."""
    if cython.compiled:
        return PyBytes_FromStringAndSize(
            cython.cast(cython.p_char, page + _ENTRIES + 16 * spot), 16 * (stop - spot)
        )
    else:
        return bytes(page[_ENTRIES + 16 * spot : _ENTRIES + 16 * stop])


def put_entries(node: Node, spot: int, entries: bytes) -> None:
    """Overwrite leaf entries from ``spot`` on."""
    place = _ENTRIES + 16 * spot
    if cython.compiled:
        source = cython.cast(page_t, cython.cast(cython.p_char, entries))
        memcpy(node.page + place, source, len(entries))
    else:
        node.bytes[place : place + len(entries)] = entries


def move_entries(source: Node, target: Node, spot: int) -> None:
    """Move the entries from ``spot`` on into an empty leaf."""
    count = count_of(source.page)
    begin, end = _ENTRIES + 16 * spot, _ENTRIES + 16 * count
    if cython.compiled:
        memcpy(target.page + _ENTRIES, source.page + begin, end - begin)
    else:
        target.bytes[_ENTRIES : _ENTRIES + end - begin] = source.bytes[begin:end]
    put16(target.page, 2, count - spot)
    clear(source.page, begin, end)
    put16(source.page, 2, spot)


# -- inner nodes -------------------------------------------------------------------------------------


def spot_of(page: Page, position: int) -> int:
    """Return the child below which value ``position`` is; the count of entries if there is none.

    This is a binary search for the first cumulative count above ``position``. In the compiled form, it has no
    branches that depend on the data: a mispredicted branch costs more than the load.
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


def before(page: Page, spot: int) -> int:
    """Return the number of values below the children before ``spot``."""
    return get64(page, _COUNTS + 8 * (spot - 1)) if spot else 0


def child_of(page: Page, spot: int) -> int:
    """Return the address of child ``spot``."""
    return get64(page, _CHILDREN + 16 * spot)


def check_of(page: Page, spot: int) -> int:
    """Return the checksum that the page of child ``spot`` must have."""
    return get64(page, _CHILDREN + 16 * spot + 8)


def set_child(page: bytearray, spot: int, address: int, check: int) -> None:
    """Replace the address and the checksum of child ``spot``."""
    put64(page, _CHILDREN + 16 * spot, address)
    put64(page, _CHILDREN + 16 * spot + 8, check)


def add_count(page: bytearray, spot: int, delta: int) -> None:
    """Add ``delta`` values to the cumulative counts from ``spot`` on."""
    count = count_of(page)
    if cython.compiled:
        for place in range(_COUNTS + 8 * spot, _COUNTS + 8 * count, 8):
            # Signed, like delta: a build with overflow checks would refuse a wrap-around.
            put64(page, place, cython.cast(cython.longlong, get64(page, place)) + delta)
    else:
        counts = memoryview(page)[_COUNTS + 8 * spot : _COUNTS + 8 * count].cast("Q")
        for number, value in enumerate(counts.tolist()):
            counts[number] = value + delta


def split_child(page: bytearray, spot: int, values: int, address: int, more: int) -> None:
    """Set the values of child ``spot`` to ``values``, and add a dirty right neighbour with ``more`` values.

    The node must have room for it.
    """
    count = count_of(page)
    below = before(page, spot)
    delta = values + more - (get64(page, _COUNTS + 8 * spot) - below)
    move(page, _COUNTS + 8 * (spot + 2), _COUNTS + 8 * (spot + 1), 8 * (count - spot - 1))
    move(page, _CHILDREN + 16 * (spot + 2), _CHILDREN + 16 * (spot + 1), 16 * (count - spot - 1))
    put16(page, 2, count + 1)
    put64(page, _COUNTS + 8 * spot, below + values)
    put64(page, _COUNTS + 8 * (spot + 1), below + values + more)
    set_child(page, spot + 1, address, 0)
    add_count(page, spot + 2, delta)


def deal_children(page: bytearray, spot: int, values: int, first: int, second: int) -> None:
    """Set how child ``spot`` and its right neighbour, both dirty, share their values.

    The first has ``values`` of them.
    """
    put64(page, _COUNTS + 8 * spot, before(page, spot) + values)
    set_child(page, spot, first, 0)
    set_child(page, spot + 1, second, 0)


def join_children(page: bytearray, spot: int, address: int) -> None:
    """Replace child ``spot`` and its right neighbour by one dirty child."""
    count = count_of(page)
    move(page, _COUNTS + 8 * spot, _COUNTS + 8 * (spot + 1), 8 * (count - spot - 1))
    put64(page, _COUNTS + 8 * (count - 1), 0)
    move(page, _CHILDREN + 16 * (spot + 1), _CHILDREN + 16 * (spot + 2), 16 * (count - spot - 2))
    set_child(page, count - 1, 0, 0)
    put16(page, 2, count - 1)
    set_child(page, spot, address, 0)


def children_of(page: Page) -> list[tuple[int, int, int]]:
    """Return (address, checksum, number of values below) of every child."""
    count = count_of(page)
    children = []
    seen = 0
    for spot in range(count):
        total = get64(page, _COUNTS + 8 * spot)
        children.append(
            (get64(page, _CHILDREN + 16 * spot), get64(page, _CHILDREN + 16 * spot + 8), total - seen)
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
    for spot, (address, check, values) in enumerate(children):
        total += values
        put64(page, _COUNTS + 8 * spot, total)
        put64(page, _CHILDREN + 16 * spot, address)
        put64(page, _CHILDREN + 16 * spot + 8, check)


# -- checks for a page from a file -------------------------------------------------------------------


def fault_of(page: Page) -> str:
    """Return the fault of a counted node that came from a file; "" if it has none.

    A checksum proves that the page has the bytes that were written, not that its writer was honest. After
    this check, every count is within its array, and no address has the bit DIRTY.
    """
    count = get16(page, 2)
    if get8(page, 0) == 0:
        if not 0 < count <= LEAF_CAPACITY:
            return f"a leaf of {count} entries"
        if cython.compiled:
            for spot in range(count):
                if word0(page, spot) >> 63 and low32(word1(page, spot)) > INLINE_SIZE:
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
    for spot in range(count):
        total = get64(page, _COUNTS + 8 * spot)
        if total <= seen or total >> 63:
            return f"an inner node whose counts go from {seen} to {total}"
        if child_of(page, spot) >> 63:
            return "an inner node with a child out of the region"
        seen = total
    return ""


class CountedKind(NodeKind):
    """The kind of counted nodes."""

    __slots__ = ()

    def fault(self, page: Page) -> str:
        """Return the fault of a page from a file; "" if it has none."""
        return fault_of(page)

    def count(self, page: Page) -> int:
        """Return the number of entries of the node."""
        return count_of(page)

    def total(self, page: Page) -> int:
        """Return the number of values in and below the node."""
        return total_of(page)

    def capacity(self, level: int) -> int:
        """Return the number of entries for which a node of a level has room."""
        return INNER_CAPACITY if level else LEAF_CAPACITY

    def minimum(self, level: int) -> int:
        """Return the least number of entries of a node, except the root and the last one of the level."""
        return INNER_MINIMUM if level else LEAF_MINIMUM

    def spot_of(self, page: Page, position: int) -> int:
        """Return the child below which a position is; the count of entries if there is none."""
        return spot_of(page, position)

    def before(self, page: Page, spot: int) -> int:
        """Return the number of values below the children before ``spot``."""
        return before(page, spot)

    def child(self, page: Page, spot: int) -> int:
        """Return the address of a child."""
        return child_of(page, spot)

    def check(self, page: Page, spot: int) -> int:
        """Return the checksum that the page of a child must have."""
        return check_of(page, spot)

    def set_child(self, page: bytearray, spot: int, address: int, check: int) -> int:
        """Replace the address and the checksum of a child."""
        set_child(page, spot, address, check)
        return 0

    def children(self, page: Page) -> list[tuple[int, int, int]]:
        """Return (address, checksum, values below) of each child."""
        return children_of(page)

    def put_children(self, node: Node, children: list[tuple[int, int, int]]) -> int:
        """Give a branch exactly these children."""
        put_children(node, children)
        return 0

    def add_count(self, page: bytearray, spot: int, delta: int) -> int:
        """Add ``delta`` to the number of values below a child."""
        add_count(page, spot, delta)
        return 0

    def split_child(
        self, page: bytearray, spot: int, left: tuple[int, int, int], right: tuple[int, int, int]
    ) -> int:
        """Replace a child by two dirty nodes, without a list of all children."""
        split_child(page, spot, left[2], right[0], right[2])
        return 0

    def blobs(self, page: Page) -> list[tuple[int, int, int]]:
        """Return (spot, address, size and checksum) of each blob that is not inside its entry."""
        found = []
        for spot in range(count_of(page)):
            if low32(word1(page, spot)) > INLINE_SIZE:
                found.append((spot, word0(page, spot), word1(page, spot)))
        return found

    def set_blob(self, page: bytearray, spot: int, address: int) -> int:
        """Set the address of a blob."""
        set_entry(page, spot, address, word1(page, spot))
        return 0

    def place_blobs(self, page: bytearray, placed: bytearray) -> int:
        """Replace the numbers of pending blobs by their addresses, without a list of all blobs."""
        for spot in range(count_of(page)):
            first = word0(page, spot)
            if first >> 63:
                second = word1(page, spot)
                if low32(second) > INLINE_SIZE:
                    set_entry(page, spot, get64(placed, 8 * unmark(first)), second)
        return 0


COUNTED_KIND = CountedKind(COUNTED)
register(COUNTED_KIND)
