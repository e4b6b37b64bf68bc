"""The README's examples do what the README says.

Its Python blocks run in order, in one namespace: those with prompts as a doctest, the others as a program.
Its console block runs through the command line.
"""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from stablemem.cli import run

README = Path(__file__).parents[1] / "README.md"
NOTES = b"one value per line\nthey may be longer than this\nthe last one"

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


def test_python_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_python(README)


def test_console_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    Path("notes.txt").write_bytes(NOTES)
    ((_, block),) = blocks("console")
    commands = block.split("$ stablemem ")[1:]
    assert len(commands) == 3
    for command in commands:
        arguments, expected = command.split("\n", 1)
        assert run(shlex.split(arguments)) == 0
        assert without_figures(capsys.readouterr().out) == without_figures(expected)


def without_figures(output: str) -> str:
    """Return output without the byte counts, shares and times of the run."""
    return re.sub(r"commit \d+|[\d,]+ bytes|\d+\.\d+ [s%]|  +", "N", output)


def test_what_must_be_in_it() -> None:
    text = README.read_text(encoding="utf-8")
    assert "Changes reach the file only with a commit" in text
    assert "stablemem.COMPILED" in text
    assert "One handle may have a file open for writing" in text
    for command in ("make demo", "make test", "pip install ."):
        assert command in text
