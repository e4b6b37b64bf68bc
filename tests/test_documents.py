"""The pages in docs/ do what they say: their examples run as the README's do, and their links lead somewhere.

test_recipes.py runs the recipes. Blocks marked ``py`` show other libraries: they must be Python, and are not
run.
"""

import re
from pathlib import Path

import pytest

from test_readme import README, blocks, check_python

DOCS = README.parent / "docs"
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


@pytest.mark.parametrize("document", [README, *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        page = document.parent / target if target else document
        assert page.exists(), f"{document.name} links to {target}"
        if anchor:
            assert anchor in anchors(page), f"{document.name} links to {target}#{anchor}"


def anchors(page: Path) -> list[str]:
    """Return what the headings of a page are called in links, as GitHub makes these names."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
