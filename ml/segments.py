"""How good a score is for parts of the users: the new and the old, those of one visit, those who bought."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from lakehouse.contracts import ChurnFeatures as F
from ml.evaluate import Floats, Interval, auc_interval

_ONE_VISIT: Final = pl.col(F.tenure_days) - pl.col(F.recency_days) < 1


@dataclass(frozen=True)
class Segment:
    """A part of the users, and how good the score is there."""

    users: int
    churned: float
    """Share of them that churned."""
    mean_score: float
    roc_auc: Interval
    """NaN where all or none churned."""


def segments(rows: pl.DataFrame, churned: Floats, score: Floats, lookback_days: int, seed: int) -> dict[str, Segment]:
    """Of ``rows`` of churn features with their outcome and score; parts may overlap, and an empty one is left out."""
    new = pl.col(F.tenure_days) <= lookback_days
    parts = {
        "new: first seen within the lookback": new,
        "old: first seen before it": ~new,
        "one visit: all events within a day": _ONE_VISIT,
        "buyers": pl.col(F.days_since_purchase).is_not_null(),
    }
    found = {}
    for name, condition in parts.items():
        inside = rows.select(condition.alias(name)).to_series().to_numpy()
        if inside.any():
            truth, given = churned[inside], score[inside]
            found[name] = Segment(
                int(inside.sum()), float(truth.mean()), float(given.mean()), auc_interval(truth, given, seed)
            )
    return found
