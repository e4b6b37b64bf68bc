"""Policy: when a region commits by itself, and whether its commits survive a power cut."""

from dataclasses import dataclass
from datetime import timedelta
from math import isfinite

from ...shown import shown

__all__ = ["UNSYNCED_COMMITS", "UNSYNCED_LIMBO", "UNSYNCED_LOG", "UNSYNCED_SECONDS", "Policy"]

UNSYNCED_LIMBO = 64 << 20
"""If this many bytes in limbo wait for a sync, the next commit is synced although it need not be."""

UNSYNCED_LOG = 1 << 20
"""The same if this many bytes of log were written since the last synced commit ..."""

UNSYNCED_COMMITS = 100
"""... and this many commits were made since."""

UNSYNCED_SECONDS = 30.0
"""Seconds after which an unsynced commit is promoted."""


@dataclass(frozen=True)
class Policy:
    """The user's choices about commits.

    Attributes:
        sync: whether a commit returns only when it survives a power cut.
        changes: number of changes after which a call commits at its end; None for never.
        seconds: seconds from the first change to a commit in the background; None for never.
    """

    sync: bool = True
    changes: int | None = None
    seconds: float | None = None

    @property
    def by_itself(self) -> bool:
        """Whether the region commits by itself."""
        return self.changes is not None or self.seconds is not None

    @classmethod
    def of(cls, sync: bool, autocommit: bool, commit_every: float | timedelta | None) -> "Policy":
        """Return the policy for the arguments of a constructor.

        Raises:
            TypeError, ValueError: the arguments make no sense, or contradict each other.

        >>> Policy.of(True, True, None)
        Policy(sync=True, changes=1, seconds=None)
        >>> Policy.of(False, False, 0.5)
        Policy(sync=False, changes=None, seconds=0.5)
        """
        if commit_every is None:
            return cls(sync, 1 if autocommit else None)
        if autocommit:
            raise ValueError("autocommit=True commits every change already: leave commit_every out")
        seconds = commit_every.total_seconds() if isinstance(commit_every, timedelta) else commit_every
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise TypeError(
                f"commit_every is a number of changes (int) or of seconds (float or timedelta), "
                f"not {type(commit_every).__name__}"
            )
        if not seconds > 0 or (isinstance(seconds, float) and not isfinite(seconds)):
            raise ValueError(
                f"commit_every is above 0 and finite, not {shown(commit_every)}: leave it out to commit "
                f"by commit()"
            )
        return cls(sync, seconds, None) if isinstance(seconds, int) else cls(sync, None, seconds)
