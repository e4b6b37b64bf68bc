"""What the built-in codecs write."""

from judge.common import text

BUILT_IN = frozenset({"bytes", "text", "msgpack", "nat", "int"})

TURNED = bytes(0xFF - byte for byte in range(256))

# MessagePack by first byte: how many bytes of a number follow, and for what has parts or bytes behind it, how
# many bytes its length has.
NUMBERS = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
STRINGS = {0xD9: 1, 0xDA: 2, 0xDB: 4}
BINARIES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
ARRAYS = {0xDC: 2, 0xDD: 4}
MAPS = {0xDE: 2, 0xDF: 4}


def value_fault(codec: str, blob: bytes) -> str:
    """Return why a codec would not have written a blob; nothing if it might have, or is not built in."""
    if codec == "text" and text(blob) is None:
        return "not UTF-8"
    if codec == "nat" and not is_natural(blob, 0):
        return "no nat"
    if codec == "int" and not is_natural(blob if blob[:1] >= b"\x80" else blob.translate(TURNED), 0x80):
        return "no int"
    if codec == "msgpack" and end_of_value(blob, 0) != len(blob):
        return "no MessagePack"
    return ""


def is_natural(blob: bytes, zero: int) -> bool:
    """Return whether a blob is a number from 0 on, where one byte from ``zero`` to 0xF7 is one itself."""
    first = blob[0] if blob else -1
    if first < 0xF8:
        return len(blob) == 1 and first >= zero
    digits = blob[1:]
    if first == 0xFF:
        width = 1 if digits[:1] < b"\xf8" else digits[0] - 0xF6
        told, digits = digits[:width], digits[width:]
        if not is_natural(told, 0) or told[0] == 0xFF or len(digits) < 8:
            return False
        return len(digits) == int.from_bytes(told if width == 1 else told[1:]) and digits[0] > 0
    return len(digits) == first - 0xF7 and digits[0] > 0 and int.from_bytes(digits) >= 0xF8 - zero


def end_of_value(blob: bytes, at: int) -> int:
    """Return where the MessagePack value that begins at a place ends; -1 if none does."""
    missing = 1
    while missing:
        if at >= len(blob):
            return -1
        first = blob[at]
        at += 1
        missing -= 1
        if first < 0x80 or first >= 0xE0 or first in (0xC0, 0xC2, 0xC3):
            continue
        if first < 0xA0:
            missing += (first & 15) * (2 if first < 0x90 else 1)
            continue
        size = NUMBERS.get(first, 0)
        if first < 0xC0:
            size = first & 31
        elif not size:
            kinds = STRINGS | BINARIES | ARRAYS | MAPS
            if first not in kinds:
                return -1  # An extension type, or the byte that MessagePack does not use.
            width = kinds[first]
            size = int.from_bytes(blob[at : at + width])
            at += width
            if first in ARRAYS or first in MAPS:
                missing += size * (2 if first in MAPS else 1)
                if missing > len(blob):
                    return -1
                continue
        if at + size > len(blob) or (
            (first < 0xC0 or first in STRINGS) and text(blob[at : at + size]) is None
        ):
            return -1
        at += size
    return at
