"""``stablemem export``: the inverse of ``import``, and what --output does to the file system."""

import errno
import io
import json
import os
import random
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from stablemem import MemoryBuffer, MemoryRegion, cli
from stablemem._core.calls.list_core import ListCore
from stablemem.blobify import Bytes
from stablemem.cli import exporting
from support import environment
from support.errors import Own, failing, flip
from support.probe import handle_of

COMMAND = [sys.executable, "-m", "stablemem"]


@pytest.fixture
def run(capfdbinary, tmp_path, monkeypatch):
    """Run a command in an empty folder; gives exit code, output in bytes, and errors."""
    monkeypatch.chdir(tmp_path)

    def do(*arguments):
        capfdbinary.readouterr()
        code = cli.run(arguments)
        out, err = capfdbinary.readouterr()
        return code, out, err.decode()

    return do


def refused(result, *parts):
    code, out, err = result
    assert (code, out) == (2, b"")
    assert err.startswith("stablemem: ")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err
    return err


ROUND = {
    # options of import and of export, and the lines
    "bytes": ([], [], b"a\r\n\n\xff\x00\x0b\x85 \n\xe2\x80\xa8\n"),
    "nothing": ([], [], b""),
    "one empty line": ([], [], b"\n"),
    "text": (["--blobify", "text"], [], "z\u00fcrich\r\n\n\u2028\x0b\x85\ufeff\n\U0001f600\0\n".encode()),
    "latin-1": (["--encoding", "latin-1"], ["--encoding", "latin-1"], bytes(set(range(256)) - {10}) + b"\n"),
    "shift_jis": (["--encoding", "shift_jis"], ["--encoding", "shift_jis"], b"\x8a\xbf\x8e\x9a\n\x83\\\n"),
    "JSON": (["--jsonl"], [], b'{"b":[1,null,true,"\xc3\xa9\\n\\u0000"],"a":{}}\n"x"\n2.5\n-0.0\n%d\n[]\n'
        % ((1 << 64) - 1)),
    "JSON of text": (["--jsonl", "--blobify", "text"], ["--jsonl"], b'"a\\nb"\n""\n"\xc3\xa9"\n'),
    "nat": (["--blobify", "nat"], [], b"0\n7\n%d\n%s\n" % (1 << 200, hex(1 << 20_000).encode())),
    "int": (["--blobify", "int"], [], b"-7\n0\n%d\n%s\n" % (-(1 << 200), hex(-(1 << 20_000)).encode())),
    "JSON of int": (["--jsonl", "--blobify", "int"], ["--jsonl"], b"-7\n0\n%d\n" % (1 << 63)),
}  # fmt: skip


@pytest.mark.parametrize(("options", "back", "content"), ROUND.values(), ids=ROUND)
@pytest.mark.parametrize("output", [False, True])
def test_what_was_imported_comes_back(run, options, back, content, output):
    Path("in").write_bytes(content)
    assert run("import", "r.smem", "in", *options)[0] == 0
    if output:
        number, size = content.count(b"\n"), len(content) - content.count(b"\n")
        code, out, err = run("export", "r.smem", *back, "--output", "out")
        values, sizes = (f"{n:,} {noun}{'s' * (n != 1)}" for n, noun in ((number, "value"), (size, "byte")))
        assert (code, err) == (0, "")
        assert out.decode() == f"exported {values} ({sizes}) from r.smem into out\n"
        assert Path("out").read_bytes() == content
        assert sorted(os.listdir()) == ["in", "out", "r.smem"]
    else:
        assert run("export", "r.smem", *back) == (0, content, "")
        assert run("export", "r.smem", *back, "-o", "-") == (0, content, "")


def test_random_lines_come_back(run, monkeypatch):
    monkeypatch.setattr(exporting, "PIECE", 300)
    chosen = random.Random(5)
    lines = [chosen.randbytes(chosen.choice([0, 1, 5, 9, 50, 2000])).replace(b"\n", b"") for _ in range(1000)]
    content = b"".join(line + b"\n" for line in lines)
    Path("in").write_bytes(content)
    run("import", "r.smem", "in")
    assert run("export", "r.smem") == (0, content, "")
    assert run("export", "r.smem", "500:600:7")[1] == b"".join(line + b"\n" for line in lines[500:600:7])
    assert run("export", "r.smem", "-o", "out")[0] == 0
    assert Path("out").read_bytes() == content


