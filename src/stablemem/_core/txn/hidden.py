"""Hidden roots: roots that users do not see, one for each list whose Blobify has a store.

    name        NUL, then the name of the list
    integers    address, size and XXH3-64 of the raw block that has the content

So all that holds for roots and raw blocks holds for the stores too: commits, rollbacks, snapshots.
"""

from collections.abc import Mapping

from ...errors import CorruptRegionError
from ...layout import HEADER_SIZE, HIDDEN, is_hidden
from ...shown import shown
from ..disk.region import Region
from ..format.catalog import Root
from ..format.checksum import page_checksum
from .patches import Patches

__all__ = ["content_of", "hidden", "root_of", "visible"]


def root_of(name: str) -> str:
    """Return the name of the hidden root of a list."""
    return HIDDEN + name


def visible(roots: Mapping[str, Root]) -> dict[str, Root]:
    """Return the roots that users see, sorted by name."""
    return {name: root for name, root in sorted(roots.items()) if not is_hidden(name)}


def hidden(roots: Mapping[str, Root]) -> list[tuple[str, Root]]:
    """Return the hidden roots, with their names."""
    return [(name, root) for name, root in roots.items() if is_hidden(name)]


def content_of(region: Region, patches: Patches, name: str, root: Root) -> bytes:
    """Return the content of the block that a hidden root names.

    Raises:
        CorruptRegionError: the root names no block, or the block has other bytes.
    """
    at = root[0] if root else 0
    expected = f"the store of the Blobify of {shown(name.removeprefix(HIDDEN))}"
    if len(root) != 3 or root[1] <= 0 or at < HEADER_SIZE or at + root[1] > region.limit:
        raise CorruptRegionError(at, expected, f"a root of {shown(root)}", region.path)
    content: bytes = patches.load(region, at, root[1])
    check = page_checksum(content)
    if check != root[2]:
        raise CorruptRegionError(
            at, f"{expected}, with checksum {root[2]:#x}", f"checksum {check:#x}", region.path
        )
    return content
