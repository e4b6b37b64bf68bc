"""What is handed out: the sdist, and what an installation without extensions says of itself."""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import stablemem
from support import TESTS, environment

CHECKOUT = TESTS.parent
MADE = shutil.ignore_patterns(
    *(".*_cache", ".git", ".hypothesis", ".venv*", "__pycache__", "build", "dist"),
    *("*.egg-info", "*.so", "PURE", "*.smem"),
)


def run(*arguments, cwd=None, **variables):
    """Run this Python; return what it printed and what it warned of."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env=environment(**variables),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def copied(tmp_path):
    """Return a copy of the package alone, without extensions."""
    folder = tmp_path / "copied"
    shutil.copytree(Path(stablemem.__file__).parent, folder / "stablemem", ignore=MADE)
    return folder


def test_the_sdist_has_all_that_the_two_commands_need(tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(CHECKOUT, tree, ignore=MADE)
    shutil.copytree(TESTS / "golden", tree / "tests" / "golden", dirs_exist_ok=True)
    run(
        "-c", f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})",
        cwd=tree, STABLEMEM_BUILD="pure",
    )  # fmt: skip
    (archive,) = tmp_path.glob("stablemem-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()

    wanted = ["Makefile", "README.md", "pyproject.toml", "setup.py", ".ci/run"]
    for folder in ("scripts", "examples", "benchmarks", "tests", "src", "docs"):
        wanted += [str(file.relative_to(tree)) for file in (tree / folder).rglob("*") if file.is_file()]
    missing = [name for name in wanted if ".egg-info" not in name and not (unpacked / name).exists()]
    assert not missing
    assert not (unpacked / "src" / "stablemem" / "_core" / "PURE").exists()

    said, _ = run(
        unpacked / "examples" / "demo.py", tmp_path, unpacked / "src",
        cwd=unpacked, PYTHONPATH=str(unpacked / "src"), STABLEMEM_PURE="1",
    )  # fmt: skip
    assert "Every check held" in said


def test_without_extensions_one_warning_says_so(copied):
    _, warned = run("-c", "import stablemem, stablemem.cli", PYTHONPATH=str(copied), STABLEMEM_PURE="0")
    assert warned.count("RuntimeWarning: stablemem runs interpreted here") == 1
    assert "STABLEMEM_PURE=1" in warned


@pytest.mark.parametrize("asked", ["by the environment", "when it was built"])
def test_who_asked_for_the_interpreted_form_is_not_warned(copied, asked):
    if asked == "when it was built":
        (copied / "stablemem" / "_core" / "PURE").touch()
    pure = str(int(asked == "by the environment"))
    said, warned = run(
        "-W", "error", "-c", "import stablemem; print(stablemem.COMPILED)",
        PYTHONPATH=str(copied), STABLEMEM_PURE=pure,
    )  # fmt: skip
    assert (said, warned) == ("False\n", "")


@pytest.mark.skipif(not stablemem.COMPILED, reason="there are no extensions here, or they are not in use")
def test_with_extensions_nothing_is_warned_of():
    assert run("-W", "error", "-c", "import stablemem", STABLEMEM_PURE="0") == ("", "")
