"""The mirrors: each follows the change feed of one Delta table, version by version, into Postgres.

The position is the ledger's newest row, written in the transaction of the rows, so there is no checkpoint that could
disagree with it: a Postgres restored from a backup is simply further behind. The feed is read by delta-rs. Spark's
``foreachBatch`` over the same feed was measured first: starting its query took 0.35 to 0.5 s for each of the three
mirrors in every round, where reading the versions of a round takes 20 ms.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
import pyarrow as pa
from deltalake import DeltaTable
from psycopg2.extensions import connection as Connection

from lakehouse.commits import Commit
from lakehouse.contracts import FunnelSummary, FunnelWindows, SilverEvents, Table
from lakehouse.faultpoints import reach
from lakehouse.follow import Follower
from lakehouse.stages import Context, Lane, Stage, utc_now
from serving.mirror import (
    FUNNEL_SUMMARY,
    FUNNEL_WINDOWS,
    RAW_EVENTS,
    Applied,
    MirrorBatch,
    StreamStatus,
    apply_funnel_summary,
    apply_funnel_windows,
    apply_raw_events,
    drop_expired,
    last_applied,
    truncate_mirror,
    write_status,
)
from serving.postgres import connect, unreachable

STATUS_INTERVAL_S = 1.0
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
)


def stages(context: Context) -> list[Stage]:
    return [MirrorStage(context, mirror) for mirror in MIRRORS]


class MirrorStage(Follower):
    """Applies the versions of its table that the ledger does not have yet, each range in one transaction."""

    lane = Lane.mirrors

    def __init__(self, context: Context, mirror: Mirror) -> None:
        super().__init__(context)
        self.mirror = mirror
        self.name = mirror.name
        self.origin = mirror.origin
        self._connection: Connection | None = None
        self._feed: DeltaTable | None = None
        """A handle of its own: the store's is at work in another thread."""

    def open(self) -> None:
        """Nothing is asked of Postgres yet: where it is away, only the mirrors wait."""

    def run(self) -> None:
        try:
            super().run()
            if self.name == RAW_EVENTS:
                drop_expired(self._connected(), self.context.settings.raw_events_days)
        except psycopg2.OperationalError as error:
            self.close()
            raise unreachable(self.context.endpoints.postgres_writer, error) from None
        except BaseException:
            self.close()
            raise

    def reached(self) -> int:
        connection = self._connected()
        last = last_applied(connection, self.name)
        position = -1 if last is None or last.source_version is None else last.source_version
        if position > self.context.store.version(self.origin):
            self.context.log(f"{self.name}: Postgres is ahead of {self.origin.name}; it is mirrored again")
            truncate_mirror(connection, self.name, self.name)
            return -1
        return position

    def take(self, first: int, last: int) -> None:
        began = utc_now()
        if not any(version.changes_rows for version in self.context.store.versions(self.origin, first, last)):
            return
        rows = self._changes(first, last)
        applied = self.mirror.apply(self._connected(), rows, MirrorBatch(self.name, 0, last, last))
        reach("after-mirror-commit")
        self.state.taken(
            Commit(self.name, 0, last, source_version=last, rows_in=applied.rows, rows_out=applied.rows), began
        )

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = connect(self.context.endpoints.postgres_writer, application_name=f"mirror {self.name}")
        return self._connection

    def _changes(self, first: int, last: int) -> pa.Table:
        """The change feed of the versions from ``first`` to ``last``, both included; the rows alone if all are new."""
        appended = self.context.store.appended(self.origin, first, last)
        if appended is not None:
            return appended
        if self._feed is None:
            self._feed = DeltaTable(self.context.store.path(self.origin))
        else:
            self._feed.update_incremental()
        return _without_views(pa.table(self._feed.load_cdf(starting_version=first, ending_version=last)))

    def close(self) -> None:
        """Forgets the connection and the position: both are asked for anew."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self.position = None


def _without_views(rows: pa.Table) -> pa.Table:
    """delta-rs hands out string views, for which pyarrow has few kernels yet."""
    views = {pa.string_view(): pa.string(), pa.list_(pa.string_view()): pa.list_(pa.string())}
    return rows.cast(pa.schema([field.with_type(views.get(field.type, field.type)) for field in rows.schema]))


class StatusReporter:
    """Writes what the streams say of themselves into ``pipeline_status``, where the dashboard reads it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._connection: Connection | None = None
        self._next = 0.0

    def __call__(self, state: Mapping[str, Any]) -> None:
        """``state`` is the writer's document; where Postgres is away the mirrors say so, and this waits for it."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + STATUS_INTERVAL_S
        try:
            if self._connection is None:
                dsn = self._context.endpoints.postgres_writer
                self._connection = connect(dsn, application_name="status", connect_timeout_s=2)
            write_status(self._connection, [_status(name, stream, state) for name, stream in state["streams"].items()])
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
