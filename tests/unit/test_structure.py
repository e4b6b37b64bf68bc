"""Structure is all that another kind of structure needs besides its own calls."""

import pickle

import pytest

from stablemem import COMPILED, MemoryBuffer, MemoryRegion, RegionClosedError
from stablemem._core.calls.list_core import ListCore
from stablemem.memory_region import KINDS
from stablemem.structure import Structure


class Pile(ListCore, Structure[int]):
    """A structure that has two calls only: the least that another kind has."""

    _kind = "pile"

    def __init__(self, source=None, mode="a", *, name="pile", **options):
        self._connect(source, mode, name, "int", options)

    def _bind(self, store, name, blobify):
        ListCore.__init__(self, store, name, blobify)


def test_it_lives_in_a_file(path):
    with Pile(path) as pile:
        pile.append(5)
        assert (pile.path, pile.mode, pile.name, pile.closed) == (path, "a", "pile", False)
    assert pile.closed
    with Pile(path, "r") as pile:
        assert pile.pop is not None
        assert (len(pile), pile[0]) == (1, 5)
        with pickle.loads(pickle.dumps(pile)) as other:
            assert type(other) is Pile
            assert other[0] == 5


def test_it_lives_in_a_region_beside_others(path):
    with MemoryRegion(path) as region:
        pile, values = Pile(region), region.buffer("values")
        with region.transaction():
            pile.append(1)
            values.append("one")
        with pile.snapshot() as snapshot:
            pile.append(2)
            pile.commit()
            assert (len(snapshot), len(pile)) == (1, 2)
        region.drop("pile")
        assert pile.closed
        with pytest.raises(RegionClosedError):
            pile.append(3)
        with pytest.raises(TypeError, match=r"sync is an option of the region"):
            Pile(region, sync=False)
    with MemoryRegion(path, "r") as region, pytest.raises(KeyError, match="has no pile 'pile'"):
        Pile(region)


def test_a_region_makes_each_kind_with_its_class():
    assert {"list": MemoryBuffer} == KINDS

    class Log(MemoryBuffer):
        """Not what a region makes: it has given no kind."""

    assert {"list": MemoryBuffer} == KINDS
    with MemoryRegion() as region:
        assert type(region.buffer("values")) is MemoryBuffer


@pytest.mark.skipif(COMPILED, reason="the names of compiled methods are not to be seen")
def test_no_name_of_a_structure_is_one_of_the_core():
    core = {name for kind in ListCore.__mro__[:-1] for name in vars(kind)}
    assert set(vars(Structure)) & core == {"__doc__", "__module__"}
