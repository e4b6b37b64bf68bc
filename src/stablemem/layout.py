r"""Sizes and addresses that every layer agrees on.

The region, in region pages of 64 KiB:

    address 0            4096         8192         12288                  65536
    +------------+------------+------------+------------------------+------------ - -
    | slot 0     | slot 1     | slot 2     | nodes and log pages    | region page 1
    +------------+------------+------------+------------------------+------------ - -
    \______________ header ________________/

Region page 0 holds the header and, behind it, nodes. Every other region page has one kind (below)
while anything in it is in use. Every byte belongs to exactly one of: header, space map, node, blob,
raw, free, limbo.

Words of the format: all integers are little-endian and unsigned.
"""

import sys
from typing import Final

if sys.byteorder != "little":  # pragma: no cover - no such machine to run it on
    raise ImportError("stablemem reads and writes little-endian words in place; this machine is big-endian")

FORMAT: Final = 0
"""Format number; 0 is "unstable": a file is read only by the version that wrote it."""

NODE_SIZE: Final = 4096
"""Bytes of a node, of a log page and of a header slot."""

REGION_PAGE: Final = 65536
"""Bytes of a region page, the unit in which kinds are given."""

SLOT_COUNT: Final = 3
HEADER_SIZE: Final = SLOT_COUNT * NODE_SIZE

WAKE_AT: Final = HEADER_SIZE - 4
"""Address of the word that those who wait for the writer lock sleep on: the end of the header."""

LET_GO_AT: Final = HEADER_SIZE - 16
"""Address of the u64 in which a writer says at its end that all it did is on the disk."""

MAX_ADDRESS: Final = 1 << 56
"""No region is larger; the bits above are free for marks."""

MAX_BLOB: Final = (1 << 32) - 1
"""Bytes of the largest value: a pointer has 32 bits for its size."""

INLINE_SIZE: Final = 8
"""A blob of up to this many bytes sits inside its pointer."""

MAX_LEVELS: Final = 12
"""No tree is deeper; bounds every descent of a damaged file."""

LEAF_CAPACITY: Final = 255
INNER_CAPACITY: Final = 170
LEAF_MINIMUM: Final = 127
INNER_MINIMUM: Final = 85
"""Nodes hold at least the minimum, except the root and the last node of each level."""

DIRTY: Final = 1 << 63
"""Mark of an address that is the number of a dirty node or of a pending blob, in memory only."""

# Kinds of region pages.
FREE_PAGE: Final = 0
NODE_PAGE: Final = 1
BLOB_PAGE: Final = 2
RAW_PAGE: Final = 3
KINDS: Final = (NODE_PAGE, BLOB_PAGE, RAW_PAGE)
KIND_NAMES: Final = ("free", "nodes", "blobs", "raw")


def exact(name: str) -> str:
    """Return a str as one of no subclass, such as a member of a StrEnum: compiled code takes no other."""
    return str.__str__(name)


def is_name(name: object) -> bool:
    r"""Return whether the format has room for this as the name of a list or of a Blobify.

    >>> is_name("main"), is_name(""), is_name("\ud800"), is_name(5)
    (True, False, False, False)
    """
    try:
        return isinstance(name, str) and 0 < len(name.encode()) < 1 << 16
    except UnicodeEncodeError:
        return False
