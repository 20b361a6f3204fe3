"""A job uses the blocks that it freed again, and gives them back when it ends."""

import os
import subprocess
import sys

import pytest

from spared_bench.memory import keep_freed_memory

# 96 MiB, more than glibc ever keeps of itself, written and freed twice.
LOOK = """
import resource
import numpy as np
from spared_bench.executors.isolation import clean_slate

def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() >> 20

def faults_of_a_block():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(96 << 17)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def tell():
    first, second = faults_of_a_block(), faults_of_a_block()
    return first, second, held()

if {job}:
    with clean_slate(1):
        told = tell()
else:
    told = tell()
print(*told, held())
"""


def looked(job: bool) -> list[int]:
    """Return the pages that two equal blocks cost, and the MiB held after them and at the end."""
    code = LOOK.replace("{job}", str(job))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    return [int(each) for each in done.stdout.split()]


@pytest.fixture(scope="module", autouse=True)
def _glibc() -> None:
    code = "from spared_bench.memory import keep_freed_memory; print(keep_freed_memory())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    if told.stdout.strip() != "True":
        pytest.skip("another C library than glibc")


def test_a_block_that_was_freed_is_used_again():
    pages = 96 << 20 >> 12  # of 4 KiB; larger pages are fewer
    first, second, _, _ = looked(job=True)
    assert second < first / 20 < pages / 10
    first, second, _, _ = looked(job=False)
    assert second > first / 2


def test_what_was_kept_is_given_back_when_the_job_ends():
    _, _, within, after = looked(job=True)
    assert within - after > 80


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
