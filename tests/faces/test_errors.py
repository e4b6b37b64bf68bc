"""Errors: what they are, and what opening says: what was expected, what was found, and what to do.

The tables read: what the user does, the error, then those three parts of its message. What an open list
says is in test_error_messages.py, and the command line in test_cli_errors.py.
"""

import contextlib
import copy
import datetime
import decimal
import errno
import fractions
import io
import mmap
import os
import pickle
import socket
import subprocess
import sys
import threading

import pytest
from xxhash import xxh3_64_intdigest

from stablemem import MemoryBuffer, MemoryRegion, errors
from stablemem.errors import (
    BlobifyError,
    BlockError,
    CorruptRegionError,
    NotARegionError,
    ReadOnlyError,
    RegionClosedError,
    RegionFullError,
    RegionLockedError,
    RegionReplacedError,
    StableMemoryError,
    VersionError,
)
from support import HANGS, environment
from support.errors import Own, failing, flip, refused
from support.paths import PATHS

# -- what they are ---------------------------------------------------------------------------------------

ALL = [
    NotARegionError("x is not a region"),
    VersionError("x has format 7"),
    CorruptRegionError(4096, "a node", "zeros", "x.smem"),
    BlobifyError("cannot", 5),
    BlobifyError("cannot"),
    RegionFullError("the disk is full", "x.smem"),
    RegionLockedError("x.smem", 4711),
    RegionLockedError("x.smem"),
    RegionReplacedError("x.smem is another file"),
    RegionClosedError("x.smem is closed"),
    ReadOnlyError("read only"),
    BlockError("freed twice"),
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_pickle_and_copy(error):
    """Errors cross process boundaries whole, as a pool of workers needs."""
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
        assert getattr(again, "errno", None) == getattr(error, "errno", None)


def test_what_they_are_besides():
    assert all(isinstance(error, StableMemoryError) for error in ALL)
    for kind, builtin in (
        (RegionFullError, OSError), (RegionLockedError, BlockingIOError), (RegionClosedError, ValueError),
        (ReadOnlyError, io.UnsupportedOperation), (BlockError, ValueError),
    ):  # fmt: skip
        assert issubclass(kind, builtin)
    for kind in (CorruptRegionError, NotARegionError, VersionError, BlobifyError):
        assert not issubclass(kind, ValueError | LookupError | TypeError | OSError), (
            "try: index(x) except ValueError must not hide damage"
        )


def test_corrupt():
    error = CorruptRegionError(4096, "a node", "zeros", "x.smem")
    assert (error.address, error.expected, error.found, error.path) == (4096, "a node", "zeros", "x.smem")
    for part in ("x.smem is damaged at address 4096", "expected a node", "found zeros", "stablemem verify"):
        assert part in str(error)
    assert "the region is damaged" in str(CorruptRegionError(0, 1, 2))


def test_full():
    error = RegionFullError("the disk is full", "x.smem")
    assert error.errno == errno.ENOSPC
    assert error.filename == "x.smem"
    assert "the disk is full" in str(error)


def test_locked():
    error = RegionLockedError("x.smem", 4711)
    assert error.pid == 4711
    assert error.errno == errno.EAGAIN
    for part in ("x.smem is open for writing in process 4711", "mode='r'", "timeout="):
        assert part in str(error)
    ours = str(RegionLockedError("x", os.getpid()))
    assert f"this process ({os.getpid()})" in ours
    assert "timeout" not in ours, "waiting for oneself never ends"
    assert "another process" in str(RegionLockedError("x"))


def test_blobify():
    assert str(BlobifyError("cannot", 5)) == "value 5: cannot"
    error = BlobifyError("cannot")
    assert error.index is None
    error.index = 0
    assert str(error) == "value 0: cannot"
    error.index = None
    assert str(error) == "cannot", "a value that was given alone has no place to name"


def test_all_are_exported():
    kinds = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, StableMemoryError)
    }
    assert kinds | {"UncommittedChangesWarning"} == set(errors.__all__)


# -- opening: what is at the path ------------------------------------------------------------------------


