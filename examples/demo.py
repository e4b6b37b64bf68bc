"""What stablemem does, on real input: every line of every .py file of Python's standard library.

    python examples/demo.py [FOLDER [SOURCES]]

Makes demo.smem in FOLDER (this checkout by default) and leaves it there. SOURCES is another folder to take
the .py files from. All that is printed is measured
in the run; the exit code says whether every check held. The parts run in processes of their own:

    import    python -m stablemem import, as a person would call it
    show      opens the file and uses the list; reads while another process writes
    append    appends and commits until it is told to stop, or killed
"""

import hashlib
import os
import platform
import random
import select
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from typing import Any

import stablemem
from stablemem import MemoryBuffer

REGION = "demo.smem"
GETS = 100_000
KILLS = 3
WIDTH = 44

failures = 0


# -- printing ----------------------------------------------------------------------------------------


def say(text: str = "") -> None:
    """Print at once: several processes write to the same place."""
    print(text, flush=True)


def title(text: str) -> None:
    say()
    say(text)


def spelled(seconds: float) -> str:
    """Return a time in the unit it is read best in."""
    for unit, factor in (("ns", 1e9), ("us", 1e6), ("ms", 1e3)):
        if seconds * factor < 999.5:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def row(label: str, seconds: float | None, result: str = "") -> None:
    shown = "" if seconds is None else spelled(seconds)
    say(f"  {label:<{WIDTH}}{shown:>9}   {result}".rstrip())


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = action()
    return time.perf_counter() - started, result


def check(holds: bool, what: str) -> str:
    """Return "yes", or count a failure and return "NO"."""
    global failures  # noqa: PLW0603
    if holds:
        return "yes"
    failures += 1
    say(f"  FAILED: {what}")
    return "NO"


# -- the input ---------------------------------------------------------------------------------------


def source_files(sources: str) -> list[str]:
    """Return every .py file below a folder but those of installed packages, sorted."""
    found = []
    for folder, folders, names in os.walk(sources):
        folders[:] = [name for name in folders if name not in {"site-packages", "dist-packages"}]
        found += [os.path.join(folder, name) for name in names if name.endswith(".py")]
    return sorted(path for path in found if os.path.isfile(path) and os.access(path, os.R_OK))


def source_lines(files: list[str]) -> Iterator[bytes]:
    """Give the lines that the import should have made values of, read here in another way."""
    for path in files:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")
        if not lines[-1]:
            lines.pop()
        yield from lines


def calls(files: list[str]) -> Iterator[list[str]]:
    """Give the files in as many lists as the system's limit on a command line asks for; one, mostly."""
    room = min(os.sysconf("SC_ARG_MAX") // 2, 1_900_000)
    room -= sum(len(os.fsencode(key + value)) + 10 for key, value in os.environ.items())
    some: list[str] = []
    used = 0
    for path in files:
        size = len(os.fsencode(path)) + 9
        if some and used + size > room:
            yield some
            some, used = [], 0
        some.append(path)
        used += size
    yield some


# -- the parts, each a process -----------------------------------------------------------------------


def start(part: str, *arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, part, *map(str, arguments)], **options)


def import_files(files: list[str]) -> None:
    title("1. Import: one value per line, as bytes; committed every 4 MiB")
    size = sum(map(os.path.getsize, files))
    say(f"  $ python -m stablemem import {REGION} FILES...     ({len(files):,} files, {size:,} bytes)")
    started = time.perf_counter()
    for some in calls(files):
        command = [sys.executable, "-m", "stablemem", "import", REGION, *some]
        if subprocess.run(command, check=False).returncode:
            sys.exit("demo: the import failed")
    seconds = time.perf_counter() - started
    with MemoryBuffer(REGION, "r") as b:
        row("import, with the start of the process", seconds, f"{len(b) / seconds:,.0f} values a second")


