"""Alarm: what is due is called once, in a thread that is there only as long as something is due."""

import threading
from types import SimpleNamespace

from stablemem._core.txn import alarm as alarm_module
from stablemem._core.txn.alarm import Alarm
from support.waiting import HANGS, wait_for


def test_it_goes_on_after_an_error(monkeypatch):
    """What becomes due while the call fails is due as well."""
    raised, rung = [], []
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.append(args.exc_value))

    def ring():
        rung.append(1)
        if len(rung) == 1:
            alarm.set(0.0)
            raise RuntimeError("the first")

    alarm = Alarm(ring)
    alarm.set(0.0)
    wait_for(lambda: len(rung) == 2 or alarm._thread is None)
    assert (len(rung), [str(error) for error in raised]) == (2, ["the first"])
    wait_for(lambda: alarm._thread is None)
    alarm.set(0.0)
    wait_for(lambda: len(rung) == 3)


def test_it_was_called_off(monkeypatch):
    """By a clock that the test puts forward: when it is due, nothing happens."""
    now = 0.0
    monkeypatch.setattr(alarm_module, "time", SimpleNamespace(monotonic=lambda: now))
    rung = []
    alarm = Alarm(lambda: rung.append(now))

    def wake():
        """Let the thread look at the clock."""
        with alarm._changed:
            alarm._changed.notify()

    alarm.set(100.0)
    thread = alarm._thread
    alarm.cancel()
    now = 200.0
    wait_for(lambda: wake() or not thread.is_alive())
    assert not rung
    alarm.set(100.0)
    thread = alarm._thread
    now = 299.0
    wake()
    assert not rung
    now = 301.0
    wait_for(lambda: wake() or not thread.is_alive())
    assert rung == [301.0]
    alarm.stop()


def test_what_is_due_already_stays_due_then():
    alarm = Alarm(lambda: None)
    alarm.set(1e6)
    due = alarm._due
    alarm.set(0.0)
    assert alarm._due == due
    alarm.stop()


def test_stopping_ends_the_thread_now():
    alarm = Alarm(lambda: None)
    alarm.set(1e9)
    thread = alarm._thread
    assert thread.daemon
    alarm.stop()
    thread.join(HANGS)
    assert not thread.is_alive()
    # Nothing is due, and it may be set again.
    rung = threading.Event()
    alarm = Alarm(rung.set)
    alarm.stop()
    alarm.set(0.0)
    assert rung.wait(HANGS)


def test_no_thread_to_be_had(monkeypatch):
    rung = threading.Event()
    alarm = Alarm(rung.set)

    def refuse(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        alarm.set(0.0)
    assert alarm._thread is None
    alarm.set(0.0)
    assert rung.wait(HANGS)
