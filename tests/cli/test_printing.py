"""What a file holds is printed, and nothing of it reaches a terminal as it is.

A hostile name is given to everything that has one: the file, a list, a Blobify, a root; a hostile value, and
hostile lines of input. Every command then runs, well and badly, on a terminal and elsewhere.
"""

import contextlib
import errno
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stablemem import MemoryBuffer, MemoryRegion, cli
from stablemem._core.calls.list_core import ListCore
from stablemem.blobify import Bytes
from stablemem.cli import commands
from stablemem.cli.printing import printable, spelled
from support import environment
from support.errors import failing, flip
from support.probe import handle_of

Run = Callable[..., tuple[int, str, str]]

EVIL = "\x1b]0;evil\x07\x9b31m\u202e\u2066\r\n\x7f\u2028\x08"
"""A title, a colour by C1, text from right to left, ends of lines, and what moves the cursor."""

HOSTILE = EVIL + "\udcff"
"""As the name of a file, which may be no UTF-8."""


class Evil:
    name = f"own{EVIL}"
    options = EVIL.encode()

    def to_blob(self, value):
        return value

    def from_blob(self, blob):
        return blob


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """Make hostile files in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    with MemoryRegion(f"{HOSTILE}.smem") as region:
        for blobify in ("bytes", "text", "msgpack"):
            values = region.buffer(f"{blobify}{EVIL}", blobify)
            values.extend([f"{EVIL}\0".encode() if blobify == "bytes" else f"{EVIL}\0"] * 3)
        region.buffer("main", "msgpack").extend([EVIL, {EVIL: [EVIL.encode(), 1.5]}])
        region.buffer("own", Evil()).append(EVIL.encode())
        region.roots[f"root{EVIL}"] = 1, 2
        # Of another kind than what the catalog says.
        region.buffer("broken", "msgpack")
        ListCore(handle_of(region), "broken", Bytes()).append(EVIL.encode() + b"\xff\xfe\xfd")
    Path(f"no region{HOSTILE}").write_bytes(EVIL.encode() * 3000)
    Path(f"empty{HOSTILE}").touch()
    Path(f"lines{HOSTILE}").write_bytes(b"a\n\x1b\xff\n")
    Path(f"damaged{HOSTILE}").write_bytes(Path(f"{HOSTILE}.smem").read_bytes())
    flip(f"damaged{HOSTILE}", 40, 4136, 8232)
    Path(f"{HOSTILE}.png").mkdir()
    return tmp_path


# For each command: arguments, of which R is the region; each also runs on what is no region, and so on.
CASES = {
    "import": [
        ["R", f"lines{HOSTILE}", "--name", f"new{EVIL}"],
        ["R", f"lines{HOSTILE}", "--name", "text", "--encoding", "utf-8"],
        ["R", f"lines{HOSTILE}", "--name", f"bytes{EVIL}", "--jsonl"],
        ["R", f"lines{HOSTILE}", "--name", "own"],
        ["R", f"lines{HOSTILE}", "--encoding", EVIL],
        ["R", f"missing{HOSTILE}"],
        ["R", "R"],
    ],
    "export": [
        ["R"],
        ["R", ":", "--name", f"bytes{EVIL}"],
        ["R", "--name", f"text{EVIL}"],
        ["R", "--name", f"text{EVIL}", "--jsonl"],
        ["R", "--name", f"text{EVIL}", "--encoding", "latin-1"],
        ["R", "--name", f"text{EVIL}", "--encoding", EVIL],
        ["R", "--name", "own"],
        ["R", "--name", "broken"],
        ["R", "0:1", "--output", f"out{HOSTILE}"],
        ["R", "0:1", "--output", f"nowhere{HOSTILE}/out"],
        ["R", "--output", f"{HOSTILE}.png"],
        ["R", "--output", "R", "--force"],
        ["R", HOSTILE],
    ],
    "info": [["R"], ["R", "--json"], ["R", HOSTILE]],
    "get": [
        ["R", "0", "1"],
        ["R", "0", "--raw"],
        ["R", ":", "--name", f"bytes{EVIL}"],
        ["R", ":", "--name", f"text{EVIL}"],
        ["R", "0", "--name", f"text{EVIL}", "--raw"],
        ["R", "0", "--name", "own"],
        ["R", "0", "--name", "broken"],
        ["R", "0", "--name", "broken", "--raw"],
        ["R", "0", "--name", f"none{EVIL}"],
        ["R", "9", "--name", f"text{EVIL}"],
        ["R", HOSTILE],
        ["R", "0", f"--{HOSTILE}"],
    ],
    "head": [["R"], ["R", "--values"], ["R", "--name", f"text{EVIL}"], ["R", "--name", "broken"]],
    "tail": [
        ["R"],
        ["R", "-f", "--name", f"none{EVIL}"],
        ["R", "--values"],
        ["R", "--name", f"bytes{EVIL}"],
        ["R", "-n", HOSTILE],
    ],
    "verify": [["R"], [HOSTILE]],
    "compact": [["R"], ["R", "--max-bytes", HOSTILE]],
    "map": [
        ["R"],
        ["R", "--json"],
        ["R", "--png", f"{HOSTILE}.png"],
        ["R", "--png", f"nowhere{HOSTILE}/a.png"],
        ["R", "--png", HOSTILE],
    ],
}
RUNS = [(command, arguments) for command, cases in CASES.items() for arguments in cases]
PLACES = [
    f"{HOSTILE}.smem", f"no region{HOSTILE}", f"empty{HOSTILE}", f"damaged{HOSTILE}", f"missing{HOSTILE}",
    f"nowhere{HOSTILE}/file", ".",
]  # fmt: skip


def arguments_of(case, place):
    return [place if each == "R" else each for each in case]


def check(*texts):
    for text in texts:
        bad = {letter for letter in text if not letter.isprintable() and letter not in "\n\t"}
        assert not bad, f"raw {bad} in {text!r}"


@pytest.fixture
def run(capsys, hostile):
    """Run a command where the hostile files are."""

    def do(*arguments):
        capsys.readouterr()
        code = cli.run(arguments)
        return code, *capsys.readouterr()

    return do


def test_every_command_has_a_case():
    assert CASES.keys() == commands.commands.keys()


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize("on_terminal", [False, True])
@pytest.mark.parametrize("command", CASES)
def test_hostile_names_and_values(run, command, on_terminal, monkeypatch):
    if on_terminal:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    codes = set()
    for case in CASES[command]:
        if not on_terminal and (command == "export" or "--raw" in case):
            # What is written need not even be text, which ``capsys`` wants.
            continue
        for place in PLACES:
            code, out, err = run(command, *arguments_of(case, place))
            # Values are written as they are where no terminal gets them.
            check(err, "" if command == "get" and not on_terminal else out)
            assert "Traceback" not in err
            codes.add(code)
    assert codes == {0, 1, 2} or (command == "export" and not on_terminal)
    refused = [["nothing", HOSTILE], [f"--{HOSTILE}"], [command, "a", "b", "c", f"--{HOSTILE}"]]
    for arguments in refused:
        code, out, err = run(*arguments)
        assert (code, out) == (2, "")
        check(err)


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize(
    ("name", "number"), [("pwritev", errno.ENOSPC), ("fdatasync", errno.EIO), ("open", errno.EACCES)]
)
def test_hostile_names_in_what_the_kernel_refuses(run, name, number):
    region = f"{HOSTILE}.smem"
    with failing(name, number, lambda path, *_: name == "open" and path != region):
        for command in ("import", "compact"):
            code, out, err = run(command, *arguments_of(CASES[command][0], region))
            check(out, err)
            assert code == 2 or (command, code) == ("compact", 0)


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize("command", CASES)
def test_on_a_terminal(hostile, command):
    """Bars of progress may move the cursor; what is hostile may not."""
    for case in CASES[command]:
        seen = on_a_terminal(command, *arguments_of(case, f"{HOSTILE}.smem"))
        for bad in (b"\x1b]0;", b"\x07", b"\x9b", b"\x7f", b"\xe2\x80", b"\xe2\x81", b"\xc2\x9b", b"\xff"):
            assert bad not in seen, seen


def on_a_terminal(*arguments):
    """Return what a command writes to a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stablemem", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm", COLUMNS="90", NO_COLOR="1"),
    )
    os.close(theirs)
    seen = b""
    # The kernel says EIO when nobody has the other end.
    with contextlib.suppress(OSError):
        while piece := os.read(ours, 1 << 16):
            seen += piece
    os.close(ours)
    process.wait()
    assert seen
    return seen


