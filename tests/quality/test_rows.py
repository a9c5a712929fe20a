"""Exactly the new rows of a range of versions are read, and all rows of a table in parts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from lakehouse.commits import Commit
from lakehouse.contracts import BronzeEvents, FunnelWindows, SilverDuplicates, SilverEvents
from lakehouse.errors import LakehouseError
from lakehouse.frames import to_arrow
from lakehouse.home import Home
from quality.rows import TableReader
from tests.quality.clean_rows import at, rows
from tests.quality.lake import Lake, message


def three_batches(lake: Lake) -> None:
    lake.bring(message("view", at("10:01")), message("view", at("10:02"), user="bob"))
    lake.bring(message("view", at("10:03")))
    lake.bring(message("purchase", at("10:12")))


def offsets(lake: Lake, first: int, last: int) -> list[int]:
    found = TableReader(lake.home, SilverEvents).new_rows(first, last, ["offset", "no_such_column"])
    return sorted(found["offset"].to_pylist())


def test_appended_rows_are_those_of_the_range_and_no_others(lake: Lake) -> None:
    three_batches(lake)
    newest = lake.store.version(SilverEvents)
    assert offsets(lake, newest - 2, newest) == [0, 1, 2, 3]
    assert offsets(lake, newest - 1, newest - 1) == [2]
    assert offsets(lake, newest + 1, newest) == []


def test_a_compaction_brings_no_rows(lake: Lake) -> None:
    three_batches(lake)
    before = lake.store.version(SilverEvents)
    DeltaTable(lake.store.path(SilverEvents)).optimize.compact()
    after = lake.store.version(SilverEvents)
    assert after > before
    assert offsets(lake, before, after) == [3]


def test_of_a_merged_table_the_newest_state_of_each_key_is_read(lake: Lake) -> None:
    three_batches(lake)
    reader = TableReader(lake.home, FunnelWindows)
    found = pl.DataFrame(reader.new_rows(1, reader.version(), ["window_start", "event_type", "num_events"]))
    assert found.sort("window_start").rows() == [(at("10:00"), "view", 3), (at("10:10"), "purchase", 1)]
    second = pl.DataFrame(reader.new_rows(2, 2, ["num_events"]))
    assert second.rows() == [(3,)]


def test_of_rows_that_were_removed_again_none_is_read(lake: Lake) -> None:
    three_batches(lake)
    lake.store.delete(SilverEvents, lambda _: '"offset" = 1', Commit("test", 0, 99, marker="erased"))
    assert offsets(lake, 1, lake.store.version(SilverEvents)) == [0, 2, 3]


def test_rows_that_a_table_without_a_change_feed_takes_back_are_not_new(lake: Lake) -> None:
    copies = rows("silver.duplicates", {"offset": 1}, {"offset": 2})
    lake.store.append(SilverDuplicates, copies, Commit("silver", 0, 1))
    lake.store.delete(SilverDuplicates, lambda _: '"offset" = 1', Commit("silver", 0, -1, marker="taken back"))
    reader = TableReader(lake.home, SilverDuplicates)
    assert reader.new_rows(2, 2, ["offset"]).num_rows == 0
    assert reader.new_rows(1, 2, ["offset"])["offset"].to_pylist() == [1, 2]


def test_a_table_is_read_in_parts_that_are_all_of_it(lake: Lake) -> None:
    three_batches(lake)
    reader = TableReader(lake.home, SilverEvents)
    parts = list(reader.parts(reader.version(), ["offset"], most_rows=2))
    assert len(parts) > 1
    assert sorted(offset for part in parts for offset in part["offset"].to_pylist()) == [0, 1, 2, 3]
    assert [part.num_rows for part in reader.parts(0, ["offset"], most_rows=2)] == [0]


def test_a_key_that_is_there_twice_is_found_in_whatever_parts_it_is(lake: Lake) -> None:
    three_batches(lake)
    again = lake.store.scan(SilverEvents).filter(pl.col("offset") == 1)
    copies = again.with_columns(pl.lit("late").alias("arrival"), pl.lit(77, pl.Int64).alias("offset")).collect()
    lake.store.append(SilverEvents, to_arrow(copies), Commit("silver", 9, 1))
    reader = TableReader(lake.home, SilverEvents)
    head = reader.version()

    for found in (reader.repeated(copies, head), reader.repeated_anywhere(head, most_rows=2)):
        assert found.select("event_time", "copies").rows() == [(at("10:02"), 2)]
    assert reader.repeated(copies, head - 1).is_empty()


def test_keys_are_looked_up_in_the_files_that_may_hold_them(lake: Lake) -> None:
    three_batches(lake)
    late = lake.store.scan(SilverEvents).filter(pl.col("event_time") == at("10:12")).collect()
    reader = TableReader(lake.home, SilverEvents)
    for path in reader.statistics().filter(pl.col("max.event_time") < at("10:12"))["path"]:
        Path(reader.file(path)).unlink()  # whoever reads it fails
    near = reader.near(late, {"event_time": "event_time"}).select("offset").collect()
    assert near.rows() == [(3,)]


def test_versions_that_are_not_kept_are_told_in_one_line(lake: Lake) -> None:
    three_batches(lake)
    reader = TableReader(lake.home, BronzeEvents)
    (lake.home.table(BronzeEvents.name) / "_delta_log" / f"{1:020}.json").unlink()
    with pytest.raises(
        LakehouseError, match=r"bronze\.user_events: version 1 is not kept any more.* from 2 .* to 3 .* are"
    ):
        reader.new_rows(1, 3, ["offset"])


def test_files_that_were_vacuumed_are_told_in_one_line(lake: Lake) -> None:
    three_batches(lake)
    reader = TableReader(lake.home, SilverEvents)
    for version in reader.versions(1, 1):
        for file in version.files:
            file.unlink()
    with pytest.raises(LakehouseError, match=r"silver\.events: the files of version 1 were removed") as error:
        reader.new_rows(1, 2, ["offset"])
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match=r"silver\.events: is not under"):
        TableReader(Home(tmp_path / "empty"), SilverEvents).version()


def test_the_time_of_a_version_is_that_of_its_commit(lake: Lake) -> None:
    reader = TableReader(lake.home, SilverEvents)
    first, none = reader.committed_at(0), reader.committed_at(99)
    assert first is not None and none is None
    assert first.utcoffset() == timedelta(0)
