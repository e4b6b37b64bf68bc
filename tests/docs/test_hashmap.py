"""examples/hashmap.py: the map beside a dict, and what a call of it costs, in steps."""

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import pytest

from stablemem import MemoryRegion, ReadOnlyError
from support import TESTS, chosen_seed, environment, scaled
from support.steps import steps

EXAMPLE = TESTS.parent / "examples" / "hashmap.py"

found = importlib.util.spec_from_file_location("hashmap_example", EXAMPLE)
assert found is not None
assert found.loader is not None
hashmap = importlib.util.module_from_spec(found)
found.loader.exec_module(hashmap)


def same(values, model):
    assert len(values) == len(model)
    assert dict(values) == model


def test_beside_a_dict(path):
    """Set, delete, get, commit, roll back, open again: entries of all sizes, in buckets that are shared."""
    seed = chosen_seed()
    print(f"STABLEMEM_SEED={seed}")
    rng = random.Random(seed)
    region = MemoryRegion(path)
    values, model, committed = hashmap.HashMap(region, buckets=2), {}, None
    for step in range(scaled(1500, 500)):
        key = b"%d" % rng.randrange(200) * rng.choice([0, 1, 1, 1, 300])
        what = rng.random()
        if what < 0.55:
            values[key] = model[key] = rng.randbytes(rng.choice([0, 1, 8, 8, 500]))
        elif what < 0.75:
            assert values.pop(key, None) == model.pop(key, None)
        elif what < 0.92:
            assert values.get(key) == model.get(key)
            assert (key in values) == (key in model)
        elif what < 0.96:
            region.commit(sync=what < 0.94)
            committed = dict(model)
        elif what < 0.98 and committed is not None:
            region.rollback()
            model = dict(committed)
        elif committed is not None:
            region.close()
            committed = dict(model)
            region = MemoryRegion(path)
            values = hashmap.HashMap(region)
        if step % 50 == 0:
            same(values, model)
    same(values, model)
    for key in list(model):
        del values[key]
        with pytest.raises(KeyError):
            values[key]
        with pytest.raises(KeyError):
            del values[key]
    table, buckets, entries = values._read_header()
    assert entries == 0
    assert region.allocated_bytes == hashmap.HEADER.size + hashmap.ADDRESS * buckets, (
        "everything else is freed"
    )
    assert region.is_allocated(table, hashmap.ADDRESS * buckets)
    region.close()


def test_readers_and_several_maps(path):
    with MemoryRegion(path) as region:
        one, two = hashmap.HashMap(region, "one"), hashmap.HashMap(region, "two")
        one[b"a"], two[b"a"] = b"1", b"2"
        region.commit()
        with MemoryRegion(path, "r") as snapshot:
            one[b"a"], one[b"b"] = b"3", b"4"
            region.commit()
            seen = hashmap.HashMap(snapshot, "one")
            same(seen, {b"a": b"1"})
            snapshot.refresh()
            same(seen, {b"a": b"3", b"b": b"4"})
            with pytest.raises(ReadOnlyError):
                seen[b"c"] = b"5"
        same(two, {b"a": b"2"})


@pytest.mark.parametrize("committed", [False, True])
def test_steps_do_not_grow_with_the_number_of_entries(committed):
    """Inserts in one transaction, and overwrites of what was committed: the last as the first."""
    few, many = 100, scaled(6000, 2500, 100_000)
    taken = {}
    with MemoryRegion() as region:
        values = hashmap.HashMap(region, buckets=1 << 17)
        region.commit()
        for text in (b"%08d", b"%08x") if committed else (b"%08d",):
            for number in range(many):
                key, value = b"key %d" % number, text % number

                def put():
                    values[key] = value  # noqa: B023 - called at once

                if number in {few, many - 1}:
                    taken[number] = steps(put)
                else:
                    put()
            assert taken[many - 1] <= 1.5 * taken[few]
            region.commit()
        assert len(values) == many
        assert values[b"key 77"] == text % 77


def test_the_example_runs(tmp_path):
    path = tmp_path / "words.smem"
    for times in (1, 2):
        done = subprocess.run(
            [sys.executable, EXAMPLE, path], env=environment(), capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[0].endswith("of them different; the commonest:")
        with MemoryRegion(path, "r") as region:
            counts = hashmap.HashMap(region, "words")
            words = Path(EXAMPLE).read_bytes().split()
            assert int(counts[b"class"]) == times * words.count(b"class")
            assert sum(map(int, counts.values())) == times * len(words)
