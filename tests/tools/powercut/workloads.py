"""Workloads: what is done to a region before the power goes, by seed, and what a cut may leave of it.

    seed 0 to 2 * SHORT - 1     every sequence of up to three operations: on a new file, then on a used one
    seed RANDOM and up          random longer ones

The operations of the short ones:

    a  append 3 bytes         d  delete                     b  rollback
    A  append 90 bytes        D  delete a range             e  early write-out
    i  insert at the front    c  commit, synced             o  close and open again
    r  replace                u  commit, not synced         f  commit whose sync fails, and open again
    k  commit, and the process is killed before the sync; open again
    K  commit whose sync fails, and the process is killed right then; open again
    p  sync the last commit, if it was not, with changes pending or not
    h  add a raw block        s  store into one         x  remove one
    m  compact                U  three times a change, each committed and not synced

Holes are punched, tails cut and lists compacted for little gain already, and commits synced for little log,
so that small regions do all that.

A random one has more: large values, many values, two lists, transaction blocks in one another, readers,
a sync that fails with the process killed right after it, pages evicted after a failed sync, writes that fail.

Every handle is closed, or it is killed: then nothing more is written, and what it wrote stays in the page
cache. A workload also checks what it can see without a power cut: lists after opening again, and readers.
"""

import errno
import itertools
import os
import random
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from unittest.mock import patch

from stablemem import MemoryRegion
from stablemem._core.disk.device import Device, MemoryDevice
from stablemem._core.space import punching
from stablemem._core.txn import commit as steps
from stablemem._core.txn import compaction, writer
from stablemem._core.txn.handle import Handle as Opened
from stablemem._core.txn.opening import open_handle
from support.probe import handle_of
from support.recorded import BOOT, FILE_ID

from .disk import NONE, Disk

__all__ = [
    "ALPHABET",
    "NAMES",
    "PARTS",
    "RANDOM",
    "SHORT",
    "Failure",
    "Killed",
    "Mark",
    "State",
    "Workload",
    "contents",
    "play",
]

NAMES = ("main", "second")
PARTS = (*NAMES, "raw")
ALPHABET = "aAirdDcubeofkKphsxmU"
SHORT_SEQUENCES = ["".join(each) for size in (1, 2, 3) for each in itertools.product(ALPHABET, repeat=size)]
SHORT = len(SHORT_SEQUENCES)
RANDOM = 100_000
USED = "aAAhcAahAcdAcuDAcsAr"
"""What was done to the used file before the short sequences on it."""

State = tuple[tuple[bytes, ...], ...]
"""The values of each list, and what is in the raw blocks, by the names of their roots."""


class Failure(Exception):  # noqa: N818 - what failed is the engine
    """The engine did what it must not."""


class Killed(BaseException):
    """The process is dead: nothing more is written."""


@dataclass(frozen=True)
class Mark:
    """Something that changes what a cut may leave: ``after`` so many events.

    ``sure`` says that the state is the oldest one allowed from here on; else it is one more.
    """

    after: int
    state: State
    sure: bool


@dataclass
class Workload:
    """A workload that was played.

    Attributes:
        seed: plays it again.
        steps: what was done.
        events: what reached the device; ("failed", choice) is a sync that failed, choice None if open.
        marks: what may be left, by number of events.
        live: by number of events, what the page cache may show.
        start: number of events that made the new file, which has no name before.
        steady: number of events before the first commit that was not synced.
        repeats: whether it does again what a commit that was lost had done.
    """

    seed: int
    steps: list[str] = field(default_factory=list)
    events: list[tuple] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    live: list[tuple[int, list[State]]] = field(default_factory=list)
    start: int = 0
    steady: int = 1 << 60
    repeats: bool = False

    def living(self, after: int) -> list[State]:
        """Return the states that a kill after so many events may leave."""
        return next(states for events, states in reversed(self.live) if events <= after)

    def allowed(self, after: int) -> list[State]:
        """Return the states that a power cut after so many events may leave."""
        states: list[State] = []
        for mark in self.marks:
            if mark.after > after:
                break
            if mark.sure:
                states = [mark.state]
            elif mark.state not in states:
                states.append(mark.state)
        return states


