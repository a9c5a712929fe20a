"""Models of churn. Each gives the log odds of churn for rows of `FEATURES`; a ChurnModel is what is kept and served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from gold.churn_features import COUNTS, FEATURES, RATES
from lakehouse.contracts import ChurnFeatures as F
from ml.evaluate import Floats, fit_line
from ml.labels import CHURNED

PROBABILITY: Final = "churn_probability"

MORE_IS_LESS_CHURN: Final = (
    *COUNTS,
    F.num_events,
    F.sessions,
    F.active_days,
    F.active_hours,
    F.frequency,
    F.events_per_session,
    F.minutes_per_day,
    F.revenue,
)
MORE_IS_MORE_CHURN: Final = (F.recency_days, F.days_since_purchase)
"""Orders that boosting may not contradict: without them, noise makes a little more activity look like churn."""

OPTIONAL: Final = tuple(column for column in FEATURES if column not in COUNTS and column not in RATES)
NEEDED: Final = tuple(column for column in OPTIONAL if not column.nullable)
"""Without one of these a row is scored by the model that was trained with features missing."""


_PLACE: Final = {str(column): place for place, column in enumerate(FEATURES)}


class Scorer(Protocol):
    """A fitted model of some features."""

    def log_odds(self, x: Floats) -> Floats:
        """Log odds of churn of each row of ``x`` (rows by `FEATURES`, NaN where unknown)."""
        ...


@dataclass(frozen=True)
class Logistic:
    """Logistic regression on the logarithms of the features; the unknown are at the mean, and said to be unknown."""

    columns: tuple[int, ...]
    mean: Floats
    scale: Floats
    fitted: Any

    @classmethod
    def fit(cls, x: Floats, churned: Floats, features: Sequence[str] = FEATURES) -> Logistic:
        columns = _places(features)
        logs = _logs(x[:, columns])
        known = ~np.isnan(logs)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, logs, 0).sum(axis=0) / count
        scale = np.sqrt(np.where(known, (logs - mean) ** 2, 0).sum(axis=0) / count)
        unfitted = cls(columns, mean, np.where(scale > 0, scale, 1.0), None)
        fitted = LogisticRegression(max_iter=500).fit(unfitted._design(x), churned)
        return cls(columns, mean, unfitted.scale, fitted)

    def log_odds(self, x: Floats) -> Floats:
        return np.asarray(self.fitted.decision_function(self._design(x)), np.float64)

    def _design(self, x: Floats) -> Floats:
        logs = _logs(x[:, self.columns])
        unknown = np.isnan(logs)
        return np.hstack([np.where(unknown, 0.0, (logs - self.mean) / self.scale), unknown.astype(np.float64)])


@dataclass(frozen=True)
class Boosting:
    """Gradient boosting of small trees that keep the orders `MORE_IS_LESS_CHURN` and `MORE_IS_MORE_CHURN`."""

    columns: tuple[int, ...]
    fitted: Any

    @classmethod
    def fit(cls, x: Floats, churned: Floats, seed: int, features: Sequence[str] = FEATURES) -> Boosting:
        # A column that never varies, or is never known, cannot be binned, and has nothing to say.
        varying = [place for place in _places(features) if len(np.unique(x[~np.isnan(x[:, place]), place])) > 1]
        if not varying:
            raise ValueError(f"features: all {len(x):,} rows are alike, and there is nothing to learn from them")
        model = HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_iter=150,
            max_leaf_nodes=8,
            min_samples_leaf=min(200, max(20, len(x) // 50)),
            l2_regularization=10,
            monotonic_cst=[_order(FEATURES[place]) for place in varying],
            early_stopping=False,  # it would hold out rows of the same users as it trains on
            random_state=seed,
        )
        return cls(tuple(varying), model.fit(x[:, varying], churned))

    def log_odds(self, x: Floats) -> Floats:
        return np.asarray(self.fitted.decision_function(x[:, self.columns]), np.float64)


@dataclass(frozen=True)
class Blend:
    """The mean log odds of several models."""

    parts: tuple[Scorer, ...]

    def log_odds(self, x: Floats) -> Floats:
        return np.asarray(np.mean([part.log_odds(x) for part in self.parts], axis=0), np.float64)


@dataclass(frozen=True)
class Calibrated:
    """A model whose log odds are put on the line that fits those of users it has not seen (Platt 1999)."""

    scorer: Scorer
    intercept: float
    slope: float

    @classmethod
    def fit(cls, scorer: Scorer, churned: Floats, held_out: Floats) -> Calibrated:
        """``held_out``: log odds that models of this kind gave to users they were not trained on."""
        intercept, slope = fit_line(churned, held_out, np.ones_like(held_out))
        # A line that falls would turn the order round, and there is none where one class is missing.
        return cls(scorer, intercept, slope) if slope > 0 else cls(scorer, 0.0, 1.0)

    def log_odds(self, x: Floats) -> Floats:
        return self.intercept + self.slope * self.scorer.log_odds(x)

    def probability(self, x: Floats) -> Floats:
        return probabilities(self.log_odds(x))


@dataclass(frozen=True)
class Costs:
    """What a wrong answer costs, in any one unit."""

    missed: float = 1.0
    """Of a user who churns and was not called churned."""
    needless: float = 1.0
    """Of a user who returns and was called churned."""

    @property
    def threshold(self) -> float:
        """From this probability on it is cheaper to call a user churned; for calibrated probabilities."""
        return self.needless / (self.needless + self.missed)


@dataclass(frozen=True)
class ChurnModel:
    """What is kept and served: a model of all features, one for rows with features missing, and the threshold.

    Rows are frames with the three `COUNTS` and, as far as they are known, the other columns of `FEATURES`. The rates
    are computed here, from the counts.
    """

    name: str
    whole: Calibrated
    partial: Calibrated
    costs: Costs

    @property
    def threshold(self) -> float:
        return self.costs.threshold

    def predict(self, rows: pl.DataFrame) -> pl.DataFrame:
        """``churn_probability`` and ``churned`` (true from the threshold on) of each row, in order."""
        probability = pl.Series(PROBABILITY, self.probability(rows))
        return pl.DataFrame([probability, (probability >= self.threshold).alias(CHURNED)])

    def probability(self, rows: pl.DataFrame) -> Floats:
        """The probability of churn of each row. Raises ValueError where a count is absent, missing or negative."""
        return probabilities(self.log_odds(matrix(rows)))

    def log_odds(self, x: Floats) -> Floats:
        """The calibrated log odds of churn of each row of ``x``, as `matrix` or `matrix_of` gives them."""
        known = ~np.isnan(x[:, _places(NEEDED)]).any(axis=1)
        found = np.empty(len(x))
        for model, chosen in ((self.whole, known), (self.partial, ~known)):
            if chosen.any():
                found[chosen] = model.log_odds(x[chosen])
        return found


def matrix(rows: pl.DataFrame) -> Floats:
    """``rows`` as rows by `FEATURES`, NaN where unknown, the rates computed from the counts."""
    for count in COUNTS:
        if count not in rows.columns:
            raise ValueError(f"{count}: is missing; {', '.join(COUNTS)} are needed")
        if not rows.select((pl.col(count) >= 0).fill_null(value=False).all()).item():
            raise ValueError(f"{count}: must be a number from 0 on in every row")
    unknown = pl.lit(None, pl.Float64)
    absent = [unknown.alias(column) for column in FEATURES if column in RATES or column not in rows.columns]
    known = rows.with_columns(absent).select(pl.col(FEATURES).cast(pl.Float64))
    x: Floats = known.to_numpy(writable=True)
    set_rates(x)
    return x


def matrix_of(rows: Sequence[Mapping[str, float | None]]) -> Floats:
    """The same of rows that were checked before. For one row it takes a twentieth of the time that a frame does."""
    x = np.full((len(rows), len(FEATURES)), np.nan)
    for column in (*COUNTS, *OPTIONAL):
        x[:, _PLACE[column]] = [row.get(column) for row in rows]
    set_rates(x)
    return x


def set_rates(x: Floats) -> None:
    """Computes the rates in ``x`` of its counts, as `gold.churn_features.with_rates` does of a frame's."""
    views, carts, purchases = (x[:, _PLACE[count]] for count in COUNTS)
    parts_of_wholes = ((carts, views), (purchases, carts), (purchases, views))
    for rate, (part, whole) in zip(RATES, parts_of_wholes, strict=True):
        x[:, _PLACE[rate]] = np.minimum(np.divide(part, whole, out=np.zeros(len(x)), where=whole > 0), 1.0)


