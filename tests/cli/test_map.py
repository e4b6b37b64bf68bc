"""``stablemem map``: what it draws in the terminal, as JSON, and as a PNG."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stablemem import MemoryBuffer, MemoryRegion, cli
from stablemem._core.audit.census import USES
from support.probe import handle_of

Run = Callable[..., tuple[int, str, str]]

NAMES = {
    "H": "header", "L": "log", "N": "nodes", "B": "blobs", "R": "raw", ".": "free", "~": "limbo",
}  # fmt: skip


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder, in 80 columns; gives exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")

    def do(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.run(arguments)
        return code, *capsys.readouterr()

    return do


class Picture:
    """What was drawn, taken apart.

    Attributes:
        cell: bytes a cell.
        starts: the addresses in front of the rows.
        rows: the rows' letters.
        legend: for each use, its bytes and its share.
    """

    def __init__(self, result: tuple[int, str, str]) -> None:
        code, out, err = result
        assert (code, err) == (0, "")
        head, picture, legend = out.split("\n\n")
        self.head = head
        self.cell = int(re.fullmatch(r".* ([\d,]+) bytes? a cell", head)[1].replace(",", ""))
        rows = [re.fullmatch(r" *([\d,]+)  ([A-Za-z.~]+)", line) for line in picture.split("\n")]
        self.starts = [int(row[1].replace(",", "")) for row in rows]
        self.rows = [row[2] for row in rows]
        self.letters = "".join(self.rows)
        self.legend = {}
        for line in legend.splitlines():
            if found := re.match(r"(\S)  (\w+) +([\d,]+) bytes +((?:[<>] )?[\d.]+ %)", line):
                assert NAMES[found[1]] == found[2]
                self.legend[found[2]] = int(found[3].replace(",", "")), found[4]
        assert list(self.legend) == list(USES)

    def at(self, address: int) -> str:
        return self.letters[address // self.cell]


def make(path: str = "r.smem") -> dict[str, int]:
    """Make a region that has something of everything; return where some of it is."""
    with MemoryRegion(path) as region:
        region.buffer("main", "bytes").extend([bytes(500)] * 1000)
        kept, freed = region.allocate(300_000), region.allocate(300_000)
        region.commit()
        region.deallocate(freed, 300_000)
        region.commit()
    return {"kept": kept, "freed": freed}


def test_the_picture(run: Run) -> None:
    places = make()
    drawn = Picture(run("map", "r.smem", "--width", "32", "--rows", "40"))
    with MemoryRegion("r.smem", "r") as region:
        stats = region.stats()
        length = stats.used_bytes + stats.free_bytes + stats.limbo_bytes
        number = region.transaction_number
    assert drawn.head == f"r.smem: {length:,} bytes as of commit {number}, {drawn.cell:,} bytes a cell"
    assert drawn.starts == [row * 32 * drawn.cell for row in range(len(drawn.rows))]
    assert {len(row) for row in drawn.rows[:-1]} == {32}
    assert len(drawn.letters) == -(-length // drawn.cell)
    assert 20 < len(drawn.rows) <= 40
    assert sum(size for size, _ in drawn.legend.values()) == length
    assert drawn.legend["free"][0] == stats.free_bytes
    assert drawn.legend["limbo"][0] == stats.limbo_bytes
    assert drawn.legend["header"] == (12_288, f"{100 * 12_288 / length:.1f} %")
    assert drawn.legend["raw"][0] == 300_000
    assert drawn.at(0) == "H"
    assert drawn.at(places["kept"] + 65536) == "R"
    assert drawn.at(places["freed"] + 65536) == "~"
    assert drawn.letters.count("B") == pytest.approx(500_000 / drawn.cell, rel=0.1)


def test_all_the_letters_are_told_apart(run: Run) -> None:
    make()
    letters = set(Picture(run("map", "r.smem", "--width", "128", "--rows", "100")).letters)
    assert letters >= {"H", "L", "N", "B", "R", ".", "~"}


def test_a_small_letter_is_less_than_half(run: Run) -> None:
    with MemoryRegion("r.smem") as region:
        address = region.allocate(1 << 20)
        region.commit()
        # Of the first quarter a part stays, and nothing of the second.
        region.deallocate(address + 150_000, (1 << 19) - 150_000)
        region.commit()
    drawn = Picture(run("map", "r.smem", "--width", "1", "--rows", "5"))
    assert drawn.cell == 1 << 18
    assert drawn.letters[:2] == "R~"
    region = MemoryRegion("r.smem")
    region.deallocate(address, 90_000)
    region.close()
    assert Picture(run("map", "r.smem", "--width", "1", "--rows", "5")).letters[0] == "r"


def test_a_huge_region_is_drawn_from_its_blocks(run: Run) -> None:
    with MemoryRegion("r.smem") as region:
        first, second = region.allocate(1 << 35), region.allocate(1 << 35)
        region.commit()
        region.deallocate(first + 100, (1 << 35) - 100)
        region.commit()
    assert os.stat("r.smem").st_blocks * 512 < 1 << 20
    drawn = Picture(run("map", "r.smem"))
    assert drawn.cell >= 1 << 26
    assert drawn.at(0) == "h", "what is small is seen, too"
    assert drawn.at(first + (1 << 34)) == "~"
    assert drawn.at(second + (1 << 34)) == "R"
    assert drawn.legend["header"] == (12_288, "< 0.1 %")
    assert drawn.legend["raw"] == ((1 << 35) + 100, "50.0 %")


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 60), (30, 10), (1, 1), (5000, 5000)])
def test_it_fits_the_terminal(
    run: Run, monkeypatch: pytest.MonkeyPatch, columns: int, lines: int
) -> None:  # fmt: skip
    make()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))
    drawn = Picture(run("map", "r.smem"))
    assert len(drawn.rows[0]) <= max(columns - len(f"{drawn.starts[-1]:,}"), 16)
    assert len(drawn.rows) <= max(lines - 13, 8)
    # More than half of the room is taken, unless cells would be tiny.
    assert 2 * len(drawn.letters) > len(drawn.rows[0]) * min(max(lines - 13, 8), 1000) or drawn.cell == 16


@pytest.mark.parametrize(("width", "rows"), [(1, 1), (7, 3), (1000, 1), (1, 1000), (1000, 1000)])
def test_the_grid_asked_for(run: Run, width: int, rows: int) -> None:
    make()
    drawn = Picture(run("map", "r.smem", "--width", str(width), "--rows", str(rows)))
    assert len(drawn.rows) <= rows
    assert {len(row) for row in drawn.rows[:-1]} <= {width}


def test_an_empty_region(run: Run) -> None:
    MemoryRegion("r.smem").close()
    drawn = Picture(run("map", "r.smem"))
    assert set(drawn.letters) == {"H"}
    assert drawn.legend["header"] == (12_288, "100.0 %")


def test_what_is_not_committed_is_not_shown(run: Run) -> None:
    make()
    before = run("map", "r.smem")
    with MemoryRegion("r.smem") as region:
        region.buffer("main").extend([bytes(500)] * 10_000)
        handle_of(region).write_early()
        region.allocate(1 << 20)
        during, ahead = run("map", "r.smem"), re.compile(r"ahead .*")
        assert ahead.sub("", during[1]) == ahead.sub("", before[1])
        region.rollback()
    with MemoryBuffer("r.smem") as values:
        values.extend([bytes(500)] * 1000)
    assert Picture(run("map", "r.smem")).legend["blobs"][0] == Picture(before).legend["blobs"][0] + 500_000


def test_json(run: Run) -> None:
    make()
    drawn = Picture(run("map", "r.smem"))
    code, out, err = run("map", "r.smem", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["path"] == "r.smem"
    assert found["cell_bytes"] == drawn.cell
    assert found["total"] == {use: size for use, (size, _) in drawn.legend.items()}
    assert {use: sum(cells) for use, cells in found["cells"].items()} == found["total"]
    assert {len(cells) for cells in found["cells"].values()} == {len(drawn.letters)}
    assert found["bytes"] + found["ahead_bytes"] == os.path.getsize("r.smem")


@pytest.mark.parametrize("plain", [False, True])
def test_colours_on_a_terminal_only(tmp_path: Path, plain: bool) -> None:
    path = str(tmp_path / "r.smem")
    make(path)
    command = [sys.executable, "-m", "stablemem", "map", path]
    known = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", "NO_COLOR": "1" if plain else ""}
    piped = subprocess.run(command, capture_output=True, check=True, env=known).stdout
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=theirs, env=known) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:
                # The other end was closed.
                break
            if not part:
                break
            shown += part
    os.close(ours)
    assert process.returncode == 0
    shown = shown.replace(b"\r\n", b"\n")
    assert b"\x1b[" not in piped
    assert (b"\x1b[" in shown) != plain
    assert re.sub(rb"\x1b\[[\d;]*m", b"", shown) == piped


@pytest.mark.usefixtures("damaged")
def test_a_damaged_log(run: Run) -> None:
    make()
    with MemoryRegion("r.smem", "r") as region:
        address = handle_of(region).slot.log_page
    content = bytearray(Path("r.smem").read_bytes())
    content[address + 100] ^= 1
    Path("r.smem").write_bytes(content)
    code, out, err = run("map", "r.smem")
    assert code == 1
    assert out == ""
    assert err.startswith("stablemem: r.smem is damaged at address")


class TestPng:
    @pytest.fixture(autouse=True)
    def needs(self) -> None:
        pytest.importorskip("matplotlib")

    def test_it_is_drawn(self, run: Run) -> None:
        from matplotlib.image import imread

        make()
        code, out, err = run("map", "r.smem", "--png", "r.png")
        assert (code, err) == (0, "")
        cell = json.loads(run("map", "r.smem", "--json", "--width", "128", "--rows", "128")[1])["cell_bytes"]
        assert re.fullmatch(rf"drew r.smem as of commit \d+, {cell:,} bytes a cell, into r.png\n", out)
        high, wide, _ = imread("r.png").shape
        assert wide > 1024
        assert high > 512
        assert run("map", "r.smem", "--png", "R.PNG", "--width", "32", "--rows", "8")[0] == 0
        assert imread("R.PNG").shape[0] < high

    def test_a_file_in_the_way_is_replaced(self, run: Run) -> None:
        make()
        Path("r.png").write_bytes(b"x" * 1_000_000)
        assert run("map", "r.smem", "--png", "r.png")[0] == 0
        assert Path("r.png").read_bytes().startswith(b"\x89PNG")
        assert os.path.getsize("r.png") < 1_000_000
