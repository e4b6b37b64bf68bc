"""Registry: chooses the Blobify of a list: the given one, the recorded one, or the default."""

from typing import Any

from stablemem.blobify.integers import Int, Nat
from stablemem.blobify.msgpack import Msgpack
from stablemem.blobify.plain import Bytes, Text
from stablemem.blobify.protocol import Blobify, BuiltIn
from stablemem.errors import BlobifyError
from stablemem.layout import exact, is_name
from stablemem.shown import MOST, shown, shown_text

__all__ = ["BUILT_INS", "describe", "resolve"]

BUILT_INS: dict[str, type[BuiltIn]] = {kind.name: kind for kind in (Bytes, Text, Msgpack, Nat, Int)}


def describe(blobify: Blobify[Any]) -> tuple[str, bytes]:
    """Return the name and the options that a file records for ``blobify``.

    Raises:
        BlobifyError: it has no name.
        TypeError: its name is not a str that fits into a file, or belongs to a built-in Blobify, or its
            options are not bytes.

    >>> describe(Text())
    ('text', b'')
    """
    kind: type = type(blobify)
    name = getattr(blobify, "name", None)
    if name is None:
        raise BlobifyError(
            f"{kind.__qualname__} has no name, and the file needs one to recognise it: add a line to the "
            "class, "
            f'such as name = "my.{kind.__name__}", and keep it when the class moves'
        )
    options = getattr(blobify, "options", b"")
    if not is_name(name):
        raise TypeError(
            f"the name of a Blobify is a str of 1 to 65535 bytes in UTF-8; {kind.__qualname__} has "
            f"{shown(name, 60)}: call it something like 'package.Class'"
        )
    if not isinstance(options, bytes):
        raise TypeError(
            f"the options of a Blobify are bytes; {kind.__qualname__} has {shown(options)}: encode them"
        )
    if name in BUILT_INS and kind is not BUILT_INS[name]:
        raise TypeError(
            f"the name {name!r} belongs to a built-in Blobify: give {kind.__qualname__} a name of its own"
        )
    return exact(name), bytes(options)


def resolve(
    choice: Blobify[Any] | type[Blobify[Any]] | str | None,
    recorded: tuple[str, bytes] | None,
) -> Blobify[Any]:
    """Return the Blobify for a list.

    Args:
        choice: the choice of the caller: an instance, a class, the name of a built-in Blobify, or None.
        recorded: name and options from the file, or None for a new list.

    Raises:
        BlobifyError: the file records another Blobify than ``choice``; or ``choice`` is None, and the
            recorded one is not built in; or no built-in one has this name; or the given one has no name.
        TypeError: ``choice`` is not a Blobify.

    >>> resolve(None, None)
    Msgpack()
    >>> resolve(None, ("text", b""))
    Text()
    >>> resolve("bytes", ("text", b""))
    Traceback (most recent call last):
        ...
    stablemem.errors.BlobifyError: the file was written with blobify 'text', not 'bytes': ...
    """
    if choice is None:
        return Msgpack() if recorded is None else _from_record(*recorded)
    if isinstance(choice, str):
        if choice not in BUILT_INS:
            raise BlobifyError(
                f"no built-in Blobify is called {shown(choice)}: there are {_names()}; "
                f"pass an object with to_blob and from_blob for one of your own"
            )
        if recorded is not None and recorded[0] == choice:
            # If only a name is given, the options come from the file.
            return _from_record(*recorded)
        blobify = _from_record(choice, b"")
    else:
        blobify = _instance(choice)
    if recorded is None:
        describe(blobify)
        return blobify
    asked = None if getattr(blobify, "name", None) is None else describe(blobify)
    if asked != recorded:
        raise BlobifyError(_mismatch(blobify, asked, *recorded))
    return blobify


def _mismatch(blobify: Blobify[Any], asked: tuple[str, bytes] | None, name: str, options: bytes) -> str:
    """Return the message for a file that records another Blobify than the one asked for."""
    kind = shown_text(type(blobify).__qualname__)
    if asked is None:
        what = f"{shown(name)}, and {kind} has no name"
    elif asked[0] != name:
        what = f"{shown(name)}, not {shown(asked[0])}"
    else:
        what = f"{shown(name)} with the options {shown(options)}, not {shown(asked[1])}"
    remedy = "pass the one it was written with"
    if name in BUILT_INS:
        remedy = f"leave blobify= out, or {remedy}"
    elif not isinstance(blobify, BuiltIn) and (asked is None or asked[0] != name):
        remedy += f"; if {kind} is that one, give the class the line name = {shown(name, 4 * MOST)}"
    return f"the file was written with blobify {what}: {remedy}"


def _from_record(name: str, options: bytes) -> Blobify[Any]:
    kind = BUILT_INS.get(name)
    if kind is None:
        raise BlobifyError(
            f"the file was written with blobify {shown(name)}, which is not built in (there are {_names()}): "
            f"pass blobify= with the object it was written with"
        )
    built: Any = kind.from_options(options)
    blobify: Blobify[Any] = built
    return blobify


def _instance(choice: Blobify[Any] | type[Blobify[Any]]) -> Blobify[Any]:
    kind = choice if isinstance(choice, type) else type(choice)
    for method in ("to_blob", "from_blob"):
        if not callable(getattr(choice, method, None)):
            raise TypeError(
                f"blobify= takes an object or class with to_blob and from_blob, or one of the names "
                f"{_names()}; {kind.__qualname__} has no {method}"
            )
    if not isinstance(choice, type):
        return choice
    try:
        return choice()
    except TypeError as error:
        raise TypeError(f"{kind.__qualname__} cannot be made without arguments: pass an instance") from error


def _names() -> str:
    return ", ".join(sorted(BUILT_INS))
