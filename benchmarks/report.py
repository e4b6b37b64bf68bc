"""What the parts of the benchmark share: samples, medians, subprocesses, Markdown tables."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Samples = dict[str, dict[str, list[float]]]
"""Every measurement, by row and by who was measured."""


@dataclass(frozen=True)
class Scale:
    """How much is measured. The bounds are for the values that stand here."""

    values: int = 1_000_000
    rounds: int = 3
    gets: int = 100_000
    inserts: int = 10_000
    commits: int = 100
    turns: int = 5
    open_values: tuple[int, ...] = (1_000, 10_000_000)
    opens: int = 300
    starts: int = 9
    import_bytes: int = 1 << 30
    mode_values: int = 50_000
    instructions: bool = True
    count_values: int = 1_000_000
    block_calls: int = 10_000
    block_rounds: int = 9
    steady_blocks: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
    steady_pairs: int = 100_000
    free_blocks: int = 1_000_000
    small_commits: int = 200
    churn_seeds: int = 3
    churn_share: int = 1
    buffer_calls: int = 10_000
    large_values: tuple[int, ...] = (1_000_000, 10_000_000)
    queue_pairs: int = 200_000
    queue_turns: int = 1_500_000
    queue_commits: int = 1_000
    ring_lengths: tuple[int, ...] = (1_000, 100_000, 1_000_000)
    ring_calls: int = 20_000
    map_entries: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    lock_turns: int = 500


QUICK = Scale(
    values=30_000,
    rounds=1,
    gets=10_000,
    inserts=500,
    turns=1,
    open_values=(1_000, 100_000),
    opens=50,
    starts=3,
    import_bytes=32 << 20,
    mode_values=3_000,
    instructions=False,
    block_rounds=3,
    steady_blocks=(1_000, 10_000, 100_000),
    steady_pairs=20_000,
    free_blocks=50_000,
    small_commits=50,
    churn_seeds=1,
    churn_share=10,
    buffer_calls=1_000,
    large_values=(20_000, 100_000),
    queue_pairs=20_000,
    queue_turns=20_000,
    queue_commits=20,
    ring_lengths=(1_000, 100_000),
    ring_calls=4_000,
    map_entries=(1_000, 10_000),
    lock_turns=20,
)


@dataclass(frozen=True)
class Aim:
    """One row of what is to be reached: a figure and its bound, None where it is only told."""

    row: str
    measured: float | None
    at_most: float | None
    unit: str = ""


@dataclass
class Section:
    """One part of the report."""

    title: str
    text: str
    samples: Any
    aims: list[Aim] = field(default_factory=list)


def timed(call: Callable[..., Any], *arguments: Any) -> float:
    """Return the nanoseconds that a call takes."""
    begin = time.perf_counter_ns()
    call(*arguments)
    return time.perf_counter_ns() - begin


def note(samples: Samples, row: str, name: str, figure: float) -> None:
    """Keep one measurement."""
    samples.setdefault(row, {}).setdefault(name, []).append(figure)


def median(samples: Samples, row: str, name: str, unit: float = 1) -> float | None:
    """Return the median of what was measured of one contender in one row, in a unit; None for nothing."""
    measured = samples.get(row, {}).get(name)
    return statistics.median(measured) / unit if measured else None


def ratio(samples: Samples, row: str, name: str, other: str) -> float | None:
    """Return the ratio of two medians of a row."""
    ours, theirs = median(samples, row, name), median(samples, row, other)
    return ours / theirs if ours is not None and theirs else None


def number(value: float | None, digits: int = 0) -> str:
    """Return a figure as it stands in a table; nothing for None."""
    return "" if value is None else f"{value:,.{digits}f}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table, all columns but the first to the right."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def aims_table(aims: Iterable[Aim]) -> str:
    """Return what is to be reached beside what was measured."""
    rows = []
    for aim in aims:
        measured = number(aim.measured, 2 if aim.unit else 3) or "not measured"
        bound, verdict = "told, no bound", ""
        if aim.at_most is not None:
            bound = f"{aim.at_most:g} {aim.unit}"
            if aim.measured is not None:
                verdict = "yes" if aim.measured <= aim.at_most else "**no**"
        rows.append([aim.row, f"{measured} {aim.unit}".strip(), bound.strip(), verdict])
    return table(["row", "measured", "at most", "reached"], rows)


def say(message: str) -> None:
    """Tell whoever waits how far it is."""
    print(message, file=sys.stderr, flush=True)


def python(
    arguments: Sequence[str | Path],
    pure: bool | None = None,
    before: Sequence[str] = (),
    bytecode: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run this Python, behind what stands before it; return what it printed.

    Args:
        arguments: of the interpreter.
        pure: which form of stablemem it shall have; None for that of this process.
        before: a program that runs it, with its arguments.
        bytecode: where compiled sources are kept from one start to the next, whatever is usual here.
    """
    command = [*before, sys.executable, *map(str, arguments)]
    environment = dict(os.environ)
    if pure is not None:
        environment["STABLEMEM_PURE"] = str(int(pure))
    if bytecode is not None:
        environment["PYTHONPYCACHEPREFIX"] = str(bytecode)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
    # Two runs shall do the same work.
    environment["PYTHONHASHSEED"] = "0"
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with code {ran.returncode}:\n{ran.stderr}")
    return ran
