"""What tests look at within an open handle, and the functions that they watch or replace in the engine."""

from stablemem._core.space.spacemap import replay
from stablemem._core.txn import commit as steps
from stablemem._core.txn import handle as handles
from stablemem._core.txn import transaction as transactions
from stablemem._core.txn import writer as writers

__all__ = ["chain_of", "handle_of", "handles", "space_of", "steps", "transactions", "writers"]


def handle_of(made):
    """Return the handle of a list, a region, or anything else that has one."""
    return made._store


def space_of(handle):
    """Return the free space that a writer has in memory."""
    assert handle.writer is not None, "nothing was changed"
    return handle.writer.space


def chain_of(handle):
    """Return the pages of the log as of the newest slot."""
    return handle.writer.log.chain if handle.writer is not None else replay(handle.region, handle.slot)[1]
