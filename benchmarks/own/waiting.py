"""Waiting for the writer lock: four threads, or four processes, each of which opens, appends and closes.

Beside how it is done, how it was: the lock tried every 10 ms, so that whoever lets go and comes again at once
is nearly always first.
"""

import fcntl
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from report import Aim, Samples, Scale, Section, median, number, say, table, timed

from stablemem import MemoryBuffer
from stablemem._core.disk.device import Device
from stablemem._core.txn import opening

FOUR = 4
PATIENCE = 600.0
"""Seconds after which a waiting one gives up: never, unless it is stuck."""

WAYS = ("woken by the one before", "tries every 10 ms")


def _polling(device: Device, _: float) -> None:
    """Take the writer lock as it was done before."""
    while True:
        try:
            fcntl.flock(device.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return


def _append(path: str) -> None:
    with MemoryBuffer(path, timeout=PATIENCE) as values:
        values.append(1)


def _turns(path: str, count: int) -> list[float]:
    """Return the nanoseconds of each of so many turns."""
    return [timed(_append, path) for _ in range(count)]


def _by_threads(path: str, count: int, way: str) -> list[float]:
    """Return the nanoseconds of all turns of four threads."""
    found: list[float] = []
    begin = threading.Barrier(FOUR)

    def work() -> None:
        begin.wait()
        found.extend(_turns(path, count))

    real = opening.lock_writer
    if way != WAYS[0]:
        opening.lock_writer = _polling
    try:
        threads = [threading.Thread(target=work) for _ in range(FOUR)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        opening.lock_writer = real
    return found


def _by_processes(path: str, count: int, way: str) -> list[float]:
    """Return the nanoseconds of all turns of four processes."""
    command = [sys.executable, __file__, path, str(count), way]
    made: list[Any] = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(FOUR)
    ]
    for process in made:
        process.stdout.readline()
    for process in made:
        process.stdin.write("go\n")
        process.stdin.flush()
    return [float(figure) for process in made for figure in process.communicate()[0].split()]


def _in_a_process(path: str, count: str, way: str) -> None:
    """Be one of four processes: tell when everything is imported, and begin when told to."""
    if way != WAYS[0]:
        opening.lock_writer = _polling
    print("ready", flush=True)
    sys.stdin.readline()
    print(*_turns(path, int(count)))


BY: dict[str, Callable[[str, int, str], list[float]]] = {
    f"{FOUR} threads": _by_threads,
    f"{FOUR} processes": _by_processes,
}


def run(scale: Scale, folder: Path | None) -> Section:
    """Measure, and return the table."""
    samples: Samples = {}
    rows, aims = [], []
    for who, measure in BY.items():
        samples[who] = {}
        for way in WAYS:
            say(f"waiting: {who}, {way}")
            with tempfile.TemporaryDirectory(dir=folder) as place:
                path = os.path.join(place, "list.smem")
                MemoryBuffer(path).close()
                begin = time.perf_counter()
                found = samples[who][way] = sorted(measure(path, scale.lock_turns, way))
                rate = len(found) / (time.perf_counter() - begin)
                with MemoryBuffer(path, "r") as values:
                    assert len(values) == len(found)
            middle = median(samples, who, way, 1e6) or 0.0
            late = found[len(found) * 99 // 100] / 1e6
            rows.append(
                [f"{who}, {way}", number(middle, 1), number(late, 1), number(found[-1] / 1e6, 1),
                 number(late / middle, 1), number(rate)]
            )  # fmt: skip
            if way == WAYS[0]:
                aims.append(Aim(f"p99 of open, append, close by {who} / median", late / middle, 10.0))
    text = (
        f"Each opens the list with `timeout=`, appends one value and closes it, {scale.lock_turns:,} times; "
        f"all at once. Milliseconds of a turn, waiting included:\n\n"
        + table(["milliseconds", "median", "p99", "slowest", "p99 / median", "turns a second"], rows)
    )
    return Section("Waiting for the writer lock", text, samples, aims)


if __name__ == "__main__":
    _in_a_process(*sys.argv[1:])
