"""Users' days into cohorts: who is counted where, and that it is the same however the days come."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gold.cohorts import KEY, changed, cohorts, summed
from lakehouse.contracts import COHORT_UNITS, Cohorts
from lakehouse.frames import arrow_schema, to_arrow
from tests.pipeline import judge

MONDAY = date(2026, 3, 2)


def days(*rows: tuple[str, str]) -> pl.DataFrame:
    """User and day of March 2026: ``("ann", "02")``; the 2nd is a Monday."""
    found = [(user, date.fromisoformat(f"2026-03-{day}")) for user, day in rows]
    return pl.DataFrame(found, schema={"user_id": pl.String, "date": pl.Date}, orient="row")


def cells(found: pl.DataFrame, unit: str) -> dict[tuple[str, int], int]:
    """Users by cohort (day of March) and period."""
    rows = found.filter(pl.col("unit") == unit).select("cohort", "period", "users").iter_rows()
    return {(f"{cohort:%d}", period): users for cohort, period, users in rows}


def test_a_user_is_of_the_day_of_the_first_event_and_counts_on_each_day_since() -> None:
    found = cohorts(days(("ann", "02"), ("ann", "04"), ("bob", "02"), ("cid", "04"), ("cid", "05")))

    assert cells(found, "day") == {("02", 0): 2, ("02", 2): 1, ("04", 0): 1, ("04", 1): 1}


def test_weeks_begin_on_mondays_and_count_a_user_once() -> None:
    found = cohorts(days(("ann", "01"), ("ann", "02"), ("bob", "08"), ("bob", "09"), ("bob", "15"), ("bob", "16")))

    february = date(2026, 2, 23)
    assert found.filter(pl.col("unit") == "week", pl.col("cohort") == february)["period"].sort().to_list() == [0, 1]
    assert cells(found.filter(pl.col("cohort") != february), "week") == {("02", 0): 1, ("02", 1): 1, ("02", 2): 1}


def test_a_late_event_moves_a_user_to_an_earlier_cohort_and_the_cells_left_behind_have_none() -> None:
    before = cohorts(days(("ann", "04"), ("ann", "06"), ("bob", "04")))
    now = cohorts(days(("ann", "03"), ("ann", "04"), ("ann", "06"), ("bob", "04")))

    told = changed(before, now)

    assert cells(told, "day") == {("03", 0): 1, ("03", 1): 1, ("03", 3): 1, ("04", 0): 1, ("04", 2): 0}
    assert cells(told, "week") == {}


def test_what_is_as_it_was_is_not_told_nor_a_cell_that_has_none_already() -> None:
    now = cohorts(days(("ann", "04")))
    empty = now.head(1).with_columns(pl.lit(9, pl.Int64).alias("period"), pl.lit(0, pl.Int64).alias("users"))

    assert changed(pl.concat([now, empty]), now).is_empty()


def test_cells_are_rows_of_the_contract() -> None:
    schema = arrow_schema(Cohorts)

    for found in (cohorts(days(("ann", "01"))), cohorts(days()), changed(cohorts(days()), cohorts(days()))):
        assert to_arrow(found).cast(schema).schema == schema


ACTIVE = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 20)), max_size=40)


def of(rows: list[tuple[str, int]]) -> pl.DataFrame:
    found = [(user, MONDAY + timedelta(days=day)) for user, day in rows]
    return pl.DataFrame(found, schema={"user_id": pl.String, "date": pl.Date}, orient="row")


@hypothesis_settings(max_examples=60, deadline=None)
@given(ACTIVE, st.randoms())
def test_order_and_slices_of_users_do_not_matter(rows: list[tuple[str, int]], chance: Random) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)
    slices = [cohorts(of([row for row in shuffled if row[0] in users])) for users in ("abc", "def")]

    assert_frame_equal(summed(pl.concat(slices)).sort(KEY), cohorts(of(rows)).sort(KEY))


@hypothesis_settings(max_examples=60, deadline=None)
@given(ACTIVE)
def test_over_all_cohorts_the_users_of_a_date_are_those_who_acted_then(rows: list[tuple[str, int]]) -> None:
    found = cohorts(of(rows))

    for unit, length in COHORT_UNITS.items():
        acted: dict[int, set[str]] = defaultdict(set)
        for user, day in rows:
            acted[day // length].add(user)
        counted: dict[int, int] = defaultdict(int)
        for cohort, period, users in found.filter(pl.col("unit") == unit).select(Cohorts.columns()[1:]).iter_rows():
            counted[(cohort - MONDAY).days // length + period] += users
        assert counted == {number: len(users) for number, users in acted.items()}


@pytest.fixture(scope="module")
def ga4(shared_data: Path) -> pl.DataFrame:
    return judge.read_events(shared_data / "ga4_store_events.csv.gz")


def test_three_months_of_a_shop_are_what_another_computes_of_them(ga4: pl.DataFrame) -> None:
    found = cohorts(ga4.select("user_id", pl.col("event_time").dt.date().alias("date")))

    assert_frame_equal(found.sort(KEY), judge.cohorts(ga4))
    assert found.filter(pl.col("period") == 0).group_by("unit").agg(pl.col("users").sum()).sort("unit").rows() == [
        ("day", 24_473),
        ("week", 24_473),
    ]
