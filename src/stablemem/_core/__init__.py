"""The engine. Nothing here is public.

Its folders, from the lowest: ``format``, ``disk``, ``space``, ``tree``, ``txn``, and on top ``calls`` and
``audit``. A module imports its own folder and those below it.

Modules with a ``.pxd`` beside them are compiled if that is possible. With ``STABLEMEM_PURE=1`` in the
environment, the same sources run interpreted, even if there are extensions. A build with
``STABLEMEM_BUILD=pure`` leaves the file ``PURE`` here, which says that extensions are missing on purpose.
"""

import os
import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader

PURE = os.environ.get("STABLEMEM_PURE", "0") not in {"", "0"}
"""Whether the environment asks for the interpreted form."""

if PURE:
    # The import system asks this cache for the finder of a folder; ours sees sources only.
    for _top in __path__:
        for _folder in [_top, *(entry.path for entry in os.scandir(_top) if entry.is_dir())]:
            sys.path_importer_cache[_folder] = FileFinder(_folder, (SourceFileLoader, SOURCE_SUFFIXES))


def is_missing_extensions(compiled: bool) -> bool:
    """Return whether this is the interpreted form, and neither the environment nor the build asked for it."""
    built_so = any(os.path.exists(os.path.join(folder, "PURE")) for folder in __path__)
    return not (compiled or PURE or built_so)
