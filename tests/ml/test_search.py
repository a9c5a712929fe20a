"""A search of settings: when it ends, that it can be had again, what it may not see, and what enters."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import polars as pl
import pytest

from gold.churn_features import FEATURES
from ml.dataset import AllDays
from ml.evaluate import Floats, roc_auc
from ml.models import BOOSTING, DEFAULTS, LOGISTIC, SINGLE, Boosting, ModelSettings
from ml.search import Budget, Search, search
from ml.training import Trained, train
from ml.validation import Validation
from tests.ml.churn_days import shop
from tests.ml.test_training import PLAN

SEED, ROUNDS = 7, 40


def validation(churned: Floats, x: Floats) -> Validation:
    """Learnt from the first half of the rows, judged on the second."""
    half = np.arange(len(x)) < len(x) // 2
    return Validation(x, churned, ((half, ~half),), ~half)


def rows(number: int, seed: int = 3) -> Floats:
    """Rows of `FEATURES` that are chance, with a trend between -1 and 1."""
    chance = np.random.default_rng(seed)
    x = chance.poisson(3, (number, len(FEATURES))).astype(np.float64)
    x[:, FEATURES.index("trend")] = chance.uniform(-1, 1, number)
    return x


def defaults(of: Validation) -> dict[str, Floats]:
    return {
        kind: of.scored(lambda x, y, seen, kind=kind: SINGLE[kind](x, y, SEED).log_odds(seen))  # type: ignore[misc]
        for kind in (LOGISTIC, BOOSTING)
    }


@pytest.fixture(scope="module")
def bent() -> Validation:
    """Who fades or grows fast churns: no straight line in the trend tells them apart."""
    x = rows(800)
    trend = x[:, FEATURES.index("trend")]
    return validation((np.abs(trend) + np.random.default_rng(5).normal(0, 0.2, len(x)) > 0.5).astype(np.float64), x)


@pytest.fixture(scope="module")
def found(bent: Validation) -> Search:
    return search(bent, defaults(bent), Budget(trials=8), SEED, ROUNDS)


def test_the_clock_decides_how_many_are_tried_and_not_which(bent: Validation, found: Search) -> None:
    """Ten seconds go by in each trial; the one that has begun is finished."""
    ticks, told = count(0, 10), list[tuple[int, float]]()

    by_time = search(
        bent,
        defaults(bent),
        Budget(seconds=25),
        SEED,
        ROUNDS,
        lambda number, share: told.append((number, share)),
        clock=lambda: float(next(ticks)),
    )

    assert by_time.tried == found.tried[:3]
    assert told == [(1, 0.4), (2, 0.8), (3, 1.0)]


def test_what_beats_the_defaults_by_more_than_noise_enters_with_its_settings(bent: Validation, found: Search) -> None:
    assert found.best[LOGISTIC] > found.defaults[LOGISTIC] + 0.1
    assert found.entered.logistic in [one.settings for one in found.tried if one.roc_auc == found.best[LOGISTIC]]
    assert found.entered.logistic.n_knots > 0
    assert roc_auc(bent.truth, found.log_odds[LOGISTIC]) > roc_auc(bent.truth, defaults(bent)[LOGISTIC]) + 0.1


def test_where_labels_are_chance_the_best_of_many_does_not_enter() -> None:
    x = rows(600)
    chance = validation(np.random.default_rng(11).integers(0, 2, len(x)).astype(np.float64), x)

    by_luck = search(chance, defaults(chance), Budget(trials=4), SEED, ROUNDS)

    assert by_luck.best[BOOSTING] > by_luck.defaults[BOOSTING]
    assert (by_luck.entered, by_luck.log_odds) == (DEFAULTS, {})


def test_boosting_stopped_at_its_last_iteration_is_the_whole_of_it(bent: Validation) -> None:
    fitted = Boosting.fit(bent.x, bent.churned, SEED, settings=replace(DEFAULTS.boosting, max_iter=40))

    *_, last = fitted.staged(bent.x, 20)

    np.testing.assert_array_equal(last, fitted.log_odds(bent.x))


def test_a_candidate_says_what_it_was_fitted_with() -> None:
    own = ModelSettings(logistic=replace(DEFAULTS.logistic, C=0.3))

    assert own.of("logistic, searched") == {"logistic.C": 0.3, "logistic.n_knots": 0}
    assert own.of("logistic")["logistic.C"] == own.of("recency")["recency.C"] == 1.0
    assert own.of("blend, searched").keys() == own.of("logistic").keys() | own.of("boosting").keys()


@pytest.fixture(scope="module")
def days() -> pl.DataFrame:
    return shop(400, seed=11)


def trained(days: pl.DataFrame) -> Trained:
    return train(AllDays(days), replace(PLAN, search=Budget(trials=3)))


def test_the_search_never_sees_what_the_test_asks(days: pl.DataFrame) -> None:
    """Half of what happened after the test's cut is taken away: other labels of the test, and the same choice."""
    after = pl.col("date") >= PLAN.cuts.test.date()
    other = days.filter(~after | (pl.int_range(pl.len()) % 2 == 0))

    whole, less = trained(days), trained(other)

    assert less.fingerprints[1] != whole.fingerprints[1]
    assert less.search.tried == whole.search.tried
    assert (less.model.name, less.settings) == (whole.model.name, whole.settings)
    rows = whole.data.judged
    np.testing.assert_array_equal(less.model.probability(rows), whole.model.probability(rows))
