"""How many users have which score, day by day: counted by Postgres with every change of a score."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from psycopg2.extensions import connection as Connection
from serving_rows import at, batch, read

from lakehouse.contracts import ChurnPrediction
from serving.migrations.versions.v0006_churn_score_days import COUNT_WHAT_IS_THERE
from serving.mirror import truncate_mirror
from serving.postgres import transaction
from serving.prediction_sink import apply_predictions, apply_rescored
from serving.sink import conform

DAYS = (
    "SELECT to_char(as_of_date, 'MM-DD'), model_version, bucket, churned, num_users FROM churn_score_days"
    " WHERE num_users <> 0 ORDER BY 1, 2, 3, 4"
)


def score(name: str, as_of: datetime, probability: float | None, model: str = "1") -> dict[str, Any]:
    """A row of ``churn_prediction``; the threshold is 0.5, and without a probability the API refused it."""
    known = probability is not None
    return {
        "user_id": name,
        "churn_probability": probability,
        "churned": probability >= 0.5 if probability is not None else None,
        "threshold": 0.5 if known else None,
        "model_version": model if known else None,
        "as_of": as_of,
        "scored_at": as_of,
        "features": "{}",
        "reasons": [],
        "error": None if known else "num_views: too many",
    }


def rows(*scores: dict[str, Any]) -> pa.Table:
    return conform(pa.Table.from_pylist(list(scores)), ChurnPrediction)


@pytest.fixture
def counted(writer: Connection, owner: Connection) -> Connection:
    """The writer's connection, with nothing counted yet."""
    with transaction(owner) as cursor:
        cursor.execute("TRUNCATE churn_score_days")
    return writer


def test_a_day_ends_with_what_each_user_was_last_given(counted: Connection) -> None:
    ann, bob = score("ann", at("10:00"), 0.97), score("bob", at("10:00"), 0.03)
    apply_predictions(counted, rows(ann, bob, score("cid", at("10:00"), None)), [], batch(0))
    apply_predictions(counted, rows(score("ann", at("11:00"), 1.0), score("bob", at("11:00"), 0.5)), [], batch(1))
    assert read(counted, DAYS) == [("03-01", "1", 10, True, 1), ("03-01", "1", 19, True, 1)]

    next_day = score("ann", at("09:00", "2025-03-02"), 0.2)
    apply_predictions(counted, rows(next_day), [], batch(2))

    assert read(counted, DAYS) == [
        ("03-01", "1", 10, True, 1),
        ("03-01", "1", 19, True, 1),
        ("03-02", "1", 4, False, 1),
        ("03-02", "1", 10, True, 1),
    ]


def test_a_user_whose_clock_is_ahead_does_not_begin_a_day(counted: Connection) -> None:
    ahead = score("bob", at("10:00", "2025-03-09"), 0.9)
    apply_predictions(counted, rows(score("ann", at("10:00"), 0.9), ahead), [], batch(0))
    assert read(counted, DAYS) == [("03-01", "1", 18, True, 2)]


def test_older_features_and_batches_that_are_given_again_count_for_nothing(counted: Connection) -> None:
    apply_predictions(counted, rows(score("ann", at("10:00"), 0.9)), [], batch(1))
    before = read(counted, DAYS)

    apply_predictions(counted, rows(score("ann", at("09:00"), 0.1)), [], batch(2))
    apply_predictions(counted, rows(score("ann", at("10:00"), 0.1)), [], batch(2))

    assert read(counted, DAYS) == before


def test_another_model_takes_its_users_over_and_whoever_is_erased_is_gone(counted: Connection) -> None:
    apply_predictions(counted, rows(score("ann", at("10:00"), 0.9), score("bob", at("10:00"), 0.9)), [], batch(0))
    apply_rescored(counted, rows(score("ann", at("10:00"), 0.1, model="2")))
    assert read(counted, DAYS) == [("03-01", "1", 18, True, 1), ("03-01", "2", 2, False, 1)]

    apply_predictions(counted, rows(score("ann", at("10:00"), None)).slice(0, 0), ["bob"], batch(1))
    assert read(counted, DAYS) == [("03-01", "2", 2, False, 1)]


def test_features_made_anew_and_a_table_mirrored_again_are_counted_on_the_day_that_had_come(
    counted: Connection,
) -> None:
    later = at("10:00", "2025-03-05")
    apply_predictions(counted, rows(score("ann", later, 0.9), score("bob", later, 0.9)), [], batch(0))
    anew = replace(batch(1), made_anew=True)
    apply_predictions(counted, rows(score("ann", at("10:00"), 0.1)), [], anew)
    assert read(counted, DAYS) == [("03-05", "1", 2, False, 1), ("03-05", "1", 18, True, 1)]

    truncate_mirror(counted, "churn_prediction", "q")
    assert read(counted, DAYS) == []
    apply_predictions(counted, rows(score("ann", at("10:00"), 0.1)), [], batch(0))
    assert read(counted, DAYS) == [("03-05", "1", 2, False, 1)]


def test_what_was_scored_before_anybody_counted_is_counted_by_the_migration(
    counted: Connection, owner: Connection
) -> None:
    scores = [score("ann", at("10:00"), 1.0), score("bob", at("11:00"), 0.3), score("cid", at("11:00"), None)]
    apply_predictions(counted, rows(*scores), [], batch(0))
    before = read(counted, DAYS)
    with transaction(owner) as cursor:
        cursor.execute("TRUNCATE churn_score_days")
        cursor.execute(COUNT_WHAT_IS_THERE)

    assert read(counted, DAYS) == before == [("03-01", "1", 6, False, 1), ("03-01", "1", 19, True, 1)]
