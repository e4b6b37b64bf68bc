"""mypy reads the types that users see as tests/typing says."""

import importlib.util
import subprocess
import sys

import pytest

from support import TESTS


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_types_of_the_main_calls():
    root = TESTS.parent
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(TESTS / "typing")],
        cwd=root, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    # Errors in src/ are the linter's to tell: here counts what users' calls give.
    ours = [line for line in done.stdout.splitlines() if line.startswith("tests/typing") and "error" in line]
    assert not ours, "\n".join(ours)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
