"""Tables read by their files, some of which upkeep removes meanwhile; and ranges, which read only files of theirs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from dashboard.funnel.stops import Within
from dashboard.funnel.users import read_users
from dashboard.lake import TableAt, of_newest, parts_for, table_at
from dashboard.ranges import Span
from dashboard.time_travel.comparison import read_changes, read_totals
from dashboard.time_travel.moments import AtVersion, Then
from lakehouse.contracts import FunnelWindows, SessionDays, SessionFunnel, SilverEvents, Table
from lakehouse.home import Home
from lakehouse.kept import NotKept
from lakehouse.settings import Settings
from tests.quality.lake import Lake, message


def at(time: str) -> datetime:
    """``at("04 10:03")``: that time of a day of May 2026, UTC."""
    return datetime.fromisoformat(f"2026-05-{time}").replace(tzinfo=UTC)


MAY_4 = Span(at("04 00:00"), at("05 00:00"))


@pytest.fixture
def lake(settings: Settings, tmp_path: Path) -> Lake:
    """On 4 May three views, each in a file of its own; the day before, one."""
    lake = Lake(Home(tmp_path).make(), settings)
    lake.bring(message("view", at("03 09:00"), user="dan"))
    for number, user in enumerate(("ann", "bob", "cid")):
        lake.bring(message("view", at(f"04 10:0{number}"), user=user))
    return lake


def compact_and_remove(lake: Lake) -> None:
    """What upkeep does over days, at once: of ``silver.events`` only the newest files stay."""
    table = DeltaTable(lake.store.path(SilverEvents))
    table.optimize.compact()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)


def rows_of(at: TableAt) -> int:
    return int(at.scan().select(pl.col(SilverEvents.event_id).len()).collect(engine="streaming").item())


def test_files_that_go_while_they_are_read_are_looked_for_in_the_newest_version(lake: Lake) -> None:
    versions = []

    def read(found: TableAt) -> int:
        versions.append(found.version)
        if len(versions) == 1:
            compact_and_remove(lake)
        return rows_of(found)

    assert of_newest(lake.home, SilverEvents, read) == 4
    assert versions[1] > versions[0]


def test_a_newest_version_without_its_files_is_one_line_with_what_to_do(lake: Lake) -> None:
    newest = table_at(lake.home, SilverEvents)
    newest.paths()[0].unlink()

    with pytest.raises(NotKept, match=r"silver\.events: .* the newest, is missing, .* `lakehouse rebuild`") as told:
        of_newest(lake.home, SilverEvents, rows_of)

    assert "\n" not in str(told.value)


def test_what_else_goes_wrong_is_no_missing_file(lake: Lake) -> None:
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        of_newest(lake.home, SilverEvents, lambda found: found.scan().select("no_such_column").collect())


def test_users_whose_days_are_gone_are_said_to_be_in_one_line(lake: Lake) -> None:
    table_at(lake.home, SessionDays).paths()[0].unlink()

    with pytest.raises(NotKept, match=r"gold\.session_days: .* is missing"):
        read_users(lake.home, Span(at("01 00:00"), at("05 00:00")), Within.DAY.length, None)


@pytest.mark.parametrize("read", [read_totals, read_changes])
def test_an_old_state_whose_files_are_gone_is_said_to_be_over(lake: Lake, read: object) -> None:
    assert callable(read)
    then = Then(AtVersion(2), 2, "version 2")
    compact_and_remove(lake)
    newest = lake.store.version(SilverEvents)

    with pytest.raises(NotKept, match=r"the files of version 2 were removed when its time was over .* a newer one"):
        read(lake.home, SilverEvents.name, then, newest, None)


def test_a_version_that_was_never_there_says_which_are(lake: Lake) -> None:
    with pytest.raises(
        NotKept, match=r"gold\.funnel_windows: version 99 is not kept any more, or not there; those from"
    ):
        table_at(lake.home, FunnelWindows, 99)


@pytest.mark.parametrize("table", [SessionDays, SessionFunnel])
def test_of_sessions_only_the_files_of_the_range_are_read(lake: Lake, table: type[Table]) -> None:
    whole = table_at(lake.home, table)
    within = whole.within(MAY_4)

    assert within.files[f"partition.{table.partition_by[0]}"].unique().to_list() == [date(2026, 5, 4)]
    assert within.files.height < whole.files.height
    assert whole.scan(MAY_4).collect().equals(within.scan().collect())


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_parts_are_all_rows_once_and_those_that_are_alike_together(lake: Lake, count: int) -> None:
    lake.bring(*(message("view", at(f"05 10:0{number}"), user="ann") for number in range(5)))
    whole = table_at(lake.home, SilverEvents)

    parts = [part.select("user_id", "event_id").collect() for part in whole.parts(["user_id"], count)]

    assert len(parts) == count
    together = pl.concat(parts)
    assert together.sort("event_id").equals(whole.scan().select("user_id", "event_id").collect().sort("event_id"))
    assert sum(part["user_id"].n_unique() for part in parts) == together["user_id"].n_unique() == 4


def test_there_are_as_many_parts_as_keep_each_within_what_may_be_read() -> None:
    assert [parts_for(rows, 100) for rows in (0, 1, 100, 101, 1_000)] == [1, 1, 1, 2, 10]
