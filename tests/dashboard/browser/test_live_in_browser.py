"""An event produced is seen in the browser without a click, and nothing moves under the person's hands.

It adds an event to the shop, so it runs after the files that compare numbers (``test_browser_…``).
"""

from __future__ import annotations

import json
from contextlib import closing
from datetime import datetime, timedelta

import polars as pl
import pytest
from playwright.sync_api import expect

from benchmarks.browser import wait_until_drawn
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from producer.client import ConfluentSender
from tests.dashboard.browser import figures
from tests.dashboard.browser.seen import APPEARS_WITHIN_S, Open
from tests.pipeline.shop_stack import Shop

pytestmark = [pytest.mark.slow, pytest.mark.long]

USER = "somebody whom nobody else is"
DAY = timedelta(days=1)


def test_an_event_appears_while_range_and_scroll_stay(open_page: Open, shop: Shop, ga4_events: pl.DataFrame) -> None:
    newest = ga4_events["event_time"].max()
    assert isinstance(newest, datetime)
    seen = open_page("/")
    seen.choose("24 hours")
    seen.page.wait_for_url("**range=24+hours*")
    seen.await_metrics(figures.now(ga4_events, DAY))
    wait_until_drawn(seen.page)
    latest = seen.table("The latest events")
    latest.scroll_into_view_if_needed()
    scrolled = seen.page.evaluate("stMain.scrollTop")
    assert scrolled > 0

    time = newest + timedelta(seconds=1)
    produce(shop, time)

    expect(latest.locator("canvas table")).to_contain_text(USER, timeout=APPEARS_WITHIN_S * 1000)
    new = pl.DataFrame({"event_time": [time], "event_type": ["view_item"]}, schema_overrides=ga4_events.schema)
    seen.await_metrics(figures.now(pl.concat([ga4_events, new], how="diagonal"), DAY))
    assert seen.page.evaluate("stMain.scrollTop") == scrolled
    assert seen.page.get_by_role("radio", name="24 hours", exact=True).get_attribute("aria-checked") == "true"
    assert "range=24+hours" in seen.page.url


def produce(shop: Shop, time: datetime) -> None:
    fields = {"event_id": USER, "user_id": USER, "event_type": "view", "timestamp": time.isoformat()}
    with closing(ConfluentSender(Endpoints.load(Home(shop.home)).kafka, "user_events")) as sender:
        sender.send(USER.encode(), json.dumps(fields).encode())
        sender.flush()
