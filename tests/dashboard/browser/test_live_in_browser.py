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

from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from producer.client import ConfluentSender
from tests.dashboard.browser.seen import APPEARS_WITHIN_S, Open
from tests.pipeline.shop_stack import Shop

pytestmark = [pytest.mark.slow, pytest.mark.long]

USER = "somebody whom nobody else is"


def test_an_event_appears_while_range_and_scroll_stay(open_page: Open, shop: Shop, ga4_events: pl.DataFrame) -> None:
    seen = open_page("/")
    seen.choose("24 hours")
    seen.page.wait_for_url("**range=24+hours*")
    latest = seen.table("The latest events")
    latest.scroll_into_view_if_needed()
    events = int(seen.metrics()["Events"].replace(",", ""))
    scrolled = seen.page.evaluate("stMain.scrollTop")
    assert scrolled > 0

    newest = ga4_events["event_time"].max()
    assert isinstance(newest, datetime)
    produce(shop, newest + timedelta(seconds=1))

    expect(latest.locator("canvas table")).to_contain_text(USER, timeout=APPEARS_WITHIN_S * 1000)
    seen.await_metrics({"Events": f"{events + 1:,}"})
    assert seen.page.evaluate("stMain.scrollTop") == scrolled
    assert seen.page.get_by_role("radio", name="24 hours", exact=True).get_attribute("aria-checked") == "true"
    assert "range=24+hours" in seen.page.url


def produce(shop: Shop, time: datetime) -> None:
    fields = {"event_id": USER, "user_id": USER, "event_type": "view", "timestamp": time.isoformat()}
    with closing(ConfluentSender(Endpoints.load(Home(shop.home)).kafka, "user_events")) as sender:
        sender.send(USER.encode(), json.dumps(fields).encode())
        sender.flush()
