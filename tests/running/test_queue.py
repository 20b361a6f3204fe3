from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spared_bench.interfaces import Job
from spared_bench.running.queue import Queue


def job(key, kind="trial"):
    return Job(kind, key, "d")


@given(st.lists(st.sets(st.integers(0, 9), max_size=3), min_size=10, max_size=10))
def test_a_job_is_taken_after_all_that_it_needs_and_every_job_once(raw):
    needs = {str(at): {str(n) for n in each if n < at} for at, each in enumerate(raw)}
    queue = Queue()
    for key, wanted in needs.items():
        queue.add(job(key), wanted)
    done = []
    while (taken := queue.take()) is not None:
        assert needs[taken.key] <= set(done)
        done.append(taken.key)
        queue.made(taken.key)
    assert sorted(done) == sorted(needs)
    assert queue.open_trials == len(queue) == 0


def test_what_needs_something_that_cannot_be_made_is_taken_away():
    queue = Queue()
    queue.add(job("product", "complete"))
    queue.add(job("a"), ["product"])
    queue.add(job("b"), ["product", "other"])
    queue.add(job("c"))
    assert [each.key for each in queue.drop_dependents("product")] == ["a", "b"]
    assert queue.open_trials == 1
    assert [queue.take().key, queue.take().key, queue.take()] == ["product", "c", None]


@pytest.mark.parametrize("first", [True, False])
def test_a_job_can_be_put_before_the_others(first):
    queue = Queue()
    queue.add(job("a"))
    queue.add(job("b"), first=first)
    assert queue.take().key == ("b" if first else "a")
