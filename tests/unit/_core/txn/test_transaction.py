"""Transaction: the catalog that it edits, and that nothing of one is left over in the next."""

import pytest

from stablemem import MemoryRegion, StableMemoryError
from stablemem._core.format.catalog import Catalog
from stablemem._core.format.slots import Slot
from stablemem._core.tree.pager import MOST_NODES, NODE_BUDGET
from stablemem._core.txn.state import State
from stablemem._core.txn.transaction import Transaction, node_budget
from stablemem.layout import HEADER_SIZE, LEAF_CAPACITY
from support.probe import handle_of
from support.recorded import Recorder, region_on

EMPTY = State.of(Slot(b"\1" * 16, 1, HEADER_SIZE), Catalog())


@pytest.fixture
def region():
    with MemoryRegion() as made:
        yield made


def fields_of(tx):
    """Return all that a transaction notes of itself, but for what it is made of."""
    names = (
        "begun", "changes", "number", "dropped", "catalog_changed", "patched", "raw_written", "wrote_early",
        "written_before",
    )  # fmt: skip
    return {name: getattr(tx, name) for name in names}


IDLE = fields_of(Transaction(EMPTY, None, {}, 0, {}))


def use(region):
    """Make changes of each kind, some of them written early."""
    region.buffer("main", "bytes").extend([bytes(50_000)] * 90)
    region.roots["root"] = region.add_blob(b"blob")
    region.store(region.roots["root"][0], b"BLOB")
    region.buffer("other").append(1)
    region.drop("other")


def test_it_is_idle_until_the_first_change(region):
    store = handle_of(region)
    assert fields_of(store.tx) == IDLE
    region.commit()
    region.rollback()
    assert fields_of(store.tx) == IDLE
    use(region)
    assert {name for name, value in fields_of(store.tx).items() if value != IDLE[name]} >= {
        "begun", "changes", "number", "dropped", "catalog_changed", "raw_written", "wrote_early",
    }  # fmt: skip


@pytest.mark.parametrize("end", ["commit", "unsynced commit", "rollback", "failed commit"])
def test_the_next_is_a_new_one(end):
    device = Recorder()
    region = region_on(device)
    store = handle_of(region)
    region.buffer("main", "bytes").append(b"first")
    region.commit()
    use(region)
    ended = store.tx
    if end == "rollback":
        region.rollback()
    elif end == "failed commit":
        device.fail_at = len(device.events)
        with pytest.raises(OSError, match="Input/output"):
            region.commit()
        device.fail_at = None
    else:
        region.commit(sync=end == "commit")
    assert store.tx is not ended
    assert fields_of(store.tx) == IDLE
    undone = end in {"rollback", "failed commit"}
    assert len(region.buffer("main")) == (1 if undone else 91)
    assert dict(store.tx.roots) == ({} if undone else dict(region.roots))
    region.close()


def test_a_list_that_was_dropped_is_not_made_again_before_the_commit():
    tx = Transaction(EMPTY, None, {"a": None}, 0, {})
    tx.add("a", "text", b"")
    tx.drop_list("a")
    assert (tx.entries, tx.indexes, tx.dropped, tx.catalog_changed) == ({}, {}, {"a"}, True)
    with pytest.raises(StableMemoryError, match="was dropped, and that is not committed yet"):
        tx.add("a", "text", b"")


def test_roots_are_the_transactions_own():
    tx, other = Transaction(EMPTY, None, {}, 0, {}), Transaction(EMPTY, None, {}, 0, {})
    tx.set_root("a", (1, 2))
    assert (tx.roots, other.roots, dict(EMPTY.roots), tx.catalog_changed) == ({"a": (1, 2)}, {}, {}, True)
    tx.set_root("a", None)
    assert tx.roots == {}


def test_the_catalog_of_a_savepoint_comes_back_and_new_lists_stay():
    tx = Transaction(EMPTY, None, {}, 0, {})
    tx.add("old", "text", b"")
    before = dict(tx.entries), {"root": (1,)}, {"gone"}
    tx.catalog_changed = False
    tx.revert(*before)
    assert not tx.catalog_changed
    tx.add("new", "text", b"")
    tx.set_root("another", (2,))
    tx.catalog_changed = False
    tx.revert(*before)
    assert (set(tx.entries), tx.roots, tx.dropped) == ({"old", "new"}, {"root": (1,)}, {"gone"})
    assert tx.catalog_changed, "the new list is to be written"


class OfLength:
    def __init__(self, length):
        self.length = length


@pytest.mark.parametrize(
    ("lengths", "budget"),
    [
        ([], NODE_BUDGET),
        ([5], NODE_BUDGET),
        ([LEAF_CAPACITY * (NODE_BUDGET + 9), LEAF_CAPACITY], NODE_BUDGET + 10),
        ([LEAF_CAPACITY * MOST_NODES, 1 << 40], MOST_NODES),
    ],
)
def test_large_lists_may_have_more_dirty_nodes(lengths, budget):
    assert node_budget({str(n): OfLength(length) for n, length in enumerate(lengths)}) == budget
