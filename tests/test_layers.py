"""Imports point down only, each module stands alone, and the build compiles what has types."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import stablemem
from support import HANGS, TESTS, environment

PACKAGE = Path(stablemem.__file__).resolve().parent

LAYERS = [
    {"shown", "errors", "layout", "_core", "_core._cython"},
    {"_core.words", "_core.checksum", "_core.futex"},
    {"_core.device", "_core.region", "_core.node", "_core.freenode", "_core.sizetree", "_core.freetree"},
    {"_core.layers", "_core.freespace", "_core.packing", "_core.holes"},
    {"_core.pager"},
    {"_core.repair", "_core.index"},
    {"_core.header", "_core.locks", "_core.turns", "_core.readers", "_core.catalog", "_core.spacemap"},
    {"_core.latch", "_core.alarm", "_core.policy", "_core.ranges", "_core.patches", "_core.ending"},
    {"_core.relocation"},
    {"_core.state", "_core.transactions", "_core.commits", "_core.compaction", "_core.store"},
    {"_core.opening", "_core.verify", "_core.census", "_core.calls"},
    {"_core.rotation", "_core.measure", "_core.shortcuts", "_core.values", "_core.slices", "_core.moving"},
    {"_core.sequence", "_core.heap"},
    {"_core.sorting"},
    {
        "blobify",
        "blobify.protocol",
        "blobify.plain",
        "blobify.integers",
        "blobify.msgpack",
        "blobify.registry",
    },
    {"numbers", "roots", "raw_blocks"},
    {"list_calls", "beyond_list"},
    {"memory_region"},
    {"memory_buffer"},
    {""},
    {"plot"},
    {"cli.printing", "cli.positions", "cli.lines", "cli.output", "cli.progress"},
    {"cli.base", "cli.following"},
    {"cli", "cli.compacting", "cli.exporting", "cli.importing", "cli.looking", "cli.mapping"},
    {"__main__"},
]
"""From the bottom up; within a layer imports may go one way."""

LEVEL = {module: level for level, layer in enumerate(LAYERS) for module in layer}
LEAVES = {module for layer in LAYERS for module in layer if module.startswith("blobify")}


def modules():
    """Return every module of the package with its file."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = list(file.relative_to(PACKAGE).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = file
    return found


MODULES = modules()


def imported(name, file):
    """Yield the modules of the package that a module imports when it is loaded."""
    package = name.split(".") if file.name == "__init__.py" and name else name.split(".")[:-1]
    package = [part for part in package if part]
    todo = list(ast.parse(file.read_text()).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.ClassDef):
            for field in ("body", "orelse", "finalbody"):
                todo += getattr(node, field, [])
            for handler in getattr(node, "handlers", []):
                todo += handler.body
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "stablemem":
                    yield alias.name.partition(".")[2]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
            elif node.module and node.module.split(".")[0] == "stablemem":
                base = []
            else:
                continue
            rest = (node.module or "").split(".") if node.module else []
            if not node.level:
                rest = rest[1:]
            target = ".".join([*base, *rest])
            for alias in node.names:
                below = f"{target}.{alias.name}".lstrip(".")
                yield below if below in MODULES else target


def test_every_module_has_its_layer():
    assert set(MODULES) == set(LEVEL), "add new modules to LAYERS in this test"


@pytest.mark.parametrize("name", MODULES, ids=lambda name: name or "stablemem")
def test_imports_point_down(name):
    for other in imported(name, MODULES[name]):
        assert other in LEVEL, f"{name} imports {other}, which is no module"
        assert LEVEL[other] <= LEVEL[name], f"{name} imports {other}, which lies above it"
        if name in LEAVES:
            allowed = LEAVES | {"errors", "layout", "shown"}
            assert other in allowed, (
                f"{name} imports {other}: a leaf imports errors, their words and constants"
            )


def test_there_are_no_cycles():
    edges = {name: set(imported(name, file)) - {name} for name, file in MODULES.items()}
    while edges:
        free = [name for name, others in edges.items() if not others & edges.keys()]
        assert free, f"these import each other: {sorted(edges)}"
        for name in free:
            del edges[name]


def test_only_the_device_does_input_and_output():
    """Reading and writing the file is asked of the kernel in one module."""
    calls = {"pread", "pwrite", "preadv", "pwritev", "ftruncate", "fdatasync", "mmap", "memfd_create"}
    for name, file in MODULES.items():
        if name == "_core.device":
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
    typed = {file.stem for file in (PACKAGE / "_core").glob("*.pxd")} - {"words"}
    assert set(space["MODULES"]) == typed
    for name in typed:
        assert (PACKAGE / "_core" / f"{name}.py").exists(), f"{name}.pxd has no module"


def test_the_mode_is_the_one_asked_for():
    import stablemem._core.index

    compiled = not stablemem._core.index.__file__.endswith(".py")
    assert compiled == stablemem.COMPILED
    for file in (PACKAGE / "_core").glob("*.pxd"):
        if file.stem != "words":
            module = __import__(f"stablemem._core.{file.stem}", fromlist=["x"])
            assert module.__file__.endswith(".so") == stablemem.COMPILED, f"{file.stem} is of another form"


def test_what_runs_in_one_form_is_of_no_compiled_module():
    """Each file that the interpreted run leaves out is there, and tests no module that has a .pxd."""
    from conftest import ONE_FORM

    files = {file.name: file for file in TESTS.rglob("test_*.py")}
    assert set(files) >= ONE_FORM
    for name in ONE_FORM:
        module = name.removeprefix("test_").removesuffix(".py")
        assert not (PACKAGE / "_core" / f"{module}.pxd").exists(), f"{name} tests a module that has two forms"
