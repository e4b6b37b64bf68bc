"""CPython's own tests of ``list``, run against MemoryBuffer.

``test.list_tests.CommonTest`` makes its lists by ``type2test(...)``. Here that is a MemoryBuffer in memory
whose Blobify keeps every object and gives back the same one, as a list would. ``DIFFERENT`` names the tests
that cannot hold, with the reason; docs/list.md says the same in a table.
"""

import pytest

from stablemem import MemoryBuffer

list_tests = pytest.importorskip("test.list_tests", reason="this Python came without its own tests")

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
# Lists that are copied, changed and dropped warn of changes that nobody committed.

DIFFERENT = {
    "test_repr": "repr names the class and the file, and is shortened",
    "test_pickle": "a list in memory is not pickled: what would it be opened from",
    "test_setitem": "the message of the TypeError names MemoryBuffer, not list",
}


class Keep:
    """A Blobify for tests: it remembers every object, and stores which one it was."""

    name = "tests.Keep"

    def __init__(self):
        self.kept = []
        self.places = {}

    def to_blob(self, value):
        if id(value) not in self.places:
            self.places[id(value)] = len(self.kept)
            self.kept.append(value)
        return self.places[id(value)].to_bytes(4, "big")

    def from_blob(self, blob):
        return self.kept[int.from_bytes(blob, "big")]


KEEP = Keep()


class Kept(MemoryBuffer):
    """A MemoryBuffer that is made as a list is."""

    def __init__(self, values=()):
        MemoryBuffer.__init__(self, blobify=KEEP, autocommit=True)
        self.extend(values)


class TestAsList(list_tests.CommonTest):
    type2test = Kept


def differs(name, reason):
    """Return a test that must fail, so that a reason that is out of date is noticed."""

    @pytest.mark.xfail(reason=reason, strict=True, raises=(AssertionError, TypeError))
    def test(self):
        getattr(list_tests.CommonTest, name)(self)

    return test


for _name, _reason in DIFFERENT.items():
    setattr(TestAsList, _name, differs(_name, _reason))


def nested(self):
    """Lists in one another, not as many as Python's own test has: each of ours has a file in memory."""
    inner = Kept()
    for _ in range(100):
        inner = Kept([inner])
    assert len(repr(inner)) < 1000


TestAsList.test_repr_deep = nested
