"""The page Retention, in a browser, with three months of a real shop: its numbers are those of the file."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl
import pytest

from tests.dashboard.browser import figures
from tests.dashboard.browser.seen import Open
from tests.pipeline import judge
from tests.pipeline.shop_stack import Shop

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.mark.parametrize(
    ("unit", "days", "length", "later"),
    [
        pytest.param("week", 7, 12, {1: "1 week", 4: "4 weeks"}, id="weeks"),
        pytest.param("day", 1, 30, {1: "1 day", 7: "7 days"}, id="days"),
    ],
)
def test_who_came_again_are_those_of_the_file(
    open_page: Open, shop: Shop, ga4_events: pl.DataFrame, unit: str, days: int, length: int, later: dict[int, str]
) -> None:
    cells = cells_of(ga4_events, unit, days, length)
    ends = pl.col("cohort").dt.offset_by(pl.format("{}d", (pl.col("period") + 1) * days))
    cells = cells.with_columns((ends <= watermark(shop).date()).alias("is_final"))

    seen = open_page("/retention", unit=unit, live="false", **{f"{unit}s": str(length)})

    shown = seen.download("CSV")
    assert shown.select("cohort", "period", "users", "size", "is_final").rows() == [
        (str(cohort), str(period), str(users), str(size), str(is_final).lower())
        for cohort, period, users, size, is_final in cells.iter_rows()
    ]
    assert [float(share) for share in shown["share"]] == pytest.approx((cells["users"] / cells["size"]).to_list())
    again = {
        label: cells.filter(pl.col("period") == period, pl.col("is_final")).select("users", "size").sum().row(0)
        for period, label in later.items()
    }
    seen.await_metrics(
        {
            "New users": f"{cells.filter(pl.col('period') == 0)['users'].sum():,}",
            **{f"Back after {label}": figures.share(*users) for label, users in again.items()},
        }
    )
    assert seen.told_at(f"New and returning users by {unit}", 0.5) in active(ga4_events, cells, days)
    chart = f"Average retention by {unit}s since the first event, weighted by the cohorts' sizes"
    averages = {int(row["period"]): float(row["share"]) for row in seen.data_of(chart)}
    assert averages[1] == pytest.approx(100 * again[later[1]][0] / again[later[1]][1], abs=0.005)


def cells_of(events: pl.DataFrame, unit: str, days: int, length: int) -> pl.DataFrame:
    """cohort, period, users, size of the newest ``length`` cohorts, those without users too; sorted."""
    found = judge.cohorts(events).filter(pl.col("unit") == unit).drop("unit")
    last = max(cohort + timedelta(days=period * days) for cohort, period, _ in found.iter_rows())
    first = max(last - timedelta(days=(length - 1) * days), found["cohort"].to_list()[0])
    begins = [first + timedelta(days=days * number) for number in range((last - first).days // days + 1)]
    rows = [(cohort, (begin - cohort).days // days) for cohort in begins for begin in begins if begin >= cohort]
    every = pl.DataFrame(rows, {"cohort": pl.Date, "period": pl.Int64}, orient="row")
    cells = every.join(found, on=["cohort", "period"], how="left").with_columns(pl.col("users").fill_null(0))
    size = pl.col("users").filter(pl.col("period") == 0).first().over("cohort").alias("size")
    return cells.with_columns(size).sort("cohort", "period")


def active(events: pl.DataFrame, cells: pl.DataFrame, days: int) -> set[str]:
    """What the chart of active users is to tell of each unit: distinct users with an event, new ones apart."""
    new: dict[date, int] = dict(cells.filter(pl.col("period") == 0).select("cohort", "users").iter_rows())
    day = pl.col("event_time").dt.date()
    told = set()
    for begin, first in new.items():
        acted = events.filter(day.is_between(begin, begin + timedelta(days=days - 1)))["user_id"].n_unique()
        told.add(f"{begin}new{first:,}returning{acted - first:,}")
    return told


def watermark(shop: Shop) -> datetime:
    """Up to where windows are final: of the run, and not of the file."""
    found = shop.query("SELECT max(watermark) AS watermark FROM pipeline_status")["watermark"][0]
    assert isinstance(found, datetime)
    return found