def test_json_comes_back_as_the_same_values(run):
    """Not as the same bytes: spaces, and the ways to spell text and numbers, are not kept in values."""
    Path("in").write_bytes(b' { "a" : 1e2, "\\u0062": [ ] } \r\n"\\u00e9"\n1.50')
    run("import", "r.smem", "in", "--jsonl")
    out = run("export", "r.smem")[1]
    assert out == b'{"a":100.0,"b":[]}\n"\xc3\xa9"\n1.5\n'
    assert [json.loads(line) for line in out.splitlines()] == [{"a": 100.0, "b": []}, "\u00e9", 1.5]
    Path("again").write_bytes(out)
    run("import", "again.smem", "again", "--jsonl")
    assert run("export", "again.smem")[1] == out


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("2:4", "2 3"), (":2", "0 1"), ("-2:", "8 9"), ("8:99", "8 9"), ("99:", ""), ("4", "4"), ("-1", "9"),
        ("::4", "0 4 8"), ("::-5", "9 4"), (":", "0 1 2 3 4 5 6 7 8 9"),
    ],
)  # fmt: skip
def test_a_part(run, choice, expected):
    MemoryBuffer.from_iterable([b"%d" % n for n in range(10)], "r.smem", blobify="bytes").close()
    assert run("export", "r.smem", choice) == (0, "".join(f"{n}\n" for n in expected.split()).encode(), "")


def test_a_blobify_of_ones_own_and_another_list(run):
    with MemoryRegion("r.smem") as region:
        region.buffer("own", Own()).extend([b"one", b"two"])
        region.buffer("words", "text").append("three")
    assert run("export", "r.smem", "--name", "own") == (0, b"one\ntwo\n", "")
    assert run("export", "r.smem", "--name", "words") == (0, b"three\n", "")


