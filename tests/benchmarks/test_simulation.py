"""Freshness computed for stages whose answer is known by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure import Cost
from benchmarks.simulation import Batch, Spread, Step, behind, chain, freshness, rounds

EXACT = Spread()


def step(name: str, fixed_s: float, per_event_s: float = 0.0, cores: float = 1.0) -> Step:
    return Step(name, Cost(fixed_s, per_event_s), cores)


def test_an_event_waits_for_its_batch_and_then_for_each_commit() -> None:
    found = freshness(chain([step("bronze", 1.0), step("silver", 2.0)], 100, 10.0, 600.0, EXACT), 600.0)

    assert found is not None
    assert found.p50 == pytest.approx(10 / 2 + 3, abs=10 / 8)  # from just before the batch to a whole interval
    assert found.p95 == pytest.approx(10 + 3, abs=10 / 8)


def test_a_stage_that_is_too_slow_falls_behind_until_it_has_enough_cores() -> None:
    slow, fast = (step("silver", 0.1, per_event_s=0.002, cores=cores) for cores in (1, 4))

    assert freshness(chain([slow], 1_000, 5.0, 600.0, EXACT), 600.0) is None
    assert freshness(chain([fast], 1_000, 5.0, 600.0, EXACT), 600.0) is not None


def test_a_follower_that_was_busy_takes_all_that_has_come_meanwhile() -> None:
    came = [Batch(0, 1, 1.0), Batch(1, 2, 2.0), Batch(2, 3, 3.0), Batch(3, 4, 9.0)]

    assert behind(came, step("mirror", 2.5), 100, EXACT) == [
        Batch(0, 1, 3.5),
        Batch(1, 3, 6.0),  # two commits at once
        Batch(3, 4, 11.5),
    ]


def test_stages_of_one_machine_take_turns() -> None:
    found = rounds([step("silver", 1.0), step("gold", 2.0)], [], 100, 1.5, 5.0, 9.0, EXACT)

    assert found["silver"] == [Batch(0, 0, 1.0), Batch(0, 3, 4.0), Batch(3, 6, 7.0)]
    assert found["gold"] == [Batch(0, 0, 3.0), Batch(0, 3, 6.0), Batch(3, 6, 9.0)]


def test_what_takes_long_comes_at_most_a_tenth_of_the_time() -> None:
    found = rounds([step("silver", 0.5)], [step("user_days", 2.0)], 100, 1.0, 5.0, 200.0, EXACT)

    begins = [batch.done - 2.0 for batch in found["user_days"]]
    assert min(later - earlier for earlier, later in pairwise(begins)) >= 20.0


@given(
    fixed_s=st.floats(0.01, 5),
    per_event_s=st.floats(1e-7, 1e-4),
    interval_s=st.floats(0.5, 60),
    rate=st.integers(1, 5_000),
)
def test_every_event_is_in_one_batch_and_waits_at_least_for_the_commit(
    fixed_s: float, per_event_s: float, interval_s: float, rate: int
) -> None:
    steps = [step("bronze", fixed_s), step("silver", fixed_s, per_event_s)]
    batches = chain(steps, rate, interval_s, 600.0, EXACT)

    assert batches[0].since == 0.0
    assert all(earlier.until == later.since for earlier, later in pairwise(batches))
    assert all(batch.done >= batch.until + 2 * fixed_s - 1e-9 for batch in batches)


def test_the_same_seed_gives_the_same_run() -> None:
    one, other = (chain([step("bronze", 1.0)], 10, 2.0, 100.0, Spread((0.8, 1.0, 1.5))) for _ in range(2))

    assert one == other
