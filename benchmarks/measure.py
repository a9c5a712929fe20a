"""From many measurements to the few figures that are reported. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.stats import theilslopes


@dataclass(frozen=True)
class Percentiles:
    """How a quantity was spread over its measurements, in its own unit."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class Repeated:
    """One figure, measured several times."""

    median: float
    lowest: float
    highest: float
    runs: tuple[float, ...]
    """Each run's, in their order."""


def percentiles(values: Sequence[float]) -> Percentiles | None:
    """None where nothing was measured; linear between two measurements."""
    if not values:
        return None
    p50, p95, p99 = (float(p) for p in np.percentile(values, (50, 95, 99)))
    return Percentiles(len(values), round(p50, 4), round(p95, 4), round(p99, 4), round(max(values), 4))


def repeated(runs: Sequence[float]) -> Repeated:
    """Raises ValueError where there was no run."""
    if not runs:
        raise ValueError("a figure needs one run at least")
    return Repeated(
        round(float(np.median(runs)), 4), round(min(runs), 4), round(max(runs), 4), tuple(round(r, 4) for r in runs)
    )


@dataclass(frozen=True)
class Slope:
    """How a quantity changes with another: Theil and Sen's slope, which a few outliers do not move."""

    per_unit: float
    low: float
    high: float
    """``low`` to ``high``: the interval that holds it with 95 % confidence (Sen 1968)."""
    at_start: float
    """The fitted quantity at the least abscissa."""
    at_end: float
    """And at the greatest."""
    median: float
    points: int

    @property
    def is_flat(self) -> bool:
        """Whether no slope lies within the interval."""
        return self.low <= 0.0 <= self.high


@dataclass(frozen=True)
class Cost:
    """What a batch costs: so much whatever is in it, and so much for each event."""

    fixed_s: float
    per_event_s: float

    def seconds(self, events: float) -> float:
        return self.fixed_s + self.per_event_s * events


def fit_cost(events: Sequence[float], seconds: Sequence[float]) -> Cost:
    """The line through the batches that is least wrong in proportion, so that small batches count as much as large
    ones; neither part is below zero. Of a single size all is per event. Raises ValueError where there is no batch."""
    x, y = np.asarray(events, dtype=float), np.asarray(seconds, dtype=float)
    if not len(x):
        raise ValueError("a cost needs one batch at least")
    if x.min() == x.max():
        return Cost(0.0, float(np.median(y) / x[0]))
    weights = 1 / np.maximum(y, 1e-4)
    (fixed, per_event), _ = nnls(np.column_stack([weights, weights * x]), weights * y)
    return Cost(float(fixed), float(per_event))


def fit_slope(x: Sequence[float], y: Sequence[float]) -> Slope | None:
    """The slope of ``y`` over ``x``; None with fewer than three points or a single abscissa."""
    if len(x) < 3 or min(x) == max(x):
        return None
    found = theilslopes(y, x, alpha=0.95)
    slope, intercept = float(found.slope), float(found.intercept)
    return Slope(
        per_unit=slope,
        low=float(found.low_slope),
        high=float(found.high_slope),
        at_start=intercept + slope * min(x),
        at_end=intercept + slope * max(x),
        median=float(np.median(y)),
        points=len(x),
    )
