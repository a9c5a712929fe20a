"""The page Now, in a browser, with three months of a real shop: its numbers are those of the file."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
import pytest

from benchmarks.browser import pages, path
from tests.dashboard.browser.seen import Open

pytestmark = [pytest.mark.slow, pytest.mark.long]

LENGTHS = {
    "Last hour": timedelta(hours=1),
    "6 hours": timedelta(hours=6),
    "24 hours": timedelta(days=1),
    "7 days": timedelta(days=7),
    "All": timedelta(days=10_000),
}


def test_each_range_shows_the_numbers_of_the_file(open_page: Open, ga4_events: pl.DataFrame) -> None:
    seen = open_page("/")

    for label, length in LENGTHS.items():
        seen.choose(label)
        seen.await_metrics(figures(ga4_events, length))


def test_the_latest_events_are_the_last_of_the_file(open_page: Open, ga4_events: pl.DataFrame) -> None:
    shown = open_page("/", range="All").rows("The latest events")

    last = ga4_events.sort("event_time", descending=True).head(len(shown))
    assert len(shown) >= 5
    assert [row["Event time (UTC)"][:19] for row in shown] == last["event_time"].dt.strftime("%F %T").to_list()
    known = set(ga4_events.tail(5_000).select("user_id", "session_id").iter_rows())
    assert all((row["User"], row["Session"]) in known for row in shown)


def test_the_streams_have_taken_the_whole_file(open_page: Open, ga4_events: pl.DataFrame) -> None:
    shown_on = "pipeline" if "pipeline" in pages() else "now"

    streams = {row["Stream"]: row["Rows"] for row in open_page(path(shown_on)).rows("The streams of the pipeline")}

    assert (streams["bronze"], streams["silver"]) == (str(ga4_events.height),) * 2


def figures(events: pl.DataFrame, length: timedelta) -> dict[str, str]:
    """What the page is to say of the last ``length`` of data; the data ends with its last window of ten minutes."""
    newest = events["event_time"].max()
    assert isinstance(newest, datetime)
    end = newest.replace(minute=newest.minute // 10 * 10, second=0, microsecond=0) + timedelta(minutes=10)
    counts = dict(events.filter(pl.col("event_time") >= end - length)["event_type"].value_counts().iter_rows())
    views, purchases = counts.get("view_item", 0), counts.get("purchase", 0)
    return {
        "Events": f"{sum(counts.values()):,}",
        "Views": f"{views:,}",
        "Adds to cart": f"{counts.get('add_to_cart', 0):,}",
        "Purchases": f"{purchases:,}",
        "View to purchase": f"{100 * purchases / views:.1f} %",
    }
