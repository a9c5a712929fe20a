"""The page as a person sees it: broken, empty, full, and full of text that is up to no good."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import streamlit as st
from dashboard_tables import Open, Tables
from streamlit.testing.v1 import AppTest

from lakehouse.endpoints import Endpoints
from lakehouse.home import Home

NASTY = [
    "<script>alert(1)</script>",
    "**bold** _it_ [x](https://example.com) :red[x]",
    "😀 مرحبا \u202eright to left",
    "x" * 10_000,
    "$x^2$ `code` # title",
    "line\nend",
]


def metrics(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def said(page: AppTest) -> str:
    """Everything that is shown outside of tables and charts."""
    parts = [*page.markdown, *page.caption, *page.text, *page.code, *page.warning]
    return "\n".join(str(part.value) for part in parts)


def table(page: AppTest, column: str) -> list[object]:
    """The values of a column of whichever table has it."""
    for frame in page.dataframe:
        if column in frame.value.columns:
            return list(frame.value[column])
    raise AssertionError(f"no table has a column {column}")


def test_no_stack_says_how_to_start_one(open_page: Open, tmp_path: Path) -> None:
    Home(tmp_path).endpoints.unlink()
    page = open_page()
    assert not page.exception
    assert "`lakehouse up`" in said(page)
    assert not page.metric


def test_a_wrong_setting_is_named(open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_DASHBOARD_REFRESH_S", "soon")
    page = open_page()
    assert not page.exception
    assert "LAKEHOUSE_DASHBOARD_REFRESH_S" in said(page)


def test_postgres_away_says_where_and_what_to_do_and_the_next_refresh_recovers(
    open_page: Open, endpoints: Endpoints, tables: Tables, tmp_path: Path
) -> None:
    tables.windows(("2025-03-01T10:00", "view", 3))
    nobody = replace(endpoints, postgres_reader="postgresql://lakehouse_reader:s3cret@127.0.0.1:1/lakehouse")
    nobody.save(Home(tmp_path))
    page = open_page()
    assert not page.exception
    assert "127.0.0.1:1" in said(page)
    assert "`lakehouse status`" in said(page)
    assert "s3cret" not in said(page)
    assert not page.metric

    endpoints.save(Home(tmp_path))
    page.run()
    assert metrics(page)["Events"] == "3"
    assert "127.0.0.1:1" not in said(page)


def test_no_data_says_how_to_make_some_and_still_shows_the_pipeline(open_page: Open, tables: Tables) -> None:
    tables.status("bronze", state="running", rows_total=7)
    page = open_page()
    assert not page.exception
    assert "lakehouse produce --events 10000" in said(page)
    assert "lakehouse replay" in said(page)
    assert table(page, "Stream") == ["bronze"]
    assert not page.metric


@pytest.mark.usefixtures("tables")
def test_no_stream_has_reported(open_page: Open) -> None:
    page = open_page()
    assert "No report yet" in said(page)
    assert "No stream has reported yet" in said(page)


def test_the_numbers_are_those_of_the_last_hour_of_data_and_not_of_the_clock(open_page: Open, tables: Tables) -> None:
    tables.windows(
        ("2020-11-01T08:00", "view", 1_000),
        ("2020-11-01T09:10", "view", 40),
        ("2020-11-01T09:10", "add_to_cart", 10),
        ("2020-11-01T10:00", "view", 10),
        ("2020-11-01T10:00", "purchase", 5),
        ("2020-11-01T10:00", "search", 3),
    )
    page = open_page()
    assert not page.exception
    assert metrics(page) == {
        "Events": "68",
        "Views": "50",
        "Adds to cart": "10",
        "Purchases": "5",
        "View to purchase": "10.0 %",
    }
    assert "2020-11-01 09:10:00 to 2020-11-01 10:10:00 UTC" in said(page)


@pytest.mark.parametrize(
    ("chosen", "events"), [("Last hour", "1"), ("6 hours", "3"), ("24 hours", "7"), ("7 days", "15"), ("All", "31")]
)
def test_each_range_counts_back_from_the_newest_data(open_page: Open, tables: Tables, chosen: str, events: str) -> None:
    tables.windows(
        ("2020-01-01T00:00", "view", 16),
        ("2025-03-05T00:00", "view", 8),
        ("2025-03-10T00:00", "view", 4),
        ("2025-03-10T08:00", "view", 2),
        ("2025-03-10T12:00", "view", 1),
    )
    page = open_page(range=chosen)
    assert metrics(page)["Events"] == events
    assert page.query_params.get("range", "Last hour") in (chosen, [chosen])


def test_a_custom_range_comes_from_the_address(open_page: Open, tables: Tables) -> None:
    tables.windows(("2025-03-01T10:00", "view", 1), ("2025-03-01T10:10", "view", 2), ("2025-03-01T10:20", "view", 4))
    page = open_page(**{"range": "Custom", "from": "2025-03-01T10:10", "until": "2025-03-01T10:20"})
    assert not page.exception
    assert metrics(page)["Events"] == "2"


def test_a_range_that_ends_before_it_begins_is_said(open_page: Open, tables: Tables) -> None:
    tables.windows(("2025-03-01T10:00", "view", 1))
    page = open_page(**{"range": "Custom", "from": "2025-03-02T10:10", "until": "2025-03-01T10:20"})
    assert "must end after it begins" in said(page)
    assert metrics(page)["Events"] == "1"


def test_a_range_without_events_says_where_the_data_is(open_page: Open, tables: Tables) -> None:
    tables.windows(("2025-03-01T10:00", "view", 1))
    page = open_page(**{"range": "Custom", "from": "2024-01-01T00:00", "until": "2024-01-02T00:00"})
    assert "No events in this range" in said(page)
    assert "2025-03-01 10:00:00 to 2025-03-01 10:10:00 UTC" in said(page)


def test_without_a_step_its_rate_is_a_dash(open_page: Open, tables: Tables) -> None:
    tables.windows(("2025-03-01T10:00", "search", 5))
    assert metrics(open_page())["View to purchase"] == "—"


def test_the_latest_twenty_events_the_newest_first(open_page: Open, tables: Tables) -> None:
    tables.windows(("2025-03-01T10:00", "view", 25))
    for second in range(25):
        tables.event(f"2025-03-01T10:00:{second:02}", user_id=f"user {second}")
    page = open_page()
    assert table(page, "user_id") == [f"user {second}" for second in range(24, 4, -1)]
    assert "Data as of 2025-03-01 10:00:24 UTC" in said(page)


def test_events_that_are_no_longer_kept_are_explained(open_page: Open, tables: Tables) -> None:
    tables.windows(("2025-03-01T10:00", "view", 25))
    assert "counts above are complete" in said(open_page())


def test_scores_of_a_model_of_simulated_data_are_called_that(open_page: Open, tables: Tables) -> None:
    tables.status("bronze")
    tables.score("ann", 0.9, "simulated-0.1.0")
    assert "model of simulated data, until `lakehouse train`" in said(open_page())

    tables.score("bob", 0.95, "3")
    assert "Churn scores are by model 3." in said(open_page())


def test_a_stream_that_waits_shows_its_error_as_text(open_page: Open, tables: Tables) -> None:
    tables.status("raw_events", state="waiting", error="disk **full** <b>now</b>", rows_total=4)
    tables.status("bronze", lag_events=1_200, lag_seconds=3.25, last_batch_rows=1_500, last_batch_seconds=0.5)
    page = open_page()
    assert table(page, "Stream") == ["bronze", "raw_events"]
    assert table(page, "Lag") == ["1,200 events · 3.2 s", None]
    assert table(page, "Last batch") == ["1,500 rows in 0.50 s", None]
    assert "1 stream waits" in said(page)
    assert "disk **full** <b>now</b>" in [text.value for text in page.text]


def test_a_pipeline_that_no_longer_reports_is_not_called_running(open_page: Open, tables: Tables) -> None:
    tables.status("bronze", ago=timedelta(minutes=10))
    assert "No report for 10 min" in said(open_page())


def test_rows_per_second_are_those_between_two_looks(open_page: Open, tables: Tables) -> None:
    tables.status("bronze", ago=timedelta(seconds=10), rows_total=100)
    page = open_page()
    assert [rate for rate in table(page, "Rows/s") if rate == rate and rate is not None] == []

    tables.a_while_later(seconds=5, rows_total=350)
    st.cache_data.clear()
    page.run()
    assert table(page, "Rows/s") == [50.0]


def test_text_of_users_is_never_read_as_markup(open_page: Open, tables: Tables) -> None:
    tables.windows(*[("2025-03-01T10:00", text, 1) for text in NASTY], ("2025-03-01T10:00", "view", 4))
    for second, text in enumerate(NASTY):
        fields = ("user_id", "event_type", "session_id", "product_id", "category", "currency")
        tables.event(f"2025-03-01T10:00:{second:02}", **dict.fromkeys(fields, text))
    tables.status("silver", error=NASTY[0], state=NASTY[1])

    page = open_page()

    assert not page.exception
    assert metrics(page)["Events"] == str(len(NASTY) + 4)
    assert table(page, "user_id") == [text[:200] for text in reversed(NASTY)]
    interpreted = "\n".join(str(part.value) for part in [*page.markdown, *page.caption])
    assert not [text for text in NASTY if text[:50] in interpreted]
