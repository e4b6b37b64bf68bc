import pytest

from stablemem._core.space.freetree import FreeTree
from stablemem._core.space.layers import Layer, owner_faults, without
from stablemem.layout import RAW_PAGE, REGION_PAGE


@pytest.mark.parametrize(
    ("start", "stop", "holes", "left"),
    [
        (0, 10, [], [(0, 10)]),
        (5, 10, [(0, 5), (10, 3)], [(5, 5)]),
        (5, 10, [(0, 6), (9, 5)], [(6, 3)]),
        (5, 10, [(5, 5)], []),
        (5, 10, [(3, 20)], []),
        (0, 20, [(2, 3), (9, 2), (15, 1)], [(0, 2), (5, 4), (11, 4), (16, 4)]),
    ],
)
def test_a_range_without_holes(start, stop, holes, left):
    assert without(start, stop, holes) == left


def test_numbers_of_region_pages():
    layer, given = Layer(1), FreeTree()
    layer.pages.insert(REGION_PAGE, 2 * REGION_PAGE)
    given.insert(REGION_PAGE, 2 * REGION_PAGE)
    kinds, owners = bytearray([RAW_PAGE] * 4), bytearray([0, 1, 1, 0])
    assert owner_faults([layer], [], given, kinds, owners) == []
    assert owner_faults([layer], [], given, kinds, bytearray([0, 1, 0, 0])) != []
    assert owner_faults([layer], [], given, kinds, bytearray([0, 1, 1, 1])) != []
    assert owner_faults([layer], [], given, bytearray([RAW_PAGE, 0, RAW_PAGE, RAW_PAGE]), owners) != []
    assert owner_faults([Layer(2)], [], given, kinds, bytearray(4)) != []
