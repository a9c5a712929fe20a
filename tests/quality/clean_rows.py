"""A row of each table as it should be; tests break one thing in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa

from lakehouse.frames import empty, to_arrow
from quality.suite import CONTRACTS

DAY = date(2026, 5, 4)


def at(time: str) -> datetime:
    """A moment of 4 May 2026, UTC: ``10:03`` or ``10:03:20``."""
    return datetime.fromisoformat(f"{DAY}T{time}").replace(tzinfo=UTC)


PLACE = {"source_id": "topic-1", "partition": 0, "offset": 7}
RECEIVED = {
    **PLACE,
    "value": b"{}",
    "topic": "user_events",
    "kafka_timestamp": at("10:03"),
    "ingested_at": at("10:03:01"),
    "ingest_date": DAY,
}
COUNTS = {
    "num_views": 3,
    "num_add_to_cart": 1,
    "num_purchases": 1,
    "num_events": 6,
    "sessions": 2,
    "first_event_time": at("10:01"),
    "last_event_time": at("10:09:59"),
}
SESSIONS = {"session_ids": ["s1", "s2"], "sessions_capped": False}
WINDOW = {"window_start": at("10:00"), "window_end": at("10:10"), "window_date": DAY}

CLEAN: Mapping[str, Mapping[str, Any]] = {
    "bronze.user_events": RECEIVED,
    "silver.events": {
        **PLACE,
        "event_id": "e7",
        "user_id": "ann",
        "event_type": "purchase",
        "event_time": at("10:02:59"),
        "session_id": "s1",
        "price": Decimal("19.90"),
        "quantity": 1,
        "currency": "EUR",
        "kafka_timestamp": at("10:03"),
        "event_date": DAY,
        "arrival": "on_time",
    },
    "silver.duplicates": {**PLACE, "event_id": "e6", "event_time": at("10:02")},
    "silver.quarantine": {
        **RECEIVED,
        "reasons": ["missing_user", "wrong_type:price"],
        "quarantined_at": at("10:03:01"),
    },
    "gold.funnel_summary": {**WINDOW, **COUNTS, **SESSIONS, "user_id": "ann", "late_events": 0, "is_final": False},
    "gold.funnel_windows": {**WINDOW, "event_type": "view", "num_events": 3},
    "gold.user_days": {
        **COUNTS,
        **SESSIONS,
        "user_id": "ann",
        "date": DAY,
        "last_purchase_time": at("10:09"),
        "revenue": Decimal("19.90"),
        "active_hours": 1 << 10,
    },
    "gold.churn_features": {
        **COUNTS,
        "user_id": "ann",
        "as_of": at("12:00"),
        "active_days": 1,
        "active_hours": 1,
        "view_to_cart_rate": 1 / 3,
        "cart_to_purchase_rate": 1.0,
        "view_to_purchase_rate": 1 / 3,
        "recency_days": 0.1,
        "tenure_days": 0.1,
        "frequency": 1.0,
        "trend": 1.0,
        "revenue": 19.9,
    },
    "gold.session_days": {
        **{name: value for name, value in COUNTS.items() if name != "sessions"},
        "user_id": "ann",
        "session_id": "s1",
        "date": DAY,
        "first_view_time": at("10:02"),
        "cart_times": [at("10:05")],
        "purchase_times": [at("10:09")],
        "steps_capped": False,
        "revenue": Decimal("19.90"),
        "dimensions": [{"name": "device", "value": "mobile", "time": at("10:01")}],
    },
    "gold.session_funnel": {
        "hour": at("10:00"),
        "dimension": "device",
        "value": "mobile",
        "sessions": 5,
        "viewed": 4,
        "carted": 3,
        "purchased": 1,
        "bought": 2,
        "num_events": 9,
        "revenue": Decimal("19.90"),
        "seconds_to_cart": 600,
        "seconds_to_purchase": 420,
        "purchased_1m": 0,
        "purchased_5m": 0,
        "purchased_15m": 1,
        "purchased_1h": 0,
        "purchased_6h": 0,
        "purchased_later": 0,
        "date": DAY,
    },
    "gold.cohorts": {"unit": "week", "cohort": DAY, "period": 1, "users": 3},
    "postgres.raw_events": {"part": str(DAY), "rows_in_delta": 6, "rows_in_mirror": 6, "wrong_rows": 0},
    "postgres.funnel_summary": {
        "part": str(DAY),
        "rows_in_delta": 1,
        "rows_in_mirror": 1,
        "events_in_delta": 6,
        "events_in_mirror": 6,
        "wrong_rows": 0,
    },
    "postgres.churn_prediction": {
        "part": "all",
        "rows_in_delta": 1,
        "rows_in_mirror": 1,
        "unknown_users": 0,
        "wrong_rows": 0,
    },
}


def rows(table: str, *changes: Mapping[str, Any]) -> pa.Table:
    """A clean row for each of ``changes``, with these made; one clean row without any."""
    made = [{**CLEAN[table], **change} for change in changes or ({},)]
    if table not in CONTRACTS:
        return pa.Table.from_pylist(made)
    return to_arrow(pl.DataFrame(made, schema=pl.DataFrame(empty(CONTRACTS[table])).schema))
