"""The page Time travel as a person sees it, over tables that the stages made, or that a test gave a past."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from dashboard_tables import Open
from deltalake import DeltaTable
from page_words import rows, said
from streamlit.testing.v1 import AppTest

from dashboard.lake import TIMES, TooMuch, table_at
from dashboard.ranges import Span
from dashboard.time_travel.comparison import Totals, changes_between, totals_of
from dashboard.time_travel.history import read_history
from lakehouse.contracts import (
    SNAPSHOTS,
    BronzeEvents,
    FunnelSummary,
    FunnelWindows,
    SessionFunnel,
    SilverEvents,
    Table,
)
from lakehouse.home import Home
from lakehouse.kept import NotKept
from lakehouse.maintenance.snapshots import DailySnapshots
from lakehouse.settings import Settings
from lakehouse.store import TableStore
from tests.lakehouse.maintenance.kept_tables import commit_at, count_views, new_store
from tests.quality.lake import Lake, message

NASTY = "<script>alert(1)</script> **bold** [x](https://example.com)"


def at(time: str) -> datetime:
    """``at("04 10:03")``: that time of a day of May 2026, UTC."""
    return datetime.fromisoformat(f"2026-05-{time}").replace(tzinfo=UTC)


@pytest.fixture
def lake(settings: Settings, tmp_path: Path) -> Lake:
    """Two batches: of 4 May at 10 o'clock two views; and of 10:05 a view, a cart and a purchase, and one of 2 May."""
    lake = Lake(Home(tmp_path).make(), settings)
    lake.bring(message("view", at("04 10:01")), message("view", at("04 10:02"), user="bob"))
    lake.bring(
        message("view", at("04 10:05")),
        message("add_to_cart", at("04 10:06"), user=NASTY),
        message("purchase", at("04 10:07"), user=NASTY),
        message("view", at("02 09:00")),
    )
    return lake


def committed(lake: Lake, table: type[Table], *moments: str) -> None:
    """Has the versions of the table, from 0, committed at these moments."""
    for version, time in enumerate(moments):
        commit_at(lake.store, table, version, at(time))


def totals(page: AppTest, state: str) -> list[int]:
    """Rows, and of a table that counts events: events, views, adds to cart, purchases."""
    return [row[state] for row in rows(page, "Difference")]


def test_a_home_without_tables_is_said_and_a_table_that_comes_is_shown(
    open_page: Open, settings: Settings, tmp_path: Path
) -> None:
    Home(tmp_path).tables.rmdir()
    page = open_page("time_travel")
    assert not page.exception
    assert "the tables are not on this machine" in said(page)

    Home(tmp_path).make()
    page.run()
    assert "gold.funnel_windows: is not under" in said(page)
    lake = Lake(Home(tmp_path), settings)
    lake.bring(message("view", at("04 10:01")))
    page.run()
    assert not page.exception
    assert rows(page, "Operation")[0]["By"] == "gold"


def test_the_funnel_then_and_now_and_what_changed(open_page: Open, lake: Lake) -> None:
    page = open_page("time_travel", as_of="Version", version="1")
    assert not page.exception
    assert [row["Counted"] for row in rows(page, "Difference")] == [
        "Rows", "Events", "Views", "Adds to cart", "Purchases",
    ]  # fmt: skip
    assert totals(page, "Then") == [1, 2, 2, 0, 0]
    assert totals(page, "Now") == [3, 5, 3, 1, 1]
    assert totals(page, "Difference") == [2, 3, 1, 1, 1]
    assert [(metric.label, metric.value) for metric in page.metric] == [
        ("Rows added", "2"),
        ("Rows changed", "1"),
        ("Rows removed", "0"),
    ]
    changed = {row["Key"]: (row["Change"], row["What"]) for row in rows(page, "Change")}
    assert changed["window_start 2026-05-04 10:00:00, event_type view"] == ("changed", "num_events 2 → 3")
    assert changed["window_start 2026-05-04 10:00:00, event_type purchase"][0] == "added"
    assert (
        'lakehouse sql "SELECT event_type, sum(num_events) AS num_events FROM gold.funnel_windows VERSION AS OF 1 '
        "WHERE window_start >= TIMESTAMP '2026-05-03 10:10:00' AND window_start < TIMESTAMP "
        "'2026-05-04 10:10:00' GROUP BY event_type\""
    ) in [code.value for code in page.code]
    assert lake.store.version(FunnelWindows) == 2


