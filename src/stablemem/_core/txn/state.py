"""State: one commit of a region, as its slot and its catalog describe it.

It is all that a reader has. It never changes. To read a state takes only bytes by address and size, and
neither a lock nor a map.
"""

from types import MappingProxyType
from typing import NamedTuple, Protocol

from ...errors import CorruptRegionError
from ...shown import shown_names
from ..format import catalog
from ..format.catalog import LIST, MAIN, NOTHING_LATER, Catalog, Entry, Later, Patch, Root
from ..format.checksum import page_checksum
from ..format.slots import Slot

__all__ = ["Source", "State"]


class Source(Protocol):
    """Where the bytes of a state are."""

    @property
    def path(self) -> str:
        """The name of the file; empty for a region in memory."""

    def load(self, address: int, size: int) -> bytes:
        """Return a copy of a range."""


class State(NamedTuple):
    """One commit.

    Attributes:
        slot: its slot in the header.
        lists: its lists, with the tree of each.
        roots: its roots.
        patches: its patches, by address.
        later: the parts of its catalog that only a later version understands.
    """

    slot: Slot
    lists: MappingProxyType[str, Entry]
    roots: MappingProxyType[str, Root]
    patches: tuple[Patch, ...]
    later: Later = NOTHING_LATER

    @property
    def is_known(self) -> bool:
        """Whether this version knows everything that may use bytes of the region."""
        return self.later == NOTHING_LATER and all(
            entry.kind == LIST and not entry.later for entry in self.lists.values()
        )

    @classmethod
    def of(cls, slot: Slot, catalog: Catalog) -> "State":
        """Return the state of a slot and its catalog; the catalog must not change any more."""
        lists, roots = MappingProxyType(catalog.lists), MappingProxyType(catalog.roots)
        return cls(slot, lists, roots, catalog.patches, catalog.later)

    @classmethod
    def read(cls, source: Source, slot: Slot) -> "State":
        """Return the state that a slot names.

        Raises:
            CorruptRegionError: the catalog is damaged.
        """
        return cls.of(slot, _read_catalog(source, slot))


def _read_catalog(source: Source, slot: Slot) -> Catalog:
    """Return the catalog of a slot, with the root of "main" filled in from the slot."""
    address, size, check = slot.catalog
    content = source.load(address, size) if size else b""
    if size and page_checksum(content) != check:
        found = f"{page_checksum(content):016x}"
        raise CorruptRegionError(address, f"a catalog of checksum {check:016x}", found, source.path)
    read = catalog.decode(content, address, slot.length, source.path)
    for patch in read.patches:
        if not 0 < patch.transaction <= slot.transaction:
            expected = f"a patch of a transaction up to {slot.transaction}"
            raise CorruptRegionError(address, expected, f"{patch.transaction}", source.path)
    if MAIN in read.lists:
        read.lists[MAIN] = read.lists[MAIN].at(slot.main)._replace(front=slot.front)
    elif slot.main[0]:
        raise CorruptRegionError(address, f"a catalog with {MAIN!r}", shown_names(read.lists), source.path)
    return read
