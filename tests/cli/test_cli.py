"""The command line: what it does, what it says, and its exit codes."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stablemem
from stablemem import MemoryBuffer, MemoryRegion, StableMemoryError, cli
from stablemem.cli import base, importing
from support import HANGS
from support.probe import handle_of
from support.waiting import wait_for

COMMAND = [sys.executable, "-m", "stablemem"]
LINES = [b"first\r", b"", b"\xff caf\xc3\xa9", b"a longer last line"]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder; gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def do(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.run(arguments)
        return code, *capsys.readouterr()

    return do


def fill(path: str = "r.smem", values: Any = LINES, blobify: Any = "bytes") -> str:
    MemoryBuffer.from_iterable(values, path, blobify=blobify).close()
    return path


def contents(path: str = "r.smem", **options: Any) -> list[Any]:
    with MemoryBuffer(path, "r", **options) as buffer:
        return list(buffer)


def refused(result: tuple[int, str, str], *parts: str) -> None:
    """Check for one line of complaint, with certain words, and no output."""
    code, out, err = result
    assert code == 2
    assert out == ""
    assert err.startswith("stablemem: ")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err


class TestImport:
    @pytest.mark.parametrize(
        ("content", "values"),
        [
            (b"", []),
            (b"\n", [b""]),
            (b"a", [b"a"]),
            (b"a\n", [b"a"]),
            (b"a\r\nb\x0b\x0c\x1c\x85c\n\n", [b"a\r", b"b\x0b\x0c\x1c\x85c", b""]),
            (b"\xff\x00\n" * 3, [b"\xff\x00"] * 3),
            (b"x" * 3_000_000 + b"\ny", [b"x" * 3_000_000, b"y"]),
        ],
    )
    def test_lines(self, run: Run, content: bytes, values: list[bytes]) -> None:
        Path("in").write_bytes(content)
        code, out, err = run("import", "r.smem", "in")
        assert (code, err) == (0, "")
        size = sum(map(len, values))
        assert out.startswith(f"imported {len(values)} value")
        assert f"({size:,} byte" in out
        assert out.endswith(" from 1 input into r.smem\n")
        assert contents() == values

    def test_appends_inputs_in_order(self, run: Run) -> None:
        fill(values=[b"0"])
        Path("one").write_bytes(b"1\n2")
        Path("two").write_bytes(b"3\n")
        assert run("import", "r.smem", "two", "one", "two")[0] == 0
        assert contents() == [b"0", b"3", b"1", b"2", b"3"]

    def test_standard_input(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\r\nb")))
        assert run("import", "r.smem", "-")[0] == 0
        assert contents() == [b"a\r", b"b"]

    def test_text(self, run: Run) -> None:
        Path("in").write_bytes("z\u00fcrich\n\u2028\n".encode())
        assert run("import", "--encoding", "utf-8", "r.smem", "in")[0] == 0
        assert contents() == ["z\u00fcrich", "\u2028"]
        Path("in").write_bytes(b"z\xfcrich")
        assert run("import", "--encoding", "latin-1", "r.smem", "in")[0] == 0
        assert contents()[-1] == "z\u00fcrich"

    def test_jsonl(self, run: Run) -> None:
        Path("in").write_text('{"a": [1, null]}\r\n"x"\n2.5')
        assert run("import", "--jsonl", "--name", "events", "r.smem", "in")[0] == 0
        assert contents("r.smem", name="events") == [{"a": [1, None]}, "x", 2.5]

    def test_commits_in_pieces(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importing, "COMMIT_BYTES", 1000)
        monkeypatch.setattr(importing, "READ_BYTES", 100)
        Path("in").write_bytes(b"0123456789\n" * 1000 + b"\xff\n" + b"more\n" * 100)
        result = run("import", "--encoding", "utf-8", "r.smem", "in")
        refused(result, "in, line 1001: not utf-8: byte 0xff", "values of this import are committed and stay")
        kept = contents()
        assert 900 < len(kept) <= 1000
        assert kept == ["0123456789"] * len(kept)
        assert f"the first {len(kept):,} values" in result[2] or len(kept) == 1000

    @pytest.mark.parametrize(
        ("options", "content", "words"),
        [
            (["--encoding", "utf-8"], b"a\nb\xff\n", "in, line 2: not utf-8: byte 0xff at position 1"),
            (["--jsonl"], b"1\n2\n\n", "in, line 3: not JSON"),
            (["--jsonl"], b"[" * 100_000, "in, line 1: "),
            (["--jsonl"], b'1\n{"a": 1', "in, line 2: not JSON"),
            (["--jsonl"], b"1\n99999999999999999999999\n", "in, line 2: "),
            (["--jsonl"], b"1\n" + b"[" * 250 + b"]" * 250, "in, line 2: Msgpack cannot"),
        ],
    )
    def test_wrong_line(self, run: Run, options: list[str], content: bytes, words: str) -> None:
        fill(values=[], blobify="msgpack" if "--jsonl" in options else "text")
        Path("in").write_bytes(content)
        refused(run("import", *options, "r.smem", "in"), words, "nothing of this import was kept")
        assert contents() == []

    def test_wrong_options(self, run: Run) -> None:
        Path("in").write_bytes(b"a")
        fill(values=["x"], blobify="text")
        refused(run("import", "r.smem", "in", "--blobify", "bytes"), "'text', not 'bytes'")
        refused(run("import", "new.smem", "missing"), "missing")
        refused(run("import", "new.smem"), "INPUT")
        refused(run("import", "new.smem", "."), "directory")
        refused(run("import", "in", "r.smem"), "not a region")
        refused(run("import", ".", "in"), "Is a directory")
        refused(run("import", "no/such/r.smem", "in"), "No such file")
        refused(run("import", "r.smem", "in", "r.smem"), "into itself")
        refused(run("import", "--jsonl", "--encoding", "utf-8", "r.smem", "in"), "cannot be used together")
        for encoding in ("utf-16", "no-such", "hex"):
            refused(run("import", "--encoding", encoding, "new.smem", "in"), encoding)
        assert not os.path.exists("new.smem")

    def test_locked(self, run: Run) -> None:
        Path("in").write_bytes(b"a")
        with MemoryBuffer("r.smem", blobify="bytes"):
            refused(run("import", "r.smem", "in"), str(os.getpid()), "try again")

    def test_interrupt_keeps_what_was_committed(self, tmp_path: Path) -> None:
        path = tmp_path / "r.smem"
        process = subprocess.Popen(
            [*COMMAND, "import", str(path), "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        process.stdin.write(b"x" * 999 + b"\n")
        process.stdin.write((b"x" * 999 + b"\n") * 6000)
        process.stdin.flush()
        wait_for(lambda: path.exists() and contents(str(path)))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=HANGS)
        assert (process.returncode, out) == (130, b"")
        kept = contents(str(path))
        assert 4000 < len(kept) <= 6001
        assert err.decode() == (
            f"stablemem: interrupted; the first {len(kept):,} values of this import are committed and stay, "
            f"no others\n"
        )

    def test_progress_on_a_terminal_only(self, tmp_path: Path) -> None:
        source = tmp_path / "in"
        source.write_bytes(b"line\n" * 1000)
        ours, theirs = pty.openpty()
        result = subprocess.run(
            [*COMMAND, "import", str(tmp_path / "r.smem"), str(source)],
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "90"},
            check=True,
        )
        os.close(theirs)
        shown = os.read(ours, 65536)
        os.close(ours)
        assert b"importing" in shown
        assert b"1,000 values" in shown
        assert result.stdout.startswith(b"imported 1,000 values (4,000 bytes)")


class TestLooking:
    def test_info(self, run: Run) -> None:
        fill()
        with MemoryBuffer("r.smem", name="other") as other:
            other.append(1)
        code, out, err = run("info", "r.smem")
        assert (code, err) == (0, "")
        assert "list     main: 4 values, blobify bytes\n" in out
        assert "list     other: 1 value, blobify msgpack\n" in out
        assert ("compiled" if stablemem.COMPILED else "interpreted") in out
        found = json.loads(run("info", "r.smem", "--json")[1])
        assert found["lists"] == [
            {"name": "main", "values": 4, "blobify": "bytes"},
            {"name": "other", "values": 1, "blobify": "msgpack"},
        ]
        assert found["file_bytes"] == os.path.getsize("r.smem")
        assert found["compiled"] is stablemem.COMPILED
        assert found["commit"] > 1
        assert found["roots"] == {}

    def test_info_tells_roots(self, run: Run) -> None:
        with MemoryRegion("r.smem") as region:
            region.roots["table"] = 65536, 12
            region.roots["many"] = range(9)
        out = run("info", "r.smem")[1]
        assert "  root     many: 0, 1, 2, 3 and 5 more\n  root     table: 65536, 12\n" in out
        assert json.loads(run("info", "r.smem", "--json")[1])["roots"]["table"] == [65536, 12]

    def test_get(self, run: Run) -> None:
        fill()
        assert run("get", "r.smem", "0") == (0, "first\r\n", "")
        assert run("get", "r.smem", "2") == (0, "\\xff caf\u00e9\n", "")
        for last in (["3"], ["-1"], ["--", "-1"]):
            assert run("get", "r.smem", *last) == (0, "a longer last line\n", "")
        refused(run("get", "r.smem", "4"), "no index 4", "4 values")
        refused(run("get", "r.smem", "-12"), "no index -12")
        refused(run("get", "r.smem", "9" * 30), "no index")
        refused(run("get", "r.smem", "x"), "not a valid integer")

    def test_get_several(self, run: Run) -> None:
        fill(values=[str(number).encode() for number in range(10)])
        for choices, shown in (
            (["3", "1"], "3 1"),
            (["2:5"], "2 3 4"),
            (["-3:"], "7 8 9"),
            ([":2", "-1", "9:0:-4", "5:5"], "0 1 9 9 5 1"),
            (["8:100"], "8 9"),
            (["100:"], ""),
        ):
            assert run("get", "r.smem", *choices) == (0, "".join(f"{each}\n" for each in shown.split()), "")
        refused(run("get", "r.smem", "0", "10"), "no index 10")

    def test_get_several_raw(self, tmp_path: Path) -> None:
        path = fill(str(tmp_path / "r.smem"), [b"a\n", b"\xff", b"", b"b"])
        result = subprocess.run([*COMMAND, "get", path, "3", "0:3", "--raw"], capture_output=True, check=True)
        assert result.stdout == b"ba\n\xff"

    def test_get_raw(self, tmp_path: Path) -> None:
        path = fill(str(tmp_path / "r.smem"), [b"\xff\r\n\x00"])
        result = subprocess.run([*COMMAND, "get", "--raw", path, "0"], capture_output=True, check=True)
        assert result.stdout == b"\xff\r\n\x00"

    def test_get_other_values(self, run: Run) -> None:
        values = [{"a": [1, None, "\u00e9"]}, "x", b"raw", {1: 2}, [b"y"], 1.5]
        fill(values=values, blobify="msgpack")
        shown = [run("get", "r.smem", str(index))[1] for index in range(len(values))]
        assert shown == ['{"a": [1, null, "\u00e9"]}\n', '"x"\n', "raw\n", "{1: 2}\n", "[b'y']\n", "1.5\n"]

    def test_head_and_tail(self, run: Run) -> None:
        fill(values=[f"line\t{number}\x1b[31m".encode() for number in range(12)])
        code, out, _ = run("head", "r.smem", "-n", "2")
        assert (code, out) == (0, "0  line\\t0\\x1b[31m\n1  line\\t1\\x1b[31m\n")
        assert len(run("head", "r.smem")[1].splitlines()) == 10
        code, out, _ = run("tail", "r.smem", "-n", "3")
        assert (code, out) == (
            0,
            " 9  line\\t9\\x1b[31m\n10  line\\t10\\x1b[31m\n11  line\\t11\\x1b[31m\n",
        )
        assert len(run("tail", "r.smem", "-n", "100")[1].splitlines()) == 12
        assert run("head", "r.smem", "-n", "0") == (0, "", "")
        assert run("tail", "r.smem", "-n1", "--values") == (0, "line\\t11\\x1b[31m\n", "")
        assert run("head", "r.smem", "-n1", "--values") == (0, "line\\t0\\x1b[31m\n", "")
        refused(run("head", "r.smem", "-n", "-1"), "-1")
        refused(run("tail", "r.smem", "--name", "nope"), "no list 'nope'", "main")

    def test_cut_to_the_terminal(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(values=["a" * 500, "\u6f22" * 500, "short"], blobify="text")
        monkeypatch.setenv("COLUMNS", "40")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        lines = run("head", "r.smem")[1].splitlines()
        assert lines[0] == f"0  {'a' * 34}..."
        assert lines[1] == f"1  {chr(0x6F22) * 17}..."
        assert lines[2] == "2  short"
        lines = run("head", "r.smem", "--values")[1].splitlines()
        assert lines == ["a" * 37 + "...", "\u6f22" * 18 + " ...", "short"]

    def test_a_long_value_is_not_read_for_what_is_cut_off(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(values=[["\x1b" * 10_000, 1]], blobify="msgpack")
        monkeypatch.setenv("COLUMNS", "40")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        assert run("head", "r.smem")[1] == "0  [" + '"' + "\\u001b" * 5 + "\\u...\n"

    def test_a_blobify_of_ones_own_is_shown_as_bytes(self, run: Run) -> None:
        class Reversed:
            name = "test.Reversed"

            def to_blob(self, value: bytes) -> bytes:
                return value[::-1]

            def from_blob(self, blob: bytes) -> bytes:
                return blob[::-1]

        fill(values=[b"abc", b"0123456789"], blobify=Reversed())
        assert run("head", "r.smem") == (0, "0  cba\n1  9876543210\n", "")
        assert "blobify test.Reversed" in run("info", "r.smem")[1]

    def test_a_reader_is_in_nobodys_way(self, run: Run) -> None:
        fill()
        with MemoryBuffer("r.smem") as writer:
            writer.append(b"not committed")
            for command in (["info"], ["head"], ["tail"], ["verify"], ["map"]):
                assert run(command[0], "r.smem")[0] == 0
            assert run("get", "r.smem", "-1")[1] == "a longer last line\n"


class TestVerify:
    def test_sound(self, run: Run) -> None:
        fill()
        code, out, err = run("verify", "r.smem")
        assert (code, err) == (0, "")
        assert out.startswith("r.smem: sound as of commit ")
        assert "main: 4 values" in out
        assert f"{os.path.getsize('r.smem'):,} bytes" in out

    def test_every_byte_is_in_the_table(self, run: Run) -> None:
        with MemoryRegion("r.smem") as region:
            block = region.allocate(600_000)
            region.commit()
            region.store(block + 100_000, b"x" * 1000)
            region.commit()
            found = region.stats()
        out = run("verify", "r.smem")[1]
        table = {
            label: int(size.replace(",", ""))
            for label, size in re.findall(r"^  (\w+) +([\d,]+) b", out, re.M)
        }
        assert table["raw"] == found.raw_bytes >= 600_000
        assert table["patches"] == 1000
        length = json.loads(run("map", "r.smem", "--json")[1])["bytes"]
        file = table.pop("file")
        assert table.pop("ahead") == file - length
        assert sum(table.values()) == length

    @pytest.mark.usefixtures("damaged")
    def test_damaged_blob(self, run: Run) -> None:
        fill(values=[*LINES, *[b"x" * 1000] * 2000])
        content = bytearray(Path("r.smem").read_bytes())
        content[content.index(b"longer")] ^= 1
        Path("r.smem").write_bytes(content)
        code, out, err = run("verify", "r.smem")
        assert (code, err) == (1, "")
        assert out.startswith("r.smem: DAMAGED")
        assert "fault    list 'main'" in out
        code, out, err = run("get", "r.smem", "3")
        assert (code, out) == (1, "")
        assert err.startswith("stablemem: r.smem is damaged at address")
        assert run("get", "r.smem", "0")[0] == 0

    @pytest.mark.usefixtures("damaged")
    @pytest.mark.parametrize("how", ["flip", "cut"])
    def test_damage_never_shows_an_older_state(self, run: Run, how: str) -> None:
        fill()
        content = bytearray(Path("r.smem").read_bytes())
        if how == "flip":
            content[content.index(b"longer")] ^= 1
        else:
            del content[20_000:]
        Path("r.smem").write_bytes(content)
        assert run("verify", "r.smem")[0] == 1
        assert run("get", "r.smem", "-1")[0] == 1

    @pytest.mark.usefixtures("damaged")
    def test_a_slot_that_is_not_used_is_named(self, run: Run) -> None:
        fill()
        content = bytearray(Path("r.smem").read_bytes())
        content[40] ^= 1
        Path("r.smem").write_bytes(content)
        code, out, _ = run("verify", "r.smem")
        assert code == 0
        assert "note     header slot 0 is not used: its checksum does not match" in out

    @pytest.mark.usefixtures("damaged")
    def test_damaged_header(self, run: Run) -> None:
        fill()
        content = bytearray(Path("r.smem").read_bytes())
        for slot in (0, 4096, 8192):
            content[slot + 40] ^= 1
        Path("r.smem").write_bytes(content)
        code, out, err = run("verify", "r.smem")
        assert (code, err) == (1, "")
        assert out.startswith("r.smem: DAMAGED, and cannot be opened")
        assert run("info", "r.smem")[0] == 1


class TestErrors:
    def test_no_region(self, run: Run) -> None:
        Path("text").write_text("some text, which is no region\n" * 1000)
        Path("empty").touch()
        for command, *rest in (["info"], ["get", "0"], ["head"], ["tail"], ["verify"], ["map"]):
            refused(run(command, "missing", *rest), "missing: No such file")
            refused(run(command, "text", *rest), "text is not a region")
            refused(run(command, "empty", *rest), "empty")
            refused(run(command, ".", *rest), ".: Is a directory")
        assert not os.path.exists("missing")

    def test_usage(self, run: Run) -> None:
        refused(run("bogus"), "bogus")
        refused(run("info"), "REGION")
        code, out, err = run()
        assert (code, out) == (2, "")
        assert "Commands:" in err

    def test_help_and_version(self, run: Run) -> None:
        for command in ("import", "info", "get", "head", "tail", "verify", "map"):
            code, out, _ = run(command, "--help")
            assert code == 0
            assert f"Usage: stablemem {command} [OPTIONS] REGION" in out
        code, out, _ = run("--version")
        assert code == 0
        assert out.startswith(f"stablemem {stablemem.__version__} (")

    def test_other_errors_are_told_without_a_traceback(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise StableMemoryError("something that cannot be helped")

        monkeypatch.setattr(base, "MemoryRegion", fail)
        refused(run("info", "r.smem"), "something that cannot be helped")

    def test_no_memory(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise MemoryError

        monkeypatch.setattr(base, "MemoryRegion", fail)
        refused(run("info", "r.smem"), "not enough memory")

    def test_a_fault_of_its_own(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise AssertionError("a\x1b[31mb")

        monkeypatch.setattr(base, "MemoryRegion", fail)
        code, out, err = run("info", "r.smem")
        assert (code, out) == (3, "")
        assert err.startswith("stablemem: this is a fault of stablemem itself")
        assert err.endswith("AssertionError: a\\x1b[31mb\n")

    def test_a_list_of_a_blobify_without_a_name(self, run: Run) -> None:
        with MemoryRegion("r.smem") as region:
            handle_of(region).add("strange", "", b"")
            region.roots["so that it"] = 1  # is committed
        refused(run("head", "r.smem", "--name", "strange"), "blobify ''", "which is not built in")

    def test_a_warning_is_one_line(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        real = base.MemoryRegion

        def warn(*given: Any) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("default")
                warnings.warn("a\x1b[31mb\nc", UserWarning, stacklevel=1)
            return real(*given)

        fill()
        monkeypatch.setattr(base, "MemoryRegion", warn)
        code, _, err = run("info", "r.smem")
        assert (code, err) == (0, "stablemem: a\\x1b[31mb\\nc\n")

    def test_no_message_is_longer_than_a_screen(self, run: Run) -> None:
        with MemoryRegion("r.smem") as region:
            for number in range(40):
                region.buffer(f"{number}" * 20_000, "bytes")
        code, _, err = run("head", "r.smem", "--name", "n" * 60_000)
        assert (code, len(err) < 2000) == (2, True)
        assert "30 more; choose one with --name" in err
        code, _, err = run("get", "r.smem", "9" * 6000)
        assert (code, len(err) < 2000) == (2, True)

    def test_the_reader_of_the_output_leaves(self, tmp_path: Path) -> None:
        path = fill(str(tmp_path / "r.smem"), [b"x" * 100] * 5000)
        process = subprocess.Popen(
            [*COMMAND, "head", path, "-n", "5000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        with process.stderr:
            assert process.stderr.read() == b""
        assert process.wait(timeout=HANGS) == 0

    @pytest.mark.parametrize("missing", ["click", "rich"])
    def test_without_the_extra(self, missing: str) -> None:
        program = f"""if True:
            import sys
            sys.modules[{missing!r}] = None
            from stablemem.__main__ import main
            sys.exit(main())
        """
        result = subprocess.run(
            [sys.executable, "-c", program, "info", "x"], capture_output=True, check=False, text=True
        )
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr == (f"stablemem: the command line needs {missing}: pip install click rich\n")
