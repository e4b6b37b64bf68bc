"""The modules of the package, and what each of them imports."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import stablemem

__all__ = ["MODULES", "PACKAGE", "Import", "imported"]

PACKAGE = Path(stablemem.__file__).resolve().parent


def modules() -> dict[str, Path]:
    """Return every module of the package with its file."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = list(file.relative_to(PACKAGE).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = file
    return found


MODULES = modules()


class Import(NamedTuple):
    """One import of a module of the package by another."""

    module: str
    types_only: bool
    """Whether it stands under TYPE_CHECKING: it is never run."""


def imported(name: str, file: Path) -> Iterator[Import]:
    """Yield what a module imports of the package, inside functions and for its types too."""
    package = name.split(".") if file.name == "__init__.py" and name else name.split(".")[:-1]
    package = [part for part in package if part]
    todo: list[tuple[ast.AST, bool]] = [(ast.parse(file.read_text()), False)]
    while todo:
        node, types_only = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += [(each, True) for each in node.body]
            todo += [(each, types_only) for each in node.orelse]
            continue
        todo += [(each, types_only) for each in ast.iter_child_nodes(node)]
        for target in named(node, package):
            yield Import(target, types_only)


def named(node: ast.AST, package: list[str]) -> Iterator[str]:
    """Yield the modules that one statement imports, if it is an import; ``package`` is where it stands."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] == "stablemem":
                yield alias.name.partition(".")[2]
    elif isinstance(node, ast.ImportFrom):
        module = node.module.split(".") if node.module else []
        if node.level:
            base = package[: len(package) - node.level + 1] + module
        elif module and module[0] == "stablemem":
            base = module[1:]
        else:
            return
        for alias in node.names:
            below = ".".join([*base, alias.name])
            yield below if below in MODULES else ".".join(base)
