"""Commits that nobody calls for: after so many changes, after so much time, and the sync that comes later."""

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest

from stablemem import MemoryBuffer, MemoryRegion, StableMemoryError, UncommittedChangesWarning
from stablemem._core.txn.policy import Policy
from support.probe import handle_of, handles
from support.recorded import NEXT_BOOT, Recorder, contents, region_of, region_on
from support.waiting import HANGS, in_thread, join, wait_for, waits_for_latch


@pytest.fixture
def path(tmp_path):
    return tmp_path / "list.smem"


def seen(path):
    with MemoryBuffer(path, "r") as reader:
        return reader[:]


# -- by number ---------------------------------------------------------------------------------------


def test_autocommit_commits_every_call(path):
    with MemoryBuffer(path, autocommit=True) as values:
        values.append("a writer's first commit leaves a number out")
        del values[0]
        number = values.region.transaction_number

        def commits():
            nonlocal number
            before, number = number, values.region.transaction_number
            return number - before

        values.append(1)
        assert (seen(path), commits()) == ([1], 1)
        values.insert(0, 0)
        assert (seen(path), commits()) == ([0, 1], 1)
        values[1] = "one"
        assert (seen(path), commits()) == ([0, "one"], 1)
        values.extend(range(10_000))
        assert (len(seen(path)), commits()) == (10_002, 1)
        values[2:] = [2, 3, 4]
        assert (seen(path), commits()) == ([0, "one", 2, 3, 4], 1)
        assert values.pop() == 4
        assert (seen(path), commits()) == ([0, "one", 2, 3], 1)
        del values[0]
        assert (seen(path), commits()) == (["one", 2, 3], 1)
        del values[1:]
        assert (seen(path), commits()) == (["one"], 1)
        values.clear()
        assert (seen(path), commits()) == ([], 1)
        values.rollback()
        assert values[:] == []


def test_a_call_that_fails_commits_nothing(path):
    def failing():
        yield from range(9000)
        raise LookupError

    with MemoryBuffer(path, autocommit=True) as values:
        values.append(1)
        with pytest.raises(LookupError):
            values.extend(failing())
        assert values[:] == [1]
        assert seen(path) == [1]
        values.append(2)
        assert seen(path) == [1, 2]


def test_a_block_is_one_commit(path):
    with MemoryBuffer(path, autocommit=True) as values:
        values.append(0)
        with values.transaction():
            for number in range(1, 50):
                values.append(number)
            with values.transaction():
                values.append("inner")
            assert seen(path) == [0]
        assert seen(path) == [*range(50), "inner"]


def test_after_so_many_changes(path):
    with MemoryBuffer(path, commit_every=3) as values:
        lengths = []
        for number in range(7):
            values.append(number)
            lengths.append(len(seen(path)))
        assert lengths == [0, 0, 3, 3, 3, 6, 6]
        values.rollback()
        assert values[:] == list(range(6))
        values.append(6)
        values.commit()
        values.extend([7, 8])
        assert len(seen(path)) == 7
        values.append(9)
        assert len(seen(path)) == 10


def test_over_all_lists_of_a_region(path):
    with MemoryRegion(path, commit_every=2) as region:
        one, two = region.buffer("one"), region.buffer("two")
        one.append(1)
        two.append(2)
        with MemoryRegion(path, "r") as reader:
            assert (reader.buffer("one")[:], reader.buffer("two")[:]) == ([1], [2])


def test_unsynced_if_so_asked():
    device = Recorder()
    region = region_on(device)
    handle_of(region).obey(Policy.of(False, True, None))
    region.buffer("main").append(1)
    syncs = device.events.count(("sync",))
    region.buffer("main").append(2)
    assert device.events.count(("sync",)) == syncs
    region.close()


def test_a_commit_that_fails_within_a_call():
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main")
    values.append("kept")
    region.commit()
    handle_of(region).obey(Policy.of(True, False, 2))
    values.append("lost")
    # The first may be zeros ahead, which are left out if they fail.
    device.fail_at = len(device.events) + 1
    with pytest.raises(OSError, match="Input/output error") as caught:
        values.append("lost as well")
    assert "2 uncommitted changes were rolled back" in caught.value.__notes__
    assert values[:] == ["kept"]
    region.close()


# -- by time -----------------------------------------------------------------------------------------


def test_after_so_many_seconds(path):
    with MemoryBuffer(path, commit_every=0.02) as values:
        values.append("first")
        wait_for(lambda: seen(path) == ["first"])
        values.append("second")
        wait_for(lambda: seen(path) == ["first", "second"])
        values.rollback()
        assert values[:] == ["first", "second"]


