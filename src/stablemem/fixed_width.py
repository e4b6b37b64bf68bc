"""Numbers of fixed width in raw blocks: little-endian, checked before anything is written."""

import struct
from operator import index
from typing import Any, Literal

from .shown import shown

__all__ = ["NUMBERS", "FloatKind", "Kind", "WholeKind", "pack", "size_of", "unpack"]

WholeKind = Literal[
    "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64",
    "nat8", "nat16", "nat32", "nat64", "int8", "int16", "int32", "int64",
]  # fmt: skip
"""A kind of integer. The second row has other names for the kinds in the first."""

FloatKind = Literal["f64", "float"]
"""A kind of fraction, by either of its names."""

Kind = WholeKind | FloatKind
"""A kind of number."""

_FORMS = {
    "u8": "<B", "u16": "<H", "u32": "<I", "u64": "<Q",
    "i8": "<b", "i16": "<h", "i32": "<i", "i64": "<q", "f64": "<d",
}  # fmt: skip
_ALIASES = {"float": "f64"}
_ALIASES |= {f"nat{bits}": f"u{bits}" for bits in (8, 16, 32, 64)}
_ALIASES |= {f"int{bits}": f"i{bits}" for bits in (8, 16, 32, 64)}
NUMBERS = {name: struct.Struct(form) for name, form in _FORMS.items()}
NUMBERS |= {alias: NUMBERS[name] for alias, name in _ALIASES.items()}


def _form(kind: str) -> struct.Struct:
    try:
        return NUMBERS[kind]
    except (KeyError, TypeError):
        raise ValueError(f"the kind of a number is one of {', '.join(_FORMS)}, not {shown(kind)}") from None


def size_of(kind: str) -> int:
    """Return the number of bytes that a number of this kind takes.

    >>> size_of("u32"), size_of("float")
    (4, 8)
    """
    return _form(kind).size


def pack(kind: str, value: float) -> bytes:
    r"""Return the bytes of a number.

    Raises:
        ValueError: there is no such kind.
        OverflowError: the number does not fit.
        TypeError: the value is not a number, or the kind is an integer and the value is not.

    >>> pack("u16", 258), pack("i8", -1)
    (b'\x02\x01', b'\xff')
    """
    form = _form(kind)
    if form is NUMBERS["f64"]:
        try:
            return form.pack(value)
        except struct.error:
            if not isinstance(value, int):
                raise TypeError(f"{kind} holds numbers, not {type(value).__name__}") from None
            raise OverflowError(f"{kind} holds numbers up to 1.8e308, not {shown(value)}") from None
    try:
        number = index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{kind} holds integers, not {type(value).__name__}") from None
    bits = 8 * form.size
    low, high = (0, (1 << bits) - 1) if form.format.isupper() else (-1 << bits - 1, (1 << bits - 1) - 1)
    if not low <= number <= high:
        raise OverflowError(f"{kind} holds {low} to {high}, not {shown(number)}")
    return form.pack(number)


def unpack(kind: str, content: bytes) -> Any:
    """Return the number that these bytes stand for."""
    return _form(kind).unpack(content)[0]
