"""mypy and pyright read the types that users see as tests/faces/typing says."""

import importlib.util
import json
import shutil
import subprocess
import sys

import pytest

from support import HANGS, TESTS


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_types_of_the_main_calls():
    root = TESTS.parent
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(TESTS / "faces" / "typing")],
        cwd=root, capture_output=True, text=True, timeout=HANGS, check=False,
    )  # fmt: skip
    # Errors in src/ are the linter's to tell: here counts what users' calls give.
    ours = [
        line for line in done.stdout.splitlines() if line.startswith("tests/faces/typing") and "error" in line
    ]
    assert not ours, "\n".join(ours)
    assert done.returncode in {0, 1}, done.stdout + done.stderr


PYRIGHT = shutil.which("pyright") or shutil.which("basedpyright")


@pytest.mark.skipif(PYRIGHT is None, reason="pyright is not installed")
def test_types_as_pyright_reads_them():
    """It finds the types that are asserted, and the mistakes that mypy is told to pass over, and no other."""
    command = [PYRIGHT, "--outputjson", "--pythonpath", sys.executable, str(TESTS / "faces" / "typing")]
    done = subprocess.run(
        command, cwd=TESTS.parent, capture_output=True, text=True, timeout=HANGS, check=False
    )
    lines = (TESTS / "faces" / "typing" / "calls.py").read_text().splitlines()
    for found in json.loads(done.stdout)["generalDiagnostics"]:
        if found["severity"] == "error" and found["file"].endswith("calls.py"):
            line = lines[found["range"]["start"]["line"]]
            assert "type: ignore" in line, f"{line.strip()}: {found['message']}"