NOT_LINES = {
    # Blobify, values, options; then what is said, and what came before it
    "end of a line in bytes": ("bytes", [b"a", b"b\nc"], "", "value 1: it has an end of line", b"a\n"),
    "end of a line in text": ("text", ["a", "b\nc"], "", "export with --jsonl", b"a\n"),
    "no latin-1": ("text", ["a", "\u6f22"], "--encoding latin-1",
        r"latin-1 cannot write '\u6f22' at", b"a\n"),
    "no idna": ("text", ["a", "x" * 100], "--encoding idna", "idna cannot write ", b"a\n"),
    "read as another letter": ("text", ["a", "\u00a5"], "--encoding shift_jis", "another value", b"a\n"),
    "folded by idna": ("text", ["a", "B\u00fccher"], "--encoding idna", "another value", b"a\n"),
    "an escape": ("text", ["a", r"\u0041"], "--encoding raw_unicode_escape", "another value", b"a\n"),
    "a shift": ("text", ["a", "\x1b"], "--encoding iso2022_jp", "or not at all", b"a\n"),
    "bytes": ("msgpack", [1, [b"a"]], "", "JSON has no form for it", b"1\n"),
    "NaN": ("msgpack", [1, float("nan")], "", "JSON has no form for it", b"1\n"),
    "infinity": ("msgpack", [1, [float("-inf")]], "--jsonl", "JSON has no form for it", b"1\n"),
    "keys": ("msgpack", [1, {2: 3}], "--jsonl", "JSON has no form for it", b"1\n"),
    "many digits": ("int", [1, 1 << 20_000], "--jsonl", "JSON has no form for it", b"1\n"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("blobify", "values", "options", "said", "before"), NOT_LINES.values(), ids=NOT_LINES
)
def test_a_value_that_would_not_come_back(run, blobify, values, options, said, before):
    MemoryBuffer.from_iterable(values, "r.smem", blobify=blobify).close()
    code, out, err = run("export", "r.smem", *options.split())
    assert (code, out) == (2, before)
    assert err.startswith("stablemem: r.smem: value 1: ")
    assert said in err
    refused(run("export", "r.smem", *options.split(), "-o", "out"), said, "; out was not written")
    assert os.listdir() == ["r.smem"]
    assert run("export", "r.smem", ":1", *options.split()) == (0, before, "")


def test_a_value_nested_too_deep(run):
    with MemoryRegion("r.smem") as region:
        region.buffer("main", "msgpack")
        ListCore(handle_of(region), "main", Bytes()).append(b"\x91" * 900 + b"\xc0")
    code, out, err = run("export", "r.smem")
    assert (code, out, err) == (0, b"[" * 900 + b"null" + b"]" * 900 + b"\n", "") or (
        code == 2 and "nest" in err and "Traceback" not in err
    )


USAGE = {
    "export": ("Missing argument", "'REGION'"),
    "export bytes.smem one": ("'one' is not a valid integer, nor a slice",),
    "export bytes.smem 1 2": ("unexpected extra argument",),
    "export bytes.smem 9": ("has 2 values in 'main'", "there is no index 9", "give 0 to 1"),
    "export bytes.smem --name none": ("has no list 'none'", "main; choose one with --name"),
    "export bytes.smem --jsonl": ("JSON has no bytes", "leave --jsonl out"),
    "export own.smem --jsonl": ("JSON has no bytes", "the list is tests.Own"),
    "export bytes.smem --encoding utf-8": ("--encoding is for lists of text", "this one is bytes"),
    "export none.smem --encoding utf-8": ("--encoding is for lists of text", "this one is msgpack"),
    "export text.smem --encoding utf-8 --jsonl": ("--jsonl and --encoding cannot be used together",),
    "export text.smem --encoding klingon": ("'klingon' is not a text encoding", "such as utf-8"),
    "export text.smem --encoding utf-16": ("utf-16 does not end a line with the one byte 0a",),
    "export text.smem --force": ("--force is for --output FILE", "leave --force out"),
    "export text.smem --force -o -": ("--force is for --output FILE",),
    "export text.smem -o there": ("there: File exists", "name another file, or replace it with --force"),
    "export text.smem -o text.smem --force": ("text.smem cannot be exported into itself",),
    "export text.smem -o text.smem": ("text.smem cannot be exported into itself",),
    "export text.smem -o link --force": ("text.smem cannot be exported into itself",),
    "export text.smem -o fifo --force": ("--output writes regular files only, and fifo is not one", "use >"),
    "export text.smem -o /dev/null": ("--output writes regular files only, and /dev/null is not one",),
    "export text.smem --output=": ("--output needs the name of a file",),
    "export text.smem -o folder": ("'folder' is a directory",),
    "export text.smem -o nowhere/out": ("nowhere/out: No such file or directory", "make the folder nowhere"),
    "export text.smem -o there/out": ("there/out: Not a directory",),
}  # fmt: skip


@pytest.mark.parametrize(("command", "parts"), USAGE.items(), ids=USAGE)
def test_usage(run, command, parts):
    Path("folder").mkdir()
    Path("there").write_bytes(b"something")
    os.mkfifo("fifo")
    MemoryBuffer.from_iterable([b"one", b"two"], "bytes.smem", blobify="bytes").close()
    MemoryBuffer.from_iterable(["one"], "text.smem", blobify="text").close()
    MemoryBuffer("own.smem", blobify=Own).close()
    MemoryBuffer("none.smem").close()
    os.symlink("text.smem", "link")
    before = sorted(os.listdir()), Path("text.smem").read_bytes()
    refused(run(*command.split()), *parts)
    assert (sorted(os.listdir()), Path("text.smem").read_bytes()) == before
    assert Path("there").read_bytes() == b"something"


@pytest.fixture
def region(run):
    """Make a region of two lines."""
    MemoryBuffer.from_iterable([b"one", b"two"], "r.smem", blobify="bytes").close()
    return "r.smem"


class TestOutput:
    def test_a_new_file_has_the_usual_rights(self, run, region):
        before = os.umask(0o027)
        try:
            assert run("export", region, "-o", "out")[0] == 0
            assert run("export", region, "-o", "forced", "--force")[0] == 0
        finally:
            os.umask(before)
        assert [stat.S_IMODE(os.stat(name).st_mode) for name in ("out", "forced")] == [0o640] * 2

    def test_a_file_that_is_replaced_keeps_its_rights(self, run, region):
        Path("out").write_bytes(b"before")
        os.chmod("out", 0o604)
        old = os.open("out", os.O_RDONLY)
        assert run("export", region, "-o", "out", "--force")[0] == 0
        assert Path("out").read_bytes() == b"one\ntwo\n"
        assert stat.S_IMODE(os.stat("out").st_mode) == 0o604
        assert os.read(old, 100) == b"before", "who reads the old one goes on"
        os.close(old)

    def test_a_link_stays_one(self, run, region):
        Path("folder").mkdir()
        Path("folder/out").write_bytes(b"before")
        os.symlink("folder/out", "link")
        os.symlink("folder/new", "dangling")
        assert run("export", region, "-o", "link", "--force")[0] == 0
        assert run("export", region, "-o", "dangling")[0] == 0
        assert os.path.islink("link")
        assert Path("folder/out").read_bytes() == Path("folder/new").read_bytes() == b"one\ntwo\n"
        assert sorted(os.listdir("folder")) == ["new", "out"]

    def test_a_long_name(self, run, region):
        name = "n" * 255
        assert run("export", region, "-o", name)[0] == 0
        assert Path(name).read_bytes() == b"one\ntwo\n"

    def test_where_there_are_no_links(self, run, region):
        for number in (errno.EPERM, errno.EOPNOTSUPP):
            with failing("link", number):
                assert run("export", region, "-o", f"out{number}")[0] == 0
            assert Path(f"out{number}").read_bytes() == b"one\ntwo\n"
        assert len(os.listdir()) == 3

    @pytest.mark.parametrize("links", [True, False])
    def test_a_file_that_appears_meanwhile_stays(self, run, region, monkeypatch, links):
        real = exporting._write

        def write(*arguments):
            Path("out").write_bytes(b"somebody's")
            return real(*arguments)

        monkeypatch.setattr(exporting, "_write", write)
        with failing("link", errno.EPERM, lambda *_: links):
            refused(run("export", region, "-o", "out"), "out: File exists", "--force", "out was not written")
        assert Path("out").read_bytes() == b"somebody's"
        assert sorted(os.listdir()) == ["out", "r.smem"]

    @pytest.mark.parametrize(
        ("name", "number", "said"),
        [
            ("fsync", errno.EIO, "out: Input/output error"),
            ("link", errno.ENOSPC, "out: No space left on device"),
            ("open", errno.EROFS, "out: Read-only file system"),
        ],
    )
    def test_what_the_kernel_refuses(self, run, region, name, number, said):
        kept = (lambda path, *_: "out" not in path) if name == "open" else (lambda *_: False)
        with failing(name, number, kept):
            refused(run("export", region, "-o", "out"), said, "out was not written")
        assert os.listdir() == ["r.smem"]

    def test_a_full_disk(self, run, region, monkeypatch):
        class Full(io.RawIOBase):
            def writable(self):
                return True

            def write(self, _content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        real = exporting._write
        monkeypatch.setattr(exporting, "_write", lambda pieces, _file, advance: real(pieces, Full(), advance))
        Path("out").write_bytes(b"before")
        said = "stablemem: out: No space left on device; out was not written\n"
        assert run("export", region, "-o", "out", "--force") == (2, b"", said)
        assert Path("out").read_bytes() == b"before"
        assert sorted(os.listdir()) == ["out", "r.smem"]

    @pytest.mark.usefixtures("damaged")
    def test_damage(self, run):
        values = [b"a value that is number %d" % number for number in range(9)]
        MemoryBuffer.from_iterable(values, "r.smem", blobify="bytes").close()
        flip("r.smem", Path("r.smem").read_bytes().index(b"number 7"))
        code, out, err = run("export", "r.smem")
        assert (code, out) == (1, b"".join(value + b"\n" for value in values[:7]))
        assert err.startswith("stablemem: r.smem is damaged at address")
        code, _, err = run("export", "r.smem", "-o", "out")
        assert (code, os.listdir()) == (1, ["r.smem"])
        assert err.endswith("; out was not written\n")


def test_it_is_of_one_commit_and_in_nobodys_way(run, monkeypatch):
    monkeypatch.setattr(exporting, "PIECE", 1000)
    with MemoryBuffer("r.smem", blobify="bytes") as writer:
        writer.extend([b"%09d" % number for number in range(2000)])
        writer.commit()
        writer.append(b"not committed")
        real = exporting._pieces

        def pieces(*arguments):
            for lines in real(*arguments):
                writer.insert(0, b"something that is longer than it was")
                del writer[5:50]
                writer.commit()
                yield lines

        monkeypatch.setattr(exporting, "_pieces", pieces)
        assert run("export", "r.smem") == (0, b"".join(b"%09d\n" % number for number in range(2000)), "")
        assert len(writer) < 2000


def process(*arguments, **streams):
    return subprocess.Popen(
        [*COMMAND, *arguments], env=environment(PYTHONUNBUFFERED=""),
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
    )  # fmt: skip


def test_the_reader_of_the_output_leaves(tmp_path):
    path = str(tmp_path / "r.smem")
    MemoryBuffer.from_iterable([b"x" * 1000] * 5000, path, blobify="bytes").close()
    with process("export", path) as exporter:
        exporter.stdout.readline()
        exporter.stdout.close()
        assert exporter.stderr.read() == b""
        assert exporter.wait() == 0


def test_output_that_nothing_takes(run, region):
    with open("/dev/full", "wb") as full, process("export", region, stdout=full) as exporter:
        said = exporter.stderr.read()
        assert (exporter.wait(), said) == (
            2,
            b"stablemem: standard output: No space left on device: send it elsewhere\n",
        )


def test_interrupted(run, monkeypatch):
    """Nothing is left of it, and the exit code is that of every command."""
    MemoryBuffer.from_iterable([b"x" * 100] * 100, "r.smem", blobify="bytes").close()
    real = exporting._pieces

    def pieces(*arguments):
        yield next(real(*arguments))
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the signal has not arrived")

    monkeypatch.setattr(exporting, "PIECE", 1000)
    monkeypatch.setattr(exporting, "_pieces", pieces)
    assert run("export", "r.smem", "-o", "out") == (130, b"", "stablemem: interrupted; out was not written\n")
    assert os.listdir() == ["r.smem"]


TERMINATED = """
import os, sys
from stablemem import cli
from stablemem.cli import exporting

real = exporting._pieces

def pieces(*arguments):
    yield next(real(*arguments))
    os.kill(os.getpid(), int(sys.argv[1]))
    yield []

exporting.PIECE = 1000
exporting._pieces = pieces
cli.run(["export", "r.smem", "--output", "out"])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_terminated(tmp_path, number):
    """Nothing is left of it, and the process ends by the signal, unless that is ignored."""
    MemoryBuffer.from_iterable([b"x" * 100] * 100, tmp_path / "r.smem", blobify="bytes").close()
    command = [sys.executable, "-c", TERMINATED, str(int(number))]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-number, b"", b"")
    assert os.listdir(tmp_path) == ["r.smem"]
    command = ["sh", "-c", f"trap '' {int(number)}; exec \"$@\"", "sh", *command]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert sorted(os.listdir(tmp_path)) == ["out", "r.smem"]


def test_memory_is_bounded(tmp_path):
    """However long the list is, what is held is a piece of it."""
    path = str(tmp_path / "r.smem")
    MemoryBuffer.filled(400_000, b"x" * 250, path, blobify="bytes").close()
    program = """if True:
        import resource, sys
        from stablemem.cli import run
        import stablemem.cli.exporting
        def data():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[5])
        before = data()
        pages = 0
        real = stablemem.cli.exporting._pieces
        def pieces(*arguments):
            global pages
            for lines in real(*arguments):
                pages = max(pages, data() - before)
                yield lines
        stablemem.cli.exporting._pieces = pieces
        assert run(["export", sys.argv[1]]) == 0
        print(pages * resource.getpagesize(), file=sys.stderr)
    """
    done = subprocess.run(
        [sys.executable, "-c", program, path],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=True,
    )
    assert 0 <= int(done.stderr) < 32 << 20


BLOBIFY = {
    # options of import, the lines; the Blobify and the values of the list
    "text": ("--blobify text", "z\u00fcrich\n".encode(), "text", ["z\u00fcrich"]),
    "text in latin-1": ("--blobify text --encoding latin-1", b"z\xfcrich\n", "text", ["z\u00fcrich"]),
    "bytes": ("--blobify bytes", b"\xff\n", "bytes", [b"\xff"]),
    "nat": ("--blobify nat", b"12\n 7 \r\n0xFF\n", "nat", [12, 7, 255]),
    "int": ("--blobify int", b"-12\n+7\n-0xFF\n", "int", [-12, 7, -255]),
    "JSON": ("--blobify msgpack --jsonl", b'{"a":1}\n', "msgpack", [{"a": 1}]),
    "JSON as nat": ("--blobify nat --jsonl", b"12\n", "nat", [12]),
}  # fmt: skip


@pytest.mark.parametrize(("options", "content", "blobify", "values"), BLOBIFY.values(), ids=BLOBIFY)
def test_import_as(run, options, content, blobify, values):
    Path("in").write_bytes(content)
    assert run("import", "r.smem", "in", *options.split())[0] == 0
    with MemoryBuffer("r.smem", "r") as found:
        assert found.blobify.name == blobify
        assert found[:] == values
    # What a list is need not be said again, except that lines of msgpack are JSON.
    again = ["--encoding", "latin-1"] if "latin" in options else ["--jsonl"] if "--jsonl" in options else []
    assert run("import", "r.smem", "in", *again)[0] == 0
    with MemoryBuffer("r.smem", "r") as found:
        assert found[:] == values * 2


@pytest.mark.parametrize(
    ("options", "line", "said"),
    [
        ("--blobify nat", b"-1", "below 0"),
        ("--blobify nat", b"one", "not a whole number, such as 12 or 0xff"),
        ("--blobify nat", b"", "not a whole number"),
        ("--blobify int", b"1.5", "not a whole number"),
        ("--blobify int", b"9" * 5000, "more decimal digits than Python reads (4,300)"),
        ("--blobify nat --jsonl", b"-1", "below 0"),
        ("--blobify int --jsonl", b"true", "not a whole number, which a list of int needs"),
        ("--blobify int --jsonl", b"1.0", "not a whole number, which a list of int needs"),
        ("--blobify text --jsonl", b"1", "not a JSON string, which a list of text needs"),
    ],
)
def test_import_of_lines_that_are_none(run, options, line, said):
    Path("in").write_bytes(b'"1"\n' * ("text" in options) or b"1\n")
    with open("in", "ab") as file:
        file.write(line + b"\n")
    err = refused(run("import", "r.smem", "in", *options.split()), "in, line 2: ", said)
    assert err.endswith("; nothing of this import was kept\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--blobify msgpack", "takes only JSON lines: add --jsonl"),
        ("--blobify bytes --jsonl", "JSON has no bytes"),
        ("--blobify bytes --encoding utf-8", "--encoding is for lists of text, and this one is bytes"),
        ("--blobify pickle", "'pickle' is not one of 'bytes', 'text', 'msgpack', 'nat', 'int'"),
    ],
)
def test_import_with_what_does_not_go_together(run, options, said):
    Path("in").write_bytes(b"1\n")
    refused(run("import", "r.smem", "in", *options.split()), said)
    assert os.listdir() == ["in"]
