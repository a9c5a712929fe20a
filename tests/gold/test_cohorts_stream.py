"""Cohorts as a table: as all users' days have them, whichever engine does it, and whatever becomes of the days."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import cast

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyspark.sql import SparkSession

import gold.cohorts_stream as cohorts_stream
from gold.cohorts import cohorts
from gold.cohorts_stream import CohortsStage
from lakehouse.commits import Commit
from lakehouse.contracts import Cohorts, Table, UserDays
from lakehouse.endpoints import Endpoints
from lakehouse.frames import empty, to_arrow
from lakehouse.home import Home
from lakehouse.runner import Runner
from lakehouse.settings import Settings
from lakehouse.stages import Context
from lakehouse.store import TableStore

NO_SPARK = cast(SparkSession, None)
"""delta-rs commits, and polars reads."""


def day(user: str, on: str) -> dict[str, object]:
    """One event of ``user`` on a day of March 2026."""
    noon = datetime.fromisoformat(f"2026-03-{on}T12:00").replace(tzinfo=UTC)
    counts = dict.fromkeys(("num_views", "num_events", "active_hours"), 1)
    none = dict.fromkeys(("num_add_to_cart", "num_purchases", "sessions"), 0)
    times = {"first_event_time": noon, "last_event_time": noon, "session_ids": [], "sessions_capped": False}
    return {"user_id": user, "date": noon.date(), "revenue": Decimal(0), **counts, **none, **times}


@dataclass
class Shop:
    """Users' days under a home of their own."""

    home: Home
    settings: Settings
    limit: Callable[[type[Table]], int | None] = lambda _: None

    def __post_init__(self) -> None:
        self.store = TableStore(self.home, self.settings, NO_SPARK)
        self.store.create_all()

    def bring(self, *days: tuple[str, str]) -> None:
        """New days in ``gold.user_days``: user and day of March 2026."""
        version = self.store.version(UserDays)
        rows = pl.DataFrame([day(*each) for each in days], schema=pl.DataFrame(empty(UserDays)).schema)
        self.store.append(UserDays, to_arrow(rows), Commit("user_days", 0, version, source_version=version))

    def open(self, engine: str = "delta-rs", spark: SparkSession = NO_SPARK) -> CohortsStage:
        """A new stage."""
        settings = self.settings.model_copy(update={"commit_engine": engine})
        store = TableStore(self.home, settings, spark)
        nowhere = Endpoints("", "", "", "", "", "")
        self.stage = CohortsStage(Context(settings, self.home, nowhere, spark, store, print, self.limit))
        self.stage.open()
        return self.stage

    def take(self, engine: str = "delta-rs", spark: SparkSession = NO_SPARK) -> None:
        """A new stage takes what is there."""
        self.open(engine, spark)
        while self.stage.has_work():
            self.stage.run()

    def cells(self) -> pl.DataFrame:
        return self.store.scan(Cohorts).collect().sort(Cohorts.key)

    def users(self, unit: str) -> dict[tuple[str, int], int]:
        """Users by cohort (month and day) and period."""
        rows = self.cells().filter(pl.col("unit") == unit).select("cohort", "period", "users").iter_rows()
        return {(f"{cohort:%m-%d}", period): users for cohort, period, users in rows}

    def last(self) -> Commit:
        commit = self.store.last_commit(Cohorts)
        assert commit is not None
        return commit

    def assert_cells_are_those_of_all_days(self) -> None:
        with_users = self.cells().filter(pl.col("users") > 0)
        assert_frame_equal(with_users, cohorts(self.store.scan(UserDays).collect()).sort(Cohorts.key))


@pytest.fixture
def shop(settings: Settings, tmp_path: Path) -> Shop:
    home = Home(tmp_path / "a home").make()
    return Shop(home, settings.model_copy(update={"home": home.root, "commit_engine": "delta-rs"}))


