"""Gold as of the end of each day: what is copied, what it answers, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from kept_tables import commit_at, count_views, new_store, views
from pyspark.sql import SparkSession

from lakehouse.contracts import SNAPSHOTS, FunnelSummary, FunnelSummarySnapshots, GoldSnapshots
from lakehouse.errors import LakehouseError
from lakehouse.maintenance import snapshots as snapshots_module
from lakehouse.maintenance.compaction import Tiers, compact, next_compaction
from lakehouse.maintenance.snapshots import DailySnapshots, Taken
from lakehouse.maintenance.upkeep import HistoryExpired, Upkeep
from lakehouse.query import query
from lakehouse.store import TableStore
from lakehouse.writer import Writer


def at(text: str) -> datetime:
    """``at("02 14:00")``: that time of the second of March 2026, UTC."""
    return datetime.fromisoformat(f"2026-03-{text}+00:00")


def day(number: int) -> date:
    return date(2026, 3, number)


@dataclass
class Shop:
    """Gold under a clock that the test moves; a batch is committed at the clock's time."""

    store: TableStore
    now: datetime = field(default_factory=lambda: at("01 08:00"))

    def __post_init__(self) -> None:
        self.snapshots = DailySnapshots(self.store, SNAPSHOTS[0], lambda: self.now)
        commit_at(self.store, FunnelSummary, 0, self.now)

    def count(self, window: str, *, new_users: bool = False, **views: int) -> None:
        count_views(self.store, at(window), new_users=new_users, **views)
        commit_at(self.store, FunnelSummary, self.store.version(FunnelSummary), self.now)

    def take(self) -> list[Taken]:
        return [self.snapshots.take(each) for each in self.snapshots.due()]

    def copies(self) -> list[tuple[int, int, int]]:
        """What is copied: day of the snapshot, day of the windows, rows."""
        names = self.store.scan(GoldSnapshots).sort("snapshot_date", "window_date").collect()
        return [(row["snapshot_date"].day, row["window_date"].day, row["num_rows"]) for row in names.to_dicts()]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(new_store(tmp_path))


def test_only_days_of_windows_that_changed_are_copied(shop: Shop) -> None:
    shop.count("01 09:00", ann=1, bob=2)
    shop.now = at("02 00:10")
    assert shop.take() == [Taken("gold.funnel_summary", day(1), 1, 2)]

    shop.now = at("02 09:00")
    shop.count("02 09:00", ann=1)
    shop.now = at("03 00:10")
    assert shop.take() == [Taken("gold.funnel_summary", day(2), 1, 1)]

    shop.now = at("03 09:00")
    shop.count("01 09:00", ann=4)  # late by two days
    shop.count("03 09:00", cid=1)
    shop.now = at("04 00:10")
    assert shop.take() == [Taken("gold.funnel_summary", day(3), 2, 3)]

    assert shop.copies() == [(1, 1, 2), (2, 2, 1), (3, 1, 2), (3, 3, 1)]


def test_the_day_ends_at_midnight_though_its_snapshot_is_taken_later(shop: Shop) -> None:
    shop.now = at("01 23:59:59")
    shop.count("01 23:50", ann=1)
    shop.now = at("02 00:00")
    shop.count("01 23:50", ann=10)
    shop.now = at("02 09:00")

    shop.take()

    (copied,) = shop.store.scan(FunnelSummarySnapshots).collect().to_dicts()
    assert (copied["snapshot_date"], copied["num_views"]) == (day(1), 1)
    (name,) = shop.store.scan(GoldSnapshots).collect().to_dicts()
    assert (name["source_version"], name["as_of"]) == (1, at("01 23:59:59"))


def test_a_day_without_a_change_and_a_compaction_copy_nothing(shop: Shop) -> None:
    shop.count("01 09:00", ann=1)
    shop.count("01 09:00", new_users=True, bob=1)
    shop.now = at("02 00:10")
    shop.take()

    due = next_compaction(shop.store.at_head(FunnelSummary), Tiers(many=1), datetime.now(UTC))
    assert due is not None
    assert compact(shop.store.at_head(FunnelSummary), due).removed == 2
    commit_at(shop.store, FunnelSummary, shop.store.version(FunnelSummary), at("02 10:00"))
    shop.now = at("04 00:10")

    assert [(taken.day.day, taken.partitions) for taken in shop.take()] == [(2, 0), (3, 0)]
    assert shop.snapshots.due() == []
    assert shop.copies() == [(1, 1, 2)]


def test_days_on_which_nothing_ran_are_made_up_for(shop: Shop) -> None:
    shop.count("01 09:00", ann=1)
    shop.now = at("02 00:10")
    shop.take()
    shop.now = at("02 09:00")
    shop.count("02 09:00", ann=1)

    shop.now = at("05 12:00")

    assert [(taken.day.day, taken.partitions) for taken in shop.take()] == [(2, 1), (3, 0), (4, 0)]


def test_a_table_that_began_today_has_nothing_to_copy_yet(shop: Shop) -> None:
    shop.count("01 09:00", ann=1)

    assert shop.snapshots.due() == []
    assert shop.snapshots.position == shop.store.version(FunnelSummary)


def test_partitions_that_have_gone_are_gone_from_the_next_day_on(shop: Shop) -> None:
    shop.count("01 09:00", ann=1)
    shop.now = at("02 00:10")
    shop.take()
    shop.store.at_head(FunnelSummary).delete("window_date = DATE '2026-03-01'")
    commit_at(shop.store, FunnelSummary, shop.store.version(FunnelSummary), shop.now)
    shop.now = at("03 00:10")

    shop.take()

    assert shop.copies() == [(1, 1, 1), (2, 1, 0)]


