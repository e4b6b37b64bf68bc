"""Two implementations of one document: the engine writes, the judge (which knows only the document) reads."""

import contextlib
import random
import subprocess
import sys
from pathlib import Path

import pytest

from judge import judge, judge_kept
from judge.common import crc32c, minus, paint, union, xxh3
from stablemem import MemoryRegion, blobify
from support import TESTS, chosen_seed, scaled

BOOT = bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))
NAMES = ("main", "other", "z\u00e9")
REACHED = ("log", "node", "blob", "catalog")


def new_seed():
    """Return a seed, and print it for the case of a failure."""
    seed = chosen_seed()
    print(f"STABLEMEM_SEED={seed}")
    return seed


class Life:
    """A region that random changes happen to, beside plain lists that the same happens to."""

    def __init__(self, seed, path):
        self.random = random.Random(seed)
        self.path = path
        self.sizes = self.random.choice([(0, 3, 8, 9, 12), (0, 8, 9, 40), (20, 60, 300), (9, 4096, 20000)])
        self.most = self.random.choice([8, 60, 400])
        self.synced = self.random.choice([0.0, 0.5, 1.0])
        self.names = self.random.choice([NAMES[:1], NAMES[1:2], NAMES])
        self.plain = {name: [] for name in self.names}
        self.snapshots = []
        self.open()

    def open(self):
        self.region = MemoryRegion(self.path)
        self.lists = {name: self.region.buffer(name, blobify.Bytes()) for name in self.names}

    def value(self):
        return self.random.randbytes(self.random.choice(self.sizes))

    def values(self):
        return [self.value() for _ in range(self.random.randrange(1, self.most))]

    def change(self):
        """Change one list, engine's and plain, in the same way."""
        rng = self.random
        name = rng.choice(self.names)
        what, at = rng.randrange(10), rng.randrange(len(self.plain[name]) + 1)
        value, values, size = self.value(), self.values(), rng.randrange(2 * self.most)
        step = rng.randrange(2, 5)
        for target in (self.lists[name], self.plain[name]):
            if what < 3:
                target.extend(values)
            elif what == 3:
                target.append(value)
            elif what == 4:
                target.insert(at, value)
            elif what == 5:
                del target[at : at + size]
            elif what == 6:
                target[at : at + size] = values
            elif what == 7 and at < len(target):
                target[at] = value
            elif what == 8:
                del target[at : at + size : step]
            elif what == 9 and at == 0:
                target.clear()

    def nest(self):
        """Change things in nested blocks; the inner one is undone."""
        with self.region.transaction():
            self.change()
            saved = {name: list(values) for name, values in self.plain.items()}
            with contextlib.suppress(KeyError), self.region.transaction():
                self.change()
                raise KeyError
            self.plain = saved
            with self.region.transaction():
                self.change()

    def step(self):
        """Change and commit."""
        for _ in range(self.random.randrange(1, 5)):
            self.change()
        if self.random.random() < 0.2:
            self.nest()
        self.region.commit(sync=self.random.random() < self.synced)
        if self.random.random() < 0.1:
            self.snapshots.append(self.region.snapshot())
        if self.snapshots and self.random.random() < 0.15:
            self.snapshots.pop(0).close()

    def reopen(self, kill):
        """Go on with a new handle: of the closed file, or of what a kill would have left."""
        content = Path(self.path).read_bytes()
        self.close()
        if kill:
            Path(self.path).write_bytes(content)
        self.open()

    def close(self):
        for snapshot in self.snapshots:
            snapshot.close()
        self.snapshots = []
        self.region.close()

    def judge(self, closed=False):
        """Let the judge compare the file with the plain lists; return the file's bytes."""
        content = Path(self.path).read_bytes()
        verdict = judge(content, BOOT)
        assert not verdict.faults, verdict
        assert {name: verdict.lists.get(name, []) for name in self.names} == self.plain
        assert set(verdict.blobify.values()) <= {("bytes", b"")}
        if not closed:
            assert verdict.transaction == self.region.transaction_number
        for other in [judge(content), *judge_kept(content, BOOT)]:
            assert not other.faults, (other.transaction, other.slots, other.faults)
            assert other.transaction <= verdict.transaction
        return content


def test_crc():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


def test_ranges_agree_with_sets():
    rng = random.Random(5)
    for _ in range(300):
        made = [(a, a + rng.randrange(1, 12), rng.randrange(3)) for a in rng.choices(range(60), k=8)]
        said = {}
        for start, end, value in made:
            said |= dict.fromkeys(range(start, end), value)
        assert {k: value for a, b, value in paint(made) for k in range(a, b)} == said
        left = union((a, b) for a, b, _ in made[:4])
        right = union((a, b) for a, b, _ in made[4:])
        mine = {k for a, b in left for k in range(a, b)} - {k for a, b in right for k in range(a, b)}
        assert {k for a, b in minus(left, right) for k in range(a, b)} == mine


def test_new_region(path):
    with MemoryRegion(path):
        verdict = judge(Path(path).read_bytes())
        assert (verdict.transaction, verdict.lists, verdict.faults) == (1, {}, [])
        assert verdict.slots[1:] == ["empty", "empty"]


def test_random_lives(tmp_path):
    seed = new_seed()
    number = 0
    while number < scaled(20):
        life = Life(seed + number, str(tmp_path / f"{number}.smem"))
        for _ in range(15):
            life.step()
            life.judge()
            if life.random.random() < 0.06:
                life.reopen(life.random.random() < 0.5)
                life.judge()
        life.close()
        life.judge(closed=True)
        number += 1
    print(f"{number} lives")


