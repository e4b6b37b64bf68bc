"""The picture of a region as a PNG: a grid of cells, coloured by their main use, with a legend.

Every cell is a square of whole pixels, and the margins around the grid have fixed sizes in pixels. So the
place of a cell in the picture can be computed from ``cell_pixels``, ``LEFT`` and ``TOP``.
"""

import io
import warnings
from typing import Any

from .inspection import IN_USE, USES, Census

__all__ = ["BOTTOM", "COLOURS", "LEAST_WIDTH", "LEFT", "RIGHT", "TOP", "cell_pixels", "colour_of", "draw"]

LEFT, RIGHT, TOP, BOTTOM = 130, 30, 70, 100
"""Pixels of the margins around the grid: for the addresses, for nothing, for the title, for the legend."""

LEAST_WIDTH = 860
"""Pixels of the narrowest picture, which has room for a legend of three columns."""

LARGEST_CELL, LARGEST_GRID = 8, 1024
DOTS = 100
LABEL = 24
"""Least number of pixels from one address to the next."""

PALEST = 0.3
"""The strength of colour, 0 to 1, of a cell of which hardly anything is in use."""

COLOURS = {
    "header": (204, 121, 167),
    "log": (240, 228, 66),
    "nodes": (0, 114, 178),
    "blobs": (0, 158, 115),
    "raw": (213, 94, 0),
    "free": (255, 255, 255),
    "limbo": (200, 200, 200),
}
"""Red, green and blue of each use, 0 to 255. Colour-blind people can tell them apart, too."""

BEHIND = (242, 242, 242)
"""The colour of the background, where there is no cell."""


def cell_pixels(width: int, rows: int) -> int:
    """Return the number of pixels of a cell's side.

    >>> cell_pixels(128, 70), cell_pixels(1000, 1000)
    (8, 1)
    """
    return max(1, min(LARGEST_CELL, LARGEST_GRID // max(width, rows)))


def colour_of(use: str, used: float) -> tuple[int, int, int]:
    """Return the colour of a cell, given its ``Census.shown``: the less is in use, the paler the colour.

    >>> colour_of("nodes", 1.0), colour_of("nodes", 0.5), colour_of("nodes", 0.0001)
    ((0, 114, 178), (89, 163, 205), (178, 213, 232))
    """
    if use not in IN_USE:
        return COLOURS[use]
    # Even a single byte in use must be visible.
    strength = PALEST + (1 - PALEST) * used
    red, green, blue = (round(255 - (255 - part) * strength) for part in COLOURS[use])
    return red, green, blue


def draw(found: Census, title: str, width: int) -> bytes:
    """Return a PNG file that shows the use of the bytes of a region. O(cells).

    Args:
        found: the cells.
        title: the first line of the title, such as the region's path.
        width: cells in a row.

    Raises:
        ModuleNotFoundError: matplotlib is missing; the extra ``plot`` installs it.
    """
    try:
        from matplotlib import style
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"a picture as a PNG needs {error.name}: pip install matplotlib", name=error.name
        ) from error
    file = io.BytesIO()
    # Not in the user's style for charts: a grid or another font would spoil the picture.
    with style.context("default"), warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        FigureCanvasAgg(_figure(found, title, width)).print_png(file)
    return file.getvalue()


def _figure(found: Census, title: str, width: int) -> Any:
    """Return the picture as a figure of matplotlib."""
    import numpy
    from matplotlib.figure import Figure

    rows = -(-len(found) // width)
    side = cell_pixels(width, rows)
    across, down = width * side, rows * side
    whole, high = max(LEFT + across + RIGHT, LEAST_WIDTH), TOP + down + BOTTOM
    figure = Figure(figsize=(whole / DOTS, high / DOTS), dpi=DOTS, facecolor=_share(BEHIND))
    axes = figure.add_axes((LEFT / whole, BOTTOM / high, across / whole, down / high))
    cells = numpy.frombuffer(_colours(found, width, rows), numpy.uint8).reshape(rows, width, 3)
    axes.imshow(cells, interpolation="nearest", aspect="auto")
    step = 1
    while step * side < LABEL:
        step *= 2
    labelled = range(0, rows, step)
    axes.set_yticks(labelled, [f"{row * width * found.cell:,}" for row in labelled], fontsize=8)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    _label(figure, found, _titles(found, title, width, (whole - LEFT) // 10), whole, high)
    return figure


def _titles(found: Census, title: str, width: int, most: int) -> tuple[str, str]:
    """Return both lines of the title; the first has at most ``most`` characters."""
    return (
        title if len(title) <= most else "..." + title[3 - most :],
        f"{found.length:,} bytes as of commit {found.transaction}; {found.cell:,} bytes a cell, "
        f"{found.cell * width:,} a row",
    )


def _label(figure: Any, found: Census, titles: tuple[str, str], whole: int, high: int) -> None:
    """Put title and legend into a figure of ``whole`` by ``high`` pixels."""
    from matplotlib.patches import Patch

    left = LEFT / whole
    for words, size, below in zip(titles, (11, 9), (26, 48), strict=True):
        figure.text(left, 1 - below / high, words, fontsize=size, parse_math=False)
    keys = [
        Patch(
            facecolor=_share(COLOURS[use]), edgecolor="black", linewidth=0.5,
            label=f"{use}: {found.total(use):,} bytes, {found.share(use)}",
        )
        for use in USES
    ]  # fmt: skip
    figure.legend(
        handles=keys, loc="upper left", bbox_to_anchor=(left, (BOTTOM - 8) / high), ncols=3,
        fontsize=8, frameon=False, borderaxespad=0, borderpad=0,
    )  # fmt: skip
    figure.text(left, 20 / high, "the paler a cell, the less of it is in use", fontsize=8)


def _share(colour: tuple[int, int, int]) -> tuple[float, ...]:
    """Return a colour in matplotlib's form: parts from 0 to 1."""
    return tuple(part / 255 for part in colour)


def _colours(found: Census, width: int, rows: int) -> bytes:
    """Return red, green and blue of each cell, and of the background in the rest of the last row."""
    drawn = b"".join(bytes(colour_of(*found.shown(number))) for number in range(len(found)))
    return drawn + bytes(BEHIND) * (width * rows - len(found))
