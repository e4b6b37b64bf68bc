"""Positions: an index or a slice on the command line, written as in Python."""

import re

import click

__all__ = ["parsed", "selected"]

_SLICE = re.compile(r"(-?\d*):(-?\d*)(?::(-?\d*))?", re.ASCII)


def parsed(written: str) -> int | slice:
    """Return an index such as 5 or -1, or a slice such as 10:20, -5: or ::2.

    Raises:
        click.BadParameter: the text is neither of them.
    """
    try:
        if ":" not in written:
            return int(written)
        if found := _SLICE.fullmatch(written):
            start, stop, step = (int(part) if part else None for part in found.groups())
            if step != 0:
                return slice(start, stop, step)
    except ValueError:
        pass
    raise click.BadParameter(f"{written!r} is not a valid integer, nor a slice such as 0:10 or -5:.")


def selected(choice: int | slice, length: int) -> range | None:
    """Return the positions of an index or a slice in a list of ``length`` values; None if out of range.

    >>> selected(-1, 3), selected(3, 3), selected(slice(1, None), 3), selected(slice(9), 3)
    (range(2, 3), None, range(1, 3), range(0, 3))
    """
    if isinstance(choice, slice):
        return range(*choice.indices(length))
    position = choice + length if choice < 0 else choice
    return range(position, position + 1) if 0 <= position < length else None
