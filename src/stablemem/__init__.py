"""A list that lives in a file: mutable anywhere, fast at random access, crash-safe."""

from ._core.checksum import COMPILED

__all__ = ["COMPILED"]
__version__ = "0.1.0"
