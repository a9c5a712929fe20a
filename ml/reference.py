"""The two sets of real data that results are reported on, read from the folder ``data`` beside DESIGN.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from gold.user_days import user_days
from lakehouse import event
from lakehouse.contracts import SilverEvents as S
from ml.dataset import Cuts, training_cuts
from ml.segments import Property, property_counts
from ml.training import Plan

SESSION_IDS_CAP: Final = 1_000


@dataclass(frozen=True)
class Reference:
    """Data with the plan that its results are reported for."""

    title: str
    read: Callable[[Path], pl.DataFrame]
    plan: Plan

    def user_days(self, folder: Path) -> pl.DataFrame:
        return user_days(self.read(folder), SESSION_IDS_CAP)

    def devices(self, folder: Path) -> Property:
        """Each user's before the test's cut, as far as they are known."""
        before = self.read(folder).filter(pl.col(S.event_time) < self.plan.cuts.test)
        return Property.of("device", property_counts(before, "device"))


FOLDER: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Where the data lie beside a checkout."""


def ga4_events(folder: Path) -> pl.DataFrame:
    """Shop events as rows of ``silver.events`` (what days are made of), as the mapping ``ga4`` reads them."""
    return _events(
        folder / "ga4_store_events.csv.gz",
        "%Y-%m-%dT%H:%M:%S%.fZ",
        pl.col("event_type").replace({"view_item": event.VIEW}),
        pl.col("session_id"),
        pl.struct("device").struct.json_encode(),
    )


def cdnow_events(folder: Path) -> pl.DataFrame:
    """Purchases by day as rows of ``silver.events``, as the mapping ``cdnow`` reads them; equal lines are two."""
    absent = pl.lit(None, pl.String)
    return _events(folder / "cdnow_purchases.csv.gz", "%Y-%m-%d", pl.col("event_type"), absent, absent)


def _events(file: Path, time_format: str, kind: pl.Expr, session: pl.Expr, properties: pl.Expr) -> pl.DataFrame:
    items = pl.col("n_items").cast(pl.Int32)
    time = pl.col("event_time").str.to_datetime(time_format, time_unit="us").dt.replace_time_zone("UTC")
    return pl.read_csv(file, infer_schema=False).select(
        pl.col("user_id").alias(S.user_id),
        kind.alias(S.event_type),
        time.alias(S.event_time),
        session.alias(S.session_id),
        pl.when(items > 0).then(pl.col("value").cast(pl.Float64) / items).cast(pl.Decimal(18, 4)).alias(S.price),
        pl.when(items > 0).then(items).alias(S.quantity),
        properties.alias(S.properties),
    )


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


_GA4_TEST, _CDNOW_TEST = _utc("2021-01-01"), _utc("1998-01-01")

GA4: Final = Reference(
    "GA4 shop, 30 days",
    ga4_events,
    # Two cuts, since the data begin on 1 November: before December a lookback of 30 days is not full.
    Plan(Cuts(training_cuts(_GA4_TEST, 30, every_days=1, number=2), _GA4_TEST, 30, 30), "users"),
)
CDNOW: Final = Reference(
    "CDNOW, 91 days, all history",
    cdnow_events,
    Plan(Cuts(training_cuts(_CDNOW_TEST, 91, every_days=91, number=2), _CDNOW_TEST, 91, 365), "time"),
)
REFERENCES: Final = (GA4, CDNOW)
