"""Planted faults: mistakes switched on one at a time, each of which the power-cut enumerator finds."""

from itertools import chain, islice

import pytest

from powercut.faults import FAULTS
from powercut.running import run, seeds
from support import scaled

pytestmark = pytest.mark.usefixtures("damaged")

MOST, BUDGET = 24, 200
SECONDS = 60
"""A fault that is not met by the seeds known for it has so long to be met by others."""


def among(name):
    """Return the seeds to try for a fault, those known to meet it first."""
    return chain(FAULTS[name].seeds, islice(seeds(), 2000))


def test_enough():
    assert len(FAULTS) >= 12
    assert all(fault.sentence.endswith(".") and fault.seeds for fault in FAULTS.values())


@pytest.mark.parametrize("name", FAULTS)
def test_found(name):
    """With the mistake switched on, a state is found that breaks a promise."""
    tally = run(1 << 40, MOST, BUDGET, stop=1, seconds=SECONDS, which=among(name), fault=name)
    assert tally.found, f"{name}: not found in {tally}"
    print(tally.found[0])


def test_without_faults():
    """The same workloads with nothing switched on: nothing is found."""
    every = sorted({seed for fault in FAULTS.values() for seed in fault.seeds})
    tally = run(1 << 40, MOST, scaled(BUDGET, 60), which=iter(every))
    assert not tally.found, "\n".join(map(str, tally.found))
    assert tally.workloads == len(every)
