"""The command ``compact``, which makes a region smaller."""

import sys
import time

import click

from ..layout import MAX_ADDRESS
from ..memory_region import MemoryRegion
from .base import GOOD, commands, counted, open_region, region_argument
from .printing import echo

__all__: list[str] = []


@commands.command()
@region_argument
@click.option(
    "--max-bytes", type=click.IntRange(min=0), default=MAX_ADDRESS, show_default="no limit",
    help="About how many bytes to move at most; the rest is left for the next time.",
)  # fmt: skip
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Seconds to wait while another process has the file open for writing.",
)
def compact(path: str, max_bytes: int, timeout: float) -> int:
    r"""Make the file as short as possible.

    Values move from the end of the file into free space before it, in small commits. You may interrupt this
    at any moment, and readers may be open. Bytes that an older snapshot still uses stay until the snapshot is
    closed.

    \b
    Examples:
      stablemem compact notes.smem
      stablemem compact notes.smem --max-bytes 100000000 --timeout 10
    """
    shown = sys.stderr is not None and sys.stderr.isatty()
    begin = time.monotonic()

    def progress(moved: int, there_are: int) -> None:
        click.echo(f"\r{moved:,} of {there_are:,} bytes moved ", nl=False, err=True)

    region = MemoryRegion(path, "r+", timeout=timeout)
    try:
        gained = region.compact(max_bytes=max_bytes, progress=progress if shown else None)
    finally:
        if shown:
            click.echo("\r\033[K", nl=False, err=True)
        region.close()
    with open_region(path) as region:
        seen = region.inspect()
    echo(
        f"{path}: {counted(gained, 'byte')} shorter, now {seen.length:,} as of commit {seen.transaction} "
        f"({time.monotonic() - begin:.1f} s)"
    )
    return GOOD
