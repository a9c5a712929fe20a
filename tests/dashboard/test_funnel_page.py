"""The page Funnel as a person sees it: of sessions from the mirror, of users from tables that the stages made."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from dashboard_tables import Open, Tables
from page_words import rows, said
from streamlit.testing.v1 import AppTest

from dashboard.funnel.apart import SESSIONS, difference_rows
from dashboard.funnel.charts import MOST_VALUE_BARS, OPEN_OPACITY, by_value, funnel, over_time
from dashboard.funnel.panels import drop_off
from dashboard.funnel.properties import ByProperty, read_by_property
from dashboard.funnel.queries import MOST_BARS, Grain, Totals, minutes_of
from dashboard.lake import TooMuch
from dashboard.ranges import Span
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from lakehouse.settings import Settings
from tests.quality.lake import Lake, message

NASTY = "<script>alert(1)</script> **bold** [x](https://example.com)"
STEPS = ["All sessions", "View", "Add to cart", "Purchase"]


def at(time: str) -> datetime:
    """``at("04 10:03")``: that time of a day of May 2026, UTC."""
    return datetime.fromisoformat(f"2026-05-{time}").replace(tzinfo=UTC)


def totals(*steps: int) -> Totals:
    return Totals(*steps, steps[3], 0, 0, 0.0, within=(0, steps[3], 0, 0, 0, 0))


def metrics(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def a_day(tables: Tables) -> None:
    """On 4 May sessions begin at 9 and at 10 o'clock, the day before others; the watermark has come to 10 o'clock."""
    tables.windows(("2026-05-03T00:00", "view", 9), ("2026-05-04T10:20", "view", 9))
    tables.status("gold", watermark=at("04 10:00"))
    tables.sessions("2026-05-03T08:00", 10, 10, 2, 2)
    tables.sessions("2026-05-04T09:00", 80, 60, 30, 6)
    tables.sessions("2026-05-04T10:00", 20, 20, 10, 2, bought=5)


def test_sessions_of_a_range_by_step_with_what_was_lost(open_page: Open, tables: Tables) -> None:
    a_day(tables)

    page = open_page("funnel", range="6 hours")

    assert not page.exception
    assert metrics(page) == {
        "Sessions": "100",
        "Conversion": "8.0 %",
        "Median time": "≤ 5 min",
        "Mean time": "3 min",
        "Revenue": "80",
    }
    assert "2026-05-04 04:00:00 to 2026-05-04 11:00:00 UTC" in said(page)
    assert "40 of 80 with a view (50.0 %) stopped there" in said(page)
    assert "In whatever order, 11 sessions had a purchase" in said(page)
    assert "Not final after 2026-05-04 10:00:00 UTC" in said(page)


def test_a_day_is_the_range_that_is_shown_first(open_page: Open, tables: Tables) -> None:
    a_day(tables)

    assert metrics(open_page("funnel"))["Sessions"] == "100"
    assert metrics(open_page("funnel", range="All"))["Sessions"] == "110"


def test_the_period_before_stands_beside_this_one(open_page: Open, tables: Tables) -> None:
    a_day(tables)

    page = open_page("funnel", against="The period before")

    assert not page.exception
    found = rows(page, "Difference")
    assert [(row["Step"], row["Sessions"], row["Other sessions"]) for row in found] == list(
        zip(STEPS, (100, 80, 40, 8), (10, 10, 2, 2), strict=True)
    )
    assert [row["Difference"] for row in found] == pytest.approx([0, -20, 30, -80])
    assert [row["Difference of all"] for row in found] == pytest.approx([0, -20, 20, -12])


def test_another_period_begins_where_the_address_says(open_page: Open, tables: Tables) -> None:
    a_day(tables)

    asks = open_page("funnel", against="Another period")
    assert "Say above where the other period begins" in said(asks)

    page = open_page("funnel", range="6 hours", against="Another period", other_from="2026-05-03T03:00")
    assert [row["Other sessions"] for row in rows(page, "Difference")] == [10, 10, 2, 2]

    nobody = open_page("funnel", range="6 hours", against="Another period", other_from="2026-04-01T00:00")
    assert not nobody.exception
    assert "No sessions in it" in said(nobody)


def test_values_of_a_dimension_are_told_apart_and_stay_text(open_page: Open, tables: Tables) -> None:
    a_day(tables)
    tables.sessions("2026-05-04T09:00", 50, 40, 20, 5, of=("device", NASTY))
    tables.sessions("2026-05-04T10:00", 10, 10, 5, 1, of=("device", NASTY))
    tables.sessions("2026-05-04T09:00", 30, 20, 10, 1, of=("device", ""))
    tables.sessions("2026-05-04T09:00", 7, of=("country", "NL"))

    page = open_page("funnel", dimension="device")

    assert not page.exception
    assert [(row["value"], row["sessions"], row["conversion"]) for row in rows(page, "view_to_cart")] == [
        (NASTY, 60, pytest.approx(10)),
        ("unknown", 30, pytest.approx(100 / 30)),
    ]
    assert NASTY not in "\n".join(str(part.value) for part in [*page.markdown, *page.caption])


def test_values_beyond_the_cap_count_together(open_page: Open, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_FUNNEL_VALUES_CAP", "2")
    a_day(tables)
    for number, value in enumerate("abcd"):
        tables.sessions("2026-05-04T09:00", 10 - number, of=("category", value))

    page = open_page("funnel", dimension="category")

    assert [(row["value"], row["sessions"]) for row in rows(page, "view_to_cart")] == [
        ("a", 10),
        ("b", 9),
        ("other values", 15),
    ]
    assert "the 2 others count together" in said(page)


def test_a_dimension_that_counted_nothing_says_why(open_page: Open, tables: Tables) -> None:
    a_day(tables)

    assert "No session of this range was counted by country" in said(open_page("funnel", dimension="country"))


def test_types_that_are_no_step_are_counted_beside_them(open_page: Open, tables: Tables) -> None:
    a_day(tables)
    tables.windows(("2026-05-04T10:00", "search", 7), ("2026-05-04T09:00", NASTY, 8), ("2026-05-02T10:00", "share", 1))

    page = open_page("funnel")

    assert [(row["event_type"], row["num_events"]) for row in rows(page, "num_events")] == [(NASTY, 8), ("search", 7)]


def test_no_sessions_in_a_range_says_where_there_are_some(open_page: Open, tables: Tables) -> None:
    a_day(tables)

    page = open_page("funnel", **{"range": "Custom", "from": "2026-05-03T10:00", "until": "2026-05-03T12:00"})

    assert not page.exception
    assert "No sessions in this range" in said(page)
    assert "the data reaches from 2026-05-03 00:00:00 to 2026-05-04 10:30:00 UTC" in said(page)


def test_events_before_the_first_sessions_say_when_these_come(open_page: Open, tables: Tables) -> None:
    tables.windows(("2026-05-04T10:00", "view", 9))

    page = open_page("funnel")

    assert not page.exception
    assert "There are events, and no sessions yet" in said(page)


@pytest.mark.usefixtures("tables")
def test_no_data_says_how_to_make_some(open_page: Open) -> None:
    assert "lakehouse produce --events 10000" in said(open_page("funnel"))


def test_no_stack_says_how_to_start_one(open_page: Open, tmp_path: Path) -> None:
    Home(tmp_path).endpoints.unlink()

    page = open_page("funnel")

    assert not page.exception
    assert "`lakehouse up`" in said(page)


def test_postgres_away_is_said_and_the_next_refresh_recovers(
    open_page: Open, endpoints: Endpoints, tables: Tables, tmp_path: Path
) -> None:
    a_day(tables)
    nobody = replace(endpoints, postgres_reader="postgresql://lakehouse_reader:s3cret@127.0.0.1:1/lakehouse")
    nobody.save(Home(tmp_path))
    page = open_page("funnel")
    assert not page.exception
    assert "127.0.0.1:1" in said(page)
    assert "s3cret" not in said(page)

    endpoints.save(Home(tmp_path))
    page.run()

    assert metrics(page)["Sessions"] == "100"


def test_bars_say_their_share_of_the_step_before_and_of_all() -> None:
    bars = funnel(totals(100, 80, 40, 10).steps)["series"][0]["data"]

    assert [bar["label"]["formatter"] for bar in bars] == [
        "100",
        "80\n80.0 % · 80.0 %",
        "40\n50.0 % · 40.0 %",
        "10\n25.0 % · 10.0 %",
    ]


def test_funnels_beside_each_other_are_of_one_scale() -> None:
    few, many = totals(10, 8, 4, 1).steps, totals(100, 80, 40, 10).steps

    assert funnel(few, longest=100)["xAxis"] == funnel(many, longest=100)["xAxis"] == funnel(many)["xAxis"]
    assert funnel(few)["xAxis"]["max"] < funnel(many)["xAxis"]["max"]


def test_steps_that_nobody_came_to_have_no_share() -> None:
    found = difference_rows(totals(5, 0, 0, 0).steps, totals(0, 0, 0, 0).steps, SESSIONS)

    assert [row["Difference"] for row in found] == [None, None, None, None]
    assert "0 of 0 with a view (—) stopped there" in drop_off(totals(5, 0, 0, 0))


@pytest.mark.parametrize(
    ("within", "band"),
    [
        ((1, 0, 0, 0, 0, 0), "≤ 1 min"),
        ((1, 1, 1, 0, 0, 0), "≤ 5 min"),
        ((1, 0, 0, 0, 0, 2), "> 6 h"),
        ((0, 0, 0, 0, 0, 0), None),
    ],
)
def test_the_median_lies_where_the_middle_one_does(within: tuple[int, ...], band: str | None) -> None:
    assert replace(totals(9, 9, 9, sum(within)), within=within).median_band == band


def test_what_is_not_final_is_faint_and_a_bar_without_sessions_has_no_conversion() -> None:
    hours = pl.DataFrame(
        {"bucket": [at("04 09:00"), at("04 10:00")], "sessions": [4, 0], "purchased": [1, 0]},
        schema_overrides={"bucket": pl.Datetime("us", "UTC")},
    )

    bars, line = (series["data"] for series in over_time(hours, 60, at("04 10:30"))["series"])

    assert bars == [{"value": 4}, {"value": 0, "itemStyle": {"opacity": OPEN_OPACITY}}]
    assert [point["value"] for point in line] == [25.0, None]


def test_values_without_a_bar_of_their_own_are_added_to_the_last_one() -> None:
    named = [(place, f"v{place}", 1, 10, 1) for place in range(MOST_VALUE_BARS + 2)]
    values = pl.DataFrame(
        [*named, (99, None, 5, 100, 10)], ["place", "value", "num_values", "sessions", "purchased"], orient="row"
    )

    options = by_value(values, "sessions")

    assert options["yAxis"]["data"][-2:] == [f"v{MOST_VALUE_BARS - 1}", "other values"]
    assert options["series"][0]["data"][-1]["label"]["formatter"] == "10.0 % of 120"


@pytest.mark.parametrize(
    ("grain", "days", "minutes"),
    [
        (Grain.AUTO, 1, 60),
        (Grain.HOUR, 10, 60),
        (Grain.HOUR, 300, 2 * 1440),
        (Grain.DAY, 300, 1440),
        (Grain.WEEK, 9, 7 * 1440),
    ],
)
def test_a_bar_is_as_long_as_asked_for_unless_there_would_be_too_many(grain: Grain, days: int, minutes: int) -> None:
    span = Span(at("01 00:00"), at("01 00:00") + timedelta(days=days))

    assert minutes_of(grain, span) == minutes
    assert span.length / timedelta(minutes=minutes_of(grain, span)) <= MOST_BARS


@pytest.fixture
def lake(settings: Settings, tmp_path: Path, tables: Tables) -> Lake:
    """On 4 May ann purchases, one with a nasty name leaves a cart, and bob only views; the mirror has the windows."""
    tables.windows(("2026-05-04T10:00", "view", 3), ("2026-05-04T10:30", "purchase", 1))
    tables.status("gold", watermark=at("04 10:00"))
    lake = Lake(Home(tmp_path).make(), settings)
    lake.bring(
        message("view", at("04 10:00")),
        message("add_to_cart", at("04 10:03")),
        message("purchase", at("04 10:04")),
        message("view", at("04 10:01"), user=NASTY),
        message("add_to_cart", at("04 10:05"), user=NASTY),
        message("view", at("04 10:02"), user="bob"),
    )
    return lake


def listed(page: AppTest) -> list[str]:
    return [str(row["user_id"]) for row in rows(page, "view_time")]


def test_users_within_the_window_and_who_left_a_cart(open_page: Open, lake: Lake) -> None:
    assert lake.offset == 6

    page = open_page("funnel", by="Users")

    assert not page.exception
    assert "1 of 3 users (33.3 %) purchased" in said(page)
    assert "on the days from 2026-05-03 to 2026-05-04 (UTC) · within 1 day of their first view" in said(page)
    assert "Not final: 2 users who viewed and did not purchase are still within 1 day" in said(page)
    assert listed(page) == [NASTY]
    assert NASTY not in "\n".join(str(part.value) for part in [*page.markdown, *page.caption])


def test_users_of_the_period_before_stand_beside_those_of_this_one(open_page: Open, lake: Lake) -> None:
    lake.bring(
        message("view", at("02 10:00"), user="cid"),
        message("add_to_cart", at("02 10:05"), user="cid"),
        message("view", at("01 10:00"), user="dan"),
    )

    page = open_page("funnel", by="Users", against="The period before")

    assert not page.exception
    assert "Whole days, from 2026-05-01 to 2026-05-02 (UTC)" in said(page)
    found = rows(page, "Difference")
    assert [(row["Step"], row["Users"], row["Other users"]) for row in found] == [
        ("All users", 3, 2),
        ("View", 3, 2),
        ("Add to cart", 2, 1),
        ("Purchase", 1, 0),
    ]
    assert [row["Difference of all"] for row in found] == pytest.approx([0, 0, 100 / 6, 100 / 3])


def test_another_period_of_users_begins_on_a_day_and_may_have_nobody(open_page: Open, lake: Lake) -> None:
    assert lake.offset == 6
    asks = open_page("funnel", by="Users", against="Another period")
    assert "Say above where the other period begins" in said(asks)

    page = open_page("funnel", by="Users", against="Another period", other_from="2026-04-01T15:00")

    assert not page.exception
    assert "Whole days, from 2026-04-01 to 2026-04-02 (UTC)" in said(page)
    assert "No users in it" in said(page)


def test_users_are_told_apart_by_the_first_value_of_each_and_values_stay_text(open_page: Open, lake: Lake) -> None:
    lake.bring(
        message("view", at("04 10:20"), user="cid", category=NASTY),
        message("add_to_cart", at("04 10:21"), user="cid", category="shoes"),
        message("view", at("04 10:22"), user="dan", category="shoes"),
    )

    page = open_page("funnel", by="Users", dimension="category")

    assert not page.exception
    assert "Users by category: the value of their first event of the range that has one" in said(page)
    found = [(row["value"], row["users"], row["carted"], row["purchased"]) for row in rows(page, "view_to_cart")]
    assert found == [("unknown", 3, 2, 1), (NASTY, 1, 1, 0), ("shoes", 1, 0, 0)]
    assert NASTY not in "\n".join(str(part.value) for part in [*page.markdown, *page.caption])


def test_a_dimension_that_no_user_was_counted_by_says_why(
    open_page: Open, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lake.offset == 6
    monkeypatch.setenv("LAKEHOUSE_FUNNEL_DIMENSIONS", "campaign")

    page = open_page("funnel", by="Users", dimension="campaign")

    assert not page.exception
    assert "No user of this range was counted by campaign" in said(page)


def test_a_bar_chooses_the_users_in_it(open_page: Open, lake: Lake) -> None:
    assert lake.offset == 6
    assert listed(open_page("funnel", by="Users", stopped="View, no cart")) == ["bob"]

    page = open_page("funnel", by="Users")
    page.segmented_control(key="stopped").set_value("Purchase").run()

    assert not page.exception
    assert listed(page) == ["ann"]


def test_a_selected_user_opens_the_page_of_that_user(open_page: Open, lake: Lake) -> None:
    assert lake.offset == 6
    page = open_page("funnel", by="Users")
    page.session_state["funnel_users"] = {"selection": {"rows": [0], "columns": [], "cells": []}}

    page.run()

    assert not page.exception
    assert page.query_params["user"] == NASTY


def test_tables_that_are_not_on_this_machine_are_said(open_page: Open, tables: Tables) -> None:
    tables.windows(("2026-05-04T10:00", "view", 9))

    page = open_page("funnel", by="Users")

    assert not page.exception
    assert "Users cannot be counted here" in said(page)
    assert "gold.session_days: is not under" in said(page)


@pytest.mark.usefixtures("tables")
def test_without_data_there_are_no_users_either(open_page: Open) -> None:
    assert "lakehouse produce --events 10000" in said(open_page("funnel", by="Users"))


def test_sessions_by_a_property_that_gold_does_not_keep(open_page: Open, lake: Lake) -> None:
    lake.bring(
        message("view", at("04 10:10"), session_id="s1", campaign=NASTY),
        message("add_to_cart", at("04 10:11"), session_id="s1"),
        message("view", at("04 10:12"), session_id="s2", campaign="spring"),
        message("view", at("04 10:13"), session_id="s2", campaign="autumn"),
    )

    page = open_page("funnel", property="campaign")

    assert not page.exception
    found = [(row["value"], row["sessions"], row["carted"]) for row in rows(page, "view_to_cart")]
    assert found == [("unknown", 3, 2), (NASTY, 1, 1), ("spring", 1, 0)]
    assert NASTY not in "\n".join(str(part.value) for part in [*page.markdown, *page.caption])


def test_days_that_are_too_many_events_are_left_out_and_large_days_are_read_in_parts(lake: Lake) -> None:
    lake.bring(*(message("view", at("05 10:00"), user=f"u{number}") for number in range(5)))
    span = Span(at("04 10:00"), at("05 11:00"))
    told: list[str] = []

    def read(most_events: int, part_events: int) -> ByProperty:
        del told[:]
        return read_by_property(
            lake.home, span, "campaign", 9, lake.settings, lambda _, what: told.append(what), most_events, part_events
        )

    assert read(11, 11).values["sessions"].to_list() == [8]
    assert told == ["2026-05-04", "2026-05-05"]
    assert read(11, 3).values["sessions"].to_list() == [8]
    assert told[:2] == ["2026-05-04, part 1 of 2", "2026-05-04, part 2 of 2"]
    last_day = read(10, 11)
    assert (last_day.span, last_day.events) == (Span(at("05 00:00"), span.end), 5)
    assert last_day.values["sessions"].to_list() == [5]
    with pytest.raises(TooMuch, match="has 5 events of the last day of this range alone, more than the 4"):
        read(4, 11)


@pytest.mark.parametrize("name", ["a b", "user_id", "$.x"])
def test_what_is_no_property_is_refused_with_the_reason(open_page: Open, tables: Tables, name: str) -> None:
    a_day(tables)

    page = open_page("funnel", property=name)

    assert not page.exception
    assert "Sessions cannot be told apart by this" in said(page)