def test_printable():
    assert printable(EVIL) == r"\x1b]0;evil\x07\x9b31m\u202e\u2066\r\n\x7f\u2028\x08"
    assert printable("z\u00fcrich \u6f22\u3000\ud800") == "z\u00fcrich \u6f22\\u3000\\ud800"
    assert printable("a\tb\nc\x1b", "\n\t") == "a\tb\nc\\x1b"


@pytest.mark.parametrize("kinds", [1, 31, 32, 33, 500])
def test_printable_letter_by_letter(kinds):
    """Both ways to replace letters are the same, and neither replaces what it has put in."""
    strange = [chr(code) for code in range(0x10000) if not chr(code).isprintable()][:kinds]
    text = "\\x1bn" + "a\u6f22".join(strange) * 2
    expected = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    assert printable(text) == expected


@pytest.mark.parametrize("command", [["head"], ["tail", "--values"], ["get", ":"]])
@pytest.mark.parametrize("blobify", ["nat", "int"])
def test_whole_numbers_of_any_size(run, command, blobify):
    """Python does not write more than 4,300 digits, whose time would grow with their square."""
    values = [10**4299, 1 << 20_000, 7, -(1 << 20_000)][: 3 if blobify == "nat" else 4]
    MemoryBuffer.from_iterable(values, "numbers.smem", blobify=blobify).close()
    code, out, err = run(command[0], "numbers.smem", *command[1:])
    assert (code, err) == (0, "")
    shown = [line.split()[-1] for line in out.splitlines()]
    assert [int(each, 0) for each in shown] == values
    assert shown[0] == str(values[0])
    assert shown[1].startswith("0x")