def with_features_masked(x: Floats, seed: int) -> Floats:
    """``x`` twice: with the counts alone, and with each optional feature unknown in half of the rows, at random."""
    optional = np.array(_places(OPTIONAL))
    counts, some = x.copy(), x.copy()
    counts[:, optional] = np.nan
    mask = np.random.default_rng(seed).random((len(x), len(optional))) < 0.5
    some[:, optional] = np.where(mask, np.nan, some[:, optional])
    return np.vstack([counts, some])


def fit_partial(x: Floats, churned: Floats, seed: int) -> Boosting:
    """The model for rows with features missing. It is not given the rates: they fall as views rise, and with them more
    activity could be more churn."""
    features = tuple(column for column in FEATURES if column not in RATES)
    return Boosting.fit(with_features_masked(x, seed), np.tile(churned, 2), seed, features)


def fit_candidates(x: Floats, churned: Floats, seed: int) -> dict[str, Scorer]:
    """The candidates, the simplest first."""
    logistic, boosting = Logistic.fit(x, churned), Boosting.fit(x, churned, seed)
    return {
        "recency": Logistic.fit(x, churned, (F.recency_days,)),
        "logistic": logistic,
        "boosting": boosting,
        "blend": Blend((logistic, boosting)),
    }


def counts_alone(x: Floats) -> Floats:
    """``x`` as if only the three counts were known."""
    masked = x.copy()
    masked[:, _places(OPTIONAL)] = np.nan
    return masked


def probabilities(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))), np.float64)


def _order(feature: str) -> int:
    return int(feature in MORE_IS_MORE_CHURN) - int(feature in MORE_IS_LESS_CHURN)


def _places(features: Sequence[str]) -> tuple[int, ...]:
    return tuple(_PLACE[feature] for feature in features)


def _logs(x: Floats) -> npt.NDArray[np.float64]:
    """Signed logarithms: counts and durations are skewed, and the trend may be negative."""
    return np.asarray(np.sign(x) * np.log1p(np.abs(x)), np.float64)
