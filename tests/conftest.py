"""Fixtures of all tests, and the check that every region left behind by a test is whole."""

import contextlib
import gc
import os
import re
import signal

import pytest
from hypothesis import HealthCheck, settings

from stablemem import COMPILED, MemoryBuffer
from stablemem._core.audit.verify import verify, verify_writer
from stablemem._core.txn import handle as engine
from stablemem._core.txn.ending import OPEN
from stablemem._core.txn.opening import open_handle
from stablemem.options import BUFFER_DEFAULTS, DEFAULTS
from support import LONG
from support.forms import is_of_one_form
from support.pages import take_pages_away

# A shell ignores Ctrl-C for what it starts in the background, and nohup a hangup: children inherit that.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)

if os.environ.get("STABLEMEM_IO") == "pread":
    # The whole suite, without maps. Interpreted, pages are taken away at the next call as well.
    DEFAULTS["io"] = BUFFER_DEFAULTS["io"] = open_handle.__kwdefaults__["io"] = "pread"
    if not COMPILED:
        take_pages_away()

_COMMON = {
    "deadline": None,
    "derandomize": not LONG,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
}
settings.register_profile("default", max_examples=60 if COMPILED else 30, **_COMMON)
settings.register_profile("ci", max_examples=25, **_COMMON)
settings.register_profile("long", max_examples=2000, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "long" if LONG else "default"))


def pytest_collection_modifyitems(items):
    """Mark what need not run in both forms; refuse names that differ from process to process."""
    for item in items:
        if re.search(" at 0x[0-9a-f]{6}", item.nodeid):
            raise pytest.UsageError(
                f"{item.nodeid}: this name has an address in it; give the parameter an id"
            )
        if is_of_one_form(item.path):
            item.add_marker("one_form")


class Watch:
    """Verifies every writer of a test when it ends, and every file that the test leaves.

    Attributes:
        damaged: True for a test that breaks its regions on purpose.
        faults: what was wrong with any of them.
    """

    def __init__(self):
        self.damaged = False
        self.faults = []

    def look_at(self, store):
        """Verify an open store's newest commit and, of a writer, its structures in memory."""
        if self.damaged or store.forked:
            return
        try:
            snapshot = store.snapshot()
            try:
                self.faults += verify(snapshot).faults
            finally:
                snapshot.close()
            # With changes that are being dropped, what was written early may have been cut off already.
            if store.writable and not store.failure and not store.changes:
                self.faults += verify_writer(store)
        except Exception as error:  # noqa: BLE001 - the store has to be closed all the same
            self.faults.append(f"verifying raised {error!r}")


@pytest.fixture(autouse=True)
def watch(request, monkeypatch):
    """Prove at the end of every test that every region it opened or left in tmp_path is sound."""
    seen = Watch()
    let_go = engine.let_go
    process = os.getpid()

    def watched_end(store, why):
        if os.getpid() == process and not why.startswith("nobody") and store.writable:
            seen.look_at(store)
        let_go(store, why)

    monkeypatch.setattr(engine, "let_go", watched_end)
    before = set(OPEN)
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield seen
    for store in set(OPEN) - before:
        if not store.closed:
            seen.look_at(store)
            let_go(store, "the test is over")
    if folder is not None and not seen.damaged:
        for file in sorted(folder.rglob("*.smem")):
            if not file.is_file() or file.stat().st_size == 0:
                continue
            store = open_handle(str(file), "r")
            try:
                seen.faults += [f"{file.name}: {fault}" for fault in verify(store).faults]
            finally:
                store.close()
        litter = [file.name for file in folder.rglob("*.new")]
        assert not litter, f"temporary files were left: {litter}"
    gc.collect(0)
    assert not seen.faults, "\n".join(seen.faults)


@pytest.fixture
def damaged(watch):
    """Say that this test breaks its regions on purpose: they are not verified at the end."""
    watch.damaged = True


@pytest.fixture
def path(tmp_path):
    """Return the path of a region that is not there yet."""
    return str(tmp_path / "list.smem")


@pytest.fixture
def buffer():
    """Return a list of bytes in memory."""
    made = MemoryBuffer(blobify="bytes")
    yield made
    with contextlib.suppress(Exception):
        made.close()
