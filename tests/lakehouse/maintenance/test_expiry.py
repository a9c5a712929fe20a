"""What no version within the horizon needs is removed, and nothing else, whenever that is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from kept_tables import Follower, append, count_views, new_store, views
from pyspark.sql import SparkSession

from lakehouse.contracts import FunnelSummary, SilverEvents, Table
from lakehouse.maintenance.compaction import Tiers, compact, next_compaction
from lakehouse.maintenance.expiry import Expired, expire
from lakehouse.maintenance.log import Log
from lakehouse.maintenance.upkeep import HistoryExpired, Upkeep
from lakehouse.store import TableStore

AT_ONCE = 0.000001
"""Hours of time travel, some milliseconds: whatever no reader holds has expired."""

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)


def squeeze(store: TableStore) -> None:
    """Compacts silver's one partition."""
    due = next_compaction(store.at_head(SilverEvents), Tiers(many=1), datetime.now(UTC))
    assert due is not None
    compact(store.at_head(SilverEvents), due)


def expire_at_once(store: TableStore, table: type[Table], *taken: int, dry_run: bool = False) -> Expired:
    opened, path = store.at_head(table), Path(store.path(table))
    return expire(opened, path, datetime.now(UTC), taken or (store.version(table),), dry_run=dry_run)


def data_files(store: TableStore, table: type[Table]) -> list[Path]:
    folder = Path(store.path(table))
    return [file for file in folder.rglob("*.parquet") if "_delta_log" not in file.parts]


def log(store: TableStore, table: type[Table]) -> Log:
    return Log(Path(store.path(table)))


def test_files_of_older_versions_are_kept_for_the_horizon(tmp_path: Path) -> None:
    store = new_store(tmp_path, time_travel_hours=1)
    append(store, 3)
    squeeze(store)

    opened, path = store.at_head(SilverEvents), Path(store.path(SilverEvents))
    assert expire(opened, path, datetime.now(UTC) - timedelta(hours=1), (4,)) == Expired()
    assert len(data_files(store, SilverEvents)) == 4


def test_files_that_no_kept_version_needs_are_removed(tmp_path: Path) -> None:
    store = new_store(tmp_path, time_travel_hours=AT_ONCE)
    append(store, 3)
    squeeze(store)

    planned = expire_at_once(store, SilverEvents, dry_run=True)
    assert (planned.files, len(data_files(store, SilverEvents))) == (3, 4)
    assert expire_at_once(store, SilverEvents) == planned

    assert len(data_files(store, SilverEvents)) == 1
    assert store.scan(SilverEvents).collect().height == 9


def test_what_is_there_no_more_is_not_removed_again(tmp_path: Path) -> None:
    store = new_store(tmp_path, time_travel_hours=AT_ONCE)
    append(store, 3)
    squeeze(store)
    expire_at_once(store, SilverEvents)
    version = store.version(SilverEvents)

    assert expire_at_once(store, SilverEvents) == Expired()
    assert store.version(SilverEvents) == version, "an idle table gets no commits"


def test_change_files_orphans_and_empty_folders_go_too(tmp_path: Path) -> None:
    store = new_store(tmp_path, time_travel_hours=AT_ONCE)
    for _ in range(2):
        count_views(store, TEN, ann=1)
    table = Path(store.path(FunnelSummary))
    partition = next(path for path in table.iterdir() if path.name.startswith("window_date="))
    (partition / "of-a-killed-write.parquet").write_bytes(b"half a file")
    (table / "window_date=2020-01-01" / "deeper").mkdir(parents=True)
    changes = list((table / "_change_data").rglob("*.parquet"))
    assert changes

    expire_at_once(store, FunnelSummary)

    assert len(data_files(store, FunnelSummary)) == 1
    assert not (table / "_change_data").exists()
    assert not (table / "window_date=2020-01-01").exists()
    assert views(store) == {"ann": 2}
    count_views(store, TEN, ann=1)
    assert views(store) == {"ann": 3}


