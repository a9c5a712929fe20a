"""The mirrors of silver, gold and the verdicts in Postgres, and what the streams say of themselves there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from psycopg2.extensions import connection as Connection

from lakehouse.contracts import (
    Cohorts,
    FunnelSummary,
    FunnelWindows,
    QualityDecisions,
    QualityResults,
    SessionFunnel,
    SilverEvents,
    Table,
)
from lakehouse.stages import Context, Stage
from serving.follower import PostgresFollower
from serving.mirror import (
    COHORTS,
    FUNNEL_SUMMARY,
    FUNNEL_WINDOWS,
    QUALITY_DECISIONS,
    QUALITY_RESULTS,
    RAW_EVENTS,
    SESSION_FUNNEL,
    HistoryPoint,
    StreamStatus,
    apply_cohorts,
    apply_funnel_summary,
    apply_funnel_windows,
    apply_quality_decisions,
    apply_quality_results,
    apply_raw_events,
    apply_session_funnel,
    drop_expired,
    drop_expired_verdicts,
    write_status,
)
from serving.postgres import connect
from serving.sink import Applied, MirrorBatch

STATUS_INTERVAL_S = 1.0
HISTORY_INTERVAL_S = 10.0
STATUS_RETRY_S = 30.0
"""After a failure: where Postgres hangs, each try holds up the stages for seconds."""


@dataclass(frozen=True)
class Mirror:
    """A table in Postgres and where it comes from."""

    name: str
    origin: type[Table]
    apply: Callable[[Connection, pa.Table, MirrorBatch], Applied]


MIRRORS = (
    Mirror(RAW_EVENTS, SilverEvents, apply_raw_events),
    Mirror(FUNNEL_WINDOWS, FunnelWindows, apply_funnel_windows),
    Mirror(FUNNEL_SUMMARY, FunnelSummary, apply_funnel_summary),
    Mirror(SESSION_FUNNEL, SessionFunnel, apply_session_funnel),
    Mirror(COHORTS, Cohorts, apply_cohorts),
    Mirror(QUALITY_RESULTS, QualityResults, apply_quality_results),
    Mirror(QUALITY_DECISIONS, QualityDecisions, apply_quality_decisions),
)


def stages(context: Context) -> list[Stage]:
    return [MirrorStage(context, mirror) for mirror in MIRRORS]


class MirrorStage(PostgresFollower):
    """A table and its mirror, row by row."""

    def __init__(self, context: Context, mirror: Mirror) -> None:
        super().__init__(context, mirror.name, mirror.origin)
        self.mirror = mirror

    def apply(self, rows: pa.Table, batch: MirrorBatch) -> Applied:
        return self.mirror.apply(self.connected(), rows, batch)

    def tidy(self) -> None:
        if self.name == RAW_EVENTS:
            drop_expired(self.connected(), self.context.settings.raw_events_days)
        elif self.name == QUALITY_RESULTS:
            drop_expired_verdicts(self.connected(), self.context.settings.quality_days)


@dataclass
class Batches:
    """The batches that there were since they were last noted: one that is reported again and again is one."""

    longest: dict[str, float] = field(default_factory=dict)
    """Seconds of the longest batch of each stream that had one."""
    _last: dict[str, Any] = field(default_factory=dict)

    def see(self, streams: Mapping[str, Mapping[str, Any]]) -> None:
        """``streams`` is of the writer's document; of several batches between two of these the last is seen."""
        for name, stream in streams.items():
            batch = stream["last_batch"]
            if batch is not None and batch != self._last.get(name):
                self._last[name] = batch
                self.longest[name] = max(batch["seconds"], self.longest.get(name, 0.0))


class StatusReporter:
    """Writes what the streams say of themselves into ``pipeline_status``, and its course over the last day into
    ``pipeline_history``, where the dashboard reads it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._batches = Batches()
        self._connection: Connection | None = None
        self._next = 0.0
        self._next_note = 0.0

    def __call__(self, state: Mapping[str, Any]) -> None:
        """``state`` is the writer's document; where Postgres is away the mirrors say so, and this waits for it."""
        self._batches.see(state["streams"])
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + STATUS_INTERVAL_S
        try:
            if self._connection is None:
                dsn = self._context.endpoints.postgres_writer
                self._connection = connect(dsn, application_name="status", connect_timeout_s=2)
            statuses = [_status(name, stream, state) for name, stream in state["streams"].items()]
            is_due = time.monotonic() >= self._next_note
            noted = _noted(statuses, state["tables"], self._batches.longest) if is_due else []
            write_status(self._connection, statuses, noted)
            if noted:
                self._batches.longest.clear()
                self._next_note = time.monotonic() + HISTORY_INTERVAL_S
        except Exception:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            self._next = time.monotonic() + STATUS_RETRY_S


def _status(name: str, stream: Mapping[str, Any], state: Mapping[str, Any]) -> StreamStatus:
    batch = stream["last_batch"] or {}
    return StreamStatus(
        stream=name,
        state=stream["state"],
        rows_total=stream["rows"],
        last_batch_id=batch.get("id"),
        last_batch_rows=batch.get("rows"),
        last_batch_seconds=batch.get("seconds"),
        watermark=state["watermark"] if name == "gold" else None,
        lag_events=state["lag_events"] if name == "bronze" else None,
        lag_seconds=stream["lag_seconds"],
        error=stream["error"],
        since=stream["since"],
    )


def _noted(
    statuses: Sequence[StreamStatus], tables: Mapping[str, int], longest: Mapping[str, float]
) -> list[HistoryPoint]:
    """Of the streams, with the ``longest`` batch since the last note, and of the tables by their rows."""
    streams = [
        HistoryPoint(s.stream, s.rows_total, s.lag_events, s.lag_seconds, longest.get(s.stream)) for s in statuses
    ]
    return [*streams, *(HistoryPoint(name, rows) for name, rows in tables.items())]
