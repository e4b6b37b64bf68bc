"""Readers whose file was replaced or removed, writers in the way of their own process, and notebooks."""

import fcntl
import gc
import os
import re
import threading

import pytest

from stablemem import MemoryBuffer, MemoryRegion, RegionLockedError, RegionReplacedError
from stablemem._core.disk.device import Device
from support import HANGS
from support.documents import DOCS
from support.waiting import in_thread, join

# -- readers -----------------------------------------------------------------------------------------------


def another(path):
    MemoryBuffer.from_iterable(["another"], path + ".other").close()
    os.replace(path + ".other", path)


LOST = {
    "mode w": lambda path: MemoryBuffer(path, "w").close(),
    "replaced": another,
    "removed": os.unlink,
    "renamed": lambda path: os.rename(path, path + ".moved"),
}


@pytest.mark.parametrize("kind", [MemoryBuffer, MemoryRegion])
@pytest.mark.parametrize("lose", LOST.values(), ids=LOST)
def test_a_reader_whose_file_has_lost_its_name(path, kind, lose):
    MemoryBuffer.from_iterable(["kept"], path).close()
    with kind(path, "r") as reader:
        assert not reader.refresh()
        lose(path)
        for _ in range(2):
            with pytest.raises(RegionReplacedError):
                reader.refresh()
        values = reader if kind is MemoryBuffer else reader.buffer("main")
        assert values[:] == ["kept"]
    if os.path.exists(path):
        with MemoryBuffer(path, "r") as again:
            assert not again.refresh()


def test_the_last_commits_are_seen_first(path):
    """A writer may go on in a file that was removed: a follower misses nothing of it."""
    with MemoryBuffer(path) as values:
        values.append(1)
        values.commit()
        with MemoryBuffer(path, "r") as reader:
            values.append(2)
            values.commit()
            os.unlink(path)
            assert reader.refresh()
            assert reader[:] == [1, 2]
            with pytest.raises(RegionReplacedError, match="removed or renamed"):
                reader.refresh()
            values.append(3)
            values.commit()
            assert reader.refresh()


def test_a_commit_between_the_looks_at_the_file_and_at_its_name(path, monkeypatch):
    """What is committed just before the file loses its name is shown, and the loss is told after it."""
    ask = Device.name_leads_to
    with MemoryBuffer.from_iterable([1], path) as values, MemoryBuffer(path, "r") as reader:

        def asked(device):
            if os.path.exists(path):
                values.append(2)
                values.commit()
                os.unlink(path)
            return ask(device)

        monkeypatch.setattr(Device, "name_leads_to", asked)
        assert reader.refresh()
        assert reader[:] == [1, 2]
        with pytest.raises(RegionReplacedError):
            reader.refresh()


def test_a_link_that_leads_to_another_file(path):
    for name in ("first", "second"):
        MemoryBuffer.from_iterable([name], f"{path}.{name}").close()
    os.symlink(f"{path}.first", path)
    with MemoryBuffer(path, "r") as reader:
        assert not reader.refresh()
        os.symlink(f"{path}.second", f"{path}.new")
        os.replace(f"{path}.new", path)
        with pytest.raises(
            RegionReplacedError,
            match=f"{re.escape(path)} was replaced by another file .* open {re.escape(path)} again",
        ):
            reader.refresh()


def test_a_relative_path_in_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with MemoryBuffer("list.smem") as values, MemoryBuffer("list.smem", "r") as reader:
        snapshot = values.snapshot()
        (tmp_path / "folder").mkdir()
        monkeypatch.chdir(tmp_path / "folder")
        assert not reader.refresh()
        assert not snapshot.refresh()
        snapshot.close()


def test_a_list_in_memory_has_no_name_to_lose():
    with MemoryBuffer() as values, values.snapshot() as snapshot:
        assert not snapshot.refresh()


# -- writers -----------------------------------------------------------------------------------------------


def test_a_handle_in_a_cycle_of_garbage_is_in_nobodys_way(path):
    values = MemoryBuffer.from_iterable([1], path)
    cycle = [values]
    cycle.append(cycle)
    gc.disable()
    try:
        del values, cycle
        with MemoryBuffer(path) as again:
            assert again[:] == [1]
    finally:
        gc.enable()


def test_a_handle_that_is_used_still(path):
    with MemoryBuffer(path) as values:
        with pytest.raises(
            RegionLockedError, match=r"already: close\(\) that handle first, or use it"
        ) as caught:
            MemoryBuffer(path)
        assert caught.value.pid == os.getpid()
        assert "timeout" not in str(caught.value)
        with MemoryBuffer(values.region, name="another") as another:
            another.append(1)
    with MemoryRegion(path) as region:
        assert region.names() == ["another", "main"]


def test_another_thread_may_close_it_in_time(path, monkeypatch):
    first = MemoryBuffer(path)
    first.append(1)
    refused = threading.Event()
    flock = fcntl.flock

    def noted(*arguments):
        try:
            flock(*arguments)
        except BlockingIOError:
            refused.set()
            raise

    monkeypatch.setattr(fcntl, "flock", noted)
    closing = in_thread(lambda: refused.wait(HANGS) and first.close())
    with MemoryBuffer(path, timeout=HANGS) as second:
        assert second[:] == [1]
    join(closing)


# -- notebooks ---------------------------------------------------------------------------------------------


def cells():
    """Return the cells that the recipe for notebooks shows."""
    page = (DOCS / "recipes.md").read_text(encoding="utf-8")
    section = page[page.index("\n## Notebooks\n") :]
    section = section[: section.index("\n## ", 1)]
    found = []
    for block in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
        lines = [line[4:] for line in block.splitlines() if line.startswith((">>> ", "... "))]
        found.append("\n".join(lines))
    return found


def test_the_cells_of_a_notebook_run_again(tmp_path, monkeypatch, capsys):
    """What one run binds to a name is bound still when the next one begins."""
    monkeypatch.chdir(tmp_path)
    notebook = {}
    assert len(cells()) >= 3
    for _ in range(2):
        for cell in cells():
            for _ in range(2):
                exec(compile(cell, "cell", "exec"), notebook)
    assert isinstance(notebook["events"], MemoryBuffer)
    assert capsys.readouterr().out.split() == [str(number) for number in range(1, 9)]
    notebook["events"].close()


def test_a_cell_that_leaves_its_list_open(tmp_path, monkeypatch):
    """It cannot run twice, and the error says what to do: that done, it can."""
    monkeypatch.chdir(tmp_path)
    cell = "from stablemem import MemoryBuffer\nevents = MemoryBuffer('notebook.smem')\nevents.append(1)"
    notebook = {}
    exec(cell, notebook)
    with pytest.raises(RegionLockedError, match=r"close\(\) that handle first"):
        exec(cell, notebook)
    notebook["events"].append(2)
    notebook["events"].close()
    exec(cell, notebook)
    assert notebook["events"][:] == [1, 2, 1]
    notebook["events"].close()
