"""The verdict: one state of a region, and all that is wrong with it (every byte has one use)."""

import builtins
from bisect import bisect_right
from dataclasses import dataclass, field

from judge.common import (
    HEADER,
    KIND_BLOB,
    KIND_NODE,
    KIND_RAW,
    PAGE,
    REGION_PAGE,
    Faults,
    Range,
    common,
    minus,
    union,
)
from judge.log import SpaceMap, read_log
from judge.slots import Found, Slot, kept, read_header
from judge.tree import Reached, Walk, read_catalog

CLASSES = ("header", "log", "node", "blob", "catalog", "patch", "unknown", "raw", "free", "limbo")


@dataclass
class Verdict:
    """What a region holds, as one of its slots says.

    Attributes:
        transaction: number of the state; 0 if there is none.
        synced: whether that state survives a power cut.
        lists: the blobs of every list, in order.
        blobify: codec and options of every list.
        roots: the integers of every root.
        unknown: what a later version has put into the catalog, which is no fault.
        bytes: how many bytes are of each class.
        faults: what is wrong; empty if nothing.
        slots: what became of each slot.
        slot: the number of the slot that counts; -1 if there is none.
        length: where the state ends.
        ranges: which bytes are of each class.
        patches: what lies over raw bytes, as (address, where it is kept, what should be there).
        space: what the log says.
    """

    transaction: int = 0
    synced: bool = False
    lists: dict[str, list[bytes]] = field(default_factory=dict)
    blobify: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    roots: dict[str, tuple[int, ...]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    patches: list[tuple[int, int, bytes]] = field(default_factory=list)
    bytes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLASSES, 0))
    faults: Faults = field(default_factory=Faults)
    slots: list[str] = field(default_factory=list)
    slot: int = -1
    length: int = 0
    ranges: dict[str, list[Range]] = field(default_factory=dict)
    space: SpaceMap = field(default_factory=SpaceMap)

    def raw(self, content: memoryview, address: int, size: int) -> "builtins.bytes":
        """Return raw bytes of the state, with the patches over them (record of a patch)."""
        data = bytearray(content[address : address + size])
        for at, _, held in self.patches:
            low, high = max(at, address), min(at + len(held), address + size)
            if low < high:
                data[low - address : high - address] = held[low - at : high - at]
        return builtins.bytes(data)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def tile(
    slot: Slot, space: SpaceMap, ranges: dict[str, list[Range]], unknown: list[str], faults: Faults
) -> None:
    """Prove that every byte of [0, length) is one thing, if need be one that is not known."""
    every = sorted((start, end, name) for name, list_ in ranges.items() for start, end in list_)
    at, before = 0, ""
    raw: list[Range] = []
    others: list[Range] = []
    for start, end, name in [*every, (slot.length, slot.length, "end")]:
        if start < at:
            faults.add(f"one use: {start} to {min(at, end)} is {before} and {name}")
        elif start > at:
            k = at
            while k < start:
                stop = min(start, k - k % REGION_PAGE + REGION_PAGE)
                if space.kinds[k // REGION_PAGE] == KIND_RAW:
                    raw.append((k, stop))
                elif unknown:
                    others.append((k, stop))
                else:
                    faults.add(f"one use: {k} to {stop} is nothing")
                k = stop
        if end > at:
            at, before = end, name
    ranges["raw"] = raw
    ranges["unknown"] = union([*ranges["unknown"], *others])


def check_places(space: SpaceMap, ranges: dict[str, list[Range]], faults: Faults) -> None:
    """Check that nodes, log pages, blobs and the catalog are in region pages of their kind."""
    kinds = space.kinds
    of_blobs = (("blob", KIND_BLOB), ("catalog", KIND_BLOB), ("patch", KIND_BLOB))
    for name, kind in (("node", KIND_NODE), ("log", KIND_NODE), *of_blobs):
        for start, end in ranges[name]:
            first, last = start // REGION_PAGE, (end - 1) // REGION_PAGE
            if kinds[first] != kind or (
                first != last and any(one != kind for one in kinds[first + 1 : last + 1])
            ):
                faults.add(f"kinds: the {name} at {start} is in a region page that is not of kind {kind}")


def check_written(
    slot: Slot, extents: tuple[Range, ...], space: SpaceMap, nodes: dict[int, int], faults: Faults
) -> None:
    """Check that what a commit wrote is what it allocated, and what its digest covers."""
    commits = {commit.transaction: commit.allocated for commit in space.commits}
    oldest = space.commits[0].transaction
    pages = {page.address: page.transaction for page in space.pages}
    for name, places in (("node", nodes), ("log page", pages)):
        for at, transaction in places.items():
            if transaction < oldest:
                continue
            if transaction not in commits:
                faults.add(f"written: the {name} at {at} is of {transaction}, which is no commit")
                continue
            allocated = commits[transaction]
            k = bisect_right(allocated, (at, 1 << 60)) - 1
            if k < 0 or allocated[k][1] < at + PAGE:
                faults.add(f"written: the {name} at {at} was not allocated by its transaction {transaction}")
    if slot.has_digest:
        allocated = commits.get(slot.transaction, [])
        digested = union((address, address + size) for address, size in extents)
        left = [
            (start, end) for start, end in minus(allocated, digested)
            if any(kind != KIND_RAW for kind in space.kinds[start // REGION_PAGE : -(-end // REGION_PAGE)])
        ]  # fmt: skip
        if minus(digested, allocated) or left:
            faults.add(f"the digest covers {digested}, but {allocated} was allocated")


def judge_state(content: memoryview, slots: list[Found], k: int, faults: Faults) -> Verdict:
    """Judge the state that one valid slot names."""
    found = slots[k]
    slot = found.slot
    assert slot is not None
    verdict = Verdict(slot.transaction, slot.synced, faults=faults, slot=k, length=slot.length)
    verdict.slots = [one.note for one in slots]
    content = content[: slot.length]
    space = verdict.space = read_log(content, slot, faults)
    reached = Reached()
    catalog = read_catalog(content, slot, faults)
    verdict.roots, verdict.patches, verdict.unknown = catalog.roots, catalog.patches, catalog.unknown
    for tree in catalog.trees:
        verdict.lists[tree.name] = Walk(content, slot, tree, reached, faults).run()
        verdict.blobify[tree.name] = (tree.blobify, tree.options)
    ranges = verdict.ranges
    ranges["header"] = [(0, HEADER)]
    ranges["log"] = [(page.address, page.address + PAGE) for page in space.pages]
    ranges["node"] = [(at, at + PAGE) for at in reached.nodes]
    ranges["blob"] = reached.blobs
    ranges["catalog"] = [(slot.catalog, slot.catalog + slot.catalog_size)] if slot.catalog_size else []
    ranges["patch"] = [(held, held + len(data)) for _, held, data in catalog.patches]
    ranges["unknown"] = catalog.pages
    ranges["free"] = space.free
    ranges["limbo"] = [(start, end) for start, end, _ in space.limbo]
    if space.whole:
        tile(slot, space, ranges, catalog.unknown, faults)
        check_places(space, ranges, faults)
        over = [(address, address + len(data)) for address, _, data in catalog.patches]
        if left := minus(over, union(ranges["raw"])):
            faults.add(f"patches lie over {left}, which is not raw")
        if space.commits:
            check_written(slot, found.extents, space, reached.nodes, faults)
    for name in CLASSES:
        verdict.bytes[name] = sum(end - start for start, end in ranges.get(name, ()))
    return verdict


def judge(content: bytes | memoryview, boot: bytes | None = None) -> Verdict:
    """Judge the state that a region is in.

    Args:
        content: the bytes of the file.
        boot: id of the boot that the machine is in; None for any other than that of the writer.
    """
    view = memoryview(content)
    faults = Faults()
    slots, order = read_header(view, boot, faults)
    if not order:
        return Verdict(faults=faults, slots=[one.note for one in slots])
    return judge_state(view, slots, order[0], faults)


def judge_kept(content: bytes | memoryview, boot: bytes | None = None) -> list[Verdict]:
    """Judge the older state that the next commit would leave alone too, if there is one.

    It must be whole; what it reaches, the newest one does not count as free, and no later commit has
    allocated; and the log still says what unsynced commits wrote (what holds from commit to commit).
    """
    view = memoryview(content)
    slots, order = read_header(view, boot, Faults())
    verdicts = []
    for k in kept(slots, order)[1:]:
        verdict = judge_state(view, slots, k, Faults())
        newest = judge_state(view, slots, order[0], Faults())
        if not newest.faults:
            mine = union(piece for name in CLASSES[1:7] for piece in verdict.ranges.get(name, ()))
            free = [*newest.ranges["free"], (newest.length, 1 << 60)]
            lost = common(mine, union(free))
            if lost:
                verdict.faults.add(
                    f"reuse: {lost[0]} is reached, but free in the newest state or after its end"
                )
            number, newer = slots[k].slot.transaction, newest.space.commits  # type: ignore[union-attr]
            for commit in newer:
                lost = common(mine, commit.allocated) if commit.transaction > number else []
                if lost:
                    verdict.faults.add(f"reuse: {lost[0]} is reached, but {commit.transaction} allocated it")
            if newer and not newest.synced and newer[0].first > slots[k].slot.newest + 1:  # type: ignore[union-attr]
                verdict.faults.add("sweeps: the log does not say what all commits that were not synced wrote")
        verdicts.append(verdict)
    return verdicts
