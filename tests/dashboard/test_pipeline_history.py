"""Rates from the totals that were reported, and shares from the rows of tables."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from dashboard.legend import legend
from dashboard.pipeline.charts import by_name
from dashboard.pipeline.history import by_layer, newest_rate, rates, shares

MINUTE = timedelta(minutes=1)


def history(*points: tuple[str, str, int]) -> pl.DataFrame:
    """Rows are time of the report, name, rows in total."""
    moments = [datetime.fromisoformat(f"2025-03-01T{time}+00:00") for time, _, _ in points]
    return pl.DataFrame(
        {
            "bucket": [moment.replace(second=0) for moment in moments],
            "reported_at": moments,
            "name": [name for _, name, _ in points],
            "rows_total": [total for _, _, total in points],
            "lag_seconds": [None for _ in points],
            "batch_seconds": [None for _ in points],
        },
        schema_overrides={"lag_seconds": pl.Float64, "batch_seconds": pl.Float64},
    )


def test_a_rate_is_what_was_added_between_two_reports() -> None:
    rated = rates(history(("10:00:50", "a", 100), ("10:01:50", "a", 160), ("10:02:10", "a", 360)), MINUTE)
    assert rated["per_second"].to_list() == [None, 1.0, 10.0]
    assert newest_rate(rated, "a") == 10.0
    assert newest_rate(rated, "b") is None


def test_no_rate_is_made_up_after_a_rebuild_or_a_silence() -> None:
    rated = rates(history(("10:00:00", "a", 100), ("10:01:00", "a", 40), ("10:09:00", "a", 900)), MINUTE)
    assert rated["per_second"].to_list() == [None, None, None]


def test_shares_are_of_the_messages_that_came_in_the_same_minute() -> None:
    tables = {"bronze.user_events": (100, 300, 300), "silver.duplicates": (0, 10, 10), "silver.quarantine": (5, 5, 6)}
    points = [
        (f"10:0{minute}:00", name, total) for name, totals in tables.items() for minute, total in enumerate(totals)
    ]
    (found,) = shares(rates(history(*points), MINUTE)).rows(named=True)
    assert (found["bucket"].minute, found["duplicates"], found["refused"]) == (1, 5.0, 0.0)


def test_what_is_not_known_is_a_gap_in_the_line() -> None:
    rated = rates(history(("10:00:00", "a", 100), ("10:01:00", "a", 160)), MINUTE)
    (series,) = by_name(rated, ["a"], "per_second", "rows/s")["series"]
    start = 1_740_823_200_000  # 2025-03-01 10:00 UTC
    assert series["data"] == [[start, None], [start + 60_000, 1.0]]


def test_a_layer_writes_what_its_streams_write_and_is_as_slow_as_the_slowest() -> None:
    names = ("raw_events", "cohorts", "sessions", "bronze.user_events")
    came = rates(
        history(*((f"10:0{minute}:00", name, 60 * minute) for minute in (0, 1) for name in names)), MINUTE
    ).with_columns(
        pl.col("name").replace_strict({"raw_events": 2.0, "cohorts": 7.0}, default=None).alias("lag_seconds"),
        pl.col("name").replace_strict({"cohorts": 0.5}, default=None).alias("batch_seconds"),
    )
    columns = ("name", "per_second", "lag_seconds", "batch_seconds")
    first, last = by_layer(came).select("bucket", *columns).partition_by("bucket", include_key=False)
    assert first.rows() == [("mirrors", None, 7.0, 0.5), ("users and sessions", None, None, None)]
    assert last.rows() == [("mirrors", 2.0, 7.0, 0.5), ("users and sessions", 1.0, None, None)]


def test_a_batch_that_stands_alone_is_a_point() -> None:
    rated = rates(history(("10:00:00", "a", 1), ("10:01:00", "a", 2), ("10:02:00", "a", 2)), MINUTE)
    rated = rated.with_columns(pl.Series("batch_seconds", [None, 0.5, None], dtype=pl.Float64))
    (series,) = by_name(rated, ["a"], "batch_seconds", "s", points=True)["series"]
    assert ([value for _, value in series["data"]], series["showSymbol"]) == ([None, 0.5, None], True)


def test_the_names_are_all_in_sight_unless_they_are_many() -> None:
    names = ["bronze", "silver", "gold", "users and sessions", "scores", "mirrors"]
    assert legend(names)["type"] == "plain"
    assert legend([*names, "postgres.raw_events"])["type"] == "scroll"
