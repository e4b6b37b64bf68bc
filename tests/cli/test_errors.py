"""What the command line says when it refuses: one line on standard error, an exit code, no traceback.

The tables read: the command, then what was expected, what was found, and what to do. What damage and a
line that cannot be imported look like from there is in test_cli.py, too.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stablemem import MemoryBuffer, MemoryRegion, cli
from stablemem._core.calls.list_core import ListCore
from stablemem.blobify import Bytes
from support import environment
from support.errors import Own, failing, flip
from support.probe import handle_of

Run = Callable[..., tuple[int, str, str]]

LOOKING = [
    "info REGION",
    "get REGION 0",
    "export REGION",
    "head REGION",
    "tail REGION",
    "verify REGION",
    "map REGION",
]
COMMANDS = [*LOOKING, "import REGION in"]
IMPORT = "`stablemem import` makes it"
HELP = "--help` says how)"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with some files; gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    Path("in").write_bytes(b"one\ntwo\n")
    Path("text").write_bytes(b"some text, and no region\n" * 1000)
    Path("empty").touch()
    Path("folder").mkdir()
    os.mkfifo("fifo")
    os.symlink("bytes.smem", "link.png")
    MemoryBuffer.from_iterable([b"one", b"two"], "bytes.smem", blobify="bytes").close()
    MemoryBuffer.from_iterable(["one"], "text.smem", blobify="text").close()
    MemoryBuffer("own.smem", blobify=Own).close()
    MemoryBuffer("none.smem").close()
    MemoryRegion("bare.smem").close()

    def do(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.run(arguments)
        return code, *capsys.readouterr()

    return do


def refused(result: tuple[int, str, str], code: int, *parts: str) -> None:
    """Check for one line of complaint with all of the parts, an exit code, and no output."""
    found, out, err = result
    assert (found, out) == (code, "")
    assert err.startswith("stablemem: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err
    assert "mode=" not in err, "there are no modes here"
    assert "blobify=" not in err


REGIONS = [
    # what REGION is, the commands, expected, found, what to do
    ("nothing", LOOKING, "nothing: ", "No such file or directory", IMPORT),
    ("nowhere/file", COMMANDS, "nowhere/file: ", "No such file", "make the folder nowhere first"),
    ("folder", COMMANDS, "a region is a file", "Is a directory", "name one in this folder"),
    ("fifo", COMMANDS, "a region must be a regular file", "this is a fifo", "name another path"),
    (os.devnull, COMMANDS, "a region must be a regular file", "this is a device", "name another path"),
    ("in/file", COMMANDS, "a region is a regular file", "Not a directory", "name another path"),
    ("empty", LOOKING, "empty is not a region", "it is empty", IMPORT),
    ("text", COMMANDS,
     "it starts with b'some tex'", "a region starts with b'stablmem'", "Name another file"),
    ("a\nb\x1b[31m", LOOKING, r"a\nb\x1b[31m: ", "No such file", IMPORT),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "command", "expected", "found", "remedy"),
    [(path, command, *parts) for path, commands, *parts in REGIONS for command in commands],
)
def test_what_region_is(run, path, command, expected, found, remedy):
    arguments = [path if each == "REGION" else each for each in command.split()]
    refused(run(*arguments), 2, expected, found, remedy)
    assert not os.path.exists("nothing")


USAGE = {
    # the command, what was expected, what was found, what to do
    "nonsense": ("No such command", "'nonsense'", "(`stablemem --help` says how)"),
    "info": ("Missing argument", "'REGION'", "(`stablemem info --help` says how)"),
    "info none.smem more": ("unexpected extra argument", "(more)", HELP),
    "info none.smem --nonsense": ("No such option", "--nonsense", HELP),
    "get bytes.smem": ("Missing argument", "'INDEX...'", "(`stablemem get --help` says how)"),
    "get bytes.smem one": ("a valid integer", "'one'", HELP),
    "get bytes.smem 0:x": ("a valid integer, nor a slice", "'0:x' is not", HELP),
    "get bytes.smem 0 --nonsense": ("a valid integer, nor a slice", "'--nonsense' is not", HELP),
    "get bytes.smem ::0": ("nor a slice such as 0:10", "'::0' is not", HELP),
    "get bytes.smem 0 1: 2": ("has 2 values in 'main'", "there is no index 2", "give 0 to 1, or -2 to -1"),
    "get bytes.smem 2": ("has 2 values in 'main'", "there is no index 2", "give 0 to 1, or -2 to -1"),
    "get bytes.smem -3": ("has 2 values in 'main'", "there is no index -3", "give 0 to 1, or -2 to -1"),
    "get none.smem 0": ("none.smem has 0 values", "in 'main'", "there is no index 0"),
    "get bytes.smem 0 --name users": ("bytes.smem", "has no list 'users'", "main; choose one with --name"),
    "tail bare.smem": ("bare.smem", "has no list 'main'", "`stablemem import` makes one"),
    "head bytes.smem -n -1": ("range x>=0", "-1 is not", HELP),
    "head bytes.smem -n all": ("a valid integer", "'all'", HELP),
    "head bytes.smem --name=": ("a name has 1 to 65535 bytes", "'' does not", HELP),
    "map": ("Missing argument", "'REGION'", "(`stablemem map --help` says how)"),
    "map bytes.smem --width 0": ("range 1<=x<=1000", "0 is not", HELP),
    "map bytes.smem --rows 1001": ("range 1<=x<=1000", "1001 is not", HELP),
    "map bytes.smem --rows many": ("a valid integer", "'many'", HELP),
    "map bytes.smem --png a.png --json": ("--png and --json", "cannot be used together", HELP),
    "map bytes.smem --png text.smem": ("ends in .png", "not as text.smem", HELP),
    "map link.png --png link.png": ("cannot be drawn", "into itself", HELP),
    "map bytes.smem --png link.png": ("cannot be drawn", "into itself", HELP),
    "import bytes.smem in --name=": ("a name has 1 to 65535 bytes", "'' does not", HELP),
    "import bytes.smem in --name=\udcff": ("bytes in UTF-8", r"'\udcff' does not", HELP),
    "import bytes.smem": ("Missing argument", "'INPUT...'", "(`stablemem import --help` says how)"),
    "import bytes.smem nothing": ("INPUT", "'nothing' does not exist", HELP),
    "import bytes.smem in folder": ("INPUT", "'folder' is a directory", HELP),
    "import bytes.smem in bytes.smem": ("cannot be imported", "into itself", HELP),
    "import bytes.smem in --jsonl --encoding utf-8": ("--jsonl and --encoding",
        "cannot be used together", HELP),
    "import new.smem in --encoding klingon": ("a text encoding", "'klingon' is not", "such as utf-8"),
    "import new.smem in --encoding undefined": ("a text encoding", "'undefined' is not", "such as utf-8"),
    "import new.smem in --encoding hex": ("a text encoding", "'hex' is not", "name one such as utf-8"),
    "import new.smem in --encoding utf-16": ("the one byte 0a", "utf-16 does not", "use utf-8, and convert"),
    "import text.smem in --blobify bytes": ("'main' of text.smem has blobify 'text'", "not 'bytes'",
        "import with --blobify text, or choose another list with --name"),
    "import bytes.smem in --encoding utf-8": ("'main' of bytes.smem has blobify 'bytes'", "not 'text'",
        "import with --blobify bytes, or choose another list"),
    "import bytes.smem in --jsonl": ("'main' of bytes.smem has blobify 'bytes'", "not 'msgpack'",
        "import with --blobify bytes, or choose another list"),
    "import none.smem in": ("'main' of none.smem has blobify 'msgpack'",
        "import with --jsonl, or choose another list"),
    "import none.smem in --blobify text": ("'main' of none.smem has blobify 'msgpack'", "not 'text'",
        "import with --jsonl, or choose another list"),
    "import own.smem in --blobify bytes": ("'main' of own.smem has blobify 'tests.Own'", "not 'bytes'",
        "import from Python, or choose another list"),
    "import own.smem in": ("'main' of own.smem has blobify 'tests.Own'",
        "import from Python, or choose another list"),
}  # fmt: skip


@pytest.mark.parametrize(("command", "parts"), USAGE.items(), ids=USAGE)
def test_usage(run, command, parts):
    refused(run(*command.split()), 2, *parts)
    assert not os.path.exists("new.smem")


LINES = {
    # options, the second line of the input; then expected, found, what to do
    "text": ("--encoding utf-8", b"a\xff", "not utf-8", "byte 0xff at position 1", "name another --encoding"),
    "a label": ("--encoding idna", b"xn--a", "not idna", "line 2: ", "mend it, or name another --encoding"),
    "JSON": ("--jsonl", b"{", "not JSON", "truncated", "mend the line, or leave --jsonl out"),
    "depth": ("--jsonl", b"[" * 300 + b"]" * 300, "200 levels", "nested deeper than", "flatten it"),
}


@pytest.mark.parametrize(("options", "line", "expected", "found", "remedy"), LINES.values(), ids=LINES)
def test_lines(run, options, line, expected, found, remedy):
    Path("lines").write_bytes(b"1\n" + line + b"\n")
    result = run("import", "new.smem", "lines", *options.split())
    refused(result, 2, "lines, line 2: ", expected, found, remedy, "nothing of this import was kept")


def test_an_input_that_cannot_be_read(run):
    remedy = "it cannot be read; import the other inputs without it; nothing of this import was kept"
    result = run("import", "new.smem", "in", "/proc/self/mem")
    refused(result, 2, "/proc/self/mem: ", "Input/output error", remedy)


def test_a_region_that_somebody_writes(run):
    with MemoryBuffer("bytes.smem"):
        who = f"bytes.smem is open for writing in process {os.getpid()}"
        refused(run("import", "bytes.smem", "in"), 2, who, "try again when that is done")


@pytest.mark.parametrize(
    ("name", "number", "command", "parts"),
    [
        ("pwritev", "ENOSPC", "import bytes.smem in", ("nothing committed was lost", "no space", "free")),
        ("fdatasync", "EIO", "import bytes.smem in", ("while syncing", "Input/output", "check the disk")),
        ("pread", "EIO", "info bytes.smem", ("while reading at address 0", "Input/output", "check the disk")),
        ("open", "EACCES", "import bytes.smem in", ("you need", "Permission denied", "the right to it")),
        ("open", "EACCES", "info bytes.smem", ("you need", "Permission denied", "the right to it")),
        ("open", "EROFS", "import bytes.smem in", ("bytes.smem", "Read-only", "a file where you may write")),
    ],
)  # fmt: skip
def test_what_the_kernel_refuses(run, name, number, command, parts):
    with failing(name, getattr(errno, number), lambda path, *_: name == "open" and path != "bytes.smem"):
        refused(run(*command.split()), 2, "stablemem: bytes.smem: ", *parts)
    assert run("verify", "bytes.smem")[0] == 0


@pytest.mark.usefixtures("damaged")
def test_damage(run):
    content = Path("text.smem").read_bytes()
    with MemoryBuffer("text.smem") as values:
        values.append("a value of some length")
    flip("text.smem", Path("text.smem").read_bytes().index(b"a value of"))
    said = "text.smem is damaged", "expected a blob of 22 bytes with CRC-32C ", ", found ", "from a copy"
    for command in ("get text.smem -1", "head text.smem", "tail text.smem -n 1"):
        code, _, err = run(*command.split())
        assert (code, err.count("\n")) == (1, 1)
        for part in said:
            assert part in err
    Path("text.smem").write_bytes(content)
    flip("text.smem", 40, 4136, 8232)
    for command in COMMANDS:
        code, out, err = run(*command.replace("REGION", "text.smem").split())
        if command.startswith("verify"):
            assert (code, err) == (1, "")
            said = "text.smem: DAMAGED, and cannot be opened: restore it from a copy\n  address 0: expected a"
            assert out.startswith(said)
            assert "verify" not in out, "that is what the user did"
        else:
            parts = "expected a valid header slot", "found slot 0: its checksum", "Run `stablemem verify`"
            refused((code, out, err), 1, *parts)


def test_a_blob_that_is_no_value(run):
    """What the message advises is what shows it."""
    with MemoryRegion("text.smem") as region:
        ListCore(handle_of(region), "main", Bytes()).append(b"\xff and more of it")
    parts = "not written by Text", "not UTF-8 (byte 0xff at position 0)", "`stablemem get --raw` shows"
    refused(run("get", "text.smem", "1"), 2, "value 1: ", *parts)
    assert in_a_process("get", "--raw", "text.smem", "1") == (0, b"\xff and more of it", b"")


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("nowhere/a.png", ("nowhere/a.png: ", "No such file or directory", "make the folder nowhere first")),
        ("in/a.png", ("in/a.png: ", "Not a directory")),
        ("folder.png", ("'folder.png'", "is a directory", HELP)),
        ("full.png", ("full.png: ", "No space left on device")),
    ],
)
def test_a_picture_that_cannot_be_written(run, file, parts):
    pytest.importorskip("matplotlib")
    Path("folder.png").mkdir()
    os.symlink("/dev/full", "full.png")
    before = Path("bytes.smem").read_bytes()
    refused(run("map", "bytes.smem", "--png", file), 2, *parts)
    assert Path("bytes.smem").read_bytes() == before


def test_a_picture_without_matplotlib(run, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = "a picture as a PNG needs ", "pip install matplotlib"
    refused(run("map", "bytes.smem", "--png", "a.png"), 2, *said)
    assert not os.path.exists("a.png")
    assert run("map", "bytes.smem")[0] == 0, "the terminal needs none"


def in_a_process(*arguments, **streams):
    """Run a command in a process of its own; gives exit code, output and errors."""
    done = subprocess.run(
        [sys.executable, "-m", "stablemem", *arguments], env=environment(PYTHONUNBUFFERED=""), check=False,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("command", "done"),
    [
        ("head bytes.smem", b""),
        ("get --raw bytes.smem 0", b""),
        ("map bytes.smem", b""),
        ("--version", b""),
        ("import bytes.smem in", b"; imported 2 values (6 bytes) from 1 input into bytes.smem"),
    ],
)
def test_output_that_nothing_takes(run, command, done):
    with open("/dev/full", "wb") as full:
        code, _, err = in_a_process(*command.split(), stdout=full)
    said = b"stablemem: standard output: No space left on device: send it elsewhere"
    assert (code, err) == (2, said + done + b"\n")


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_closed_streams(run, capsys, monkeypatch, stream):
    monkeypatch.setattr(sys, stream, None)
    code = cli.run(["import", "bytes.smem", "in", *(["-"] if stream == "stdin" else [])])
    monkeypatch.undo()
    said = capsys.readouterr().err
    if stream == "stderr":
        assert (code, said) == (0, ""), "nobody need hear that all is well"
    else:
        assert code == 2
        remedy = {"stdin": "name a file instead of -", "stdout": "send it to a file, or to /dev/null"}[stream]
        name = {"stdin": "standard input", "stdout": "standard output"}[stream]
        assert said.startswith(f"stablemem: {name} is closed: {remedy}")
        assert said.count("\n") == 1
