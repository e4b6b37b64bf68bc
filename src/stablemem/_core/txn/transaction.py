# cython: annotation_typing=False
"""Transaction: what happens to a region from the first change after a commit to the next commit.

A handle always has one. It is idle until the first change begins it, and it ends once: committed, or rolled
back. Then the handle has a new one. So nothing of one is ever left over in the next.
"""

__all__ = ["Transaction"]


class Transaction:
    """One transaction of a handle.

    Args:
        commit_changes: number of changes at which a commit is due; 0 for never.

    Attributes:
        begun: whether it has begun: the region is recovered, and free space at hand.
        changes: how many changes were made, counted by those who make them.
        patched: whether there may be patches in it.
        raw_written: whether it wrote into raw blocks, which it may write again, or free.
        wrote_early: whether it wrote something that no digest of its commit may cover.
        catalog_changed: whether its commit must write the catalog.
        dropped: names of the lists that were dropped.
        written_before: (bytes, runs) that its device had written when it began.
    """

    __slots__ = (
        "begun", "catalog_changed", "changes", "commit_changes", "dropped", "patched", "raw_written",
        "written_before", "wrote_early",
    )  # fmt: skip

    def __init__(self, commit_changes: int) -> None:
        self.commit_changes = commit_changes
        self.begun = False
        self.changes = 0
        self.patched = False
        self.raw_written = False
        self.wrote_early = False
        self.catalog_changed = False
        self.dropped: set[str] = set()
        self.written_before = (0, 0)
