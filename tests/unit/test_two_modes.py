"""The compiled and the interpreted form write the same bytes; the golden file says which."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stablemem import COMPILED, MemoryRegion
from support import HANGS, TESTS, chosen_seed, environment
from support.replayer import live

GOLDEN = TESTS / "golden" / "format0.smem"


def lived(path, seed, workload, pure):
    """Let a region live in a process of one mode; return its bytes and whether that was compiled."""
    done = subprocess.run(
        [sys.executable, "-m", "support.replayer", str(path), str(seed), workload],
        env=environment(STABLEMEM_PURE=pure), capture_output=True, text=True, timeout=HANGS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with open(path, "rb") as file:
        return file.read(), done.stdout == "True\n"


@pytest.mark.skipif(not COMPILED, reason="there is no compiled form to compare with, or it runs by itself")
@pytest.mark.parametrize("workload", ["mixed", "large", "small", "best"])
def test_both_modes_write_the_same_bytes(tmp_path, workload):
    seed = chosen_seed()
    print(f"STABLEMEM_SEED={seed}")
    one, compiled = lived(tmp_path / "compiled.smem", seed, workload, "0")
    two, other = lived(tmp_path / "interpreted.smem", seed, workload, "1")
    assert (compiled, other) == (True, False)
    assert len(one) == len(two)
    differing = [
        place for place in range(0, len(one), 4096) if one[place : place + 4096] != two[place : place + 4096]
    ]
    assert not differing, f"pages at {differing[:10]} differ"


def test_the_same_life_gives_the_same_bytes(tmp_path):
    """What the test above rests on: nothing random is left."""
    for name in ("first", "second"):
        live(str(tmp_path / f"{name}.smem"), 7, "mixed")
    assert (tmp_path / "first.smem").read_bytes() == (tmp_path / "second.smem").read_bytes()


def test_golden_file_is_read():
    with MemoryRegion(GOLDEN, "r") as region:
        assert region.names() == ["main", "packed", "plain"]
        assert region.buffer("main")[:] == [
            "", "inserted", "eight by", "nine byte", "z\u00fcrich", "a longer text " * 20,
        ]  # fmt: skip
        expected = [b"%d" % number * (number % 5) for number in range(240)]
        expected[0] = bytes(range(256)) * 20
        del expected[100:200]
        assert region.buffer("plain")[:] == expected
        assert region.buffer("packed")[:] == [
            None, True, 1.5, 2**40, "text", b"bytes", [1, [2]], {"key": "value", "other": [1.25]}, "the last",
        ]  # fmt: skip
        region.verify()


def test_golden_file_is_what_is_written(tmp_path):
    """With STABLEMEM_REGENERATE=1 the golden file is written anew; format 0 may change, others may not."""
    made = tmp_path / "made.smem"
    live(str(made), 0, "small")
    if os.environ.get("STABLEMEM_REGENERATE") == "1":
        GOLDEN.write_bytes(made.read_bytes())
    assert GOLDEN.stat().st_size < 100 * 1024
    assert made.read_bytes() == Path(GOLDEN).read_bytes(), (
        "the engine writes other bytes than the golden file has: if that is meant, run this test with "
        "STABLEMEM_REGENERATE=1 and say so in the CHANGELOG"
    )
