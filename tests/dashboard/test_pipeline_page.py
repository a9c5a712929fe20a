"""The page Pipeline as a person sees it: nothing there, streams that wait, an hour's course, late events, tables."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from dashboard_tables import Open, Tables
from page_words import rows, said
from streamlit.testing.v1 import AppTest

from dashboard import database
from dashboard.pipeline import queries
from lakehouse.contracts import SilverEvents
from lakehouse.embedded.locks import holding
from lakehouse.embedded.runstate import StackState
from lakehouse.embedded.supervisor import ServiceStatus
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.store import TableStore


def column(page: AppTest, name: str) -> list[Any]:
    return [row[name] for row in rows(page, name)]


@pytest.mark.usefixtures("tables")
def test_nothing_has_run_yet(open_page: Open) -> None:
    page = open_page("pipeline")
    assert not page.exception
    for told in (
        "No report yet",
        "No stream has reported yet",
        "No events yet",
        "No stack runs under this home",
        "No table has been made yet",
    ):
        assert told in said(page)


def test_postgres_away_is_said_once_and_the_rest_is_left_to_what_it_knows(
    open_page: Open, endpoints: Endpoints, tmp_path: Path
) -> None:
    nobody = replace(endpoints, postgres_reader="postgresql://lakehouse_reader:s3cret@127.0.0.1:1/lakehouse")
    page = open_page("pipeline")
    nobody.save(Home(tmp_path))
    page.run()
    assert not page.exception
    assert said(page).count("Postgres is away") == 1
    assert "No stack runs under this home" in said(page)


def test_a_stream_that_waits_shows_its_error_as_text(open_page: Open, tables: Tables) -> None:
    tables.status("raw_events", state="waiting", error="disk **full** <b>now</b>", rows_total=4)
    tables.status("bronze", lag_events=1_200, lag_seconds=3.25, last_batch_rows=1_500, last_batch_seconds=0.5)
    page = open_page("pipeline")
    assert column(page, "Stream") == ["bronze", "raw_events"]
    assert column(page, "Lag") == ["1,200 events · 3.2 s", None]
    assert column(page, "Last batch") == ["1,500 rows in 0.50 s", None]
    assert "1 stream waits" in said(page)
    assert "disk **full** <b>now</b>" in [text.value for text in page.text]


def test_rows_per_second_are_those_between_two_reports(open_page: Open, tables: Tables) -> None:
    tables.status("bronze", rows_total=700)
    tables.status("silver", rows_total=1)
    tables.was("bronze", timedelta(minutes=2), rows_total=100)
    tables.was("bronze", timedelta(minutes=1), rows_total=700)
    tables.was("silver", timedelta(minutes=1), rows_total=1)
    page = open_page("pipeline")
    assert column(page, "Rows/s") == [pytest.approx(10, rel=0.01), None]
    assert {chart.proto.alt for chart in page.get("echarts_chart")} >= {
        "Rows/s by layer",
        "Longest lag in seconds, by layer",
        "Longest batch in seconds, by layer",
    }
    assert "No message came between two reports" in said(page)


def test_the_course_is_by_layer_until_streams_are_chosen(open_page: Open, tables: Tables) -> None:
    for stream in ("raw_events", "bronze", "cohorts", "sessions"):
        tables.status(stream)
        for minutes in (2, 1):
            tables.was(stream, timedelta(minutes=minutes), rows_total=1, lag_seconds=1.0)
    assert drawn(open_page("pipeline"), "Longest lag") == ["bronze", "users and sessions", "mirrors"]

    page = open_page("pipeline", streams="cohorts")
    assert page.multiselect(key="streams").options == ["bronze", "sessions", "cohorts", "raw_events"]
    assert drawn(page, "Longest lag") == ["cohorts"]
    page.multiselect(key="streams").set_value(["bronze", "cohorts"]).run()
    assert drawn(page, "Longest lag") == ["bronze", "cohorts"]


def drawn(page: AppTest, alt: str) -> list[str]:
    """The names of the lines of that chart."""
    (chart,) = [each for each in page.get("echarts_chart") if each.proto.alt.startswith(alt)]
    return [line["name"] for line in json.loads(chart.proto.spec)["series"]]


def test_a_column_of_errors_is_there_when_there_is_one(open_page: Open, tables: Tables) -> None:
    tables.status("bronze")
    assert "Last error" not in shown(open_page("pipeline"), "Stream")
    tables.status("silver", state="waiting", error="no disk")
    assert "Last error" in shown(open_page("pipeline"), "Stream")


def shown(page: AppTest, column: str) -> list[str]:
    """The columns that are shown of whichever table has that one."""
    return next(list(frame.proto.column_order) for frame in page.dataframe if column in frame.value.columns)


def test_scores_of_a_model_of_simulated_data_are_called_that(open_page: Open, tables: Tables) -> None:
    tables.status("bronze")
    tables.score("ann", 0.9, "simulated-0.1.0")
    assert "model of simulated data, until `lakehouse train`" in said(open_page("pipeline"))

    tables.score("bob", 0.95, "3")
    assert "Churn scores are by model 3." in said(open_page("pipeline"))


def test_late_events_are_counted_by_the_window_that_they_belong_to(open_page: Open, tables: Tables) -> None:
    tables.windows(("2025-03-01T10:00", "view", 9), ("2025-03-01T10:10", "view", 1))
    tables.user_window("2025-03-01T10:00", "ann", events=5, late=2)
    tables.user_window("2025-03-01T10:00", "bob", events=4, late=1)
    tables.user_window("2025-03-01T10:10", "ann", events=1)
    told = said(open_page("pipeline"))
    assert "since 2025-03-01 10:00:00 UTC, by event time: 3 of 10 events" in told


def test_no_late_event_is_said_without_a_chart_of_nothing(open_page: Open, tables: Tables) -> None:
    tables.windows(("2025-03-01T10:00", "view", 9))
    tables.user_window("2025-03-01T10:00", "ann", events=9)
    page = open_page("pipeline")
    assert "0 of 9 events were older" in said(page)
    assert not [chart for chart in page.get("echarts_chart") if "late" in chart.proto.alt]


def test_a_part_that_takes_too_long_says_so_and_the_others_are_there(
    open_page: Open, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "STATEMENT_TIMEOUT_S", 1)
    monkeypatch.setattr(queries, "_LATE", "SELECT pg_sleep(30)")
    tables.windows(("2025-03-01T10:00", "view", 9))
    tables.status("bronze")
    page = open_page("pipeline")
    assert "This part took too long" in said(page)
    assert "took longer than 1 s" in said(page)
    assert column(page, "Stream") == ["bronze"]


def test_the_tables_of_the_home_are_told_by_their_logs(open_page: Open, tmp_path: Path) -> None:
    store = TableStore(Home(tmp_path).make(), Settings(home=tmp_path), cast(Any, None))
    store.create_all([SilverEvents])
    page = open_page("pipeline")
    assert [(row["table"], row["rows"], row["files"]) for row in rows(page, "files")] == [("silver.events", 0, 0)]


def test_the_services_are_those_of_the_status_command(open_page: Open, tmp_path: Path) -> None:
    home = Home(tmp_path).make()
    with holding(home.supervisor_lock, "stack"):
        services = (ServiceStatus("writer", "up", os.getpid(), 1_000.0, 2), ServiceStatus("api", "down", None, 0.0, 5))
        StackState(os.getpid(), "running", 1_000.0, services).save(home)
        home.state.write_text(
            '{"alarms": ["silver: stopped **for good**"],'
            ' "upkeep": {"error": null, "held_by": [{"reason": "raw_events holds the history of silver.events"}]}}'
        )
        page = open_page("pipeline")
    assert [(row["Service"], row["State"], row["Restarts"]) for row in rows(page, "Service")] == [
        ("writer", "up", 2),
        ("api", "down", 5),
    ]
    assert rows(page, "Service")[0]["Memory"] > 10
    texts = [text.value for text in page.text]
    assert "silver: stopped **for good**" in texts
    assert "raw_events holds the history of silver.events" in texts