def show(sources: str) -> int:
    title("2. A new process opens the file (just written, so it is in the page cache)")
    files = source_files(sources)
    chance = random.Random(1)

    seconds, b = timed(lambda: MemoryBuffer(REGION))
    row("b = MemoryBuffer('demo.smem')", seconds)
    seconds, length = timed(lambda: len(b))
    row("len(b)", seconds, f"{length:,}")
    where = [chance.randrange(length) for _ in range(GETS)]
    seconds, some = timed(lambda: [b[i] for i in where])
    row(f"b[i], {GETS:,} at random", seconds, f"{spelled(seconds / GETS)} each")
    middle = length // 2
    seconds, part = timed(lambda: b[middle : middle + 1000])
    row(f"b[{middle}:{middle + 1000}]", seconds, f"a list of {len(part):,}")
    seconds, payload = timed(lambda: sum(len(value) for value in b))
    row("sum(len(value) for value in b)", seconds, f"{payload:,} bytes, {spelled(seconds / length)} a value")

    lines = list(source_lines(files))
    row(
        "every value equals its line in the files",
        None,
        check(list(b) == lines, "the values are the lines"),
    )
    held = some == [lines[i] for i in where] and part == lines[middle : middle + 1000]
    row("random values and the slice too", None, check(held, "random values and slice are the lines"))

    new = b"a value inserted in the middle"
    seconds, _ = timed(lambda: b.insert(middle, new))
    row(f"b.insert({middle}, ...)", seconds, "no other value moves")
    lines.insert(middle, new)
    gone = middle + 1000
    seconds, _ = timed(lambda: b.__delitem__(gone))
    row(f"del b[{gone}]", seconds)
    del lines[gone]
    at = length // 3
    longer = b[at] + b"  # and longer by some" + b" more" * 20
    seconds, _ = timed(lambda: b.__setitem__(at, longer))
    row(f"b[{at}] = longer value", seconds, f"{len(lines[at])} -> {len(longer)} bytes")
    lines[at] = longer
    seconds, _ = timed(b.commit)
    row("b.commit()", seconds, "on the disk: it survives a power cut")
    seconds, report = timed(b.verify)
    row("b.verify()", seconds, f"{report.blobs:,} blobs, {report.nodes:,} nodes: sound")
    row("the whole list as a list would be now", None, check(list(b) == lines, "the list equals a list"))

    payload = sum(map(len, lines))
    stats = b.stats()
    b.close()
    file = os.path.getsize(REGION)
    extra = (file - payload) / len(lines)
    title("   Size")
    say(f"  {'values':<{WIDTH}}{len(lines):>15,}")
    say(f"  {'payload':<{WIDTH}}{payload:>15,} bytes")
    say(f"  {'file':<{WIDTH}}{file:>15,} bytes, {file / payload:.2f} times the payload")
    say(f"  {'free or soon free in it':<{WIDTH}}{stats.free_bytes + stats.limbo_bytes:>15,} bytes")
    say(f"  {'all but payload, per value':<{WIDTH}}{extra:>15.1f} bytes")

    read_while_writing()
    return failures


