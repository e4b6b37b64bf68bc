"""The commands that look into a region: info, get, head, tail, verify.

They read a snapshot: they never block, and are never blocked.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from math import isnan
from typing import Any

import click

from .. import COMPILED, __version__
from ..errors import CorruptRegionError
from ..inspection import IN_USE
from ..layout import FORMAT, INLINE_SIZE
from ..memory_buffer import MemoryBuffer
from .base import (
    AHEAD,
    DAMAGED,
    ENGINE,
    GOOD,
    commands,
    counted,
    each,
    is_text,
    list_of,
    name_option,
    open_region,
    positions_of,
    region_argument,
    say,
)
from .following import Follower, wait
from .positions import parsed
from .printing import cut, echo, print_lines, printable, shown_name, spelled, to_terminal

__all__: list[str] = []

SHOWN_NUMBERS = 4
"""The most integers of a root that ``info`` prints."""


def _lines(values: MemoryBuffer[Any], positions: range, text: bool, prefixed: bool) -> Iterator[str]:
    """Yield a line for each value, cut to the width of the terminal if there is one.

    Args:
        values: the list.
        positions: the positions of the values.
        text: whether the list is a list of text.
        prefixed: whether each line begins with the index.
    """
    width = shutil.get_terminal_size().columns if to_terminal() else 0
    digits = len(str(positions[-1])) if positions else 0
    for position, value in zip(positions, each(values, positions), strict=True):
        # A part that has no room is not even made printable.
        short = value[: 4 * width] if width and isinstance(value, bytes | str) else value
        line = spelled(short, text)
        if width:
            line = printable(line[: 4 * width])
        if prefixed:
            line = f"{position:>{digits}}  {line}"
        yield cut(line, width) if width else line


@commands.command()
@region_argument
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(path: str, as_json: bool) -> None:
    r"""Print the lists in a region, and how its bytes are used.

    \b
    Examples:
      stablemem info notes.smem
      stablemem info notes.smem --json
    """
    with open_region(path) as region:
        seen = region.inspect()
        found = seen.census()
    used = sum(found.total(use) for use in IN_USE)
    free, limbo = found.total("free"), found.total("limbo")
    if as_json:
        said = {
            "path": path,
            "format": FORMAT,
            "version": __version__,
            "compiled": COMPILED,
            "commit": found.transaction,
            "lists": [
                {"name": name, "values": entry.values, "blobify": entry.blobify}
                for name, entry in seen.lists.items()
            ],
            "roots": seen.roots,
            "file_bytes": found.length + found.ahead,
            "used_bytes": used,
            "free_bytes": free,
            "limbo_bytes": limbo,
        }
        click.echo(json.dumps(said, indent=2))
        return
    echo(path)
    echo(f"  format   {FORMAT} (unstable), read by stablemem {__version__} {ENGINE}")
    echo(f"  commit   {found.transaction}")
    for name, entry in seen.lists.items():
        values = counted(entry.values, "value")
        echo(f"  {entry.kind:<7}  {name}: {values}, blobify {entry.blobify}")
    if not seen.lists:
        echo("  list     none yet")
    for name, numbers in seen.roots.items():
        more = f" and {len(numbers) - SHOWN_NUMBERS:,} more" if len(numbers) > SHOWN_NUMBERS else ""
        echo(f"  root     {name}: {', '.join(map(str, numbers[:SHOWN_NUMBERS]))}{more}")
    _table(
        [
            ("file", found.length + found.ahead, ""),
            ("used", used, ""),
            ("free", free, "to be used again"),
            ("limbo", limbo, "freed, but an older commit or a snapshot still uses it"),
            ("ahead", found.ahead, AHEAD),
        ]
    )


def _table(rows: list[tuple[str, int, str]]) -> None:
    """Print byte counts in columns."""
    digits = max(len(f"{size:,}") for _, size, _ in rows)
    for label, size, remark in rows:
        echo(f"  {label:<7}  {size:>{digits},} bytes{remark and f'  ({remark})'}")


def _choices(
    _context: click.Context, _argument: click.Parameter, written: Sequence[str]
) -> list[int | slice]:  # fmt: skip
    return [parsed(one) for one in written]


@commands.command(context_settings={"ignore_unknown_options": True})
@region_argument
@click.argument("choices", metavar="INDEX...", nargs=-1, required=True, callback=_choices)
@name_option
@click.option(
    "--raw", is_flag=True,
    help="Write the bytes of values as they are in the file, without line ends (a terminal gets escapes).",
)  # fmt: skip
def get(path: str, choices: Sequence[int | slice], name: str, raw: bool) -> None:
    r"""Print the values at each INDEX, one value in each line.

    INDEX is a number, where -1 is the last value, or a slice as in Python: START:STOP or START:STOP:STEP.
    Text is printed as it is, and bytes as UTF-8, with \xNN for bytes that are not UTF-8. Other values are
    printed as JSON, or as Python writes them if JSON has no form for them.

    \b
    Examples:
      stablemem get notes.smem 0
      stablemem get notes.smem 2 -1 10:20
      stablemem get notes.smem --raw 1 > value
    """
    with open_region(path) as region:
        values = list_of(region, name)
        asked = [positions_of(values, path, name, choice) for choice in choices]
        found = (value for positions in asked for value in each(values, positions, raw))
        if not raw:
            text = is_text(values)
            print_lines((spelled(value, text) for value in found), "\n\t" if to_terminal() else None)
            return
        for blob in found:
            if to_terminal():
                click.echo(printable(blob.decode("utf-8", "backslashreplace"), "\n\t"), nl=False)
            else:
                sys.stdout.buffer.write(blob)


_count = click.option(
    "-n", "count", default=10, show_default=True, type=click.IntRange(min=0), help="How many values."
)
_bare = click.option("--values", "bare", is_flag=True, help="Print the values without their indices.")


@commands.command()
@region_argument
@_count
@_bare
@name_option
def head(path: str, count: int, bare: bool, name: str) -> None:
    r"""Print the first values, each with its index.

    \b
    Examples:
      stablemem head notes.smem
      stablemem head notes.smem -n 100 --values
    """
    with open_region(path) as region:
        values = list_of(region, name)
        print_lines(_lines(values, range(len(values))[:count], is_text(values), not bare))


def _seconds(_context: click.Context, _option: click.Parameter, interval: float) -> float:
    if isnan(interval):
        raise click.BadParameter("nan is not a number of seconds.")
    return interval


@commands.command()
@region_argument
@_count
@_bare
@name_option
@click.option("-f", "--follow", is_flag=True, help="Also print values that are added later, until Ctrl-C.")
@click.option(
    "--interval", type=click.FloatRange(0.01, 86_400), default=0.5, show_default=True, callback=_seconds,
    help="Seconds between two looks, with --follow.",
)  # fmt: skip
def tail(path: str, count: int, bare: bool, name: str, follow: bool, interval: float) -> None:
    r"""Print the last values, each with its index.

    With --follow, tail also prints the values that a writer commits later, even if the list drops its first
    values, or if the file is replaced by another one. The writer never waits.

    \b
    Examples:
      stablemem tail notes.smem -n 3
      stablemem tail notes.smem --values
      stablemem tail -f notes.smem
    """
    with open_region(path) as region:
        if follow and not region.names():
            say(f"{path} has no list yet: waiting for {shown_name(name)}")
        else:
            values = list_of(region, name)
            length = len(values)
            positions = range(max(0, length - count), length)
            print_lines(_lines(values, positions, is_text(values), not bare))
        if follow:
            _follow(Follower(path, name, region), interval, bare)


def _follow(follower: Follower, interval: float, bare: bool) -> None:
    """Print the values that are added to a list; only an exception ends this."""

    def show(values: MemoryBuffer[Any], positions: range, text: bool) -> None:
        print_lines(_lines(values, positions, text, not bare))

    with closing(follower):
        while True:
            wait(interval)
            follower.look(show)


@commands.command()
@region_argument
def verify(path: str) -> int:
    r"""Read everything, and check every byte that has a checksum.

    The exit code is 1 if something is damaged; every fault is then printed.

    \b
    Examples:
      stablemem verify notes.smem
    """
    started = time.perf_counter()
    try:
        with open_region(path) as region:
            seen = region.inspect()
            report = seen.verify()
            file_bytes = os.path.getsize(path)
    except CorruptRegionError as error:
        echo(f"{path}: DAMAGED, and cannot be opened: restore it from a copy")
        echo(f"  {error.fault}")
        return DAMAGED
    seconds = time.perf_counter() - started
    state = "DAMAGED" if report.faults else "sound"
    echo(f"{path}: {state} as of commit {report.transaction}, in {seconds:.2f} s")
    for name, length in report.lists.items():
        echo(f"  list     {name}: {counted(length, 'value')}")
    for name in report.unknown:
        echo(f"  unknown  {name}: not checked, since a later version of stablemem made it")
    echo(
        f"  checked  {counted(report.nodes, 'node')} and {counted(report.blobs, 'blob')} "
        f"(values of more than {INLINE_SIZE} bytes)"
    )
    parts = [
        ("header", report.header_bytes, ""),
        ("log", report.log_bytes, ""),
        ("catalog", report.catalog_bytes, ""),
        ("nodes", report.node_bytes, ""),
        ("blobs", report.blob_bytes, ""),
        ("raw", report.raw_bytes, ""),
        ("patches", report.patch_bytes, ""),
        ("free", report.free_bytes, ""),
        ("limbo", report.limbo_bytes, ""),
    ]
    if report.unknown_bytes:
        parts.append(("unknown", report.unknown_bytes, "not checked"))
    parts.append(("ahead", file_bytes - sum(size for _, size, _ in parts), AHEAD))
    _table([*parts, ("file", file_bytes, "")])
    for number, why in seen.unused_slots.items():
        if why != "empty":
            echo(f"  note     header slot {number} is not used: {why}")
    for fault in report.faults:
        echo(f"  fault    {fault}")
    return DAMAGED if report.faults else GOOD
