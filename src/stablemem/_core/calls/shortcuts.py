# cython: annotation_typing=False
"""Shortcuts: encode and decode small values as the built-in Blobifys do, without a call of Python.

The result of a shortcut is exactly that of the Blobify of its form. Values that it does not know (containers,
numbers of more than 63 bits, text that is not ASCII, anything that is not valid) are left to the Blobify, and
only the Blobify refuses values. These describe the blobs:

    bytes, text     the value itself
    nat, int        blobify/integers.py
    msgpack         https://github.com/msgpack/msgpack/blob/master/spec.md

No shortcut runs code of its caller, so shortcuts may be used inside the latch.
"""

from struct import Struct
from typing import Any

from ..format.words import Page

try:
    import cython
except ModuleNotFoundError:
    from .. import _cython as cython

__all__ = ["FORMS", "blob_of", "form_of", "value_of_blob"]

if not cython.compiled:
    OTHER, BYTES, TEXT, NAT, INT, MSGPACK = range(6)
    bits64 = int.bit_length

FORMS = {"bytes": 1, "text": 2, "nat": 3, "int": 4, "msgpack": 5}
"""The number of the form of a built-in Blobify, by its name; all others have 0."""

_DOUBLE = Struct(">d")


def form_of(blobify: Any) -> int:
    """Return the number of a Blobify's form; in the interpreted form, 0 unless there is nothing to do."""
    form = FORMS.get(getattr(blobify, "name", ""), OTHER)
    return form if cython.compiled or form == BYTES else OTHER


# -- reading -------------------------------------------------------------------------------------------


def value_of(form: int, data: Page, size: int) -> Any:
    """Return the value of a blob of ``size`` bytes; NotImplemented if only its Blobify knows it."""
    if form == MSGPACK:
        return _unpacked(data, size)
    if form == NAT:
        return _integer(data, size, 0, 0)
    if form == INT:
        return _integer(data, size, 0x80, 0 if size and data[0] >= 0x80 else 0xFF)
    if form == TEXT:
        return _text(data, 0, size)
    return NotImplemented


def value_of_blob(form: int, blob: bytes) -> Any:
    """Return the value of a blob; NotImplemented if only its Blobify knows it."""
    if cython.compiled:
        return value_of(form, cython.cast(page_t, cython.cast(cython.p_char, blob)), len(blob))
    else:
        return value_of(form, blob, len(blob))


def _integer(data: Page, size: int, zero: int, turn: int) -> Any:
    """Return the value of a Nat or an Int of at most 63 bits; ``turn`` is 0xFF if it is below 0."""
    if size == 10 and data[0] ^ turn == 0xFF and data[1] ^ turn == 8:
        number = _digits(data, 2, size, turn)
        if number >> 56 == 0 or number >> 63:
            return NotImplemented
        return -1 - number if turn else number
    if not 0 < size <= 8:
        return NotImplemented
    first = data[0] ^ turn
    if first < 0xF8:
        if size != 1 or first < zero:
            return NotImplemented
        number = first - zero
    else:
        number = _digits(data, 1, size, turn)
        if size != first - 0xF6 or number < 0xF8 - zero or number >> (8 * size - 16) == 0:
            return NotImplemented
    return -1 - number if turn else number


def _digits(data: Page, place: int, end: int, turn: int) -> int:
    """Return the number in big-endian bytes; the bits of ``turn`` are inverted in each byte."""
    number = 0
    while place < end:
        number = number << 8 | (data[place] ^ turn)
        place += 1
    return number


def _text(data: Page, place: int, end: int) -> Any:
    """Return the text between two places."""
    try:
        if cython.compiled:
            return PyUnicode_DecodeUTF8(cython.cast(cython.p_char, data + place), end - place, cython.NULL)
        else:
            return str(data[place:end], "utf-8")
    except UnicodeDecodeError:
        return NotImplemented


def _unpacked(data: Page, size: int) -> Any:
    """Return the value of a MessagePack leaf."""
    if size == 0:
        return NotImplemented
    first = data[0]
    if size == 1:
        if first < 0x80:
            return first
        if first >= 0xE0:
            return first - 0x100
        if first == 0xC0:
            return None
        if first == 0xC2:
            return False
        if first == 0xC3:
            return True
    if 0xA0 <= first < 0xC0:
        return _text(data, 1, size) if size == first - 0x9F else NotImplemented
    if 0xCC <= first < 0xD0:
        if size != 1 + (1 << (first - 0xCC)):
            return NotImplemented
        return _digits(data, 1, size, 0)
    if 0xD0 <= first < 0xD4:
        if size != 1 + (1 << (first - 0xD0)):
            return NotImplemented
        if data[1] < 0x80:
            return _digits(data, 1, size, 0)
        # With inverted bits, because an unsigned number cannot be below 0.
        below = _digits(data, 1, size, 0xFF)
        return -1 - below
    if first == 0xD9 and size > 1:
        return _text(data, 2, size) if size == 2 + data[1] else NotImplemented
    if first == 0xCB and size == 9:
        return _real(data)
    return NotImplemented


