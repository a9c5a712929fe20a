"""How the streams do, and how fresh the mirrors are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg2.extensions import cursor as Cursor

from dashboard.database import rows

_STREAMS = """
SELECT stream, state, rows_total, last_batch_rows, last_batch_seconds, watermark, lag_events, lag_seconds,
       left(error, 2000) AS error, since, updated_at
FROM pipeline_status ORDER BY stream LIMIT 50
"""

_FRESHNESS = """
SELECT now() AS read_at, (SELECT max(event_time) FROM raw_events) AS newest_event,
       (SELECT max(applied_at) FROM mirror_ledger) AS mirrored_at,
       (SELECT model_version FROM churn_prediction ORDER BY churn_probability DESC NULLS LAST LIMIT 1) AS scored_by
"""


@dataclass(frozen=True)
class Stream:
    """A row of ``pipeline_status``."""

    stream: str
    state: str
    rows_total: int
    last_batch_rows: int | None
    last_batch_seconds: float | None
    watermark: datetime | None
    lag_events: int | None
    lag_seconds: float | None
    error: str | None
    since: datetime | None
    updated_at: datetime


@dataclass(frozen=True)
class Pipeline:
    """How the streams do, and how fresh the mirrors are. All times are by the server's clock."""

    read_at: datetime
    streams: tuple[Stream, ...]
    newest_event: datetime | None
    mirrored_at: datetime | None
    """When the last batch was mirrored."""
    scored_by: str | None
    """The churn model that scored the user most at risk; None while nobody is scored."""

    @property
    def watermark(self) -> datetime | None:
        """Up to when windows are final."""
        return max((stream.watermark for stream in self.streams if stream.watermark), default=None)

    @property
    def reported_at(self) -> datetime | None:
        return max((stream.updated_at for stream in self.streams), default=None)


def pipeline_of(cursor: Cursor) -> Pipeline:
    (fresh,) = rows(cursor, _FRESHNESS)
    streams = tuple(Stream(*row) for row in rows(cursor, _STREAMS))
    return Pipeline(fresh.read_at, streams, fresh.newest_event, fresh.mirrored_at, fresh.scored_by)
