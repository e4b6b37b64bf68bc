"""The README's examples do what the README says.

Its Python blocks run in order, in one namespace: those with prompts as a doctest, the others as a program.
Its console block runs through the command line.
"""

import shlex
from pathlib import Path

import pytest

from stablemem.cli import run
from support.documents import README, blocks, check_python, without_figures

NOTES = b"one value per line\nthey may be longer than this\nthe last one"


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


def test_what_must_be_in_it() -> None:
    text = README.read_text(encoding="utf-8")
    assert "Changes reach the file only with a commit" in text
    assert "stablemem.COMPILED" in text
    assert "One handle may have a file open for writing" in text
    for command in ("make demo", "make test", "pip install ."):
        assert command in text
