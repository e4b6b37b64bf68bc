r"""Shown: text for messages and reprs from outside data: names, paths, values, exceptions of other code.

Invariants: for any input, the text is on one line, has at most a given number of characters, and contains
nothing that a terminal would obey. Nothing is raised.

>>> shown("x" * 1000, 30)
"'xxxxxxxxxxxxxx...xxxxxxxxxxx'"
>>> shown(10**10_000), shown("\x1b[31m")
('<int of 33220 bits>', "'\\x1b[31m'")
"""

from collections.abc import Collection
from dataclasses import fields
from itertools import islice
from reprlib import Repr
from typing import Any

__all__ = [
    "MOST",
    "MOST_OF_A_PATH",
    "shown",
    "shown_error",
    "shown_names",
    "shown_path",
    "shown_record",
    "shown_text",
    "uncommitted",
]

MOST = 120
"""The most characters of a value, a name or an exception of other code."""

MOST_OF_A_PATH = 300
"""The most characters of a path."""

_NAMES = 6
"""The most names of a list of names."""

_FAULTS = 3
"""The most sentences of a list of sentences."""

_BITS = 380
"""The most bits of an integer that is shown in digits (115 of them); Python refuses some thousand digits."""


class _Short(Repr):
    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002
        bits = x.bit_length()
        return f"<int of {bits} bits>" if bits > _BITS else repr(x)


_REPR = _Short()


def shown(value: object, most: int = MOST) -> str:
    """Return the repr of a value, shortened. If the repr raises, the text says so."""
    if type(value) is str:
        return shown_text(repr(value if len(value) <= most else f"{value[:most]}{value[-most:]}"), most)
    try:
        text = _REPR.repr(value)
    except Exception:  # noqa: BLE001 - a repr of other code, while another error is being reported
        text = f"<{type(value).__name__} that has no repr>"
    return shown_text(text, most)


def shown_names(names: Collection[str]) -> str:
    """Return the first names in order, and the number of all names if there are more.

    >>> shown_names(["b", "a"]), shown_names([f"log {day:02}" for day in range(30)])
    ("['a', 'b']", "['log 00', 'log 01', 'log 02', 'log 03', 'log 04', 'log 05', ... 30 names]")
    """
    parts = [shown(name, 40) for name in islice(sorted(names), _NAMES)]
    if len(names) > _NAMES:
        parts.append(f"... {len(names)} names")
    return f"[{', '.join(parts)}]"


def shown_record(record: Any) -> str:
    """Return the repr of a dataclass, each of its fields shortened."""
    parts = []
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, list):
            first = [repr(shown_text(each)) for each in value[:_FAULTS]]
            more = [f"... {len(value)} of them"] if len(value) > _FAULTS else []
            parts.append(f"{field.name}=[{', '.join(first + more)}]")
        else:
            parts.append(f"{field.name}={shown(value, MOST_OF_A_PATH)}")
    return f"{type(record).__name__}({', '.join(parts)})"


def shown_path(path: str, otherwise: str = "this region") -> str:
    """Return a path without quotes, and without its middle if it is long; ``otherwise`` if it is empty."""
    return shown_text(path, MOST_OF_A_PATH) if path else otherwise


def shown_error(error: BaseException) -> str:
    """Return the type of an exception and its message.

    >>> shown_error(KeyError("name")), shown_error(OSError())
    ("KeyError: 'name'", 'OSError')
    """
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - as above
        said = ""
    return shown_text(f"{type(error).__name__}: {said}" if said else type(error).__name__, 2 * MOST)


def uncommitted(changes: int) -> str:
    """Return the number of uncommitted changes, in words.

    >>> uncommitted(1), uncommitted(2)
    ('1 uncommitted change', '2 uncommitted changes')
    """
    return f"{changes} uncommitted change{'s' if changes != 1 else ''}"


def shown_text(text: str, most: int = 2 * MOST) -> str:
    """Return a text on one line; if it is too long, its middle is left out."""
    if not text.isprintable():
        text = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text[: 4 * most])
    if len(text) > most:
        text = f"{text[: most // 2]}...{text[3 - most // 2 :]}"
    return text
