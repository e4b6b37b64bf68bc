"""Lines: turns a line of a file into a value of a list for import, and a value into a line for export.

    Blobify    a line is                                     with --jsonl
    bytes      the bytes of the value
    text       the value, in --encoding or UTF-8             a JSON string
    nat, int   the number, with decimal digits or as 0x...   the number, with decimal digits
    msgpack                                                  the value as JSON

A value that would come back as another value, or as several values, is refused.
"""

import codecs
from collections.abc import Callable
from typing import Any, Final

import click
import msgspec

from ..blobify import Bytes, Msgpack, Text
from ..blobify.integers import Int, Nat
from .printing import number

__all__ = ["BYTES", "KINDS", "MSGPACK", "TEXT", "WITH_JSON", "decoder", "encoder"]

BYTES, TEXT, MSGPACK, NAT, INT = Bytes.name, Text.name, Msgpack.name, Nat.name, Int.name

KINDS: Final = (BYTES, TEXT, MSGPACK, NAT, INT)
"""The Blobifys whose values can be written as lines."""

WITH_JSON: Final = (TEXT, MSGPACK, NAT, INT)
"""The Blobifys whose values can be written as JSON."""

UTF_8 = "utf-8"


def decoder(kind: str, encoding: str | None, jsonl: bool) -> Callable[[bytes], Any] | None:
    """Return a function from a line, without its end, to a value; None if the line itself is the value.

    The function raises ValueError or RecursionError for a line that is not a value.

    Args:
        kind: one of KINDS.
        encoding: the encoding of text; None for UTF-8.
        jsonl: whether each line is JSON.

    Raises:
        click.UsageError: these arguments contradict each other.
    """
    _check(kind, encoding, jsonl)
    if jsonl:
        return _json_decoder(kind)
    if kind == TEXT:
        return _text_decoder(encoding or UTF_8)
    if kind in {NAT, INT}:
        return _number_decoder(kind)
    if kind == MSGPACK:
        raise click.UsageError("a list of msgpack takes only JSON lines: add --jsonl.")
    return None


def encoder(kind: str, encoding: str | None, jsonl: bool) -> Callable[[Any], bytes]:
    """Return a function from a value to a line without its end; it raises ValueError if there is none.

    Arguments and errors are those of ``decoder``. If the Blobify is not built in, the line is the blob.
    """
    _check(kind, encoding, jsonl)
    if jsonl or kind == MSGPACK:
        return _json_line
    if kind == TEXT:
        return _text_encoder(encoding or UTF_8)
    if kind in {NAT, INT}:
        return _number_line
    return _bytes_line


def _check(kind: str, encoding: str | None, jsonl: bool) -> None:
    """Refuse options that make no sense for this kind of values."""
    if encoding is not None:
        if jsonl:
            raise click.UsageError("--jsonl and --encoding cannot be used together: JSON is always UTF-8.")
        if kind != TEXT:
            raise click.UsageError(f"--encoding is for lists of text, and this one is {kind}: leave it out.")
        _check_encoding(encoding)
    if jsonl and kind not in WITH_JSON:
        raise click.UsageError(f"JSON has no bytes, and the list is {kind}: leave --jsonl out.")


# -- JSON --------------------------------------------------------------------------------------------

_WANTED = {TEXT: (str, "a JSON string"), NAT: (int, "a whole number"), INT: (int, "a whole number")}


def _json_decoder(kind: str) -> Callable[[bytes], Any]:
    decode = msgspec.json.Decoder().decode

    def decoded(line: bytes) -> Any:
        try:
            return decode(line)
        except ValueError as error:
            raise ValueError(f"not JSON: {error}: mend the line, or leave --jsonl out") from error

    if kind == MSGPACK:
        return decoded
    wanted, said = _WANTED[kind]

    def checked(line: bytes) -> Any:
        value = decoded(line)
        if type(value) is not wanted:
            raise ValueError(f"not {said}, which a list of {kind} needs: mend the line")
        if kind == NAT and value < 0:  # type: ignore[operator]
            raise ValueError(_BELOW_0)
        return value

    return checked


