"""Commit: what reaches the device, in the order that docs/commits.md gives its steps."""

import pytest

from stablemem._core.disk.header import Header
from stablemem.layout import HEADER_SIZE, NODE_SIZE
from support.probe import handle_of
from support.recorded import BOOT, Recorder, region_on

SLOT, DATA, SYNC, LENGTH = "slot", "data", "sync", "length"


class Traced:
    """A region on a recording device; each commit is told as steps, repeated ones once."""

    def __init__(self):
        self.device = Recorder()
        self.region = region_on(self.device)
        self.values = self.region.buffer("main", "bytes")
        self.values.extend([bytes(300)] * 2000)
        self.region.commit()
        self.region.commit()

    def commit(self, sync=True):
        begin = len(self.device.events)
        self.region.commit(sync=sync)
        self.events = self.device.events[begin:]
        steps = []
        for event in self.events:
            kind = {"sync": SYNC, "truncate": LENGTH}.get(event[0])
            kind = kind or (SLOT if event[1] < HEADER_SIZE else DATA)
            if steps[-1:] != [kind]:
                steps.append(kind)
        return [step for step in steps if step != LENGTH]


@pytest.fixture
def traced():
    made = Traced()
    yield made
    made.region.close()


def test_a_small_synced_commit_has_one_barrier(traced):
    traced.values.append(b"small")
    assert traced.commit() == [DATA, SLOT, SYNC]
    assert handle_of(traced.region).slot.digest is not None


def test_a_large_synced_commit_has_its_data_on_the_disk_before_its_slot(traced):
    traced.values.extend([bytes(100_000)] * 20)
    assert traced.commit() == [DATA, SYNC, SLOT, SYNC]
    assert (handle_of(traced.region).slot.digest, handle_of(traced.region).slot.extents) == (None, ())


def test_a_commit_after_one_that_was_not_synced_has_both_barriers(traced):
    """A digest would say nothing of what the one before wrote."""
    traced.values.append(b"small")
    assert traced.commit(sync=False) == [DATA, SLOT]
    traced.values.append(b"small")
    assert traced.commit() == [DATA, SYNC, SLOT, SYNC]


def test_a_synced_commit_of_what_was_committed_writes_the_slot_alone(traced):
    traced.values.append(b"small")
    traced.commit(sync=False)
    number = traced.region.transaction_number
    assert traced.commit() == [SYNC, SLOT, SYNC]
    assert (traced.region.transaction_number, handle_of(traced.region).slot.synced) == (number, True)


@pytest.mark.parametrize("sync", [True, False])
def test_no_commit_writes_where_a_kept_slot_reaches(traced, sync):
    """Neither over the newest slot or the last synced one, nor over any page of their trees."""
    for turn in range(12):
        store = handle_of(traced.region)
        kept = {slot.number for slot in Header(traced.device, BOOT).kept()}
        reached = set()
        store.index("main").walk(lambda address, pages=reached: pages.add(address), lambda *_: None, True)
        traced.values[turn * 100] = b"%d" % turn * 200
        traced.commit(sync)
        for event in traced.events:
            if event[0] != "write":
                continue
            begin, end = event[1], event[1] + len(event[2])
            if begin < HEADER_SIZE:
                assert begin // NODE_SIZE not in kept
            else:
                assert not [page for page in reached if begin < page + NODE_SIZE and page < end]


def test_the_digest_is_of_all_that_was_written_but_the_slot(traced):
    traced.values[5] = b"x" * 300
    traced.commit()
    covered = set()
    for address, size in handle_of(traced.region).slot.extents:
        covered.update(range(address, address + size))
    for event in traced.events:
        if event[0] == "write" and event[1] >= HEADER_SIZE:
            assert covered >= set(range(event[1], event[1] + len(event[2])))
