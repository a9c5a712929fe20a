"""Who becomes champion: judged on the challenger's test rows, with scores that are chosen here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from gold.churn_features import FEATURES
from ml.dataset import Cuts, DataSet
from ml.evaluate import Floats, Interval
from ml.models import Calibrated, ChurnModel, Costs
from ml.package import ModelCard, Package
from ml.promotion import judge
from tests.ml.churn_days import day

CUTS = Cuts((day("02-01"),), day("03-15"), horizon_days=30, lookback_days=30)
CARD = ModelCard("4", datetime(2026, 3, 1, tzinfo=UTC), False, 30, 30, CUTS.test, 1, 1, {}, {}, "", "")


@dataclass(frozen=True)
class ByViews:
    """More views, less churn; with noise of a set strength."""

    noise: float

    def log_odds(self, x: Floats) -> Floats:
        return np.asarray(self.noise * np.random.default_rng(1).normal(size=len(x)) - x[:, 0], np.float64)


def model(noise: float) -> ChurnModel:
    scorer = Calibrated(ByViews(noise), 0.0, 1.0)
    return ChurnModel("by views", scorer, scorer, Costs())


def package(noise: float, **card: object) -> Package:
    return Package(model(noise), replace(CARD, **card), np.zeros(len(FEATURES)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data() -> DataSet:
    """500 users who churn the likelier, the fewer their views."""
    chance = np.random.default_rng(2)
    views = chance.integers(0, 6, 500)
    counts: Mapping[str, object] = {"num_views": views, "num_add_to_cart": 0 * views, "num_purchases": 0 * views}
    rows = pl.DataFrame({**counts, "churned": chance.random(500) > views / 6})
    return DataSet(rows, rows)


def test_one_that_beats_the_champion_by_more_than_noise_takes_its_place(data: DataSet) -> None:
    verdict = judge(model(0.0), package(5.0), CUTS, data, 30, seed=1)

    assert verdict.promote
    assert verdict.reason.startswith("it beats the champion by more than noise; ROC AUC less that of version 4 on the")
    assert isinstance(verdict.difference, Interval)
    assert verdict.difference.low > 0


@pytest.mark.parametrize("noise", [0.01, 5.0])
def test_one_that_is_worse_or_about_the_same_does_not_and_the_figures_are_said(data: DataSet, noise: float) -> None:
    verdict = judge(model(noise), package(0.0), CUTS, data, 30, seed=1)

    assert not verdict.promote
    assert verdict.reason == (
        "it does not beat the champion by more than noise; ROC AUC less that of version 4 on the same 500 users: "
        f"{verdict.difference}"
    )


def test_one_that_was_trained_on_simulated_data_gives_way_however_good(data: DataSet) -> None:
    assert judge(model(5.0), package(0.0, simulated=True), CUTS, data, 30, seed=1).promote


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ({"horizon_days": 7}, "version 4 answers another question: its horizon is 7 and its lookback 30 days"),
        ({"lookback_days": 90}, "its horizon is 30 and its lookback 90 days, here 30 and 30"),
        ({"test_cut": CUTS.test + timedelta(days=1)}, "may have learnt from what is tested here"),
    ],
)
def test_what_cannot_be_compared_fairly_is_not_promoted(data: DataSet, card: dict[str, object], reason: str) -> None:
    verdict = judge(model(0.0), package(5.0, **card), CUTS, data, 30, seed=1)

    assert (verdict.promote, verdict.difference) == (False, None)
    assert reason in verdict.reason


def test_a_model_of_counts_that_are_not_those_scored_is_never_promoted_by_itself(data: DataSet) -> None:
    verdict = judge(model(0.0), None, CUTS, data, served_lookback_days=7, seed=1)

    assert not verdict.promote
    assert "its counts are of 30 days, and those that are scored of 7" in verdict.reason
