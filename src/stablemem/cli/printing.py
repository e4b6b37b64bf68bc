r"""How what is in a file is printed.

Invariant: nothing that comes from a file, from its name or from an error reaches a terminal as it is. What
would move its cursor, change its state or the order of its letters is printed as an escape, such as \x1b.
``echo`` and ``print_lines`` see to that; what writes bytes as they are asks ``to_terminal`` first.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec.json

from ..shown import shown

__all__ = [
    "cut",
    "echo",
    "listed",
    "number",
    "print_lines",
    "printable",
    "shown_name",
    "spelled",
    "to_terminal",
]

PIECE = 1 << 16
"""Letters that are written at once."""

MOST_STRANGE = 32
"""Kinds of letters that are replaced kind by kind; of more, each letter is looked at."""

MOST_NAMES = 10

_json = json.JSONEncoder(ensure_ascii=False).encode

MOST_OF_A_NAME = 60
"""Letters of a name in a message."""


def printable(text: str, kept: str = "") -> str:
    r"""Return text without what would move a terminal's cursor or change its state; fast where that is all.

    Args:
        text: what to print.
        kept: letters to leave as they are, such as the end of a line.

    >>> printable("a\x1b[31mb\n"), printable("a\tb\n", "\n\t") == "a\tb\n"
    ('a\\x1b[31mb\\n', True)
    """
    if text.isprintable():
        return text
    strange = [letter for letter in set(text) if not letter.isprintable() and letter not in kept]
    if len(strange) > MOST_STRANGE:
        escapes = {letter: _escape(letter) for letter in strange}
        return "".join(escapes.get(letter, letter) for letter in text)
    for letter in strange:
        text = text.replace(letter, _escape(letter))
    return text


def _escape(letter: str) -> str:
    return ascii(letter)[1:-1]


def echo(line: str = "", *, err: bool = False) -> None:
    """Print one line, made printable."""
    click.echo(printable(line), err=err)


def print_lines(lines: Iterable[str], kept: str | None = "") -> None:
    """Print lines, many at once; what came before an error is printed.

    Args:
        lines: what to print.
        kept: letters to leave as they are while the lines are made printable; None leaves all of them, which
            is for output that no terminal gets.
    """
    pending: list[str] = []
    size = 0
    try:
        for line in lines:
            pending.append(line if kept is None else printable(line, kept))
            size += len(pending[-1]) + 1
            if size >= PIECE:
                waiting, pending, size = pending, [], 0
                _write(waiting)
    finally:
        _write(pending)
        sys.stdout.flush()


def _write(lines: Sequence[str]) -> None:
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")


def to_terminal() -> bool:
    """Return whether a person sees what is printed."""
    return sys.stdout.isatty()


def cut(line: str, width: int) -> str:
    """Return a printable line in at most so many columns of a terminal."""
    from rich.cells import cell_len, set_cell_size

    return set_cell_size(line, width - 3) + "..." if cell_len(line) > width else line


def shown_name(name: str) -> str:
    """Return a name in quotes for a message; the middle of a long one is left out."""
    return shown(name, MOST_OF_A_NAME)


def listed(names: Sequence[str]) -> str:
    """Return names for a message: the first, and how many others there are."""
    parts = [name if len(name) <= MOST_OF_A_NAME else shown_name(name) for name in names[:MOST_NAMES]]
    if len(names) > MOST_NAMES:
        parts.append(f"{len(names) - MOST_NAMES:,} more")
    return ", ".join(parts)


# -- values ------------------------------------------------------------------------------------------


def spelled(value: Any, text: bool) -> str:
    """Return a value as a person reads it, not yet printable.

    Bytes as UTF-8, text as it is, other values as JSON where that says all, else as Python writes them.
    A whole number of so many digits that Python refuses to write it is in hexadecimal.

    Args:
        value: what a built-in Blobify gave.
        text: whether the list is one of text, which needs no quotes.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if text:
        return str(value)
    if type(value) is int:
        return number(value)
    try:
        # What comes back unchanged can be said in JSON. This way round is the fast one.
        if msgspec.json.decode(msgspec.json.encode(value)) == value:
            return _json(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        pass
    try:
        return repr(value)
    except RecursionError:
        return _deep(value)


def number(value: int) -> str:
    """Return the decimal digits of a whole number, or, of very many, the hexadecimal ones."""
    try:
        return str(value)
    except ValueError:
        # Python's limit on digits; they would take time that grows with their square.
        return hex(value)


class _Punctuation(str):
    """What stands between values, and is none of them."""

    __slots__ = ()


def _deep(value: Any) -> str:
    """Return what ``repr`` does, for lists, tuples and dicts in each other at any depth."""
    parts: list[str] = []
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, _Punctuation):
            parts.append(item)
        elif isinstance(item, list | tuple):
            inner: list[Any] = []
            for each in item:
                inner += [_Punctuation(", "), each]
            start, end = "[]" if isinstance(item, list) else ("(", ",)" if len(item) == 1 else ")")
            stack += [_Punctuation(end), *reversed(inner[1:]), _Punctuation(start)]
        elif isinstance(item, dict):
            inner = []
            for key, each in item.items():
                inner += [_Punctuation(", "), key, _Punctuation(": "), each]
            stack += [_Punctuation("}"), *reversed(inner[1:]), _Punctuation("{")]
        else:
            parts.append(repr(item))
    return "".join(parts)
