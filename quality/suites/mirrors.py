"""The mirrors in Postgres: what only Postgres can show.

Their rows are a comparison: one for each ``part`` of a mirror (a day, or all of it), as `quality.mirrors` makes them.
"""

from __future__ import annotations

import great_expectations.expectations as gxe

from lakehouse.settings import Settings
from quality.suite import Expected, Suite
from quality.verdicts import Severity

PART = "part"
IN_DELTA, IN_MIRROR = "rows_in_delta", "rows_in_mirror"
EVENTS_IN_DELTA, EVENTS_IN_MIRROR = "events_in_delta", "events_in_mirror"
WRONG, STRANGERS = "wrong_rows", "unknown_users"

RAW_EVENTS, FUNNEL_SUMMARY, CHURN_PREDICTION = (
    f"postgres.{name}" for name in ("raw_events", "funnel_summary", "churn_prediction")
)


def suites(settings: Settings) -> list[Suite]:
    types = ", ".join(settings.event_types)
    return [
        _suite(
            RAW_EVENTS,
            _same(IN_MIRROR, IN_DELTA, "Every day received has as many events in Postgres as in silver.events"),
            _none(WRONG, f"Every event lies in the day on which it was received and is one of {types}"),
        ),
        _suite(
            FUNNEL_SUMMARY,
            _same(IN_MIRROR, IN_DELTA, "Every day has as many rows in Postgres as in gold.funnel_summary"),
            _same(EVENTS_IN_MIRROR, EVENTS_IN_DELTA, "Every day counts as many events in Postgres as in Delta"),
            _none(WRONG, "No count is negative, and no window ends before it begins"),
        ),
        _suite(
            CHURN_PREDICTION,
            _same(IN_MIRROR, IN_DELTA, "There is a score, or a refusal, for each user of gold.churn_features"),
            _none(STRANGERS, "Every user who has a score is in gold.churn_features"),
            _none(WRONG, "Every probability and every threshold lies between 0 and 1"),
        ),
    ]


def _suite(table: str, *expectations: Expected) -> Suite:
    return Suite(table, expectations, key=[PART])


def _same(found: str, expected: str, what: str) -> Expected:
    return Expected(
        f"{found}_are_those_in_delta",
        f"{what}, as of the version that the mirror says it has: else what is shown is not what is known.",
        Severity.alarm,
        gxe.ExpectColumnPairValuesToBeEqual(column_A=found, column_B=expected),
        needs=[PART],
    )


def _none(column: str, what: str) -> Expected:
    return Expected(
        f"no_{column}",
        f"{what}: else a page shows what cannot be.",
        Severity.alarm,
        gxe.ExpectColumnValuesToBeBetween(column=column, max_value=0),
        needs=[PART],
    )
