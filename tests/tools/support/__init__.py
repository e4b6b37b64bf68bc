"""What several tests share."""

import os
import random
import subprocess
import sys
from pathlib import Path

from stablemem import COMPILED

__all__ = ["HANGS", "LONG", "ROOT", "TESTS", "chosen_seed", "environment", "run_python", "scaled"]

LONG = os.environ.get("STABLEMEM_LONG", "0") not in {"", "0"}
"""Whether the long versions of the random tests run."""

HANGS = 1800.0
"""Seconds after which something counts as hung. No step of a test takes a twentieth of it, on any machine."""

TESTS = Path(__file__).resolve().parents[2]
"""The folder of the tests; judge, powercut and support are in tools below it."""

ROOT = TESTS.parent
"""The checkout."""


def chosen_seed(first: int = 0) -> int:
    """Return the seed of this run: STABLEMEM_SEED, a new one in a long run, else always the same.

    The default run must not fail by chance on what it is the long runs' task to find.
    """
    if "STABLEMEM_SEED" in os.environ:
        return int(os.environ["STABLEMEM_SEED"])
    return first + (random.randrange(1 << 32) if LONG else 20261123)


def scaled(compiled: int, interpreted: int | None = None, long: int | None = None) -> int:
    """Return how often to do something: the interpreted form gets a quarter, a long run 20 times."""
    if LONG:
        return long or 20 * compiled
    if COMPILED:
        return compiled
    return interpreted or max(1, compiled // 4)


def environment(**extra: str) -> dict[str, str]:
    """Return the environment for a child process that imports this stablemem and these tests."""
    import stablemem

    source = str(Path(stablemem.__file__).resolve().parent.parent)
    known = dict(os.environ)
    known["PYTHONPATH"] = os.pathsep.join([source, str(TESTS / "tools")])
    known["STABLEMEM_PURE"] = "0" if COMPILED else "1"
    known["PYTHONDEVMODE"] = ""  # any other text turns it on
    return known | extra


def run_python(
    code: str, *arguments: str, check: bool = True, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run Python code in a new process, in the mode of this one, and return what came of it."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment(**extra), capture_output=True, text=True, timeout=HANGS, check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done
