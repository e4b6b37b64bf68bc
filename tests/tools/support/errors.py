"""Reading what errors say, and what makes them."""

import contextlib
import os
import traceback
from pathlib import Path

import pytest

__all__ = ["Own", "as_list_says", "failing", "flip", "refused"]


def as_list_says(error):
    """Return the words of an error of a list or a MemoryBuffer, the same whatever the version of Python.

    Of a slice that is assigned to, list has other words from 3.13 on, and of ``index`` from 3.14 on.
    """
    said = str(error).replace("MemoryBuffer", "list")
    said = said.replace("must assign iterable to extended slice", "can only assign an iterable")
    return "list.index(x): x not in list" if said.endswith(" is not in list") else said


def refused(call, kind, *parts):
    """Return the error of a call, which is of exactly this kind and says each of the parts in one line."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - it is looked at here, and its frames may hold huge values
        caught = error
    else:
        pytest.fail(f"it was done, without {kind.__name__}")
    if type(caught) is not kind:
        pytest.fail("".join(traceback.format_exception(caught)), pytrace=False)
    said = str(caught)
    for part in parts:
        assert part in said
    assert "\n" not in said
    assert len(said) < 1500
    return caught


class Own:
    """A Blobify of one's own, which keeps what it is given."""

    name = "tests.Own"

    def to_blob(self, value):
        return value

    def from_blob(self, blob):
        return blob


@contextlib.contextmanager
def failing(name, number, kept=lambda *_: False):
    """Let a function of os fail with an error number, except where ``kept`` says otherwise."""
    real = getattr(os, name)

    def fail(*arguments, **more):
        if kept(*arguments):
            return real(*arguments, **more)
        raise OSError(number, os.strerror(number), arguments[0] if isinstance(arguments[0], str) else None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, name, fail)
        yield


def flip(path, *addresses):
    """Change one bit of the bytes at some addresses."""
    content = bytearray(Path(path).read_bytes())
    for address in addresses:
        content[address] ^= 1
    Path(path).write_bytes(content)
