"""Nat and Int: integers of any size, in the fewest bytes that still compare as the integers do.

    Nat                          the first byte, and the bytes after it
    0 to 247                     the number itself
    248 to 2**56 - 1             0xF7 + k, then the number in k bytes, k from 1 to 7
    2**56 and above              0xFF, then k as a Nat, then the number in k bytes, k from 8 on

    Int                          the first byte, and the bytes after it
    0 to 119                     0x80 + the number
    120 and above                as Nat
    below 0                      the bytes of -1 - number, with every bit inverted

Numbers are written in big-endian order without leading zero bytes. So each number has exactly one blob, and
blobs compare as the numbers do. Up to 2**56 - 1, blobs have 8 bytes or less: such a value takes no room
except its pointer.
"""

from stablemem.blobify.protocol import Blobify, BuiltIn
from stablemem.errors import BlobifyError

__all__ = ["Int", "Nat"]

_FOLLOWS = 0xF8
"""The lowest first byte that is followed by others."""

_LONG = 0xFF
"""The first byte of a number of more than 7 bytes."""

_HALF = 0x80
"""The first byte that stands for 0 in an Int."""

_TURNED = bytes(range(255, -1, -1))
"""Every byte with its bits inverted, for ``bytes.translate``."""


class Nat(BuiltIn, Blobify[int]):
    r"""Integers from 0 on, of any size. Up to 2**56 - 1 they take 1 to 8 bytes.

    The bytes compare as the numbers do, so ``sort`` does not decode them. A ``bool``, a negative number, a
    float and any other type, numpy's integers included, raise BlobifyError. O(size).

    >>> [Nat().to_blob(number).hex() for number in (7, 247, 248, 1_000_000)]
    ['07', 'f7', 'f8f8', 'fa0f4240']
    >>> Nat().from_blob(b"\xfa\x0f\x42\x40")
    1000000
    """

    name = "nat"
    order_preserving = True

    def to_blob(self, value: int, /) -> bytes:
        """Return the blob of ``value``."""
        _require_int(self, value)
        if value < 0:
            raise BlobifyError(
                "Nat stores integers from 0 on, and this one is negative: make the list with blobify='int'"
            )
        return _blob(value, 0)

    def from_blob(self, blob: bytes, /) -> int:
        """Return the number in ``blob``. BlobifyError if Nat did not write it."""
        return _value(self, blob, 0)


class Int(BuiltIn, Blobify[int]):
    r"""Integers of any size and sign. From -2**56 to 2**56 - 1 they take 1 to 8 bytes.

    The bytes compare as the numbers do, so ``sort`` does not decode them. A ``bool``, a float and any
    other type, numpy's integers included, raise BlobifyError. O(size).

    >>> [Int().to_blob(number).hex() for number in (-1_000_000, -1, 0, 1_000_000)]
    ['05f0bdc0', '7f', '80', 'fa0f4240']
    >>> Int().from_blob(b"\x7f")
    -1
    """

    name = "int"
    order_preserving = True

    def to_blob(self, value: int, /) -> bytes:
        """Return the blob of ``value``."""
        _require_int(self, value)
        return _blob(-1 - value, _HALF).translate(_TURNED) if value < 0 else _blob(value, _HALF)

    def from_blob(self, blob: bytes, /) -> int:
        """Return the number in ``blob``. BlobifyError if Int did not write it."""
        if blob[:1] < b"\x80":
            return -1 - _value(self, blob.translate(_TURNED), _HALF)
        return _value(self, blob, _HALF)


def _require_int(blobify: BuiltIn, value: object) -> None:
    if type(value) is not int:
        kind = type(value).__qualname__
        raise BlobifyError(
            f"{type(blobify).__name__} stores int and nothing else, not {kind}: convert it with int() first, "
            f"or make the list with another blobify="
        )


def _blob(value: int, zero: int) -> bytes:
    """Return the bytes of a number from 0 on; 0 itself is the one byte ``zero``."""
    if value < _FOLLOWS - zero:
        return bytes((zero + value,))
    size = (value.bit_length() + 7) // 8
    begin = bytes((_FOLLOWS - 1 + size,)) if size < 8 else bytes((_LONG,)) + _blob(size, 0)
    return begin + value.to_bytes(size, "big")


def _value(blobify: BuiltIn, blob: bytes, zero: int) -> int:
    """Return the number that ``_blob`` wrote as exactly these bytes; raise BlobifyError if there is none."""
    value = _read(blob, zero)
    if value is None:
        name = type(blobify).__name__
        shown = f"{blob[:16].hex()}..." if len(blob) > 16 else blob.hex()
        raise BlobifyError(
            f"the blob is not what {name} writes (as bytes: {shown}): it was written by another blobify, "
            f"or it is damaged; `stablemem get --raw` shows its bytes"
        )
    return value


def _read(blob: bytes, zero: int) -> int | None:
    if not blob or blob[0] < zero:
        return None
    first, size = blob[0], len(blob) - 1
    if first < _FOLLOWS:
        return first - zero if size == 0 else None
    if first < _LONG:
        digits = blob[1:] if size == first - _FOLLOWS + 1 else b""
    else:
        digits = _digits_of_long(blob)
    value = int.from_bytes(digits, "big")
    return value if digits and digits[0] and value >= _FOLLOWS - zero else None


def _digits_of_long(blob: bytes) -> bytes:
    """Return the bytes of a long number, after the Nat that counts them; ``b""`` if the count is wrong."""
    first = blob[1] if len(blob) > 1 else _LONG
    if first == _LONG:
        return b""
    begin = 2 if first < _FOLLOWS else 3 + first - _FOLLOWS
    digits = blob[begin:]
    return digits if len(digits) >= 8 and _read(blob[1:begin], 0) == len(digits) else b""
