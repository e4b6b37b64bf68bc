"""The benchmarks follow the package: what they import is there, and what they count still runs."""

import ast
import importlib.util

import pytest

from stablemem import COMPILED
from support import ROOT, run_python

BENCHMARKS = ROOT / "benchmarks"
FILES = {str(file.relative_to(BENCHMARKS)): file for file in sorted(BENCHMARKS.rglob("*.py"))}


def has(module, name=None):
    """Return whether a module of the package or of the benchmarks is there, with a name in it."""
    if module.split(".")[0] != "stablemem":
        file = BENCHMARKS.joinpath(*module.split(".")).with_suffix(".py")
        if name is None or not file.exists():
            return file.exists() or (file.with_suffix("") / f"{name}.py").exists()
        defined = set()
        for each in ast.walk(ast.parse(file.read_text())):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
                defined.add(each.id)
            elif isinstance(each, ast.FunctionDef | ast.ClassDef):
                defined.add(each.name)
        return name in defined
    if importlib.util.find_spec(module) is None:
        return False
    found = importlib.import_module(module)
    return name is None or hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}") is not None


@pytest.mark.parametrize("name", FILES)
def test_what_a_benchmark_imports_is_there(name):
    ours = {"stablemem"} | {file.split("/")[0].removesuffix(".py") for file in FILES}
    for each in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(each, ast.Import):
            for alias in each.names:
                assert alias.name.split(".")[0] not in ours or has(alias.name), alias.name
        elif isinstance(each, ast.ImportFrom) and each.module.split(".")[0] in ours:
            for alias in each.names:
                assert has(each.module, alias.name), f"from {each.module} import {alias.name}"


COUNTED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from own import counts
base = Path(sys.argv[2])
counts._make(base, 50_000)
for name, case in counts.CASES.items():
    folder = base / f"for {name}"
    folder.mkdir()
    loop = case.prepare(counts.Place(base, folder))
    loop(case.before)
    loop(case.times)
    print(name)
"""


@pytest.mark.skipif(not COMPILED, reason="only the compiled form is counted")
def test_every_operation_that_is_counted_runs(tmp_path):
    told = run_python(COUNTED, str(BENCHMARKS), str(tmp_path)).stdout.split()
    assert {"append", "get", "commit_1000_synced"} <= set(told)
    assert len(told) == len(set(told)) >= 17