def _real(data: Page) -> float:
    """Return the float in the 64 bits after the first byte."""
    if cython.compiled:
        bits = _digits(data, 1, 9, 0)
        number = cython.declare(cython.double)
        memcpy(cython.address(number), cython.address(bits), 8)
        return number
    else:
        return float(_DOUBLE.unpack_from(data, 1)[0])


# -- writing -------------------------------------------------------------------------------------------


def blob_of(form: int, value: Any) -> bytes | None:
    """Return the blob of a value; None if only its Blobify knows it or refuses it."""
    if type(value) is int and form >= NAT:
        if cython.compiled:
            overflow = cython.declare(cython.int, 0)
            number = PyLong_AsLongLongAndOverflow(value, cython.address(overflow))
            if overflow:
                return None
        else:
            number = value
            if not -(1 << 63) <= number < 1 << 63:
                return None
        return _packed(number) if form == MSGPACK else _blob_of_integer(form, number)
    if type(value) is str:
        return _ascii(value, form)
    if type(value) is float and form == MSGPACK:
        return _blob_of_real(value)
    return None


def _blob_of_integer(form: int, value: int) -> bytes | None:
    """Return the blob of a number as Nat or Int; None for a Nat below 0."""
    zero = 0x80 if form == INT else 0
    turn = 0
    if value < 0:
        if not zero:
            return None
        value = -1 - value
        turn = 0xFF
    if value < 0xF8 - zero:
        return _spelled(zero + value, 0, 0, turn)
    if value >> 56:
        return _spelled(0xFF, 0, 0, turn) + _spelled(8, value, 8, turn)
    size = (bits64(value) + 7) >> 3
    return _spelled(0xF7 + size, value, size, turn)


def _packed(value: int) -> bytes:
    """Return a number in MessagePack, in its shortest form."""
    if -32 <= value < 128:
        return _spelled(value & 0xFF, 0, 0, 0)
    power = 0
    if value > 0:
        while power < 3 and value >> (8 << power):
            power += 1
        return _spelled(0xCC + power, value, 1 << power, 0)
    while (-1 - value) >> ((8 << power) - 1):
        power += 1
    # The bytes of a number below 0 are those of -1 - number, with all bits inverted.
    return _spelled(0xD0 + power ^ 0xFF, -1 - value, 1 << power, 0xFF)


def _spelled(first: int, number: int, size: int, turn: int) -> bytes:
    """Return a byte and a number in ``size`` big-endian bytes; the bits of ``turn`` are inverted in all."""
    if cython.compiled:
        room = cython.declare(cython.uchar[9])
        room[0] = first ^ turn
        if size:
            number = turned64(number << (64 - 8 * size))
            if turn:
                number = ~number
            memcpy(room + 1, cython.address(number), 8)
        return PyBytes_FromStringAndSize(cython.cast(cython.p_char, room), size + 1)
    else:
        spelled = bytes((first,)) + number.to_bytes(size, "big")
        return bytes(byte ^ turn for byte in spelled)


def _ascii(value: str, form: int) -> bytes | None:
    """Return the blob of ASCII text for Text, or for Msgpack up to 255 characters; None for other text."""
    size = len(value)
    if form == TEXT:
        begin = 0
    elif form == MSGPACK and size <= 0xFF:
        begin = 1 if size < 32 else 2
    else:
        return None
    if cython.compiled:
        if not PyUnicode_IS_ASCII(value):
            return None
        blob = PyBytes_FromStringAndSize(cython.NULL, begin + size)
        data = cython.cast(dirty_t, PyBytes_AS_STRING(blob))
        if begin == 1:
            data[0] = 0xA0 + size
        elif begin == 2:
            data[0] = 0xD9
            data[1] = size
        memcpy(data + begin, PyUnicode_1BYTE_DATA(value), size)
        return blob
    else:
        if not value.isascii():
            return None
        header = (b"", bytes((0xA0 + size & 0xFF,)), bytes((0xD9, size & 0xFF)))[begin]
        return header + value.encode("ascii")


def _blob_of_real(value: float) -> bytes:
    """Return a float in MessagePack."""
    if cython.compiled:
        number = cython.declare(cython.double, value)
        bits = cython.declare(cython.ulonglong)
        memcpy(cython.address(bits), cython.address(number), 8)
        return _spelled(0xCB, bits, 8, 0)
    else:
        return b"\xcb" + _DOUBLE.pack(value)
