"""Progress: a bar that shows how far a command is, if standard error is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress"]


@contextmanager
def progress(
    what: str, *, size: int | None = None, values: int | None = None
) -> Iterator[Callable[[int, int], None]]:  # fmt: skip
    """Show a bar during the block; yield a function that moves it on, called with bytes and values.

    Args:
        what: the work of the command, in one word.
        size: the number of bytes to do; None if it is not known.
        values: the number of values to do; if given, the bar follows the values.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _size, _values: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn(what),
        BarColumn(),
        *((DownloadColumn(),) if values is None else ()),
        TextColumn("{task.fields[values]:,} values"),
        TimeRemainingColumn(),
    )
    done = 0
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=size if values is None else values, values=0)

        def advance(more: int, added: int) -> None:
            nonlocal done
            done += added
            bar.update(task, advance=more if values is None else added, values=done)

        yield advance