def test_the_whole_range_has_the_late_event_too(open_page: Open, lake: Lake) -> None:
    assert lake.store.version(FunnelWindows) == 2
    page = open_page("time_travel", as_of="Version", version="1", range="All")
    assert totals(page, "Now")[:2] == [4, 6]
    early = open_page(
        "time_travel",
        **{
            "as_of": "Version",
            "version": "1",
            "range": "Custom",
            "from": "2026-05-02T00:00",
            "until": "2026-05-03T00:00",
        },
    )
    assert totals(early, "Then")[:2] == [0, 0]
    assert totals(early, "Now")[:2] == [1, 1]


@pytest.mark.parametrize(
    ("table", "then", "now"),
    [
        ("gold.funnel_summary", [2, 2, 2, 0, 0], [3, 5, 3, 1, 1]),
        ("silver.events", [2, 2, 2, 0, 0], [5, 5, 3, 1, 1]),
        ("gold.user_days", [2, 2, 2, 0, 0], [3, 5, 3, 1, 1]),
        ("gold.session_days", [2, 2, 2, 0, 0], [3, 5, 3, 1, 1]),
    ],
)
def test_each_table_that_counts_events_has_its_funnel(
    open_page: Open, lake: Lake, table: str, then: list[int], now: list[int]
) -> None:
    assert lake.offset == 6
    page = open_page("time_travel", table=table, as_of="Version", version="1")
    assert not page.exception
    assert (totals(page, "Then"), totals(page, "Now")) == (then, now)


def test_hours_of_sessions_are_those_of_the_range(open_page: Open, lake: Lake) -> None:
    assert lake.offset == 6
    newest = totals_of(table_at(lake.home, SessionFunnel), None).rows
    early = {"range": "Custom", "from": "2026-05-02T00:00", "until": "2026-05-03T00:00"}
    page = open_page("time_travel", table="gold.session_funnel", as_of="Version", version="1", **early)
    assert not page.exception
    assert totals(page, "Then") == [0]
    assert 0 < totals(page, "Now")[0] < newest
    assert (
        "SELECT count(*) AS num_rows FROM gold.session_funnel VERSION AS OF 1 WHERE hour >= "
        "TIMESTAMP '2026-05-02 00:00:00' AND hour < TIMESTAMP '2026-05-03 00:00:00'"
    ) in said(page)


@pytest.mark.parametrize(
    "table", ["bronze.user_events", "silver.duplicates", "silver.quarantine", "gold.churn_features"]
)
def test_any_other_table_is_compared_by_its_rows(open_page: Open, lake: Lake, table: str) -> None:
    lake.bring(message("view", at("04 10:05")), message("view", at("04 11:00"), user=""))
    page = open_page("time_travel", table=table, as_of="Version", version="0", range="All")
    assert not page.exception
    assert totals(page, "Then") == [0]
    assert totals(page, "Now")[0] >= 1
    assert rows(page, "Change")


def test_a_moment_is_that_of_the_newest_commit_that_was_not_after_it(open_page: Open, lake: Lake) -> None:
    committed(lake, FunnelWindows, "05 08:00", "05 09:00", "05 10:00")
    page = open_page("time_travel", as_of="Moment", moment="2026-05-05T09:00")
    assert "Version 1, committed at 2026-05-05 09:00:00 UTC" in said(page)
    assert "TIMESTAMP AS OF '2026-05-05 09:00:00'" in said(page)
    assert "Version 1," in said(open_page("time_travel", as_of="Moment", moment="2026-05-05T09:59"))

    latest = open_page("time_travel", as_of="Moment", moment="2026-05-05T11:00")
    assert "both states have the same rows" in said(latest)
    assert "VERSION AS OF 2" in said(latest)
    assert "TIMESTAMP" not in said(latest).replace("TIMESTAMP '", "")


def test_the_moment_that_is_suggested_can_be_read(open_page: Open, lake: Lake) -> None:
    committed(lake, FunnelWindows, "05 08:00:30", "05 11:00", "05 11:30")
    page = open_page("time_travel")
    assert "Version 0, committed at 2026-05-05 08:00:30 UTC" in said(page)


