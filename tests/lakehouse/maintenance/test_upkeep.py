"""Upkeep between two rounds: one small step at a time, and never in the way of a stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest
from kept_tables import Follower, append, count_views, new_store

from lakehouse.contracts import TABLES, SilverEvents
from lakehouse.errors import LakehouseError
from lakehouse.maintenance import upkeep as upkeep_module
from lakehouse.maintenance.job import maintain
from lakehouse.maintenance.upkeep import FIRST_PASS, LOOK_INTERVAL, RETRY_INTERVAL, ROLL_CALL_INTERVAL, Upkeep
from lakehouse.runner import Runner
from lakehouse.store import TableStore
from lakehouse.writer import Writer


@dataclass
class Keeper:
    """Upkeep of a store under a clock that the test moves."""

    store: TableStore
    streams: list[Follower] = field(default_factory=list)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.upkeep = Upkeep(self.store, self.streams, self.told.append, lambda: self.now)

    def rounds(self, count: int, seconds: float = 1.5) -> None:
        for _ in range(count):
            self.now += timedelta(seconds=seconds)
            self.upkeep.between_rounds()

    def files(self) -> int:
        return int(pa.table(self.store.at_head(SilverEvents).get_add_actions()).num_rows)


def test_a_partition_is_compacted_between_two_rounds_once_it_has_many_small_files(tmp_path: Path) -> None:
    keeper = Keeper(new_store(tmp_path, compact_files=8))
    append(keeper.store, 8)
    keeper.rounds(10)
    assert keeper.files() == 8

    append(keeper.store, 8)
    version = keeper.store.version(SilverEvents)
    keeper.rounds(1, LOOK_INTERVAL.total_seconds())

    assert keeper.files() == 1
    assert keeper.store.version(SilverEvents) == version + 1


def test_the_pass_over_all_tables_does_one_step_in_each_round(tmp_path: Path) -> None:
    keeper = Keeper(new_store(tmp_path, time_travel_hours=0.000001, compact_files=2))
    append(keeper.store, 3)
    count_views(keeper.store, datetime(2026, 3, 1, 10, tzinfo=UTC), ann=1)
    versions = []

    for until_due in (FIRST_PASS, timedelta(hours=1)):
        keeper.now += until_due
        for _ in range(40):
            keeper.rounds(1, 0.1)
            versions.append(keeper.store.version(SilverEvents))

    assert keeper.files() == 1
    compacted, vacuumed = 4, 6  # VACUUM makes two commits
    assert sorted(set(versions)) == [3, compacted, vacuumed]
    assert keeper.upkeep.state() == {"error": None, "held_by": []}


def test_who_holds_a_table_is_told(tmp_path: Path) -> None:
    keeper = Keeper(new_store(tmp_path), [Follower("raw_events", SilverEvents, None)])

    keeper.rounds(1, ROLL_CALL_INTERVAL.total_seconds())

    (hold,) = keeper.upkeep.state()["held_by"]
    assert (hold["table"], hold["reader"]) == ("silver.events", "raw_events")


def test_upkeep_that_fails_is_told_once_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Keeper(new_store(tmp_path, compact_files=2))
    append(keeper.store, 10)

    def no_room(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(upkeep_module, "compact", no_room)
    keeper.rounds(3, RETRY_INTERVAL.total_seconds())
    assert keeper.told == ["upkeep: failed, again in 60 s: OSError: No space left on device"]
    assert keeper.upkeep.state()["error"] == "OSError: No space left on device"

    monkeypatch.undo()
    keeper.rounds(1, RETRY_INTERVAL.total_seconds())
    assert keeper.files() == 1
    assert keeper.upkeep.state()["error"] is None


def test_a_pass_goes_on_where_a_part_of_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Keeper(new_store(tmp_path, time_travel_hours=0.000001, compact_files=2))
    append(keeper.store, 3)
    keeper.rounds(1, LOOK_INTERVAL.total_seconds())
    assert keeper.files() == 1
    append(keeper.store, 3)

    def no_room(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(upkeep_module, "compact", no_room)
    keeper.now += FIRST_PASS
    keeper.rounds(40, 0.1)

    assert keeper.upkeep.state()["error"] == "OSError: No space left on device"
    folder = Path(keeper.store.path(SilverEvents))
    assert len(list(folder.glob("event_date=*/**/*.parquet"))) == keeper.files() == 4, "VACUUM has made room"


def writer_of(keeper: Keeper) -> Writer:
    """A writer that has done its first round and stands still."""
    runner = Runner([], 0.0, lambda: None, lambda _: None)
    runner.rounds = 1
    return cast(Writer, SimpleNamespace(runner=runner, upkeep=keeper.upkeep))


def test_maintain_does_all_of_it_and_says_what_it_did(tmp_path: Path) -> None:
    keeper = Keeper(new_store(tmp_path, time_travel_hours=0.000001, compact_files=2))
    append(keeper.store, 3)
    told: list[str] = []

    done = run(keeper, {"tables": ["silver.events"]}, told)

    (compaction,) = done["compactions"]
    assert (compaction["table"], compaction["files"], compaction["done"]["added"]) == ("silver.events", 3, 1)
    assert compaction["partition"] == {"event_date": "2026-03-01", "arrival": "on_time"}
    (expired,) = run(keeper, {"tables": ["silver.events"]}, told)["expired"]
    assert (expired["table"], expired["files"], expired["held_by"]) == ("silver.events", 3, [])
    assert 0 < done["longest_turn_s"] <= done["seconds"]
    assert told[0].startswith("silver.events: 3 files (")
    assert told[0].endswith(" in event_date=2026-03-01, arrival=on_time")


def test_a_dry_run_says_what_would_be_done_and_does_nothing(tmp_path: Path) -> None:
    keeper = Keeper(new_store(tmp_path, time_travel_hours=0.000001, compact_files=2))
    append(keeper.store, 3)
    told: list[str] = []

    done = run(keeper, {"dry_run": True}, told)

    assert [(step["table"], step["done"]) for step in done["compactions"]] == [("silver.events", None)]
    assert len(done["expired"]) == len(TABLES)
    assert (keeper.files(), keeper.store.version(SilverEvents)) == (3, 3)


def test_maintain_names_the_tables_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match=r"there is no table silver.event; there are bronze.user_events, "):
        run(Keeper(new_store(tmp_path)), {"tables": ["silver.event"]}, [])


def run(keeper: Keeper, arguments: dict[str, Any], told: list[str]) -> dict[str, Any]:
    return maintain(writer_of(keeper), arguments, told.append)


def test_a_setting_that_has_changed_is_carried_over_to_tables_that_are_there(tmp_path: Path) -> None:
    append(new_store(tmp_path, time_travel_hours=1), 1)
    store = new_store(tmp_path, time_travel_hours=2)

    found = store.at_head(SilverEvents).metadata().configuration
    assert found["delta.deletedFileRetentionDuration"] == "interval 7200 seconds"
    assert found["delta.enableExpiredLogCleanup"] == "false"
    assert store.version(SilverEvents) == 2
    assert new_store(tmp_path, time_travel_hours=2).version(SilverEvents) == 2
    account = store.last_commit(SilverEvents)
    assert account is not None
    assert account.batch_id == 0
