"""A model to be asked, and users to ask about: made up with a seed, since speed does not hang on what is true."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl

from gold.churn_features import COUNTS, FEATURES, RATES
from lakehouse.contracts import ChurnFeatures as F
from ml.evaluate import Interval
from ml.models import Blend, Boosting, Calibrated, ChurnModel, Costs, Logistic, fit_partial, matrix
from ml.package import ModelCard, Package

TRAINING_USERS = 20_000


def users(number: int, seed: int) -> pl.DataFrame:
    """Rows of all features but the rates."""
    chance = np.random.default_rng(seed)
    made = {
        str(column): chance.poisson(4, number) if column.type == "long" else np.round(chance.exponential(10, number), 3)
        for column in FEATURES
        if column not in RATES
    }
    made[F.trend], made[F.frequency] = chance.uniform(-1, 1, number), chance.uniform(0, 1, number)
    return pl.DataFrame(made)


def package(seed: int = 7) -> Package:
    """The slowest of the candidates: logistic regression and boosting together, and boosting for the counts alone."""
    rows = users(TRAINING_USERS, seed)
    silence = rows[F.recency_days].to_numpy() - 2 * rows.select(pl.sum_horizontal(COUNTS)).to_series().to_numpy()
    churned = (silence + np.random.default_rng(seed).normal(0, 8, len(rows)) > -14).astype(np.float64)
    x = matrix(rows)
    whole = Blend((Logistic.fit(x, churned), Boosting.fit(x, churned, seed)))
    partial = fit_partial(x, churned, seed)
    now = datetime.now(UTC)
    card = ModelCard(
        version="benchmark",
        trained_at=now,
        simulated=True,
        horizon_days=30,
        lookback_days=30,
        test_cut=now,
        training_rows=len(rows),
        test_rows=0,
        metrics={"roc_auc": Interval(0.5, 0.5, 0.5)},
        counts_metrics={},
        code_version="",
        features_hash="",
    )
    model = ChurnModel("blend", Calibrated(whole, 0.0, 1.0), Calibrated(partial, 0.0, 1.0), Costs())
    return Package(model, card, np.nanmedian(x, axis=0))
