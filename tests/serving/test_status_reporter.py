"""What the writer says of itself reaches Postgres: the streams as they are, and their course."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from psycopg2.extensions import connection as Connection
from serving_rows import read

from lakehouse.endpoints import Endpoints
from serving.stream import Batches, StatusReporter


def stream(**says: Any) -> dict[str, Any]:
    return {"state": "idle", "rows": 0, "lag_seconds": None, "last_batch": None, "error": None, "since": None, **says}


def test_streams_and_tables_are_noted_and_not_at_every_report(endpoints: Endpoints, reader: Connection) -> None:
    reporter = StatusReporter(cast(Any, SimpleNamespace(endpoints=endpoints)))
    bronze = stream(rows=7, lag_seconds=1.5, last_batch={"id": 3, "rows": 5, "seconds": 0.25})
    state = {"watermark": None, "lag_events": 9, "tables": {"silver.duplicates": 2}, "streams": {"bronze": bronze}}

    reporter(state)
    reporter._next = 0  # as if a second had passed
    reporter(state | {"streams": {"bronze": bronze | {"rows": 8}}})

    assert read(reader, "SELECT stream, rows_total, lag_events FROM pipeline_status") == [("bronze", 8, 9)]
    assert read(
        reader,
        "SELECT name, rows_total, lag_events, lag_seconds, batch_seconds FROM pipeline_history ORDER BY name",
    ) == [("bronze", 7, 9, 1.5, 0.25), ("silver.duplicates", 2, None, None, None)]


def test_a_batch_is_noted_once_however_often_it_is_reported_and_of_several_the_longest() -> None:
    def after(batch: int, seconds: float) -> dict[str, Any]:
        return {"bronze": stream(last_batch={"id": batch, "rows": 5, "seconds": seconds}), "silver": stream()}

    batches = Batches()
    for batch, seconds in ((1, 0.5), (2, 2.0), (2, 2.0), (3, 0.25)):
        batches.see(after(batch, seconds))
    assert batches.longest == {"bronze": 2.0}

    batches.longest.clear()  # noted
    batches.see(after(3, 0.25))
    assert batches.longest == {}
