"""Power cuts: what a disk may hold at a moment, given every write, growth and sync up to then.

What was written before the last sync that returned is on the disk. Of what was written since, in pieces
of ``grain`` bytes (a disk writes sectors whole), any subset may be, in any combination; a change of the
file's length is a piece of its own.
"""

import random

__all__ = ["Disk", "images"]

Piece = tuple[int, bytes | None]
"""(address, bytes), or (new length, None)."""


class Disk:
    """A disk that events are played to.

    Attributes:
        safe: what is on it whatever happens.
        loose: the pieces written since the last sync.
    """

    def __init__(self, start=b"", grain=4096):
        self.safe = bytearray(start)
        self.loose = []
        self.grain = grain

    def play(self, event):
        """Take one event of a RecordingDevice's."""
        if event[0] == "sync":
            for piece in self.loose:
                self._apply(self.safe, piece)
            self.loose = []
        elif event[0] == "truncate":
            self.loose.append((event[1], None))
        else:
            _, address, data = event
            place = 0
            while place < len(data):
                size = self.grain - (address + place) % self.grain
                self.loose.append((address + place, data[place : place + size]))
                place += size

    @staticmethod
    def _apply(image, piece):
        address, data = piece
        if data is None:
            if address < len(image):
                del image[address:]
            else:
                image.extend(bytes(address - len(image)))
            return
        end = address + len(data)
        if end > len(image):
            image.extend(bytes(end - len(image)))
        image[address:end] = data

    def image(self, kept):
        """Return the disk with only these pieces of the loose ones."""
        found = bytearray(self.safe)
        for number, piece in enumerate(self.loose):
            if number in kept:
                self._apply(found, piece)
        return bytes(found)

    def cuts(self, rng: random.Random, most: int):
        """Return sets of loose pieces: none, all, each alone, all but each, random ones; at most ``most``."""
        total = len(self.loose)
        everything = frozenset(range(total))
        found = [frozenset(), everything]
        found += [frozenset({one}) for one in range(total)]
        found += [everything - {one} for one in range(total)]
        found += [frozenset(range(part)) for part in range(2, total)]
        found = found[:2] + rng.sample(found[2:], min(len(found) - 2, most // 2))
        while len(found) < most and total > 1:
            share = rng.choice([0.1, 0.5, 0.9])
            found.append(frozenset(one for one in range(total) if rng.random() < share))
        return list(dict.fromkeys(found))


def images(events, rng, most, grains=(4096, 4096, 512)):
    """Yield (number of events played, image) for power cuts at every sync and at random events.

    Args:
        events: of a RecordingDevice.
        rng: chooses.
        most: images at each moment.
        grains: what sizes a disk may write in.
    """
    moments = {number for number, event in enumerate(events) if event[0] == "sync"}
    moments |= {number + 1 for number in moments}
    moments |= {number for number in range(len(events) + 1) if rng.random() < 0.3}
    moments.add(len(events))
    disks = {grain: Disk(grain=grain) for grain in grains}
    for number in range(len(events) + 1):
        if number in moments:
            disk = disks[rng.choice(grains)]
            for kept in disk.cuts(rng, most):
                yield number, disk.image(kept)
        if number < len(events):
            for disk in disks.values():
                disk.play(events[number])