def _json_line(value: Any) -> bytes:
    try:
        line = msgspec.json.encode(value)
        if msgspec.json.decode(line) == value:
            return line
    except (TypeError, ValueError, OverflowError, RecursionError):
        pass
    raise ValueError(
        "JSON has no form for it: it has bytes, NaN, infinity, a key that is not text or a number of "
        "thousands of digits, or is nested too deep; export the values before and after it with START:STOP, "
        "and read this one in Python"
    )


# -- text and bytes ----------------------------------------------------------------------------------


def _check_encoding(encoding: str) -> None:
    try:
        end = "\n".encode(encoding)
    except (LookupError, UnicodeError):
        raise click.BadParameter(
            f"{encoding!r} is not a text encoding: name one such as utf-8 or latin-1.",
            param_hint="'--encoding'",
        ) from None
    if end != b"\n":
        raise click.BadParameter(
            f"{encoding} does not end a line with the one byte 0a: use utf-8, and convert the file, for "
            f"example with iconv.",
            param_hint="'--encoding'",
        )


def _text_decoder(encoding: str) -> Callable[[bytes], str]:
    def decoded(line: bytes) -> str:
        try:
            return line.decode(encoding)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"not {encoding}: byte {line[error.start]:#04x} at position {error.start} of the line: "
                f"mend it, or name another --encoding"
            ) from error
        except UnicodeError as error:
            raise ValueError(f"not {encoding}: {error}: mend it, or name another --encoding") from error

    return decoded


def _text_encoder(encoding: str) -> Callable[[str], bytes]:
    # UTF-8 has exactly one form for each text. In others, two characters may have the same bytes, or a
    # backslash may be read as an escape.
    exact = codecs.lookup(encoding).name == UTF_8

    def encoded(value: str) -> bytes:
        try:
            line = value.encode(encoding)
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{encoding} cannot write {value[error.start]!a} at position {error.start} ({error.reason}): "
                f"leave --encoding out for utf-8"
            ) from error
        except UnicodeError as error:
            raise ValueError(
                f"{encoding} cannot write it: {error}: leave --encoding out for utf-8"
            ) from error
        if b"\n" in line:
            raise ValueError("it has an end of line, and would become several lines: export with --jsonl")
        if not exact and not _says(line, value, encoding):
            raise ValueError(
                f"in {encoding} it would come back as another value, or not at all: "
                f"leave --encoding out for utf-8"
            )
        return line

    return encoded


def _says(line: bytes, value: str, encoding: str) -> bool:
    """Return whether a line in an encoding decodes to ``value``."""
    try:
        return line.decode(encoding) == value
    except UnicodeError:
        return False


def _bytes_line(value: bytes) -> bytes:
    if b"\n" in value:
        raise ValueError(
            "it has an end of line, and would become several lines: export the values before and after it "
            "with START:STOP, and this one with `stablemem get --raw`"
        )
    return value


# -- numbers -----------------------------------------------------------------------------------------

_BELOW_0 = "below 0, and a list of nat has numbers from 0 on: mend the line, or import with --blobify int"


def _number_decoder(kind: str) -> Callable[[bytes], int]:
    def decoded(line: bytes) -> int:
        try:
            value = int(line, 16 if line[:3].lower().startswith((b"0x", b"-0x")) else 10)
        except ValueError as error:
            if line.strip().lstrip(b"+-").isdigit():
                raise ValueError(
                    "more decimal digits than Python reads (4,300): write the number in hexadecimal, as 0x..."
                ) from error
            raise ValueError("not a whole number, such as 12 or 0xff: mend the line") from error
        if kind == NAT and value < 0:
            raise ValueError(_BELOW_0)
        return value

    return decoded


def _number_line(value: int) -> bytes:
    return number(value).encode()
