"""Rows as a person writes them, as the Arrow tables that Spark and delta-rs hand over; and rows read back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from deltalake import Schema
from psycopg2.extensions import connection as Connection

from lakehouse.contracts import FunnelSummary, FunnelWindows, SilverEvents, Table
from serving.postgres import transaction
from serving.sink import MirrorBatch

INSERT, BEFORE, AFTER, DELETE = "insert", "update_preimage", "update_postimage", "delete"


def at(text: str, day: str = "2025-03-01") -> datetime:
    """``at("10:20")``: that time of the first of March 2025, UTC."""
    return datetime.fromisoformat(f"{day}T{text}+00:00")


def batch(batch_id: int, generation: int = 0, query: str = "q") -> MirrorBatch:
    return MirrorBatch(query, generation, batch_id, source_version=batch_id)


def event(event_id: str, time: datetime, **fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "event_id": event_id,
        "user_id": "ann",
        "event_type": "view",
        "event_time": time,
        "price": Decimal("9.9000"),
        "quantity": 1,
        "source_id": "topic-1",
        "partition": 0,
        "offset": 0,
        "kafka_timestamp": time,
    }
    row.update(fields)
    return {**row, "event_date": row["event_time"].date(), "arrival": "on_time"}


def events(*rows: dict[str, Any]) -> pa.Table:
    return _table(SilverEvents, rows)


def summary(user: str, start: datetime, views: int, **fields: Any) -> dict[str, Any]:
    return {
        "window_start": start,
        "window_end": start + timedelta(minutes=10),
        "user_id": user,
        "num_views": views,
        "num_add_to_cart": 0,
        "num_purchases": 0,
        "num_events": views,
        "sessions": 1,
        "first_event_time": start,
        "last_event_time": start,
        "late_events": 0,
        "is_final": False,
        "session_ids": ["s1"],
        "sessions_capped": False,
        "window_date": start.date(),
        **fields,
    }


def window(start: datetime, event_type: str, n: int) -> dict[str, Any]:
    end = start + timedelta(minutes=10)
    return {
        "window_start": start,
        "window_end": end,
        "event_type": event_type,
        "num_events": n,
        "window_date": start.date(),
    }


def feed(
    table: type[FunnelSummary] | type[FunnelWindows] | type[SilverEvents], *changes: tuple[int, str, dict[str, Any]]
) -> pa.Table:
    """The change feed: (commit version, change type, row) each."""
    rows = _table(table, [row for _, _, row in changes])
    return (
        rows.append_column("_change_type", pa.array([kind for _, kind, _ in changes], pa.string()))
        .append_column("_commit_version", pa.array([version for version, _, _ in changes], pa.int64()))
        .append_column("_commit_timestamp", pa.array([datetime.now(UTC)] * len(changes), pa.timestamp("ms")))
    )


def read(conn: Connection, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with transaction(conn) as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchall()


def _table(table: type[Table], rows: Sequence[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=pa.schema(Schema.from_json(table.schema_json()).to_arrow()))