def test_a_moment_before_the_first_version_and_a_version_that_is_not_there_say_what_is_kept(
    open_page: Open, lake: Lake
) -> None:
    committed(lake, FunnelWindows, "05 08:00", "05 09:00", "05 10:00")
    kept = "those from 0 (2026-05-05 08:00:00) to 2 (2026-05-05 10:00:00 UTC) are"
    early = open_page("time_travel", as_of="Moment", moment="2026-05-05T07:00")
    unknown = open_page("time_travel", as_of="Version", version="99")
    for page in (early, unknown):
        assert not page.exception
        assert kept in said(page)
        assert [row["Version"] for row in rows(page, "Operation")] == [2, 1, 0]


def test_a_version_whose_files_were_removed_is_said_in_one_line(open_page: Open, lake: Lake) -> None:
    table = DeltaTable(lake.store.path(FunnelWindows))
    removed = set(DeltaTable(lake.store.path(FunnelWindows), version=1).file_uris()) - set(table.file_uris())
    for uri in removed:
        Path(uri.removeprefix("file://")).unlink()
    page = open_page("time_travel", as_of="Version", version="1")
    assert not page.exception
    assert "the files of version 1 were removed when its time was over" in said(page)


def test_no_version_chosen_yet_points_to_the_history(open_page: Open, lake: Lake) -> None:
    page = open_page("time_travel", as_of="Version")
    assert "Name a version" in said(page)
    history = rows(page, "Operation")
    assert [(row["Version"], row["By"], row["Rows in"], row["Source version"]) for row in history[:2]] == [
        (2, "gold", 4, lake.store.version(SilverEvents)),
        (1, "gold", 2, 1),
    ]


def test_the_history_is_of_the_newest_commits_only(lake: Lake) -> None:
    folder = Path(lake.store.path(FunnelWindows))
    assert [entry.version for entry in read_history(folder, 2, most=2)] == [2, 1]


def test_a_compaction_moves_rows_and_changes_none(lake: Lake) -> None:
    before = table_at(lake.home, SilverEvents)
    DeltaTable(lake.store.path(SilverEvents)).optimize.compact()
    after = table_at(lake.home, SilverEvents)
    assert before.apart_from(after).rows > 0
    assert changes_between(before, after, SilverEvents, None).total == 0


@pytest.mark.parametrize("part_rows", [1, 1_000], ids=["some rows after others", "all at once"])
def test_rows_that_went_are_told_from_rows_that_came(lake: Lake, part_rows: int) -> None:
    before = table_at(lake.home, BronzeEvents)
    DeltaTable(lake.store.path(BronzeEvents)).delete("partition = 0 AND offset = 1")
    found = changes_between(before, table_at(lake.home, BronzeEvents), BronzeEvents, None, part_rows=part_rows)
    assert (found.added, found.removed, found.changed) == (0, 1, 0)
    assert found.examples["key"].to_list() == ["source_id topic-1, partition 0, offset 1"]


def test_more_rows_than_may_be_compared_are_refused_with_what_to_do(lake: Lake) -> None:
    states = (table_at(lake.home, SilverEvents, 0), table_at(lake.home, SilverEvents))
    with pytest.raises(TooMuch, match=r"6 rows .* more than the 5 .* choose a shorter range"):
        changes_between(*states, SilverEvents, None, most_rows=5)


def test_text_of_users_is_never_read_as_markup(open_page: Open, lake: Lake) -> None:
    assert lake.offset == 6
    page = open_page("time_travel", table="silver.events", as_of="Version", version="1")
    assert any(NASTY in row["What"] for row in rows(page, "Change"))
    assert NASTY not in "\n".join(str(part.value) for part in [*page.markdown, *page.caption])


def test_a_home_whose_stack_does_not_run_can_be_looked_back_at(open_page: Open, lake: Lake) -> None:
    lake.home.endpoints.unlink()
    page = open_page("time_travel", as_of="Version", version="1")
    assert not page.exception
    assert totals(page, "Then")[1] == 2


class Shop:
    """Gold with daily snapshots: 1 May one view of ann; on 2 May four more of hers, and one of bob's."""

    def __init__(self, folder: Path) -> None:
        self.store: TableStore = new_store(folder)
        self.now = at("01 08:00")
        commit_at(self.store, FunnelSummary, 0, self.now)
        self.count("01 09:00", "01 09:30", ann=1)
        self.snapshot("02 00:10")
        self.count("01 09:00", "02 10:00", ann=4)
        self.count("02 09:00", "02 11:00", bob=1)
        self.snapshot("03 00:10")
        self.count("02 09:00", "03 11:00", bob=7)

    def count(self, window: str, committed_at: str, **views: int) -> None:
        count_views(self.store, at(window), **views)
        commit_at(self.store, FunnelSummary, self.store.version(FunnelSummary), at(committed_at))

    def snapshot(self, time: str) -> None:
        taken = DailySnapshots(self.store, SNAPSHOTS[0], lambda: at(time))
        for day in taken.due():
            taken.take(day)


