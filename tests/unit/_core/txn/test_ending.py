"""Handles that nobody closed: dropped, collected, open at the end of a program or of a worker, forked."""

import gc
import os
import subprocess
import sys
import warnings

import pytest

from stablemem import (
    MemoryBuffer,
    MemoryRegion,
    RegionClosedError,
    UncommittedChangesWarning,
    errors,
)
from stablemem._core.txn import ending
from support import HANGS, environment, run_python
from support.probe import handle_of

REMEDY = "which are lost: use it in a with statement, or call commit() or close()"


def values_of(path, name="main"):
    with MemoryBuffer(path, "r", name=name) as values:
        return values[:]


HEAD = """
import sys, os
from stablemem import *
path = sys.argv[1]
b = MemoryBuffer(path)
b.append(0)
b.commit()
"""


def script(tail, path, *, options=(), status=0, stdin=None):
    """Run a program that has a list ``b`` with one value committed, and return what it said on stderr."""
    done = subprocess.run(
        [sys.executable, *options, "-c", HEAD + tail, path], env=environment(PYTHONWARNINGS=""),
        input=stdin, capture_output=True, text=True, timeout=HANGS, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done.stderr


# -- dropped ---------------------------------------------------------------------------------------------


def test_the_kind():
    assert issubclass(UncommittedChangesWarning, UserWarning)
    assert not issubclass(UncommittedChangesWarning, ResourceWarning), "Python hides those"
    assert UncommittedChangesWarning is errors.UncommittedChangesWarning


def test_dropped(path):
    values = MemoryBuffer.from_iterable([1], path)
    values.extend([2, 3])
    with pytest.warns(UncommittedChangesWarning) as told:
        del values
    assert [str(each.message) for each in told] == [
        f"{path} (list 'main') was dropped with 2 uncommitted changes, {REMEDY}"
    ]
    assert told[0].filename == __file__, "the line that dropped it"
    assert values_of(path) == [1]


def test_which_lists(path):
    region = MemoryRegion(path)
    lists = [region.buffer(name) for name in "abcde"]
    lists[0].append(0)
    region.commit()
    for each in lists[1:]:
        each.append(1)
    said = r"smem \(lists 'b', 'c', 'd' and 1 more\) was dropped with 4 uncommitted changes,"
    with pytest.warns(UncommittedChangesWarning, match=said):
        del region, lists, each
    region = MemoryRegion(path)
    region.buffer("a").extend([1, 2])
    with pytest.warns(UncommittedChangesWarning, match=r"\(list 'a'\) was dropped with 2 uncommitted"):
        del region
    region = MemoryRegion(path)
    region.add_blob(b"raw")
    with pytest.warns(UncommittedChangesWarning, match=r"smem was dropped with \d uncommitted changes?, wh"):
        del region


def test_nothing_to_lose(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MemoryBuffer(path)
        values = MemoryBuffer(path)
        values.append(1)
        values.commit(sync=False)
        del values
        values = MemoryBuffer(path)
        values.append(2)
        values.rollback()
        reader = values.snapshot()
        del values, reader
        gc.collect()
    assert values_of(path) == [1]


def test_it_is_let_go_of_before_the_warning(path):
    """Warnings may be errors, and whoever shows them may open the file."""
    values = MemoryBuffer(path)
    values.append(1)
    opened = []

    def show(message, *_):
        with MemoryBuffer(path, "r+") as again:
            opened.append(again[:])

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        del values
    assert opened == [[]]
    values = MemoryBuffer(path)
    values.append(1)
    ignored = []
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("error")
        patch.setattr(sys, "unraisablehook", lambda args: ignored.append(args.exc_type))
        del values
    assert ignored == [UncommittedChangesWarning]
    MemoryBuffer(path, "r+").close()


def test_a_list_in_memory():
    """It ends with its process, committed or not: told as ResourceWarnings are, to those who ask."""
    code = (
        "from stablemem import MemoryBuffer\n"
        "def use(): b = MemoryBuffer(); b.append(1)\nuse()\nc = MemoryBuffer(); c.append(1)"
    )
    assert run_python(code, PYTHONWARNINGS="").stderr == ""
    told = run_python(code, PYTHONWARNINGS="default").stderr
    assert "a list in memory was dropped with 1 uncommitted change, which" in told
    assert "a list in memory was still open when the interpreter ended, with 1 uncommitted" in told


def test_what_failed_in_the_background_is_told_at_last(path):
    values = MemoryBuffer(path)
    handle_of(values).background_error = OSError(28, "No space left on device")
    handle_of(values).background_error.add_note("7 uncommitted changes were rolled back")
    with pytest.warns(UncommittedChangesWarning) as told:
        del values
    said = str(told[0].message)
    assert said.startswith(f"{path} was dropped after a commit that failed, and its changes are lost (")
    assert "No space left on device, 7 uncommitted changes were rolled back" in said


# -- garbage ---------------------------------------------------------------------------------------------


class Wrapper:
    def __init__(self, values, at_last):
        self.values, self.at_last, self.me = values, at_last, self

    def __del__(self):
        self.at_last(self.values)


def save(values):
    values.append("saved")
    values.close()


@pytest.mark.parametrize("first", ["the list", "the wrapper"])
def test_the_finalizers_of_a_cycle_come_first(path, first):
    """Whichever was made first: the collector calls finalizers in the order of age."""
    if first == "the list":
        wrapper = Wrapper(MemoryBuffer(path), save)
    else:
        wrapper = Wrapper(None, save)
        wrapper.values = MemoryBuffer(path)
    wrapper.values.append("appended")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del wrapper
        gc.collect()
    assert values_of(path) == ["appended", "saved"]


def test_a_cycle(path):
    values = MemoryBuffer(path)
    values.append(1)
    cycle = [values]
    cycle.append(cycle)
    del values, cycle
    with pytest.warns(UncommittedChangesWarning, match="was dropped with 1 uncommitted change"):
        gc.collect()
    MemoryBuffer(path, "r+").close()
    assert not ending._garbage
    assert ending._after_collection not in gc.callbacks


def test_a_handle_that_outlives_its_collection(path):
    """Nobody is told that it was dropped: it is alive, and was ended."""
    alive = []
    wrapper = Wrapper(MemoryBuffer(path), alive.append)
    del wrapper
    gc.collect()
    said = f"{path} was not closed, and this handle ended when nothing referred to it any more"
    with pytest.raises(RegionClosedError) as caught:
        alive[0].append(1)
    assert str(caught.value) == f"{said}: open it again"


# -- the end of the interpreter --------------------------------------------------------------------------


def test_the_first_script(path):
    told = script("b.extend([1, 2])", path)
    assert told.replace("<sys>:0", "sys:1") == (
        f"sys:1: UncommittedChangesWarning: {path} (list 'main') was still open when the interpreter "
        f"ended, with 2 uncommitted changes, {REMEDY}\n"
    )
    assert values_of(path) == [0]


def test_every_handle_is_told_of(path):
    tail = "c = MemoryBuffer(path + '2.smem'); c.append(1); b.append(1)"
    told = script(tail, path)
    assert f"{path} (list 'main') was still open" in told
    assert f"{path}2.smem (list 'main') was still open" in told
    told = script(tail, path, options=["-W", "error"])
    assert f"{path} (list 'main') was still open" in told
    assert f"{path}2.smem (list 'main') was still open" in told


KEPT = {
    "the end": "",
    "sys.exit()": "sys.exit()",
    "an exception that was caught": "try: 1/0\nexcept ZeroDivisionError: pass",
    "an exception of a thread": (
        "import threading\nt = threading.Thread(target=lambda: 1/0)\nt.start(); t.join()"
    ),
}
COMMITS = ["commit_every=1000", "commit_every=1000.0", "commit_every=1000.0, sync=False"]


@pytest.mark.parametrize("how", COMMITS)
def test_commit_every_commits_at_a_clean_end(path, how):
    told = script(f"b.close()\nb = MemoryBuffer(path, {how})\nb.extend([1, 2])", path)
    assert told == ""
    assert values_of(path) == [0, 1, 2]
    with MemoryRegion(path, "r") as region:
        assert handle_of(region).slot.synced


@pytest.mark.parametrize("end", KEPT.values(), ids=KEPT)
def test_what_a_clean_end_is(path, end):
    told = script(f"b.close()\nb = MemoryBuffer(path, commit_every=1000)\nb.append(1)\n{end}", path)
    assert "Uncommitted" not in told
    assert values_of(path) == [0, 1]


def test_a_status_is_a_clean_end(path):
    tail = "b.close()\nb = MemoryBuffer(path, commit_every=1000)\nb.append(1)\nsys.exit(3)"
    assert script(tail, path, status=3) == ""
    assert values_of(path) == [0, 1]


@pytest.mark.parametrize("how", COMMITS)
def test_commit_every_does_not_commit_after_an_exception(path, how):
    told = script(f"b.close()\nb = MemoryBuffer(path, {how})\nb.append(1)\nraise ValueError", path, status=1)
    assert f"with 1 uncommitted change, {REMEDY.replace('are', 'is')}" in told
    assert "commits at the end of a program only if no exception has ended the program" in told
    assert values_of(path) == [0]


def test_an_interrupt_is_no_clean_end(path):
    tail = "b.close()\nb = MemoryBuffer(path, commit_every=1000)\nb.append(1)\n"
    tail += "import signal\nsignal.raise_signal(signal.SIGINT)"
    assert "with 1 uncommitted change" in script(tail, path, status=-2)
    assert values_of(path) == [0]


def test_an_error_in_an_interactive_session(path):
    tail = "b.close()\nb = MemoryBuffer(path, commit_every=1000)\nb.append(1)"
    told = script(tail, path, options=["-i"], stdin="b.append(2)\n1/0\n")
    assert "ZeroDivisionError" in told
    assert "Uncommitted" not in told
    assert values_of(path) == [0, 1, 2]


def test_without_commit_every_nothing_is_committed(path):
    assert "uncommitted" in script("b.append(1)\nsys.exit()", path)
    assert values_of(path) == [0]


def test_a_handle_that_outlives_the_modules(path):
    """Something that Python keeps to the very end may refer to it."""
    tail = "b.append(1)\nsys.excepthook = lambda *raised: b\n"
    told = script(tail, path)
    assert told.count("\n") == 1, told
    assert "was still open when the interpreter ended" in told


def test_an_open_block_is_not_committed(path):
    tail = "b.close()\nb = MemoryBuffer(path, commit_every=1000)\n"
    tail += "t = b.transaction()\nt.__enter__()\nb.append(1)"
    told = script(tail, path)
    assert "with 1 uncommitted change, which is lost: a transaction block was still open" in told
    assert "end the block, then close the handle" in told
    assert values_of(path) == [0]


def test_a_commit_that_fails_at_the_end_is_told_of(path):
    tail = (
        "b.close()\nb = MemoryBuffer(path, commit_every=1000)\nb.append(1)\n"
        "from stablemem._core.txn import handle\n"
        "def fail(*_): raise OSError(28, 'No space left on device')\n"
        "handle.commit = fail"
    )
    told = script(tail, path)
    assert "was still open when the interpreter ended, after a commit that failed, and its" in told
    assert "No space left on device, 1 uncommitted change was rolled back" in told
    assert values_of(path) == [0]


FINALIZERS = {
    "a wrapper that closes": (
        "class W:\n    def __del__(self): self.b.close()\nw = W(); w.b = b; b.append(1)"
    ),
    "a wrapper that appends": (
        "class W:\n    def __del__(self): self.b.append(1); self.b.close()\nw = W(); w.b = b"
    ),
    "a subclass that closes": (
        "class B(MemoryBuffer):\n    def __del__(self): self.append(1); self.close()\n"
        "b.close(); b = B(path); b.me = b"
    ),
    "a generator": "def g():\n    try: yield\n    finally: b.append(1); b.close()\nx = g(); next(x)",
    "an atexit function": "import atexit\natexit.register(lambda: (b.append(1), b.close()))",
    "commit_every, and a wrapper that appends": (
        "b.close(); b = MemoryBuffer(path, commit_every=1000.0)\n"
        "class W:\n    def __del__(self): self.b.append(1)\nw = W(); w.b = b"
    ),
}  # fmt: skip


@pytest.mark.parametrize("tail", FINALIZERS.values(), ids=FINALIZERS)
def test_finalizers_find_it_open(path, tail):
    assert script(tail, path) == ""
    assert values_of(path) == [0, 1]


def test_a_function_registered_before_the_import(path):
    code = (
        "import atexit, sys\n"
        "@atexit.register\ndef save(): b.append(1); b.close()\n"
        "from stablemem import MemoryBuffer\nb = MemoryBuffer(sys.argv[1])"
    )
    assert run_python(code, path).stderr == ""
    assert values_of(path) == [1]


# -- threads ---------------------------------------------------------------------------------------------

DAEMONS = {
    "appends": "while True: b.append(1)",
    "commits": "while True: b.append(1); b.commit(sync=False)",
    "reads": "while True: b[:], b.stats(), b.snapshot().close()",
    "blocks": "while True:\n        with b.transaction(): b.append(1)",
}


THREADS = """
import sys, threading
sys.setswitchinterval(1e-5)
started = threading.Semaphore(0)
apart = {"b": b, "started": started, "threading": threading}  # what a stopped thread keeps alive
exec("def run():\\n    started.release()\\n    " + work, apart)
for _ in range(3): threading.Thread(target=apart["run"], daemon=True).start()
for _ in range(3): started.acquire()
class W:
    def __del__(self): self.b[0], self.b.append("last")
w = W(); w.b = b
"""


@pytest.mark.parametrize("work", DAEMONS.values(), ids=DAEMONS)
def test_daemon_threads_end_in_silence(path, work):
    """None of them meets a closed list, waits for ever, or leaves a lock that the end would wait for."""
    tail = "b.close(); b = MemoryBuffer(path, commit_every=1 << 40, sync=False)\n"
    for _ in range(2):
        assert script(f"{tail}work = {work!r}\n{THREADS}", path) == ""
        found = values_of(path)
        assert found[0] == 0
        assert found[-1] == "last", "other threads wait from then on"
        os.unlink(path)


def test_a_daemon_thread_that_never_leaves_its_block(path):
    work = "with b.transaction(): b.append(1); entered.release(); threading.Event().wait()"
    tail = "b.close(); b = MemoryBuffer(path, commit_every=1000)\n"
    tail += "from stablemem._core.txn import handle; handle.PATIENCE = 0.01\n"
    more = "entered.acquire()\n"
    threads = THREADS.replace('"b": b,', '"b": b, "entered": entered,')
    tail += f"import threading\nentered = threading.Semaphore(0)\nwork = {work!r}\n{threads}{more}"
    told = script(tail, path)
    assert "the end of the program stopped another thread in the middle of a call of this list" in told
    assert "with 1 uncommitted change, which is lost" in told
    assert values_of(path) == [0]


# -- forks and workers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["", ", commit_every=1000"])
def test_a_forked_child_neither_warns_nor_commits(path, how):
    tail = (
        f"b.close(); b = MemoryBuffer(path{how}); b.append(1)\n"
        "pid = os.fork()\n"
        "if pid == 0: sys.exit(0)\n"
        "os.waitpid(pid, 0)\n"
        "print(len(MemoryBuffer(path, 'r')), flush=True)\n"
    )
    done = run_python(HEAD + tail, path, PYTHONWARNINGS="")
    assert done.stdout == "1\n", "the child has not committed"
    assert done.stderr.count("Uncommitted") == (0 if how else 1)
    assert values_of(path) == ([0, 1] if how else [0])


WORKERS = """
import multiprocessing, sys
from stablemem import MemoryBuffer

def work(path, options, fails):
    global b
    b = MemoryBuffer(path, **options)
    b.append(1)
    if fails:
        raise fails

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[2])
    every = {"commit_every": 1000}
    for number, (options, fails) in enumerate(
        [(every, None), ({}, None), (every, ValueError), (every, SystemExit)]
    ):
        process = context.Process(target=work, args=(f"{sys.argv[1]}{number}.smem", options, fails))
        process.start()
        process.join()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers(path, tmp_path, method):
    program = tmp_path / "program.py"
    program.write_text(WORKERS)
    done = subprocess.run(
        [sys.executable, program, path, method], env=environment(PYTHONWARNINGS=""),
        capture_output=True, text=True, timeout=HANGS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [values_of(f"{path}{number}.smem") for number in range(4)] == [[1], [], [], [1]], done.stderr
    for number, times in enumerate([0, 1, 1, 0]):
        said = f"{path}{number}.smem (list 'main') was still open when the interpreter ended"
        assert done.stderr.count(said) == times, done.stderr


THREADED = """
import multiprocessing, sys, threading
from stablemem import MemoryBuffer

def work(path):
    global b
    b = MemoryBuffer(path, commit_every=1000)
    {work}

if __name__ == "__main__":
    process = multiprocessing.get_context(sys.argv[2]).Process(target=work, args=(sys.argv[1],))
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""


def threaded(work, path, tmp_path, method):
    """Run a worker that has a list ``b``, and return what the program said on stderr."""
    program = tmp_path / "program.py"
    program.write_text(THREADED.replace("{work}", work))
    done = subprocess.run(
        [sys.executable, program, path, method], env=environment(),
        capture_output=True, text=True, timeout=HANGS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("last", ["b.append('last')", "b.append('last'); b.close()"])
def test_a_worker_waits_for_its_threads(path, tmp_path, method, last):
    """As every program does; the thread begins when multiprocessing waits for threads."""
    work = (
        "from multiprocessing import util\n"
        "    begin = threading.Event()\n"
        f"    threading.Thread(target=lambda: (begin.wait(), {last.replace(';', ',')})).start()\n"
        "    shutdown = threading._shutdown\n"
        "    threading._shutdown = lambda: (begin.set(), shutdown())\n"
    )
    assert threaded(work, path, tmp_path, method) == ""
    assert values_of(path) == ["last"]


def test_a_worker_with_an_executor_of_threads(path, tmp_path):
    """Its threads end only when Python tells them to, which it does as it waits for them."""
    work = (
        "global pool\n"
        "    from concurrent.futures import ThreadPoolExecutor\n"
        "    pool = ThreadPoolExecutor(2)\n"
        "    for n in range(10): pool.submit(b.append, n)\n"
    )
    assert threaded(work, path, tmp_path, "fork") == ""
    assert sorted(values_of(path)) == list(range(10))


def test_a_daemon_thread_reads_until_its_worker_is_gone(path, tmp_path):
    work = (
        "from multiprocessing import util\n"
        "    reads = []\n"
        "    def read():\n"
        "        while True: reads[:] = [reads[0] + 1 if reads else len(b)]; b[:]\n"
        "    b.append(0)\n"
        "    thread = threading.Thread(target=read, daemon=True)\n"
        "    thread.start()\n"
        "    def last():\n"
        "        begun = reads[0] if reads else 0\n"
        "        while thread.is_alive() and (not reads or reads[0] < begun + 100): thread.join(0.001)\n"
        "    util._flush_std_streams = last\n"
    )
    assert threaded(work, path, tmp_path, "fork") == ""
    assert values_of(path) == [0]


def test_a_pool_of_workers(path, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nfrom concurrent.futures import ProcessPoolExecutor\nfrom stablemem import MemoryBuffer\n"
        "def work(path):\n    global b\n    b = MemoryBuffer(path, commit_every=1000)\n    b.append(1)\n"
        "if __name__ == '__main__':\n\n"
        "    with ProcessPoolExecutor(1) as pool: pool.submit(work, sys.argv[1]).result()\n"
    )
    done = subprocess.run(
        [sys.executable, program, path], env=environment(),
        capture_output=True, text=True, timeout=HANGS, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert values_of(path) == [1]
