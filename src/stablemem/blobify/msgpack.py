"""Msgpack: plain data in the MessagePack format, the default."""

from collections.abc import Iterator
from typing import Any

import msgspec.msgpack

from stablemem.blobify.protocol import Blobify, BuiltIn
from stablemem.errors import BlobifyError
from stablemem.shown import shown, shown_text

__all__ = ["MAX_DEPTH", "Msgpack"]

# Fixed, because the recursion limit may allow fewer levels while reading than it did while writing.
MAX_DEPTH = 200

_LEAVES = frozenset({type(None), bool, int, float, str, bytes})
_MIN_INT = -(2**63)
_MAX_INT = 2**64 - 1
_ACCEPTED = "None, bool, int, float, str, bytes, list, tuple and dict"


def _refuse_extension(code: int, _data: memoryview) -> Any:
    raise BlobifyError(
        f"the blob holds MessagePack extension type {code}, which Msgpack never writes: "
        f"it was written by something else, or it is damaged; `stablemem get --raw` shows its bytes"
    )


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ext_hook=_refuse_extension).decode


class Msgpack(BuiltIn, Blobify[Any]):
    """Plain data: None, bool, int, float, str, bytes, and list, tuple and dict of these.

    Reading a blob runs no code from the file. A value comes back equal and of the same types, except
    that a **tuple comes back as a list** (as the key of a dict it stays a tuple). Keys may be of any
    type above that is hashable.

    Types that would not come back as they were raise BlobifyError, which names the type and its place in the
    value: sets, enum members, Decimal, dates, UUID, dataclasses, ``bytearray``, numpy scalars, and subclasses
    such as OrderedDict or a named tuple. The same holds for an int outside -2**63 to 2**64-1, a str with a
    lone surrogate, and nesting deeper than 200. O(size of the value).

    >>> msgpack = Msgpack()
    >>> msgpack.from_blob(msgpack.to_blob({"id": 7, "at": (1.5, None)}))
    {'id': 7, 'at': [1.5, None]}
    >>> msgpack.to_blob({"tags": {"new"}})
    Traceback (most recent call last):
        ...
    stablemem.errors.BlobifyError: Msgpack cannot keep the set at value['tags'] as it is: ...
    """

    name = "msgpack"

    def to_blob(self, value: Any, /) -> bytes:
        """Return ``value`` in MessagePack."""
        try:
            blob = _encode(value)
            if type(value) in _LEAVES or _is_plain(value, MAX_DEPTH):
                return blob
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.EncodeError) as error:
            raise BlobifyError(_refusal(value, str(error))) from error
        raise BlobifyError(_refusal(value, "it is not plain data"))

    def from_blob(self, blob: bytes, /) -> Any:
        """Return the value in ``blob``. BlobifyError if Msgpack did not write it."""
        try:
            value = _decode(blob)
            # A timestamp is the only extension that msgspec decodes without calling the hook. Its type byte
            # is 0xff, and a search for that byte is far cheaper than a walk over each value that is read.
            if 255 in blob and type(value) not in _LEAVES and not _is_plain(value, -1):
                _refuse_extension(-1, memoryview(b""))
        except RecursionError as error:
            raise BlobifyError(
                f"the blob is nested too deep to read, and Msgpack writes {MAX_DEPTH} levels at most: "
                "another program wrote it, or it is damaged (`stablemem get --raw` shows its bytes), or "
                "your code calls this from a very deep recursion"
            ) from error
        except ValueError as error:
            raise BlobifyError(
                f"the blob is not what Msgpack writes ({error}): it was written by another blobify, "
                f"or it is damaged; `stablemem get --raw` shows its bytes"
            ) from error
        return value


def _is_plain(value: object, depth: int) -> bool:
    """Return whether ``value``, which is not a leaf, is a container of exactly the plain types.

    msgspec writes a set, an enum member, a date and the like without calling its hook, and because of NaN
    the decoded value cannot be compared with the given one. So each type is checked. For small values, a
    recursive loop is twice as fast as a loop over levels or sets of types; for large ones it is as fast.
    """
    if depth == 0:
        return False
    kind = type(value)
    if kind is dict:
        for key, item in value.items():  # type: ignore[attr-defined]
            if type(key) is not str and type(key) not in _LEAVES and not _is_plain(key, depth - 1):
                return False
            if type(item) not in _LEAVES and not _is_plain(item, depth - 1):
                return False
        return True
    if kind is not list and kind is not tuple:
        return False
    for item in value:  # type: ignore[attr-defined]  # noqa: SIM110  (a generator is slower)
        if type(item) not in _LEAVES and not _is_plain(item, depth - 1):
            return False
    return True


def _refusal(value: object, reason: str) -> str:
    """Return why ``value`` is refused. Names the first part at fault; if none is found, gives ``reason``."""
    # An explicit stack, because the call stack may have overflowed.
    stack: list[tuple[str, object, int]] = [("value", value, 0)]
    while stack:
        path, item, depth = stack.pop()
        where = shown_text(path)
        kind = type(item)
        if kind is str:
            try:
                item.encode()  # type: ignore[attr-defined]
            except UnicodeEncodeError as error:
                return (
                    f"Msgpack cannot write the str at {where}: it has a lone surrogate at position "
                    f"{error.start}; replace it, or encode with errors='surrogateescape' and store bytes"
                )
        elif kind is int:
            if not _MIN_INT <= item <= _MAX_INT:  # type: ignore[operator]
                return (
                    f"Msgpack cannot write the int at {where}: it must lie in -2**63 to 2**64-1; "
                    f"store it as str; a list of nothing but integers takes any size with blobify='int'"
                )
        elif kind in _LEAVES:
            continue
        elif kind is dict or kind is list or kind is tuple:
            if depth == MAX_DEPTH:
                return (
                    f"Msgpack cannot write a value nested deeper than {MAX_DEPTH} levels, or one that "
                    f"contains itself: flatten it, or store it in several values"
                )
            parts = [(f"{path}{step}", part, depth + 1) for step, part in _parts(item)]
            stack += reversed(parts)
        else:
            return (
                f"Msgpack cannot keep the {_name_of(kind)} at {where} as it is: it keeps {_ACCEPTED}, and no "
                f"subclass of them; convert it, or make the list with blobify= an object of your own whose "
                f"to_blob and from_blob keep it"
            )
    return f"Msgpack cannot write the value: {shown_text(reason)}; store it in pieces, or flatten it"


def _parts(container: object) -> Iterator[tuple[str, object]]:
    if isinstance(container, dict):
        for key, item in container.items():
            yield f" (key {_short(key)})", key
            yield f"[{_short(key)}]", item
    elif isinstance(container, (list, tuple)):
        for index, item in enumerate(container):
            yield f"[{index}]", item


def _short(key: object) -> str:
    if type(key) in (str, bytes, int, float, bool, type(None)):
        return shown(key, 40)
    return "..." if type(key) is tuple else f"<{_name_of(type(key))}>"


def _name_of(kind: type) -> str:
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return shown_text(name)
