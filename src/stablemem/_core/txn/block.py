# cython: annotation_typing=False
"""Block: a part of a transaction that is done as a whole, or undone alone.

    with region.transaction():      Block 0    committed at its end
        a.append(1)
        with region.transaction():  Block 1    a savepoint: an exception that leaves it undoes it alone
            a.append(2)

Each block within other changes has a savepoint, which knows of which transaction it is. An error that
rolls this transaction back breaks the blocks: there is nothing left to undo, and they take no changes.
"""

from contextlib import suppress

from ...errors import StableMemoryError
from .handle import Handle
from .savepoint import Savepoint

__all__ = ["Block"]


class Block:
    """What ``with region.transaction():`` runs in.

    A class, since an interrupt between the halves of a generator would leave the second half to whenever
    the generator is collected, behind the end of the blocks around it.

    Args:
        handle: the region.
        sync: how the outermost block commits.

    Attributes:
        broken: whether an error has undone it while it was open.
    """

    __slots__ = ("_begun", "_handle", "_owned", "_savepoint", "_sync", "broken")

    def __init__(self, handle: Handle, sync: bool) -> None:
        self._handle = handle
        self._sync = sync
        self._owned = handle.exclusive()
        self._begun = False
        self._savepoint: Savepoint | None = None
        self.broken = False

    def __enter__(self) -> None:
        if self._begun:
            raise RuntimeError("a transaction block can be entered only once: call transaction() again")
        self._owned.__enter__()
        try:
            self._begin()
        except BaseException:
            self._leave(True)
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._end()
        except BaseException:
            self._leave(True)
            raise
        self._leave(kind is not None)

    def _leave(self, undo: bool) -> None:
        """Undo the block, if that is asked for, and let other threads in."""
        try:
            if undo and self._begun:
                self._undo()
        finally:
            self._owned.__exit__()

    def _begin(self) -> None:
        """Begin: within other changes, by a savepoint."""
        handle = self._handle
        handle.require_open()
        handle.require_writable()
        savepoint = Savepoint(handle) if handle.blocks or handle.changes else None
        try:
            if savepoint is not None:
                savepoint.begin()
            self._savepoint = savepoint
            self._begun = True
            handle.blocks.append(self)
        except BaseException:
            if savepoint is not None and self not in handle.blocks:
                # The savepoint may be there, but nobody has heard of it.
                self._begun = False
                with handle.latch.held():
                    savepoint.undo()
            raise

    def _end(self) -> None:
        """End a block that did all it wanted."""
        handle = self._handle
        if handle.forked:
            return
        if handle.blocks and handle.blocks[-1] is not self:
            # Interpreted, an interrupt may end a block within it before that is undone.
            with handle.latch.held():
                handle.failed(KeyboardInterrupt())
        if self.broken:
            # Says what has undone it all; ``_undo`` then ends this part of it.
            handle.require_writable()
        try:
            self._take_off()
            if self._savepoint is not None:
                self._savepoint.end()
        except BaseException as error:
            # What was the block's own may be half the outer one's.
            with handle.latch.held():
                handle.failed(error)
            raise
        if not handle.blocks:
            handle.commit(self._sync)

    def _take_off(self) -> None:
        """Be no open block any more, nor those that were begun within this one."""
        blocks = self._handle.blocks
        if self in blocks:
            del blocks[blocks.index(self) :]

    def _undo(self) -> None:
        """End a block that an exception leaves, as if it had not been; or what is left of its end."""
        handle = self._handle
        if handle.forked:
            return
        try:
            if self in handle.blocks:
                self._take_off()
                if self._savepoint is None:
                    handle.rollback()
                else:
                    # Within the latch: another thread's read would meet a list without its values.
                    with handle.latch.held():
                        self._savepoint.undo()
            elif not handle.blocks and handle.changes:
                handle.rollback()
        except BaseException as error:
            # Half of the block may be undone: nothing of the transaction around it can stay.
            self._take_off()
            with suppress(StableMemoryError), handle.latch.held():
                # Refused only where the interrupt left the latch taken: the next call undoes it then.
                handle.failed(error)
            raise
