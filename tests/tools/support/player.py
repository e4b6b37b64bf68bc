"""Player: a seeded random user of a region, and the plain lists that say what it should hold."""

import random

__all__ = ["Player", "State", "blob"]

State = dict[str, list[bytes]]

_SIZES = (0, 1, 7, 8, 9, 10, 16, 100, 255, 4087, 4096, 4097, 3 * 4096)


def blob(rng: random.Random, largest: int = 3 * 4096) -> bytes:
    """Return random bytes of a size that is often at an edge of the format."""
    kind = rng.random()
    if kind < 0.35:
        size = rng.randrange(12)
    elif kind < 0.5:
        size = rng.choice(_SIZES)
    elif kind < 0.95:
        size = rng.randrange(300)
    else:
        size = rng.randrange(3 * 4096)
    return rng.randbytes(min(size, largest))


class Player:
    """Makes the same random changes to lists in a region and to plain lists.

    Args:
        seed: replays the run.
        region: the region, or None to play on the plain lists alone.
        names: which lists.
        start: what the lists hold at the start; read from the region if None.
        largest: bytes of the largest value.
        most: values in a list, about, at the most.

    Attributes:
        now: what the lists should hold.
        committed: what they should hold after a rollback.
    """

    def __init__(self, seed, region=None, names=("main", "second"), start=None, largest=3 * 4096, most=2000):
        self.seed = seed
        self.random = random.Random(seed)
        self.region = region
        self.names = names
        self.largest = largest
        self.most = most
        self.lists = {} if region is None else {name: region.buffer(name, "bytes") for name in names}
        if start is None:
            start = {name: values[:] for name, values in self.lists.items()} or {name: [] for name in names}
        self.now: State = {name: list(start[name]) for name in names}
        self.keep()

    def keep(self):
        """Note that the lists as they are now were committed."""
        self.committed = {name: list(values) for name, values in self.now.items()}

    def forget(self):
        """Note that the lists went back to the last commit."""
        self.now = {name: list(values) for name, values in self.committed.items()}

    def blob(self):
        """Return a random value."""
        return blob(self.random, self.largest)

    def blobs(self, most):
        """Return up to ``most`` random values."""
        return [self.blob() for _ in range(self.random.randrange(most + 1))]

    def _targets(self, name):
        return [self.now[name]] if self.region is None else [self.lists[name], self.now[name]]

    def change(self):
        """Make one random change to one list; returns what was done."""
        rng = self.random
        name = rng.choice(self.names)
        length = len(self.now[name])
        what = rng.choice(
            ["append", "append", "extend", "extend", "insert", "insert", "set", "set", "delete", "delete",
             "pop", "slice", "cut", "stride", "thin", "burst"]
        )  # fmt: skip
        if length > self.most:
            what = "cut"
        at = rng.randrange(-length, length) if length else 0
        one, many = self.blob(), self.blobs(rng.choice([3, 40]))
        low, high = sorted(rng.randrange(-length - 2, length + 3) for _ in range(2))
        if rng.random() < 0.7:
            high = min(high, low + 30)
        step = rng.choice([-3, -2, -1, 2, 3, 50])
        burst = self.blobs(700) if what == "burst" and rng.random() < 0.3 else many
        for values in self._targets(name):
            if what == "append":
                values.append(one)
            elif what in {"extend", "burst"}:
                values.extend(burst)
            elif what == "insert":
                values.insert(at, one)
            elif what == "slice":
                values[low:high] = many
            elif what == "stride":
                chosen = len(range(*slice(low, high, step).indices(length)))
                values[low:high:step] = [one[:9]] * chosen
            elif what == "thin":
                del values[low:high:step]
            elif what == "cut" and length > self.most:
                del values[length // 8 : -length // 8]
            elif not length:
                values.append(one)
            elif what == "cut":
                del values[low:high]
            elif what == "set":
                values[at] = one
            elif what == "delete":
                del values[at]
            elif what == "pop":
                values.pop(at)
        return f"{what} {name}[{at}] {low}:{high}:{step} of {length}"

    def commit(self, sync=True):
        """Commit the region and the plain lists."""
        if self.region is not None:
            self.region.commit(sync)
        self.keep()

    def rollback(self):
        """Roll both back."""
        if self.region is not None:
            self.region.rollback()
        self.forget()

    def compare(self):
        """Assert that the region holds what it should."""
        for name, values in self.lists.items():
            same(values, self.now[name], f"{name}, seed {self.seed}")


def same(values, expected, where=""):
    """Assert that a list in a region equals a plain one, and say briefly where not."""
    found = values[:]
    if found == expected:
        return
    first = next((i for i, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), None)
    if first is None:
        first = min(len(found), len(expected))
    raise AssertionError(
        f"{where}: {len(found)} values, {len(expected)} expected, the first that differs is {first}: "
        f"{found[first : first + 1]!r:.100} for {expected[first : first + 1]!r:.100}"
    )