def test_the_log_is_kept_from_the_newest_checkpoint_that_the_horizon_allows(tmp_path: Path) -> None:
    store = new_store(tmp_path, time_travel_hours=AT_ONCE)
    append(store, 105)
    assert log(store, SilverEvents).checkpoints() == [49, 99], "delta-rs keeps delta.checkpointInterval"

    assert expire_at_once(store, SilverEvents, dry_run=True).log_files == 100, "99 commits and a checkpoint"
    assert log(store, SilverEvents).oldest() == 0
    assert expire_at_once(store, SilverEvents).log_files == 100

    assert log(store, SilverEvents).oldest() == 99
    assert (store.version(SilverEvents), store.rows(SilverEvents)) == (105, 315)
    assert store.at_head(SilverEvents).transaction_version("silver/0") == 104


def test_a_commit_from_within_the_horizon_stays(tmp_path: Path) -> None:
    store = new_store(tmp_path, time_travel_hours=1)
    append(store, 5)
    store.at_head(SilverEvents).create_checkpoint()

    opened, path = store.at_head(SilverEvents), Path(store.path(SilverEvents))
    assert expire(opened, path, datetime.now(UTC) - timedelta(hours=1), (5,)).log_files == 0
    assert log(store, SilverEvents).oldest() == 0


def test_the_commit_that_says_how_far_its_stage_has_come_stays(tmp_path: Path) -> None:
    store = new_store(tmp_path, time_travel_hours=AT_ONCE)
    account = append(store, 3)
    squeeze(store)
    store.at_head(SilverEvents).create_checkpoint()

    assert expire_at_once(store, SilverEvents).log_files == 0

    assert new_store(tmp_path, time_travel_hours=AT_ONCE).last_commit(SilverEvents) == account


def test_commits_that_a_restarted_reader_passes_over_again_stay(tmp_path: Path) -> None:
    store = new_store(tmp_path, time_travel_hours=AT_ONCE)
    append(store, 2)
    append(store, 3, rows=0)  # batches that brought only copies: their versions bring a reader nothing
    store.at_head(SilverEvents).create_checkpoint()

    assert expire_at_once(store, SilverEvents, 5).log_files == 0

    append(store, 1)
    assert expire_at_once(store, SilverEvents, 6).log_files > 0
    assert log(store, SilverEvents).oldest() == 5


@pytest.mark.parametrize("engine", ["spark", "delta-rs"])
def test_a_cleaning_that_was_killed_leaves_a_table_that_both_engines_read(
    tmp_path: Path, spark: SparkSession, engine: str
) -> None:
    store = new_store(tmp_path, spark, time_travel_hours=AT_ONCE, commit_engine=engine)
    append(store, 3) if engine == "delta-rs" else append_by_spark(store, 3)
    squeeze(store)
    store.at_head(SilverEvents).create_checkpoint()
    append(store, 1)
    first, *_ = sorted(data_files(store, SilverEvents), key=lambda file: file.stat().st_mtime)
    first.unlink()  # as far as VACUUM had come
    for version in (0, 2):  # and clean-up, which goes in no order
        (log(store, SilverEvents).folder / f"{version:020}.json").unlink()

    assert log(store, SilverEvents).oldest() == 3
    assert store.read(SilverEvents).count() == store.scan(SilverEvents).collect().height == 12
    assert expire_at_once(store, SilverEvents).files >= 2

    assert log(store, SilverEvents).oldest() == 4
    left = {file.name[:20] for file in log(store, SilverEvents).folder.iterdir() if file.name[0] != "_"}
    assert min(name for name in left if name[0] != ".") == f"{4:020}"
    assert store.read(SilverEvents).count() == store.scan(SilverEvents).collect().height == 12
    assert pa.table(store.at_head(SilverEvents).get_add_actions()).num_rows == 2


