"""The charts' options: every bar of the span, one series a type, names that stay apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from dashboard.now.charts import OPEN_OPACITY, OTHER, events_over_time, funnel
from dashboard.now.queries import Activity, Figures, Rates, Totals
from dashboard.ranges import Span, newest


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2025-03-01T{text}+00:00")


def activity(span: Span, *rows: tuple[datetime, str | None, int, int], minutes: int = 10) -> Activity:
    """Rows are bucket, event type, place, events."""
    schema = {"bucket": pl.Datetime("us", "UTC"), "event_type": pl.String, "place": pl.Int64, "num_events": pl.Int64}
    rates = Rates(newest(span, span, timedelta(minutes=minutes)), ())
    totals = Figures(span, Totals(0, 0, 0, 0))
    return Activity(span, minutes, totals, None, rates, pl.DataFrame(list(rows), schema, orient="row"))


def test_a_bucket_without_events_is_a_bar_of_none() -> None:
    found = activity(Span(at("10:00"), at("10:40")), (at("10:00"), "view", 1, 5), (at("10:30"), "view", 1, 2))
    options = events_over_time(found, watermark=at("23:00"))
    assert options["xAxis"]["data"] == ["10:00", "10:10", "10:20", "10:30"]
    assert options["series"][0]["data"] == [{"value": 5}, {"value": 0}, {"value": 0}, {"value": 2}]


@pytest.mark.parametrize(
    ("watermark", "faint"), [(None, [True, True]), (at("10:10"), [False, True]), (at("10:20"), [False, False])]
)
def test_a_bar_is_faint_until_the_watermark_has_passed_its_end(watermark: datetime | None, faint: list[bool]) -> None:
    found = activity(Span(at("10:00"), at("10:20")), (at("10:00"), "view", 1, 5))
    data = events_over_time(found, watermark)["series"][0]["data"]
    assert [point.get("itemStyle") == {"opacity": OPEN_OPACITY} for point in data] == faint


def test_types_keep_their_colours_when_they_change_places() -> None:
    span = Span(at("10:00"), at("10:10"))
    names = [
        [
            series["name"]
            for series in events_over_time(
                activity(
                    span,
                    (at("10:00"), "search", places[0], 1),
                    (at("10:00"), "purchase", places[1], 1),
                    (at("10:00"), "view", places[2], 1),
                    (at("10:00"), None, 4, 9),
                ),
                None,
            )["series"]
        ]
        for places in ((1, 2, 3), (3, 1, 2))
    ]
    assert names == [["view", "purchase", "search", OTHER]] * 2


def test_long_types_that_begin_alike_stay_apart() -> None:
    rows = [(at("10:00"), "x" * 200, place, place) for place in (1, 2)]
    series = events_over_time(activity(Span(at("10:00"), at("10:10")), *rows), None)["series"]
    assert len({entry["name"] for entry in series}) == 2
    assert all(len(entry["name"]) < 40 for entry in series)
    assert sorted(entry["data"][0]["value"] for entry in series) == [1, 2]


def test_bars_of_weeks_begin_on_mondays() -> None:
    monday = datetime(2025, 2, 24, tzinfo=UTC)
    span = Span(monday + timedelta(days=3), monday + timedelta(days=17))
    found = activity(span, (monday, "view", 1, 5), minutes=7 * 1440)
    options = events_over_time(found, None)
    assert options["xAxis"]["data"] == ["2025-02-24", "2025-03-03", "2025-03-10"]
    assert options["series"][0]["data"][0]["value"] == 5


def test_the_funnel_names_each_step_with_its_share_of_the_one_before() -> None:
    (series,) = funnel(Totals(events=300, views=200, carts=50, purchases=10))["series"]
    assert [point["value"] for point in series["data"]] == [200, 50, 10]
    assert [point["label"]["formatter"] for point in series["data"]] == ["200", "50  (25.0 %)", "10  (20.0 %)"]


def test_a_funnel_without_its_first_step_has_no_shares() -> None:
    (series,) = funnel(Totals(events=5, views=0, carts=0, purchases=5))["series"]
    assert [point["label"]["formatter"] for point in series["data"]] == ["0", "0", "5"]


def test_funnels_then_and_now_are_of_one_scale() -> None:
    then, now = Totals(events=30, views=20, carts=5, purchases=1), Totals(events=300, views=200, carts=50, purchases=10)

    assert funnel(then, longest=200)["xAxis"] == funnel(now, longest=200)["xAxis"] == funnel(now)["xAxis"]