@pytest.mark.parametrize("killed_after", [FunnelSummarySnapshots, None])
def test_a_snapshot_is_taken_once_though_it_is_killed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, killed_after: Any
) -> None:
    shop.count("01 09:00", ann=1, bob=2)
    shop.now = at("02 00:10")
    if killed_after is not None:
        monkeypatch.setattr(snapshots_module, "conform", killed)
        with pytest.raises(Killed):
            shop.take()
        monkeypatch.undo()
        assert shop.store.rows(FunnelSummarySnapshots) == 2
        assert shop.snapshots.due() == [day(1)]

    shop.take()
    shop.snapshots.take(day(1))

    assert shop.copies() == [(1, 1, 2)]
    assert shop.store.rows(FunnelSummarySnapshots) == 2


class Killed(Exception):
    """Stands for a kill between the copies and their names."""


def killed(*_: object) -> None:
    raise Killed


def test_a_snapshot_that_is_due_holds_its_table(shop: Shop) -> None:
    shop.count("01 09:00", ann=1)
    shop.now = at("02 00:10")
    upkeep = Upkeep(shop.store, [], log=print, clock=lambda: shop.now)

    assert [hold.reader for hold in upkeep.holds(FunnelSummary)] == ["the daily snapshot of gold.funnel_summary"]
    expired = [step for step in upkeep.steps([FunnelSummary]) if isinstance(step, HistoryExpired)]

    assert [step.held_by for step in expired] == [()]
    assert shop.copies() == [(1, 1, 1)]


def test_a_day_whose_files_have_gone_is_passed_over(shop: Shop) -> None:
    shop.count("01 09:00", ann=1)
    shop.now = at("02 09:00")
    shop.count("01 09:00", ann=1)
    for file in Path(shop.store.path(FunnelSummary)).rglob("*.parquet"):
        if str(file.relative_to(shop.store.path(FunnelSummary))) not in paths(shop.store):
            file.unlink()

    assert shop.take() == [Taken("gold.funnel_summary", day(1), 0, 0)]
    assert shop.snapshots.due() == []


def paths(store: TableStore) -> set[str]:
    import pyarrow as pa

    return set(pa.table(store.at_head(FunnelSummary).get_add_actions())["path"].to_pylist())


def test_copies_go_once_no_kept_day_needs_them(tmp_path: Path) -> None:
    shop = Shop(new_store(tmp_path, gold_snapshot_days=2))
    for number in range(1, 6):
        shop.now = at(f"0{number} 09:00")
        shop.count("01 09:00", ann=1)
        if number == 1:
            shop.count("01 09:00", bob=1)
            shop.count("02 09:00", ann=7)
        shop.now = at(f"0{number + 1} 00:10")
        shop.take()
        shop.snapshots.expire()

    # Days 4 and 5 are kept, and with them the only copy of the windows of day 2.
    assert shop.copies() == [(1, 2, 1), (4, 1, 2), (5, 1, 2)]
    assert shop.snapshots.days() == (day(4), day(5))
    assert shop.store.rows(FunnelSummarySnapshots) == 5


def test_none_are_taken_where_none_are_wanted(tmp_path: Path) -> None:
    shop = Shop(new_store(tmp_path, gold_snapshot_days=0))
    shop.count("01 09:00", ann=1)
    shop.now = at("02 00:10")

    assert shop.snapshots.due() == []


def test_sql_answers_as_of_the_end_of_a_day_and_says_what_is_kept(tmp_path: Path, spark: SparkSession) -> None:
    shop = Shop(new_store(tmp_path, spark, gold_snapshot_days=2))
    expected = {}
    for number in range(1, 5):
        shop.now = at(f"0{number} 09:00")
        shop.count(f"0{number} 09:00", ann=1)
        shop.count("01 09:00", bob=number)
        shop.now = at(f"0{number + 1} 00:10")
        expected[number] = views(shop.store, version=shop.store.version(FunnelSummary))
        shop.take()
        shop.snapshots.expire()

    ask = asking(shop.store, spark)
    for number in (3, 4):
        as_of = f"DATE '2026-03-0{number}' BETWEEN valid_from AND valid_until"
        rows = ask(f"SELECT user_id, sum(num_views) FROM gold.funnel_summary_daily WHERE {as_of} GROUP BY 1")
        assert dict(rows) == expected[number]
    beyond = "DATE '2026-03-02' BETWEEN valid_from AND valid_until"
    assert ask(f"SELECT * FROM gold.funnel_summary_daily WHERE {beyond}") == []

    with pytest.raises(LakehouseError) as refused:
        ask("SELECT * FROM gold.funnel_summary TIMESTAMP AS OF '2020-01-01'")
    said = str(refused.value)
    assert "kept of gold.funnel_summary: versions 8 to 8" in said
    assert "the end of each day from 2026-03-03 to 2026-03-04, in gold.funnel_summary_daily" in said


def asking(store: TableStore, spark: SparkSession) -> Callable[[str], list[Any]]:
    """`lakehouse sql`, of this store alone."""

    class Context:
        pass

    context: Any = Context()
    context.spark, context.store, context.settings = spark.newSession(), store, store.settings
    for name in ("gold", "silver", "bronze"):
        context.spark.sql(f"DROP DATABASE IF EXISTS {name} CASCADE")
    writer: Any = Context()
    writer.context = context
    return lambda text: cast(list[Any], query(cast(Writer, writer), {"query": text}, lambda _: None)["rows"])
