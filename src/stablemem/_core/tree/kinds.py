# cython: annotation_typing=False
# ruff: noqa: ARG002
"""Kinds of nodes: what pager, write-out, walking and relocation must know of a page, in any tree.

All nodes begin alike:

    0     level             u8     0 for a leaf
    1     mark              u8     the kind of tree that it is a node of
    2     count             u16
    4     zero              u32
    8     transaction       u64    that wrote it
    16    what the kind says

The mark finds the ``NodeKind``, and all else is asked of that. It is asked when a page is first touched, when
it is written out and when a tree is walked; a search does not ask, since a tree knows its own nodes. A tree
registers its kind where its nodes are drawn (``register``).

In memory an address may carry the mark DIRTY: then it is the number of a dirty node (in a branch) or of a
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
        reference: the node's number with the mark DIRTY, used as its address until it is written out.
        page: the 4096 bytes.
        pending: whether an entry may point to a pending blob (leaves only).
        mark: number of the newest mark (marks.py) that needs no image of it any more.
    """

    __slots__ = ("bytes", "mark", "page", "pending", "reference")

    def __init__(self, reference: int, content: bytearray, pending: bool) -> None:
        self.reference = reference
        self.bytes = content
        self.page = content
        self.pending = pending
        self.mark = 0


class NodeKind:
    """What there is to know of the pages with one mark. This one is for marks that no tree has.

    The methods take a page (a pointer compiled; a slice of the map or a bytearray interpreted). Once
    ``fault`` has found nothing, none of them leaves the page, even if another program has changed it since.
    """

    __slots__ = ("mark",)

    def __init__(self, mark: int) -> None:
        self.mark = mark

    def fault(self, page: Page) -> str:
        """Return what is wrong with a page from a file whose checksum is right, "" if nothing is."""
        return f"a page that is no node (its mark is {self.mark})"

    def count(self, page: Page) -> int:
        """Return how many entries the node has: values of a leaf, children of a branch."""
        return 0

    def total(self, page: Page) -> int:
        """Return how many values lie in and below the node."""
        return 0

    def capacity(self, level: int) -> int:
        """Return how many entries a node of a level has room for."""
        return 0

    def minimum(self, level: int) -> int:
        """Return how many entries a node of a level has at least, but the root and the last of the level."""
        return 0

    def slot_of(self, page: Page, position: int) -> int:
        """Return the child of a branch below which the value at a position lies; the count if none does."""
        return 0

    def before(self, page: Page, slot: int) -> int:
        """Return how many values lie below the children of a branch in front of ``slot``."""
        return 0

    def child(self, page: Page, slot: int) -> int:
        """Return the address of a child of a branch."""
        return 0

    def check(self, page: Page, slot: int) -> int:
        """Return the checksum that the page of a child must have."""
        return 0

    def set_child(self, page: bytearray, slot: int, address: int, check: int) -> int:
        """Point a child of a branch somewhere else."""
        return 0

    def children(self, page: Page) -> list[tuple[int, int, int]]:
        """Return (address, checksum, values below) of each child of a branch."""
        return []

    def put_children(self, node: Node, children: list[tuple[int, int, int]]) -> int:
        """Give a branch exactly these children, as ``children`` returns them."""
        return 0

    def entry_of(self, node: Node) -> tuple[int, int, int]:
        """Return what a parent's ``children`` says of a dirty node."""
        return node.reference, 0, self.total(node.page)

    def add_count(self, page: bytearray, slot: int, delta: int) -> int:
        """Note that there are ``delta`` more values below child ``slot`` of a branch."""
        return 0

    def split_child(
        self, page: bytearray, slot: int, left: tuple[int, int, int], right: tuple[int, int, int]
    ) -> int:
        """Put two dirty nodes in the place of child ``slot`` of a branch that has room for them."""
        return 0

    def blobs(self, page: Page) -> list[tuple[int, int, int]]:
        """Return (slot, address, size and checksum) of each blob that a leaf points to."""
        return []

    def set_blob(self, page: bytearray, slot: int, address: int) -> int:
        """Point to a blob of a leaf where it lies now."""
        return 0

    def place_blobs(self, page: bytearray, placed: bytearray) -> int:
        """Replace the numbers of pending blobs in a leaf by their addresses, 8 bytes each in ``placed``."""
        for slot, first, _ in self.blobs(page):
            if first >> 63:
                self.set_blob(page, slot, get64(placed, 8 * unmark(first)))
        return 0


_KINDS = [NodeKind(mark) for mark in range(256)]


def register(kind: NodeKind) -> None:
    """Let a kind answer for the pages with its mark."""
    _KINDS[kind.mark] = kind


def kind_of(page: Page) -> NodeKind:
    """Return the kind of a page: by its mark."""
    return _KINDS[get8(page, 1)]


def level_of(page: Page) -> int:
    """Return the node's level; leaves are 0."""
    return get8(page, 0)


def start(page: bytearray, level: int, mark: int) -> None:
    """Make a zeroed page an empty node of a level."""
    put8(page, 0, level)
    put8(page, 1, mark)
