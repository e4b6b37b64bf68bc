"""The engine: region, header, free space, pager, index. Nothing here is public.

Modules with a ``.pxd`` beside them are compiled where that is possible. With ``STABLEMEM_PURE=1`` in
the environment the same sources run interpreted, whether or not extensions are there.
"""

import os
import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader

if os.environ.get("STABLEMEM_PURE", "0") not in {"", "0"}:
    # The import system asks this cache for the finder of a folder; ours sees sources only.
    for _folder in __path__:
        sys.path_importer_cache[_folder] = FileFinder(_folder, (SourceFileLoader, SOURCE_SUFFIXES))