def test_many_and_big_values(path):
    with MemoryRegion(path) as region:
        main = region.buffer("main", "bytes")
        main.extend([b"%d" % (k % 40000) for k in range(100_000)])
        region.commit()
        big = [random.Random(3).randbytes(1 << 20), b"x" * 200_001]
        main[50_000:50_010] = big
        del main[1000:30_000]
        with region.transaction():
            main.insert(7, big[1])
            with region.transaction():
                main.extend([b"abcdefghijk"] * 1000)
        verdict = judge(Path(path).read_bytes())
        assert not verdict.faults
        assert verdict.lists == {"main": list(main)}


def test_codecs_are_named(path):
    with MemoryRegion(path) as region:
        region.buffer("main").extend([None, 5, "text"])
        region.buffer("t", "text").extend(["", "gr\u00fc\u00dfe", "more than eight bytes"])
        region.commit()
        verdict = judge(Path(path).read_bytes())
        assert not verdict.faults
        assert verdict.blobify == {"main": ("msgpack", b""), "t": ("text", b"")}
        assert verdict.lists["main"] == [b"\xc0", b"\x05", b"\xa4text"]
        assert [blob.decode() for blob in verdict.lists["t"]] == list(region.buffer("t"))


def test_power_cut_undoes_unsynced_commits(path):
    with MemoryRegion(path) as region:
        main = region.buffer("main", "bytes")
        main.append(b"first of all")
        region.commit()
        for _ in range(5):
            main.append(b"not synced at all")
            region.commit(sync=False)
        content = Path(path).read_bytes()
        assert judge(content).lists["main"] == [b"first of all"]
        assert judge(content, BOOT).lists["main"] == list(main)
        assert not judge(content).faults + judge(content, BOOT).faults


@pytest.fixture
def victim(tmp_path):
    seed = new_seed()
    life = Life(seed, str(tmp_path / "victim.smem"))
    life.sizes, life.most, life.synced = (3, 9, 60, 700), 60, 0.8
    for _ in range(12):
        life.step()
    if seed % 2:
        content = life.judge()
        life.close()
    else:
        life.close()
        content = life.judge(closed=True)
    return content, random.Random(seed)


def test_damage_is_met(victim):
    content, rng = victim
    sound = judge(content, BOOT)
    mine = sorted(
        [(sound.slot * 4096, sound.slot * 4096 + 4096)] + [p for name in REACHED for p in sound.ranges[name]]
    )
    done = 0
    while done < scaled(400):
        broken = bytearray(content)
        start, end = rng.choice(mine) if done % 2 else (0, len(content))
        at = rng.randrange(start, end)
        matters = any(start <= at < end for start, end in mine)
        broken[at] ^= 1 << rng.randrange(8)
        verdict = judge(bytes(broken), BOOT)
        met = bool(verdict.faults) or verdict.slots != sound.slots
        assert met or not matters, f"byte {at} of {sound.slots}"
        if not met:
            assert verdict.lists == sound.lists
        done += 1
    print(f"{done} bytes damaged")


def test_wreckage_is_survived(victim):
    content, rng = victim
    for _ in range(scaled(200)):
        broken = bytearray(content[: rng.choice([len(content), rng.randrange(len(content))])])
        for _ in range(rng.randrange(0, 20)):
            at, to = rng.randrange(len(broken) + 1), rng.randrange(len(broken) + 1)
            size = rng.choice([1, 8, 512, 4096])
            broken[at : at + size] = rng.choice([broken[to : to + size], rng.randbytes(size), bytes(size)])
        judge(bytes(broken), BOOT)
        judge_kept(bytes(broken), BOOT)


@pytest.mark.parametrize(
    ("at", "size", "by"),
    [
        (12, 4, 8),  # an unknown flag
        (32, 8, 1),  # transaction
        (40, 8, 1),  # length
        (80, 8, 1),  # values
        (96, 4, 1),  # height
        (100, 4, 1),  # height of the catalog
        (120, 8, -1),  # size of the catalog
        (152, 8, 1),  # oldest log page
        (152, 8, -1),
        (160, 8, 1),  # features
        (390, 1, 1),  # padding
        (600, 1, 1),  # padding
    ],
)
def test_forged_slot_is_met(victim, at, size, by):
    content, _ = victim
    sound = judge(content, BOOT)
    broken = bytearray(content)
    for k in range(3):
        base = k * 4096
        value = int.from_bytes(broken[base + at : base + at + size], "little") + by
        if value >= 0:
            broken[base + at : base + at + size] = value.to_bytes(size, "little")
        broken[base + 504 : base + 512] = xxh3(broken[base : base + 504]).to_bytes(8, "little")
    verdict = judge(bytes(broken), BOOT)
    assert verdict.faults, (sound.slots, verdict.slots)


@pytest.mark.parametrize("content", [b"", b"stablmem", bytes(12288), b"x" * 20000])
def test_what_is_no_region(content):
    assert judge(content).faults
    assert judge(content).transaction == 0


def test_command_line(path):
    with MemoryRegion(path) as region:
        region.buffer("main", "bytes").extend([b"a value in a block"] * 300)
    run = [sys.executable, "-m", "judge", path]
    done = subprocess.run(run, cwd=TESTS / "tools", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "'main': 300 values" in done.stdout
    content = bytearray(Path(path).read_bytes())
    at = judge(content).ranges["blob"][0][0]
    content[at] ^= 1
    other = Path(path).with_suffix(".broken")
    other.write_bytes(content)
    done = subprocess.run(
        [*run[:-1], str(other)], cwd=TESTS / "tools", capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "CRC" in done.stdout
