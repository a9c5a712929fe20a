"""The pages Quality, Time travel and Pipeline, in a browser, with three months of a real shop: what they count of the
tables is what was sent, and what the tables themselves say at a version."""

from __future__ import annotations

import polars as pl
import pytest
from deltalake import DeltaTable
from playwright.sync_api import expect

from benchmarks.browser import wait_until_drawn
from lakehouse.home import Home
from tests.dashboard.browser.seen import Open
from tests.dashboard.browser.sent import COPIES, MORE, REFUSED
from tests.pipeline import judge
from tests.pipeline.shop_stack import Shop

pytestmark = [pytest.mark.slow, pytest.mark.long]

AUDITED_WITHIN_S = 240.0
WINDOWS = "gold.funnel_windows"


def test_the_books_have_the_numbers_of_what_was_sent(open_page: Open, ga4_events: pl.DataFrame) -> None:
    seen = open_page("/quality", live="false")

    seen.page.get_by_role("button", name="Check the books").click()
    agree = seen.page.get_by_text("balances agree")
    expect(agree).to_be_visible(timeout=AUDITED_WITHIN_S * 1000)
    wait_until_drawn(seen.page)

    books = {
        row["Balance"]: row for row in seen.all_rows("The books: both sides of each balance, and whether they agree")
    }
    assert {row["Agrees"] for row in books.values()} == {"true"}
    users, sessions = ga4_events["user_id"].n_unique(), judge.sessions(ga4_events, judge.COUNTED).height
    expected = {
        "Kafka → bronze": ga4_events.height + MORE,
        "bronze → silver": ga4_events.height + MORE,
        "user_days → churn_features": users,
        "user_days → cohorts: by day": users,
        "user_days → cohorts: by week": users,
        "session_days → session_funnel: all": sessions,
        "session_days → session_funnel: device": sessions,
        **{f"silver → gold: {kind}": count for kind, count in by_type(ga4_events).items()},
    }
    for balance, count in expected.items():
        assert (books[balance]["Count"], books[balance]["Its count"]) == (f"{count:,}",) * 2, balance
    assert books["bronze → silver"]["Note"] == f"{ga4_events.height:,} + {COPIES:,} + {sum(REFUSED.values()):,}"


def test_refused_rows_are_counted_by_their_reason(open_page: Open) -> None:
    seen = open_page("/quality", live="false")

    refused = sum(REFUSED.values())
    seen.await_words(f"{refused:,} rows; 0 of them have been replaced by a corrected one.")
    most_first = sorted(REFUSED.items(), key=lambda each: -each[1])
    seen.await_rows(
        "Reasons for which rows were refused",
        [{"Reason": reason, "Rows": str(rows), "Open": str(rows)} for reason, rows in most_first],
    )


def test_the_funnel_then_is_the_one_of_that_version_and_now_is_the_one_of_the_file(
    open_page: Open, shop: Shop, ga4_events: pl.DataFrame
) -> None:
    version = DeltaTable(str(Home(shop.home).table(WINDOWS))).version() // 2
    then, after = shop.delta(WINDOWS, version), windows(ga4_events)
    of_then = dict(then.group_by("event_type").agg(pl.col("num_events").sum()).iter_rows())
    of_now = by_type(ga4_events)
    kinds = {"Views": "view", "Adds to cart": "add_to_cart", "Purchases": "purchase"}
    figures = {
        "Rows": (then.height, after.height),
        "Events": (sum(of_then.values()), ga4_events.height),
        **{label: (of_then.get(kind, 0), of_now[kind]) for label, kind in kinds.items()},
    }

    seen = open_page("/time_travel", table=WINDOWS, as_of="Version", version=str(version), range="All", live="false")

    seen.await_rows(
        "What the rows count, then and now",
        [
            {"Counted": label, "Then": str(before), "Now": str(now), "Difference": str(now - before)}
            for label, (before, now) in figures.items()
        ],
    )
    key = ["window_start", "event_type"]
    both = then.select(*key, "num_events").join(after, on=key, how="inner", suffix="_now")
    seen.await_metrics(
        {
            "Rows added": f"{after.height - both.height:,}",
            "Rows changed": f"{both.filter(pl.col('num_events') != pl.col('num_events_now')).height:,}",
            "Rows removed": f"{then.height - both.height:,}",
        }
    )


def test_the_tables_have_the_rows_that_the_file_makes(open_page: Open, shop: Shop, ga4_events: pl.DataFrame) -> None:
    seen = open_page("/pipeline", live="false")

    rows = {row["Table"]: int(row["Rows"]) for row in seen.all_rows("The Delta tables: version, rows, files and size")}

    expected = {
        "bronze.user_events": ga4_events.height + MORE,
        "silver.events": ga4_events.height,
        "silver.duplicates": COPIES,
        "silver.quarantine": sum(REFUSED.values()),
        "gold.funnel_summary": judge.summarise(ga4_events, judge.COUNTED).height,
        WINDOWS: windows(ga4_events).height,
        "gold.user_days": judge.user_days(ga4_events, judge.COUNTED).height,
        "gold.churn_features": ga4_events["user_id"].n_unique(),
        "gold.session_days": judge.sessions(ga4_events, judge.COUNTED).height,
    }
    assert {table: rows[table] for table in expected} == expected
    for table in ("gold.session_funnel", "gold.cohorts"):  # with rows that later events have emptied
        assert rows[table] == shop.rows(table)


def test_the_streams_have_taken_all_that_was_sent(open_page: Open, ga4_events: pl.DataFrame) -> None:
    seen = open_page("/pipeline")

    seen.await_rows(
        "The streams of the pipeline",
        [
            {"Stream": "bronze", "Rows": str(ga4_events.height + MORE)},
            {"Stream": "silver", "Rows": str(ga4_events.height)},
            {"Stream": "gold", "Rows": str(judge.summarise(ga4_events, judge.COUNTED).height)},
        ],
        and_more=True,
    )
    seen.await_words(f"of {last_day(ga4_events):,} events were older than the watermark when they came.")


def windows(events: pl.DataFrame) -> pl.DataFrame:
    """window_start, event_type (as the project names it), num_events."""
    window = pl.col("event_time").dt.truncate("10m").alias("window_start")
    kind = pl.col("event_type").replace({"view_item": "view"})
    return events.group_by(window, kind).agg(pl.len().cast(pl.Int64).alias("num_events"))


def by_type(events: pl.DataFrame) -> dict[str, int]:
    found = windows(events).group_by("event_type").agg(pl.col("num_events").sum())
    return dict(found.iter_rows())


def last_day(events: pl.DataFrame) -> int:
    """Events of the last 24 hours of data."""
    return events.filter(pl.col("event_time").dt.date() == events["event_time"].dt.date().max()).height