class Tape:
    """A memfd, what was done to it, and what shall go wrong.

    Attributes:
        fail_sync: so many syncs from now one fails; 0 for none.
        fail_write: likewise a write, of which ``part`` bytes arrive.
        kill_sync: so many syncs from now the process is dead.
        die: whether the process is dead right after the failing sync.
        watch: called when a sync is about to fail.
    """

    def __init__(self) -> None:
        self.memory = MemoryDevice()
        self.events: list[tuple] = []
        self.dead = False
        self.disarm()

    def disarm(self) -> None:
        """Let nothing go wrong."""
        self.fail_sync = self.fail_write = self.kill_sync = self.part = 0
        self.error = errno.EIO
        self.die = False
        self.watch: Callable[[], None] | None = None

    def handle(self) -> "Handle":
        """Return a device on the memory, with a file description of its own."""
        flags = os.O_RDWR | os.O_CLOEXEC
        return Handle(os.open(f"/proc/self/fd/{self.memory.descriptor}", flags), self)


class Handle(Device):
    """One handle's device on a tape."""

    durable = False  # or a clock would decide what is synced

    def __init__(self, descriptor: int, tape: Tape) -> None:
        super().__init__(descriptor, "tape")
        self.tape = tape

    def _alive(self) -> None:
        if self.tape.dead:
            raise Killed

    def write_run(self, address, pieces):
        self._alive()
        tape = self.tape
        data = b"".join(pieces)
        if tape.fail_write:
            tape.fail_write -= 1
            if not tape.fail_write:
                tape.events.append(("write", address, data[: tape.part]))
                super().write_run(address, [data[: tape.part]])
                raise self.error(tape.error, "writing")
        tape.events.append(("write", address, data))
        super().write_run(address, [data])

    def sync(self):
        self._alive()
        tape = self.tape
        if tape.kill_sync:
            tape.kill_sync -= 1
            if not tape.kill_sync:
                tape.dead = True
                raise Killed
        if tape.fail_sync:
            tape.fail_sync -= 1
            if not tape.fail_sync:
                if tape.watch is not None:
                    tape.watch()
                tape.events.append(("failed", None))
                tape.dead = tape.die
                raise self.error(errno.EIO, "syncing")
        tape.events.append(("sync",))

    def punch(self, address, size):
        self._alive()
        self.tape.events.append(("write", address, bytes(size)))
        super().punch(address, size)

    def truncate(self, size):
        self._alive()
        self.tape.events.append(("truncate", size))
        super().truncate(size)


def contents(region: MemoryRegion) -> State:
    """Return what the lists of a region hold."""
    there = region.names()
    lists = [tuple(region.buffer(name, "bytes")[:]) if name in there else () for name in NAMES]
    return (*lists, tuple(region.load(*block) for block in region.roots.values()))


def first_difference(found: State, expected: State) -> str:
    """Say briefly where two states differ."""
    for name, ours, theirs in zip(PARTS, found, expected, strict=True):
        if ours != theirs:
            pairs = itertools.zip_longest(ours, theirs)
            at = next(number for number, (one, two) in enumerate(pairs) if one != two)
            return (
                f"{name} has {len(ours)} values for {len(theirs)}, "
                f"[{at}] is {ours[at : at + 1]!r:.60} for {theirs[at : at + 1]!r:.60}"
            )
    return "no difference"


