"""Reasons: recomputed one feature at a time through the frame's path, and read as sentences."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from gold.churn_features import COUNTS, FEATURES, RATES, with_rates
from lakehouse.contracts import ChurnFeatures as F
from ml import reasons
from ml.evaluate import log_odds
from ml.models import matrix, matrix_of
from ml.package import Package
from ml.reasons import GIVEN, WORDS, explain
from tests.serving.churn_package import churn_package, users


@pytest.fixture(scope="module")
def package() -> Package:
    return churn_package()


@pytest.mark.parametrize("known", [GIVEN, COUNTS, (*COUNTS, F.recency_days, F.revenue)])
def test_the_strongest_are_those_whose_replacement_moves_the_score_most(
    package: Package, known: tuple[str, ...]
) -> None:
    typical = dict(zip(FEATURES, package.typical.tolist(), strict=True))
    row = users(50, seed=2).select(known).row(17, named=True)
    score = float(log_odds(package.model.probability(pl.DataFrame([row])))[0])
    effects = {}
    for feature in known:
        if row[feature] is not None:
            other = pl.DataFrame([{**row, feature: typical[feature]}])
            effects[feature] = score - float(log_odds(package.model.probability(other))[0])
    strongest = sorted(effects, key=lambda feature: -abs(effects[feature]))[: reasons.MOST]
    expected = [
        f"{WORDS[feature](row[feature])} (typical: {reasons.number(typical[feature])}): "
        f"{'raises' if effects[feature] > 0 else 'lowers'} the risk"
        for feature in strongest
        if abs(effects[feature]) >= reasons.LEAST_EFFECT
    ]

    found = explain(package.model, package.typical, matrix_of([row]))

    assert found.reasons == [expected]
    assert expected
    np.testing.assert_allclose(log_odds(found.probability), score, atol=1e-9)


def test_both_directions_are_said(package: Package) -> None:
    typical = dict(zip(FEATURES, package.typical.tolist(), strict=True))
    silent, buying = ({**typical, F.recency_days: 41.0}, {**typical, F.num_purchases: 4.0})

    first, second = explain(package.model, package.typical, matrix_of([silent, buying])).reasons

    assert first[0].startswith("last seen 41 days ago (typical: ")
    assert first[0].endswith("): raises the risk")
    assert any(said.startswith("4 purchases (typical: ") and said.endswith("): lowers the risk") for said in second)


def test_a_typical_row_has_no_reasons(package: Package) -> None:
    row = dict(zip(FEATURES, package.typical.tolist(), strict=True))

    assert explain(package.model, package.typical, matrix_of([row])).reasons == [[]]


def test_a_feature_that_is_unknown_is_no_reason(package: Package) -> None:
    unknown = package.typical.copy()
    unknown[FEATURES.index(F.recency_days)] = np.nan
    row = users(1, seed=1).row(0, named=True)

    said = explain(package.model, package.typical, matrix_of([{**row, F.days_since_purchase: None}])).reasons
    also = explain(package.model, unknown, matrix_of([row])).reasons

    assert not any("no purchase in" in reason for reason in said[0])
    assert not any("last seen" in reason for reason in also[0])


def test_many_rows_in_chunks_are_scored_as_one_by_one(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    x = matrix(users(25, seed=9))
    one_by_one = [explain(package.model, package.typical, x[n : n + 1]) for n in range(len(x))]
    monkeypatch.setattr(reasons, "CHUNK_ROWS", 4)

    found = explain(package.model, package.typical, x)

    assert found.reasons == [single.reasons[0] for single in one_by_one]
    np.testing.assert_allclose(found.probability, [single.probability[0] for single in one_by_one], atol=1e-12)
    assert explain(package.model, package.typical, x[:0]).reasons == []


def test_every_feature_that_may_be_given_has_words() -> None:
    assert set(WORDS) == set(GIVEN)
    assert [WORDS[F.num_purchases](n) for n in (0.0, 1.0, 1_200.0)] == ["no purchases", "1 purchase", "1,200 purchases"]
    assert WORDS[F.days_since_purchase](41.3) == "no purchase in 41 days"
    assert [WORDS[F.trend](t) for t in (-0.5, 0.0, 1.0)] == [
        "activity fades, trend -0.50",
        "activity is steady, trend 0",
        "activity grows, trend 1",
    ]


def test_rows_and_frames_give_the_same_matrix() -> None:
    frame = users(200, seed=6)

    np.testing.assert_array_equal(matrix_of(frame.to_dicts()), matrix(frame))
    few = frame.select(COUNTS)
    np.testing.assert_array_equal(matrix_of(few.to_dicts()), matrix(few))


def test_the_rates_are_those_of_the_table() -> None:
    counts = pl.DataFrame([(0, 0, 0), (5, 2, 1), (0, 3, 1), (2, 0, 4), (3, 9, 1)], schema=list(COUNTS), orient="row")
    places = [FEATURES.index(rate) for rate in RATES]

    np.testing.assert_array_equal(matrix(counts)[:, places], with_rates(counts).select(RATES).to_numpy())
