"""The command line: import, export, info, get, head, tail, verify, map, compact; the region comes first.

``base`` has the common parts of all commands. Each of the other command modules has one command, or several
similar ones; importing the module adds them to the group.
"""

from . import compacting as compacting
from . import exporting as exporting
from . import importing as importing
from . import looking as looking
from . import mapping as mapping
from .base import commands, run

__all__ = ["commands", "run"]
