"""What the page shows, read in one consistent look; every answer is bounded, every value is a parameter."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

import polars as pl
import streamlit as st
from psycopg2.extensions import cursor as Cursor

from dashboard.database import SHARED_FOR_S, rows, snapshot
from dashboard.extent import extent_of
from dashboard.pipeline.queries import Pipeline, pipeline_of
from lakehouse.contracts import COHORT_UNITS

# When the users of a cell acted: word for word the expression of the index cohorts_active.
_BEGIN = "(cohort + (period * CASE unit WHEN 'week' THEN 7 ELSE 1 END)::integer)"

_NEWEST = f"""
SELECT {_BEGIN} AS begin FROM cohorts WHERE unit = %(unit)s AND users > 0 ORDER BY {_BEGIN} DESC LIMIT 1
"""  # noqa: S608
_OLDEST = "SELECT cohort FROM cohorts WHERE unit = %(unit)s AND users > 0 ORDER BY cohort LIMIT 1"

_CELLS = """
SELECT cohort, period, users FROM cohorts
WHERE unit = %(unit)s AND cohort BETWEEN %(first)s AND %(last)s AND users > 0
ORDER BY cohort, period LIMIT %(most)s
"""

_ACTIVE = f"""
SELECT {_BEGIN} AS begin, coalesce(sum(users) FILTER (WHERE period = 0), 0)::bigint AS new,
       coalesce(sum(users) FILTER (WHERE period > 0), 0)::bigint AS returning
FROM cohorts WHERE unit = %(unit)s AND {_BEGIN} BETWEEN %(first)s AND %(last)s
GROUP BY 1 ORDER BY 1
"""  # noqa: S608


class Unit(StrEnum):
    """The length of a cohort and of a period, as `gold.cohorts` names it."""

    DAY = "day"
    WEEK = "week"

    @property
    def days(self) -> int:
        return COHORT_UNITS[self.value]


@dataclass(frozen=True)
class Cells:
    """The newest cohorts, and who was active since the first of them."""

    unit: Unit
    first: date
    """First day of the oldest cohort; weeks begin on Mondays."""
    last: date
    """First day of the newest unit in which anybody acted."""
    cohorts: pl.DataFrame
    """``cohort``, ``period``, ``users``: the cells with users of the cohorts from ``first`` to ``last``."""
    active: pl.DataFrame
    """``begin``, ``new``, ``returning``: the users of each unit from ``first`` to ``last``, of whatever cohort."""


@dataclass(frozen=True)
class Retention:
    """All that the page shows."""

    pipeline: Pipeline
    has_events: bool
    cells: Cells | None
    """None where no cohort is there yet."""


@st.cache_data(ttl=SHARED_FOR_S, max_entries=100, show_spinner="Reading from Postgres …")
def read_retention(dsn: str, unit: Unit, length: int) -> Retention:
    """The newest ``length`` cohorts at most. Raises dashboard.database.Unavailable and NotMigrated."""
    with snapshot(dsn) as cursor:
        return Retention(pipeline_of(cursor), extent_of(cursor) is not None, _cells(cursor, unit, length))


def _cells(cursor: Cursor, unit: Unit, length: int) -> Cells | None:
    newest, oldest = (rows(cursor, query, {"unit": unit.value}) for query in (_NEWEST, _OLDEST))
    if not newest or not oldest:
        return None
    last = newest[0].begin
    first = max(last - timedelta(days=unit.days) * (length - 1), oldest[0].cohort)
    within = {"unit": unit.value, "first": first, "last": last, "most": length * (length + 1) // 2}
    cohorts = pl.DataFrame(
        rows(cursor, _CELLS, within), {"cohort": pl.Date, "period": pl.Int64, "users": pl.Int64}, orient="row"
    )
    active = pl.DataFrame(
        rows(cursor, _ACTIVE, within), {"begin": pl.Date, "new": pl.Int64, "returning": pl.Int64}, orient="row"
    )
    return Cells(unit, first, last, cohorts, active)
