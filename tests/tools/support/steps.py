"""How many steps a call takes: lines of Python that it runs in the package, not the time that they take.

Only what is interpreted can be counted: all of it in that form, the modules without a ``.pxd`` in both.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import stablemem

__all__ = ["steps"]

PACKAGE = str(Path(stablemem.__file__).parent)


def steps(call: Callable[[], object]) -> int:
    """Make a call; return how many lines of the package it ran, each as often as it ran."""
    count = 0

    def line(_frame: FrameType, event: str, _value: object) -> Any:
        nonlocal count
        count += event == "line"
        return line

    def enter(frame: FrameType, _event: str, _value: object) -> Any:
        return line if frame.f_code.co_filename.startswith(PACKAGE) else None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        call()
    finally:
        sys.settrace(before)
    return count
