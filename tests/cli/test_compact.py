"""``stablemem compact``: the file is shorter, and holds what it held."""

import os
import re
from pathlib import Path

import pytest

from stablemem import MemoryBuffer, cli


@pytest.fixture
def holey(tmp_path: Path) -> str:
    """Return a region of which a third is used, which is more than closing moves."""
    path = str(tmp_path / "list.smem")
    with MemoryBuffer(path, blobify="bytes") as buffer:
        buffer.extend([b"x" * 500] * 9000)
        buffer.commit()
        del buffer[:6000]
    return path


def test_compact(holey: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = os.path.getsize(holey)
    assert cli.run(["compact", holey]) == 0
    out, err = capsys.readouterr()
    after = os.path.getsize(holey)
    assert after < before / 2
    said = re.fullmatch(r".*: ([\d,]+) bytes shorter, now ([\d,]+) as of commit \d+ \(.* s\)\n", out)
    assert said
    assert int(said[1].replace(",", "")) <= before - after
    assert after - 4096 < int(said[2].replace(",", "")) <= after
    assert err == ""
    with MemoryBuffer(holey, "r") as buffer:
        assert list(buffer) == [b"x" * 500] * 3000


def test_nothing_to_do(holey: str, capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["compact", holey])
    cli.run(["compact", holey])
    assert ": 0 bytes shorter" in capsys.readouterr().out.splitlines()[-1]


def test_a_little_at_a_time(holey: str) -> None:
    before = os.path.getsize(holey)
    assert cli.run(["compact", holey, "--max-bytes", "0"]) == 0
    for _ in range(20):
        assert cli.run(["compact", holey, "--max-bytes", "200000"]) == 0
    assert os.path.getsize(holey) < before / 2
    assert cli.run(["compact", holey, "--max-bytes", "-1"]) == 2


def test_somebody_writes(holey: str, capsys: pytest.CaptureFixture[str]) -> None:
    with MemoryBuffer(holey):
        assert cli.run(["compact", holey]) == 2
    assert f"open for writing in process {os.getpid()}" in capsys.readouterr().err


def test_no_region(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["compact", str(tmp_path / "none")]) == 2
    assert "none" in capsys.readouterr().err
    (tmp_path / "text").write_text("some text\n" * 1000)
    assert cli.run(["compact", str(tmp_path / "text")]) == 2
    assert "not a region" in capsys.readouterr().err
