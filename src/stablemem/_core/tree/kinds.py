# cython: annotation_typing=False
# ruff: noqa: ARG002
"""Kinds of nodes: the operations on a page of any tree that pager, write-out, walk and relocation need.

All nodes begin in the same way:

    0     level             u8     0 for a leaf
    1     mark byte         u8     the kind of tree to which the node belongs
    2     count             u16
    4     zero              u32
    8     transaction       u64    that wrote the node
    16    the rest depends on the kind

The mark byte leads to the ``NodeKind``, which does everything else. It is used when a page is first read,
when it is written out and when a tree is walked. A search does not use it, because a tree knows its own
nodes. Each kind is registered (``register``) in the module that defines its nodes.

In memory, an address may have the bit DIRTY: then it is the number of a dirty node (in a branch) or of a
pending blob (in a leaf). No such address is ever written out.
"""

from ..format.words import Page

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython
if not cython.compiled:
    from ..format.words import get8, get64, put8, unmark

__all__ = ["Node", "NodeKind", "register"]


class Node:
    """A dirty node: a page in memory that its transaction may change.

    Attributes:
        reference: the number of the node with the bit DIRTY, used as its address until it is written out.
        page: the 4096 bytes.
        pending: whether an entry may point to a pending blob (leaves only).
        mark: number of the newest mark (marks.py) that does not need an image of the node any more.
    """

    __slots__ = ("bytes", "mark", "page", "pending", "reference")

    def __init__(self, reference: int, content: bytearray, pending: bool) -> None:
        self.reference = reference
        self.bytes = content
        self.page = content
        self.pending = pending
        self.mark = 0


class NodeKind:
    """The operations on pages with one mark byte. This base class is for mark bytes that no tree uses.

    The methods take a page: in the compiled form a pointer, in the interpreted form a slice of the map or a
    bytearray. After ``fault`` has found nothing, none of them accesses bytes outside the page, even if
    another program has changed the page since then.
    """

    __slots__ = ("mark",)

    def __init__(self, mark: int) -> None:
        self.mark = mark

    def fault(self, page: Page) -> str:
        """Return the fault of a page from a file whose checksum is right; "" if it has none."""
        return f"a page that is no node (its mark is {self.mark})"

    def count(self, page: Page) -> int:
        """Return the number of entries of the node: values of a leaf, children of a branch."""
        return 0

    def total(self, page: Page) -> int:
        """Return the number of values in and below the node."""
        return 0

    def capacity(self, level: int) -> int:
        """Return the number of entries for which a node of a level has room."""
        return 0

    def minimum(self, level: int) -> int:
        """Return the least number of entries of a node, except the root and the last one of the level."""
        return 0

    def spot_of(self, page: Page, position: int) -> int:
        """Return the child of a branch below which a position is; the count of children if there is none."""
        return 0

    def before(self, page: Page, spot: int) -> int:
        """Return the number of values below the children of a branch before ``spot``."""
        return 0

    def child(self, page: Page, spot: int) -> int:
        """Return the address of a child of a branch."""
        return 0

    def check(self, page: Page, spot: int) -> int:
        """Return the checksum that the page of a child must have."""
        return 0

    def set_child(self, page: bytearray, spot: int, address: int, check: int) -> int:
        """Replace the address and the checksum of a child of a branch."""
        return 0

    def children(self, page: Page) -> list[tuple[int, int, int]]:
        """Return (address, checksum, values below) of each child of a branch."""
        return []

    def put_children(self, node: Node, children: list[tuple[int, int, int]]) -> int:
        """Give a branch exactly these children, in the form that ``children`` returns."""
        return 0

    def entry_of(self, node: Node) -> tuple[int, int, int]:
        """Return the tuple that ``children`` of the parent has for a dirty node."""
        return node.reference, 0, self.total(node.page)

    def add_count(self, page: bytearray, spot: int, delta: int) -> int:
        """Add ``delta`` to the number of values below child ``spot`` of a branch."""
        return 0

    def split_child(
        self, page: bytearray, spot: int, left: tuple[int, int, int], right: tuple[int, int, int]
    ) -> int:
        """Replace child ``spot`` of a branch, which has room, by two dirty nodes."""
        return 0

    def blobs(self, page: Page) -> list[tuple[int, int, int]]:
        """Return (spot, address, size and checksum) of each blob that a leaf points to."""
        return []

    def set_blob(self, page: bytearray, spot: int, address: int) -> int:
        """Set the address of a blob of a leaf."""
        return 0

    def place_blobs(self, page: bytearray, placed: bytearray) -> int:
        """Replace the numbers of pending blobs in a leaf by their addresses, 8 bytes each in ``placed``."""
        for spot, first, _ in self.blobs(page):
            if first >> 63:
                self.set_blob(page, spot, get64(placed, 8 * unmark(first)))
        return 0


_KINDS = [NodeKind(mark) for mark in range(256)]


def register(kind: NodeKind) -> None:
    """Use a kind for the pages with its mark byte."""
    _KINDS[kind.mark] = kind


def kind_of(page: Page) -> NodeKind:
    """Return the kind of a page, by its mark byte."""
    return _KINDS[get8(page, 1)]


def level_of(page: Page) -> int:
    """Return the level of the node; 0 for a leaf."""
    return get8(page, 0)


def start(page: bytearray, level: int, mark: int) -> None:
    """Make an empty node of a level from a page of zeros."""
    put8(page, 0, level)
    put8(page, 1, mark)
