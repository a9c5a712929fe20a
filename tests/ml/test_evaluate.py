"""Metrics, each on a case small enough to be counted by hand, and against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from ml.evaluate import (
    Calibration,
    auc_differences,
    calibration_bins,
    calibration_curve,
    log_odds,
    metrics,
    roc_auc,
    with_intervals,
)


def array(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


def test_auc_is_the_share_of_pairs_in_order_and_equal_scores_count_half() -> None:
    assert roc_auc(array(1, 1, 0, 0), array(0.9, 0.4, 0.4, 0.1)) == (1 + 1 + 0.5 + 1) / 4


def test_metrics_agree_with_scikit_learn_for_tied_and_weighted_scores() -> None:
    chance = np.random.default_rng(1)
    churned = chance.integers(0, 2, 500).astype(np.float64)
    score = np.round(np.clip(0.3 * churned + chance.random(500) * 0.7, 0.05, 0.95), 1)
    weight = chance.integers(0, 4, 500).astype(np.float64)

    found = metrics(churned, score, weight)

    expected = {
        "roc_auc": roc_auc_score(churned, score, sample_weight=weight),
        "average_precision_churned": average_precision_score(churned, score, sample_weight=weight),
        "average_precision_returned": average_precision_score(1 - churned, -score, sample_weight=weight),
        "calibration_slope": LogisticRegression(C=1e9)
        .fit(log_odds(score)[:, None], churned, sample_weight=weight)
        .coef_.item(),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-3)


def test_brier_skill_is_zero_for_the_base_rate_and_one_for_the_truth() -> None:
    churned = array(1, 1, 1, 0)

    assert metrics(churned, np.full(4, 0.75))["brier_skill"] == pytest.approx(0)
    assert metrics(churned, churned)["brier_skill"] == 1


def test_lift_is_how_much_more_often_the_highest_scores_churn() -> None:
    churned = array(*[1] * 2, *[0] * 8)

    assert metrics(churned, np.linspace(1, 0, 10))["lift_top_decile"] == 5
    assert metrics(churned, np.full(10, 0.2))["lift_top_decile"] == pytest.approx(1)


def test_calibration_error_is_the_distance_of_score_and_share_in_bins_of_equal_mass() -> None:
    churned = np.tile([1.0, 0.0], 50)

    mass, mean, share = calibration_bins(churned, np.full(100, 0.8), np.ones(100))

    assert (mass.tolist(), mean.tolist(), share.tolist()) == ([10.0] * 10, pytest.approx([0.8] * 10), [0.5] * 10)
    assert metrics(churned, np.full(100, 0.8))["calibration_error"] == pytest.approx(0.3)


def test_the_calibration_curve_has_a_point_for_each_bin_that_somebody_is_in() -> None:
    curve = calibration_curve(array(1, 0, 0, 1), array(0.9, 0.2, 0.6, 0.7))
    assert curve == (
        Calibration(1, 0.2, 0.0),
        Calibration(1, 0.6, 0.0),
        Calibration(1, 0.7, 1.0),
        Calibration(1, 0.9, 1.0),
    )


def test_intervals_hold_the_value_and_are_the_same_for_a_seed() -> None:
    chance = np.random.default_rng(3)
    churned = chance.integers(0, 2, 300).astype(np.float64)
    score = np.clip(churned * 0.2 + chance.random(300) * 0.7, 0.01, 0.99)

    first, again = (with_intervals(churned, score, seed=5, rounds=50) for _ in range(2))

    assert first == again
    assert all(interval.low <= interval.value <= interval.high for interval in first.values())


def test_a_score_differs_from_itself_by_nothing_and_a_better_one_is_above() -> None:
    chance = np.random.default_rng(4)
    churned = chance.integers(0, 2, 400).astype(np.float64)
    weak = churned * 0.1 + chance.random(400) * 0.9
    scores = {"weak": weak, "strong": churned * 0.6 + chance.random(400) * 0.4}

    found = auc_differences(churned, scores, "weak", seed=1, rounds=50)

    assert (found["weak"].value, found["weak"].low, found["weak"].high) == (0, 0, 0)
    assert found["strong"].low > 0
