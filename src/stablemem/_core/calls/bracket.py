# cython: annotation_typing=False
"""The bracket of a change: how a call enters a handle, changes the region and leaves.

    enter           wait for the latch; refuse if the list or the region was closed in the meantime
    begin           begin the transaction, if this is its first change
    check           an exception here leaves everything as it was
    change, count   an exception here rolls the whole transaction back
    leave           leave the latch; write out early, or commit, if that is due

``edit`` is that bracket. Every change of many values, and every rare change, goes through it. The calls that
are made a million times a second have their own copy of it: append, insert, set, delete, pop, allocate and
deallocate.

A call that checks its arguments before it begins does so between ``_enter_change`` and ``_begin``.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from ...errors import RegionClosedError, StableMemoryError, never_opened
from ..txn.handle import Handle

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython  # noqa: F401

__all__ = ["Calls", "edit", "edit_in_pieces"]


class Calls:
    """The calls of one object into a handle.

    It is a base class because compiled code reaches only the fields of a known class.

    Args:
        handle: the open region.
    """

    __slots__ = ("_closed", "_latch", "_open", "_pager", "_store")

    def __init__(self, handle: Handle) -> None:
        self._store = handle
        self._pager = handle.pager
        self._latch = handle.latch
        self._closed = ""
        # Last: an object whose ``__init__`` has not run, or has failed, is not open.
        self._open = True

    def _enter(self) -> None:
        """Enter the latch for a call that reads."""
        if not self._open:
            self._refuse()
        self._latch.enter()
        if not self._open:
            self._leave_closed()

    def _begin_change(self) -> None:
        """Enter the latch for a change, and begin the transaction if this is its first change."""
        self._enter_change()
        self._begin()

    def _enter_change(self) -> None:
        """Enter the latch for a change; the caller calls ``_begin`` when it has checked its arguments."""
        if not self._open:
            self._refuse()
        self._latch.enter_change()
        if not self._open:
            self._leave_closed()

    def _leave_closed(self) -> None:
        """Leave the latch and raise: this object was closed while the call waited."""
        self._latch.leave()
        self._refuse()

    def _refuse(self) -> None:
        """Raise for an object that was closed, or never opened."""
        raise RegionClosedError(self._closed or never_opened(self))

    def _require_open(self) -> None:
        """Raise if this object or its region was closed."""
        if not self._open:
            self._refuse()
        if self._latch.closed:
            raise RegionClosedError(self._latch.closed)

    def _begin(self) -> None:
        """Begin the transaction if this is its first change; leave the latch if that fails."""
        if not self._store.tx.begun:
            self._begin_transaction()

    def _begin_transaction(self) -> None:
        """Begin the transaction; leave the latch if that fails."""
        try:
            self._store.begin()
        except BaseException as error:
            if isinstance(error, Exception):
                self._latch.leave()
            else:
                # This is an interrupt: the beginning of the transaction may be half done.
                self._fail(error)
            raise

    def _end_change(self) -> None:
        """Leave the latch, and do the work that is due then."""
        self._latch.leave()
        if self._pager.is_due() or 0 < self._store.tx.commit_changes <= self._store.tx.changes:
            self._relieve()

    def _relieve(self) -> None:
        """Write out early or commit, if that is due; inside a longer call, that call commits."""
        if self._pager.is_due() or 0 < self._store.tx.commit_changes <= self._store.tx.changes:
            self._store.relieve()

    def _fail(self, error: BaseException) -> None:
        """Roll the transaction back after an error inside a change, and leave the latch."""
        try:
            self._store.failed(error)
        finally:
            self._latch.leave()


def edit(
    calls: Calls,
    change: Callable[..., Any],
    given: tuple[Any, ...] = (),
    check: Callable[..., None] | None = None,
    counted: bool = False,
) -> Any:
    """Make a change inside the bracket, and return the result of ``change``.

    Args:
        calls: the list, or the raw blocks.
        change: makes the change. It runs inside the latch, so it must not run code of users.
        given: the arguments of ``change`` and of ``check``.
        check: raises if the change is refused. It changes nothing.
        counted: whether ``change`` returns the number of changes that it made; if not, it makes one.
    """
    changing = False
    calls._begin_change()
    try:
        if check is not None:
            check(*given)
        changing = True
        result = change(*given)
        calls._store.tx.changes += result if counted else 1
    except BaseException as error:
        if changing:
            calls._fail(error)
        else:
            calls._latch.leave()
        raise
    calls._end_change()
    return result


def edit_in_pieces(calls: Calls, pieces: Iterable[Any], change: Callable[[Any, Any], int]) -> None:
    """Make a change to each piece of a list, each in its own bracket; all or nothing.

    The caller keeps other threads out, and calls ``_relieve`` when it has let them in again. Between two
    pieces, only two things can go wrong. A storage error rolls the transaction back. After an interrupt, this
    function rolls it back.

    Args:
        calls: the list.
        pieces: one piece for each change.
        change: makes the change to a piece, and returns the number of changes.
    """
    # Refuse before any piece is read.
    calls._begin_change()
    calls._latch.leave()
    tx = calls._store.tx
    before = tx.changes
    try:
        for piece in pieces:
            edit(calls, change, (calls, piece), None, True)
    except BaseException as error:
        if calls._store.tx is tx and tx.changes != before:
            # This fails only if the interrupt has left the latch taken. Then the next call undoes it.
            with suppress(StableMemoryError):
                calls._latch.enter()
                calls._fail(error)
        raise