def prepare(folder, what):
    """Return the path of what a row of the table is about."""
    path = folder / "file"
    if what in {"a region", "a newer format", "a file cut short", "damaged slots"}:
        MemoryBuffer.from_iterable(["one", "two", "a third value that is longer"], path, "w").close()
    match what:
        case "no folder":
            return str(folder / "nowhere" / "file")
        case "no path":
            return ""
        case "another file":
            path.write_bytes(b"some text, and no region\n" * 1000)
        case "a short file":
            path.write_bytes(b"abc")
        case "an empty file":
            path.touch()
        case "a newer format":
            content = bytearray(path.read_bytes())
            for slot in (0, 4096, 8192):
                if any(content[slot : slot + 8]):
                    content[slot + 8 : slot + 12] = (7).to_bytes(4, "little")
                    check = xxh3_64_intdigest(bytes(content[slot : slot + 504]))
                    content[slot + 504 : slot + 512] = check.to_bytes(8, "little")
            path.write_bytes(content)
        case "a file cut short":
            os.truncate(path, 12288)
        case "damaged slots":
            flip(path, 40, 4136, 8232)
        case "a folder":
            path.mkdir()
        case "a fifo":
            os.mkfifo(path)
        case "a device":
            return os.devnull
        case "a socket":
            with contextlib.chdir(folder), socket.socket(socket.AF_UNIX) as bound:
                bound.bind("file")
        case "below a file":
            path.touch()
            return str(path / "file")
        case "a loop":
            path.symlink_to("file")
        case "a long name":
            return str(folder / ("x" * 300))
    return str(path)


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize(
    ("what", "mode", "kind", "expected", "found", "remedy"),
    [(what, mode, *rest) for what, modes, *rest in PATHS for mode in modes.split()],
)
def test_opening(tmp_path, what, mode, kind, expected, found, remedy):
    path = prepare(tmp_path, what)
    before = sorted(os.listdir(tmp_path))
    for call in (MemoryBuffer, MemoryRegion):
        error = refused(lambda call=call: call(path, mode), kind, path, expected, found, remedy)
        if not isinstance(error, StableMemoryError):
            assert error.filename == path
    assert sorted(os.listdir(tmp_path)) == before, "nothing is made, and nothing of it stays"


@pytest.mark.parametrize("what", ["nothing", "no folder", "no path", "a folder", "below a file", "a loop"])
def test_opening_fails_as_open_does(tmp_path, what):
    path = prepare(tmp_path, what)
    outcomes = []
    for call in (open, MemoryBuffer):
        with pytest.raises(OSError, match=r"\[Errno") as caught:
            call(path, "r+")
        outcomes.append((type(caught.value), caught.value.errno, caught.value.filename))
    assert outcomes[0] == outcomes[1]


def test_a_path_that_no_kernel_takes():
    for call in (open, MemoryBuffer, MemoryRegion):
        # The rest of the words depends on the version of Python.
        refused(lambda call=call: call("a\0b"), ValueError, "embedded null")


def is_other(path, *_):
    """Say whether a file is none of a test's own: of /proc and the like."""
    return not str(path).endswith(("there", "new", "missing"))


REFUSED_BY_THE_KERNEL = [
    # the call and how it fails; the file and the mode; then error, expected, found, what to do
    (("open", errno.EACCES), ("there", "r"), PermissionError,
     "mode='r' needs", "Permission denied", "the right to read it"),
    (("open", errno.EACCES), ("there", "a"), PermissionError,
     "mode='a' needs the right to write there", "Permission denied", "mode='r' only reads"),
    (("open", errno.EPERM), ("there", "w"), PermissionError,
     "mode='w' needs the right to write there", "Operation not permitted", "mode='r' only reads"),
    (("open", errno.EROFS), ("there", "r+"), OSError,
     "mode='r+' needs the right to write there", "Read-only file system", "mode='r' only reads"),
    (("open", errno.EMFILE), ("there", "a"), OSError,
     "close others", "Too many open files", "raise the limit (ulimit -n)"),
    (("pwritev", errno.ENOSPC), ("missing", "a"), RegionFullError,
     "nothing committed was lost", "no space left on the disk while writing", "free some space"),
    (("pwritev", errno.ENOSPC), ("there", "w"), RegionFullError,
     "nothing committed was lost", "no space left on the disk while writing", "free some space"),
    (("pwritev", errno.EIO), ("missing", "x"), OSError,
     "while writing 12288 bytes", "Input/output error", "check the disk"),
    (("pread", errno.EIO), ("there", "r"), OSError,
     "while reading at address 0", "Input/output error", "check the disk"),
    (("link", errno.EPERM), ("missing", "a"), PermissionError,
     "gets its name by a hard link", "this file system has none", "make the region on another file system"),
]  # fmt: skip


