"""What the tests of raw blocks share."""

__all__ = ["Undo", "blocks", "state"]


class Undo(Exception):  # noqa: N818 - it is no error
    """Leaves a transaction block."""


def blocks(heap):
    """Return the addresses of the raw blocks of the fixture ``lived_in``: two live ones about a freed one."""
    return heap.roots["blocks"]


def state(heap):
    """Return all that a call which fails must not change."""
    first, _, last = blocks(heap)
    return (
        heap.stats(),
        heap.allocated_blocks(),
        heap.free_blocks(),
        dict(heap.roots),
        heap.load(first, 200),
        heap.load(last, 100),
        heap.capacity,
        heap.buffer("main")[5],
    )
