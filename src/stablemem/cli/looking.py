"""The commands that look into a region: info, get, head, tail, verify. They are in nobody's way."""

import json
import os
import shutil
import sys
import time
from typing import Any

import click

from .. import COMPILED, __version__
from .._core.census import IN_USE, census
from .._core.sequence import ListCore
from .._core.store import Store
from .._core.verify import verify as verify_store
from ..blobify import Bytes, Text, resolve
from ..blobify.registry import BUILT_INS
from ..errors import CorruptRegionError
from ..layout import FORMAT, INLINE_SIZE
from .base import (
    AHEAD,
    DAMAGED,
    ENGINE,
    GOOD,
    blobifies,
    commands,
    counted,
    name_option,
    open_region,
    printable,
    region_argument,
)

__all__: list[str] = []


def _values(store: Store, name: str, raw: bool = False) -> ListCore:
    """Return a list of the region, of blobs if they are wanted raw or its Blobify is somebody's own."""
    entry = store.entries.get(name)
    if entry is None:
        there = ", ".join(blobifies(store))
        remedy = f"there is {there}; choose one with --name" if there else "`stablemem import` makes one"
        raise click.ClickException(f"{store.path} has no list {name!r}: {remedy}")
    if raw or entry.blobify not in BUILT_INS:
        return ListCore(store, name, Bytes())
    blobify = resolve(None, (entry.blobify, entry.options))
    return ListCore(store, name, blobify)


def _text(value: Any, text: bool) -> str:
    """Return a value as a person reads it: bytes and text as they are, other values as JSON or Python."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if text:
        return str(value)
    try:
        spelled = json.dumps(value, ensure_ascii=False)
        if json.loads(spelled) == value:
            return spelled
    except (TypeError, ValueError):
        pass
    return repr(value)


def _show(values: ListCore, positions: range, text: bool) -> None:
    """Print positions and values, a line each, cut to the terminal's width if there is one."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    digits = len(str(positions[-1])) if positions else 0
    for position in positions:
        value = values[position]
        if width and isinstance(value, bytes | str):
            value = value[: 4 * width]
        line = f"{position:>{digits}}  {printable(_text(value, text))}"
        if width:
            from rich.cells import cell_len, set_cell_size

            if cell_len(line) > width:
                line = set_cell_size(line, width - 3) + "..."
        click.echo(line)


@commands.command()
@region_argument
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def info(path: str, as_json: bool) -> None:
    """Print what a region holds, and what its bytes are used for."""
    with open_region(path) as store:
        found = census(store, store.slot.length)
        entries = sorted(store.entries.items())
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
                {"name": name, "values": entry.tree[3], "blobify": entry.blobify} for name, entry in entries
            ],
            "file_bytes": found.length + found.ahead,
            "used_bytes": used,
            "free_bytes": free,
            "limbo_bytes": limbo,
        }
        click.echo(json.dumps(said, indent=2))
        return
    click.echo(path)
    click.echo(f"  format   {FORMAT} (unstable), read by stablemem {__version__} {ENGINE}")
    click.echo(f"  commit   {found.transaction}")
    for name, entry in entries:
        values = counted(entry.tree[3], "value")
        click.echo(f"  list     {printable(name)}: {values}, blobify {printable(entry.blobify)}")
    if not entries:
        click.echo("  list     none yet")
    _table(
        [
            ("file", found.length + found.ahead, ""),
            ("used", used, ""),
            ("free", free, "to be used again"),
            ("limbo", limbo, "freed, and still reachable from an older state"),
            ("ahead", found.ahead, AHEAD),
        ]
    )


def _table(rows: list[tuple[str, int, str]]) -> None:
    """Print byte counts below each other."""
    digits = max(len(f"{size:,}") for _, size, _ in rows)
    for label, size, remark in rows:
        click.echo(f"  {label:<7}  {size:>{digits},} bytes{remark and f'  ({remark})'}")


@commands.command(context_settings={"ignore_unknown_options": True})
@region_argument
@click.argument("index", type=int)
@name_option
@click.option("--raw", is_flag=True, help="Write the value's bytes as they are in the file, nothing else.")
def get(path: str, index: int, name: str, raw: bool) -> None:
    r"""Print the value at INDEX; -1 is the last.

    Bytes are shown as UTF-8, what is not UTF-8 as \xNN; values that are not bytes or text, as JSON
    where that says all, else as Python writes them.
    """
    with open_region(path) as store:
        values = _values(store, name, raw)
        try:
            value = values[index]
        except IndexError:
            last = len(values) - 1
            remedy = f"; give 0 to {last}, or -{last + 1} to -1" if values else ""
            raise click.ClickException(
                f"{path} has {counted(last + 1, 'value')} in {name!r}: there is no index {index}{remedy}"
            ) from None
        text = blobifies(store)[name] == Text.name
    if raw:
        sys.stdout.buffer.write(value)
        return
    shown = _text(value, text)
    click.echo(printable(shown, "\n\t") if sys.stdout.isatty() else shown)


_count = click.option(
    "-n", "count", default=10, show_default=True, type=click.IntRange(min=0), help="How many values."
)


@commands.command()
@region_argument
@_count
@name_option
def head(path: str, count: int, name: str) -> None:
    """Print the first values, each with its index."""
    with open_region(path) as store:
        values = _values(store, name)
        _show(values, range(len(values))[:count], blobifies(store)[name] == Text.name)


@commands.command()
@region_argument
@_count
@name_option
def tail(path: str, count: int, name: str) -> None:
    """Print the last values, each with its index."""
    with open_region(path) as store:
        values = _values(store, name)
        length = len(values)
        _show(values, range(max(0, length - count), length), blobifies(store)[name] == Text.name)


@commands.command()
@region_argument
def verify(path: str) -> int:
    """Read everything, and prove that every byte is what it should be.

    The exit code is 1 if something is damaged; every fault is then printed.
    """
    started = time.perf_counter()
    try:
        with open_region(path) as store:
            report = verify_store(store)
            dropped = store.header.dropped
            file_bytes = os.path.getsize(path)
    except CorruptRegionError as error:
        click.echo(f"{path}: DAMAGED, and cannot be opened: restore it from a copy\n  {error.fault}")
        return DAMAGED
    seconds = time.perf_counter() - started
    state = "DAMAGED" if report.faults else "sound"
    click.echo(f"{path}: {state} as of commit {report.transaction}, in {seconds:.2f} s")
    for name, length in report.lists.items():
        click.echo(f"  list     {printable(name)}: {counted(length, 'value')}")
    click.echo(
        f"  checked  {counted(report.nodes, 'node')} and {counted(report.blobs, 'blob')} "
        f"(values of more than {INLINE_SIZE} bytes)"
    )
    parts = [
        ("header", report.header_bytes, ""),
        ("log", report.log_bytes, ""),
        ("catalog", report.catalog_bytes, ""),
        ("nodes", report.node_bytes, ""),
        ("blobs", report.blob_bytes, ""),
        ("free", report.free_bytes, ""),
        ("limbo", report.limbo_bytes, ""),
    ]
    parts.append(("ahead", file_bytes - sum(size for _, size, _ in parts), AHEAD))
    _table([*parts, ("file", file_bytes, "")])
    for number, why in sorted(dropped.items()):
        if why != "empty":
            click.echo(f"  note     header slot {number} is not used: {printable(why)}")
    for fault in report.faults:
        click.echo(f"  fault    {printable(fault)}")
    return DAMAGED if report.faults else GOOD
