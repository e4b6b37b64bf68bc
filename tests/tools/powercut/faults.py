"""Mistakes that an engine like this could have, switched on one at a time: the enumerator must find each.

Each patches what the store calls; where the mistake is one of order, the recorded events are put into the
order that the mistaken engine would have written in. All of them work compiled and interpreted.

Two that the plan names cannot be found by cuts of synced commits alone, because another rule covers them:

* Reuse one commit too early (``reuse too early``). If every commit is synced, the state before the newest
  is never gone back to: the newest is on the disk when the next one begins. The rule is for disks that lie.
  It is needed with unsynced commits, where the newest synced state is several commits old: found there.
* A put-back that is missing (``no put-back``). What a cut then leaves is a commit that was begun, and
  recovery makes that one whole. But a commit that raised shows up when the file is opened again, in the
  same boot: found there, by the workload itself.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from stablemem._core.disk.device import Device
from stablemem._core.disk.header import Header
from stablemem._core.format.slots import decode
from stablemem._core.space.freetree import FreeTree
from stablemem._core.space.layers import Limbo
from stablemem._core.space.spacemap import SpaceMap
from stablemem._core.txn import commit as steps
from stablemem._core.txn import handle, writer
from stablemem._core.txn.patches import Patches
from stablemem._core.txn.writer import Writer
from stablemem.layout import BLOB_PAGE, NODE_SIZE, SLOT_COUNT

from .workloads import SHORT, SHORT_SEQUENCES, Handle

__all__ = ["FAULTS", "Fault", "planted"]

Patch = Callable[[Any, str, Any], None]


@dataclass(frozen=True)
class Fault:
    """A mistake.

    Attributes:
        name: of it.
        sentence: what is wrong.
        plant: switches it on.
        seeds: of workloads that are known to meet it; others are tried after them.
    """

    name: str
    sentence: str
    plant: Callable[[Patch], None]
    seeds: tuple[int, ...] = ()


FAULTS: dict[str, Fault] = {}


def _fault(name: str, *known: int | str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Add a fault; ``known`` are seeds, or short sequences on the used file."""
    seeds = tuple(one if isinstance(one, int) else SHORT + SHORT_SEQUENCES.index(one) for one in known)

    def note(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
        FAULTS[name] = Fault(name, plant.__doc__ or "", plant, seeds)
        return plant

    return note


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Switch a mistake on for a while."""
    with ExitStack() as stack:

        def replaced(owner: Any, attribute: str, value: Any) -> None:
            stack.enter_context(patch.object(owner, attribute, value))

        FAULTS[name].plant(replaced)
        yield


def _events(device: Device) -> list[tuple] | None:
    """Return the list that a recording device writes down what is done to it."""
    return device.tape.events if isinstance(device, Handle) else getattr(device, "events", None)


@_fault("barrier skipped", "Aiu", 100_000)
def _barrier_skipped(plant: Patch) -> None:
    """A commit of two barriers leaves out the first one."""
    plant(steps, "sync_data", lambda writer: None)


@_fault("slot before data", "Aiu", 100_000)
def _slot_before_data(plant: Patch) -> None:
    """The slot is written and synced first, then the data."""
    commit, write = handle.commit, Header.write
    begun: dict[Header, int] = {}

    def committing(writer, tx, sync):
        events = _events(writer.region.device)
        if events is not None:
            begun[writer.header] = len(events)
        try:
            return commit(writer, tx, sync)
        finally:
            begun.pop(writer.header, None)

    def writing(header, slot):
        slot = write(header, slot)
        if header in begun:
            events = _events(header.device)
            event = events.pop()
            events[begun[header] : begun[header]] = [event, ("sync",)]
        return slot

    plant(steps, "sync_data", lambda writer: None)
    plant(handle, "commit", committing)
    plant(Header, "write", writing)


@_fault("promotion without data", "Aup", "aup")
def _promotion_without_data(plant: Patch) -> None:
    """A commit is called synced, though what it wrote was not."""
    promote = handle.promote

    def careless(writer):
        events = _events(writer.region.device)
        first = len(events)
        state = promote(writer)
        del events[events.index(("sync",), first)]
        return state

    plant(handle, "promote", careless)


@_fault("patch in place too early", "asu", "ssu")
def _patch_too_early(plant: Patch) -> None:
    """A store into a committed raw block is made in place while an older state may still come back."""
    begin = Patches.begin

    def early(patches, region, space, *_):
        begin(patches, region, space, 1 << 60, lambda below: None)

    plant(Patches, "begin", early)


@_fault("patch off the list too early", "soa", "oao")
def _patch_off_too_early(plant: Patch) -> None:
    """The transaction that writes a patch in place is the one that takes it off the list."""
    begin = Patches.begin

    def hasty(patches, *arguments):
        begin(patches, *arguments)
        patches.synced()
        begin(patches, *arguments)

    plant(Patches, "begin", hasty)


@_fault("digest over what was freed", 100_004, 100_009)
def _digest_over_freed(plant: Patch) -> None:
    """A digest covers raw bytes that its transaction wrote and freed, and the next one writes there."""

    def everything(writer):
        written = FreeTree()
        for address, size in writer.region.written:
            written.discard(address, address + size)
            written.insert(address, size)
        return written.blocks()

    plant(steps, "still_allocated", everything)


@_fault("recovery without extents", "Ka", "KAc")
def _recovery_without_extents(plant: Patch) -> None:
    """Recovery rewrites the slot, but not what its digest covers."""

    def recover(header, unsynced):
        newest = header.valid[0]
        header.valid[0] = replace(newest, extents=())
        try:
            for address, size in unsynced:
                header.device.write(address, header.device.read(address, size))
            header.device.write(newest.number * NODE_SIZE, newest.encode())
            header.device.sync()
        finally:
            header.valid[0] = newest

    plant(Header, "recover", recover)


@_fault("recovery without unsynced blocks", "auf", "Auf")
def _recovery_without_unsynced(plant: Patch) -> None:
    """Recovery does not rewrite what commits that were not synced have written."""
    recover = Header.recover
    plant(Header, "recover", lambda header, unsynced: recover(header, []))


@_fault("no recovery", "afr", "Ka")
def _no_recovery(plant: Patch) -> None:
    """A new writer trusts what the page cache shows."""
    plant(Header, "recover", lambda header, unsynced: None)


@_fault("reuse too early", "Aiu", 100_000)
def _reuse_too_early(plant: Patch) -> None:
    """Space that the newest commit freed is used by the next one already."""
    plant(Header, "floor", property(lambda header: header.newest.transaction))


@_fault("old taken for young", "AuU", "AUU")
def _old_for_young(plant: Patch) -> None:
    """What commits that were not synced freed waits for no sync, whoever allocated it."""
    commit = handle.commit

    def careless(writer, tx, sync):
        synced = writer.header.last_synced
        state = commit(writer, tx, sync)
        if not sync:
            writer.space.limbo[:] = [
                Limbo(each.transaction, each.blocks, max(each.since, synced)) for each in writer.space.limbo
            ]
        return state

    plant(handle, "commit", careless)


@_fault("young after a promotion", "UpU", "UpU")
def _young_after_promotion(plant: Patch) -> None:
    """What a promoted commit reaches counts as allocated after the newest synced state still."""
    plant(steps, "settle", lambda writer: writer.log.settled())


@_fault("readers of unsynced commits overlooked", 100_005, 100_016)
def _unsynced_readers_overlooked(plant: Patch) -> None:
    """What was allocated after the newest synced state is used again without a look at the snapshots."""
    is_read = writer.is_read
    plant(writer, "is_read", lambda device, above, below: not above and is_read(device, above, below))


@_fault("log of unsynced commits dropped", "AUf", "UAf")
def _unsynced_log_dropped(plant: Patch) -> None:
    """A log page is freed when a sweep has passed it, though recovery asks it what to write again."""
    plant(SpaceMap, "keep_from", property(lambda log: log.chain.needed_from))


@_fault("slot chosen before validation", "Aiu", 100_000)
def _slot_before_validation(plant: Patch) -> None:
    """The highest number wins, though its digest does not match."""
    plant(Header, "_digest_holds", lambda header, slot: True)


@_fault("limbo forgotten", 100_000, 100_005)
def _limbo_forgotten(plant: Patch) -> None:
    """A new writer takes what is in limbo for free."""
    replay = writer.replay

    def forgetting(region, slot):
        space, chain = replay(region, slot)
        space.release(1 << 60, lambda above, below: False)
        return space, chain

    plant(writer, "replay", forgetting)


@_fault("covered block reused", "Aiu", 100_000)
def _covered_block_reused(plant: Patch) -> None:
    """A digest covers the gaps between what was written, and the next commit writes into them."""
    digested = steps.digested

    def merging(writer, tx):
        extents = digested(writer, tx)
        if not extents:
            return extents
        return ((extents[0][0], extents[-1][0] + extents[-1][1] - extents[0][0]),)

    plant(steps, "digested", merging)


@_fault("rollback forgets allocator", "iba", 100_003)
def _rollback_forgets(plant: Patch) -> None:
    """A rollback restores the trees, but neither what was allocated nor what was freed."""
    plant(Writer, "undo", lambda writer: writer.patches.rollback())


@_fault("number reused", 100_084)
def _number_reused(plant: Patch) -> None:
    """After a commit that failed, the next handle gives its number to another state."""
    recover = handle.recover

    def reusing(header, region, state, *arguments):
        made = recover(header, region, state, *arguments)
        made.number = state.slot.transaction + 1
        return made

    plant(handle, "recover", reusing)


@_fault("no put-back", "afr", "biK")
def _no_put_back(plant: Patch) -> None:
    """After a failed sync the slot of the commit stays."""
    plant(Header, "take_back", lambda header: None)


@_fault("blob after slot", "Aiu", 100_000)
def _blob_after_slot(plant: Patch) -> None:
    """Values are written when the commit has been acknowledged."""
    commit = handle.commit

    def late(writer, tx, sync):
        events = _events(writer.region.device)
        first = len(events) if events is not None else 0
        state = commit(writer, tx, sync)
        if events is not None:
            blobs = [
                event for event in events[first:]
                if event[0] == "write" and writer.space.kind_at(event[1]) == BLOB_PAGE
            ]  # fmt: skip
            events[first:] = [event for event in events[first:] if event not in blobs] + blobs
        return state

    plant(handle, "commit", late)


@_fault("sweep drops a live page", 100_007, 100_015)
def _sweep_drops(plant: Patch) -> None:
    """A log page that replay still needs is freed: the one where the finished sweep began."""
    keep_from = SpaceMap.keep_from.fget

    def greedy(log):
        needed = keep_from(log)
        return needed + 1 if log.chain.pages and needed < log.chain.pages[-1][0] else needed

    plant(SpaceMap, "keep_from", property(greedy))


@_fault("boot not compared", "Aiu", 100_000)
def _boot_not_compared(plant: Patch) -> None:
    """A commit that was not synced counts after a power cut."""
    init = Header.__init__

    def trusting(header, device, boot):
        for number in range(SLOT_COUNT):
            slot = decode(device.read(number * NODE_SIZE, NODE_SIZE), number)
            if not isinstance(slot, str) and not slot.synced:
                boot = slot.boot
        init(header, device, boot)

    plant(Header, "__init__", trusting)


@_fault("sync retried", "afr", 100_010)
def _sync_retried(plant: Patch) -> None:
    """A sync that failed is called again, which returns 0 although the data are gone."""
    sync = Handle.sync

    def retrying(handle):
        try:
            sync(handle)
        except OSError:
            sync(handle)

    plant(Handle, "sync", retrying)


@_fault("digest after unsynced", "rui", "Aur")
def _digest_after_unsynced(plant: Patch) -> None:
    """A commit with a digest follows one that was not synced, whose data no digest covers."""
    digested = steps.digested

    def careless(writer, tx):
        state = writer.state
        writer.state = state._replace(slot=replace(state.slot, synced=True))
        try:
            return digested(writer, tx)
        finally:
            writer.state = state

    plant(steps, "digested", careless)


@_fault("early writes not covered", "a", "ack")
def _early_not_covered(plant: Patch) -> None:
    """A digest leaves out what was written early in its transaction."""
    write_early = handle.write_early

    def forgetting(tx):
        write_early(tx)
        tx.wrote_early = False
        tx.pager.region.written = []

    plant(handle, "write_early", forgetting)


@_fault("synced slot overwritten", "Aiu", 100_000)
def _synced_overwritten(plant: Patch) -> None:
    """Only the newest slot is kept: commits that are not synced overwrite the last one that was."""
    plant(Header, "kept", lambda header: header.valid[:1])


@_fault("tail cut too short", 100_000, 100_001)
def _tail_cut(plant: Patch) -> None:
    """Closing cuts the file to what the newest slot reaches, though others reach further."""

    def cutting(writer, least=0):
        reach = -(-writer.state.slot.length // NODE_SIZE) * NODE_SIZE
        if writer.region.device.size() > reach:
            writer.region.truncate(reach)

    plant(Writer, "cut_tail", cutting)


@_fault("hole in limbo", 100_005, 100_004)
def _hole_in_limbo(plant: Patch) -> None:
    """Pages are punched out that a kept slot still reaches."""

    def punching(writer):
        for each in writer.space.limbo:
            for address, size in each.blocks.blocks():
                writer.region.device.punch(address, size)

    plant(Writer, "punch", punching)


@_fault("readers ignored", 100_005, 100_016)
def _readers_ignored(plant: Patch) -> None:
    """Space is used again without a look at the snapshots."""
    plant(writer, "oldest_reader", lambda device, below: None)
    plant(writer, "is_read", lambda device, above, below: False)


@_fault("dropped slot left", "Ki")
def _dropped_left(plant: Patch) -> None:
    """A slot whose digest did not match stays, until the next transaction happens to write what it misses."""
    recover = Header.recover

    def lenient(header, unsynced):
        dropped, header.dropped = header.dropped, {}
        try:
            recover(header, unsynced)
        finally:
            header.dropped = dropped

    plant(Header, "recover", lenient)
