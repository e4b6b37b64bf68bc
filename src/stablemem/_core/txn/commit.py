# cython: annotation_typing=False
"""Commit: makes a transaction the newest state. Steps and cases have the numbers of docs/commits.md.

    write_out   S1      blobs, nodes, catalog, log pages are written where no kept slot, no snapshot reaches
    slot_of     S2      the slot is made, with a digest of them; without one, a barrier puts them on the disk
    publish     S3, S4  the slot is written over one that is not a kept slot; then a barrier
    adopt       S5      the memory of the writer is brought up to the new state
    tidy_up             free space at the end of the file and in the middle is given back

Invariant: a failed sync poisons the handle. Nobody knows what the kernel did with the pages, so nothing is
tried again.
"""

from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from ...errors import CorruptRegionError
from ...layout import BLOB_PAGE
from ..disk.header import Header
from ..format import catalog
from ..format.catalog import MAIN, Catalog
from ..format.checksum import page_checksum
from ..format.slots import MAX_DIGESTED, MAX_EXTENTS, Slot
from ..space.freetree import FreeTree
from ..space.spacemap import Plan
from .state import State
from .transaction import Transaction, place_nodes
from .writer import TAIL_LEAST, Writer

__all__ = ["commit", "double", "promote", "say_done"]

LOG_APART = 8
"""With this many log pages since the last synced commit, further log pages lie apart from the nodes."""


class Written(NamedTuple):
    """The result of a write-out, from which the slot is made.

    Attributes:
        catalog: the contents of the catalog.
        place: address, size and checksum of the catalog.
        plan: the log pages.
        given: region pages that got a kind.
        since: the newest synced transaction before this one.
    """

    catalog: Catalog
    place: tuple[int, int, int]
    plan: Plan
    given: list[tuple[int, int]]
    since: int


def commit(writer: Writer, tx: Transaction, sync: bool) -> State:
    """Make a transaction the newest commit, and return the new state.

    An exception before the slot leaves the newest commit as it was (cases 1 to 3, 12); the caller rolls the
    transaction back. After a later exception, the slot is taken back and the handle is poisoned (13 to 15).
    """
    written = write_out(writer, tx)
    slot = slot_of(writer, tx, written, sync)
    if sync and not slot.extents:
        sync_data(writer)
    try:
        publish(writer.header, slot)
        state = adopt(writer, tx, written, slot)
    except BaseException as error:
        take_back(writer.header, error)
        raise
    tidy_up(writer, written, sync)
    return state


def write_out(writer: Writer, tx: Transaction) -> Written:
    """Write blobs, nodes, catalog and log pages into free space (S1).

    A crash leaves the state before (cases 1 and 2), because no slot reaches these bytes.
    """
    space, log, patches, pager = writer.space, writer.log, writer.patches, tx.pager
    log.drop_unneeded()
    if patches.pending:
        tx.raw_written = True
        patches.commit(writer.region, space, tx.number)
    tx.catalog_changed = tx.catalog_changed or patches.changed
    pager.write_blobs()
    apart = log.unsynced_pages >= LOG_APART
    place_nodes(tx, 0 if apart else 1)
    first_page = log.allocate_page() if apart else pager.spare_page()
    entries = dict(tx.entries)
    catalog_changed = tx.catalog_changed
    for name, index in tx.indexes.items():
        tree = index.state()
        if tree != entries[name].tree:
            entries[name] = entries[name].at(tree)
            catalog_changed = catalog_changed or name != MAIN
    roots, listed = dict(tx.roots), patches.listed
    content = Catalog(entries, roots, listed, writer.state.later.beside(roots, listed))
    place = _write_catalog(writer, content) if catalog_changed else writer.state.slot.catalog
    plan = log.plan(tx.number, first_page)
    for address, page in plan.pages:
        pager.place_page(address, page)
    pager.end_nodes()
    return Written(content, place, plan, space.given.blocks(), writer.header.last_synced)


def _write_catalog(writer: Writer, now: Catalog) -> tuple[int, int, int]:
    """Write the catalog; return its address, size and checksum, all zero for an empty catalog."""
    space, before = writer.space, writer.state.slot.catalog
    if before[1]:
        space.free(before[0], before[1])
    content = catalog.encode(now)
    if not content:
        return 0, 0, 0
    address = space.allocate(BLOB_PAGE, len(content))
    writer.region.write(address, content)
    return address, len(content), page_checksum(content)


def slot_of(writer: Writer, tx: Transaction, written: Written, sync: bool) -> Slot:
    """Return the slot (S2). If it has no extents, a synced commit needs a barrier before it.

    With a digest of the extents, slot and data can be synced together: if a part of either is missing after a
    crash, the slot does not count (case 6). Without a digest, a slot that is there proves its data (5).
    """
    plan, region, before = written.plan, writer.region, writer.state.slot
    extents = digested(writer, tx) if sync else ()
    size = region.device.size()
    if plan.length > size:
        raise CorruptRegionError(
            0, f"a file of {plan.length} bytes, as this handle left it", f"{size}", region.path
        )
    lists = written.catalog.lists
    return Slot(
        file_id=before.file_id,
        transaction=tx.number,
        length=plan.length,
        synced=sync,
        boot=bytes(16) if sync else writer.header.boot,
        main=lists[MAIN].tree if MAIN in lists else (0, 0, 0, 0),
        catalog=written.place,
        log_page=plan.pages[-1][0],
        log_check=plan.newest_check,
        log_newest=plan.newest,
        log_oldest=plan.oldest,
        front=lists[MAIN].front if MAIN in lists else 0,
        needed_to_read=before.needed_to_read,
        needed_to_write=before.needed_to_write,
        extents=extents,
        digest=page_checksum(b"".join([region.load(*each) for each in extents])) if extents else None,
    )


