"""From measurements to figures, on numbers whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.measure import fit_cost, fit_slope, percentiles, repeated
from benchmarks.probes import Probe, recovered_after_s


def test_percentiles_of_a_hundred_and_one_seconds() -> None:
    found = percentiles([float(second) for second in range(101)])

    assert found is not None
    assert (found.count, found.p50, found.p95, found.p99, found.max) == (101, 50.0, 95.0, 99.0, 100.0)


def test_no_measurement_has_no_percentile() -> None:
    assert percentiles([]) is None


def test_a_repeated_figure_is_its_median_and_keeps_its_runs() -> None:
    found = repeated([3.0, 1.0, 2.0])

    assert (found.median, found.lowest, found.highest, found.runs) == (2.0, 1.0, 3.0, (3.0, 1.0, 2.0))


def test_a_slope_is_found_among_noise_and_outliers() -> None:
    chance = np.random.default_rng(7)
    million_events = [n / 10 for n in range(200)]
    seconds = [0.5 + 0.02 * x + chance.normal(0, 0.05) for x in million_events]
    seconds[50] = seconds[120] = 30.0  # a log checkpoint, a collection

    found = fit_slope(million_events, seconds)

    assert found is not None
    assert found.low < 0.02 < found.high
    assert found.per_unit == pytest.approx(0.02, abs=0.003)
    assert found.at_start == pytest.approx(0.5, abs=0.05)
    assert not found.is_flat


def test_noise_alone_is_flat() -> None:
    chance = np.random.default_rng(7)

    found = fit_slope(range(100), [0.5 + chance.normal(0, 0.05) for _ in range(100)])

    assert found is not None
    assert found.is_flat


@pytest.mark.parametrize("x", [[], [1.0, 2.0], [5.0, 5.0, 5.0]])
def test_too_few_sizes_have_no_slope(x: list[float]) -> None:
    assert fit_slope(x, [1.0] * len(x)) is None


def probe(sent: float, latency_s: float) -> Probe:
    return Probe(f"at {sent}", sent, {"raw_events": sent + latency_s})


def test_a_stack_has_recovered_when_ten_seconds_of_probes_are_as_quick_as_before() -> None:
    while_paused = [probe(60.0 + second, 100.0 - second) for second in range(40)]
    slow = [probe(100.0 + second, 12.0 - second) for second in range(8)]
    normal = [probe(108.0 + second, 2.0) for second in range(30)]

    found = recovered_after_s([*while_paused, *slow, *normal], "raw_events", resumed=100.0, normal_s=2.5)

    # Five of the ten probes from 102.0 on took 2 s; of those from 103.0 on, more than half.
    assert found == pytest.approx(3.0, abs=1.0)


def test_a_stack_that_stays_slow_has_not_recovered() -> None:
    assert recovered_after_s([probe(100.0 + s, 9.0) for s in range(60)], "raw_events", 100.0, normal_s=2.5) is None


def test_a_cost_is_parted_into_that_of_a_batch_and_that_of_an_event() -> None:
    found = fit_cost([100, 1_000, 100_000], [0.101, 0.11, 1.1])

    assert (found.fixed_s, found.per_event_s) == (pytest.approx(0.1), pytest.approx(1e-5))
    assert found.seconds(50_000) == pytest.approx(0.6)


def test_no_part_of_a_cost_is_below_zero() -> None:
    falling, one_size = fit_cost([10, 1_000], [0.2, 0.1]), fit_cost([100, 100, 100], [1.0, 2.0, 9.0])

    assert falling.per_event_s == 0.0 < falling.fixed_s
    assert (one_size.fixed_s, one_size.per_event_s) == (0.0, 0.02)
