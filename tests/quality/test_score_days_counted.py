"""The scores and what Postgres' triggers counted of them, read apart: they agree until somebody changes one by hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from lakehouse.endpoints import Endpoints
from quality.balances import scores_counted
from quality.score_days import Group, counted, scored

PUT = """
INSERT INTO churn_prediction
    (user_id, churn_probability, churned, threshold, model_version, as_of, scored_at, features, reasons, error)
SELECT name, p, p >= 0.5, 0.5, CASE WHEN p IS NOT NULL THEN '3' END, '2025-03-01 10:00+00', now(), '{}', '{}', error
FROM (VALUES ('ann', 0.95, NULL), ('bob', 0.05, NULL), ('cid', 1.0, NULL), ('eve', 0.94, NULL), ('dan', NULL, 'no'))
     AS users (name, p, error)
"""


@pytest.fixture
def owner(endpoints: Endpoints) -> Iterator[Connection]:
    """Of five users, one of whom the API refused."""
    with closing(psycopg2.connect(endpoints.postgres_owner)) as conn:
        execute(conn, "TRUNCATE churn_prediction, churn_score_days")
        execute(conn, PUT)
        yield conn


def execute(conn: Connection, statement: str) -> None:
    with conn.cursor() as cursor:
        cursor.execute(statement)
    conn.commit()


def wrong(conn: Connection) -> dict[str, tuple[int, int]]:
    """The balances that do not agree, by what they are of."""
    with conn.cursor() as cursor:
        found = scores_counted(scored(cursor), counted(cursor))
    return {each.name.rpartition(": ")[2]: (each.left_value, each.right_value) for each in found if not each.agrees}


def test_scores_that_the_triggers_counted_agree(owner: Connection) -> None:
    with owner.cursor() as cursor:
        assert scored(cursor) == {
            Group("3", 19, True): 2,
            Group("3", 18, True): 1,
            Group("3", 1, False): 1,
        }
    assert wrong(owner) == {}
    execute(owner, "UPDATE churn_prediction SET churn_probability = 0.2, churned = false WHERE user_id = 'ann'")
    execute(owner, "DELETE FROM churn_prediction WHERE user_id = 'bob'")
    assert wrong(owner) == {}


def test_a_day_that_was_changed_by_hand_is_found(owner: Connection) -> None:
    execute(owner, "UPDATE churn_score_days SET num_users = num_users + 1 WHERE bucket = 18")
    assert wrong(owner) == {"users": (4, 5), "groups that differ": (1, 0)}


def test_scores_that_were_changed_past_the_triggers_are_found(owner: Connection) -> None:
    execute(owner, "ALTER TABLE churn_prediction DISABLE TRIGGER USER")
    try:
        execute(owner, "UPDATE churn_prediction SET churn_probability = 0.2, churned = false WHERE user_id = 'ann'")
        assert wrong(owner) == {"groups that differ": (2, 0)}
    finally:
        execute(owner, "ALTER TABLE churn_prediction ENABLE TRIGGER USER")


def test_no_scores_and_no_days_agree(owner: Connection) -> None:
    execute(owner, "TRUNCATE churn_prediction, churn_score_days")
    assert wrong(owner) == {}
