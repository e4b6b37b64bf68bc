# cython: annotation_typing=False
"""Transaction: the changes to a region from the first change after a commit to the next commit.

A handle always has one transaction. It is idle until the first change begins it. It ends once, by a commit or
a rollback; then the handle has a new one. So nothing of a transaction is ever left over in the next.

The nodes and blobs of a transaction are in the pager. The blocks that it allocated and freed are in the
layers of the free space.
"""

from ...errors import StableMemoryError
from ...layout import LEAF_CAPACITY
from ...shown import shown
from ..format.catalog import Entry, Root
from ..tree.index import Index
from ..tree.pager import MOST_NODES, NODE_BUDGET, Pager
from .state import State

__all__ = ["Transaction", "node_budget", "place_nodes", "write_early"]


class Transaction:
    """One transaction of a handle.

    Args:
        state: the commit on which it is based.
        pager: has its nodes and blobs.
        indexes: the open lists, by name.
        commit_changes: number of changes at which a commit is due; 0 for never.
        added: lists that are not in the state, but have open objects.

    Attributes:
        number: number of its commit, when it has begun.
        begun: whether it has begun: the region is recovered, and its free space is known.
        changes: number of changes; the calls that make changes count them.
        entries: the lists that exist now, with the committed tree of each.
        roots: the roots that exist now.
        dropped: names of the lists that were dropped.
        catalog_changed: whether its commit must write the catalog.
        patched: whether there may be patches.
        raw_written: whether it wrote into raw blocks, which it may write again, or free.
        wrote_early: whether it wrote bytes that the digest of its commit may not cover.
        written_before: (bytes, runs) that the device had written when the transaction began.
    """

    __slots__ = (
        "begun", "catalog_changed", "changes", "commit_changes", "dropped", "entries", "indexes", "number",
        "pager", "patched", "raw_written", "roots", "written_before", "wrote_early",
    )  # fmt: skip

    def __init__(
        self,
        state: State,
        pager: Pager,
        indexes: dict[str, Index],
        commit_changes: int,
        added: dict[str, Entry],
    ) -> None:
        self.pager = pager
        self.indexes = indexes
        self.commit_changes = commit_changes
        self.number = 0
        self.begun = False
        self.changes = 0
        self.entries: dict[str, Entry] = state.lists | added
        self.roots: dict[str, Root] = state.roots.copy()
        self.dropped: set[str] = set()
        self.catalog_changed = False
        self.patched = False
        self.raw_written = False
        self.wrote_early = False
        self.written_before = (0, 0)

    # -- the catalog -----------------------------------------------------------------------------------

    def add(self, name: str, blobify: str, options: bytes) -> None:
        """Put a new, empty list into the catalog, at the commit."""
        if name in self.dropped:
            raise StableMemoryError(
                f"the list {shown(name)} was dropped, and that is not committed yet: commit before you "
                f"make another list of that name"
            )
        self.entries[name] = Entry(blobify, options)
        self.catalog_changed = True

    def drop_list(self, name: str) -> None:
        """Take a list, which must be empty, out of the catalog, at the commit."""
        del self.indexes[name], self.entries[name]
        self.dropped.add(name)
        self.catalog_changed = True

    def set_root(self, name: str, numbers: Root | None) -> None:
        """Set a root, or delete it, at the commit."""
        if numbers is None:
            del self.roots[name]
        else:
            self.roots[name] = numbers
        self.catalog_changed = True

    def revert(self, lists: dict[str, Entry], roots: dict[str, Root], dropped: set[str]) -> None:
        """Restore the catalog of a savepoint. Lists made since then stay, empty, with their open objects."""
        added = {name: entry for name, entry in self.entries.items() if name not in lists}
        self.catalog_changed = self.catalog_changed or bool(added)
        self.entries = {**lists, **added}
        self.roots = dict(roots)
        self.dropped = set(dropped)


def node_budget(indexes: dict[str, Index]) -> int:
    """Return the number of dirty nodes that a transaction may have: more if it begins with large lists.

    Changes all over a list come to each leaf again and again. For appending, more dirty nodes are of no use,
    because a full leaf is not changed again.
    """
    leaves = sum(index.length for index in indexes.values()) // LEAF_CAPACITY
    return min(max(NODE_BUDGET, leaves), MOST_NODES)


def write_early(tx: Transaction) -> None:
    """Write pending blobs, and dirty nodes beyond their budget."""
    tx.wrote_early = True
    tx.pager.write_blobs()
    if tx.pager.dirty_nodes >= tx.pager.node_budget:
        place_nodes(tx, 0)
        tx.pager.end_nodes()
    tx.pager.region.start_sync()


def place_nodes(tx: Transaction, spare: int) -> None:
    """Give all dirty nodes their addresses, and reserve spare pages after them."""
    tx.pager.begin_nodes(spare)
    for index in tx.indexes.values():
        index.place()
