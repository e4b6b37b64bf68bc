"""The bracket of a change: what a call does when it has waited, and what a failure within leaves."""

import pytest

from stablemem import MemoryBuffer, MemoryRegion, RegionClosedError
from stablemem._core.calls.bracket import edit, edit_in_pieces
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
        assert values._store.tx.changes == 1


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
        assert values._store.tx.changes == 1
        edit(values, lambda number: number, (7,), None, True)
        assert values._store.tx.changes == 8


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
