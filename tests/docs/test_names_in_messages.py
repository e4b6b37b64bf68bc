"""Every class, call, option and command that a message names exists: all messages of the package are read."""

import ast
import builtins
import importlib
import inspect
import random
import re
import tomllib
from pathlib import Path

import pytest

import stablemem
from stablemem import MemoryBuffer, MemoryRegion, blobify, errors
from stablemem.options import RegionOptions
from stablemem.roots import Roots
from support import TESTS

PACKAGE = Path(stablemem.__file__).resolve().parent

FACES = [MemoryBuffer, MemoryRegion, Roots, blobify.Blobify, random.Random, str, bytes, memoryview]
"""What messages speak of: a call without its owner is one of theirs."""

CALLS = {name for face in FACES for name in dir(face)} | set(dir(builtins))
CLASSES = {*stablemem.__all__, *blobify.__all__, *errors.__all__, *dir(builtins), "Roots"}
PLAIN_WORDS = {
    # those that begin a sentence
    "Cython", "Install", "Mode", "Name", "Python", "Run", "To",
    # names of other things
    "AFS", "C", "Ceph", "CIFS", "CRC", "Debian", "FUSE", "GPFS", "Lustre", "MessagePack", "NFS", "PNG", "SMB",
    "NUL", "SMB2", "TMPDIR", "Ubuntu", "UTF", "VirtualBox", "VMware",
    # what stands for a class of one's own
    "Class",
}  # fmt: skip
"""Capitalised words of messages that name nothing of Python or of stablemem."""


ANNOTATION = re.compile(r"Callable\[.*|[\w.\[\], ]+ \| [\w.\[\], |]+")


def options():
    """Return the names of all options that a public call takes."""
    found = {*RegionOptions.__annotations__, "errors"}
    for face in (MemoryBuffer, MemoryRegion):
        for name, member in inspect.getmembers(face):
            if not name.startswith("_") or name == "__init__":
                with_signature = callable(member)
                try:
                    found |= set(inspect.signature(member).parameters) if with_signature else set()
                except (TypeError, ValueError):
                    continue
    return found


def texts():
    """Return every string of the package that may be a message, with its place: what is filled in is "~"."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        if "cli" in file.parts:
            continue
        tree = ast.parse(file.read_text())
        inside, documentation = set(), set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                documentation.add(id(node.value))
            elif isinstance(node, ast.JoinedStr):
                inside |= {id(part) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "~" for part in node.values]
                text = "".join(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
                text = node.value
            else:
                continue
            if " " in text and id(node) not in documentation and not ANNOTATION.fullmatch(text):
                found.append(pytest.param(text, id=f"{file.relative_to(PACKAGE)}:{node.lineno}"))
    return found


def exists(called):
    """Return whether something that is called, such as ``os.fsdecode``, is there to be called."""
    *path, name = called.lstrip(".").split(".")
    if not path or path[0] in {"value", "view", "roots", "rng"}:
        return name in CALLS or name in CLASSES
    owner = getattr(stablemem, path[0], getattr(builtins, path[0], None))
    if owner is None:
        try:
            owner = importlib.import_module(".".join(path))
        except ImportError:
            return False
    return hasattr(owner, name)


def commands(text):
    """Return the commands of the command line that a text shows."""
    return [each.split() for each in re.findall(r"`stablemem ([^`]*)`", text)]


@pytest.mark.parametrize("text", texts())
def test_what_a_message_names_is_there(text):
    for called in re.findall(r"(?<![~\w])([A-Za-z_.][\w.]*)\(", text):
        assert exists(called), f"{called}() in {text!r}"
    for variable in re.findall(r"STABLEMEM_[A-Z]+", text):
        assert any(f'environ.get("{variable}"' in file.read_text() for file in PACKAGE.rglob("*.py")), text
        text = text.replace(variable, "")
    for option in re.findall(r"(?<![\w~.])([a-z_]+)=(?!=)", text):
        assert option in options(), f"{option}= in {text!r}"
    for word in re.findall(r"(?<![\w~.\\'])([A-Z]\w*)", re.sub(r"\[Errno ~?", "", text)):
        assert word in CLASSES | PLAIN_WORDS, f"{word} in {text!r}"
    for extra in re.findall(r"stablemem\[(\w+)\]", text):
        project = tomllib.loads((TESTS.parent / "pyproject.toml").read_text())["project"]
        assert extra in project["optional-dependencies"], text
    for built_in in re.findall(r"blobify='(\w+)'", text):
        assert built_in in blobify.registry.BUILT_INS


@pytest.mark.parametrize("text", [text for text in texts() if commands(text.values[0])])
def test_commands_that_a_message_names(text):
    click = pytest.importorskip("click")
    from stablemem.cli import commands as group

    for name, *arguments in commands(text):
        command = group.get_command(click.Context(group), name)
        assert command is not None, f"stablemem {name} in {text!r}"
        known = {option for parameter in command.params for option in parameter.opts}
        assert {each for each in arguments if each.startswith("-")} <= known, text


def test_there_are_messages():
    assert len(texts()) > 200
    with pytest.raises(AssertionError, match="Pickle"):
        test_what_a_message_names_is_there("convert it, or use Pickle for any object")
    with pytest.raises(AssertionError, match="get_some"):
        test_what_a_message_names_is_there("call get_some() for that")
    with pytest.raises(AssertionError, match="wait="):
        test_what_a_message_names_is_there("or wait with wait=5")
