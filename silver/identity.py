"""Which rows of a batch are new events, which are copies, and which reuse an id: one SQL text, two engines.

The key is (``event_id``, time in milliseconds); within the batch the lowest coordinates win. An id that is known with
another time is reused. What a replay of the same batch finds in silver under its own coordinates is ``event`` again, so
that its copies are found as copies then too.

Small batches are judged in this process, by polars; large ones, and all on a cluster, by Spark.
"""

from __future__ import annotations

import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame

from lakehouse.contracts import SilverEvents as S
from lakehouse.frames import Frame

JOIN_ID = "join_id"
"""The event's id; null for a row that a predicate refuses, which is compared with nothing."""
TIME_MS = "time_ms"
COORDINATES = (S.source_id, S.partition, S.offset)
BATCH_COLUMNS = (JOIN_ID, TIME_MS, *COORDINATES)
EXISTING_COLUMNS = (S.event_id, TIME_MS, *COORDINATES)

OUTCOME = "outcome"
NEW = "new"
"""The row is an event that is not in silver yet."""
EVENT = "event"
"""The row is in silver already: itself, not a copy of it."""
DUPLICATE = "duplicate"
REFUSED = "refused"
"""A predicate refuses the row."""
REUSED = "reused"
"""Refused, for its event_id is known with another time."""

# Qualified names throughout: bare, "offset" is a keyword to one of the engines.
_SQL = f"""
WITH ranked AS (
    SELECT b.*,
        row_number() OVER (PARTITION BY b.{JOIN_ID} ORDER BY b.source_id, b.partition, b.offset) AS place,
        first_value(b.{TIME_MS}) OVER (PARTITION BY b.{JOIN_ID} ORDER BY b.source_id, b.partition, b.offset) AS first_ms
    FROM {{batch}} AS b
),
seen AS (SELECT DISTINCT e.event_id FROM {{existing}} AS e)
SELECT r.*,
    CASE
        WHEN r.{JOIN_ID} IS NULL THEN '{REFUSED}'
        WHEN k.source_id = r.source_id AND k.partition = r.partition AND k.offset = r.offset THEN '{EVENT}'
        WHEN k.source_id IS NOT NULL THEN '{DUPLICATE}'
        WHEN s.event_id IS NOT NULL OR r.{TIME_MS} <> r.first_ms THEN '{REUSED}'
        WHEN r.place = 1 THEN '{NEW}'
        ELSE '{DUPLICATE}'
    END AS {OUTCOME}
FROM ranked AS r
LEFT JOIN {{existing}} AS k ON r.{JOIN_ID} = k.event_id AND r.{TIME_MS} = k.{TIME_MS}
LEFT JOIN seen AS s ON r.{JOIN_ID} = s.event_id
"""  # noqa: S608 (names of ours, nothing from outside)


def classify(batch: Frame, existing: DataFrame | pl.DataFrame) -> Frame:
    """``batch`` with its columns, ``BATCH_COLUMNS`` among them, and ``outcome``; in no order.

    ``existing`` holds, of the rows of ``silver.events``, at least those near the batch's times that have an id of the
    batch (``EXISTING_COLUMNS``). Both are of one engine.
    """
    if isinstance(batch, pa.Table):
        thin = pl.DataFrame(batch.select([str(c) for c in BATCH_COLUMNS])).with_row_index("row")
        context = pl.SQLContext(batch=thin, existing=existing)
        judged = context.execute(_SQL.format(batch="batch", existing="existing"), eager=True).sort("row")
        return batch.append_column(OUTCOME, judged[OUTCOME].to_arrow().cast(pa.string()))
    return batch.sparkSession.sql(_SQL, batch=batch, existing=existing)