@pytest.mark.parametrize(("how", "where", "kind", "expected", "found", "remedy"), REFUSED_BY_THE_KERNEL)
def test_what_the_kernel_refuses(tmp_path, how, where, kind, expected, found, remedy):
    MemoryBuffer.from_iterable([1], tmp_path / "there").close()
    path = str(tmp_path / where[0])
    with failing(*how, kept=is_other if how[0] == "open" else lambda *_: False):
        error = refused(lambda: MemoryBuffer(path, where[1]), kind, expected, found, remedy)
    assert error.filename == path, "the file that was asked for, not one that was made on the way"
    assert error.errno == how[1]
    assert str(error).count(str(tmp_path)) == 1
    assert os.listdir(tmp_path) == ["there"]
    with MemoryBuffer(tmp_path / "there", "r") as values:
        assert values[:] == [1]


def test_no_descriptors_left(path):
    """The file is opened once more by way of /proc, whose names say nothing to a user."""
    other = f"{path}.other"
    MemoryBuffer(other).close()
    values = MemoryBuffer.from_iterable([1], path, io="map")
    reader = MemoryBuffer(path, "r")
    values.append(2)
    values.commit()
    said = "Too many open files", "close some files, or raise the limit on open ones (ulimit -n)"
    with failing("open", errno.EMFILE, kept=lambda name, *_: not str(name).startswith("/proc/self/fd")):
        calls = (
            (lambda: MemoryBuffer(other, "r+", io="map"), other),
            (values.snapshot, path),
            (reader.refresh, path),
        )
        for call, file in calls:
            error = refused(call, OSError, *said, file)
            assert error.filename == file
            assert "/proc" not in str(error)
    with failing("memfd_create", errno.EMFILE):
        error = refused(MemoryBuffer, OSError, *said, "making a region in memory")
        assert error.filename is None
    assert values[:] == [1, 2]
    assert reader.refresh()
    assert reader[:] == [1, 2]


def test_no_memory_to_map(path, monkeypatch):
    MemoryBuffer.from_iterable(["long enough to be read through the map"], path).close()

    def fail(*_, **__):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    remedy = "free some memory, close other regions, or raise the limit (ulimit -v)"
    with monkeypatch.context() as patch:
        patch.setattr(mmap, "mmap", fail)
        for mode in ("r", "a"):
            said = "Cannot allocate memory while mapping", remedy, path
            refused(lambda mode=mode: MemoryBuffer(path, mode, io="map"), OSError, *said)
    with MemoryBuffer(path) as values:
        assert len(values) == 1


# -- arguments -------------------------------------------------------------------------------------------


class BytesPath:
    def __fspath__(self):
        return b"x.smem"


class NeedsWidth(Own):
    def __init__(self, width):
        self.options = bytes([width])


MODES = "it may be 'r', 'r+', 'a', 'x' or 'w'"
A_NAME = "the name of a list is a str of 1 to 65535 bytes"
METHODS = "an object or class with to_blob and from_blob, or one of the names bytes, int, msgpack, nat, text"
OWN_NAME = "the name of a Blobify is a str of 1 to 65535 bytes in UTF-8"
FILL = "to fill a list with values, use MemoryBuffer.from_iterable(values)"

