"""BlobStore: the small store of bytes that a Blobify may have for one list, and how it is bound to it.

The content is in a raw block, which a hidden root names (hidden.py).
"""

from typing import TYPE_CHECKING, Any

from ._core.calls.bracket import edit
from ._core.format.checksum import page_checksum
from ._core.txn.hidden import content_of, hidden, root_of
from .blobify import Blobify
from .blobify.registry import describe
from .errors import BlobifyError, StableMemoryError
from .layout import is_name
from .shown import shown, shown_text

if TYPE_CHECKING:
    from .raw_blocks import RawBlocks

__all__ = ["RegionStore", "binds", "bound", "copy_store", "discard", "gaps"]


class RegionStore:
    """The store of the Blobify of one list: a ``BlobStore`` of the protocol.

    Args:
        region: the open region.
        name: the name of the list.
    """

    __slots__ = ("_last", "_name", "_region")

    def __init__(self, region: "RawBlocks", name: str) -> None:
        self._region = region
        self._name = name
        self._last: tuple[tuple[int, ...] | None, bytes] = None, b""

    def load(self) -> bytes:
        """Return what was saved last; ``b""`` if nothing was."""
        handle = self._region._handle
        key = root_of(self._name)
        handle.latch.enter()
        try:
            root = handle.roots.get(key)
            before, content = self._last
            if root == before:
                # The same checksum, so the same content.
                return content
            content = b"" if root is None else content_of(handle.region, handle.patches, key, root)
            self._last = root, content
            return content
        finally:
            handle.latch.leave()

    def save(self, content: bytes | bytearray | memoryview) -> None:
        """Replace the content, as one change of the transaction; ``b""`` deletes it."""
        content = bytes(memoryview(content))

        def check(*_: object) -> None:
            if self._name not in self._region._handle.entries:
                raise StableMemoryError(
                    f"the list {shown(self._name)} was dropped, and its Blobify's store with it: "
                    f"take the list from its region again"
                )
            if not is_name(root_of(self._name)):
                raise StableMemoryError(
                    "the name of this list is too long for a Blobify with a store: give the list a name of "
                    "at most 65534 bytes"
                )
            if content:
                self._region._require_room(len(content))

        edit(self._region, _put, (self._region, self._name, content), check)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {shown(self._name)}>"


def _put(region: "RawBlocks", name: str, content: bytes) -> None:
    """Replace the content of a store; within a change."""
    discard(region, name)
    if content:
        address = region._add(len(content), content)
        region._handle.set_root(root_of(name), (address, len(content), page_checksum(content)))


def discard(region: "RawBlocks", name: str) -> None:
    """Free the store of a list, if it has one; within a change."""
    handle, key = region._handle, root_of(name)
    root = handle.roots.get(key)
    if root is None:
        return
    try:
        content_of(handle.region, handle.patches, key, root)
        region._require_allocated(*root[:2])
    except StableMemoryError:
        # What is there is not the content, and so it is not ours to free.
        pass
    else:
        region._remove(*root[:2])
    handle.set_root(key, None)


def copy_store(source: "RawBlocks", name: str, target: "RawBlocks", new_name: str) -> None:
    """Copy the store of a list to a list of another region, which need not exist yet."""
    content = RegionStore(source, name).load()
    if content:
        edit(target, _put, (target, new_name, content))


def gaps(region: "RawBlocks", start: int, stop: int) -> list[tuple[int, int]]:
    """Return the parts of a range of addresses that are outside of all stores."""
    handle = region._handle
    parts = []
    for at, size in sorted(root[:2] for _, root in hidden(handle.roots) if len(root) == 3):
        if start < at + size and at < stop:
            parts.append((start, at))
            start = at + size
    parts.append((start, stop))
    return [(low, high) for low, high in parts if low < high]


def binds(blobify: Any) -> bool:
    """Return whether a Blobify wants a store."""
    return callable(getattr(blobify, "bind", None))


def bound(blobify: Any, region: "RawBlocks", name: str) -> Blobify[Any]:
    """Return the Blobify to use for one list, with its store.

    Raises:
        BlobifyError: ``bind`` did not return a Blobify, or returned one with another name or options.
    """
    made: Blobify[Any] = blobify.bind(RegionStore(region, name))
    kind = shown_text(type(blobify).__qualname__)
    for method in ("to_blob", "from_blob"):
        if not callable(getattr(made, method, None)):
            raise BlobifyError(
                f"{kind}.bind returned {type(made).__name__}, which has no {method}: let it return the "
                f"Blobify to use for this list"
            )
    if describe(made) != describe(blobify):
        raise BlobifyError(
            f"{kind}.bind returned a Blobify with another name or other options than its own: let it return "
            f"one with the same, because the file records them"
        )
    return made
