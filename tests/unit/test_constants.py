"""The constants that a .pxd repeats for the compiled form are those of the interpreted one."""

import json
import re

import pytest

from support import run_python
from support.modules import PACKAGE

ENUM = re.compile(r"^cdef enum:\n((?: +.*\n| *\n)+)", re.MULTILINE)
MEMBER = re.compile(r"^ +(\w+) = (.+?) *(?:#.*)?$", re.MULTILINE)

REPEATED = {
    (".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts), name): int(value)
    for file in sorted(PACKAGE.rglob("*.pxd"))
    for enum in ENUM.findall(file.read_text())
    for name, value in MEMBER.findall(enum)
}
"""Every constant of an enum in a .pxd, by module and name."""

COMPILED_ONLY = {"COUNTS_SIZE": ("stablemem._core.tree.node", "_CHILDREN")}
"""Constants that only the compiled form needs, and where the source has their value."""

INTERPRETED = """
import importlib, json, sys
import stablemem.layout
found = []
for module, name in json.loads(sys.argv[1]):
    place = importlib.import_module(module)
    found.append(getattr(place, name, getattr(stablemem.layout, name, None)))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def interpreted():
    """Return what the source says of each, or the layout for one that is the format's."""
    places = [COMPILED_ONLY.get(name, (module, name)) for module, name in REPEATED]
    told = run_python(INTERPRETED, json.dumps(places), STABLEMEM_PURE="1").stdout
    return dict(zip(REPEATED, json.loads(told), strict=True))


def test_every_enum_is_read():
    for file in PACKAGE.rglob("*.pxd"):
        text = file.read_text()
        assert len(re.findall(r"\benum\b", text)) == len(ENUM.findall(text)), f"{file}: write `cdef enum:`"
        for enum in ENUM.findall(text):
            members = [line for line in enum.splitlines() if line.strip()]
            assert len(MEMBER.findall(enum)) == len(members), f"{file}: one `NAME = number` a line"
    assert ("stablemem._core.tree.node", "_CHILDREN") in REPEATED
    assert ("stablemem._core.format.words", "REGION_PAGE") in REPEATED


@pytest.mark.parametrize(("module", "name"), REPEATED)
def test_a_constant_is_the_same_in_both_forms(interpreted, module, name):
    assert interpreted[module, name] == REPEATED[module, name]
