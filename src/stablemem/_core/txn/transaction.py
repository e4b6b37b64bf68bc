# cython: annotation_typing=False
"""Transaction: what happens to a region from the first change after a commit to the next commit.

A handle always has one. It is idle until the first change begins it, and it ends once: committed, or rolled
back. Then the handle has a new one. So nothing of one is ever left over in the next.

Its nodes and blobs are in the pager, and what it allocated and freed is in the layers of the free space.
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
        state: the commit that it goes on from.
        pager: has its nodes and blobs.
        indexes: the lists that are open, by name.
        commit_changes: number of changes at which a commit is due; 0 for never.
        added: lists that the state does not have: their handles outlive what made them.

    Attributes:
        number: of its commit, once it has begun.
        begun: whether it has begun: the region is recovered, and free space at hand.
        changes: how many changes were made, counted by those who make them.
        entries: the lists there are now, with each one's tree as committed.
        roots: the roots there are now.
        dropped: names of the lists that were dropped.
        catalog_changed: whether its commit must write the catalog.
        patched: whether there may be patches in it.
        raw_written: whether it wrote into raw blocks, which it may write again, or free.
        wrote_early: whether it wrote something that no digest of its commit may cover.
        written_before: (bytes, runs) that its device had written when it began.
    """

    __slots__ = (
        "begun", "catalog_changed", "changes", "commit_changes", "dropped", "entries", "indexes", "number",
        "pager", "patched", "raw_written", "roots", "state", "written_before", "wrote_early",
    )  # fmt: skip

    def __init__(
        self,
        state: State,
        pager: Pager,
        indexes: dict[str, Index],
        commit_changes: int,
        added: dict[str, Entry],
    ) -> None:
        self.state = state
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
        """Put a new, empty list into the catalog, with the commit."""
        if name in self.dropped:
            raise StableMemoryError(
                f"the list {shown(name)} was dropped, and that is not committed yet: commit before you "
                f"make another list of that name"
            )
        self.entries[name] = Entry(blobify, options)
        self.catalog_changed = True

    def drop_list(self, name: str) -> None:
        """Take a list, which is empty by now, out of the catalog, with the commit."""
        del self.indexes[name], self.entries[name]
        self.dropped.add(name)
        self.catalog_changed = True

    def set_root(self, name: str, numbers: Root | None) -> None:
        """Set a root, or delete it, with the commit."""
        if numbers is None:
            del self.roots[name]
        else:
            self.roots[name] = numbers
        self.catalog_changed = True

    def revert(self, lists: dict[str, Entry], roots: dict[str, Root], dropped: set[str]) -> None:
        """Bring back the catalog of a savepoint; lists that are new since stay, empty, with their handles."""
        added = {name: entry for name, entry in self.entries.items() if name not in lists}
        self.catalog_changed = self.catalog_changed or bool(added)
        self.entries = {**lists, **added}
        self.roots = dict(roots)
        self.dropped = set(dropped)


def node_budget(indexes: dict[str, Index]) -> int:
    """Return how many dirty nodes a transaction may have: more if it begins with large lists.

    Changes all over a list meet each leaf again and again. What is only appended gains nothing from
    more: a full leaf is not met again.
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
    """Give all dirty nodes their addresses, reserving spare pages behind them."""
    tx.pager.begin_nodes(spare)
    for index in tx.indexes.values():
        index.place()
