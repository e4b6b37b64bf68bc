"""Damaged copies of a region, each opened and read completely, in a process that may die of it.

    python -m support.damager FOLDER SEED FIRST COUNT

FOLDER holds valid.smem, older.smem (the same region some commits before) and states.pickle, which says
what its lists held at each transaction. Prints a line a case before it, and "BAD ..." for wrong data.
"""

import contextlib
import os
import pickle
import random
import resource
import sys

from stablemem import StableMemoryError
from stablemem._core.audit.census import census
from stablemem._core.audit.verify import verify
from support.recorded import BOOT, region_of

from .probe import handle_of

__all__ = ["attempt", "damage", "main", "read_all"]

PAGE = 4096
LIMIT = 4 << 30


def damage(rng, valid, older):
    """Return damaged bytes, what was done, and whether it was in one place."""
    image = bytearray(valid)
    pages = len(image) // PAGE
    what = rng.choice(
        [
            "flip",
            "flip",
            "byte",
            "word",
            "zero",
            "ones",
            "swap",
            "copy",
            "stale",
            "cut",
            "noise",
            "many",
            "header",
            "slot",
            "empty tail",
        ]
    )
    at = rng.randrange(len(image))
    page = rng.randrange(pages)
    if what == "flip":
        image[at] ^= 1 << rng.randrange(8)
    elif what == "byte":
        image[at] = rng.randrange(256)
    elif what == "word":
        at = at // 8 * 8
        image[at : at + 8] = rng.choice(
            [bytes(8), b"\xff" * 8, rng.randbytes(8), (1 << 63).to_bytes(8, "little")]
        )
    elif what == "zero":
        image[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    elif what == "ones":
        image[page * PAGE : (page + 1) * PAGE] = b"\xff" * PAGE
    elif what in {"swap", "copy"}:
        other = rng.randrange(pages)
        first = bytes(image[page * PAGE : (page + 1) * PAGE])
        second = bytes(image[other * PAGE : (other + 1) * PAGE])
        image[page * PAGE : (page + 1) * PAGE] = second
        if what == "swap":
            image[other * PAGE : (other + 1) * PAGE] = first
    elif what == "stale":
        page = rng.randrange(min(pages, len(older) // PAGE))
        image[page * PAGE : (page + 1) * PAGE] = older[page * PAGE : (page + 1) * PAGE]
    elif what == "cut":
        del image[rng.choice([at, page * PAGE, rng.randrange(3 * PAGE)]) :]
    elif what == "noise":
        size = rng.randrange(1, 9000)
        image[at : at + size] = rng.randbytes(min(size, len(image) - at))
    elif what == "many":
        for _ in range(rng.randrange(2, 200)):
            image[rng.randrange(len(image))] ^= 1 << rng.randrange(8)
    elif what == "header":
        at = rng.randrange(3) * PAGE + rng.randrange(512)
        image[at] ^= 1 << rng.randrange(8)
    elif what == "slot":
        at = rng.randrange(3) * PAGE
        image[at : at + PAGE] = bytes(PAGE)
    else:
        image[page * PAGE :] = bytes(len(image) - page * PAGE)
    # A closed region names its newest state twice: nothing in one place leads to an older one.
    one_place = what in {"flip", "byte", "word", "zero", "ones", "stale", "header", "slot"}
    return bytes(image), f"{what} at {at} or page {page}", one_place


def read_all(region, states, problems):
    """Read a region in every way; note in ``problems`` what is neither right nor a typed error."""
    expected = states.get(region.transaction_number)
    if expected is None:
        problems.append(f"transaction {region.transaction_number} never was")
        return
    for name in sorted(region.names()):
        if name not in expected:
            problems.append(f"list {name!r} never was")
            continue
        values = expected[name]
        try:
            found = region.buffer(name, "bytes")
        except StableMemoryError:
            continue
        if len(found) != len(values):
            problems.append(f"{name} has {len(found)} values, not {len(values)}")
            continue
        for position, value in enumerate(values):
            try:
                if found[position] != value:
                    problems.append(f"{name}[{position}] is wrong")
            except StableMemoryError:
                pass
        seen = []
        try:
            for value in found:
                seen.append(value)
        except StableMemoryError:
            pass
        if seen != values[: len(seen)]:
            problems.append(f"iteration of {name} is wrong")
        try:
            if found[::-1] != values[::-1]:
                problems.append(f"a slice of {name} is wrong")
        except StableMemoryError:
            pass
    with contextlib.suppress(StableMemoryError):
        verify(handle_of(region))
    with contextlib.suppress(StableMemoryError):
        counts = census(handle_of(region), 4096).counts
        if sum(map(sum, counts.values())) != handle_of(region).slot.length:
            problems.append("a census does not count every byte")


def change_all(region, rng):
    """Change and commit, then delete everything and commit."""
    for name in sorted(region.names()):
        values = region.buffer(name, "bytes")
        for _ in range(5):
            values.append(rng.randbytes(50))
            if len(values) > 2:
                del values[rng.randrange(len(values))]
                values[rng.randrange(len(values))] = rng.randbytes(20)
    region.commit()
    for name in sorted(region.names()):
        del region.buffer(name, "bytes")[:]
    region.commit()


def attempt(image, rng, states, newest=False):
    """Open an image, read everything, change something; return what went wrong.

    Args:
        newest: whether it must be the newest state that is found, if any is.
    """
    problems = []
    for mode in ("r", "a"):
        try:
            region = region_of(image, boot=BOOT, mode=mode)
        except StableMemoryError:
            continue
        try:
            if newest and region.transaction_number != max(states):
                problems.append(f"back at {region.transaction_number} from {max(states)}")
            read_all(region, states, problems)
            if mode == "a":
                change_all(region, rng)
                region.verify()
        except StableMemoryError:
            pass
        finally:
            handle_of(region).close(commit=False)
    return problems


def main():
    """Run a batch of cases."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    folder, seed, first, count = sys.argv[1], *map(int, sys.argv[2:5])
    with open(os.path.join(folder, "valid.smem"), "rb") as file:
        valid = file.read()
    with open(os.path.join(folder, "older.smem"), "rb") as file:
        older = file.read()
    with open(os.path.join(folder, "states.pickle"), "rb") as file:
        states = pickle.load(file)
    for number in range(first, first + count):
        rng = random.Random(f"{seed} {number}")
        image, what, one_place = damage(rng, valid, older)
        print(f"case {number}: {what}", flush=True)
        try:
            problems = attempt(image, rng, states, newest=one_place)
        except Exception as error:  # noqa: BLE001 - whatever is not typed is what is looked for
            import traceback

            problems = [f"{type(error).__name__}: {error}", traceback.format_exc()]
        for problem in problems[:3]:
            print(f"BAD case {number}, {what}: {problem}", flush=True)
    print("done", flush=True)


if __name__ == "__main__":
    main()
