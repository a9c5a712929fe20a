"""Outages are found in the counts themselves: no day is named anywhere."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality.outages import EVENT_TYPE, EVENTS, HOUR, look_back

FILE = Path(__file__).parents[3] / "shared" / "data" / "ga4_store_events.csv.gz"
START = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 60
USUAL = {"view": 400.0, "add_to_cart": 120.0, "purchase": 40.0}


def counts(seed: int, lost: tuple[str, int, int] | None = None) -> pl.DataFrame:
    """By hour, scattered by more than chance, with weekends half as busy; ``lost``: a type, its first day without any
    event and the one after the last."""
    random = np.random.default_rng(seed)
    rows = []
    for day in range(DAYS):
        busy = random.gamma(25, 1 / 25) * (0.5 if day % 7 >= 5 else 1.0)
        for event_type, usual in USUAL.items():
            if lost is not None and event_type == lost[0] and lost[1] <= day < lost[2]:
                continue
            mean = usual / 24 * busy * random.gamma(25, 1 / 25)
            rows += [
                (event_type, START + timedelta(days=day, hours=h), n) for h, n in enumerate(random.poisson(mean, 24))
            ]
    return pl.DataFrame(
        rows, schema={EVENT_TYPE: pl.String, HOUR: pl.Datetime("us", "UTC"), EVENTS: pl.Int64}, orient="row"
    )


def days(first: datetime, end: datetime) -> tuple[date, date]:
    """Both inclusive."""
    return first.date(), (end - timedelta(days=1)).date()


@pytest.mark.skipif(not FILE.is_file(), reason=f"{FILE} is not there")
def test_the_outages_of_a_real_shop_are_found() -> None:
    events = pl.read_csv(FILE, columns=["event_time", EVENT_TYPE]).with_columns(
        pl.col("event_time").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_zone="UTC").dt.truncate("1h").alias(HOUR),
    )
    by_hour = events.group_by(EVENT_TYPE, HOUR).agg(pl.len().cast(pl.Int64).alias(EVENTS))

    found = [each for each in look_back(by_hour).outages if each.is_total]

    assert [(each.event_type, *days(each.buckets.start, each.buckets.end)) for each in found] == [
        ("add_to_cart", date(2020, 11, 1), date(2020, 11, 15)),
        ("begin_checkout", date(2020, 11, 1), date(2020, 11, 22)),
        ("add_to_cart", date(2020, 11, 21), date(2020, 11, 24)),
        ("purchase", date(2021, 1, 31), date(2021, 1, 31)),
    ]


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    event_type=st.sampled_from(["add_to_cart", "purchase"]),
    first=st.integers(10, 45),
    length=st.integers(2, 10),
)
def test_an_outage_is_found_with_its_days(seed: int, event_type: str, first: int, length: int) -> None:
    found = look_back(counts(seed, (event_type, first, first + length))).outages

    total = [each for each in found if each.is_total]
    assert [(each.event_type, each.buckets.start) for each in total] == [(event_type, START + timedelta(days=first))]
    assert total[0].buckets.end == START + timedelta(days=first + length)


def test_clean_counts_show_none() -> None:
    """One file in a hundred may."""
    alarmed = [seed for seed in range(40) if look_back(counts(seed)).outages]
    assert len(alarmed) <= 2


def test_a_time_without_any_event_is_one_finding_and_not_one_for_each_type() -> None:
    silent = pl.col(HOUR).is_between(START + timedelta(days=30), START + timedelta(days=32), closed="left")
    (found,) = look_back(counts(1).filter(~silent)).outages
    assert (found.event_type, days(found.buckets.start, found.buckets.end)) == (
        None,
        (date(2026, 4, 1), date(2026, 4, 2)),
    )


def test_a_rare_type_and_few_days_are_not_judged() -> None:
    rare = (
        counts(2)
        .filter(pl.col(EVENT_TYPE) != "purchase")
        .vstack(
            pl.DataFrame(
                {EVENT_TYPE: ["purchase"], HOUR: [START + timedelta(days=20)], EVENTS: [3]}, schema=counts(2).schema
            )
        )
    )
    assert look_back(rare).too_rare == ("purchase",)
    assert look_back(counts(2).filter(pl.col(HOUR) < START + timedelta(hours=9))).bucket is None
