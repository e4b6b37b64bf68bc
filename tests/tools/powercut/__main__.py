"""Command line: ``PYTHONPATH=tests python -m powercut``."""

import argparse
import multiprocessing
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Any

from .running import MOST, RANDOM, RARE, Tally, part_of, replay, run, seeds
from .workloads import SHORT

EVERY = 200_000
"""A run of so many states does not end before every short sequence was played."""

CHUNK = 24
"""Workloads that one process judges before it reports."""


def _in_pool(pool: Any, tasks: Iterator[tuple], ahead: int) -> Iterator[Tally]:
    """Yield what the processes of a pool find, in the order of the tasks, few of which wait."""
    waiting = deque(pool.apply_async(part_of, (task,)) for task in islice(tasks, ahead))
    while waiting:
        yield waiting.popleft().get()
        waiting.append(pool.apply_async(part_of, (next(tasks),)))


def _progress(tally: Tally, begin: float) -> None:
    seconds = time.monotonic() - begin
    rate = (tally.states + tally.repeated) / seconds
    print(
        f"{seconds:7.0f} s  {tally.states:9} states  {tally.repeated:9} repeated  "
        f"{tally.states / seconds:6.0f}/s ({rate:.0f}/s with repeated)  {len(tally.found)} failures",
        flush=True,
    )


def main() -> int:
    """Run, or replay one state; return 1 if something was found."""
    parser = argparse.ArgumentParser("powercut", description="Power cuts, enumerated.")
    parser.add_argument("--states", type=int, default=10_000, help="distinct states to judge")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--most", type=int, default=MOST, help="images of subsets at one moment")
    parser.add_argument("--budget", type=int, default=600, help="states of one random workload")
    parser.add_argument("--first", type=int, default=None, help="seed of the first random workload")
    parser.add_argument("--seed", type=int, default=None, help="the one workload to judge")
    parser.add_argument("--state", type=int, default=None, help="the one state of it")
    parser.add_argument("--fault", default="", help="mistake to switch on")
    parser.add_argument("--thorough", action="store_true", help="work on every state of the one workload")
    options = parser.parse_args()
    if options.state is not None:
        found = replay(options.seed, options.state, options.most, options.fault, options.thorough)
        print(f"FAILED: {found.message}" if found else "sound")
        return 1 if found else 0
    begin = time.monotonic()
    if options.seed is not None:
        total = run(
            1 << 60, options.most, which=[options.seed], fault=options.fault, whole=True,
            thorough=options.thorough,
        )  # fmt: skip
    elif options.fault:
        total = run(options.states, options.most, options.budget, stop=1, fault=options.fault)
    else:
        first = options.first
        if first is None:
            first = RANDOM + int.from_bytes(os.urandom(4), "little")
        print(f"random workloads from seed {first} on", flush=True)
        source = seeds(first)
        total = Tally()
        tasks = iter(lambda: (list(islice(source, CHUNK)), options.most, options.budget), None)
        if options.jobs == 1:
            parts = map(part_of, tasks)
        else:
            pool = multiprocessing.get_context("spawn").Pool(options.jobs)
            parts = _in_pool(pool, tasks, 2 * options.jobs)
        said = begin
        for part in parts:
            for found in part.found:
                print(f"FAILED: {found}", flush=True)
            total.add(part)
            if time.monotonic() > said + 10:
                said = time.monotonic()
                _progress(total, begin)
            everything = options.states < EVERY or total.workloads > 2 * SHORT * (RARE + 1) // RARE
            if (everything and total.states >= options.states) or len(total.found) > 20:
                break
        if options.jobs > 1:
            pool.terminate()
    _progress(total, begin)
    print(total)
    if options.seed is not None or options.fault:
        for found in total.found:
            print(f"FAILED: {found}")
    return 1 if total.found else 0


if __name__ == "__main__":
    sys.exit(main())
