"""A small churn model that is fitted in milliseconds, of users made up with a seed: silence is churn, buying is not."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl

from gold.churn_features import FEATURES
from lakehouse.contracts import ChurnFeatures as F
from ml.evaluate import Calibration, Interval
from ml.models import Blend, Boosting, Calibrated, ChurnModel, Costs, Logistic, fit_partial, matrix
from ml.package import ModelCard, Package


def users(number: int, seed: int = 7) -> pl.DataFrame:
    """Rows of `FEATURES`, without a user or a cut."""
    chance = np.random.default_rng(seed)
    views, carts, purchases = chance.poisson(8, number), chance.poisson(2, number), chance.poisson(0.7, number)
    events = views + carts + purchases
    days = np.minimum(events, chance.integers(1, 12, number))
    recency = chance.exponential(10, number)
    tenure = recency + chance.exponential(30, number)
    bought = purchases > 0
    return pl.DataFrame(
        {
            F.num_views: views,
            F.num_add_to_cart: carts,
            F.num_purchases: purchases,
            F.num_events: events,
            F.sessions: np.maximum(days, 1),
            F.active_days: days,
            F.active_hours: days * 2,
            F.view_to_cart_rate: 0.0,
            F.cart_to_purchase_rate: 0.0,
            F.view_to_purchase_rate: 0.0,
            F.recency_days: recency,
            F.tenure_days: tenure,
            F.frequency: days / 30,
            F.trend: chance.uniform(-1, 1, number),
            F.days_between_visits: pl.Series(np.where(days > 1, 30 / np.maximum(days, 1), np.nan)).fill_nan(None),
            F.days_since_purchase: pl.Series(np.where(bought, recency * 1.5, np.nan)).fill_nan(None),
            F.events_per_session: events / np.maximum(days, 1),
            F.minutes_per_day: chance.exponential(12, number),
            F.revenue: purchases * 20.0,
        }
    ).select(FEATURES)


def churn_package(version: str = "1", costs: Costs | None = None, turned: bool = False, seed: int = 7) -> Package:
    """A package that can serve; ``turned`` calls those who stay churned, so that its scores are told apart."""
    rows = users(400, seed)
    x = matrix(rows)
    silent = rows[F.recency_days].to_numpy() - 6 * rows[F.num_purchases].to_numpy() - rows[F.num_views].to_numpy()
    churned = (silent + np.random.default_rng(seed).normal(0, 4, len(x)) > -3).astype(np.float64)
    if turned:
        churned = 1 - churned
    whole = Blend((Logistic.fit(x, churned), Boosting.fit(x, churned, seed)))
    model = ChurnModel(
        "blend",
        Calibrated(whole, 0.0, 1.0),
        Calibrated(fit_partial(x, churned, seed), 0.0, 1.0),
        costs or Costs(),
    )
    metric = {"roc_auc": Interval(0.79, 0.77, 0.82), "calibration_slope": Interval(float("nan"), 0.0, 1.0)}
    card = ModelCard(
        version=version,
        trained_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        simulated=True,
        horizon_days=30,
        lookback_days=30,
        test_cut=datetime(2026, 2, 1, tzinfo=UTC),
        training_rows=len(x),
        test_rows=200,
        metrics=metric,
        counts_metrics=metric,
        code_version="abc",
        features_hash="def",
        data_versions={"gold.user_days": 12},
        calibration=(Calibration(100, 0.3, 0.25), Calibration(100, 0.8, 0.9)),
    )
    return Package(model, card, np.nanmedian(x, axis=0))
