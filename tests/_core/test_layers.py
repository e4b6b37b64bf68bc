import pytest

from stablemem._core.freetree import FreeTree
from stablemem._core.layers import Layer, owner_faults, without
from stablemem.layout import RAW_PAGE, REGION_PAGE


@pytest.mark.parametrize(
    ("ranges", "holes", "left"),
    [
        ([], [(0, 5)], []),
        ([(0, 10)], [], [(0, 10)]),
        ([(5, 10)], [(0, 5), (10, 3)], [(5, 10)]),
        ([(5, 10)], [(0, 6), (9, 5)], [(6, 9)]),
        ([(5, 10)], [(5, 5)], []),
        ([(0, 10), (20, 30), (40, 50)], [(2, 3), (9, 32), (45, 1)], [(0, 2), (5, 9), (41, 45), (46, 50)]),
        ([(0, 10), (10, 20)], [(8, 4)], [(0, 8), (12, 20)]),
    ],
)
def test_ranges_without_holes(ranges, holes, left):
    assert without(ranges, holes) == left


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
