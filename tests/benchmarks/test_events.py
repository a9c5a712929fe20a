"""The events that benchmarks make, the count that they are judged by, and the design that they are compared with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks.backlog_topic import KEY, funnel_of, wrong_rows
from benchmarks.bronze_batches import LATENESS, START, Shape, bronze_batch, ends
from benchmarks.contenders import plain


def test_batches_of_bronze_go_on_where_the_one_before_ended() -> None:
    whole = bronze_batch(0, 1_000, Shape())
    offsets = [(row["partition"], row["offset"]) for row in whole.select(["partition", "offset"]).to_pylist()]

    assert len(set(offsets)) == 1_000
    assert ends(1_000) == {f"growth/{p}": 1 + max(o for q, o in offsets if q == p) for p in range(4)}
    assert bronze_batch(0, 1_000, Shape()).equals(whole)


def test_an_event_happens_when_it_comes_or_a_week_before() -> None:
    rows = bronze_batch(86_400, 2_000, Shape(events_per_day=86_400, late_share=0.25)).to_pylist()
    lags = [row["kafka_timestamp"] - datetime.fromisoformat(json.loads(row["value"])["timestamp"]) for row in rows]

    assert set(lags) == {timedelta(0), LATENESS}
    assert 0.2 < lags.count(LATENESS) / len(lags) < 0.3
    assert rows[0]["kafka_timestamp"] == START + timedelta(days=1)


def test_the_judge_counts_a_users_window(tmp_path: Path) -> None:
    noon = datetime(2025, 1, 6, 12, tzinfo=UTC)
    counted = [("ann", noon, "view", 3), ("ann", noon, "purchase", 1), ("bob", noon, "search", 2)]
    pl.DataFrame(counted, schema=[*KEY, "events"], orient="row").write_parquet(tmp_path / "truth.parquet")

    assert funnel_of(tmp_path / "truth.parquet").rows() == [("ann", noon, 3, 0, 1, 4), ("bob", noon, 0, 0, 0, 2)]


@pytest.mark.parametrize(
    ("gold", "wrong"),
    [
        ([("ann", 3), ("bob", 2)], 0),
        ([("ann", 3)], 1),
        ([("ann", 3), ("bob", 2), ("eve", 1)], 1),
        ([("ann", 3), ("bob", 2), ("bob", 2)], 1),
        ([("ann", 3), ("bob", 7)], 2),
        ([], 2),
    ],
    ids=["right", "one lost", "one too many", "one twice", "one miscounted", "all lost"],
)
def test_the_judge_finds_what_is_wrong(gold: list[tuple[str, int]], wrong: int) -> None:
    def rows(counts: list[tuple[str, int]]) -> pl.DataFrame:
        schema = {"user_id": pl.String, "window_start": pl.Int64, "num_events": pl.Int64}
        return pl.DataFrame([(user, 0, count) for user, count in counts], schema=schema, orient="row")

    assert wrong_rows(rows(gold), rows([("ann", 3), ("bob", 2)])) == wrong


def test_the_plain_design_counts_the_same_windows(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [("ann", "view", "2025-01-06T12:00:00Z"), ("ann", "purchase", "2025-01-06T12:09:59Z")],
        "user_id STRING, event_type STRING, timestamp STRING",
    ).withColumn("event_time", F.to_timestamp("timestamp"))

    found = plain.funnel_summary(rows).drop("window_end").collect()

    assert [tuple(row)[1:] for row in found] == [("ann", 1, 0, 1, 2)]