def nested(depth: int) -> bytes:
    """Return what MessagePack has for lists and dicts in each other, as Msgpack would not write it."""
    return (b"\x91\x81\xa1a" * depth)[: 4 * depth] + b"\xc0"


@pytest.mark.parametrize("command", [["head"], ["tail", "--values"], ["get", "0"]])
@pytest.mark.parametrize("depth", [90, 300, 330, 400, 460, 480, 490, 495, 1000])
def test_values_nested_deep(run, command, depth):
    """They are shown as far as they can be read; what cannot be is refused in one line."""
    with MemoryRegion("deep.smem") as region:
        region.buffer("main", "msgpack")
        ListCore(handle_of(region), "main", Bytes()).append(nested(depth))
    code, out, err = run(command[0], "deep.smem", *command[1:])
    if code == 0:
        shown = re.sub(r"^0  |\n$", "", out).replace('"', "'").replace("null", "None")
        assert shown == "[{'a': " * depth + "None" + "}]" * depth
    else:
        assert code == 2
        assert depth > 300
        assert err.startswith("stablemem: value 0: the blob is nested too deep")
        assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": [1, None, "\u00e9"]}, '{"a": [1, null, "\u00e9"]}'),
        ("x", '"x"'),
        (True, "true"),
        (1.0, "1.0"),
        (float("inf"), "inf"),
        ([float("nan")], "[nan]"),
        ({1: 2}, "{1: 2}"),
        ({True: ()}, "{True: ()}"),
        ([b"y", {(1,): 2}], "[b'y', {(1,): 2}]"),
        (b"\xffa", r"\xffa"),
    ],
)
def test_spelled(value, shown):
    assert spelled(value, False) == shown


@pytest.mark.parametrize("value", [[], {}, (), [(1,), (1, 2), {"a": ()}, {(1, (2,)): [None, "x"]}]])
def test_spelled_deep(value):
    """What is nested too deep for ``repr`` is written as it would be."""
    depth = 10_000
    deep = value
    for _ in range(depth):
        deep = [deep]
    try:
        assert spelled(deep, False) == "[" * depth + repr(value) + "]" * depth
    finally:
        while deep and deep is not value:
            deep = deep[0]


@pytest.mark.usefixtures("damaged")
@pytest.mark.parametrize("command", [["head"], ["tail", "--values"], ["get", ":"]])
def test_what_comes_before_damage_is_shown(run, command):
    """Values are read many at once; one that is damaged hides no others."""
    MemoryBuffer.from_iterable([b"value number %d" % n for n in range(9)], "d.smem", blobify="bytes").close()
    flip("d.smem", Path("d.smem").read_bytes().index(b"value number 7"))
    code, out, err = run(command[0], "d.smem", *command[1:])
    assert code == 1
    assert out.count("\n") == 7
    assert out.endswith("value number 6\n")
    assert err.startswith("stablemem: d.smem is damaged")
