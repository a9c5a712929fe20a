"""A run says the same in each of its forms."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from quality.verdicts import Run, Severity, Verdict, followed, run_from_json, run_to_json

RUN = Run(
    run_id=followed("silver.events", 3, 5),
    table_name="silver.events",
    mode="new",
    first_version=3,
    last_version=5,
    num_rows=2,
    started_at=datetime(2026, 5, 4, 10, 0, tzinfo=UTC),
    duration_seconds=0.5,
    verdicts=[
        Verdict(
            "prices_are_not_negative",
            "expect_column_values_to_be_between",
            "price",
            Severity.halt,
            "A price is at least 0.",
            success=False,
            observed={"min": -1},
            unexpected_count=1,
            examples=({"event_id": "e1", "event_time": "2026-05-04T09:59:00+00:00"},),
        ),
        Verdict("ids", "expect_column_to_exist", "id", Severity.warn, "Is there.", success=None, error="no column id"),
    ],
)


def test_a_run_survives_the_way_through_json() -> None:
    read = run_from_json(json.loads(json.dumps(run_to_json(RUN))))
    assert (read.started_at, read.failed(Severity.halt)[0].expectation) == (RUN.started_at, "prices_are_not_negative")
    assert read.rows() == RUN.rows()


def test_a_time_in_an_example_is_written_as_iso_8601() -> None:
    moment = datetime(2026, 5, 4, 9, 59, tzinfo=UTC)
    verdict = Verdict("e", "t", None, Severity.warn, "d", success=False, examples=({"event_time": moment},))
    run = Run("r", "silver.events", "full", 0, 0, 1, moment, 0.1, [verdict])
    assert run_from_json(run_to_json(run)).rows() == run.rows()
    assert run.rows()["examples"].to_pylist() == [['{"event_time": "2026-05-04T09:59:00+00:00"}']]
