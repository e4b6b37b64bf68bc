"""Imports point down only, each module stands alone, and the build compiles what has types."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import stablemem
from support import HANGS, TESTS, environment
from support.forms import ONE_FORM, is_of_one_form
from support.modules import MODULES, PACKAGE, imported

FLOORS = ["base", "format", "disk", "space", "tree", "txn", "audit", "calls", "blobify", "faces", "tools"]
"""From the bottom up. Those from format to calls are the folders of ``_core``."""

BASE = {"errors", "layout", "new_files", "shown", "_core", "_core._cython"}
TOOLS = {"plot", "cli", "__main__"}
BLOBIFY_MAY_IMPORT = {"errors", "layout", "shown"}


def floor(name):
    """Return the floor that a module is on."""
    first, _, rest = name.partition(".")
    if name in BASE:
        return "base"
    if first == "_core":
        return rest.split(".")[0]
    return "blobify" if first == "blobify" else "tools" if first in TOOLS else "faces"


def test_every_folder_has_its_floor():
    assert {floor(name) for name in MODULES} == set(FLOORS), "add a new folder to FLOORS in this test"


@pytest.mark.parametrize("name", MODULES, ids=lambda name: name or "stablemem")
def test_imports_point_down(name):
    """Those inside functions too, and those for types alone."""
    for other, _ in imported(name, MODULES[name]):
        assert other in MODULES, f"{name} imports {other}, which is no module"
        assert FLOORS.index(floor(other)) <= FLOORS.index(floor(name)), (
            f"{name} imports {other}, which lies above it"
        )
        if floor(name) == "blobify":
            assert floor(other) == "blobify" or other in BLOBIFY_MAY_IMPORT, (
                f"{name} imports {other}: it may import errors, their words and constants"
            )


@pytest.mark.parametrize("name", [name for name in MODULES if floor(name) == "tools"])
def test_tools_use_the_public_face_only(name):
    for other, _ in imported(name, MODULES[name]):
        assert other.split(".")[0] != "_core", f"{name} imports {other}: use MemoryRegion.inspect()"


def circle(edges):
    """Return the modules that import each other, of those that each module imports."""
    edges = {name: others - {name} for name, others in edges.items()}
    while edges:
        named = set().union(*edges.values())
        free = [name for name, others in edges.items() if name not in named or not others & edges.keys()]
        if not free:
            break
        for name in free:
            del edges[name]
    return sorted(edges)


def test_there_is_no_circle_at_run_time():
    """Imports inside functions count: who calls whom must have an order too."""
    edges = {
        name: {other for other, types_only in imported(name, file) if not types_only}
        for name, file in MODULES.items()
    }
    assert not circle(edges), "these import each other"


def test_only_public_faces_name_each_other_for_types():
    edges = {
        name: {other for other, _ in imported(name, file)}
        for name, file in MODULES.items()
        if floor(name) != "faces"
    }
    assert not circle(edges), "these import each other, for types at least"


def test_only_the_device_does_input_and_output():
    """Reading and writing the file is asked of the kernel in one module."""
    calls = {"pread", "pwrite", "preadv", "pwritev", "ftruncate", "fdatasync", "mmap", "memfd_create"}
    for name, file in MODULES.items():
        if name == "_core.disk.device":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert not (node.value.id in {"os", "mmap"} and node.attr in calls), (
                    f"{name}: {ast.unparse(node)}"
                )


ALONE = """
import importlib, os, sys, traceback
import stablemem
for name in set(sys.argv[1:]) - set(sys.modules):
    pid = os.fork()
    if pid == 0:
        try:
            importlib.import_module(name)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if os.waitpid(pid, 0)[1]:
        print(name)
"""


def test_each_module_imports_alone():
    """Each of those that the package itself does not import, in a process of its own."""
    names = [f"stablemem{'.' if name else ''}{name}" for name in MODULES if name != "__main__"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE, *names, "stablemem.there_is_none"],
        env=environment(), capture_output=True, text=True, timeout=HANGS, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["stablemem.there_is_none"], done.stderr


def test_the_build_compiles_what_has_types(tmp_path, monkeypatch):
    """setup.py makes an extension of every module with a .pxd, words apart, which is a header."""
    root = PACKAGE.parent.parent
    if not (root / "setup.py").exists():
        pytest.skip("the sources are not beside the package")
    text = (root / "setup.py").read_text()
    tree = ast.parse(text)
    wanted = next(
        node
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "MODULES"
    )
    monkeypatch.chdir(root)
    space = {"Path": Path, "CORE": Path("src/stablemem/_core"), "sorted": sorted}
    exec(compile(ast.Module([wanted], []), "setup.py", "exec"), space)
    core = PACKAGE / "_core"
    typed = {str(file.relative_to(core).with_suffix("")) for file in core.rglob("*.pxd")} - {"format/words"}
    assert set(space["MODULES"]) == typed
    for name in typed:
        assert (PACKAGE / "_core" / f"{name}.py").exists(), f"{name}.pxd has no module"


def test_the_mode_is_the_one_asked_for():
    from stablemem._core.tree import index

    assert index.__file__.endswith(".py") != stablemem.COMPILED
    for name, file in MODULES.items():
        if file.with_suffix(".pxd").exists() and file.stem != "words":
            module = importlib.import_module(f"stablemem.{name}")
            assert module.__file__.endswith(".so") == stablemem.COMPILED, f"{name} is of another form"


def test_what_runs_in_one_form_is_of_no_compiled_module():
    """Each file that the interpreted run leaves out is there, and tests no module that has a .pxd."""
    for name in ONE_FORM:
        assert (TESTS / name).exists(), f"{name} is not there"
    for file in TESTS.glob("unit/**/test_*.py"):
        if is_of_one_form(file):
            tested = PACKAGE / file.relative_to(TESTS / "unit").with_name(file.name.removeprefix("test_"))
            assert not tested.with_suffix(".pxd").exists(), f"{file} tests a module that has two forms"
