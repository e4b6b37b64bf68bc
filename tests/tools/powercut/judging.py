"""Judging: what must hold of an image that a power cut left.

1. It opens, and shows a state that is allowed: the last one acknowledged, or one begun since.
2. ``verify`` finds every byte of it in its place.
3. It takes more work; the handle's memory and the file are sound after it, and opening again shows it.
4. A cut within 3, recovery included, leaves one of the states before and after, which is judged likewise.
5. The independent judge, if there is one, reads the same from it.
"""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

from xxhash import xxh3_64_intdigest

from stablemem import blobify
from stablemem._core.audit.verify import verify, verify_writer
from stablemem._core.calls.list_core import ListCore
from stablemem._core.calls.raw import Heap
from stablemem._core.txn.handle import Handle
from stablemem._core.txn.opening import open_handle

from .cutting import at_moment, moments
from .disk import Disk, Probe
from .workloads import NAMES, Failure, Mark, State, Workload, first_difference

__all__ = ["LATER_BOOT", "Judge", "hash_of", "independent", "said"]

LATER_BOOT = (b"the boot after..", b"a third boot ...")
_MASK = (1 << 62) - 1
ASK = 40
"""One image in so many is given to the independent judge."""


def said(error: BaseException) -> str:
    """Return an exception in words, with its type if it is not a Failure."""
    return str(error) if isinstance(error, Failure) else f"{type(error).__name__}: {error}"


@lru_cache(4096)
def hash_of(state: State) -> int:
    """Return a hash of a state that is the same in every process."""
    return xxh3_64_intdigest(repr(state).encode())


def independent() -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """Return the independent judge of the newest and of the kept state.

    None if there is none, or STABLEMEM_JUDGE=0 forbids it.
    """
    if os.environ.get("STABLEMEM_JUDGE") == "0":
        return None
    try:
        from judge import judge, judge_kept
    except ImportError:
        return None
    return judge, judge_kept


def shown(store: Handle) -> State:
    """Return what the lists of a store hold."""
    heap = Heap(store)
    lists = [
        tuple(ListCore(store, name, blobify.Bytes())[:]) if name in store.entries else () for name in NAMES
    ]
    return (*lists, tuple(heap.load(*block) for _, block in sorted(store.roots.items())))


def extends(state: State, other: State) -> bool:
    """Return whether a state is another one with values appended."""
    pairs = zip(state, other, strict=True)
    return state != other and all(long[: len(short)] == short for long, short in pairs)


