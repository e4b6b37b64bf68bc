r"""Printing: shows the contents of files.

Invariant: no text from a file, from its name or from an error reaches a terminal unchecked. Characters that
would move the cursor, or change the state of the terminal or the order of its characters, are printed as
escapes, such as \x1b. ``echo`` and ``print_lines`` do this. Code that writes bytes unchanged must ask
``to_terminal`` first.
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
"""Number of characters that are written at once."""

MOST_STRANGE = 32
"""The most different characters that are replaced one by one; if there are more, all are checked."""

MOST_NAMES = 10

_json = json.JSONEncoder(ensure_ascii=False).encode

MOST_OF_A_NAME = 60
"""The most characters of a name in a message."""


def printable(text: str, kept: str = "") -> str:
    r"""Return text with escapes for characters that would move the cursor or change a terminal's state.

    This is fast if there are no such characters.

    Args:
        text: the text to print.
        kept: characters to leave as they are, such as the end of a line.

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
    """Print one line, with escapes if necessary."""
    click.echo(printable(line), err=err)


def print_lines(lines: Iterable[str], kept: str | None = "") -> None:
    """Print lines, many at once; the lines before an error are printed.

    Args:
        lines: the lines to print.
        kept: characters to leave as they are when the lines are made printable. None leaves all characters
            as they are, for output that does not go to a terminal.
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
    """Return whether the output goes to a terminal."""
    return sys.stdout.isatty()


def cut(line: str, width: int) -> str:
    """Return a printable line, cut to at most ``width`` columns of a terminal."""
    from rich.cells import cell_len, set_cell_size

    return set_cell_size(line, width - 3) + "..." if cell_len(line) > width else line


def shown_name(name: str) -> str:
    """Return a name in quotes for a message; the middle of a long name is left out."""
    return shown(name, MOST_OF_A_NAME)


def listed(names: Sequence[str]) -> str:
    """Return names for a message: the first ones, and the number of the others."""
    parts = [name if len(name) <= MOST_OF_A_NAME else shown_name(name) for name in names[:MOST_NAMES]]
    if len(names) > MOST_NAMES:
        parts.append(f"{len(names) - MOST_NAMES:,} more")
    return ", ".join(parts)


# -- values ------------------------------------------------------------------------------------------


def spelled(value: Any, text: bool) -> str:
    """Return a value as text for a person, which is not yet printable.

    Bytes are shown as UTF-8, text as it is. Other values are shown as JSON if that loses nothing, else as
    Python writes them. A whole number with more digits than Python will write is shown in hexadecimal.

    Args:
        value: a value from a built-in Blobify.
        text: whether the list is a list of text, which needs no quotes.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if text:
        return str(value)
    if type(value) is int:
        return number(value)
    try:
        # A value that comes back unchanged can be written as JSON. Trying it is faster than checking first.
        if msgspec.json.decode(msgspec.json.encode(value)) == value:
            return _json(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        pass
    try:
        return repr(value)
    except RecursionError:
        return _deep(value)


def number(value: int) -> str:
    """Return a whole number in decimal digits; in hexadecimal if there are too many."""
    try:
        return str(value)
    except ValueError:
        # Python's limit on digits: the time for them grows with the square of their number.
        return hex(value)


class _Punctuation(str):
    """Punctuation between values, to tell it from values."""

    __slots__ = ()


def _deep(value: Any) -> str:
    """Return the ``repr`` of a value with lists, tuples and dicts nested to any depth."""
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
