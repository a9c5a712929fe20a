"""Whatever the dashboard asks Postgres, with a long history behind it, is found by an index or in some partitions.

The queries are those that the pages themselves send, heard where they leave; none that is written down is left out.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Final

import pytest
from dashboard_tables import Open, Tables
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import NamedTupleCursor

import dashboard
from dashboard import database
from dashboard.churn.queries import SEARCHED, Bought, Filter, Show, export_users, read_users
from lakehouse.endpoints import Endpoints
from serving.postgres import connect, transaction

pytestmark = [pytest.mark.slow, pytest.mark.long]

END: Final = "timestamptz '2026-03-01 00:00+00'"
RAW_DAYS: Final = 30

# Months of a shop with some events a second: what makes the planner choose as it does where it matters.
HISTORY: Final = (
    f"""
    SELECT make_raw_events_day(day::date)
    FROM generate_series({END} - interval '{RAW_DAYS} days', {END} - interval '1 day', interval '1 day') AS day
    """,
    f"""
    INSERT INTO raw_events (event_id, user_id, event_type, event_time, session_id, source_id, "partition", "offset",
                            kafka_timestamp, received_date)
    SELECT 'event ' || n, 'user ' || n % 20000, (ARRAY['view', 'view', 'search', 'add_to_cart', 'purchase'])[1 + n % 5],
           time, 'session ' || n % 50000, 'topic', 0, n, time, (time AT TIME ZONE 'UTC')::date
    FROM generate_series(0, 119999) AS n, LATERAL (SELECT {END} - (n + 0.5) * interval '21.6 s' AS time) AS t
    """,
    f"""
    INSERT INTO funnel_summary
    SELECT start, start + interval '10 min', 'user ' || (w * 7 + u * 499) % 20000, 1, 0, 0, 1, 1, start, start, 0, true,
           '{{}}', false, (start AT TIME ZONE 'UTC')::date
    FROM generate_series(1, 30 * 144) AS w, LATERAL (SELECT {END} - w * interval '10 min' AS start) AS t,
         generate_series(1, 30) AS u
    """,
    f"""
    INSERT INTO funnel_windows
    SELECT start, start + interval '10 min', kind, 100, (start AT TIME ZONE 'UTC')::date
    FROM generate_series(1, 200 * 144) AS w, LATERAL (SELECT {END} - w * interval '10 min' AS start) AS t,
         unnest(ARRAY['view', 'add_to_cart', 'purchase', 'search']) AS kind
    """,
    f"""
    INSERT INTO session_funnel
    SELECT hour, dimension, value, 100, 90, 20, 5, 6, 400, 99.5, 1200, 900, 1, 1, 1, 1, 1, 0,
           (hour AT TIME ZONE 'UTC')::date
    FROM generate_series(1, 400 * 24) AS h, LATERAL (SELECT {END} - h * interval '1 hour' AS hour) AS t,
         (SELECT '' AS dimension, '' AS value UNION ALL SELECT 'device', 'device ' || v FROM generate_series(1, 3) AS v
          UNION ALL SELECT 'category', 'category ' || v FROM generate_series(1, 8) AS v) AS d
    """,
    """
    INSERT INTO cohorts
    SELECT unit, newest - days * (count - cohort), period, 50
    FROM (VALUES ('day', date '2026-02-28', 1, 450), ('week', date '2026-02-23', 7, 100))
             AS u (unit, newest, days, count),
         LATERAL generate_series(1, count) AS cohort, LATERAL generate_series(0, count - cohort) AS period
    """,
    f"""
    INSERT INTO churn_prediction (user_id, churn_probability, churned, threshold, model_version, as_of, scored_at,
                                  features, reasons, error)
    SELECT 'user ' || n, score, score >= 0.5, 0.5, '1', {END}, {END},
           jsonb_build_object('recency_days', n % 90, 'num_views', n % 7, 'num_add_to_cart', 0, 'num_purchases', 0,
                              'days_since_purchase', CASE WHEN n % 9 = 0 THEN n % 90 END),
           ARRAY['last seen ' || n % 90 || ' days ago'], CASE WHEN score IS NULL THEN 'too many' END
    FROM generate_series(1, 100000) AS n,
         LATERAL (SELECT CASE WHEN n % 1000 > 0 THEN n % 1000 / 1000.0 END::float8 AS score) AS s
    """,
    f"""
    INSERT INTO churn_prediction_history (user_id, scored_at, as_of, churn_probability, model_version)
    SELECT 'user ' || n, time, time, 0.5, '1'
    FROM generate_series(1, 50000) AS n, generate_series(1, 2) AS d,
         LATERAL (SELECT {END} - d * interval '1 day' AS time) AS t
    """,
    f"""
    INSERT INTO quality_results (run_id, table_name, mode, first_version, last_version, num_rows, started_at,
                                 duration_seconds, expectation, expectation_type, severity, success, examples,
                                 description)
    SELECT name || '@' || r || '-' || r, name, 'new', r, r, 100, {END} - (1000 - r) * interval '43 min', 0.5,
           'expectation ' || e, 'expect_it', CASE WHEN e % 3 = 0 THEN 'halt' ELSE 'warn' END, r < 990 OR e > 2,
           '{{}}', 'It is expected.'
    FROM generate_series(1, 1000) AS r, generate_series(1, 10) AS e,
         unnest(ARRAY['bronze.user_events', 'silver.events', 'silver.duplicates', 'silver.quarantine',
                      'gold.funnel_summary', 'gold.funnel_windows', 'gold.user_days', 'gold.session_days',
                      'gold.cohorts', 'postgres.raw_events']) AS name
    """,
    f"INSERT INTO quality_decisions SELECT 'run ' || n, 'accepted', {END} FROM generate_series(1, 10) AS n",
    """
    INSERT INTO pipeline_history (minute, name, reported_at, rows_total)
    SELECT date_trunc('minute', now()) - m * interval '1 min', 'stream ' || s, now() - m * interval '1 min', 1000 - m
    FROM generate_series(0, 1438) AS m, generate_series(1, 25) AS s
    """,
    "ANALYZE",
)

GROWING: Final = frozenset(
    {
        "raw_events",
        "funnel_summary",
        "funnel_windows",
        "session_funnel",
        "cohorts",
        "churn_prediction",
        "churn_prediction_history",
        "quality_results",
        "pipeline_history",
    }
)
"""The tables that grow with events, users or time. What is left has a few rows for each day, stream or decision."""
SUMS: Final = frozenset({"funnel_windows", "session_funnel", "cohorts"})
"""Of them, those that gold has counted already: the range All is all of them."""

FEW: Final = 1_000
"""Rows that a scan may read one after the other: it stops at its limit, or at the first that it looks for."""

PAGES: Final[dict[str, list[dict[str, str]]]] = {
    "now": [{"range": "Last hour"}, {"range": "24 hours", "types": "purchase"}, {"range": "7 days"}],
    "funnel": [
        {"range": "7 days", "against": "The period before", "dimension": "device"},
        {"range": "24 hours", "dimension": "category"},
    ],
    "retention": [{"unit": "week"}, {"unit": "day", "days": "60"}],
    "churn": [{}, {"show": "Not at risk", "page": "200"}, {"show": "All", "begins": "user 1234"}],
    "user": [{"user": "user 1234"}, {"user": "user 12345 678"}, {"user": "nobody"}],
    "quality": [{}, {"trend": "7 days"}],
    "pipeline": [{"since": "Last hour"}],
}
OF_ALL: Final[dict[str, list[dict[str, str]]]] = {
    "now": [{"range": "All"}, {"range": "All", "types": "purchase"}],
    "funnel": [{"range": "All", "dimension": "device"}],
}
FILTERS: Final = (
    *(Filter(show=show, prefix=prefix) for show in Show for prefix in ("", "user 1234")),
    Filter(show=Show.ALL, low=20, high=80),
    Filter(show=Show.ALL, low=45, high=55, prefix="user 19"),
    Filter(reason="89 days"),
    Filter(show=Show.ALL, bought=Bought.YES, prefix="user 1"),
)


@dataclass(frozen=True)
class Asked:
    """A query as it was sent."""

    query: str
    parameters: Any


@pytest.fixture
def history(tables: Tables, endpoints: Endpoints) -> Iterator[Connection]:  # noqa: ARG001 (empties them first)
    """The tables filled; the owner's connection."""
    with closing(connect(endpoints.postgres_owner)) as owner:
        for statement in HISTORY:
            with transaction(owner) as cursor:
                cursor.execute(statement)
        yield owner
        with transaction(owner) as cursor:  # other tests tell which days there are
            cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'raw_events'::regclass")
            for (day,) in cursor.fetchall():
                cursor.execute(f"DROP TABLE {day}")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Asked]:
    """What the dashboard asks from now on."""
    heard: list[Asked] = []

    class Heard(NamedTupleCursor):
        def execute(self, query: str, parameters: Any = None) -> None:
            heard.append(Asked(query, parameters))
            super().execute(query, parameters)

    monkeypatch.setattr(database, "NamedTupleCursor", Heard)
    return heard


