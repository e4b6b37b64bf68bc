"""The command ``export``: writes the values of a list as lines of a file that ``import`` can read."""

import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import click

from ..memory_buffer import MemoryBuffer
from .base import (
    GOOD,
    blobifies,
    commands,
    counted,
    each,
    list_of,
    name_option,
    open_region,
    positions_of,
    region_argument,
)
from .lines import encoder
from .output import new_file
from .positions import parsed
from .printing import echo, print_lines, to_terminal
from .progress import progress

__all__: list[str] = []

PIECE = 1 << 20
"""Number of bytes of lines that are written at once."""


def _choice(_context: click.Context, _argument: click.Parameter, written: str | None) -> int | slice:
    return slice(None) if written is None else parsed(written)


@commands.command("export", context_settings={"ignore_unknown_options": True})
@region_argument
@click.argument("choice", metavar="[START:STOP]", required=False, callback=_choice)
@name_option
@click.option("--encoding", metavar="ENCODING", help="The encoding of lines of text; UTF-8 by default.")
@click.option("--jsonl", is_flag=True, help="Write each value as JSON; for msgpack this is the default.")
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True),
    help="Write into FILE, which appears only when it is complete.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def export(
    path: str,
    choice: int | slice,
    name: str,
    encoding: str | None,
    jsonl: bool,
    output: str | None,
    force: bool,
) -> int:
    r"""Write the values of a list as lines that import reads.

    The lines are the same bytes that import has read, with two exceptions: JSON is written without spaces
    between the values, and the last line always has an end of line. A value that import would not read back
    is refused.

    START:STOP chooses a part of the list, as in Python: -10: is the last ten values. A single number is the
    value at that index. All values are of one commit, and no writer has to wait. On a terminal, control
    characters are shown as escapes.

    \b
    Examples:
      stablemem export notes.smem
      stablemem export notes.smem -10: --output last.txt
      stablemem export events.smem --jsonl --output events.jsonl --force
      stablemem export notes.smem | sort | uniq -c
    """
    if force and output in {None, "-"}:
        raise click.UsageError("--force is for --output FILE: name a file, or leave --force out.")
    with open_region(path) as region:
        values = list_of(region, name)
        encode = encoder(blobifies(region)[name], encoding, jsonl)
        positions = positions_of(values, path, name, choice)
        pieces = _pieces(path, values, positions, encode)
        if output is None or output == "-":
            _write(pieces, None)
            return GOOD
        try:
            with (
                new_file(output, path, force) as file,
                progress("exporting", values=len(positions)) as advance,
            ):
                size = _write(pieces, file, advance)
        except BaseException as error:
            error.add_note(f"{output} was not written")
            raise
    echo(f"exported {counted(len(positions), 'value')} ({counted(size, 'byte')}) from {path} into {output}")
    return GOOD


def _pieces(
    path: str, values: MemoryBuffer[Any], positions: range, encode: Callable[[Any], bytes]
) -> Iterator[list[bytes]]:  # fmt: skip
    """Yield lines, many at once; the lines before an error are yielded."""
    lines: list[bytes] = []
    size = 0
    try:
        for position, value in zip(positions, each(values, positions), strict=True):
            try:
                line = encode(value)
            except ValueError as error:
                raise click.ClickException(f"{path}: value {position}: {error}") from error
            lines.append(line)
            size += len(line) + 1
            if size >= PIECE:
                yield lines
                lines, size = [], 0
    except Exception:
        yield lines
        raise
    yield lines


def _write(
    pieces: Iterator[list[bytes]],
    file: BinaryIO | None,
    advance: Callable[[int, int], None] = lambda _size, _values: None,
) -> int:
    """Write lines into a file, or to standard output; return their number of bytes without line ends."""
    if file is None and to_terminal():
        print_lines((line.decode("utf-8", "backslashreplace") for lines in pieces for line in lines), "\t")
        return 0
    target = sys.stdout.buffer if file is None else file
    total = 0
    for lines in pieces:
        if lines:
            content = b"\n".join(lines) + b"\n"
            target.write(content)
            total += len(content) - len(lines)
            advance(len(content), len(lines))
    return total
