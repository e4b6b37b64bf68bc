"""Verify: prove, for one committed state, that every byte of the region has exactly one use.

It walks over the header, the log, the catalog, every node and every blob, and checks each of them against the
pointer to it. It puts each range that it meets into one set, and reports a range that it meets twice. The
ranges that are free or in limbo according to the log join the set. In the end, the set must be the whole
region, without a gap. Only if the catalog has structures or records that this version does not know, the gaps
belong to them, and are counted, not checked.
"""

from dataclasses import dataclass, field

from ...errors import BlockError, CorruptRegionError
from ...layout import BLOB_PAGE, HEADER_SIZE, KIND_NAMES, NODE_PAGE, NODE_SIZE, RAW_PAGE
from ...shown import shown, shown_record
from ..format.catalog import LIST
from ..format.checksum import page_checksum
from ..space.freespace import FreeSpace
from ..space.freetree import FreeTree
from ..space.spacemap import replay
from ..tree.index import Index
from ..tree.pager import Pager
from ..txn.handle import Handle
from ..txn.hidden import content_of, hidden

__all__ = ["Report", "verify", "verify_writer"]


MOST_FAULTS = 1000
"""Number of faults after which an overlap ends the walk."""


@dataclass(repr=False)
class Report:
    """The result of ``verify()``.

    Attributes:
        transaction: number of the commit that was verified.
        lists: number of values in each list, by name.
        nodes, blobs: number of pages of the index, and of values over 8 bytes, that were read and checked.
        header_bytes, log_bytes, catalog_bytes, node_bytes, blob_bytes, raw_bytes, patch_bytes,
            free_bytes, limbo_bytes: number of bytes of the file that have this use.
        unknown_bytes: number of bytes in use by structures or records that this version does not know.
        unknown: names of the structures that were not checked, because this version does not know their kind.
        faults: a sentence for each fault; empty if there is none.
    """

    transaction: int
    lists: dict[str, int] = field(default_factory=dict)
    nodes: int = 0
    blobs: int = 0
    header_bytes: int = HEADER_SIZE
    log_bytes: int = 0
    catalog_bytes: int = 0
    node_bytes: int = 0
    blob_bytes: int = 0
    raw_bytes: int = 0
    patch_bytes: int = 0
    free_bytes: int = 0
    limbo_bytes: int = 0
    unknown_bytes: int = 0
    unknown: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return shown_record(self)


class _Ranges:
    """All ranges met so far, and the addresses of the nodes among them."""

    def __init__(self, report: Report, path: str) -> None:
        self.report = report
        self.path = path
        self.met = FreeTree()
        self.nodes: list[int] = []

    def add(self, what: str, address: int, size: int) -> None:
        try:
            self.met.insert(address, size)
        except BlockError:
            if len(self.report.faults) > MOST_FAULTS:
                raise CorruptRegionError(address, "a range of its own", what, self.path) from None
            self.report.faults.append(f"{what} ({address}, {size}) overlaps something else")

    def node(self, address: int) -> None:
        if self.met.overlaps(address, NODE_SIZE):
            # Going on below a node that was met before might never end.
            raise CorruptRegionError(address, "a node that nothing else holds", "one met before", self.path)
        self.report.nodes += 1
        self.report.node_bytes += NODE_SIZE
        self.nodes.append(address)
        self.add("node", address, NODE_SIZE)

    def blob(self, address: int, size: int) -> None:
        self.report.blobs += 1
        self.report.blob_bytes += size
        self.add("blob", address, size)


