"""Training on a small shop: what is chosen, what a row with three counts gets, and that a seed fixes all of it."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from gold.churn_features import COUNTS
from ml.dataset import AllDays, Cuts, judged_rows, training_cuts
from ml.models import ChurnModel, Costs
from ml.training import CHOSEN, COUNTS_ALONE, Plan, Trained, choose, train
from tests.ml.churn_days import day, shop
from tests.ml.churn_days import days as days_of

TEST = day("04-01")
PLAN = Plan(Cuts(training_cuts(TEST, 21, 7, 2), TEST, horizon_days=21, lookback_days=30), "users", bootstrap_rounds=40)


@pytest.fixture(scope="module")
def days() -> pl.DataFrame:
    return shop(800, seed=11)


@pytest.fixture(scope="module")
def trained(days: pl.DataFrame) -> Trained:
    return train(AllDays(days), PLAN)


def test_the_model_is_better_than_chance_and_not_below_recency_alone(trained: Trained) -> None:
    test = trained.test

    assert test[CHOSEN]["roc_auc"].value > max(0.7, test["recency"]["roc_auc"].low)
    assert test["share of churned"]["roc_auc"].value == 0.5
    assert test[COUNTS_ALONE]["roc_auc"].value > 0.6


def test_the_same_plan_and_days_give_the_same_scores(days: pl.DataFrame, trained: Trained) -> None:
    again = train(AllDays(days.sample(fraction=1.0, shuffle=True, seed=1)), PLAN)

    rows = judged_rows(AllDays(days), PLAN.cuts)
    assert again.fingerprints == trained.fingerprints
    np.testing.assert_array_equal(again.model.probability(rows), trained.model.probability(rows))
    assert again.test[CHOSEN] == trained.test[CHOSEN]


def test_a_model_survives_pickling(days: pl.DataFrame, trained: Trained) -> None:
    rows = judged_rows(AllDays(days), PLAN.cuts)

    copy: ChurnModel = pickle.loads(pickle.dumps(trained.model))  # noqa: S301 (its own)

    np.testing.assert_array_equal(copy.probability(rows), trained.model.probability(rows))


def test_three_counts_are_enough_and_more_of_any_is_never_more_churn(trained: Trained) -> None:
    grid = pl.DataFrame(list(itertools.product(range(8), range(5), range(4))), schema=list(COUNTS), orient="row")

    found = grid.with_columns(probability=trained.model.probability(grid))

    for count in COUNTS:
        others = [other for other in COUNTS if other != count]
        steps = found.sort(count).select(pl.col("probability").diff().over(others)).drop_nulls()
        assert (steps["probability"] <= 0).all(), count
    nothing, some = trained.model.probability(pl.DataFrame([(0, 0, 0), (5, 2, 0)], schema=list(COUNTS), orient="row"))
    assert nothing > some


def test_a_score_says_churned_from_the_threshold_on(trained: Trained) -> None:
    rows = pl.DataFrame([(0, 0, 0), (7, 4, 3)], schema=list(COUNTS), orient="row")
    low, high = sorted(trained.model.probability(rows))
    between = Costs(missed=1 - (low + high) / 2, needless=(low + high) / 2)

    assert replace(trained.model, costs=between).predict(rows)["churned"].to_list() == [True, False]


def test_the_threshold_is_where_both_errors_cost_the_same() -> None:
    assert Costs(missed=9, needless=1).threshold == 0.1


@pytest.mark.parametrize("row", [{"num_views": -1}, {"num_views": None}])
def test_a_count_that_is_no_count_is_refused_by_name(trained: Trained, row: dict[str, int | None]) -> None:
    with pytest.raises(ValueError, match="num_views: must be a number from 0 on"):
        trained.model.probability(pl.DataFrame([{"num_add_to_cart": 0, "num_purchases": 0, **row}]))
    with pytest.raises(ValueError, match="num_purchases: is missing"):
        trained.model.probability(pl.DataFrame({"num_views": [1], "num_add_to_cart": [1]}))


def test_a_row_with_some_features_unknown_is_scored(days: pl.DataFrame, trained: Trained) -> None:
    rows = judged_rows(AllDays(days), PLAN.cuts).select(*COUNTS, "recency_days").head(20)

    found = trained.model.probability(rows)

    assert ((found > 0) & (found < 1)).all()


def test_validation_by_time_needs_a_cut_whose_labels_end_by_the_last_one(days: pl.DataFrame) -> None:
    with pytest.raises(ValueError, match="none whose labels end by the last training cut 2026-03-11"):
        train(AllDays(days), replace(PLAN, validate_by="time"))


def test_a_cut_after_which_all_churned_is_refused() -> None:
    one = days_of(("ann", "02-01T10:00"), ("bob", "02-02T10:00"))

    with pytest.raises(ValueError, match="cut=2026-03-04: 2 of its users churned and 0 returned, and it takes 10"):
        train(AllDays(one), PLAN)


def test_the_simplest_within_noise_of_the_best_is_chosen() -> None:
    chance = np.random.default_rng(2)
    churned = chance.integers(0, 2, 600).astype(np.float64)
    good = churned * 0.5 + chance.random(600)
    scores = {"recency": chance.random(600), "logistic": good, "boosting": good + chance.random(600) * 0.01}

    chosen, differences = choose(scores, churned, PLAN)

    assert chosen == "logistic"
    assert differences["recency"].high < 0
