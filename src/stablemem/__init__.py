"""A list that lives in a file: mutable anywhere, fast at random access, crash-safe.

>>> from stablemem import MemoryBuffer
>>> with MemoryBuffer() as events:  # with a path, it lives in that file
...     events.append({"user": 7, "action": "login"})
...     events.insert(0, "first")
...     events[-1]
{'user': 7, 'action': 'login'}
"""

import warnings

from . import blobify
from ._core import is_missing_extensions
from ._core.audit.stats import Stats
from ._core.audit.verify import Report
from ._core.format.checksum import COMPILED
from .errors import (
    BlobifyError,
    BlockError,
    CorruptRegionError,
    NotARegionError,
    ReadOnlyError,
    RegionClosedError,
    RegionFullError,
    RegionLockedError,
    RegionReplacedError,
    StableMemoryError,
    UncommittedChangesWarning,
    VersionError,
)
from .inspection import Census, Inspection, ListEntry
from .memory_buffer import MemoryBuffer, Sizes
from .memory_region import MemoryRegion

__all__ = [
    "COMPILED",
    "BlobifyError",
    "BlockError",
    "Census",
    "CorruptRegionError",
    "Inspection",
    "ListEntry",
    "MemoryBuffer",
    "MemoryRegion",
    "NotARegionError",
    "ReadOnlyError",
    "RegionClosedError",
    "RegionFullError",
    "RegionLockedError",
    "RegionReplacedError",
    "Report",
    "Sizes",
    "StableMemoryError",
    "Stats",
    "UncommittedChangesWarning",
    "VersionError",
    "blobify",
]

__version__ = "0.1.0"

if is_missing_extensions(COMPILED):
    warnings.warn(
        "stablemem runs interpreted here, 35 to 190 times slower, because its extensions were not built. "
        "Install a C compiler and Python's headers (on Debian and Ubuntu: apt-get install gcc libc6-dev "
        "python3-dev), then install stablemem again. To stay with this form, without this warning, "
        "set STABLEMEM_PURE=1",
        RuntimeWarning,
        stacklevel=2,
    )