def verify(handle: Handle) -> Report:
    """Return a report on the state of a snapshot.

    Damage does not raise; it is in ``Report.faults``. O(n log n) for n values, and one read of every byte.
    """
    slot = handle.slot
    report = Report(slot.transaction)
    ranges = _Ranges(report, handle.path)
    ranges.add("header", 0, HEADER_SIZE)
    damaged = False
    try:
        if slot.catalog[1]:
            report.catalog_bytes = slot.catalog[1]
            ranges.add("catalog", *slot.catalog[:2])
        for patch in handle.state.patches:
            report.patch_bytes += patch.size
            ranges.add("patch", patch.data, patch.size)
            if page_checksum(handle.region.load(patch.data, patch.size)) != patch.check:
                report.faults.append(f"patch of ({patch.address}, {patch.size}): its checksum does not match")
        stores = []
        for name, numbers in hidden(handle.state.roots):
            try:
                content_of(handle.region, handle.patches, name, numbers)
                stores.append((name, numbers[0], numbers[1]))
            except CorruptRegionError as error:
                report.faults.append(error.fault)
        for name, entry in handle.state.lists.items():
            if entry.kind != LIST:
                report.unknown.append(name)
                root, check = entry.tree[:2]
                if root:
                    ranges.node(root)
                    if page_checksum(handle.region.load(root, NODE_SIZE)) != check:
                        report.faults.append(f"the root of {shown(name)}: its checksum does not match")
                continue
            index = Index(Pager(handle.region, FreeSpace(), True), *entry.tree)
            report.lists[name] = index.length
            try:
                index.walk(ranges.node, ranges.blob, True)
                report.faults += [f"list {name!r}: {fault}" for fault in index.check()]
            except CorruptRegionError as error:
                damaged = True
                report.faults.append(f"list {shown(name)}: {error.fault}")
        space, chain = replay(handle.region, slot)
    except CorruptRegionError as error:
        report.faults.append(error.fault)
        return report
    for _, address, _ in chain.pages:
        report.log_bytes += NODE_SIZE
        ranges.add("log page", address, NODE_SIZE)
    report.faults += [f"space map: {fault}" for fault in space.check()]
    for address in ranges.nodes:
        if space.kind_at(address) != NODE_PAGE:
            kind = KIND_NAMES[space.kind_at(address)]
            report.faults.append(f"node {address} lies in a region page of kind {kind}")
    for address, size in space.allocated_blocks(RAW_PAGE, 0, slot.length):
        report.raw_bytes += size
        ranges.add("raw block", address, size)
    for name, address, size in stores:
        if fault := space.fault_of(RAW_PAGE, address, size):
            report.faults.append(f"the store of the Blobify of {shown(name[1:])}: {fault}")
    for patch in handle.state.patches:
        if fault := space.fault_of(RAW_PAGE, patch.address, patch.size):
            report.faults.append(f"patch of ({patch.address}, {patch.size}): {fault}")
        if fault := space.fault_of(BLOB_PAGE, patch.data, patch.size):
            report.faults.append(f"bytes of the patch of ({patch.address}, {patch.size}): {fault}")
    for address, size in space.free_blocks():
        if address < slot.length:
            report.free_bytes += min(size, slot.length - address)
        ranges.add("free block", address, size)
    for each in space.limbo:
        report.limbo_bytes += each.blocks.total
        for address, size in each.blocks.blocks():
            ranges.add("limbo block", address, size)
    if not damaged and list(ranges.met) != [(0, space.end)]:
        lost = []
        place = 0
        for address, size in ranges.met:
            if address > place:
                lost.append((place, address - place))
            place = address + size
        if place < space.end:
            lost.append((place, space.end - place))
        if not handle.state.is_known:
            report.unknown_bytes = sum(size for _, size in lost)
        else:
            report.faults.append(f"{len(lost)} ranges belong to nothing, the first is {lost[0]}")
    return report


def verify_writer(handle: Handle) -> list[str]:
    """Return the faults of a writer's structures in memory, compared with its committed state."""
    faults = [f"{name!r}: {fault}" for name, index in handle.indexes.items() for fault in index.check()]
    if handle.writer is None:
        return faults
    writer_space = handle.writer.space
    faults += writer_space.check()
    layers = writer_space.layers
    if len(layers) == 1 and not writer_space.fresh_blocks() and not layers[0].freed.count:
        ours, theirs = FreeTree(), FreeTree()
        read, _ = replay(handle.region, handle.slot)
        for space, union in ((writer_space, ours), (read, theirs)):
            blocks = space.free_blocks()
            blocks += [block for each in space.limbo for block in each.blocks.blocks()]
            for address, size in blocks:
                union.insert(address, size)
        end = min(writer_space.end, read.end)
        ours.discard(end, 1 << 56)
        theirs.discard(end, 1 << 56)
        if list(ours) != list(theirs):
            faults.append("the free space in memory differs from the space map")
    return faults
