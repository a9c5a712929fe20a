"""The page Funnel, in a browser, with three months of a real shop: its numbers are those of the file."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import polars as pl
import pytest

from benchmarks.browser import wait_until_drawn
from tests.dashboard.browser import figures
from tests.dashboard.browser.figures import share
from tests.dashboard.browser.seen import Open
from tests.pipeline import judge

pytestmark = [pytest.mark.slow, pytest.mark.long]

WEEK = timedelta(days=7)
STEPS = {"All sessions": "sessions", "View": "viewed", "Add to cart": "carted", "Purchase": "purchased"}
LISTED = 1_000
"""Users that the page lists at most."""


def test_sessions_come_as_far_as_in_the_file(open_page: Open, ga4_events: pl.DataFrame) -> None:
    end = figures.end_of(ga4_events)
    sessions = figures.sessions(ga4_events, end - WEEK, end)
    found, before = figures.counts(sessions), figures.counts(figures.sessions(ga4_events, end - 2 * WEEK, end - WEEK))
    took = sessions["took"].drop_nulls().sort()
    middle, mean = took[took.len() // 2], took.mean()
    assert isinstance(mean, timedelta)

    seen = open_page("/funnel", range="7 days", against="The period before", grain="Day")

    seen.await_metrics(
        {
            "Sessions": f"{found['sessions']:,}",
            "Conversion": share(found["purchased"], found["sessions"]),
            "Median time": next(label for label, bound in figures.BANDS.items() if middle <= bound),
            "Mean time": f"{int(mean.total_seconds() // 60)} min",
            "Revenue": f"{found['spent']:,.0f}",
        }
    )
    seen.await_words(*stops(found))
    seen.await_rows(
        "Steps of both periods, with the differences in percentage points",
        [
            {"Step": step, "Sessions": str(found[name]), "Other sessions": str(before[name])}
            for step, name in STEPS.items()
        ],
    )
    others = ga4_events.filter(pl.col("event_time") >= end - WEEK)["event_type"].value_counts(sort=True)
    seen.await_rows(
        "Events of other types",
        [
            {"Type": kind, "Events": str(count)}
            for kind, count in others.iter_rows()
            if kind in ("session_start", "begin_checkout")
        ],
    )


def test_sessions_over_time_and_their_time_to_purchase_are_those_of_the_file(
    open_page: Open, ga4_events: pl.DataFrame
) -> None:
    end = figures.end_of(ga4_events)
    sessions = figures.sessions(ga4_events, end - WEEK, end)
    days = sessions.group_by("day").agg(judge.steps())

    seen = open_page("/funnel", range="7 days", grain="Day", live="false")

    assert seen.told_at("Sessions and their conversion over time", 0.5) in {
        f"{day}sessions{count:,}conversion,%{round(100 * purchased / count, 2):g}"
        for day, count, purchased in days.select("day", "sessions", "purchased").iter_rows()
    }
    assert seen.told_at("Histogram of the time from the first view to the purchase", 0.5) in {
        f"{label}purchases{count:,}".replace(" ", "") for label, count in figures.by_band(sessions).items()
    }


@pytest.mark.parametrize(("asked", "name"), [("dimension", "device"), ("property", "medium")])
def test_sessions_by_value_are_those_of_the_file(
    open_page: Open, ga4_events: pl.DataFrame, asked: str, name: str
) -> None:
    end = figures.end_of(ga4_events)
    sessions = figures.sessions(ga4_events, end - WEEK, end, [name])
    expected = {
        value or "unknown": {**figures.counts(of), "minutes": minutes(of)} for (value,), of in sessions.group_by(name)
    }

    shown = open_page("/funnel", range="7 days", live="false", **{asked: name}).download("CSV")

    assert dict(shown.select("value", pl.col("sessions").cast(pl.Int64)).iter_rows()) == {
        value: found["sessions"] for value, found in expected.items()
    }
    for row in shown.iter_rows(named=True):
        found = expected[row["value"]]
        assert {step: int(row[step]) for step in (*STEPS.values(), "bought")} == {
            step: found[step] for step in (*STEPS.values(), "bought")
        }
        assert float(row["conversion"]) == pytest.approx(found["purchased"] / found["sessions"])
        assert float(row["revenue"]) == pytest.approx(found["spent"], abs=0.01)  # the price of one is to four decimals
        if found["purchased"]:
            assert float(row["minutes_to_purchase"]) == pytest.approx(found["minutes"], abs=1 / 60)  # whole seconds


def test_users_come_as_far_as_in_the_file_within_the_window(open_page: Open, ga4_events: pl.DataFrame) -> None:
    users = judge.user_funnel(ga4_events, judge.COUNTED, date(2020, 12, 7), date(2020, 12, 13), WEEK)
    viewed, carted, bought = (pl.col(name).is_not_null() for name in ("view_at", "cart_at", "purchase_at"))
    parts = {
        "No view": users.filter(~viewed),
        "View, no cart": users.filter(viewed, ~carted),
        "Cart, no purchase": users.filter(carted, ~bought),
        "Purchase": users.filter(bought),
    }
    days = {"from": "2020-12-07T00:00", "until": "2020-12-14T00:00"}

    seen = open_page("/funnel", range="Custom", by="Users", within="7 days", live="false", **days)

    purchased = parts["Purchase"].height
    seen.await_words(f"{purchased:,} of {users.height:,} users ({share(purchased, users.height)}) purchased.")
    assert seen.told_at("Histogram of users' time from the first view to the purchase", 0.5) in set(
        told_of_bands(parts["Purchase"])
    )
    for label, part in parts.items():
        seen.choose(label)
        listed = min(part.height, LISTED)
        all_of_them = f"All {part.height:,}" if listed == part.height else f"{listed:,} of {part.height:,}"
        seen.await_words(f"{all_of_them}, those who acted last first.")
        wait_until_drawn(seen.page)
        shown = as_judged(seen.download("CSV"))
        assert shown.height == listed
        assert shown.join(part, on=part.columns, how="anti", nulls_equal=True).is_empty()
        assert shown["last_at"].min() == part["last_at"].sort(descending=True)[listed - 1]


def stops(found: dict[str, Any]) -> list[str]:
    """What the page says of each step."""
    sessions, viewed, carted = found["sessions"], found["viewed"], found["carted"]
    none, stopped, left = sessions - viewed, viewed - carted, carted - found["purchased"]
    return [
        f"View: {none:,} of {sessions:,} sessions ({share(none, sessions)}) had none.",
        f"Add to cart: {stopped:,} of {viewed:,} with a view ({share(stopped, viewed)}) stopped there.",
        f"Purchase: {left:,} of {carted:,} with something in the cart ({share(left, carted)}) left it.",
        f"In whatever order, {found['bought']:,} sessions had a purchase.",
    ]


def minutes(sessions: pl.DataFrame) -> float | None:
    """From the first view to the purchase, in the mean."""
    mean = sessions["took"].mean()
    return mean.total_seconds() / 60 if isinstance(mean, timedelta) else None


def told_of_bands(bought: pl.DataFrame) -> list[str]:
    """Of each band of the histogram of users."""
    bands = {
        "≤5min": timedelta(minutes=5),
        "≤1h": timedelta(hours=1),
        "≤6h": timedelta(hours=6),
        "≤1day": timedelta(days=1),
        "≤3days": timedelta(days=3),
        "≤7days": WEEK,
    }
    took, told, before = bought["purchase_at"] - bought["view_at"], [], timedelta(microseconds=-1)
    for label, bound in bands.items():
        told.append(f"{label}purchases{((took > before) & (took <= bound)).sum():,}")
        before = bound
    return told


def as_judged(listed: pl.DataFrame) -> pl.DataFrame:
    """The file of listed users in the columns of `judge.user_funnel`."""
    times = {"view_time": "view_at", "cart_time": "cart_at", "purchase_time": "purchase_at", "last_time": "last_at"}
    return listed.select("user_id", *(judge.moments(name).alias(to) for name, to in times.items()))
