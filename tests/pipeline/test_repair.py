"""Refused messages on their way back, and layers made anew, on a running stack: the books balance all along."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import judge
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from shop_stack import LIMIT_S, Shop

from lakehouse.embedded.waiting import until
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from producer.client import ConfluentSender

pytestmark = [pytest.mark.slow, pytest.mark.long]

COUNTED = {"num_views": "view", "num_add_to_cart": "add_to_cart", "num_purchases": "purchase"}
START = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
GOOD, BAD = 500, 2_000


def event(number: int, **wrong: Any) -> dict[str, Any]:
    at = START + timedelta(seconds=3 * number)
    return {
        "event_id": f"e{number}",
        "user_id": f"u{number % 40}",
        "event_type": ("view", "add_to_cart", "purchase")[number % 3],
        "timestamp": at.isoformat(),
        "session_id": f"s{number % 40}",
        "product_id": str(number),
        **wrong,
    }


EVENTS = [event(number) for number in range(GOOD + BAD)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A running stack that has taken good messages, and more that it had to refuse."""
    running = Shop(tmp_path_factory.mktemp("repair") / "home")
    running.up()
    try:
        bootstrap = Endpoints.load(Home(running.home)).kafka
        with closing(ConfluentSender(bootstrap, "user_events")) as sender:
            for fields in EVENTS[:GOOD]:
                sender.send(str(fields["user_id"]).encode(), json.dumps(fields).encode())
            for fields in EVENTS[GOOD:]:
                sender.send(str(fields["user_id"]).encode(), json.dumps({**fields, "event_type": "teleport"}).encode())
            sender.flush()
        running.run("drain")
        yield running
    finally:
        running.run("down")


def assert_holds(shop: Shop, events: list[dict[str, Any]]) -> None:
    times = pl.col("timestamp").str.to_datetime(time_unit="us", time_zone="UTC").alias("event_time")
    truth = pl.DataFrame(events).with_columns(times)
    expected = judge.summarise(truth, COUNTED)
    assert_frame_equal(shop.gold(), expected)
    assert_frame_equal(shop.mirror(), expected)
    assert_frame_equal(shop.user_days(), judge.user_days(truth, COUNTED))
    mirrored = shop.query("SELECT event_id FROM raw_events")["event_id"]
    assert sorted(mirrored) == sorted(shop.delta("silver.events")["event_id"]) == sorted(truth["event_id"])
    books = shop.ask("audit", "--full")
    assert books["agrees"], books


def test_refused_messages_are_corrected_and_sent_again_once(shop: Shop, tmp_path: Path) -> None:
    assert_holds(shop, EVENTS[:GOOD])
    [reason] = shop.ask("quarantine", "list")
    assert (reason["reason"], reason["rows"], reason["open"]) == ("unknown_type", BAD, BAD)

    file = tmp_path / "refused.jsonl"
    shop.run("quarantine", "export", "--open", "--out", str(file))
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows:
        number = int(json.loads(row["value"])["product_id"])
        row["value"] = EVENTS[number]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = shop.rows("bronze.user_events")

    with shop.start("quarantine", "replay", "--fix", str(file)) as process:
        until(lambda: shop.rows("bronze.user_events") > before or process.poll() is not None, LIMIT_S, tick_s=0.01)
        process.kill()
    again = shop.ask("quarantine", "replay", "--fix", str(file))
    shop.run("drain")

    assert again["sent"] + again["resolved"] + again["on_their_way"] == BAD
    assert_holds(shop, EVENTS)
    quarantine = shop.delta("silver.quarantine")
    assert quarantine.height == BAD and quarantine["resolved_by"].null_count() == 0
    assert shop.rows("silver.duplicates") == 0
    nothing = shop.ask("quarantine", "replay")
    assert (nothing["sent"], nothing["resolved"]) == (0, BAD)
    assert shop.rows("bronze.user_events") == GOOD + 2 * BAD


def test_layers_are_made_anew_beside_the_stream(shop: Shop) -> None:
    before = shop.delta("silver.quarantine").sort("partition", "offset")

    silver = shop.ask("rebuild", "silver")
    gold = shop.ask("rebuild", "gold")
    since = shop.ask("rebuild", "gold", "--since", "2026-03-02")
    shop.run("drain")

    for done in (silver, gold, since):
        changed = {name: each for name, each in done["replaced"].items() if name != "gold.churn_features"}
        assert {count for each in changed.values() for count in each.values()} == {0}, changed
    assert_frame_equal(shop.delta("silver.quarantine").sort("partition", "offset"), before)
    assert_holds(shop, EVENTS)


def test_what_a_setting_let_through_too_little_is_let_through_by_a_rebuild(shop: Shop) -> None:
    """And Postgres follows it, there and back."""
    shop.run("down")
    narrow = Shop(shop.home, {"LAKEHOUSE_EVENT_TYPES": "view,purchase"})
    narrow.up()
    narrow.ask("rebuild", "silver")
    narrow.run("drain")
    assert_holds(narrow, [each for each in EVENTS if each["event_type"] != "add_to_cart"])
    narrow.run("down")

    shop.up()
    shop.ask("rebuild", "silver", "--since", "2026-01-01")
    shop.run("drain")
    assert_holds(shop, EVENTS)