ARGUMENTS = {
    # call, error, expected, found, what to do
    "values for a source": (lambda: MemoryBuffer([1, 2]), TypeError,
        "source is a path, a MemoryRegion or None", "not list", FILL),
    "a file for a source": (lambda: MemoryBuffer(io.BytesIO()), TypeError,
        "source is a path, a MemoryRegion or None", "not BytesIO", FILL),
    "a number for a source": (lambda: MemoryRegion(3), TypeError,
        "source is a path or None", "not int", "name a file, or leave it out for a region in memory"),
    "a path of bytes": (lambda: MemoryBuffer(BytesPath()), TypeError,
        "source is a path of text", "not of bytes", "decode it with os.fsdecode()"),
    "a mode of open": (lambda: MemoryBuffer(mode="rb"), ValueError, "mode is", "'rb'", MODES),
    "a mode in capitals": (lambda: MemoryRegion("nothing", "R"), ValueError, "mode is", "'R'", MODES),
    "no mode": (lambda: MemoryBuffer("nothing", None), ValueError, "mode is", "None", MODES),
    "text for a timeout": (lambda: MemoryBuffer("nothing", timeout="1"), TypeError,
        "timeout is a number of seconds", "not str", "0 does not wait"),
    "no timeout": (lambda: MemoryRegion("nothing", timeout=None), TypeError,
        "timeout is a number of seconds", "not NoneType", "0 does not wait"),
    "a timeout in the past": (lambda: MemoryBuffer("nothing", timeout=-1), ValueError,
        "timeout is 0 seconds or more", "not -1", "0 does not wait"),
    "a timeout that never ends": (lambda: MemoryBuffer("nothing", timeout=float("nan")), ValueError,
        "timeout is 0 seconds or more", "not nan", "0 does not wait"),
    "an empty name": (lambda: MemoryBuffer(name=""), ValueError, A_NAME, "not ''", "or leave name= out"),
    "a number for a name": (lambda: MemoryRegion().buffer(5), ValueError, A_NAME, "not 5", "name it"),
    "a name too long": (lambda: MemoryBuffer(name="x" * 70_000), ValueError, A_NAME, "xxx...xxx", "name it"),
    "text for commit_every": (lambda: MemoryRegion("nothing", commit_every="1"), TypeError,
        "a number of changes (int) or of seconds (float or timedelta)", "not str", "commit_every is"),
    "no change for commit_every": (lambda: MemoryBuffer("nothing", commit_every=0), ValueError,
        "commit_every is above 0", "not 0", "leave it out to commit by commit()"),
    "two ways to commit": (lambda: MemoryBuffer("nothing", autocommit=True, commit_every=2), ValueError,
        "autocommit=True", "commits every change already", "leave commit_every out"),
    "a mode for an open region": (lambda: MemoryBuffer(MemoryRegion(), "r"), TypeError,
        "mode is an option of the region", "which is open already", "give it to MemoryRegion"),
    "a timeout for an open region": (lambda: MemoryBuffer(MemoryRegion(), timeout=1), TypeError,
        "timeout is an option of the region", "which is open already", "give it to MemoryRegion"),
    "values that are none": (lambda: MemoryBuffer.from_iterable(5), TypeError,
        "'int' object is", "not", "iterable"),
    "an option that is none": (lambda: MemoryBuffer(nmae="x"), TypeError,
        "got an unexpected keyword argument 'nmae'", "its options are autocommit", "maxlen, name"),
    "an option of a region that is none": (lambda: MemoryRegion(nmae="x"), TypeError,
        "got an unexpected keyword argument 'nmae'", "its options are autocommit", "max_size, on"),
}  # fmt: skip