def test_not_within_a_block(path, monkeypatch):
    """The commit that is due waits for the end of the block, which commits everything itself."""
    waiting = waits_for_latch(monkeypatch)
    with MemoryBuffer(path, commit_every=timedelta(milliseconds=10)) as values:
        with values.transaction():
            values.append(0)
        number = values.region.transaction_number
        with values.transaction():
            values.append(1)
            wait_for(waiting)
            assert seen(path) == [0]
            values.append(2)
        assert seen(path) == [0, 1, 2]
        assert values.region.transaction_number == number + 1


def test_threads_end_with_the_handle(path):
    def alarms():
        return [each for each in threading.enumerate() if each.name == "stablemem alarm"]

    values = MemoryBuffer(path, commit_every=3600.0)
    assert not alarms()
    values.append(1)
    assert len(alarms()) == 1
    values.commit(sync=False)
    values.append(1)
    assert len(alarms()) == 2
    values.close()
    wait_for(lambda: not alarms())
    dropped = MemoryBuffer(path, commit_every=3600.0)
    dropped.append(2)
    with pytest.warns(UncommittedChangesWarning, match="1 uncommitted change"):
        del dropped
    wait_for(lambda: not alarms())


@contextmanager
def failing_in_the_background(path, error):
    """Give a list whose next commit in the background fails."""
    values = MemoryBuffer(path, commit_every=0.02)
    store = handle_of(values)

    def fail(*_):
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handles, "commit", fail)
        values.append("lost")
        wait_for(lambda: store.background_error is not None)
    yield values
    values.close()


def test_what_failed_in_the_background_is_told_by_the_next_change(path):
    with failing_in_the_background(path, OSError(5, "broken")) as values:
        with pytest.raises(StableMemoryError, match=r"background failed .*broken.*rolled back") as caught:
            values.append("not made")
        assert isinstance(caught.value.__cause__, OSError)
        values.append("made")
        values.commit()
        assert seen(path) == ["made"]


def test_what_failed_in_the_background_is_told_by_commit(path):
    with failing_in_the_background(path, OSError(5, "broken")) as values:
        with pytest.raises(StableMemoryError, match=r"background failed.*broken"):
            values.commit()
        values.commit()


def test_what_failed_in_the_background_is_told_by_close(path):
    with failing_in_the_background(path, OSError(5, "broken")) as values:
        with pytest.raises(StableMemoryError, match=r"background failed.*broken"):
            values.close()
        assert values.closed


# -- the sync that comes later -----------------------------------------------------------------------


def test_an_unsynced_commit_is_synced_after_a_while(path, monkeypatch):
    monkeypatch.setattr(handles, "UNSYNCED_SECONDS", 0.02)
    with MemoryBuffer(path, sync=False) as values:
        values.append("committed")
        values.commit()
        values.append("not committed")
        number = values.region.transaction_number
        wait_for(lambda: handle_of(values).slot.synced)
        assert values.region.transaction_number == number
        assert seen(path) == ["committed"]
        values.rollback()
        assert values[:] == ["committed"]
        values.append("next")
        values.commit()
        assert seen(path) == ["committed", "next"]


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("ending", ["commit", "unsynced", "rollback", "close"])
def test_synced_below_an_open_transaction(early, ending):
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main", "bytes")
    values.extend([b"first" * 3] * 50)
    region.commit()
    values[7:9] = [b"second" * 3]
    region.commit(sync=False)
    second = values[:]
    values.extend([b"third" * 50] * 300)
    del values[3]
    if early:
        handle_of(region).write_early()
    handle_of(region).promote()
    with region_of(device.bytes(), boot=NEXT_BOOT) as after_a_cut:
        assert contents(after_a_cut)["main"] == second
    third = values[:]
    if ending == "rollback":
        region.rollback()
        assert values[:] == second
        values.append(b"more")
        region.commit()
        third = [*second, b"more"]
    elif ending == "close":
        region.close()
    else:
        region.commit(sync=ending == "commit")
    with region_of(device.bytes(), boot=NEXT_BOOT) as after_a_cut:
        assert contents(after_a_cut)["main"] == (second if ending == "unsynced" else third)
    region.close()