@pytest.mark.parametrize("engine", ["spark", "delta-rs"])
def test_cohorts_follow_users_days_whoever_comes_late(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, engine: str, request: pytest.FixtureRequest
) -> None:
    spark = request.getfixturevalue("spark") if engine == "spark" else NO_SPARK
    monkeypatch.setattr(cohorts_stream, "ROWS_AT_ONCE", 2)  # in slices of the users
    shop.bring(("ann", "10"), ("bob", "10"), ("cid", "09"), ("ann", "11"))
    shop.take(engine, spark)
    assert shop.users("day") == {("03-09", 0): 1, ("03-10", 0): 2, ("03-10", 1): 1}
    assert shop.users("week") == {("03-09", 0): 3}

    shop.bring(("bob", "01"), ("dan", "02"))  # a Sunday and a Monday
    shop.take(engine, spark)

    shop.assert_cells_are_those_of_all_days()
    assert shop.users("week") == {("02-23", 0): 1, ("02-23", 2): 1, ("03-02", 0): 1, ("03-09", 0): 2}
    assert (shop.last().source_version, shop.last().rows_in) == (shop.store.version(UserDays), 8)


def test_each_part_of_the_users_is_a_turn_and_what_comes_meanwhile_waits_for_the_next_count(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohorts_stream, "ROWS_AT_ONCE", 1)
    shop.take()
    shop.bring(("ann", "10"), ("bob", "10"))
    began = shop.store.version(UserDays)

    stage, going_on = shop.stage, []
    for turn in range(3):
        stage.run()
        going_on.append(stage.goes_on)
        if turn == 0:
            shop.bring(("cid", "10"))

    assert going_on == [True, True, False]
    assert (shop.users("day"), stage.position) == ({("03-10", 0): 2}, began)
    assert stage.has_work()


def test_the_first_days_are_counted_at_once_and_the_next_when_the_interval_is_over(shop: Shop) -> None:
    time = 1_000.0
    runner = Runner([shop.open()], 0.0, lambda: None, print, clock=lambda: time)

    def rounds() -> dict[tuple[str, int], int]:
        while runner.round():
            pass
        return shop.users("day")

    assert rounds() == {}  # the table is there before its first days
    assert shop.stage.position == shop.store.version(UserDays)
    shop.bring(("ann", "10"))
    assert rounds() == {("03-10", 0): 1}

    shop.bring(("bob", "10"))
    time += shop.settings.cohorts_interval_s - 1
    assert rounds() == {("03-10", 0): 1}
    time += 2
    assert rounds() == {("03-10", 0): 2}


def test_days_that_change_no_cell_are_taken_too_and_nothing_new_is_no_work(shop: Shop) -> None:
    shop.bring(("ann", "10"), ("bob", "10"))
    shop.take()
    before = shop.cells()
    shop.store.update(UserDays, lambda _: "user_id = 'ann'", {"num_views": "2"}, Commit("user_days", 0, 9))

    shop.take()
    version = shop.store.version(Cohorts)
    shop.take()

    assert_frame_equal(shop.cells(), before)
    assert shop.last().source_version == shop.store.version(UserDays)
    assert shop.store.version(Cohorts) == version


def test_cells_of_users_who_were_erased_stay_without_users(shop: Shop) -> None:
    shop.bring(("ann", "10"), ("bob", "10"), ("cid", "09"))
    shop.take()
    shop.store.delete(UserDays, lambda _: "user_id = 'cid'", Commit("user_days", 0, 9))

    shop.take()

    assert shop.users("day") == {("03-09", 0): 0, ("03-10", 0): 2}
    assert shop.users("week") == {("03-09", 0): 2}


def test_cohorts_are_made_of_days_as_far_as_these_may_be_read(shop: Shop) -> None:
    shop.bring(("ann", "10"))
    judged = shop.store.version(UserDays)
    shop.bring(("bob", "10"))
    shop.limit = lambda table: judged if table is UserDays else None

    shop.take()

    assert shop.users("day") == {("03-10", 0): 1}
    assert shop.last().source_version == judged


def test_a_wrong_cell_is_put_right_with_the_next_days(shop: Shop) -> None:
    shop.bring(("ann", "10"))
    shop.take()
    shop.store.update(Cohorts, lambda _: "true", {"users": "7"}, shop.last())
    shop.bring(("ann", "12"))

    shop.take()

    shop.assert_cells_are_those_of_all_days()
