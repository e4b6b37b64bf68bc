"""The picture as a PNG: its size, and the colours of its cells."""

import io

import pytest

from stablemem import MemoryRegion
from stablemem._core.audit.census import USES, Census, cell_size, census
from stablemem.plot import (
    BEHIND,
    BOTTOM,
    COLOURS,
    LEAST_WIDTH,
    LEFT,
    RIGHT,
    TOP,
    cell_pixels,
    colour_of,
    draw,
)
from support.probe import handle_of

matplotlib = pytest.importorskip("matplotlib")
imread = pytest.importorskip("matplotlib.image").imread


def decoded(content):
    """Return a PNG as rows of (red, green, blue)."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    pixels = (imread(io.BytesIO(content))[:, :, :3] * 255).round().astype(int)
    return [[tuple(pixel) for pixel in row] for row in pixels.tolist()]


def made_of(letters, cell=16):
    """Return a census of cells that are wholly of one use each, and a shorter one at the end."""
    sizes = [cell] * (len(letters) - 1) + [cell // 2]
    counts = {
        use: [size if letter == use[:2] else 0 for letter, size in zip(letters, sizes, strict=True)]
        for use in USES
    }
    return Census(7, sum(sizes), 100, cell, counts)


def cell_of(pixels, number, width, side):
    """Return the colours that the pixels of a cell have."""
    top, left = TOP + number // width * side, LEFT + number % width * side
    return {pixels[y][x] for y in range(top, top + side) for x in range(left, left + side)}


@pytest.mark.parametrize("width", [1, 3, 5, 24])
def test_every_cell_has_the_colour_of_its_use(width):
    uses = [*USES, "free", *reversed(USES), "raw", "raw", "log"]
    found = made_of([use[:2] for use in uses])
    pixels = decoded(draw(found, "a region", width))
    rows = -(-len(uses) // width)
    side = cell_pixels(width, rows)
    assert side == 8
    assert len(pixels) == TOP + rows * side + BOTTOM
    assert {len(row) for row in pixels} == {max(LEFT + width * side + RIGHT, LEAST_WIDTH)}
    for number, use in enumerate(uses):
        assert cell_of(pixels, number, width, side) == {COLOURS[use]}, f"cell {number}"
    for number in range(len(uses), rows * width):
        assert cell_of(pixels, number, width, side) == {BEHIND}, f"behind the region, {number}"
    # Right above the grid and at its sides is nothing; of the labels there are some pixels.
    assert {pixels[TOP - 2][x] for x in range(LEFT, LEFT + width * side)} == {BEHIND}
    assert {pixels[y][LEFT + width * side + 1] for y in range(TOP, TOP + rows * side)} == {BEHIND}
    assert any(pixels[y][x] != BEHIND for y in range(TOP) for x in range(LEFT, LEAST_WIDTH))
    assert any(pixels[y][x] != BEHIND for y in range(TOP, TOP + 8) for x in range(LEFT))


def test_the_legend_shows_every_colour():
    pixels = decoded(draw(made_of(["fr", "fr"]), "a region", 2))
    below = {pixel for row in pixels[TOP + 8 + 2 :] for pixel in row}
    assert below >= set(COLOURS.values())


def test_a_region(path):
    with MemoryRegion(path) as region:
        address = region.allocate(1 << 20)
        region.commit()
        region.deallocate(address + (1 << 19), 1 << 19)
        region.commit()
    with MemoryRegion(path, "r") as region:
        found = census(handle_of(region), cell_size(handle_of(region).slot.length, 1024))
    width = 32
    pixels = decoded(draw(found, path, width))
    side = cell_pixels(width, -(-len(found) // width))
    for number in range(len(found)):
        assert cell_of(pixels, number, width, side) == {colour_of(*found.shown(number))}
    assert cell_of(pixels, 0, width, side) == {COLOURS["header"]}
    assert cell_of(pixels, address // found.cell, width, side) == {COLOURS["raw"]}
    assert cell_of(pixels, (address + (1 << 19)) // found.cell, width, side) == {COLOURS["limbo"]}


def test_a_cell_is_the_paler_the_less_of_it_is_in_use():
    colours = [sum(colour_of("nodes", used / 10)) for used in range(11)]
    assert colours == sorted(set(colours), reverse=True)
    assert colour_of("nodes", 1.0) == COLOURS["nodes"]
    assert colour_of("raw", 1 / (1 << 40)) != COLOURS["free"], "one byte is seen"


def test_the_users_style_changes_nothing():
    found = made_of(["he", "fr", "ra"])
    with matplotlib.rc_context({"axes.grid": True, "figure.dpi": 33, "savefig.dpi": 44, "font.size": 3}):
        drawn = decoded(draw(found, "a region", 2))
    assert drawn == decoded(draw(found, "a region", 2))


@pytest.mark.parametrize("title", ["$x_1", "a" * 5000, "\u6f22\u5b57.smem", "%s {}", ""])
def test_titles(title):
    """A path is no formula, and it does not make the picture wider."""
    pixels = decoded(draw(made_of(["fr"]), title, 1))
    assert len(pixels[0]) == LEAST_WIDTH
    assert {row[-1] for row in pixels} == {BEHIND}


@pytest.mark.parametrize(("width", "rows"), [(1, 1000), (1000, 1), (1000, 1000)])
def test_the_largest_pictures(width, rows):
    high, wide, _ = imread(io.BytesIO(draw(made_of(["fr"] * (width * rows)), "large", width))).shape
    assert TOP + BOTTOM < high <= TOP + 1024 + BOTTOM
    assert LEAST_WIDTH <= wide <= LEFT + 1024 + RIGHT
