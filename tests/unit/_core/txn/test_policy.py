"""Policy: what the arguments of a constructor come to.

What a region does by its policy is in faces/test_commit_policy.py.
"""

from datetime import timedelta

import pytest

from stablemem._core.txn.policy import Policy


@pytest.mark.parametrize(
    ("autocommit", "commit_every", "changes", "seconds"),
    [
        (False, None, None, None),
        (True, None, 1, None),
        (False, 1, 1, None),
        (False, 10**30, 10**30, None),
        (False, 1.0, None, 1.0),
        (False, timedelta(minutes=2), None, 120.0),
        (False, timedelta(milliseconds=1), None, 0.001),
    ],
)
@pytest.mark.parametrize("sync", [True, False])
def test_what_is_asked_for(sync, autocommit, commit_every, changes, seconds):
    policy = Policy.of(sync, autocommit, commit_every)
    assert policy == Policy(sync, changes, seconds)
    assert policy.by_itself == (changes is not None or seconds is not None)


@pytest.mark.parametrize(
    "commit_every", [0, -1, 0.0, -0.5, float("nan"), float("inf"), timedelta(0)], ids=repr
)
def test_no_time_and_no_number(commit_every):
    with pytest.raises(ValueError, match="above 0 and finite"):
        Policy.of(True, False, commit_every)


@pytest.mark.parametrize("commit_every", [True, "1", b"1", [1], 1j], ids=repr)
def test_neither_a_time_nor_a_number(commit_every):
    with pytest.raises(TypeError, match=f"not {type(commit_every).__name__}"):
        Policy.of(True, False, commit_every)


def test_both():
    with pytest.raises(ValueError, match="leave commit_every out"):
        Policy.of(True, True, 1)
