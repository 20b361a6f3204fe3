from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spared_bench.interfaces import Job
from spared_bench.running.queue import Agenda


def job(key, kind="trial"):
    return Job(kind, key, "d")


@given(st.lists(st.sets(st.integers(0, 9), max_size=3), min_size=10, max_size=10))
def test_a_job_is_taken_after_all_that_it_needs_and_every_job_once(raw):
    needs = {str(at): {str(n) for n in each if n < at} for at, each in enumerate(raw)}
    agenda = Agenda()
    for key, wanted in needs.items():
        agenda.add(job(key), wanted)
    done = []
    while (taken := agenda.take()) is not None:
        assert needs[taken.key] <= set(done)
        done.append(taken.key)
        agenda.made(taken.key)
    assert sorted(done) == sorted(needs)
    assert agenda.open_trials == len(agenda) == 0


def test_what_needs_something_that_cannot_be_made_is_taken_away():
    agenda = Agenda()
    agenda.add(job("product", "complete"))
    agenda.add(job("a"), ["product"])
    agenda.add(job("b"), ["product", "other"])
    agenda.add(job("c"))
    assert [each.key for each in agenda.drop_dependents("product")] == ["a", "b"]
    assert agenda.open_trials == 1
    assert [agenda.take().key, agenda.take().key, agenda.take()] == ["product", "c", None]


@pytest.mark.parametrize("first", [True, False])
def test_a_job_can_be_put_before_the_others(first):
    agenda = Agenda()
    agenda.add(job("a"))
    agenda.add(job("b"), first=first)
    assert agenda.take().key == ("b" if first else "a")
