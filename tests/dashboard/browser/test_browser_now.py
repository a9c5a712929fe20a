"""The page Now, in a browser, with three months of a real shop: its numbers are those of the file."""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from tests.dashboard.browser import figures
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
        seen.await_metrics(figures.now(ga4_events, length))


def test_the_latest_events_are_the_last_of_the_file(open_page: Open, ga4_events: pl.DataFrame) -> None:
    shown = open_page("/", range="All").rows("The latest events")

    last = ga4_events.sort("event_time", descending=True).head(len(shown))
    assert len(shown) >= 5
    assert [row["Event time (UTC)"][:19] for row in shown] == last["event_time"].dt.strftime("%F %T").to_list()
    known = set(ga4_events.tail(5_000).select("user_id", "session_id").iter_rows())
    assert all((row["User"], row["Session"]) in known for row in shown)
