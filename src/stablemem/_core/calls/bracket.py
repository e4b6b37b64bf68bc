# cython: annotation_typing=False
"""Calls: how a call enters a store, changes it and leaves; the base of everything that users call fast.

_enter_change()        the latch
check the arguments    on a fault: leave the latch, and raise; nothing has happened
_begin()               the transaction, if this is its first change
try: change            on an error: ``_fail``, which rolls the whole transaction back
_end_change()          leave; write out early, or commit, if that is due
"""

from ...errors import RegionClosedError
from ..txn.handle import Handle

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython  # noqa: F401

__all__ = ["Calls"]


class Calls:
    """One object's calls into a store.

    Args:
        store: the open region.
    """

    __slots__ = ("_closed", "_latch", "_pager", "_store")

    def __init__(self, store: Handle) -> None:
        self._store = store
        self._pager = store.pager
        self._latch = store.latch
        self._closed = ""

    def _enter(self) -> None:
        """Enter the latch for a call that reads."""
        if self._closed:
            raise RegionClosedError(self._closed)
        self._latch.enter()

    def _begin_change(self) -> None:
        """Enter the latch for a change and begin the transaction if this is its first."""
        self._enter_change()
        self._begin()

    def _enter_change(self) -> None:
        """Enter the latch for a change; ``_begin`` comes next, once its arguments are known to be right."""
        if self._closed:
            raise RegionClosedError(self._closed)
        self._latch.enter_change()

    def _begin(self) -> None:
        """Begin the transaction if this is its first change; leaves the latch if that fails."""
        if not self._store.tx.begun:
            self._begin_transaction()

    def _begin_transaction(self) -> None:
        """Begin the transaction; leaves the latch if that fails."""
        try:
            self._store.begin()
        except BaseException as error:
            if isinstance(error, Exception):
                self._latch.leave()
            else:
                # An interrupt: what begins the transaction may be half done.
                self._fail(error)
            raise

    def _end_change(self) -> None:
        """Leave the latch, and do what is due then."""
        self._latch.leave()
        if self._pager.is_due() or 0 < self._store.tx.commit_changes <= self._store.tx.changes:
            self._relieve()

    def _relieve(self) -> None:
        """Write out early if enough has gathered, or commit; within a longer call, that call commits."""
        if self._pager.is_due() or 0 < self._store.tx.commit_changes <= self._store.tx.changes:
            self._store.relieve()

    def _fail(self, error: BaseException) -> None:
        """Roll the transaction back after an error within a change, and leave the latch."""
        try:
            self._store.failed(error)
        finally:
            self._latch.leave()
