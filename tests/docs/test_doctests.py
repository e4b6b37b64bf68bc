"""The examples in the docstrings, each in the module as it is imported, compiled or not."""

import doctest
import importlib

import pytest

from support.modules import MODULES

FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


@pytest.mark.parametrize(
    "name", [name for name in MODULES if name != "__main__"], ids=lambda n: n or "stablemem"
)
def test_examples(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"stablemem.{name}".rstrip("."))
    failed, _ = doctest.testmod(module, optionflags=FLAGS)
    assert not failed, capsys.readouterr().out


def test_there_are_examples():
    tried = sum(
        doctest.testmod(importlib.import_module(f"stablemem.{name}"), optionflags=FLAGS).attempted
        for name in ("memory_buffer", "memory_region", "_core.format.words")
    )
    assert tried > 10
