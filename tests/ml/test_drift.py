"""The stability index by hand, and past predictions held against what followed."""

from __future__ import annotations

from datetime import UTC, date, datetime
from math import log

import numpy as np
import polars as pl
import pytest

from gold.churn_features import FEATURES
from ml.drift import Binned, drift, realised, reference_of, retraining_due, stability_index
from tests.ml.churn_days import day, days


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


def test_predictions_are_held_against_what_followed_within_the_horizon() -> None:
    """A prediction at noon: the morning of its first day is before it, the evening of its last one after it."""
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    acts = days(
        ("same day", "03-01T10:00"), ("same day", "03-01T13:00"),
        ("last day", "02-01T10:00"), ("last day", "03-08T11:59"),
        ("morning only", "03-01T10:00"),
        ("too late", "02-01T10:00"), ("too late", "03-08T12:00"),
    )  # fmt: skip
    users = ["same day", "last day", "morning only", "too late"]
    predictions = pl.DataFrame({"user_id": users, "as_of": [noon] * 4, "score": [0.2, 0.4, 0.6, 0.8]})

    found = realised(predictions, acts, 7, newest=date(2026, 3, 9), score="score", seed=1)

    assert found["roc_auc"].value == 1
    assert found["brier"].value == pytest.approx((0.2**2 + 0.4**2 + 0.4**2 + 0.2**2) / 4)
    assert realised(predictions, acts, 7, newest=date(2026, 3, 8), score="score", seed=1) == {}


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