class Judge:
    """Opens images and says what is wrong with them.

    Args:
        asking: whether the independent judge is asked too.

    Attributes:
        second: keys of the images of second cuts that were judged; the caller empties it.
        asked: images that the independent judge was given.
    """

    def __init__(self, asking: bool = True) -> None:
        self.disk = Disk()
        self.second: list[int] = []
        self.asked = 0
        self.independent, self.kept = (independent() if asking else None) or (None, None)

    def judge(
        self, disk: Disk, allowed: list[State], boot: bytes, seed: int, work: bool, again: bool,
        older: list[State] | None = None, steady: bool = False,
    ) -> None:  # fmt: skip
        """Judge the image that lies over a disk.

        Args:
            disk: has the image.
            allowed: the states it may show.
            boot: under which it is opened.
            seed: of what is random in this.
            work: whether more work is done.
            again: whether that work is cut in turn.
            steady: whether every commit so far was synced: then the state before the newest is whole too.
            older: the states that a power cut may still lead back to, if this is only a kill.

        Raises:
            Failure: something is wrong.
        """
        probe = Probe(disk, again)
        ask = seed % ASK == 0
        start = disk.bytes() if again or ask else b""
        store = open_handle(None, "a", device=probe, boot=boot)
        try:
            found = shown(store)
            if found not in allowed:
                raise Failure(f"a state that is not allowed: {first_difference(found, allowed[0])}")
            faults = verify(store).faults
            if faults:
                raise Failure(f"not sound: {faults[0]}")
            if self.independent and ask:
                self._ask(start, boot, found, steady)
            if not work:
                return
            marks = [Mark(0, found, True)]
            if older and not store.slot.synced:
                marks = [Mark(0, state, False) for state in [*older, found]]
            worked = Workload(seed, events=[] if probe.events is None else probe.events, marks=marks)
            after = self._work(store, found, allowed[-1], random.Random(seed), worked)
        finally:
            with suppress(Exception):
                store.close(commit=False)
        store = open_handle(None, "a", device=Probe(disk), boot=boot)
        try:
            if shown(store) != after:
                raise Failure(f"after more work: {first_difference(shown(store), after)}")
            faults = verify(store).faults
            if faults:
                raise Failure(f"not sound after more work: {faults[0]}")
        finally:
            store.close(commit=False)
        if again and probe.events:
            self._cut_again(start, worked)

    def _work(self, store: Handle, found: State, lost: State, rng: random.Random, worked: Workload) -> State:
        """Change a recovered region, commit and close it; return what it holds now."""

        def mark(sure: bool) -> None:
            worked.marks.append(Mark(len(worked.events), tuple(map(tuple, now)), sure))

        now = [list(values) for values in found]
        worked.repeats = rng.random() < 0.7 and extends(lost, found)
        again = lost if worked.repeats else ((), (), ())
        for number, name in enumerate(NAMES):
            if name not in store.entries:
                store.add(name, "bytes", b"")
            values = ListCore(store, name, blobify.Bytes())
            # Who lost a commit does the same again, and a little more, within one transaction.
            for value in again[number][len(found[number]) :]:
                for target in (values, now[number]):
                    target.append(value)
            for target in (values, now[number]):
                target.append(b"more")
            large = rng.randbytes(rng.choice([9, 300, 5000]))
            at = rng.randrange(len(now[number]))
            kind = rng.randrange(4)
            for target in (values, now[number]):
                if kind == 0:
                    target[at] = large
                elif kind == 1:
                    target.insert(at, large)
                elif kind == 2:
                    del target[at]
                else:
                    target.append(large)
        if now[2] and rng.random() < 0.7:
            address, size = sorted(store.roots.items())[0][1]
            Heap(store).store(address + size // 2, b"!")
            now[2][0] = now[2][0][: size // 2] + b"!" + now[2][0][size // 2 + 1 :]
        if rng.random() < 0.2:
            store.write_early()
        mark(False)
        store.commit(True)
        mark(True)
        faults = verify_writer(store)
        if faults:
            raise Failure(f"not sound in memory: {faults[0]}")
        if rng.random() < 0.5:
            # Twice: now what the first one freed may be used.
            values = ListCore(store, NAMES[0], blobify.Bytes())
            for target in (values, now[0]):
                target.append(large)
        mark(False)
        store.close()
        mark(True)
        return tuple(map(tuple, now))

    def _cut_again(self, start: bytes, worked: Workload) -> None:
        """Cut within the work, and judge what is left."""
        rng = random.Random(worked.seed ^ 0x2D)
        events = worked.events
        chosen = moments(events, 0, rng)
        disk = self.disk
        disk.begin(start)
        seen = set()
        for after in range(len(events) + 1):
            if after in chosen:
                for kind, pieces in at_moment(disk, rng, 16 if worked.repeats else 8, kill=False):
                    if not worked.repeats and rng.random() < 0.7:
                        continue
                    states = worked.allowed(after)
                    pages, length, key = disk.build(pieces)
                    if (key, len(states)) in seen:
                        continue
                    seen.add((key, len(states)))
                    self.second.append(hash((key, *map(hash_of, states))))
                    disk.lay(pages, length)
                    try:
                        self.judge(disk, states, LATER_BOOT[1], key & _MASK, key % 4 == 0, False)
                    except Exception as error:
                        where = f"cut again after event {after} of the recovery ({kind})"
                        raise Failure(f"{where}: {said(error)}") from error
                    finally:
                        disk.clear()
            if after < len(events):
                disk.play(events[after])

    def _ask(self, image: bytes, boot: bytes, found: State, steady: bool) -> None:
        """Give an image to the independent judge."""
        assert self.independent is not None
        assert self.kept is not None
        self.asked += 1
        verdict = self.independent(image, boot)
        if not verdict.sound:
            raise Failure(f"the independent judge: {verdict.faults[0]}")
        # After a power cut, or a failed sync, what was kept beside a commit that was lost may be gone.
        for older in self.kept(image, boot) if steady or not verdict.synced else []:
            if not older.sound:
                raise Failure(f"the independent judge, of the kept state: {older.faults[0]}")
        lists = [tuple(verdict.lists.get(name, ())) for name in NAMES]
        theirs = (
            *lists,
            tuple(verdict.raw(memoryview(image), *root) for _, root in sorted(verdict.roots.items())),
        )
        if theirs != found:
            raise Failure(f"the independent judge reads otherwise: {first_difference(theirs, found)}")
