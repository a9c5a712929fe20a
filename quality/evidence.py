"""What the report is made of: counts over time and verdicts, read from the Delta tables without a JVM.

Only what is shown is read: a few columns of each table, aggregated while they are scanned.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl
from deltalake import DeltaTable

from lakehouse.contracts import (
    FunnelSummary,
    QualityDecisions,
    QualityResults,
    SilverDuplicates,
    SilverEvents,
    SilverQuarantine,
    Table,
)
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.scans import scan_files
from quality.outages import EVENTS, HOUR
from quality.rows import TableReader

Since = datetime | timedelta | None
"""A moment; or so far back from the newest of each kind of data, whatever time it is now; or all."""

REASON: Final = "reason"
LATE: Final = "late"
COPIES: Final = "copies"
LAYER: Final = "layer"
MET: Final = "met"
RUNS: Final = "runs"
FAILED: Final = "failed"
NOT_MET_SINCE: Final = "not_met_since"
AT: Final = "at"

_Q = QualityResults
_EXPECTATION = (str(_Q.table_name), str(_Q.expectation))


@dataclass(frozen=True)
class Evidence:
    """All counts are sums; ``HOUR`` is the start of an hour, UTC."""

    events: pl.DataFrame
    """`silver.events`, all, for outages are looked for in all: event_type, ``HOUR`` of event time, ``EVENTS``."""
    counted: pl.DataFrame
    """`gold.funnel_summary`: ``HOUR`` of event time, ``EVENTS``, and those of them that were ``LATE``."""
    copies: pl.DataFrame
    """`silver.duplicates`: ``HOUR`` of event time, ``COPIES``."""
    refused: pl.DataFrame
    """`silver.quarantine`: ``HOUR`` of the broker's time, ``REASON``, rows as ``EVENTS``; a row counts for each of its
    reasons."""
    refused_rows: int
    resolved_rows: int
    """Of ``refused_rows``, those whose corrected row has come."""
    state: pl.DataFrame
    """The newest verdict on each expectation with its columns of `quality.results`, ``NOT_MET_SINCE``, and of all its
    verdicts ``RUNS`` and ``FAILED``."""
    failures: pl.DataFrame
    """The newest verdict of each expectation that was not met, with ``RUNS`` and ``FAILED``."""
    trend: pl.DataFrame
    """Verdicts by ``AT``, the start of a bar, and ``LAYER``: how many there were, ``RUNS``, and were ``MET``."""
    decisions: pl.DataFrame
    """`quality.decisions`, the newest first."""


def gather(home: Home, since: Since) -> Evidence:
    """Raises LakehouseError where the home has no events yet."""
    if not DeltaTable.is_deltatable(str(home.table(SilverEvents.name))):
        raise LakehouseError(
            f"{SilverEvents.name}: is not under {home.root} yet, so there is nothing to report; start `lakehouse up`, "
            "and let events come or `lakehouse replay` a file"
        )
    refused = _scan(home, SilverQuarantine).select(SilverQuarantine.kafka_timestamp, "reasons", "resolved_by")
    refused = _recent(refused, SilverQuarantine.kafka_timestamp, since)
    rows = refused.select(pl.len(), pl.col(SilverQuarantine.resolved_by).count().alias("resolved")).collect(
        engine="streaming"
    )
    results = _recent(_scan(home, _Q), _Q.started_at, since)
    state, failures = _verdicts(results)
    return Evidence(
        events=_by_hour(_scan(home, SilverEvents), SilverEvents.event_time, SilverEvents.event_type),
        counted=_recent_hours(_counted(home), since),
        copies=_recent_hours(
            _by_hour(_scan(home, SilverDuplicates), SilverDuplicates.event_time).rename({EVENTS: COPIES}), since
        ),
        refused=_by_hour(
            refused.explode(SilverQuarantine.reasons).rename({SilverQuarantine.reasons: REASON}),
            SilverQuarantine.kafka_timestamp,
            REASON,
        ),
        refused_rows=int(rows["len"][0]),
        resolved_rows=int(rows["resolved"][0]),
        state=state,
        failures=failures,
        trend=_trend(results),
        decisions=_scan(home, QualityDecisions).sort(QualityDecisions.decided_at, descending=True).collect(),
    )


def recent(newest: datetime, since: Since) -> datetime | None:
    """The moment that ``since`` means for data whose newest is of ``newest``."""
    return newest - since if isinstance(since, timedelta) else since


def _scan(home: Home, table: type[Table]) -> pl.LazyFrame:
    """The table at its newest version; without rows where it is not there yet."""
    if not DeltaTable.is_deltatable(str(home.table(table.name))):
        return scan_files(table, [])
    return TableReader(home, table).scan()


def _recent(rows: pl.LazyFrame, time: str, since: Since) -> pl.LazyFrame:
    newest = rows.select(pl.col(time).max()).collect(engine="streaming").item() if since is not None else None
    moment = None if newest is None else recent(newest, since)
    return rows if moment is None else rows.filter(pl.col(time) >= moment)


def _recent_hours(counts: pl.DataFrame, since: Since) -> pl.DataFrame:
    return _recent(counts.lazy(), HOUR, since).collect()


def _by_hour(rows: pl.LazyFrame, time: str, *by: str) -> pl.DataFrame:
    return (
        rows.group_by(*by, pl.col(time).dt.truncate("1h").alias(HOUR))
        .agg(pl.len().cast(pl.Int64).alias(EVENTS))
        .sort(HOUR, *by)
        .collect(engine="streaming")
    )


def _counted(home: Home) -> pl.DataFrame:
    return (
        _scan(home, FunnelSummary)
        .group_by(pl.col(FunnelSummary.window_start).dt.truncate("1h").alias(HOUR))
        .agg(pl.col(FunnelSummary.num_events).sum().alias(EVENTS), pl.col(FunnelSummary.late_events).sum().alias(LATE))
        .sort(HOUR)
        .collect(engine="streaming")
    )


def _verdicts(results: pl.LazyFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """``Evidence.state`` and ``Evidence.failures``."""
    time, success = pl.col(_Q.started_at), pl.col(_Q.success)
    thin = results.select(*_EXPECTATION, _Q.started_at, _Q.success)
    counts = thin.group_by(_EXPECTATION).agg(
        time.max().alias("last_judged"),
        time.filter(success).max().alias("last_met"),
        time.filter(~success).max().alias("last_failed"),
        success.is_not_null().sum().cast(pl.Int64).alias(RUNS),
        (~success).sum().cast(pl.Int64).alias(FAILED),
    )
    begun = (
        thin.join(counts, on=_EXPECTATION)
        .filter(~success & (pl.col("last_met").is_null() | (time > pl.col("last_met"))))
        .group_by(_EXPECTATION)
        .agg(time.min().alias(NOT_MET_SINCE))
    )
    known = counts.join(begun, on=_EXPECTATION, how="left").collect(engine="streaming")
    return tuple(  # type: ignore[return-value]
        results.join(known.lazy(), left_on=[*_EXPECTATION, _Q.started_at], right_on=[*_EXPECTATION, moment])
        .collect(engine="streaming")
        .unique(_EXPECTATION, keep="last", maintain_order=True)
        .sort(_EXPECTATION)
        for moment in ("last_judged", "last_failed")
    )


def _trend(results: pl.LazyFrame) -> pl.DataFrame:
    time = pl.col(_Q.started_at)
    first, last = results.select(time.min().alias("first"), time.max().alias("last")).collect(engine="streaming").row(0)
    every = bucket_of(first, last) if isinstance(first, datetime) else "1h"
    return (
        results.filter(pl.col(_Q.success).is_not_null())
        .group_by(time.dt.truncate(every).alias(AT), pl.col(_Q.table_name).str.split(".").list.first().alias(LAYER))
        .agg(pl.len().cast(pl.Int64).alias(RUNS), pl.col(_Q.success).sum().cast(pl.Int64).alias(MET))
        .sort(AT, LAYER)
        .collect(engine="streaming")
    )


def bucket_of(first: datetime, last: datetime) -> str:
    """The length of a bar, in polars' words, so that there are about a hundred at most."""
    span = last - first
    for hours, name in ((2, "1m"), (12, "10m"), (96, "1h"), (100 * 24, "1d")):
        if span <= timedelta(hours=hours):
            return name
    return "1w"


def now() -> datetime:
    """The moment at which the report is made; no number in it depends on it."""
    return datetime.now(UTC)
