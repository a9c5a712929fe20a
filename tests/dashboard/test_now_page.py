"""The page as a person sees it: broken, empty, full, and full of text that is up to no good."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from dashboard_tables import Open, Tables
from page_words import said
from streamlit.testing.v1 import AppTest

from dashboard.now import queries
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


def deltas(page: AppTest) -> set[tuple[str, str]]:
    return {(metric.label, metric.delta) for metric in page.metric}


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


def test_no_data_says_how_to_make_some_and_still_how_the_pipeline_does(open_page: Open, tables: Tables) -> None:
    tables.status("bronze", state="running", rows_total=7)
    page = open_page()
    assert not page.exception
    assert "lakehouse produce --events 10000" in said(page)
    assert "lakehouse replay" in said(page)
    assert "Running" in said(page)
    assert not page.metric


@pytest.mark.usefixtures("tables")
def test_no_stream_has_reported(open_page: Open) -> None:
    assert "No report yet" in said(open_page())


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
    assert metrics(page) | {"Sessions": "", "Revenue": ""} == {
        "Events": "68",
        "Views": "50",
        "Adds to cart": "10",
        "Purchases": "5",
        "View to purchase": "10.0 %",
        "Active users": "0",
        "Sessions": "",
        "Revenue": "",
        "Events/s": "0.00",
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


def test_the_latest_events_are_those_of_the_types_that_were_chosen(open_page: Open, tables: Tables) -> None:
    tables.windows(("2025-03-01T10:00", "view", 3))
    tables.event("2025-03-01T10:00:01", user_id="ann", event_type="purchase")
    tables.event("2025-03-01T10:00:02", user_id="bob", event_type="view")
    page = open_page()
    assert table(page, "user_id") == ["bob", "ann"]

    page.multiselect(key="types").select("purchase").run()
    assert table(page, "user_id") == ["ann"]
    assert table(open_page(types="purchase"), "user_id") == ["ann"]

    page.multiselect(key="types").set_value(["search"]).run()
    assert "None of these types is among the newest" in said(page)


def test_changes_are_of_whole_windows_against_the_same_time_before(open_page: Open, tables: Tables) -> None:
    tables.windows(
        ("2025-03-01T08:10", "view", 100),
        ("2025-03-01T08:50", "view", 100),
        ("2025-03-01T08:50", "purchase", 10),
        ("2025-03-01T09:00", "view", 900),  # as far as the window of 10:00, which is not whole yet
        ("2025-03-01T09:10", "view", 250),
        ("2025-03-01T09:50", "purchase", 50),
        ("2025-03-01T10:00", "view", 7),
    )
    page = open_page()
    assert metrics(page)["Events"] == "307"
    assert deltas(page) >= set({"Events": "+42.9 %", "Views": "+25.0 %", "Purchases": "+400.0 %"}.items())
    assert deltas(page) >= set({"View to purchase": "+15.0 points", "Adds to cart": ""}.items())
    assert (
        "Changes compare 2025-03-01 09:10 to 10:00 with the same time before, 2025-03-01 08:10 to 09:00 UTC."
        in said(page)
    )


def test_nothing_is_compared_with_a_time_of_which_there_is_not_all(open_page: Open, tables: Tables) -> None:
    tables.windows(("2025-03-01T08:20", "view", 100), ("2025-03-01T10:00", "view", 7))
    page = open_page()
    assert not [delta for _, delta in deltas(page) if delta]
    assert "No changes are shown" in said(page)


def test_rates_are_of_the_last_whole_window_and_so_far_of_the_one_that_fills(open_page: Open, tables: Tables) -> None:
    tables.windows(
        ("2025-03-01T09:40", "view", 600),
        ("2025-03-01T09:50", "view", 1_200),
        ("2025-03-01T09:50", "purchase", 60),
        ("2025-03-01T10:00", "view", 300),
    )
    tables.event("2025-03-01T10:02:00")  # so far two minutes of the window
    page = open_page()
    assert table(page, "Type") == ["All types", "view", "purchase"]
    assert table(page, "Events/s") == [2.1, 2.0, 0.1]
    assert table(page, "Events/min") == [126, 120, 6]
    assert table(page, "So far/s") == [2.5, 2.5, 0.0]
    assert table(page, "Change")[:2] == [110, 100]
    assert "2025-03-01 09:50 to 10:00 UTC" in said(page)
    assert "Not final: so far since 10:00" in said(page)
    assert metrics(page)["Events/s"] == "2.10"


def test_active_users_are_distinct_ones(open_page: Open, tables: Tables) -> None:
    tables.windows(*[(f"2025-03-01T{time}", "view", 1) for time in ("08:10", "08:20", "09:10", "09:20", "10:00")])
    for start, user in (
        ("08:10", "ann"),
        ("08:20", "ann"),
        ("09:10", "ann"),
        ("09:20", "ann"),
        ("09:20", "bob"),
        ("10:00", "eve"),
    ):
        tables.user_window(f"2025-03-01T{start}", user)
    page = open_page()
    assert metrics(page)["Active users"] == "3"
    assert ("Active users", "+100.0 %") in deltas(page)


def test_more_user_windows_than_are_looked_through_tell_no_users(
    open_page: Open, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MOST_USER_WINDOWS", 2)
    tables.windows(("2025-03-01T08:00", "view", 1), ("2025-03-01T10:00", "view", 1))
    tables.user_window("2025-03-01T08:50", "ann")
    tables.user_window("2025-03-01T10:00", "bob")
    page = open_page()
    assert metrics(page)["Active users"] == "1"  # all of the range was looked through, though not all before it
    assert ("Active users", "") in deltas(page)

    tables.user_window("2025-03-01T10:00", "eve")
    assert metrics(open_page())["Active users"] == "—"


def test_users_of_a_long_range_are_told_by_the_day(open_page: Open, tables: Tables) -> None:
    tables.windows(("2025-03-01T10:00", "view", 1), ("2025-03-02T10:00", "view", 1), ("2025-03-03T10:00", "view", 1))
    if tables.has("cohorts"):
        tables.active("2025-03-01", 0, 10)
        tables.active("2025-03-01", 1, 4)
        tables.active("2025-03-02", 0, 2)
        assert metrics(open_page(range="All"))["Active users a day"] == "8"
    else:
        assert metrics(open_page(range="All"))["Active users"] == "—"


def test_sessions_and_revenue_are_of_whole_hours(open_page: Open, tables: Tables) -> None:
    tables.windows(("2025-03-01T07:00", "view", 1), ("2025-03-01T10:00", "view", 1))
    if not tables.has("session_funnel"):
        assert metrics(open_page())["Sessions"] == "—"
        return
    tables.session_hour("2025-03-01T07:00", 10, 200)
    tables.session_hour("2025-03-01T09:00", 15, 100)
    tables.session_hour("2025-03-01T10:00", 4, 1_000)
    page = open_page()
    assert metrics(page)["Sessions"] == "19"
    assert metrics(page)["Revenue"] == "1,100"
    assert deltas(page) >= set({"Sessions": "+50.0 %", "Revenue": "-50.0 %"}.items())


def test_a_stream_that_waits_is_told_in_one_line(open_page: Open, tables: Tables) -> None:
    tables.status("raw_events", state="waiting", error="disk full")
    tables.status("bronze", lag_events=1_200, lag_seconds=3.25)
    page = open_page()
    assert "1 stream waits" in said(page)
    assert "lag 1,200 events · 3.2 s" in said(page)


def test_a_pipeline_that_no_longer_reports_is_not_called_running(open_page: Open, tables: Tables) -> None:
    tables.status("bronze", ago=timedelta(minutes=10))
    assert "No report for 10 min" in said(open_page())


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
