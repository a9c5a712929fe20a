"""Models of churn. Each gives the log odds of churn for rows of `FEATURES`; a ChurnModel is what is kept and served."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import SplineTransformer

from gold.churn_features import COUNTS, FEATURES, RATES
from lakehouse.contracts import ChurnFeatures as F
from ml.evaluate import Floats, fit_line
from ml.labels import CHURNED

T = TypeVar("T")

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


LOGISTIC: Final = "logistic"
BOOSTING: Final = "boosting"
BLEND: Final = "blend"
SEARCHED: Final = ", searched"
"""Ends the name of a candidate whose settings were searched for."""

_PLACE: Final = {str(column): place for place, column in enumerate(FEATURES)}


@dataclass(frozen=True)
class LogisticSettings:
    """Of `Logistic`, by scikit-learn's names."""

    C: float = 1.0
    """The smaller, the nearer the coefficients are held to zero."""
    n_knots: int = 0
    """Of cubic splines of each feature's logarithm; 0: the logarithm itself."""


@dataclass(frozen=True)
class BoostingSettings:
    """Of `Boosting`, by scikit-learn's names."""

    learning_rate: float = 0.05
    max_iter: int = 150
    max_leaf_nodes: int = 8
    min_samples_leaf: int | None = None
    """None: a fiftieth of the rows, from 20 to 200."""
    l2_regularization: float = 10.0
    max_features: float = 1.0
    """Share of the features that a split may choose from, drawn anew for each."""


@dataclass(frozen=True)
class ModelSettings:
    """Of all candidates."""

    logistic: LogisticSettings = field(default_factory=LogisticSettings)
    boosting: BoostingSettings = field(default_factory=BoostingSettings)

    def of(self, name: str) -> dict[str, float | int | None]:
        """Those that the candidate ``name`` was fitted with: these where they were searched for, else the defaults."""
        own = self if name.endswith(SEARCHED) else DEFAULTS
        parts = {LOGISTIC: asdict(own.logistic), BOOSTING: asdict(own.boosting)}
        kind = name.removesuffix(SEARCHED)
        chosen = parts if kind == BLEND else {kind: parts[BOOSTING if kind == BOOSTING else LOGISTIC]}
        return {f"{part}.{key}": value for part, values in chosen.items() for key, value in values.items()}


DEFAULTS: Final = ModelSettings()


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
    splines: Any = None

    @classmethod
    def fit(
        cls,
        x: Floats,
        churned: Floats,
        features: Sequence[str] = FEATURES,
        settings: LogisticSettings = DEFAULTS.logistic,
    ) -> Logistic:
        columns = _places(features)
        logs = _logs(x[:, columns])
        known = ~np.isnan(logs)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, logs, 0).sum(axis=0) / count
        scale = np.sqrt(np.where(known, (logs - mean) ** 2, 0).sum(axis=0) / count)
        unfitted = cls(columns, mean, np.where(scale > 0, scale, 1.0), None)
        if settings.n_knots:
            # Beyond the outer knots straight on: the next users may be silent for longer than any before.
            splines = SplineTransformer(settings.n_knots, extrapolation="linear", include_bias=False)
            unfitted = replace(unfitted, splines=splines.fit(unfitted._standardised(x)[0]))
        fitted = LogisticRegression(C=settings.C, max_iter=500).fit(unfitted._design(x), churned)
        return replace(unfitted, fitted=fitted)

    def log_odds(self, x: Floats) -> Floats:
        return np.asarray(self.fitted.decision_function(self._design(x)), np.float64)

    def _design(self, x: Floats) -> Floats:
        known, unknown = self._standardised(x)
        return np.hstack([known if self.splines is None else self.splines.transform(known), unknown])

    def _standardised(self, x: Floats) -> tuple[Floats, Floats]:
        """The logarithms with mean 0 and deviation 1, the unknown at 0; and 1 where they are unknown."""
        logs = _logs(x[:, self.columns])
        unknown = np.isnan(logs)
        return np.where(unknown, 0.0, (logs - self.mean) / self.scale), unknown.astype(np.float64)


@dataclass(frozen=True)
class Boosting:
    """Gradient boosting of small trees that keep the orders `MORE_IS_LESS_CHURN` and `MORE_IS_MORE_CHURN`."""

    columns: tuple[int, ...]
    fitted: Any

    @classmethod
    def fit(
        cls,
        x: Floats,
        churned: Floats,
        seed: int,
        features: Sequence[str] = FEATURES,
        settings: BoostingSettings = DEFAULTS.boosting,
    ) -> Boosting:
        # A column that never varies, or is never known, cannot be binned, and has nothing to say.
        varying = [place for place in _places(features) if len(np.unique(x[~np.isnan(x[:, place]), place])) > 1]
        if not varying:
            raise ValueError(f"features: all {len(x):,} rows are alike, and there is nothing to learn from them")
        least = settings.min_samples_leaf
        given = asdict(settings) | {
            "min_samples_leaf": min(200, max(20, len(x) // 50)) if least is None else least,
        }
        model = HistGradientBoostingClassifier(
            **given,
            monotonic_cst=[_order(FEATURES[place]) for place in varying],
            early_stopping=False,  # it would hold out rows of the same users as it trains on
            random_state=seed,
        )
        return cls(tuple(varying), model.fit(x[:, varying], churned))

    def log_odds(self, x: Floats) -> Floats:
        return np.asarray(self.fitted.decision_function(x[:, self.columns]), np.float64)

    def staged(self, x: Floats, every: int) -> Iterator[Floats]:
        """`log_odds` as they would be after ``every`` iterations, after twice as many, and so on."""
        stages = self.fitted.staged_decision_function(x[:, self.columns])
        return (np.array(odds, np.float64) for number, odds in enumerate(stages, 1) if number % every == 0)


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


SINGLE: Final[Mapping[str, Callable[[Floats, Floats, int], Scorer]]] = {
    "recency": lambda x, churned, _: Logistic.fit(x, churned, (F.recency_days,)),
    LOGISTIC: lambda x, churned, _: Logistic.fit(x, churned),
    BOOSTING: lambda x, churned, seed: Boosting.fit(x, churned, seed),
}
"""How the candidates that are no blend are fitted to rows, labels and a seed; the simplest first."""


def fit_candidates(x: Floats, churned: Floats, seed: int, searched: ModelSettings = DEFAULTS) -> dict[str, Scorer]:
    """The candidates, the simplest first; where ``searched`` differs from the defaults, those of its settings too."""
    better: dict[str, Scorer] = {}
    if searched.logistic != DEFAULTS.logistic:
        better[LOGISTIC] = Logistic.fit(x, churned, settings=searched.logistic)
    if searched.boosting != DEFAULTS.boosting:
        better[BOOSTING] = Boosting.fit(x, churned, seed, settings=searched.boosting)
    own = {name: fit(x, churned, seed) for name, fit in SINGLE.items()}
    return in_order(own, better, lambda logistic, boosting: Blend((logistic, boosting)))


def in_order(own: Mapping[str, T], searched: Mapping[str, T], blend: Callable[[T, T], T]) -> dict[str, T]:
    """What there is of each candidate, the simplest first: ``searched`` behind its kind, the blends of both last."""
    found: dict[str, T] = {}
    for name, one in own.items():
        found[name] = one
        if name in searched:
            found[name + SEARCHED] = searched[name]
    found[BLEND] = blend(own[LOGISTIC], own[BOOSTING])
    if searched:
        better = {**own, **searched}
        found[BLEND + SEARCHED] = blend(better[LOGISTIC], better[BOOSTING])
    return found


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