def test_no_query_goes_through_a_table_that_grows(
    open_page: Open, history: Connection, asked: list[Asked], endpoints: Endpoints
) -> None:
    look_at(open_page, PAGES)
    for wanted in FILTERS:
        read_users(endpoints.postgres_reader, wanted, 1)
    export_users(endpoints.postgres_reader, Filter())
    of_parts = list(asked)
    look_at(open_page, OF_ALL)
    of_all = asked[len(of_parts) :]

    assert [name for name, query in written().items() if not any(is_of(each, query) for each in of_parts)] == []
    with transaction(history) as cursor:
        wrong = [
            *(f"{found}\n{each.query}" for each in of_parts for found in gone_through(cursor, each, GROWING)),
            *(f"{found}\n{each.query}" for each in of_all for found in gone_through(cursor, each, GROWING - SUMS)),
        ]
    assert wrong == [], "\n\n".join(wrong)


def look_at(open_page: Open, pages: dict[str, list[dict[str, str]]]) -> None:
    for name, addresses in pages.items():
        for address in addresses:
            page = open_page(name, **address)
            assert not page.exception, (name, address)


def written() -> dict[str, str]:
    """Every query that a module of the dashboard names. The views name none, and run when they are imported."""
    found = {}
    for module in pkgutil.walk_packages(dashboard.__path__, "dashboard."):
        if module.name == "dashboard.app" or module.name.startswith("dashboard.views"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, str) and re.match(r"\s*(SELECT|WITH)\b", value):
                found[f"{module.name}.{name}"] = value
    return found


def is_of(asked: Asked, query: str) -> bool:
    """Whether it is that query, which may have had places for conditions."""
    return asked.query.startswith(query.partition("{")[0])


def gone_through(cursor: Cursor, asked: Asked, tables: frozenset[str]) -> list[str]:
    """What of ``tables`` the query reads row by row, and where it leaves out more rows than a page looks through."""
    cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {asked.query}", asked.parameters)
    ((found,),) = cursor.fetchall()
    wrong = []
    for node in nodes(found[0]["Plan"]):
        table = re.sub(r"_\d{8}$", "", node.get("Relation Name", ""))
        if table not in tables:
            continue
        left_out = node["Actual Loops"] * node.get("Rows Removed by Filter", 0)
        read = node["Actual Loops"] * node["Actual Rows"] + left_out
        if (node["Node Type"] == "Seq Scan" and read > FEW) or left_out > SEARCHED:
            wrong.append(
                f"{node['Node Type']} on {node['Relation Name']}: {read:,.0f} rows, {left_out:,.0f} for nothing"
            )
    return wrong


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)
