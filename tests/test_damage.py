"""Damaged and hostile files: right values or a typed error, never wrong values, a crash or a hang."""

import os
import pickle
import random
import shutil
import subprocess
import sys

import pytest

from stablemem import MemoryRegion
from support import environment, scaled
from support.player import Player
from support.recorded import BOOT, FILE_ID, Recorder, region_on

pytestmark = pytest.mark.usefixtures("damaged")

BATCH = 100


def make_victim(folder, seed):
    """Write valid.smem, older.smem and states.pickle: two lists after a life of commits."""
    device = Recorder()
    region = region_on(device)
    player = Player(seed, region, most=1500)
    states = {region.transaction_number: {}}
    player.lists["main"].extend([b"%d" % n * (n % 7) for n in range(900)])
    player.now["main"].extend([b"%d" % n * (n % 7) for n in range(900)])
    for number in range(12):
        for _ in range(6):
            player.change()
        player.commit()
        states[region.transaction_number] = player.committed
        if number == 7:
            (folder / "older.smem").write_bytes(device.bytes())
    region.close()
    (folder / "valid.smem").write_bytes(device.bytes())
    (folder / "states.pickle").write_bytes(pickle.dumps(states))
    return len(device.bytes())


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("victim")
    seed = int(os.environ.get("STABLEMEM_SEED", random.randrange(1 << 32)))
    make_victim(folder, seed)
    yield folder, seed
    shutil.rmtree(folder)


@pytest.mark.parametrize("batch", range(scaled(6, 3, 100)))
def test_random_damage(victim, batch):
    folder, seed = victim
    print(f"STABLEMEM_SEED={seed}")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "support.damager", str(folder), str(seed), str(batch * BATCH), str(BATCH)],
            env=environment(), capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as hung:
        last = (hung.stdout or b"").decode().splitlines()[-1:]
        raise AssertionError(f"it hangs: {last}") from None
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"seed {seed}: died with {done.returncode} at {lines[-1:]}\n{done.stderr}"
    bad = [line for line in lines if line.startswith("BAD")]
    assert not bad, f"seed {seed}\n" + "\n".join(bad[:20])
    assert lines[-1] == "done"


def test_the_victim_is_sound(victim):
    """Damage is found in a file that is whole before."""
    folder, _ = victim
    with MemoryRegion(str(folder / "valid.smem"), "r") as region:
        region.verify()
        states = pickle.loads((folder / "states.pickle").read_bytes())
        assert states[region.transaction_number]["main"] == region.buffer("main")[:]
    assert BOOT
    assert FILE_ID
