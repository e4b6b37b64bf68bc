"""A subclass stays its class, with its attributes, in each copy, pickle and snapshot."""

import copy
import pickle

import pytest

from stablemem import MemoryBuffer, MemoryRegion


class Doubled(MemoryBuffer):
    """A list with a changed call and an attribute of its own."""

    def __init__(self, *given, **options):
        super().__init__(*given, **options)
        self.notes = ["doubled"]

    def __getitem__(self, item):
        return 2 * super().__getitem__(item)

    def extend(self, values):
        raise AssertionError("a copy is no call of a user's")


class Named(MemoryRegion):
    """A region with an attribute of its own."""


WAYS = {
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "copy()": lambda values: values.copy(),
    "snapshot": lambda values: values.snapshot(),
    "pickle": lambda values: pickle.loads(pickle.dumps(values)),
    "pickle of a snapshot": lambda values: pickle.loads(pickle.dumps(values.snapshot())),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_list(path, way):
    with Doubled(path, maxlen=5) as values:
        values.append(1)
        values.append(2)
        values.commit()
        with WAYS[way](values) as other:
            assert type(other) is Doubled
            assert (other[0], other[1], len(other)) == (2, 4, 2)
            assert other.notes == ["doubled"]
            assert (other.notes is values.notes) == (way in {"copy.copy", "copy()", "snapshot"})
            assert "pickle" in way or other.maxlen == 5


def test_a_deep_copy_keeps_what_refers_to_it(path):
    with Doubled(path) as values:
        values.me = [values]
        twice = copy.deepcopy([values, values])
        assert twice[0] is twice[1]
        assert twice[0].me[0] is twice[0]
        twice[0].close()


def test_a_region(path):
    with Named(path) as region:
        region.note = "mine"
        region.buffer("names").append("Ada")
        region.commit()
        with region.snapshot() as snapshot:
            assert (type(snapshot), snapshot.note) == (Named, "mine")
            with pickle.loads(pickle.dumps(snapshot)) as other:
                assert (type(other), other.note) == (Named, "mine")
                assert other.buffer("names")[:] == ["Ada"]


def test_from_iterable_gives_the_subclass():
    class Plain(MemoryBuffer):
        pass

    assert type(Plain.from_iterable("ab")) is Plain
    assert type(Plain.filled(2, "a").copy()) is Plain
