# cython: annotation_typing=False
"""Block: a part of a transaction that is kept as a whole, or undone alone.

    with region.transaction():      Block 0    committed at its end
        a.append(1)
        with region.transaction():  Block 1    a savepoint: an exception that leaves it undoes only this block
            a.append(2)

A block belongs to the thread that entered it, and to the asyncio task that ran then, if any. Other threads
wait; other tasks are refused. A block that begins after other changes has a savepoint, which knows its
transaction. Blocks end in reverse order. If a block is left while blocks that began inside it are open, or by
another thread, or because its handle ends, those blocks end with it: all their changes are undone, and each
of them raises when it is left in its turn (``broken``).
"""

from contextlib import suppress
from threading import get_ident
from typing import Any

from ...errors import StableMemoryError
from .handle import Handle
from .latch import running_task
from .savepoint import Savepoint

__all__ = ["Block"]

ASK = 0.002
"""Seconds after which a task that waits for another block looks again."""

MISNESTED = (
    "a transaction block was left before one that was begun within it, and both were undone: leave blocks in "
    "the reverse order, and keep none open over a yield or an await that others run in"
)
STRANGER = (
    "a transaction block was left by another thread than the one that entered it, and was undone: enter and "
    "leave it in one thread"
)


class Block:
    """The context of ``with region.transaction():``.

    It is a class, not a generator: an interrupt between the halves of a generator would delay the second half
    until the generator is collected, after the end of the blocks around it.

    Args:
        handle: the region.
        sync: whether the commit of the outermost block is synced.

    Attributes:
        broken: why the block takes no changes any more although it is still open; empty while it does.
    """

    __slots__ = ("_entered", "_handle", "_owns", "_savepoint", "_sync", "_task", "_thread", "broken")

    def __init__(self, handle: Handle, sync: bool) -> None:
        self._handle = handle
        self._sync = sync
        self._savepoint: Savepoint | None = None
        self._entered = self._owns = False
        self._thread = 0
        self._task: object = None
        self.broken = ""

    def __enter__(self) -> None:
        if self._entered:
            raise RuntimeError("a transaction block can be entered only once: call transaction() again")
        self._thread, self._task = get_ident(), running_task()
        latch = self._handle.latch
        latch.require_task()
        latch.own()
        self._owns = True
        try:
            self._begin()
        except BaseException:
            self.let_go()
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._end()
            else:
                self._leave()
        except BaseException:
            self._leave()
            raise
        finally:
            self.let_go()

    async def __aenter__(self) -> None:
        """Enter when no other task and no other thread has a block open; until then, the event loop runs."""
        # Not imported at the top, because it takes long, and most programs do not need it.
        import asyncio

        while not self._handle.latch.is_free():
            await asyncio.sleep(ASK)
        self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.__exit__(kind)

    def _begin(self) -> None:
        """Begin the block; with a savepoint if there are changes or other blocks."""
        handle = self._handle
        handle.require_open()
        handle.require_writable()
        savepoint = Savepoint(handle) if handle.blocks or handle.changes else None
        try:
            if savepoint is not None:
                savepoint.begin()
            self._savepoint = savepoint
            self._entered = True
            handle.latch.task = self._task
            handle.blocks.append(self)
        except BaseException:
            if self in handle.blocks:
                self.cancel("an interrupt came while the block began")
            elif savepoint is not None:
                # The savepoint may exist, but no block has it.
                try:
                    with handle.latch.held():
                        savepoint.undo()
                except StableMemoryError:
                    # The interrupt has left the latch taken.
                    handle.doom()
            raise

    def _end(self) -> None:
        """End a block that no exception has left; raise if it cannot end in this way."""
        handle = self._handle
        if handle.forked:
            return
        if self.broken:
            raise StableMemoryError(self.broken)
        if handle.latch.owner != get_ident():
            raise StableMemoryError(STRANGER)
        if handle.blocks[-1] is not self:
            raise StableMemoryError(MISNESTED)
        try:
            handle.blocks.pop()
            if self._savepoint is not None:
                self._savepoint.end()
        except BaseException as error:
            # Half of the block's changes may already belong to the outer block.
            with handle.latch.held():
                handle.failed(error)
            raise
        if not handle.blocks:
            handle.commit(self._sync)

    def _take_off(self) -> "list[Any]":
        """Remove this block, and those begun inside it, from the open blocks; return all of them."""
        blocks = self._handle.blocks
        first = blocks.index(self) if self in blocks else len(blocks)
        gone = blocks[first:]
        del blocks[first:]
        return gone

    def let_go(self) -> None:
        """Stop keeping other threads out."""
        if self._owns:
            self._owns = False
            latch = self._handle.latch
            if latch.owner == self._thread:
                latch.disown()

    def _leave(self) -> None:
        """Undo a block that an exception leaves; or undo its commit if that was interrupted."""
        handle = self._handle
        if self in handle.blocks:
            if handle.latch.owner == get_ident():
                self.cancel(MISNESTED)
            else:
                # Nobody knows where the thread of the block is: none of its blocks can go on.
                handle.latch.take_over()
                try:
                    handle.blocks[0].cancel(STRANGER)
                finally:
                    handle.latch.disown()
        elif not handle.blocks and handle.changes and not self.broken:
            # The commit of the block was interrupted.
            with handle.latch.held():
                handle.undo(False)

    def cancel(self, why: str) -> None:
        """Undo this block and those begun inside it; ``why`` is the message of the others when they end."""
        handle, latch = self._handle, self._handle.latch
        gone: list[Any] = []
        try:
            gone = self._take_off()
            for block in gone:
                block.broken = block.broken or why
            if latch.is_inside():
                # A call of this thread is running, and the block was collected during it.
                handle.doom()
                return
            # Inside the latch: otherwise a read of another thread could meet a list without its values.
            with latch.held():
                if self._savepoint is None:
                    handle.undo(False)
                else:
                    self._savepoint.undo()
        except BaseException as error:
            # Only half of the block may be undone, so nothing of the transaction around it can stay.
            with suppress(StableMemoryError), latch.held():
                # This fails only if the interrupt has left the latch taken. Then the next call undoes it.
                handle.failed(error)
            raise
        finally:
            for block in reversed(gone):
                block.let_go()