def digested(writer: Writer, tx: Transaction) -> tuple[tuple[int, int], ...]:
    """Return the extents for a digest, with which slot and data can be synced together; none if they cannot.

    They cannot after an early write-out or an unsynced commit: then a valid slot could lack data that its
    digest does not cover.
    """
    if tx.wrote_early or not writer.state.slot.synced:
        return ()
    written = still_allocated(writer) if tx.raw_written else sorted(writer.region.written)
    extents: list[tuple[int, int]] = []
    for address, size in written:
        if extents and extents[-1][0] + extents[-1][1] == address:
            extents[-1] = (extents[-1][0], extents[-1][1] + size)
        else:
            extents.append((address, size))
    if len(extents) > MAX_EXTENTS or sum(size for _, size in extents) > MAX_DIGESTED:
        return ()
    return tuple(extents)


def still_allocated(writer: Writer) -> list[tuple[int, int]]:
    """Return the blocks that the transaction wrote and has not freed again, each byte once.

    The next transaction may overwrite the freed bytes, while the digest of this one must still match.
    """
    written = FreeTree()
    for address, size in writer.region.written:
        for begin, length in writer.space.fresh_blocks(address, address + size):
            written.discard(begin, begin + length)
            written.insert(begin, length)
    return written.blocks()


def sync_data(writer: Writer) -> None:
    """Sync the written data: the barrier of S2 (case 3). If it fails, the handle is poisoned (12)."""
    try:
        writer.region.sync()
    except OSError as error:
        writer.header.poison("the data of a commit could not be synced", error)
        raise


def publish(header: Header, slot: Slot) -> None:
    """Write the slot (S3) and, if it is a synced one, sync (S4). From here on, the slot counts.

    A crash in this step leaves the state before, or the new one (cases 4 to 11, 13).
    """
    header.write(slot)
    if slot.synced:
        header.device.sync()
    header.published(slot)


def take_back(header: Header, error: BaseException) -> None:
    """Restore the page of a slot whose publishing failed, and poison the handle (cases 13 and 24)."""
    # The slot may or may not be on the disk.
    with suppress(OSError):
        header.take_back()
    header.poison("a commit was interrupted while its header slot was written", error)


def adopt(writer: Writer, tx: Transaction, written: Written, slot: Slot) -> State:
    """Bring the memory of the writer up to the new state (S5), and return that state. Writes nothing."""
    writer.log.adopt(written.plan, slot.synced)
    writer.space.commit(tx.number, written.since, slot.synced)
    writer.lengths.append((tx.number, slot.length))
    writer.patches.committed(written.catalog.patches)
    if slot.synced:
        writer.patches.synced()
    writer.number = tx.number + 1
    writer.state = State.of(slot, written.catalog)
    return writer.state


def tidy_up(writer: Writer, written: Written, sync: bool) -> None:
    """Give back free space: the end of the file, and long holes. No state reaches these bytes (case 17)."""
    if sync:
        with suppress(OSError):
            writer.cut_tail(max(TAIL_LEAST, writer.region.length // 8))
    if writer.holes.committed(written.given, writer.space.idle_bytes, writer.space.end):
        writer.punch()


# -- the slot once more ------------------------------------------------------------------------------------


def promote(writer: Writer) -> State:
    """Make the newest commit, which is unsynced, a synced one, and return its state (cases 21 to 24).

    A transaction may be open, and goes on: no slot reaches the bytes that it wrote early, and the blocks that
    it allocated were free before either commit.
    """
    sync_data(writer)
    slot = replace(writer.state.slot, synced=True, boot=bytes(16))
    try:
        publish(writer.header, slot)
        writer.state = writer.state._replace(slot=slot)
        settle(writer)
    except BaseException as error:
        take_back(writer.header, error)
        raise
    return writer.state


def settle(writer: Writer) -> None:
    """Note that all commits so far are synced: nothing in them is newer than the synced state."""
    writer.log.settled()
    writer.space.settled()
    writer.patches.synced()


def double(writer: Writer) -> None:
    """Write the newest slot a second time, so that damage to one of the two cannot hide it."""
    if writer.header.doubled or not writer.state.slot.synced:
        return
    try:
        # Without a digest: the data under the digest of the first copy is on the disk by now. If it is
        # damaged later, that must be reported as damage, not taken for a commit that a power cut undid.
        publish(writer.header, replace(writer.state.slot, extents=(), digest=None))
    except OSError:
        # The commit itself is durable; only its second copy is missing.
        with suppress(OSError):
            writer.header.take_back()


def say_done(writer: Writer) -> None:
    """Write the let-go word if everything is on the disk: the last write to the file (case 25)."""
    if writer.header.doubled:
        with suppress(OSError):
            writer.header.write_let_go()
