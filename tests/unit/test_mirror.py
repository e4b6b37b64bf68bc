"""Each module has a test file in the same place, or it stands here with the place where it is tested."""

from pathlib import Path

import pytest

from support import TESTS
from support.modules import MODULES

UNIT = TESTS / "unit"

ELSEWHERE = {
    "_core._cython": ("unit/test_two_modes.py", "stands in for Cython where that is not installed"),
    "_core.audit.uses": ("unit/_core/audit/test_census.py", "counts, compared with a map of every byte"),
    "_core.calls.codec": ("faces/test_error_messages.py", "the errors of a Blobify; its values everywhere"),
    "_core.calls.editing": ("faces/test_beyond_list.py", "edit() of a list"),
    "_core.calls.extending": ("faces/test_extend.py", "extend() of a list; test_ring.py for both ends"),
    "_core.calls.order": ("faces/test_beyond_list.py", "swap(), shuffle(), rotate() of a list"),
    "_core.calls.raw": ("faces/raw_blocks", "the calls themselves"),
    "_core.calls.searching": ("faces/test_list_calls.py", "index(), count(), == and < of a list"),
    "_core.calls.values": ("unit/_core/calls/test_list_core.py", "its subclass, in which alone it is used"),
    "_core.calls.walking": ("unit/_core/calls/test_list_core.py", "iterators, and reading ahead"),
    "_core.space.blocktree": ("unit/_core/space/test_freetree.py", "its subclasses, test_sizetree.py too"),
    "_core.tree.measure": ("faces/test_beyond_list.py", "sizes() of a list"),
    "_core.tree.path": ("unit/_core/tree/test_index.py", "the path of an index, how it grows, is rebalanced"),
    "_core.tree.rebalance": ("unit/_core/tree/test_index.py", "functions in C of the index"),
    "_core.tree.relocation": ("faces/test_giving_back.py", "what compact() does to a leaf"),
    "_core.tree.walk": ("unit/_core/tree/test_kinds.py", "over a tree of a layout of the test's"),
    "_core.txn.compaction": ("faces/test_giving_back.py", "compact() of a region"),
    "_core.txn.hidden": ("unit/test_blob_store.py", "the stores of Blobifys, by which alone it is used"),
    "blobify.protocol": ("faces/test_typing.py", "types and nothing to run"),
    # The public face: each call is tested as users make it.
    "": ("faces/test_api.py", "the public names"),
    "errors": ("faces/test_errors.py", "their messages and attributes"),
    "fixed_width": ("faces/raw_blocks/test_blobs_and_numbers.py", "load_as(), store_as()"),
    "inspection": ("faces/test_memory_region.py", "region.inspect(); all of it by the commands"),
    "layout": ("unit/test_constants.py", "constants, compared with those of the .pxd files"),
    "memory_buffer": ("faces/test_memory_buffer.py", "the class itself"),
    "memory_region": ("faces/test_memory_region.py", "the class itself"),
    "options": ("faces/test_typing.py", "types of the arguments of constructors"),
    "raw_blocks": ("faces/raw_blocks", "the calls themselves"),
    "roots": ("faces/raw_blocks/test_roots.py", "the mapping itself"),
    "__main__": ("cli/test_cli.py", "the command itself"),
}
"""Where a module is tested that has no file of its own in unit, and as what."""

COMMANDS = "cli"
"""Modules of this package are tested by commands, in tests/cli."""

OF_NO_MODULE = {
    "test_benchmarks.py", "test_constants.py", "test_layers.py", "test_mirror.py", "test_packaging.py",
    "test_two_modes.py",
}  # fmt: skip
"""Files in unit that are about all modules."""


def file_of(name: str) -> Path:
    """Return where the unit tests of a module are."""
    *folders, last = name.split(".")
    return UNIT.joinpath(*folders, f"test_{last}.py")


def is_package(name: str) -> bool:
    """Return whether a module is a folder, whose ``__init__`` only says what is in it."""
    return name != "" and MODULES[name].name == "__init__.py"


@pytest.mark.parametrize("name", [name for name in MODULES if not is_package(name)], ids=lambda n: n or "all")
def test_a_module_has_tests(name):
    if name.split(".")[0] == COMMANDS:
        assert name not in ELSEWHERE
    elif name in ELSEWHERE:
        place, _ = ELSEWHERE[name]
        assert (TESTS / place).exists(), f"{place}, where {name} was tested, is not there"
        assert name == "" or not file_of(name).exists(), f"{name} has a file of its own now: strike it out"
    else:
        assert file_of(name).exists(), (
            f"{name} has no {file_of(name).relative_to(TESTS)}: write one, or say in ELSEWHERE of "
            f"{Path(__file__).name} where it is tested"
        )


def test_every_exception_is_a_module():
    assert [name for name in ELSEWHERE if name not in MODULES] == []
    assert all(reason for _, reason in ELSEWHERE.values())


def test_every_file_in_unit_is_of_a_module():
    expected = {file_of(name) for name in MODULES if name} | {UNIT / name for name in OF_NO_MODULE}
    assert [str(file.relative_to(UNIT)) for file in UNIT.rglob("test_*.py") if file not in expected] == []
    assert all((UNIT / name).exists() for name in OF_NO_MODULE)
