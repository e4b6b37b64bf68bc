"""What is handed out: the sdist, and what an installation without extensions says of itself."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
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


CYTHON = """
from setuptools import Extension

def cythonize(extensions, **options):
    names = [extension.name.rpartition(".")[2] for extension in extensions]
    return [Extension(e.name, [f"src/stablemem/_core/{name}.c"]) for e, name in zip(extensions, names)]
"""

COMPILER = """#!/bin/sh
# Makes the file after -o, and fails for the module that FAILS names.
case "$*" in *"/$FAILS.c"*) exit 1 ;; esac
while [ "$1" != -o ]; do shift; done
: >"$2"
"""


class Tree:
    """A checkout of a package with two modules to compile, by a compiler that compiles nothing."""

    def __init__(self, folder):
        self.root = folder / "tree"
        self.core = self.root / "src" / "stablemem" / "_core"
        self.core.mkdir(parents=True)
        for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(CHECKOUT / name, self.root)
        for name in ("one", "two"):
            for end in ("py", "pxd", "c"):
                (self.core / f"{name}.{end}").touch()
        for package in (self.core, self.core.parent):
            (package / "__init__.py").touch()
        self.tools = folder / "tools"
        (self.tools / "Cython").mkdir(parents=True)
        (self.tools / "Cython" / "__init__.py").touch()
        (self.tools / "Cython" / "Build.py").write_text(CYTHON)
        self.compiler = self.tools / "cc"
        self.compiler.write_text(COMPILER)
        self.compiler.chmod(0o755)

    def build(self, *arguments, fails="none", variant=""):
        """Build, with what `setup.py` is given."""
        command = str(self.compiler)
        return run(
            *arguments, cwd=self.root, CC=command, LDSHARED=command, PYTHONPATH=str(self.tools),
            FAILS=fails, STABLEMEM_BUILD=variant,
        )  # fmt: skip

    def ask(self, what, **options):
        """Have pip's part of setuptools make a wheel; return the names in it that are of the engine."""
        self.build("-c", f"from setuptools import build_meta; build_meta.build_{what}('made')", **options)
        (wheel,) = (self.root / "made").glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            names = packed.namelist()
        wheel.unlink()
        return modules(Path(name) for name in names if "/_core/" in name)

    def age(self):
        """Make the sources newer than all that was built."""
        for source in self.core.glob("*.c"):
            os.utime(source, (source.stat().st_mtime + 1000,) * 2)


def modules(paths):
    """Return the names of the extensions among some files, and the note that none were wanted."""
    end = sysconfig.get_config_var("EXT_SUFFIX")
    names = {path.name for path in paths}
    return {name.removesuffix(end) for name in names if name.endswith(end)} | (names & {"PURE"})


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


IN_PLACE = ("setup.py", "build_ext", "--inplace")


def test_no_extension_outlives_what_it_was_compiled_for(tree):
    tree.build(*IN_PLACE)
    assert modules(tree.core.iterdir()) == tree.ask("wheel") == {"one", "two"}
    (tree.core / "two.pxd").unlink()
    assert tree.ask("wheel") == {"one"}
    tree.build(*IN_PLACE)
    assert modules(tree.core.iterdir()) == {"one"}


def test_extensions_are_all_there_or_none(tree):
    tree.build(*IN_PLACE)
    tree.age()
    assert tree.ask("wheel", fails="two") == set()
    tree.build(*IN_PLACE, fails="one")
    assert modules(tree.core.iterdir()) == set()
    tree.build(*IN_PLACE)
    assert modules(tree.core.iterdir()) == {"one", "two"}


def test_a_wheel_changes_nothing_of_what_the_checkout_is(tree):
    tree.build(*IN_PLACE)
    assert tree.ask("wheel", variant="pure") == {"PURE"}
    assert modules(tree.core.iterdir()) == {"one", "two"}
    tree.ask("editable", variant="pure")
    assert modules(tree.core.iterdir()) == {"PURE"}
    assert tree.ask("wheel", variant="require") == {"one", "two"}
    assert modules(tree.core.iterdir()) == {"PURE"}
    tree.ask("editable")
    assert modules(tree.core.iterdir()) == {"one", "two"}


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_clean_removes_what_was_built(tree):
    shutil.copy(CHECKOUT / "Makefile", tree.root)
    for folder in ("tests", "examples", "benchmarks"):
        (tree.root / folder).mkdir()
    tree.build(*IN_PLACE)
    tree.ask("wheel")
    (tree.core / "PURE").touch()
    subprocess.run(["make", "clean"], cwd=tree.root, env=environment(), capture_output=True, check=True)
    assert modules(tree.root.rglob("*")) == set()
