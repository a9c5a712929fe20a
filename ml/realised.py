"""Past predictions against what has followed, once their horizon is over. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import polars as pl

from lakehouse.contracts import ChurnPredictionHistory as H
from lakehouse.contracts import UserDays as D
from ml.evaluate import Floats, Interval, over_users, roc_auc
from ml.labels import CHURNED, midnight_of

SEED: Final = 7
ROUNDS: Final = 100


@dataclass(frozen=True)
class Realised:
    """What one model promised, and what has come of it."""

    model_version: str
    horizon_days: int
    predictions: int
    users: int
    first: date
    """Day (UTC) of the oldest prediction's ``as_of``."""
    last: date
    """Day (UTC) of the newest one's."""
    roc_auc: Interval
    """NaN where all or none churned."""
    brier: Interval
    mean_predicted: Interval
    observed_share: Interval
    """Of the predictions, those whose user churned."""

    def metrics(self) -> dict[str, float]:
        """By name; an interval is its value, and its ends as ``_low`` and ``_high``."""
        intervals = {
            "roc_auc": self.roc_auc,
            "brier": self.brier,
            "mean_predicted": self.mean_predicted,
            "observed_share": self.observed_share,
        }
        return {
            "predictions": float(self.predictions),
            "users": float(self.users),
            **{
                f"{name}{end}": value
                for name, interval in intervals.items()
                for end, value in (("", interval.value), ("_low", interval.low), ("_high", interval.high))
            },
        }


def realised(
    predictions: pl.DataFrame, user_days: pl.DataFrame, horizons: Mapping[str, int], newest: date
) -> list[Realised]:
    """What came of ``predictions``, by model version.

    ``predictions`` are rows of `ChurnPredictionHistory`; a user may have several, and intervals are over users, each
    drawn with all of them. ``user_days`` are all days of these users, whole before the day ``newest``. ``horizons``:
    days, by model version. A model that is not in it, or none of whose predictions is over, is left out.
    """
    found = []
    for version in sorted(horizons):
        rows = with_outcomes(
            predictions.filter(pl.col(H.model_version) == version), user_days, horizons[version], newest
        )
        if not rows.is_empty():
            found.append(_judged(rows, version, horizons[version]))
    return found


def with_outcomes(predictions: pl.DataFrame, user_days: pl.DataFrame, horizon_days: int, newest: date) -> pl.DataFrame:
    """Those of ``predictions`` whose whole horizon lies before the day ``newest``, with ``churned``: no event of the
    user from ``as_of``, inclusive, to ``horizon_days`` later, exclusive.
    """
    end = pl.col(H.as_of) + timedelta(days=horizon_days)
    over = predictions.filter(end <= midnight_of(newest)).sort(H.as_of)
    days = user_days.select(D.user_id, D.first_event_time, D.last_event_time).sort(D.last_event_time)
    # The first day that is not over at as_of. One with events on both sides of a bound still has its last one, or its
    # first one, inside it, for a horizon is no shorter than a day.
    following = over.join_asof(
        days, left_on=H.as_of, right_on=D.last_event_time, by=H.user_id, strategy="forward", check_sortedness=False
    )
    returned = (pl.col(D.first_event_time) < end).fill_null(value=False)
    return following.select(*predictions.columns, (~returned).alias(CHURNED))


def _judged(rows: pl.DataFrame, version: str, horizon_days: int) -> Realised:
    churned, score = rows[CHURNED].cast(pl.Float64).to_numpy(), rows[H.churn_probability].to_numpy()
    _, user = np.unique(rows[H.user_id].to_numpy(), return_inverse=True)

    def measures(weight: Floats) -> dict[str, float]:
        return {
            "roc_auc": roc_auc(churned, score, weight),
            "brier": float(np.average((score - churned) ** 2, weights=weight)),
            "mean_predicted": float(np.average(score, weights=weight)),
            "observed_share": float(np.average(churned, weights=weight)),
        }

    days = rows[H.as_of].dt.date()
    return Realised(
        model_version=version,
        horizon_days=horizon_days,
        predictions=len(rows),
        users=int(user.max()) + 1,
        first=days.min(),  # type: ignore[arg-type]
        last=days.max(),  # type: ignore[arg-type]
        **over_users(measures, user, SEED, ROUNDS),
    )