def test_a_failed_sync_below_an_open_transaction():
    device = Recorder()
    region = region_on(device)
    values = region.buffer("main", "bytes")
    values.append(b"first")
    region.commit(sync=False)
    values.append(b"second")
    device.fail_at = len(device.events)
    handle_of(region).sync_late()
    with pytest.raises(StableMemoryError, match="background failed"):
        values.append(b"third")
    with pytest.raises(StableMemoryError, match="takes no more changes through this handle"):
        values.append(b"third")
    region.close()
    with region_of(device.bytes()) as again:
        assert contents(again)["main"] == [b"first"]


# -- what may be asked for ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"commit_every": 0}, ValueError, "commit_every is above 0 and finite, not 0: leave it out"),
        ({"commit_every": -1.5}, ValueError, "commit_every is above 0 and finite, not -1.5"),
        ({"commit_every": float("nan")}, ValueError, "above 0 and finite, not nan"),
        ({"commit_every": float("inf")}, ValueError, "above 0 and finite, not inf"),
        ({"commit_every": True}, TypeError, "changes .* or of seconds .*, not bool"),
        ({"commit_every": "1s"}, TypeError, "changes .* or of seconds .*, not str"),
        ({"commit_every": 5, "autocommit": True}, ValueError, "already: leave commit_every out"),
    ],
)
def test_what_makes_no_sense(path, arguments, error, message):
    for kind in (MemoryBuffer, MemoryRegion):
        with pytest.raises(error, match=message):
            kind(path, **arguments)
    assert not path.exists()


@pytest.mark.parametrize(
    "option",
    [{"mode": "r"}, {"autocommit": True}, {"commit_every": 3}, {"sync": False}, {"checksums": False}],
    ids=str,
)
def test_options_of_a_region_that_is_open_already(option):
    with MemoryRegion() as region, pytest.raises(TypeError, match="give it to MemoryRegion"):
        MemoryBuffer(region, **option)


# -- what comes between ------------------------------------------------------------------------------


def test_a_list_opened_during_a_commit_in_the_background(path, monkeypatch):
    waiting = waits_for_latch(monkeypatch)
    region = MemoryRegion(path, commit_every=3600.0)
    region.buffer("old").append(1)
    syncing = threading.Event()
    sync = handle_of(region).region.device.sync

    def slow():
        # The sync lasts until the opening of the list waits for the commit.
        syncing.set()
        wait_for(waiting)
        sync()

    monkeypatch.setattr(handle_of(region).region.device, "sync", slow)
    committing = in_thread(handle_of(region).commit_late)
    assert syncing.wait(HANGS)
    fresh = region.buffer("new")
    fresh.append(2)
    join(committing)
    monkeypatch.undo()
    region.commit()
    assert (fresh[:], region.names()) == ([2], ["new", "old"])
    region.rollback()
    region.close()
    with MemoryRegion(path, "r") as again:
        assert again.buffer("new")[:] == [2]


def test_dropping_a_list_is_a_change_as_well(path):
    with MemoryRegion(path, autocommit=True) as region:
        region.buffer("x").append(1)
        region.drop("x")
        with MemoryRegion(path, "r") as reader:
            assert reader.names() == []


def test_an_extend_that_commits_itself_and_fails(path):
    def values_and_a_commit():
        yield from range(5000)
        values.commit()
        yield from range(5000)
        raise LookupError

    with MemoryBuffer(path) as values:
        values.append("before")
        with pytest.raises(LookupError):
            values.extend(values_and_a_commit())
        assert values[:] == ["before"]
    assert seen(path) == ["before"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_the_owner_raises_in_the_background_is_no_failed_commit(path):
    told = threading.Event()

    def refuse(stats):
        told.set()
        raise LookupError

    region = MemoryRegion(path, commit_every=0.01, max_size=1 << 20, on_low_space=refuse, low_space=0.05)
    values = region.buffer("main", "bytes")
    with region.transaction():
        values.append(b"first")
    values.append(bytes(100_000))
    assert told.wait(HANGS)
    wait_for(lambda: not region.stats().changes)
    values.append(b"last")
    wait_for(lambda: len(seen(path)) == 3)
    region.close()


@pytest.mark.parametrize(
    "options", [{"max_size": 1 << 70}, {"commit_every": 10**30}, {"commit_every": 1e12}], ids=repr
)
def test_numbers_beyond_all_bounds(path, options):
    with MemoryRegion(path, **options) as region:
        region.buffer("main").append(1)
    assert seen(path) == [1]


def test_no_thread_can_be_started(path, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    with MemoryBuffer(path, commit_every=3600.0) as values, monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        values.append(1)
        values.commit(sync=False)
        assert seen(path) == [1]
        patch.undo()
        values.append(2)
        assert handle_of(values).commit_alarm._thread is not None
