# cython: annotation_typing=False
"""Handle: what every call on an open region needs at once."""

from ..tree.pager import Pager
from .latch import Latch
from .transaction import Transaction

__all__ = ["Handle"]


class Handle:
    """An open region.

    Attributes:
        latch: one thread at a time is inside.
        pager: its nodes and blobs.
        tx: its transaction, begun or idle.
    """

    __slots__ = ("latch", "pager", "tx")

    latch: Latch
    pager: Pager
    tx: Transaction