def read_while_writing() -> None:
    title("3. A reader, while another process appends")
    seconds, b = timed(lambda: MemoryBuffer(REGION, "r"))
    before, last = len(b), b[-1]
    row("b = MemoryBuffer('demo.smem', 'r')", seconds, f"{before:,} values")
    writer = start("append", "while-read", 1000, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdin is not None
    assert writer.stdout is not None
    committed = 0
    for _ in range(5):
        committed = int(writer.stdout.readline())
    row("the writer has committed 5 times", None, f"{committed:,} values appended so far")
    where = [random.randrange(before) for _ in range(10_000)]
    seconds, _ = timed(lambda: [b[i] for i in where])
    held = (len(b), b[-1]) == (before, last) and writer.poll() is None
    row("b[i], 10,000 at random meanwhile", seconds, f"{spelled(seconds / 10_000)} each")
    row("the reader still has its snapshot", None, f"{check(held, 'the snapshot stayed')}: {len(b):,} values")
    seconds, moved = timed(b.refresh)
    after = len(b)
    held = moved and after >= before + committed and b[before] == appended("while-read", 0)
    row("b.refresh()", seconds, f"{after:,} values")
    row("it has all that was committed before", None, check(held, "refresh() shows what was committed"))
    writer.stdin.close()
    rest = writer.stdout.read().split()
    check(writer.wait() == 0, "the writer ended well")
    b.refresh()
    held = len(b) == before + int(rest[-1] if rest else committed)
    row("the writer has ended; b.refresh()", None, f"{check(held, 'all arrived')}: {len(b):,} values")
    b.close()


def appended(tag: str, number: int) -> bytes:
    """Return the value that a writer appends as its number-th: 20 to 600 bytes that can be told again."""
    seed = hashlib.sha256(f"{tag} {number}".encode()).hexdigest()
    return f"{tag}, value {number}: {seed * (1 + number % 9)}".encode()


def append(tag: str, at_most: int) -> int:
    """Append and commit; after each commit, tell its values so far; until standard input ends."""
    done = 0
    chance = random.Random(tag)
    with MemoryBuffer(REGION) as b:
        while not select.select([sys.stdin], [], [], 0)[0]:
            count = chance.randint(1, at_most)
            for number in range(done, done + count):
                b.append(appended(tag, number))
            b.commit()
            done += count
            os.write(1, b"%d\n" % done)
    return 0


def kill_writers() -> None:
    title(f"4. A writer is killed in the middle with SIGKILL, {KILLS} times")
    say("  It appends 1 to 200 values and commits, over and over, and tells each commit after it is done.")
    say("  (This shows what the death of a process does. No power is cut here.)")
    with MemoryBuffer(REGION, "r") as b:
        whole = hashlib.sha256()
        for value in b:
            whole.update(b"%d " % len(value) + value)
        before = len(b)
    for number in range(1, KILLS + 1):
        tag = f"killed {number}"
        writer = start("append", tag, 200, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert writer.stdin is not None
        assert writer.stdout is not None
        told = [int(writer.stdout.readline())]
        time.sleep(random.uniform(0.2, 0.6))
        writer.send_signal(signal.SIGKILL)
        told += map(int, writer.stdout.read().split())
        held = writer.wait() == -signal.SIGKILL
        writer.stdin.close()
        started = time.perf_counter()
        b = MemoryBuffer(REGION)
        seconds = time.perf_counter() - started
        more = len(b) - before
        say(f"  kill {number}: after {len(told):,} commits, {told[-1]:,} values")
        untold = f", {more - told[-1]} not yet told" if more > told[-1] else ""
        row("    reopened", seconds, f"{more:,} values{untold}")
        # One commit may have been done and not told: it must be whole too.
        chance = random.Random(tag)
        steps = [0]
        while steps[-1] < more:
            steps.append(steps[-1] + chance.randint(1, 200))
        held = held and steps[-1] == more and len(told) <= len(steps) - 1 <= len(told) + 1
        digest = hashlib.sha256()
        values = iter(b)
        for _ in range(before):
            value = next(values)
            digest.update(b"%d " % len(value) + value)
        held = held and digest.digest() == whole.digest()
        for place in range(more):
            value = next(values)
            held = held and value == appended(tag, place)
            digest.update(b"%d " % len(value) + value)
        row("    every committed value is there, equal", None, check(held, "committed values are there"))
        seconds, _ = timed(b.verify)
        row("    b.verify()", seconds, "sound")
        b.append(b"a value that the next writer appended and committed")
        seconds, _ = timed(b.commit)
        row("    the next writer appends and commits", seconds)
        value = b[-1]
        digest.update(b"%d " % len(value) + value)
        before, whole = len(b), digest
        b.close()


def main(folder: str, sources: str) -> int:
    sources = os.path.abspath(sources)
    try:
        os.chdir(folder)
    except OSError as error:
        sys.exit(f"demo: {folder}: {error.strerror}")
    engine = "compiled" if stablemem.COMPILED else "interpreted"
    say(f"stablemem {stablemem.__version__}, {engine}, on Python {platform.python_version()}")
    files = source_files(sources)
    if not files:
        sys.exit(f"demo: there is no .py file in {sources}")
    if os.path.exists(REGION):
        say(f"removing the {REGION} of an earlier run")
        os.remove(REGION)
    started = time.perf_counter()
    import_files(files)
    with start("show", sources) as shown:
        well = shown.wait() == 0
    kill_writers()
    if failures or not well:
        say("\nThe demo FAILED: see above.")
        return 1
    title(f"Every check held, in {time.perf_counter() - started:.1f} s.")
    say(f"{REGION} stays in {os.getcwd()}: look into it with")
    command = os.path.join(os.path.dirname(sys.executable), "stablemem")
    if not os.path.exists(command):
        command = "python -m stablemem"
    elif command.startswith(os.getcwd() + os.sep):
        command = os.path.relpath(command)
    say(f"  {command} info {REGION}")
    say(f"  {command} tail {REGION} -n 5")
    say(f"  {command} verify {REGION}")
    return 0


if __name__ == "__main__":
    library = sysconfig.get_path("stdlib")
    match sys.argv[1:]:
        case ["show", where]:
            sys.exit(show(where))
        case ["append", tag, at_most]:
            sys.exit(append(tag, int(at_most)))
        case []:
            sys.exit(main(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir), library))
        case [place]:
            sys.exit(main(place, library))
        case [place, where]:
            sys.exit(main(place, where))
        case _:
            sys.exit("usage: demo.py [FOLDER [SOURCES]]")
