"""The command line: import, export, info, get, head, tail, verify, map, compact; the region comes first.

``base`` has what the commands share, and the others a command each, or several that are alike: importing
such a module adds its commands to the group.
"""

from . import compacting as compacting
from . import exporting as exporting
from . import importing as importing
from . import looking as looking
from . import mapping as mapping
from .base import commands, run

__all__ = ["commands", "run"]
