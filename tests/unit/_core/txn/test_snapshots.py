"""Snapshots: which lists may be missing from a newer commit, and which make the reader stop.

How a reader gets to the newest commit is in faces/test_replaced.py and disk/test_readers.py.
"""

from types import SimpleNamespace

import pytest

from stablemem import BlobifyError
from stablemem._core.format.catalog import Entry
from stablemem._core.txn.snapshots import still_absent

TEXT, BYTES = Entry("text", b""), Entry("bytes", b"")


def after(lists, before, opened, absent=()):
    """Return which lists are still absent when a snapshot moves to a state with these lists."""
    return still_absent(SimpleNamespace(lists=lists), before, set(opened), set(absent), "file")


def test_a_list_that_nobody_had_committed():
    before = {"new": TEXT, "other": TEXT, "old": TEXT}
    assert after({"old": TEXT, "new": TEXT}, before, ["new", "other", "old"], ["new", "other"]) == {"other"}
    assert after({"old": TEXT, "new": BYTES}, before, ["new"], ["new"]) == set(), "whatever it was made as"


def test_a_list_that_is_not_open_may_go():
    assert after({}, {"old": TEXT}, []) == set()


def test_a_list_that_is_gone():
    with pytest.raises(BlobifyError, match="the list 'old' is no longer in"):
        after({"new": TEXT}, {"old": TEXT, "new": TEXT}, ["old", "new"])


@pytest.mark.parametrize("again", [BYTES, Entry("text", b"\1")], ids=["another codec", "other options"])
def test_a_list_that_was_made_again_as_another(again):
    with pytest.raises(BlobifyError, match="the list 'old' was made again with blobify"):
        after({"old": again}, {"old": TEXT}, ["old"])


def test_a_list_that_only_changed():
    changed = TEXT.at((4096, 1, 1, 1))
    assert after({"old": changed}, {"old": TEXT}, ["old"]) == set()