BLOBIFYS = {
    "an unknown name": ("yaml", BlobifyError, "there are bytes, int, msgpack, nat, text",
        "no built-in Blobify is called 'yaml'", "pass an object with to_blob and from_blob"),
    "a name in capitals": ("Text", BlobifyError, "there are bytes, int, msgpack, nat, text",
        "no built-in Blobify is called 'Text'", "pass an object with to_blob and from_blob"),
    "pickle by name": ("pickle", BlobifyError, "there are bytes, int, msgpack, nat, text",
        "no built-in Blobify is called 'pickle'", "pass an object with to_blob and from_blob"),
    "bytes for a name": (b"text", TypeError, METHODS, "bytes has no to_blob", "blobify= takes"),
    "any object": (object(), TypeError, METHODS, "object has no to_blob", "blobify= takes"),
    "any class": (dict, TypeError, METHODS, "dict has no to_blob", "blobify= takes"),
    "half a Blobify": (type("Half", (), {"to_blob": Own.to_blob}), TypeError,
        METHODS, "Half has no from_blob", "blobify= takes"),
    "a class that needs more": (NeedsWidth, TypeError,
        "without arguments", "NeedsWidth cannot be made", "pass an instance"),
    "an empty name of its own": (type("Bad", (Own,), {"name": ""}), TypeError,
        OWN_NAME, "Bad has ''", "call it something like 'package.Class'"),
    "a name with no room": (type("Bad", (Own,), {"name": "x" * 65536}), TypeError,
        OWN_NAME, "Bad has 'xxx", "call it something like 'package.Class'"),
    "a name that is no UTF-8": (type("Bad", (Own,), {"name": "\udcff"}), TypeError,
        OWN_NAME, r"Bad has '\udcff'", "call it something like 'package.Class'"),
    "a name that is taken": (type("Bad", (Own,), {"name": "text"}), TypeError,
        "belongs to a built-in Blobify", "the name 'text'", "give Bad a name of its own"),
    "options of text": (type("Bad", (Own,), {"options": "x"}), TypeError,
        "the options of a Blobify are bytes", "Bad has 'x'", "encode them"),
}  # fmt: skip

