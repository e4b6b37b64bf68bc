"""The examples in every ``--help`` run, and shells get their completion."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from stablemem import MemoryBuffer
from stablemem.cli import commands, run
from support import environment
from support.documents import DOCS, without_figures


def examples(command: click.Command) -> list[str]:
    """Return the lines under "Examples:" in a command's help."""
    _, _, found = command.help.partition("Examples:\n")
    return [line.strip() for line in found.strip().splitlines()]


@pytest.mark.parametrize("name", commands.commands)
def test_examples_run(name, tmp_path):
    if name == "map":
        pytest.importorskip("matplotlib")
    for file in ("notes.txt", "words.txt"):
        Path(tmp_path, file).write_bytes(b"one\ntwo\nthree\n")
    for file in ("monday.jsonl", "tuesday.jsonl"):
        Path(tmp_path, file).write_bytes(b'{"a": 1}\n2\n')
    Path(tmp_path, "numbers.txt").write_bytes(b"1\n22\n")
    if name != "import":
        MemoryBuffer.from_iterable(
            [b"%d" % n for n in range(30)], str(tmp_path / "notes.smem"), blobify="bytes"
        ).close()
        MemoryBuffer.from_iterable([{"a": 1}, 2], str(tmp_path / "events.smem")).close()
    lines = examples(commands.commands[name])
    assert lines
    program = f'set -e\nstablemem() {{ {shlex.quote(sys.executable)} -m stablemem "$@"; }}\n'
    for line in lines:
        assert f"stablemem {name} " in line
        if " -f " in line:
            # It would go on for ever; test_cli_follow.py has it.
            continue
        program += f"{line}\n"
    done = subprocess.run(
        ["sh", "-c", program], cwd=tmp_path, env=environment(), capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("name", commands.commands)
def test_examples_are_printed_a_line_each(name, capsys):
    run([name, "--help"])
    printed = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert all(line in printed for line in examples(commands.commands[name]))
    assert "\\b" not in "".join(printed)


@pytest.mark.parametrize("name", commands.commands)
def test_every_option_has_help(name):
    for parameter in commands.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    """What the documents have in a shell's configuration gives a script, and it completes commands."""
    done = subprocess.run(
        [sys.executable, "-m", "stablemem"],
        env=environment(_STABLEMEM_COMPLETE=f"{shell}_source"),
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert "_STABLEMEM_COMPLETE" in done.stdout
    assert f"{shell}_complete" in done.stdout
    typed = {"COMP_WORDS": "stablemem ver", "COMP_CWORD": "ver" if shell == "fish" else "1"}
    done = subprocess.run(
        [sys.executable, "-m", "stablemem"],
        env=environment(_STABLEMEM_COMPLETE=f"{shell}_complete", **typed),
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert "verify" in done.stdout
    assert "import" not in done.stdout


@pytest.mark.parametrize(
    ("typed", "word", "expected"),
    [
        ("stablemem head r", "2", "file,r"),
        ("stablemem head r.smem --val", "3", "plain,--values"),
        ("stablemem import r.smem --blobify t", "4", "plain,text"),
    ],
)
def test_what_is_completed(typed, word, expected):
    done = subprocess.run(
        [sys.executable, "-m", "stablemem"],
        env=environment(_STABLEMEM_COMPLETE="bash_complete", COMP_WORDS=typed, COMP_CWORD=word),
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert done.stdout == f"{expected}\n"


DOCUMENT = DOCS / "cli.md"


def test_console_examples(tmp_path, monkeypatch, capfd):
    """The page about the command line shows what its commands print."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    Path("notes.txt").write_bytes(b"one value per line\nthey may be longer than this\nthe last one\n")
    Path("events.jsonl").write_bytes(b'{"user": 7, "action": "login"}\n{"user":7,"action":"logout"}')
    text = DOCUMENT.read_text()
    found = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ran = set()
    for command in "".join(found).split("$ stablemem ")[1:]:
        arguments, expected = command.split("\n", 1)
        assert run(shlex.split(arguments)) == 0, arguments
        out, err = capfd.readouterr()
        if arguments.startswith("map"):
            out, expected = without_figures(out), without_figures(expected)
        assert (out, err) == (expected, "")
        ran.add(arguments.split()[0])
    assert {"import", "export", "get", "head", "tail"} <= ran


def test_every_command_is_on_the_page():
    text = DOCUMENT.read_text()
    for name in commands.commands:
        assert f"`{name} REGION" in text
    for shell in ("bash", "zsh", "fish"):
        assert f"_STABLEMEM_COMPLETE={shell}_source stablemem" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_what_the_shell_takes(shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    script = subprocess.run(
        [sys.executable, "-m", "stablemem"],
        env=environment(_STABLEMEM_COMPLETE=f"{shell}_source"), capture_output=True, check=True,
    ).stdout  # fmt: skip
    subprocess.run([shell, "-n"], input=script, check=True)
