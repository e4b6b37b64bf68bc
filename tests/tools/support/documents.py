"""The pages of the project, and how their examples are run."""

import doctest
import re
from pathlib import Path

from . import ROOT

__all__ = ["DOCS", "README", "blocks", "check_prompts", "check_python", "without_figures"]

README = ROOT / "README.md"
DOCS = ROOT / "docs"

# How the engine lays out its bytes may change without the README being wrong.
MEASURED = re.compile(r"(\w+_bytes|nodes|free_blocks|largest_free|transaction|fragmentation)=[\d.]+")


class _Checker(doctest.OutputChecker):
    """Compares with figures of the engine's own left out."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        want, got = MEASURED.sub(r"\1=N", want), MEASURED.sub(r"\1=N", got)
        return super().check_output(want, got, optionflags)


def blocks(language: str, document: Path = README) -> list[tuple[int, str]]:
    """Return the fenced blocks of a language, with the lines they begin in."""
    text = document.read_text(encoding="utf-8")
    found = re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, match.start(1)), match.group(1)) for match in found]


def check_python(document: Path) -> None:
    """Run the Python blocks of a document in the current folder."""
    names: dict[str, object] = {}
    found = blocks("python", document)
    assert found
    for line, block in found:
        if block.startswith(">>>"):
            check_prompts(block, document, names, line)
        else:
            exec(compile(block, document.name, "exec"), names)


def check_prompts(block: str, document: Path, names: dict[str, object], line: int = 0) -> None:
    """Run a block of a document that has prompts, in a namespace that it may add to."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(_Checker(), verbose=False, optionflags=flags)
    example = doctest.DocTestParser().get_doctest(block, names, document.name, str(document), line)
    report: list[str] = []
    runner.run(example, out=report.append, clear_globs=False)
    names.update(example.globs)
    assert not report, "".join(report)


def without_figures(output: str) -> str:
    """Return output without the byte counts, shares and times of the run."""
    return re.sub(r"commit \d+|[\d,]+ bytes|\d+\.\d+ [s%]|  +", "N", output)
