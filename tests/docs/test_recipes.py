"""docs/recipes.md does what it says: each section runs in a folder of its own.

A block that begins with the name of a program is written to that file. Console blocks run the programs, and
what is printed must be what is shown: ``&`` leaves a program running, ``fg`` waits for it and shows the rest,
``Killed`` is how a program ends that SIGKILL met. Blocks with prompts are doctests.
"""

import importlib.util
import os
import re
import subprocess
import sys
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE, OutputChecker
from pathlib import Path

import pytest

from support.documents import DOCS, check_prompts

RECIPES = DOCS / "recipes.md"
EXAMPLES = RECIPES.parents[1] / "examples"
HANGS = 1800  # seconds; a watchdog only
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"# (\w+)\.py\n")
OPTIONAL = re.compile(r"^(?:import|from) (numpy|pydantic)\b", re.MULTILINE)


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.*)\n", RECIPES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


class Shell:
    """Runs the commands of a section."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.behind: subprocess.Popen[str] | None = None

    def run(self, command: str, expected: str) -> None:
        if command == "fg":
            self._finish(expected)
        elif command.endswith("&"):
            assert self.behind is None
            self.behind = self._start(command.removesuffix("&"))
            assert self.behind.stdout
            shown = "".join(self.behind.stdout.readline() for _ in expected.splitlines())
            _compare(command, expected, shown)
        else:
            self._end(command, expected, self._start(command))

    def _start(self, command: str) -> subprocess.Popen[str]:
        program, *arguments = command.split()
        # Unbuffered, as in a terminal.
        call = [sys.executable, "-u", *(["-m", program] if program != "python" else []), *arguments]
        pipe = subprocess.PIPE
        # A recipe may use what lies in examples/, copied beside its program.
        path = os.pathsep.join(filter(None, [str(EXAMPLES), os.environ.get("PYTHONPATH")]))
        place = os.environ | {"PYTHONPATH": path}
        return subprocess.Popen(call, cwd=self.folder, env=place, stdout=pipe, stderr=pipe, text=True)

    def _finish(self, expected: str) -> None:
        assert self.behind, "fg without a program in the background"
        process, self.behind = self.behind, None
        self._end("fg", expected, process)

    def _end(self, command: str, expected: str, process: subprocess.Popen[str]) -> None:
        try:
            shown, errors = process.communicate(timeout=HANGS)
        finally:
            process.kill()
        assert not errors, f"{command}: {errors}"
        if process.returncode == -9:
            shown += "Killed\n"
        else:
            assert process.returncode == 0, command
        _compare(command, expected, shown)

    def close(self) -> None:
        """End what the section left running."""
        if self.behind is not None:
            self.behind.kill()
            self.behind.communicate()


def _compare(command: str, expected: str, shown: str) -> None:
    flags = ELLIPSIS | NORMALIZE_WHITESPACE
    assert OutputChecker().check_output(expected, shown, flags), f"$ {command}\n{shown}"


@pytest.mark.parametrize("title", sections())
def test_recipe(title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = sections()[title]
    for optional in OPTIONAL.findall(text):
        if importlib.util.find_spec(optional) is None:
            pytest.skip(f"it needs {optional}")
    monkeypatch.chdir(tmp_path)
    shell, names = Shell(tmp_path), {}
    try:
        for language, block in BLOCK.findall(text):
            if language == "console":
                for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
                    shell.run(command, expected)
            elif language == "python" and block.startswith(">>>"):
                check_prompts(block, RECIPES, names)
            elif language == "python":
                name = NAME.match(block)
                assert name, "it begins with its name"
                Path(f"{name[1]}.py").write_text(block, encoding="utf-8")
    finally:
        shell.close()


@pytest.mark.parametrize("title", sections())
def test_every_program_is_run(title: str) -> None:
    text = sections()[title]
    programs = [NAME.match(block) for language, block in BLOCK.findall(text) if language == "python"]
    for name in filter(None, programs):
        run = re.search(rf"^\$ python {name[1]}\.py\b", text, re.MULTILINE)
        used = re.search(rf"^from {name[1]} import", text, re.MULTILINE)
        assert run or used, f"{name[1]}.py is shown and not run"


def test_the_contents_list_every_section() -> None:
    text = RECIPES.read_text(encoding="utf-8")
    listed = re.findall(r"^\d+\. \[(.*)\]\(#(.*)\)$", text, re.MULTILINE)
    assert [title for title, _ in listed] == list(sections())
    assert [anchor for _, anchor in listed] == [title.lower().replace(" ", "-") for title in sections()]
