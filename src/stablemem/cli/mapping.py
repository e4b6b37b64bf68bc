"""The command ``map``: a picture of the region, in the terminal or as a PNG.

Each cell is shown by the letter of its main use, so that the picture can be read without colours, too.
"""

import json
import os
import shutil
from collections.abc import Iterator
from itertools import groupby

import click

from ..inspection import IN_USE, USES, Census, cell_size
from ..plot import draw
from .base import AHEAD, GOOD, commands, counted, open_region, region_argument
from .printing import echo, printable

__all__: list[str] = []

MOST = 1000
"""The most cells in a row, and the most rows: more would not fit into a picture."""

PNG_WIDTH = PNG_ROWS = 128

COLOURS = {"header": "magenta", "log": "yellow", "nodes": "blue", "blobs": "green", "raw": "cyan"}
LETTERS = {use: use[0].upper() for use in IN_USE} | {"free": ".", "limbo": "~"}

MEANING = {
    "blobs": "and the catalog",
    "free": "to be used again",
    "limbo": "freed, but an older commit or a snapshot still uses it",
}


@commands.command("map")
@region_argument
@click.option(
    "--width", type=click.IntRange(1, MOST), help="The number of cells in a row. Default: as many as fit."
)
@click.option(
    "--rows", type=click.IntRange(1, MOST), help="The largest number of rows. Default: as many as fit."
)
@click.option(
    "--png", metavar="FILE", type=click.Path(dir_okay=False), help="Draw into a PNG file; needs matplotlib."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with the bytes of each cell.")
def map_(path: str, width: int | None, rows: int | None, png: str | None, as_json: bool) -> int:
    r"""Draw how the bytes of a region are used.

    The picture has one letter for each cell, row by row. All cells have the same number of bytes, a power of
    two. The letter is the main use of the cell: H header, L log, N nodes (the index), B blobs (the values), R
    raw blocks, ~ limbo (freed, but still used by an older commit or a snapshot), . free. A small letter means
    that less than half of the cell is in use.

    \b
    Examples:
      stablemem map notes.smem
      stablemem map notes.smem --width 64 --rows 20
      stablemem map notes.smem --png notes.png
    """
    if png is not None:
        if as_json:
            raise click.UsageError("--png and --json cannot be used together: leave one of them out.")
        if not png.lower().endswith(".png"):
            # A region that was named by mistake must not be overwritten.
            raise click.UsageError(f"the name of a PNG file ends in .png, not as {png}.")
        if os.path.exists(png) and os.path.exists(path) and os.path.samefile(png, path):
            raise click.UsageError(f"{path} cannot be drawn into itself.")
    with open_region(path) as region:
        seen = region.inspect()
        length = seen.length
        if png is not None:
            width, rows = width or PNG_WIDTH, rows or PNG_ROWS
        else:
            width, rows = _fitting(length, width, rows)
        found = seen.census(cell_size(length, width * rows))
    if png is not None:
        _write(png, _png(found, path, width))
        echo(
            f"drew {path} as of commit {found.transaction}, {counted(found.cell, 'byte')} a cell, into {png}"
        )
    elif as_json:
        said = {
            "path": path,
            "commit": found.transaction,
            "bytes": found.length,
            "ahead_bytes": found.ahead,
            "cell_bytes": found.cell,
            "total": {use: found.total(use) for use in USES},
            "cells": found.counts,
        }
        click.echo(json.dumps(said))
    else:
        colour = False if os.environ.get("NO_COLOR") else None
        for line in _lines(found, path, width):
            click.echo(line, color=colour)
    return GOOD


def _fitting(length: int, width: int | None, rows: int | None) -> tuple[int, int]:
    """Return the numbers of cells in a row and of rows; those not given are as many as fit the terminal."""
    columns, lines = shutil.get_terminal_size()
    left = columns - _label_width(length) - 2
    # Multiples of 16 give rows that begin at round addresses.
    width = width or max(16, left // 16 * 16)
    return min(width, MOST), min(rows or max(8, lines - 13), MOST)


def _label_width(length: int) -> int:
    return len(f"{length:,}")


def _lines(found: Census, path: str, width: int) -> Iterator[str]:
    """Yield the lines of the picture and of its legend, in colours."""
    yield (
        f"{printable(path)}: {counted(found.length, 'byte')} as of commit {found.transaction}, "
        f"{counted(found.cell, 'byte')} a cell"
    )
    yield ""
    digits = _label_width(found.length)
    for first in range(0, len(found), width):
        shown = map(found.shown, range(first, min(first + width, len(found))))
        kinds = groupby((use, used >= 0.5) for use, used in shown)
        runs = "".join(_cells(*kind, len(list(equal))) for kind, equal in kinds)
        yield f"{first * found.cell:>{digits},}  {runs}"
    yield ""
    for use in USES:
        remark = f"  ({MEANING[use]})" if use in MEANING else ""
        size, share = found.total(use), found.share(use)
        yield f"{_cells(use, True, 1)}  {use:<6}  {size:>{digits},} bytes  {share:>8}{remark}"
    yield f"   {'ahead':<6}  {found.ahead:>{digits},} bytes            ({AHEAD})"
    yield "a small letter: less than half of the cell is in use"


def _cells(use: str, mostly: bool, number: int) -> str:
    """Return a number of equal cells, in the letter and colour for what ``Census.shown`` returned."""
    letters = LETTERS[use] * number
    if use not in IN_USE:
        return click.style(letters, dim=True)
    if mostly:
        return click.style(letters, fg="black", bg=COLOURS[use])
    return click.style(letters.lower(), fg=COLOURS[use])


def _png(found: Census, path: str, width: int) -> bytes:
    """Return the PNG file; raise a message if a library for it is missing."""
    try:
        return draw(found, printable(path), width)
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from error


def _write(file: str, content: bytes) -> None:
    """Write a file; an error names it."""
    try:
        with open(file, "wb") as target:
            target.write(content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, file) from error
