"""How good a score is for parts of the users: the new and the old, those of one visit, those who bought, and by a
property of their events, such as the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from lakehouse.contracts import ChurnFeatures as F
from lakehouse.contracts import SilverEvents as S
from ml.evaluate import Floats, Interval, auc_interval

VALUE: Final = "value"
EVENTS: Final = "events"
LONGEST: Final = 40
"""Of a value, in characters: it becomes a line's name."""
VALUES: Final = 6
"""Of a property, the most common: users of any other are taken together."""

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


@dataclass(frozen=True)
class Property:
    """A property of users, from that of their events."""

    name: str
    of_users: pl.DataFrame
    """``user_id`` and ``value``: a row for each user of whom it is known."""

    @classmethod
    def of(cls, name: str, counted: pl.DataFrame) -> Property:
        """Each user's most frequent value of ``counted`` (rows of `property_counts`); of several the first in order."""
        summed = counted.group_by(S.user_id, VALUE).agg(pl.col(EVENTS).sum())
        ordered = summed.sort(S.user_id, EVENTS, VALUE, descending=[False, True, False])
        return cls(name, ordered.unique(S.user_id, keep="first", maintain_order=True).select(S.user_id, VALUE))


def property_counts(events: pl.DataFrame, name: str) -> pl.DataFrame:
    """``user_id``, ``value``, ``events``: how many of ``events`` (``user_id`` and ``properties`` of ``silver.events``)
    have which value of the property ``name``, cut to `LONGEST`. Those without it are left out."""
    value = pl.col(S.properties).str.json_path_match(f"$.{name}").str.head(LONGEST)
    return (
        events.select(S.user_id, value.alias(VALUE))
        .filter(pl.col(VALUE).str.len_chars() > 0)
        .group_by(S.user_id, VALUE)
        .agg(pl.len().cast(pl.Int64).alias(EVENTS))
    )


def segments(
    rows: pl.DataFrame, churned: Floats, score: Floats, lookback_days: int, seed: int, by: Property | None = None
) -> dict[str, Segment]:
    """Of ``rows`` of churn features with their outcome and score; parts may overlap, and an empty one is left out.

    ``by``: its `VALUES` most common values among ``rows`` are parts as well, and the users of whom it is not known.
    """
    new = pl.col(F.tenure_days) <= lookback_days
    parts = {
        "new: first seen within the lookback": rows.select(new),
        "old: first seen before it": rows.select(~new),
        "one visit: all events within a day": rows.select(_ONE_VISIT),
        "buyers": rows.select(pl.col(F.days_since_purchase).is_not_null()),
        **_by_value(rows, by),
    }
    found = {}
    for name, part in parts.items():
        inside = part.to_series().to_numpy()
        if inside.any():
            truth, given = churned[inside], score[inside]
            found[name] = Segment(
                int(inside.sum()), float(truth.mean()), float(given.mean()), auc_interval(truth, given, seed)
            )
    return found


def _by_value(rows: pl.DataFrame, by: Property | None) -> dict[str, pl.DataFrame]:
    """None where the property is known of nobody in ``rows``."""
    if by is None:
        return {}
    of_row = rows.select(F.user_id).join(by.of_users, on=F.user_id, how="left", maintain_order="left")
    common = of_row.drop_nulls().group_by(VALUE).len().sort("len", VALUE, descending=[True, False])[VALUE].to_list()
    if not common:
        return {}
    value, shown = pl.col(VALUE), common[:VALUES]
    return {
        **{f"{by.name} {one}": of_row.select(value.eq_missing(pl.lit(one))) for one in shown},
        f"{by.name}: any other": of_row.select(value.is_not_null() & ~value.is_in(shown)),
        f"{by.name} not known": of_row.select(value.is_null()),
    }
