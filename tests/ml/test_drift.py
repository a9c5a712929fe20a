"""The stability index by hand, and when retraining is due."""

from __future__ import annotations

from datetime import date
from math import log

import numpy as np
import pytest

from gold.churn_features import FEATURES
from ml.drift import Binned, drift, reference_of, retraining_due, stability_index
from tests.ml.churn_days import day


def test_the_index_is_the_sum_over_bins_of_the_change_times_its_logarithm() -> None:
    then = Binned(np.array([1.0]), np.array([0.5, 0.5, 0.0]))

    found = stability_index(then, np.array([0.0] * 8 + [2.0] * 2))

    assert found == pytest.approx(0.3 * log(0.8 / 0.5) - 0.3 * log(0.2 / 0.5))


def test_the_same_rows_have_not_drifted_and_the_column_that_moved_is_named_first() -> None:
    chance = np.random.default_rng(1)
    x, score = chance.poisson(3, (2_000, len(FEATURES))).astype(np.float64), chance.random(2_000)
    reference = reference_of(x, score)
    moved = x.copy()
    moved[:, 4] = np.where(chance.random(2_000) < 0.5, np.nan, moved[:, 4])

    assert max(drift(reference, x, score).values()) == 0
    first, *others = drift(reference, moved, score).items()
    assert first[0] == FEATURES[4]
    assert first[1] > 0.25
    assert max(index for _, index in others) == 0


@pytest.mark.parametrize(
    ("simulated", "newest", "score", "reason"),
    [
        (True, date(2026, 3, 2), 0.0, "was trained on simulated data"),
        (False, date(2026, 4, 30), 0.0, "a whole horizon of new labels has come since its test cut 2026-03-01"),
        (False, date(2026, 3, 2), 0.3, "its scores have moved: stability index 0.30, above 0.25"),
    ],
)
def test_retraining_is_due_for_a_reason(simulated: bool, newest: date, score: float, reason: str) -> None:
    (found,) = retraining_due(simulated, day("03-01"), 30, newest, {"score": score})

    assert reason in found


def test_retraining_is_not_due_while_neither_labels_nor_scores_have_moved() -> None:
    assert retraining_due(False, day("03-01"), 30, date(2026, 4, 29), {"score": 0.24}) == []