@pytest.mark.parametrize(("day", "views"), [("2026-05-01", 1), ("2026-05-02", 6), ("2026-05-10", 6)])
def test_the_end_of_a_day_is_read_from_the_daily_snapshots(
    open_page: Open, tmp_path: Path, day: str, views: int
) -> None:
    Shop(tmp_path)
    page = open_page("time_travel", table="gold.funnel_summary", as_of="End of a day", day=day, range="All")
    assert not page.exception
    assert (totals(page, "Then")[2], totals(page, "Now")[2]) == (views, 13)
    assert f"The end of {day}" in said(page)
    assert f"gold.funnel_summary_daily WHERE DATE '{day}' BETWEEN valid_from AND valid_until" in said(page)


def test_a_day_before_the_first_snapshot_says_which_are_there(open_page: Open, tmp_path: Path) -> None:
    Shop(tmp_path)
    page = open_page("time_travel", table="gold.funnel_summary", as_of="End of a day", day="2026-04-01")
    assert "the end of 2026-04-01 is not kept; snapshots are there from 2026-05-01 to 2026-05-02" in said(page)
    assert not page.metric


def test_without_a_snapshot_the_end_of_a_day_says_when_there_will_be_one(open_page: Open, lake: Lake) -> None:
    assert lake.offset == 6
    page = open_page("time_travel", as_of="End of a day", day="2026-05-04")
    assert "no daily snapshot was taken yet" in said(page)


def test_a_range_reads_the_files_of_its_days_only(lake: Lake) -> None:
    whole = table_at(lake.home, SilverEvents)
    day = Span(at("02 00:00"), at("03 00:00"))
    within = whole.within(day)
    assert 0 < within.files.height < whole.files.height
    assert within.files["partition.event_date"].unique().to_list() == [date(2026, 5, 2)]
    assert totals_of(whole, day).events == 1
    assert whole.scan(day).select(pl.len()).collect().item() == 1
    with pytest.raises(NotKept):
        table_at(lake.home, SilverEvents, 99)


def test_what_a_file_holds_is_counted_once_and_a_file_that_the_range_cuts_each_time(lake: Lake) -> None:
    whole, cut = Span(at("01 00:00"), at("05 00:00")), Span(at("04 10:02"), at("04 10:06"))
    newest = table_at(lake.home, SilverEvents)
    assert newest.split(whole)[1].files.is_empty()
    assert not newest.split(cut)[1].files.is_empty()
    for _ in range(2):
        assert totals_of(newest, None) == totals_of(newest, whole) == Totals(6, 6, 4, 1, 1)
        assert totals_of(newest, cut) == Totals(2, 2, 2, 0, 0)

    lake.bring(message("purchase", at("04 10:05")))

    newest = table_at(lake.home, SilverEvents)
    assert totals_of(newest, whole) == Totals(7, 7, 4, 1, 2)
    assert totals_of(newest, cut) == Totals(3, 3, 2, 0, 1)


@pytest.mark.parametrize("table", [FunnelWindows, FunnelSummary, SilverEvents, BronzeEvents])
def test_totals_by_file_are_those_of_the_rows(lake: Lake, table: type[Table]) -> None:
    """Against the rows themselves, in spans that begin and end inside files, between them and outside."""
    newest, time = table_at(lake.home, table), TIMES[table]
    rows = newest.scan().collect()
    for start, end in (
        ("01 00:00", "05 00:00"),
        ("02 00:00", "04 10:00"),
        ("04 10:02", "04 10:06"),
        ("06 00:00", "07 00:00"),
    ):
        inside = rows.filter(pl.col(time) >= at(start), pl.col(time) < at(end))
        found = totals_of(newest, Span(at(start), at(end)))
        assert found.rows == inside.height
        if table is not BronzeEvents:
            column = "num_events" if "num_events" in inside.columns else None
            assert found.events == (inside[column].sum() if column else inside.height)
