"""The bracket of a change: what a call does when it has waited, and what a failure within leaves."""

import ast
from pathlib import Path

import pytest

import stablemem
from stablemem import MemoryBuffer, MemoryRegion, RegionClosedError
from stablemem._core.calls.bracket import edit, edit_in_pieces
from support.probe import handle_of
from support.waiting import in_thread, join, wait_for, waits_for_latch

CHANGES = [
    ("append", lambda values: values.append("new")),
    ("extend", lambda values: values.extend(["new"] * 3)),
    ("insert", lambda values: values.insert(0, "new")),
    ("set", lambda values: values.__setitem__(0, "new")),
    ("set a slice", lambda values: values.__setitem__(slice(5, 7), ["new"])),
    ("delete", lambda values: values.__delitem__(0)),
    ("pop", lambda values: values.pop()),
    ("clear", lambda values: values.clear()),
    ("swap", lambda values: values.swap(0, 1)),
    ("reverse", lambda values: values.reverse()),
    ("sort", lambda values: values.sort(reverse=True)),
]


@pytest.mark.parametrize(("name", "change"), CHANGES, ids=[name for name, _ in CHANGES])
def test_a_change_that_waits_for_the_end_of_its_list(monkeypatch, name, change):
    """Its list is dropped meanwhile: the change is refused, and harms no other list."""
    waiting = waits_for_latch(monkeypatch)
    with MemoryRegion() as region:
        kept = region.buffer("kept")
        kept.extend(["k" * 60] * 300)
        dropped = region.buffer("dropped")
        dropped.extend([f"{n} more than eight bytes" for n in range(600)])
        region.commit()
        raised = []

        def call():
            with pytest.raises(RegionClosedError) as caught:
                change(dropped)
            raised.append(str(caught.value))

        with region.transaction():
            thread = in_thread(call)
            wait_for(waiting)
            region.drop("dropped")
        join(thread)
        assert raised == ["the list 'dropped' is closed: take it from its region again, or make a new one"]
        kept.extend(["more" * 30] * 40)
        region.commit()
        assert kept == ["k" * 60] * 300 + ["more" * 30] * 40
        region.verify()


def test_a_refused_change_leaves_what_was_changed_before():
    with MemoryBuffer.from_iterable(range(5)) as values:
        values.append(5)

        def refuse(given):
            raise ZeroDivisionError(given)

        with pytest.raises(ZeroDivisionError, match="7"):
            edit(values, pytest.fail, (7,), refuse)
        assert values == [0, 1, 2, 3, 4, 5]
        assert handle_of(values).tx.changes == 1


def test_a_change_that_fails_takes_the_transaction_with_it():
    with MemoryBuffer.from_iterable(range(5)) as values:
        values.append(5)

        def fail():
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError) as caught:
            edit(values, fail)
        assert caught.value.__notes__ == ["1 uncommitted change was rolled back"]
        assert values == [0, 1, 2, 3, 4]


def test_changes_are_counted():
    with MemoryBuffer() as values:
        assert edit(values, lambda: "done") == "done"
        assert handle_of(values).tx.changes == 1
        edit(values, lambda number: number, (7,), None, True)
        assert handle_of(values).tx.changes == 8


@pytest.mark.parametrize("done", [0, 2])
def test_what_ends_a_change_between_its_pieces(done):
    """All of it is undone, and what came before it only if there was something of it to undo."""
    with MemoryBuffer.from_iterable(range(5)) as values:
        values.append(5)

        def pieces():
            yield from range(done)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            edit_in_pieces(values, pieces(), lambda _, piece: piece + 1)
        assert values == ([0, 1, 2, 3, 4] if done else [0, 1, 2, 3, 4, 5])
        values.append(6)
        values.verify()


OPEN_CODED = {
    "list_core.__delitem__", "list_core.__setitem__", "list_core._insert", "list_core._pop_decoded",
    "list_core._pop_known", "list_core.append", "list_core.appendleft", "raw._allocate", "raw._deallocate",
}  # fmt: skip
"""The calls that write the bracket out, for speed."""

BEGINS = {"_begin", "_begin_change", "_begin_change_at"}


def functions():
    """Yield each function of the calls, with the name of its module before its own."""
    for file in sorted((Path(stablemem.__file__).parent / "_core/calls").glob("*.py")):
        if file.stem != "bracket":
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.FunctionDef):
                    yield f"{file.stem}.{node.name}", node


def is_call(node, names):
    """Return whether a node calls a method of one of some names."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names


def test_the_bracket_stands_nowhere_else():
    parts = BEGINS | {"_enter_change", "_fail", "_end_change"}
    found = {name for name, node in functions() if any(is_call(each, parts) for each in ast.walk(node))}
    assert found - {"list_core._begin_change_at"} == OPEN_CODED


def test_only_the_bracket_counts_changes():
    """But for the ledger of extend, which takes back what it has counted."""
    found = {
        name
        for name, node in functions()
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute) and each.attr == "changes" and isinstance(each.ctx, ast.Store)
    }
    assert found == OPEN_CODED | {"extending._take_back"}


def handled(handler):
    """Return what an ``except`` does where the change has begun, without the name of its object."""
    *_, last = handler.body
    assert ast.unparse(last) == "raise"
    failing = handler.body[0].body[0] if isinstance(handler.body[0], ast.If) else handler.body[0]
    return ast.unparse(handler.type), failing.value.func.attr, ast.unparse(failing.value.args[0])


@pytest.mark.parametrize("name", sorted(OPEN_CODED))
def test_each_open_bracket_is_that_of_edit(name):
    """It begins just before ``try``, counts last in it, fails as ``edit`` does, and ends right after it."""
    (node,) = [node for other, node in functions() if other == name]
    (block,) = [each for each in ast.walk(node) if isinstance(each, ast.Try) and "_fail" in ast.unparse(each)]
    place = node.body.index(block)
    before = [each for each in node.body[:place] if not is_flag(each)]
    assert is_call(before[-1].value, BEGINS), "nothing stands between the latch and try"
    assert handled(block.handlers[0]) == ("BaseException", "_fail", "error")
    counting = ast.unparse(block.body[-1]).splitlines()
    assert counting[-1].endswith("_store.tx.changes += 1")
    after = ast.unparse(node.body[place + 1])
    assert after.endswith("._end_change()")


def is_flag(node):
    """Return whether a statement says whether the change has begun."""
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "changing"
