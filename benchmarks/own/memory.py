"""Anonymous memory of a process that imports much, by the command line and by extend."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from report import Aim, Scale, Section, number, say, table

SIZE = 100
"""Bytes of a value."""

PERIOD = 0.01
"""Seconds between two looks at a process."""

COMMAND = "python -m stablemem import"
EXTEND = "extend(generator), commit"
BARE = "import stablemem, nothing else"


def _anonymous(process: int) -> int:
    """Return the anonymous bytes of a process that are in memory; 0 if it has ended."""
    try:
        with open(f"/proc/{process}/status") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


def _watch(command: list[str], feed: Callable[[IO[bytes]], None] | None) -> tuple[list[int], float]:
    """Run a command, feeding it; return its anonymous bytes every 10 ms, and its seconds."""
    seen: list[int] = []
    ended = threading.Event()
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def look() -> None:
        while not ended.wait(PERIOD):
            seen.append(_anonymous(process.pid))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        assert process.stdin is not None
        with process.stdin as stream:
            if feed is not None:
                feed(stream)
        code = process.wait()
    finally:
        ended.set()
        watcher.join()
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with code {code}")
    return seen, time.perf_counter() - begin


def _lines(count: int) -> Callable[[IO[bytes]], None]:
    """Return what writes lines of 100 bytes."""

    def feed(stream: IO[bytes]) -> None:
        # The same lines again and again: nothing looks at what is in them.
        some = b"".join(b"%0*d\n" % (SIZE, line) for line in range(10_000))
        for _ in range(count // 10_000):
            stream.write(some)
        stream.write(some[: count % 10_000 * (SIZE + 1)])

    return feed


def _extend(path: str, count: int) -> None:
    """Fill a list from a generator in one transaction."""
    from stablemem import MemoryBuffer

    buffer = MemoryBuffer(path, "x", blobify="bytes")
    buffer.extend(b"%0*d" % (SIZE, number) for number in range(count))
    buffer.commit()
    buffer.close()


def run(scale: Scale, folder: Path | None) -> Section:
    """Measure, and return the table."""
    count = scale.import_bytes // SIZE
    mebibytes = scale.import_bytes / (1 << 20)
    samples: dict[str, list[int]] = {}
    rows, aims = [], []
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = f"{place}/import.smem"
        here = str(Path(__file__))
        runs: list[tuple[str, list[str], Callable[[IO[bytes]], None] | None]] = [
            (BARE, [sys.executable, here, "bare"], None),
            (COMMAND, [sys.executable, "-m", "stablemem", "import", path, "-"], _lines(count)),
            (EXTEND, [sys.executable, here, "extend", path, str(count)], None),
        ]
        for name, command, feed in runs:
            say(f"memory: {name}")
            samples[name], seconds = _watch(command, feed)
            peak = max(samples[name], default=0) / (1 << 20)
            stored = os.path.getsize(path) if os.path.exists(path) else 0
            rows.append([name, number(peak, 1), number(stored / (1 << 20)), number(seconds, 1)])
            if stored:
                os.unlink(path)
                aims.append(Aim(f"anonymous memory, {mebibytes:,.0f} MiB by {name}", peak, 100.0, "MiB"))
    text = (
        f"{count:,} values of {SIZE} bytes, {mebibytes:,.0f} MiB, in a process of its own: the highest of "
        f"its `RssAnon`, seen every {PERIOD * 1000:.0f} ms, nothing subtracted. Pages of mapped files are "
        f"not in it: the kernel takes those back when it wants.\n\n"
        + table(["process", "peak of anonymous memory, MiB", "file, MiB", "seconds"], rows)
    )
    return Section("Memory", text, samples, aims)


if __name__ == "__main__":
    if sys.argv[1] == "extend":
        _extend(sys.argv[2], int(sys.argv[3]))
    else:
        import stablemem  # noqa: F401

        # Long enough to be seen.
        time.sleep(0.3)
