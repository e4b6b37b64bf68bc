r"""The sizes and addresses of the format, which all parts of the code share.

The region, in region pages of 64 KiB:

    address 0            4096         8192         12288                  65536
    +------------+------------+------------+------------------------+------------ - -
    | slot 0     | slot 1     | slot 2     | nodes and log pages    | region page 1
    +------------+------------+------------+------------------------+------------ - -
    \______________ header ________________/

Region page 0 holds the header and, after it, nodes and log pages. Every other region page has one kind
(below) while anything in it is in use or in limbo. Every byte has exactly one use: header, log, nodes,
blobs, raw, free or limbo.

All integers in the format are little-endian and unsigned.
"""

import sys
from typing import Final

if sys.byteorder != "little":  # pragma: no cover - no such machine to run it on
    raise ImportError("stablemem reads and writes little-endian words in place; this machine is big-endian")

FORMAT: Final = 0
"""Number of the format. 0 is "unstable": only the version that wrote a file can read it."""

NODE_SIZE: Final = 4096
"""Bytes of a node, of a log page and of a header slot."""

REGION_PAGE: Final = 65536
"""Bytes of a region page: each has one kind."""

SLOT_COUNT: Final = 3
HEADER_SIZE: Final = SLOT_COUNT * NODE_SIZE

WAKE_AT: Final = HEADER_SIZE - 4
"""Address of the wake word, the last 4 bytes of the header: handles that wait to write sleep on it."""

LET_GO_AT: Final = HEADER_SIZE - 16
"""Address of the let-go word, a u64: a writer that closes says there that everything is on the disk."""

MAX_ADDRESS: Final = 1 << 56
"""No region is larger. So the higher bits of an address are free for flags."""

MAX_BLOB: Final = (1 << 32) - 1
"""Bytes of the largest value: a pointer has 32 bits for its size."""

INLINE_SIZE: Final = 8
"""A blob of up to this many bytes is inside its pointer."""

MAX_LEVELS: Final = 12
"""No tree has more levels. This limits every descent in a damaged file."""

LEAF_CAPACITY: Final = 255
INNER_CAPACITY: Final = 170
LEAF_MINIMUM: Final = 127
INNER_MINIMUM: Final = 85
"""Nodes have at least the minimum of entries, except the root and the last node of each level."""

DIRTY: Final = 1 << 63
"""Set in an address, in memory only, that is really the number of a dirty node or of a pending blob."""

# Kinds of region pages.
FREE_PAGE: Final = 0
NODE_PAGE: Final = 1
BLOB_PAGE: Final = 2
RAW_PAGE: Final = 3
KINDS: Final = (NODE_PAGE, BLOB_PAGE, RAW_PAGE)
KIND_NAMES: Final = ("free", "nodes", "blobs", "raw")

HIDDEN: Final = "\0"
"""The first character of the names of roots that users do not see, and of no other root or list."""


def exact(name: str) -> str:
    """Return a plain str, given a str or one of a subclass, such as StrEnum: compiled code takes only str."""
    return str.__str__(name)


def is_name(name: object) -> bool:
    r"""Return whether this can be the name of a list or of a Blobify in the format.

    >>> is_name("main"), is_name(""), is_name("\ud800"), is_name(5)
    (True, False, False, False)
    """
    try:
        return isinstance(name, str) and 0 < len(name.encode()) < 1 << 16
    except UnicodeEncodeError:
        return False


def is_hidden(name: str) -> bool:
    """Return whether a root of this name is hidden from users."""
    return name[:1] == HIDDEN


def is_own_name(name: object) -> bool:
    r"""Return whether a user may give this name to a list or a root.

    >>> is_own_name("main"), is_own_name("\0main"), is_own_name("")
    (True, False, False)
    """
    return is_name(name) and not is_hidden(str(name))
