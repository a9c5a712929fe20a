"""The churn scores in Postgres beside what its triggers counted of them: both read in one look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from psycopg2.extensions import cursor as Cursor


class Group(NamedTuple):
    """Users that count together."""

    model_version: str
    bucket: int
    """The probability in twentieths."""
    churned: bool


# What the counting has to be, said again: from the scores, and not by the triggers' own words.
_SCORED = """
SELECT coalesce(model_version, ''),
       CASE WHEN churn_probability >= 1 THEN 19 ELSE floor(churn_probability * 20)::int END,
       coalesce(churned, false), count(*)
FROM churn_prediction WHERE churn_probability IS NOT NULL GROUP BY 1, 2, 3
"""
_COUNTED = """
SELECT model_version, bucket::int, churned, num_users FROM churn_score_days
WHERE as_of_date = (SELECT max(as_of_date) FROM churn_score_days) AND num_users <> 0
"""


def scored(cursor: Cursor) -> Mapping[Group, int]:
    """How many users of ``churn_prediction`` have such a score."""
    return _groups(cursor, _SCORED)


def counted(cursor: Cursor) -> Mapping[Group, int]:
    """How many users ``churn_score_days`` says have such a score now: on its newest day."""
    return _groups(cursor, _COUNTED)


def _groups(cursor: Cursor, statement: str) -> dict[Group, int]:
    cursor.execute(statement)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return {Group(*row[:-1]): int(row[-1]) for row in rows}
