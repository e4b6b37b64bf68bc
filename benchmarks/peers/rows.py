"""The rows of the original's table: a loop of calls on a list, and its twin without them."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ADD, GET = "add", "get"
PUT_SAME, PUT_LARGER, PUT_SMALLER = "put, same size", "put, larger", "put, smaller"
REMOVE, INSERT, REMOVE_LAST = "remove", "insert", "removeLast"
REVERSE, SORT, SORT_BLOBS, SHUFFLE = "reverse", "sort by value", "sort by blob", "shuffle"

LARGEST = 1_000_000
"""Values are drawn from below it."""


@dataclass(frozen=True)
class Work:
    """What a loop goes over.

    Attributes:
        order: all positions, in an order drawn at random.
        values: to begin with.
        others: of the same size, one for each.
        larger, smaller: one for each.
    """

    order: list[int]
    values: list[int]
    others: list[int]
    larger: list[int]
    smaller: list[int]


def draw(count: int) -> Work:
    """Return the same for every process: values that Nat writes in 4 bytes, and larger ones of 9 bytes."""
    chance = random.Random(1)
    order = list(range(count))
    chance.shuffle(order)
    values = [chance.randrange(1 << 16, LARGEST) for _ in range(count)]
    others = [chance.randrange(1 << 16, LARGEST) for _ in values]
    larger = [value << 40 for value in values]
    return Work(order, values, others, larger, [value.bit_length() for value in values])


# -- the loops -----------------------------------------------------------------------------------------
# Each takes the list and how many of its calls to make. A twin does the same without the call.

Loop = Callable[[Any, Work, int], object]


def _add(it: Any, work: Work, times: int) -> None:
    add = it.append
    for value in work.values[:times]:
        add(value)


def _get(it: Any, _: Work, times: int) -> None:
    for position in range(times):
        it[position]


def _put_same(it: Any, work: Work, times: int) -> None:
    values = work.others
    for position in work.order[:times]:
        it[position] = values[position]


def _put_larger(it: Any, work: Work, times: int) -> None:
    values = work.larger
    for position in work.order[:times]:
        it[position] = values[position]


def _put_smaller(it: Any, work: Work, times: int) -> None:
    values = work.smaller
    for position in work.order[:times]:
        it[position] = values[position]


def _remove(it: Any, work: Work, times: int) -> None:
    remove = it.pop
    count = len(work.order)
    for gone, position in enumerate(work.order[:times], 1):
        remove(position if position < count - gone else -1)


def _insert(it: Any, work: Work, times: int) -> None:
    insert = it.insert
    for length, position in enumerate(work.order[:times]):
        insert(position if position < length else length, position)


def _remove_last(it: Any, _: Work, times: int) -> None:
    remove = it.pop
    for _turn in range(times):
        remove()


def _no_add(_it: Any, work: Work, times: int) -> None:
    for _value in work.values[:times]:
        pass


def _no_get(_it: Any, _: Work, times: int) -> None:
    for _position in range(times):
        pass


def _no_put(_it: Any, work: Work, times: int) -> None:
    values = work.others
    for position in work.order[:times]:
        values[position]


def _no_remove(_it: Any, work: Work, times: int) -> None:
    count = len(work.order)
    for gone, position in enumerate(work.order[:times], 1):
        position if position < count - gone else -1


def _no_insert(_it: Any, work: Work, times: int) -> None:
    for length, position in enumerate(work.order[:times]):
        position if position < length else length  # noqa: B018


def _reverse(it: Any, _: Work, times: int) -> None:
    if times:
        it.reverse()


def _sort(it: Any, _: Work, times: int) -> None:
    if times:
        it.sort()


def _sort_blobs(it: Any, _: Work, times: int) -> None:
    if times and type(it) is list:
        it.sort()
    elif times:
        it.sort(by_blob=True)


def _shuffle(it: Any, _: Work, times: int) -> None:
    chance = random.Random(2)
    if times and type(it) is list:
        chance.shuffle(it)
    elif times:
        it.shuffle(chance)


def _nothing(_it: Any, _: Work, times: int) -> None:
    pass


ROWS: dict[str, tuple[Loop, Loop]] = {
    ADD: (_add, _no_add),
    GET: (_get, _no_get),
    PUT_SAME: (_put_same, _no_put),
    PUT_LARGER: (_put_larger, _no_put),
    PUT_SMALLER: (_put_smaller, _no_put),
    REMOVE: (_remove, _no_remove),
    INSERT: (_insert, _no_insert),
    REMOVE_LAST: (_remove_last, _no_get),
    REVERSE: (_reverse, _nothing),
    SORT: (_sort, _nothing),
    SORT_BLOBS: (_sort_blobs, _nothing),
    SHUFFLE: (_shuffle, _nothing),
}
WHOLE = {REVERSE, SORT, SORT_BLOBS, SHUFFLE}
"""Rows of one call; their figures are for each value of the list."""

EMPTY = {ADD, INSERT}
"""Rows that begin with an empty list."""
