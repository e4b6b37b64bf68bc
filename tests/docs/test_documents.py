"""The pages in docs/ do what they say: their examples run as the README's do, and their links lead somewhere.

test_recipes.py runs the recipes. Blocks marked ``py`` show other libraries: they must be Python, and are not
run.
"""

import ast
import doctest
import re
from pathlib import Path

import pytest

from support.documents import DOCS, README, blocks, check_python
from support.modules import MODULES, imported

PAGES = [README, *sorted(DOCS.rglob("*.md"))]
OWN_PROGRAMS = {"log.py"}
"""Files of the reader that a page speaks of."""

RUN = ["tutorial.md", "durability.md", "migration.md", "faq.md"]


@pytest.mark.parametrize("name", RUN)
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_python(DOCS / name)


@pytest.mark.parametrize("name", [*RUN, "recipes.md"])
def test_what_is_shown_of_others_is_python(name: str) -> None:
    for _, block in blocks("py", DOCS / name):
        compile(block, name, "exec")


@pytest.mark.parametrize("name", [*RUN, "recipes.md"])
def test_it_is_linked_from_the_readme(name: str) -> None:
    assert f"(docs/{name})" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.relative_to(README.parent).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        page = document.parent / target if target else document
        assert page.exists(), f"{document.name} links to {target}"
        if anchor:
            assert anchor in anchors(page), f"{document.name} links to {target}#{anchor}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [README]
    while waiting:
        page = waiting.pop().resolve()
        if page not in reached and page.suffix == ".md":
            reached.add(page)
            links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
            waiting += [page.parent / link for link in links]
    assert {page.resolve() for page in PAGES} <= reached


def test_the_picture_of_the_folders_is_true() -> None:
    """Each folder is in it once, and imports nothing from a folder that is drawn above it."""
    rows = re.findall(
        r"^    _core/(\w+)/ ", (DOCS / "architecture.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    folders = {name.split(".")[1] for name in MODULES if name.count(".") > 1}
    assert sorted(rows) == sorted(folders)
    for name, file in MODULES.items():
        for other, _ in imported(name, file):
            if name.count(".") > 1 and other.count(".") > 1:
                above, below = name.split(".")[1], other.split(".")[1]
                assert rows.index(above) <= rows.index(below), f"{name} imports {other}, drawn above it"


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{p.name}" for p in DOCS.glob("*.md"))]
)
def test_files_that_a_page_names_are_there(name: str) -> None:
    """Modules may be named by the end of their path."""
    root = README.parent
    files = {
        file.relative_to(root).as_posix()
        for top in ("src", "tests", "examples")
        for file in (root / top).rglob("*.p*")
    }
    for file in re.findall(r"`([a-z_/]+\.(?:py|pxd))`", (root / name).read_text(encoding="utf-8")):
        if file not in OWN_PROGRAMS:
            assert any(f"/{each}".endswith(f"/{file}") for each in files), f"{name} names {file}"


def test_the_index_of_decisions_has_each_once() -> None:
    index = (DOCS / "decisions" / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+) \| \[(.*)\]\((.*)\) \|", index, re.MULTILINE)
    there = []
    for page in (DOCS / "decisions").glob("[0-9]*.md"):
        number, title = page.read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# ").split(". ", 1)
        assert page.name.startswith(f"{int(number):03d}-")
        there.append((number, title, page.name))
    assert sorted(listed) == sorted(there)
    assert sorted(int(number) for number, _, _ in listed) == list(range(1, len(listed) + 1))


def anchors(page: Path) -> list[str]:
    """Return what the headings of a page are called in links, as GitHub makes these names."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def programs(document: Path) -> list[str]:
    """Return the Python blocks of a page, those with prompts without their prompts and output."""
    found = []
    for _, block in blocks("python", document):
        examples = doctest.DocTestParser().get_examples(block)
        found.append("".join(example.source for example in examples) or block)
    return found


def is_block(expression: ast.expr) -> bool:
    return (
        isinstance(expression, ast.Call)
        and isinstance(expression.func, ast.Attribute)
        and expression.func.attr == "transaction"
    )


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.relative_to(README.parent).as_posix())
def test_no_page_leads_into_an_open_transaction_block(document: Path) -> None:
    """A block is entered by ``with`` alone, and nothing is awaited, yielded or closed inside it."""
    for program in programs(document):
        tree = ast.parse(program)
        entered = set()
        for node in ast.walk(tree):
            if not isinstance(node, ast.With) or not any(is_block(item.context_expr) for item in node.items):
                continue
            entered.update(id(item.context_expr) for item in node.items)
            for within in (each for statement in node.body for each in ast.walk(statement)):
                assert not isinstance(within, ast.Await | ast.Yield | ast.YieldFrom | ast.AsyncWith), program
                assert not isinstance(within, ast.AsyncFor), program
                assert not (isinstance(within, ast.Attribute) and within.attr == "close"), program
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.expr) and is_block(node)]
        assert all(id(call) in entered for call in calls), program


@pytest.mark.parametrize("document", PAGES, ids=lambda path: path.relative_to(README.parent).as_posix())
def test_a_page_with_transaction_blocks_says_what_must_not_be_in_them(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    if any(".transaction()" in program for program in programs(document)):
        assert "`await`" in text, "it shows a transaction block, and not that nothing may be awaited in one"
