"""An independent reader and checker of the file format, written from docs/format.md alone.

It shares nothing with the engine: that two implementations agree is the point. "2.3" and the like in
comments and faults are sections of that document.
"""

from judge.check import Verdict, judge, judge_kept

__all__ = ["Verdict", "judge", "judge_kept"]
