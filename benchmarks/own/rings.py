"""Calls beside the loops that they replace: full rings, ranges deleted, lists changed while they are read.

Each row has a call of ours, the loop of other calls of ours that does the same, and what Python has. Times
are the thread's own, of calls in one transaction; values are text of 20 characters.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from own.steady import busy
from report import Aim, Samples, Scale, Section, median, note, number, ratio, say, table

from stablemem import MemoryBuffer

CALL, BY_HAND, PLAIN = "the call", "by hand", "deque or list"
RING_MOST = 1.2
SOME = 10

Loop = Callable[[Any, int], object]


def _append(it: Any, times: int) -> None:
    for turn in range(times):
        it.append(f"{turn:20}")


def _append_by_hand(it: Any, times: int) -> None:
    for turn in range(times):
        it.append(f"{turn:20}")
        it.popleft()


def _appendleft(it: Any, times: int) -> None:
    for turn in range(times):
        it.appendleft(f"{turn:20}")


def _appendleft_by_hand(it: Any, times: int) -> None:
    for turn in range(times):
        it.appendleft(f"{turn:20}")
        it.pop()


def _extend(it: Any, times: int) -> None:
    for turn in range(0, times, SOME):
        it.extend([f"{turn:20}"] * SOME)


def _extend_by_hand(it: Any, times: int) -> None:
    for turn in range(0, times, SOME):
        it.extend([f"{turn:20}"] * SOME)
        for _ in range(SOME):
            it.popleft()


def _delete(size: int) -> Loop:
    def loop(it: Any, times: int) -> None:
        at = len(it) // 2
        for _ in range(0, times, size):
            del it[at : at + size]

    return loop


def _delete_by_hand(size: int) -> Loop:
    def loop(it: Any, times: int) -> None:
        at = len(it) // 2
        for _ in range(0, times, size):
            for _ in range(size):
                del it[at]

    return loop


def _put(it: Any, times: int) -> None:
    for place, value in islice(enumerate(it), times):
        it[place] = value


def _put_by_hand(it: Any, times: int) -> None:
    for place in range(times):
        it[place] = it[place]


def _grow(it: Any, times: int) -> None:
    for value in islice(it, times):
        it.append(value)


def _grow_by_hand(it: Any, times: int) -> None:
    for place in range(times):
        it.append(it[place])


@dataclass(frozen=True)
class Row:
    """A call and the loop that does the same.

    Attributes:
        call: in a loop.
        by_hand: other calls in its place.
        ring: whether the list of the call has a ``maxlen``, and is full.
        share: which part of the list the loops may take, at the most.
        each: values of one call.
    """

    call: Loop
    by_hand: Loop
    ring: bool = False
    share: int = 1
    each: int = 1


ROWS = {
    "append to a full ring": Row(_append, _append_by_hand, True),
    "appendleft to a full ring": Row(_appendleft, _appendleft_by_hand, True),
    f"extend a full ring, {SOME} at a time": Row(_extend, _extend_by_hand, True, each=SOME),
    **{
        f"del b[i : i + {size:,}]": Row(_delete(size), _delete_by_hand(size), share=4, each=size)
        for size in (1, 10, 1000)
    },
    "for i, e in enumerate(b): b[i] = e": Row(_put, _put_by_hand),
    "for e in b: b.append(e)": Row(_grow, _grow_by_hand),
}
"""By hand, the last two read each value by its position."""


def _ours(row: Row, length: int, ring: bool) -> Any:
    it = MemoryBuffer(maxlen=length if ring and row.ring else None)
    it.extend(f"{number:20}" for number in range(length))
    it.commit()
    # A transaction's first change costs more than the others; who is measured first would pay for it.
    it[0] = it[0]
    return it


def _plain(row: Row, length: int) -> Any:
    values = (f"{number:20}" for number in range(length))
    return deque(values, length) if row.ring else list(values)


def measure(scale: Scale, samples: Samples) -> None:
    """Note nanoseconds for each value, of every row, length and round."""
    for turn in range(scale.rounds):
        for length in scale.ring_lengths:
            say(f"rings: round {turn + 1} of {scale.rounds}, {length:,} values")
            for name, row in ROWS.items():
                times = scale.ring_calls if row.ring else min(scale.ring_calls, length // row.share)
                times -= times % row.each
                if not times:
                    continue
                key = f"{name}, {length:,}"
                for who, loop in ((CALL, row.call), (BY_HAND, row.by_hand)):
                    it = _ours(row, length, who == CALL)
                    note(samples, key, who, busy(loop, it, times) / times)
                    it.rollback()
                    it.close()
                note(samples, key, PLAIN, busy(row.call, _plain(row, length), times) / times)


def run(scale: Scale, _folder: Path | None) -> Section:
    """Measure, and return the table."""
    samples: Samples = {}
    measure(scale, samples)
    rows = [
        [
            key,
            *(number(median(samples, key, who)) for who in (CALL, BY_HAND, PLAIN)),
            number(ratio(samples, key, CALL, BY_HAND), 2),
        ]
        for key in samples
    ]
    text = (
        "Calls beside the loops that they replace, in memory and in one transaction: nanoseconds for each "
        f"value, medians of {scale.rounds} rounds of up to {scale.ring_calls:,} values. By hand is `append` "
        "and `popleft`, `appendleft` and `pop`, `del b[i]` many times, `b[i]` in place of the iterator.\n\n"
        + table(["a call, values in the list", CALL, BY_HAND, PLAIN, "/ by hand"], rows)
    )
    aims = [
        Aim(f"{key}: / by hand", ratio(samples, key, CALL, BY_HAND), RING_MOST)
        for key in samples
        if key.startswith("append to")
    ]
    return Section("Rings", text, samples, aims)