def append_by_spark(store: TableStore, batches: int) -> None:
    from kept_tables import events

    from lakehouse.commits import Commit

    for batch in range(batches):
        rows = store.spark.createDataFrame(events(3 * batch, 3)).select(*SilverEvents.columns())
        store.append(SilverEvents, rows, Commit("silver", 0, batch))


def test_nothing_is_removed_that_a_reader_holds(tmp_path: Path) -> None:
    store = new_store(tmp_path, time_travel_hours=AT_ONCE)
    reader = Follower("raw_events", SilverEvents, None)
    append(store, 3)
    squeeze(store)
    upkeep = Upkeep(store, [reader], log=lambda _: None)

    for position in (None, 1):
        reader.position = position
        (outcome,) = upkeep.steps([SilverEvents])
        assert isinstance(outcome, HistoryExpired)
        assert [hold.reader for hold in outcome.held_by] == ["raw_events"]
        assert len(data_files(store, SilverEvents)) == 4
    feed = pa.table(store.at_head(SilverEvents).load_cdf(starting_version=2))
    assert feed.num_rows == 6, "what the reader has not taken is there"

    reader.position = store.version(SilverEvents)
    (outcome,) = upkeep.steps([SilverEvents])
    assert isinstance(outcome, HistoryExpired)
    assert (outcome.held_by, outcome.removed.files) == ((), 3)


KEEPER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from kept_tables import append, new_store
from lakehouse.contracts import SilverEvents
from lakehouse.maintenance.upkeep import Upkeep

store = new_store(Path(sys.argv[1]), time_travel_hours=0.000001, compact_files=2)
upkeep = Upkeep(store, [], log=print)
print("ready", flush=True)
while True:
    append(store, 3)
    list(upkeep.steps([SilverEvents]))
"""


@pytest.mark.slow
def test_upkeep_that_is_killed_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    for kill in range(4):
        command = [sys.executable, "-c", KEEPER, str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as keeper:
            assert keeper.stdout is not None
            assert keeper.stdout.readline() == "ready\n"
            store = new_store(tmp_path, time_travel_hours=AT_ONCE)
            began = store.version(SilverEvents)
            while store.version(SilverEvents) < began + 20 + 7 * kill:
                pass
            keeper.send_signal(signal.SIGKILL)

        store = new_store(tmp_path, time_travel_hours=AT_ONCE)
        account = store.last_commit(SilverEvents)
        assert account is not None
        batches = account.batch_id + 1
        events = store.scan(SilverEvents).select("event_id").collect()["event_id"].sort()
        assert sorted(events.to_list()) == sorted(f"e{n}" for n in range(3 * batches))
        list(Upkeep(store, [], log=print).steps([SilverEvents]))
        assert store.scan(SilverEvents).collect().height == 3 * batches
        live = pa.table(store.at_head(SilverEvents).get_add_actions()).num_rows
        assert len(data_files(store, SilverEvents)) == live, "no orphan is left"


def test_what_a_reader_took_is_read_where_it_has_been_compacted_since(tmp_path: Path) -> None:
    store = new_store(tmp_path, time_travel_hours=AT_ONCE)
    append(store, 3)
    taken = store.version(SilverEvents)
    squeeze(store)
    expire_at_once(store, SilverEvents)
    compacted = store.version(SilverEvents)
    append(store, 1)

    assert store.latest_alike(SilverEvents, taken, compacted + 1) == compacted > taken
    assert store.latest_alike(SilverEvents, compacted + 1, compacted + 1) == compacted + 1


def test_a_version_names_the_partitions_in_which_it_changed_rows(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    for day in (1, 2):
        count_views(store, datetime(2026, 3, day, 10, tzinfo=UTC), ann=1)
    count_views(store, datetime(2026, 3, 1, 10, tzinfo=UTC), ann=1)

    versions = store.versions(FunnelSummary, 1, 3)

    days = [{partition["window_date"] for partition in version.touched} for version in versions]
    assert days == [{"2026-03-01"}, {"2026-03-02"}, {"2026-03-01"}]
