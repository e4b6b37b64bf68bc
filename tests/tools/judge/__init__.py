"""An independent reader and checker of the file format, written from docs/format.md alone.

It shares nothing with the engine: that two implementations agree is the point. A fault begins with the place
that it is at, or with the section of that page whose rule is broken.
"""

from judge.check import Verdict, judge, judge_kept

__all__ = ["Verdict", "judge", "judge_kept"]