class Session:
    """One region on a tape, played to, with plain lists that say what it should hold."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.tape = Tape()
        self.played = Workload(seed, events=self.tape.events)
        self.now: list[list[bytes]] = [[] for _ in PARTS]
        self.committed: State = ((), (), ())
        self.begun: State | None = None
        self.unsynced = False
        self.readers: list[tuple[MemoryRegion, State]] = []
        self.spies: list[tuple[MemoryRegion, int]] = []
        self.open()
        self.played.start = len(self.tape.events)
        self.mark(True)

    # -- bookkeeping ---------------------------------------------------------------------------------

    def state(self) -> State:
        return tuple(map(tuple, self.now))

    def mark(self, sure: bool, state: State | None = None) -> None:
        state = self.committed if state is None else state
        self.played.marks.append(Mark(len(self.tape.events), state, sure))
        self.note()

    def note(self) -> None:
        """Note what the page cache shows from now on."""
        states = [self.committed] if self.begun is None else [self.committed, self.begun]
        self.played.live.append((len(self.tape.events), states))

    def open(self) -> None:
        """Open a handle; what it recovers later is noted by ``settle``."""
        store = open_handle(None, "a", device=self.tape.handle(), boot=BOOT, file_id=FILE_ID)
        self.region = MemoryRegion._of(store, "a")
        self.lists = [self.region.buffer(name, "bytes") for name in NAMES]
        self.settled = False

    def settle(self) -> None:
        """Note that the handle has recovered: what it found is on the disk now."""
        store = handle_of(self.region)
        if not self.settled and store.writer is not None and not store.closed:
            self.settled = True
            if not self.unsynced:
                self.mark(True)

    def reopen(self, where: str, states: list[State]) -> None:
        """Open again and take over what is there, which is one of ``states``."""
        self.tape.disarm()
        self.tape.dead = False
        self.open()
        found = contents(self.region)
        if found not in states:
            raise Failure(f"opened again {where}: {first_difference(found, states[0])}")
        self.committed = found
        self.now = [list(values) for values in found]
        self.begun = None
        self.unsynced = not handle_of(self.region).slot.synced
        self.note()

    def kill(self, where: str, states: list[State], evict: bool = False) -> None:
        """Let the process die, and open again."""
        self.tape.dead = True
        with suppress(Killed, OSError):
            handle_of(self.region).end("killed")
        if evict and not self.unsynced:
            self.evict()
        self.reopen(where, states)

    def evict(self) -> None:
        """Take pages that a failed sync marked clean out of the cache: now only the disk knows."""
        events = self.tape.events
        failed = [number for number, event in enumerate(events) if event[0] == "failed"]
        if not failed:
            return
        choices = [NONE, *self.random.sample(range(3, 1 << 20), 3)]
        for number in failed:
            if events[number][1] is None:
                events[number] = ("failed", self.random.choice(choices))
        disk = Disk()
        for event in events:
            disk.play(event, event[1] if event[0] == "failed" else NONE)
        pages, length, _ = disk.build(disk.loose)
        disk.lay(pages, length)
        descriptor = self.tape.memory.descriptor
        image = disk.bytes()
        disk.close()
        os.pwrite(descriptor, image, 0)
        os.ftruncate(descriptor, len(image))

    # -- operations ----------------------------------------------------------------------------------

    def change(self, what: str, name: int = 0, value: bytes = b"") -> None:
        """Make one change to a list."""
        plain, values = self.now[name], self.lists[name]
        length = len(plain)
        rng = self.random
        at = rng.randrange(length) if length else 0
        stop = min(length, at + rng.choice([1, 2, 3, 40]))
        for target in (values, plain):
            if what == "append" or not length:
                target.append(value)
            elif what == "insert":
                target.insert(at, value)
            elif what == "front":
                target.insert(0, value)
            elif what == "replace":
                target[at] = value
            elif what == "delete":
                del target[at]
            elif what == "range":
                del target[at:stop]
            elif what == "stride":
                del target[at % 2 :: 2]
            elif what == "slice":
                target[at:stop] = [value, value[:5], value]

    def raw(self, what: str, value: bytes, rng: random.Random) -> None:
        """Make one change to the raw blocks."""
        region, blocks = self.region, self.now[2]
        if what == "add" or not blocks:
            region.roots[f"{len(blocks):03}"] = region.add_blob(value), len(value)
            blocks.append(value)
            return
        number = rng.randrange(len(blocks))
        root = f"{number:03}"
        address, size = region.roots[root]
        if what == "store":
            at = rng.randrange(size)
            part = value[: size - at]
            region.store(address + at, part)
            blocks[number] = blocks[number][:at] + part + blocks[number][at + len(part) :]
        elif what == "replace":
            region.roots[root] = region.replace_blob(address, size, value), len(value)
            blocks[number] = value
        else:
            root = f"{len(blocks) - 1:03}"
            if region.remove_blob(*region.roots.pop(root)) != blocks.pop():
                raise Failure("a raw block held something else")

    def extend(self, name: int, blobs: list[bytes]) -> None:
        """Append many values."""
        self.lists[name].extend(blobs)
        self.now[name].extend(blobs)

    def begin_commit(self) -> None:
        self.begun = self.state()
        self.mark(False, self.begun)

    def end_commit(self) -> None:
        """Note that a commit was acknowledged.

        A handle that changed nothing has not recovered: what it shows may be in the page cache only.
        """
        self.committed = self.state()
        self.begun = None
        store = handle_of(self.region)
        self.unsynced = not store.slot.synced
        if self.unsynced:
            self.played.steady = min(self.played.steady, len(self.tape.events))
        if store.slot.synced and store.writer is not None:
            self.mark(True)
        self.note()

    def commit(self, sync: bool = True) -> None:
        """Commit, if nothing is armed to go wrong."""
        self.begin_commit()
        self.region.commit(sync)
        self.end_commit()

    def promote(self) -> None:
        """Sync the last commit, and nothing that came after it."""
        store = handle_of(self.region)
        store.promote()
        self.unsynced = not store.slot.synced
        if store.slot.synced and store.writer is not None:
            self.mark(True)

    def compact(self, max_bytes: int | None = None) -> None:
        """Commit, and make the file shorter."""
        self.commit()
        self.region.compact(max_bytes=max_bytes)
        self.unsynced = False
        self.mark(True)

    def rollback(self) -> None:
        """Forget the changes."""
        self.region.rollback()
        self.now = [list(values) for values in self.committed]

    def close(self) -> None:
        """Close, which commits."""
        self.begin_commit()
        self.region.close()
        self.end_commit()

    def guarded(self, action: Callable[[], object], evict: bool = False) -> None:
        """Do something that may fail or be killed as armed; afterwards a handle is open."""
        before = self.committed
        try:
            action()
        except Killed:
            # Dead before the outcome was known, or right after a failed sync.
            states = [before] if self.begun is None else [before, self.begun]
            self.kill("after a kill", states, evict)
        except OSError:
            self.tape.disarm()
            store = handle_of(self.region)
            if self.committed != before:
                before = self.committed
            if store.closed or store.failure:
                # Put back: nobody sees what failed.
                with suppress(OSError):
                    store.close(commit=False)
                if evict and not self.unsynced:
                    self.evict()
                self.reopen("after a failure", [before])
            else:
                self.now = [list(values) for values in before]
                self.begun = None
                self.note()
                found = contents(self.region)
                if found != before:
                    raise Failure(f"after a failure: {first_difference(found, before)}") from None
        self.settle()

    def read(self) -> None:
        """Open a reader on the newest commit."""
        self.readers.append((self.region.snapshot(), self.committed))
        self.check_readers()

    def check_readers(self) -> None:
        """Prove that every reader still shows what it did."""
        for reader, expected in self.readers:
            found = contents(reader)
            if found != expected:
                raise Failure(f"a reader: {first_difference(found, expected)}")

    def spy(self) -> None:
        """Open a reader on a commit whose sync is about to fail."""
        with suppress(Exception):
            store = Opened(self.tape.handle(), writable=False, boot=BOOT)
            self.spies.append((MemoryRegion._of(store, "r"), handle_of(self.region).slot.transaction))

    def check_spies(self) -> None:
        """Prove that whoever saw a commit that failed finds a later one by refreshing."""
        for spy, before in self.spies:
            if handle_of(self.region).slot.transaction == before:
                continue
            spy.refresh()
            found = contents(spy)
            if found != self.committed:
                raise Failure(f"a reader that was refreshed: {first_difference(found, self.committed)}")
        self.drop([spy for spy, _ in self.spies])
        self.spies = []

    @staticmethod
    def drop(regions: list[MemoryRegion]) -> None:
        for region in regions:
            region.close()

    def finish(self) -> None:
        """Close everything; the last thing that can be cut is the closing."""
        self.tape.disarm()
        self.check_readers()
        if self.spies:
            self.change("append", 0, b"what a spy must see")
        self.close()
        self.drop([reader for reader, _ in self.readers])
        self.readers = []
        self.reopen("at the end", [self.committed])
        self.check_spies()
        self.region.close()


def play(seed: int) -> Workload:
    """Play the workload of a seed.

    Raises:
        Failure: what can be seen without a power cut is wrong already; ``played`` is the workload.
    """
    with ExitStack() as stack:
        for owner, name, value in (
            (punching, "HOLE_LEAST", 1 << 16), (punching, "LOOK_EVERY", 2), (steps, "TAIL_LEAST", 0),
            (compaction, "GAIN_LEAST", -(1 << 60)), (compaction, "STEP", 20_000),
            # What closing commits besides would hide what a mistake does with the last commit before.
            (compaction, "TIDY_LEAST", 1 << 60 if seed % 3 else 0),
            (steps, "LOG_APART", 2), (writer, "UNSYNCED_LOG", 7 << 12), (writer, "UNSYNCED_COMMITS", 7),
        ):  # fmt: skip
            stack.enter_context(patch.object(owner, name, value))
        return _play(seed)


def _play(seed: int) -> Workload:
    session = Session(seed)
    try:
        if seed >= RANDOM:
            _play_random(session)
        else:
            used, number = divmod(seed, SHORT)
            _play_short(session, SHORT_SEQUENCES[number], used > 0)
        session.finish()
    except Exception as error:
        failure = error if isinstance(error, Failure) else Failure(f"the workload: {error!r}")
        failure.played = session.played  # type: ignore[attr-defined]
        raise failure from error
    finally:
        session.tape.dead = False
        session.drop([spy for spy, _ in session.spies])
        session.drop([reader for reader, _ in session.readers])
        with suppress(Exception, Killed):
            handle_of(session.region).close(commit=False)
        session.tape.memory.close()
    return session.played


def _play_short(session: Session, sequence: str, used: bool) -> None:
    if used:
        for number, step in enumerate(USED):
            _step(session, step, number)
        session.commit()
    session.played.steps.append(("used file, " if used else "new file, ") + sequence)
    for number, step in enumerate(sequence):
        _step(session, step, 50 + number)


def _step(session: Session, step: str, number: int) -> None:
    """Do one operation of a short sequence."""
    small, large = bytes([97 + number % 26]) * 3, bytes([65 + number % 26]) * (90 + number)
    if step in {"c", "u"}:
        session.commit(step == "c")
    elif step == "b":
        session.rollback()
    elif step == "e":
        handle_of(session.region).write_early()
    elif step in "hsx":
        what = {"h": "add", "s": "store", "x": "remove"}[step]
        session.raw(what, large, session.random)
    elif step == "p":
        session.promote()
    elif step == "U":
        for value in (large, small, large[::-1]):
            what = "replace" if session.now[0] else "append"
            session.change(what, 0, value)
            session.commit(False)
    elif step == "m":
        session.compact()
    elif step == "o":
        session.close()
        session.reopen("after closing", [session.committed])
    elif step in "fkK":
        session.change("append", 0, large)
        if step in "fK":
            session.tape.fail_sync, session.tape.die = 1, step == "K"
        else:
            session.tape.kill_sync = 1
        session.guarded(session.commit)
    else:
        what, value = {
            "a": ("append", small), "A": ("append", large), "i": ("front", large),
            "r": ("replace", large), "d": ("delete", b""), "D": ("range", b""),
        }[step]  # fmt: skip
        if session.now[0] or step not in "rdD":
            session.change(what, 0, value)
    session.settle()


_CHANGES = ("append", "append", "insert", "front", "replace", "replace", "delete", "range", "slice")


def _value(rng: random.Random, largest: int) -> bytes:
    kind = rng.random()
    size = rng.randrange(9) if kind < 0.3 else rng.randrange(9, 300)
    if kind > 0.9:
        size = rng.choice([4087, 4096, 4097, 9000, largest])
    return rng.randbytes(min(size, largest))


def _some_changes(session: Session, most: int, largest: int) -> None:
    rng = session.random
    for _ in range(rng.randrange(1, most + 1)):
        name = int(rng.random() < 0.3)
        what = rng.choice(_CHANGES) if len(session.now[name]) < 900 else "stride"
        session.change(what, name, _value(rng, largest))
        session.settle()


class _Left(Exception):  # noqa: N818 - no error
    """An exception that leaves a transaction block."""


def _block(session: Session, largest: int) -> None:
    """A transaction block with others inside."""
    rng = session.random
    outer = session.state()
    try:
        with session.region.transaction():
            _some_changes(session, 3, largest)
            for _ in range(rng.randrange(3)):
                before = session.state()
                with suppress(_Left), session.region.transaction():
                    _some_changes(session, 4, largest)
                    if rng.random() < 0.3:
                        handle_of(session.region).write_early()
                    if rng.random() < 0.5:
                        session.now = [list(values) for values in before]
                        raise _Left
            if rng.random() < 0.2:
                session.now = [list(values) for values in outer]
                raise _Left
            session.begin_commit()
        session.end_commit()
    except _Left:
        pass


def _ring(session: Session, rng: random.Random, largest: int) -> None:
    """Many small commits that are not synced, with readers that come and go."""

    def change() -> None:
        draw = rng.random()
        if draw < 0.15 and session.now[2]:
            session.raw(rng.choice(["store", "replace", "remove"]), _value(rng, largest) or b"x", rng)
            return
        name = int(draw > 0.8)
        what = rng.choice(["append", "insert", "replace", "replace"])
        session.change(what if len(session.now[name]) < 20 else "delete", name, _value(rng, largest))

    for _ in range(rng.choice([3, 5, 10, 20])):
        session.guarded(change)
        session.guarded(lambda: session.commit(False))
        if rng.random() < 0.2:
            if len(session.readers) > 2:
                session.drop([session.readers.pop(rng.randrange(3))[0]])
            session.read()
        session.check_readers()


def _play_random(session: Session) -> None:
    rng = session.random
    tape = session.tape
    steps = session.played.steps
    # For steps that were added later: a seed goes on playing what it did.
    aside, third = random.Random(session.played.seed), random.Random(-session.played.seed)
    fourth = random.Random(session.played.seed ^ 0x4)
    large = rng.random() < 0.15
    largest = 40_000 if large else rng.choice([60, 5000])
    most = rng.choice([1, 3, 8])
    unsynced = rng.choice([0.0, 0.3, 0.8])
    trouble = rng.choice([0.0, 0.15, 0.4])
    if rng.random() < 0.25:
        # Holes by the hundred: the space map is more than one page long.
        steps.append("fragments")
        session.extend(0, [rng.randbytes(rng.randrange(9, 40)) for _ in range(rng.choice([300, 700]))])
        session.commit(rng.random() < 0.7)
        session.change("stride")
        session.commit(rng.random() < 0.7)
    for _ in range(rng.randrange(4, 16)):
        draw = rng.random()
        evict = rng.random() < 0.3
        if draw < trouble:
            what = rng.choice(
                ["fail", "fail", "fail and kill", "kill", "kill later", "write fails", "kill now"]
            )
            nth = rng.choice([1, 1, 2])
            steps.append(f"{what} {nth}{' evict' if evict else ''}")
            if what == "kill now":
                session.kill("after a kill", [session.committed])
                continue
            session.guarded(lambda: _some_changes(session, most, largest))
            if rng.random() < 0.3:
                session.guarded(handle_of(session.region).write_early)
            if what.startswith("fail"):
                tape.fail_sync, tape.die = nth, what != "fail"
                if rng.random() < 0.5 and session.committed != ((), (), ()):
                    tape.watch = session.spy
            elif what == "write fails":
                tape.fail_write = rng.randrange(1, 6)
                tape.part = rng.choice([0, 512, 4096])
                tape.error = rng.choice([errno.EIO, errno.ENOSPC])
            else:
                tape.kill_sync = nth
            sync = rng.random() >= unsynced
            closing = rng.random() < 0.2

            def act(sync=sync, closing=closing):
                if closing:
                    session.close()
                else:
                    session.commit(sync)

            session.guarded(act, evict)
            if handle_of(session.region).closed:
                session.reopen("after closing", [session.committed])
            if what != "kill later":
                tape.disarm()
        elif draw < 0.7:
            sync = rng.random() >= unsynced
            steps.append("changes, commit" if sync else "changes, unsynced commit")
            session.guarded(lambda: _some_changes(session, most, largest))
            if rng.random() < 0.15:
                steps[-1] += ", rolled back"
                session.rollback()
            if rng.random() < 0.2:
                session.guarded(handle_of(session.region).write_early)
            for _ in range(aside.choice([0, 0, 0, 0, 1, 1, 3])):
                what = aside.choice(["add", "add", "store", "store", "replace", "remove"])
                steps[-1] += f", {what} raw"
                value = aside.randbytes(aside.choice([1, 20, 300, 5000, 70_000]))
                session.guarded(lambda what=what, value=value: session.raw(what, value, aside))
            if aside.random() < 0.15:
                steps[-1] += ", the one before synced"
                session.guarded(session.promote)
            session.guarded(lambda sync=sync: session.commit(sync))
            if aside.random() < 0.1:
                steps[-1] += ", synced later"
                session.guarded(session.promote)
        elif draw < 0.78:
            steps.append("block")
            session.guarded(lambda: session.commit(True))
            session.guarded(lambda: _block(session, largest))
        elif draw < 0.84:
            steps.append("reader")
            if len(session.readers) > 2:
                session.drop([session.readers.pop(0)[0]])
            session.read()
        elif draw < 0.88 and large:
            steps.append("many")
            session.guarded(
                lambda: session.extend(
                    0, [rng.randbytes(rng.randrange(60)) for _ in range(rng.randrange(700))]
                )
            )
        else:
            steps.append("close")
            session.guarded(session.close)
            if handle_of(session.region).closed:
                session.reopen("after closing", [session.committed])
        if fourth.random() < 0.25:
            steps.append("ring")
            _ring(session, fourth, largest)
        if third.random() < 0.15:
            steps.append("compact")
            if third.random() < 0.3:
                tape.fail_write = third.randrange(1, 60)
                tape.error = errno.ENOSPC
            limit = third.choice([None, None, 1, 30_000])
            session.guarded(lambda limit=limit: session.compact(limit))
            tape.disarm()
        session.check_readers()