WRITTEN = {
    # what the list was written with, what it is opened with; then expected, found, what to do
    "another built-in": ("text", "bytes",
        "written with blobify 'text'", "not 'bytes'", "leave blobify= out, or pass the one it was written"),
    "the default": ("text", "msgpack",
        "written with blobify 'text'", "not 'msgpack'", "leave blobify= out, or pass the one it was written"),
    "ones own, not passed": (Own, None,
        "(there are bytes, int, msgpack, nat, text)",
        "'tests.Own', which is not built in", "pass blobify= with the"),
    "ones own, another passed": (Own, "text",
        "written with blobify 'tests.Own'", "not 'text'", "pass the one it was written with"),
    "ones own, other options": (NeedsWidth(3), NeedsWidth(4),
        r"'tests.Own' with the options b'\x03'", r"not b'\x04'", "pass the one it was written with"),
    "a file that says pickle": (type("Pickle", (Own,), {"name": "pickle"}), None,
        "(there are bytes, int, msgpack, nat, text)",
        "'pickle', which is not built in", "pass blobify= with the"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "expected", "found", "remedy"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments(tmp_path, monkeypatch, call, kind, expected, found, remedy):
    monkeypatch.chdir(tmp_path)
    refused(call, kind, expected, found, remedy)
    assert os.listdir(tmp_path) == []


WATCHDOG = 600
"""Seconds after which a test that hangs fails."""

HUGE = 10**5000
"""More digits than Python spells out, and more than a float holds."""

NUMBERS = {
    # option: what may be given; what is no number for it; numbers that it cannot be
    "timeout": (
        [0, 0.0, 5, 1e300, float("inf"), HUGE, fractions.Fraction(1, 3)],
        [True, "1", None, b"1", 1j, [1], decimal.Decimal(1), datetime.timedelta(1)],
        [-1, -0.5, -HUGE, float("nan"), float("-inf"), fractions.Fraction(-1, 3)],
    ),
    "commit_every": (
        [None, 1, HUGE, 1e-9, 1e300, datetime.timedelta.max],
        [True, False, "1", b"1", 1j, [1], decimal.Decimal(1)],
        [0, -1, 0.0, -1.5, -HUGE, float("nan"), float("inf"), float("-inf"), datetime.timedelta(0)],
    ),
    "max_size": (
        [None, 1 << 20, HUGE],
        [True, "1", b"1", 1e9, float("nan"), float("inf"), [1 << 20]],
        [0, -1, 1000, -HUGE],
    ),
    "low_space": (
        [0.5, 1, 1e-300],
        [True, "1", None, [1], 1j],
        [0, 0.0, -1, 1.5, 2, HUGE, -HUGE, float("nan"), float("inf"), float("-inf")],
    ),
    "maxlen": (
        [None, 0, 5, (1 << 63) - 1],
        [True, "1", b"1", 1.0, float("nan"), float("inf"), [1]],
        [-1, -HUGE],
    ),
    "on_low_space": ([None, print], [5, "print", True], []),
    "fit": (["first", "best"], [], ["worst", None, True, 5, "FIRST" * 1000]),
}  # fmt: skip


@pytest.mark.parametrize("option", NUMBERS)
def test_odd_numbers(tmp_path, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    good, no_number, wrong = NUMBERS[option]
    for value in good:
        MemoryBuffer("good", **{option: value}).close()
    os.unlink("good")
    for values, kind in ((no_number, TypeError), (wrong, ValueError)):
        for value in values:
            said = f"not {type(value).__name__}" if kind is TypeError else "not "
            said = "timeout is " if option == "timeout" and kind is ValueError else said
            refused(lambda value=value: MemoryBuffer("file", **{option: value}), kind, f"{option} is ", said)
            assert os.listdir() == []
    if option == "maxlen":
        refused(
            lambda: MemoryBuffer("file", maxlen=HUGE), OverflowError, "maxlen is below 2**63", "None keeps"
        )


@pytest.mark.parametrize("timeout", [HUGE, float("inf")], ids=["huge", "inf"])
def test_a_timeout_beyond_all_numbers_waits(path, timeout):
    first = MemoryBuffer(path)
    opened = []
    waiting = threading.Thread(target=lambda: opened.append(MemoryBuffer(path, timeout=timeout)))
    waiting.start()
    first.close()
    waiting.join(WATCHDOG)
    assert len(opened) == 1
    opened[0].close()


ODD_CALLS = {
    # call; error; what it says
    "no bytes to move": (
        lambda r: r.compact(max_bytes=-1),
        ValueError,
        "0 bytes or more, not -1",
    ),
    "far too few": (lambda r: r.compact(max_bytes=-HUGE), ValueError, "not <int of 166"),
    "a part of a byte": (
        lambda r: r.compact(max_bytes=1.5),
        TypeError,
        "max_bytes is a number of bytes",
    ),
    "text for bytes": (lambda r: r.compact(max_bytes="1"), TypeError, "not str"),
    "yes for bytes": (lambda r: r.compact(max_bytes=True), TypeError, "not bool"),
    "an empty block": (lambda r: r.allocate(0), ValueError, "a block has 1 byte or more, not 0"),
    "a block below nothing": (lambda r: r.allocate(-HUGE), ValueError, "not <int of 166"),
    "a block too large": (lambda r: r.allocate(HUGE), ValueError, "not <int of 166"),
    "a block of a fraction": (lambda r: r.allocate(1.5), TypeError, "'float' object cannot be"),
    "an address too high": (
        lambda r: r.deallocate(HUGE, 1),
        BlockError,
        "address <int of 166",
    ),
    "a size too large": (lambda r: r.deallocate(0, HUGE), ValueError, "not <int of 166"),
    "reading too high": (lambda r: r.load(HUGE, 1), BlockError, "block (<int of 16610 bits>, 1) is"),
    "reading too much": (lambda r: r.view(0, HUGE), BlockError, "block (0, <int of 166"),
    "asking too high": (lambda r: r.is_free(HUGE, 1), BlockError, "block (<int of 16610 bits>, 1) is"),
    "asking too much": (
        lambda r: r.is_allocated(0, HUGE),
        BlockError,
        "block (0, <int of 166",
    ),
    "growing by too much": (lambda r: r.grow(HUGE), RegionFullError, "would end beyond"),
    "growing by less": (lambda r: r.grow(-HUGE), ValueError, "by 0 pages or more, not <int of 166"),
    "a number too large": (lambda r: r.add_as("u8", HUGE), OverflowError, "u8 holds 0 to 255, not <int of"),
    "a fraction too large": (lambda r: r.add_as("f64", HUGE), OverflowError, "up to 1.8e308, not <int of"),
    "no kind of number": (
        lambda r: r.add_as("x" * 9999, 1),
        ValueError,
        "the kind of a number is one of u8, u16",
    ),
    "a root too large": (
        lambda r: r.roots.__setitem__("a", HUGE),
        OverflowError,
        "from -2**127 to",
    ),
}


@pytest.mark.parametrize(("call", "kind", "said"), ODD_CALLS.values(), ids=ODD_CALLS)
def test_odd_numbers_for_blocks(call, kind, said):
    with MemoryRegion() as region:
        refused(lambda: call(region), kind, said)
        assert region.stats().changes == 0


@pytest.mark.parametrize(("blobify", "kind", "expected", "found", "remedy"), BLOBIFYS.values(), ids=BLOBIFYS)
def test_blobify_arguments(path, blobify, kind, expected, found, remedy):
    MemoryBuffer.from_iterable(["kept"], path, blobify="text").close()
    refused(lambda: MemoryBuffer(blobify=blobify), kind, expected, found, remedy)
    refused(lambda: MemoryBuffer(path, "r", blobify=blobify), kind, expected, found, remedy)
    with MemoryBuffer(path) as values:
        assert values[:] == ["kept"]


@pytest.mark.parametrize(("written", "opened", "expected", "found", "remedy"), WRITTEN.values(), ids=WRITTEN)
def test_another_blobify_than_it_was_written_with(path, written, opened, expected, found, remedy):
    MemoryBuffer(path, blobify=written).close()
    for mode in ("r", "a"):
        error = refused(
            lambda mode=mode: MemoryBuffer(path, mode, blobify=opened), BlobifyError, expected, found, remedy
        )
        assert error.index is None


@pytest.mark.parametrize("mode", ["w", "x"])
@pytest.mark.parametrize(
    "blobify", [type("NoName", (), {"to_blob": bytes, "from_blob": bytes}), "json", 5, int]
)
def test_a_blobify_that_cannot_be_used_costs_no_file(path, mode, blobify):
    """It is found before the file is replaced, or made."""
    if mode == "w":
        MemoryBuffer.from_iterable(["kept"], path).close()
    with pytest.raises((BlobifyError, TypeError)):
        MemoryBuffer(path, mode, blobify=blobify)
    if mode == "w":
        with MemoryBuffer(path, "r") as values:
            assert values[:] == ["kept"]
    else:
        assert not os.path.exists(path)


def test_a_blobify_without_a_name(path):
    class Codec:
        to_blob, from_blob = Own.to_blob, Own.from_blob

    for source in (None, path):
        refused(
            lambda source=source: MemoryBuffer(source, blobify=Codec), BlobifyError,
            "Codec has no name", "the file needs one to recognise it",
            'add a line to the class, such as name = "my.Codec"',
        )  # fmt: skip
    named = type("Codec", (Codec,), {"name": "__main__.Codec"})
    MemoryBuffer.from_iterable([b"kept"], path, blobify=named).close()
    refused(
        lambda: MemoryBuffer(path, blobify=Codec), BlobifyError,
        "Codec has no name", "written with blobify '__main__.Codec'", "the line name = '__main__.Codec'",
    )  # fmt: skip
    with MemoryBuffer(path, blobify=named) as values:
        assert values[:] == [b"kept"]


def test_a_blobify_of_a_script_in_a_spawned_worker(tmp_path):
    """There its module is called __mp_main__, here __main__: the name in the file is the class's own."""
    script = tmp_path / "script.py"
    script.write_text(
        """
import multiprocessing
from stablemem import MemoryBuffer

class Codec:
    name = "script.Codec"
    def to_blob(self, value): return value.encode()
    def from_blob(self, blob): return blob.decode()

if __name__ == "__main__":
    with MemoryBuffer("own.smem", blobify=Codec()) as values:
        values.append("seen")
        values.commit()
        with values.snapshot() as reader, multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.apply(list, (reader,)))
"""
    )
    done = subprocess.run(
        [sys.executable, script], env=environment(), cwd=tmp_path,
        capture_output=True, text=True, timeout=HANGS, check=False,
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("['seen']\n", "", 0)
