"""Batches of bronze made in bulk, where Kafka would only slow a test of what comes after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from lakehouse.contracts import BronzeEvents as B
from lakehouse.frames import conform

START: Final = datetime(2025, 1, 6, tzinfo=UTC)
SOURCE: Final = "growth"
LATENESS: Final = timedelta(days=7)

_PARTITIONS: Final = 4
_OPEN_SESSIONS: Final = 200
_SESSION_EVENTS: Final = 6
_TYPES: Final = ("view", "add_to_cart", "purchase")
_CATEGORIES: Final = ("apparel", "bags", "drinkware", "electronics", "home", "office", "shoes", "toys")


@dataclass(frozen=True)
class Shape:
    """What the events are like."""

    events_per_day: int = 1_000_000
    """Of event time."""
    users: int = 50_000
    late_share: float = 0.0
    """A week late."""


def bronze_batch(first: int, rows: int, shape: Shape) -> pa.Table:
    """The events number ``first`` to ``first + rows - 1`` as bronze holds them; the same numbers, the same events.

    Each comes when it happens, but for ``late_share``, which happened a week before. 200 sessions of six events are
    open at any time.
    """
    random = np.random.default_rng(first)
    number = np.arange(first, first + rows, dtype=np.int64)
    session = number % _OPEN_SESSIONS + _OPEN_SESSIONS * (number // (_OPEN_SESSIONS * _SESSION_EVENTS))
    received = number * (86_400_000_000 // shape.events_per_day)
    late = random.random(rows) < shape.late_share
    happened = received - late * (LATENESS // timedelta(microseconds=1))
    frame = pl.DataFrame(
        {
            "number": number,
            "user": pl.Series(session * 2_654_435_761 % shape.users).cast(pl.String).str.zfill(6),
            "session": session,
            "type": np.array(_TYPES)[np.searchsorted((0.6, 0.9), random.random(rows))],
            "product": random.integers(0, 400, rows),
            "category": np.array(_CATEGORIES)[random.integers(0, len(_CATEGORIES), rows)],
            "cents": random.integers(100, 20_000, rows),
            "received": _moment(received),
            "happened": _moment(happened),
        }
    )
    fields = (
        ('{"event_id":"g-', pl.col("number")),
        ('","user_id":"u', pl.col("user")),
        ('","event_type":"', pl.col("type")),
        ('","timestamp":"', pl.col("happened").dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ")),
        ('","session_id":"s-', pl.col("session")),
        ('","product_id":"p', pl.col("product")),
        ('","category":"', pl.col("category")),
        ('","price":', pl.col("cents") / 100),
    )
    value = pl.concat_str(*(part for name, column in fields for part in (pl.lit(name), column)), pl.lit("}"))
    bronze = frame.select(
        pl.lit(SOURCE).alias(B.source_id),
        (pl.col("number") % _PARTITIONS).cast(pl.Int32).alias(B.partition),
        (pl.col("number") // _PARTITIONS).alias(B.offset),
        pl.concat_str(pl.lit("u"), "user").cast(pl.Binary).alias(B.message_key),
        value.cast(pl.Binary).alias(B.value),
        pl.lit(SOURCE).alias(B.topic),
        pl.col("received").alias(B.kafka_timestamp),
        pl.col("received").alias(B.ingested_at),
        pl.col("received").dt.date().alias(B.ingest_date),
    ).to_arrow()
    return conform(bronze.append_column(str(B.headers), pa.nulls(rows)), B)


def ends(through: int) -> dict[str, int]:
    """The next offsets, by ``source_id/partition``, when the events before number ``through`` are in."""
    return {f"{SOURCE}/{p}": (through - p + _PARTITIONS - 1) // _PARTITIONS for p in range(_PARTITIONS)}


def _moment(since_start_us: npt.NDArray[np.int64]) -> pl.Series:
    start_us = (START - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return pl.Series(since_start_us + start_us).cast(pl.Datetime("us", "UTC"))
