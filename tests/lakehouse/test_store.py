"""Batches into tables: once each, whichever engine commits; and the streams from bronze to gold on the real engine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from gold.stream import GoldStage, _add_summary
from lakehouse.commits import KEY, Commit
from lakehouse.contracts import (
    BronzeEvents,
    FunnelSummary,
    FunnelWindows,
    SilverDuplicates,
    SilverEvents,
    SilverQuarantine,
    Table,
)
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.follow import Follower
from lakehouse.frames import conform
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.stages import Context
from lakehouse.store import TableStore
from silver.stream import SilverStage

ENGINES = ("spark", "delta-rs")
Stores = Callable[[str], TableStore]


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-01T{text}+00:00")


@pytest.fixture
def stores(spark: SparkSession, settings: Settings, tmp_path: Path) -> Stores:
    """The same tables, committed to by the engine that is asked for."""
    home = Home(tmp_path / "a home").make()

    def store(engine: str) -> TableStore:
        return TableStore(home, settings.model_copy(update={"commit_engine": engine}), spark)

    store("delta-rs").create_all()
    return store


@pytest.fixture(params=["UTC", "America/New_York"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The machine's time zone, which nothing may depend on."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def messages(first_offset: int, *events: dict[str, Any]) -> pa.Table:
    """Rows of bronze, one offset each."""
    rows = [
        {
            "source_id": "topic-1",
            "partition": 0,
            "offset": offset,
            "value": json.dumps(event).encode(),
            "headers": [{"key": "from", "value": b"app"}],
            "topic": "user_events",
            "kafka_timestamp": at("23:00"),
            "ingested_at": at("23:00"),
            "ingest_date": at("23:00").date(),
        }
        for offset, event in enumerate(events, first_offset)
    ]
    names = [str(column) for column in BronzeEvents.columns()]
    return conform(pa.table({name: [row.get(name) for row in rows] for name in names}), BronzeEvents)


def event(
    event_id: str, time: str, user: str = "ann", kind: str = "view", session: str | None = None
) -> dict[str, Any]:
    moment = f"2026-03-01T{time}Z"
    return {"event_id": event_id, "user_id": user, "event_type": kind, "timestamp": moment, "session_id": session}


def rows(store: TableStore, table: type[Table]) -> list[dict[str, Any]]:
    """All rows of a table, by its key."""
    found = store.at_head(table).to_pyarrow_table().to_pylist()
    return sorted(found, key=lambda row: [str(row[column]) for column in table.key])


def summary(user: str, counts: int, first: str, last: str, sessions: list[str]) -> dict[str, Any]:
    return {
        "window_start": at("10:00"),
        "window_end": at("10:10"),
        "user_id": user,
        "num_views": counts,
        "num_add_to_cart": 0,
        "num_purchases": 0,
        "num_events": counts,
        "sessions": len(sessions),
        "first_event_time": at(first),
        "last_event_time": at(last),
        "late_events": 0,
        "is_final": False,
        "session_ids": sessions,
        "sessions_capped": False,
        "window_date": at("10:00").date(),
    }


def as_frame(store: TableStore, table: type[Table], found: pa.Table) -> Any:
    """As the store's engine takes it."""
    return (
        found if store.delta_rs_commits(found.num_rows) else store.spark.createDataFrame(found).select(*table.columns())
    )


def test_a_table_is_opened_anew_after_each_checkpoint(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is open grows with each commit, and with it the time that the next one takes."""
    monkeypatch.setattr("lakehouse.store.CHECKPOINT_INTERVAL", 3)
    store = stores("delta-rs")
    opened = [store.at_head(BronzeEvents)]
    for number in range(7):
        commit = Commit("bronze", 0, number, offsets={"topic-1/0": number + 1}, rows_in=1)
        store.append(BronzeEvents, messages(number, event(f"e{number}", "10:00:00")), commit)
        opened.append(store.at_head(BronzeEvents))

    assert [version for version in range(1, 8) if opened[version] is not opened[version - 1]] == [3, 6]
    assert (store.version(BronzeEvents), store.rows(BronzeEvents)) == (7, 7)


@pytest.mark.parametrize("second", ENGINES)
@pytest.mark.parametrize("first", ENGINES)
def test_a_batch_is_appended_once_whichever_engine_did_it(stores: Stores, first: str, second: str) -> None:
    batch = messages(0, event("e1", "10:00:00"), event("e2", "10:01:00"))
    commit = Commit("bronze", 0, 0, offsets={"topic-1/0": 2}, rows_in=2)
    for engine in (first, second):
        store = stores(engine)
        store.append(BronzeEvents, as_frame(store, BronzeEvents, batch), commit)
    store = stores(second)
    assert (store.rows(BronzeEvents), store.version(BronzeEvents)) == (2, 1)
    assert store.last_commit(BronzeEvents) == commit

    following = commit.with_(batch_id=1, offsets={"topic-1/0": 3})
    third = messages(2, event("e3", "10:02:00"))
    store.append(BronzeEvents, as_frame(store, BronzeEvents, third), following)

    assert [row["offset"] for row in rows(store, BronzeEvents)] == [0, 1, 2]
    assert stores(first).last_commit(BronzeEvents) == following


@pytest.mark.parametrize("second", ENGINES)
@pytest.mark.parametrize("first", ENGINES)
def test_a_batch_is_merged_once_and_adds_up_the_same_in_both_engines(stores: Stores, first: str, second: str) -> None:
    batches = [
        [summary("ann", 2, "10:02", "10:05", ["s1", "s2"])],
        [summary("ann", 1, "10:01", "10:04", ["s0", "s2"]), summary("bob", 1, "10:03", "10:03", [])],
    ]
    for number, (engine, batch) in enumerate(zip((first, second), batches, strict=True)):
        found = conform(pa.Table.from_pylist(batch), FunnelSummary)
        commit = Commit("gold", 0, number, source_version=number)
        for again in (engine, *ENGINES):
            store = stores(again)
            store.merge(
                FunnelSummary, as_frame(store, FunnelSummary, found), _add_summary([at("10:00")], 1_000), commit
            )

    assert rows(stores("spark"), FunnelSummary) == [
        summary("ann", 3, "10:01", "10:05", ["s0", "s1", "s2"]),
        summary("bob", 1, "10:03", "10:03", []),
    ]
    assert stores("spark").version(FunnelSummary) == 2


def take(store: TableStore, *kinds: type[Follower]) -> list[Follower]:
    """A new process's stages, each of which takes what is there."""
    context = Context(store.settings, store.home, Endpoints("", "", "", "", "", ""), store.spark, store, lambda _: None)
    stages = [kind(context) for kind in kinds]
    for stage in stages:
        stage.open()
        if stage.has_work():
            stage.run()
        stage.close()
    return stages


def funnels(store: TableStore) -> list[tuple[str, int, int, list[str]]]:
    return [
        (f"{row['window_start']:%H:%M}", row["num_events"], row["num_purchases"], row["session_ids"])
        for row in rows(store, FunnelSummary)
    ]


FIRST = messages(
    0,
    event("e1", "10:00:00.123", session="s1"),
    event("e1", "10:00:00.123", session="s1"),
    event("e2", "10:09:59.999", kind="purchase", session="s2"),
    event("e3", "10:10:00", kind="viewed"),
)
SECOND = messages(4, event("e1", "10:00:00.123"), event("e4", "10:03:00", session="s1"), event("e5", "10:10:00"))


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("engine", ENGINES)
def test_events_reach_gold_once_whatever_takes_them(stores: Stores, engine: str) -> None:
    store = stores(engine)
    store.append(BronzeEvents, as_frame(store, BronzeEvents, FIRST), Commit("bronze", 0, 0))
    take(store, SilverStage, GoldStage)
    store.append(BronzeEvents, as_frame(store, BronzeEvents, SECOND), Commit("bronze", 0, 1))

    silver, gold = take(store, SilverStage, GoldStage)
    take(store, SilverStage, GoldStage)

    assert (silver.position, gold.position) == (2, 2)
    assert [row["event_id"] for row in rows(store, SilverEvents)] == ["e1", "e2", "e4", "e5"]
    assert [row["offset"] for row in rows(store, SilverDuplicates)] == [1, 4]
    [refused] = rows(store, SilverQuarantine)
    received = {name: value for name, value in FIRST.to_pylist()[3].items() if name != "ingest_date"}
    assert refused["reasons"] == ["unknown_type"]
    assert received.items() <= refused.items()
    assert funnels(store) == [("10:00", 3, 1, ["s1", "s2"]), ("10:10", 1, 0, [])]
    assert sum(row["num_events"] for row in rows(store, FunnelWindows)) == 4
    last = store.last_commit(SilverEvents)
    assert last is not None
    assert last.offsets == {"topic-1/0": 7}


def test_side_rows_of_a_batch_that_was_not_finished_are_taken_back(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch dies before its events are committed, and is done again with more rows, under other settings."""
    store = stores("delta-rs")
    store.append(BronzeEvents, FIRST, Commit("bronze", 0, 0))
    with monkeypatch.context() as dying:
        dying.setattr(TableStore, "append", fails_for(SilverEvents, TableStore.append))
        with pytest.raises(OSError, match="no space"):
            take(store, SilverStage)
    assert (store.rows(SilverDuplicates), store.rows(SilverQuarantine), store.rows(SilverEvents)) == (1, 1, 0)

    more = replace(store, settings=store.settings.model_copy(update={"event_types": ("view", "viewed", "purchase")}))
    more.append(BronzeEvents, SECOND, Commit("bronze", 0, 1))
    [silver] = take(more, SilverStage)
    take(more, SilverStage)

    assert silver.position == 2
    assert [row["event_id"] for row in rows(store, SilverEvents)] == ["e1", "e2", "e3", "e4", "e5"]
    assert [row["offset"] for row in rows(store, SilverDuplicates)] == [1, 4]
    assert rows(store, SilverQuarantine) == []


def test_a_batch_that_stopped_between_golds_tables_is_counted_once_in_both(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stores("delta-rs")
    store.append(BronzeEvents, FIRST, Commit("bronze", 0, 0))
    take(store, SilverStage)
    with monkeypatch.context() as dying:
        dying.setattr(TableStore, "merge", fails_for(FunnelSummary, TableStore.merge))
        with pytest.raises(OSError, match="no space"):
            take(store, GoldStage)
    assert (store.rows(FunnelWindows), store.rows(FunnelSummary)) == (2, 0)

    store.append(BronzeEvents, SECOND, Commit("bronze", 0, 1))
    take(store, SilverStage, GoldStage)

    assert funnels(store) == [("10:00", 3, 1, ["s1", "s2"]), ("10:10", 1, 0, [])]
    assert sum(row["num_events"] for row in rows(store, FunnelWindows)) == 4


def test_a_long_backlog_is_taken_in_capped_ranges(stores: Stores) -> None:
    store = stores("delta-rs")
    capped = replace(store, settings=store.settings.model_copy(update={"max_events_per_batch": 5}))
    for number in range(4):
        batch = messages(2 * number, event(f"a{number}", "10:00:00"), event(f"b{number}", "10:00:01"))
        capped.append(BronzeEvents, batch, Commit("bronze", 0, number))

    [silver] = take(capped, SilverStage)

    ends = [(entry.source_version, entry.rows_in) for entry in accounts(store, SilverEvents)]
    assert (silver.position, ends) == (4, [(2, 4), (4, 4)])


def test_gold_refuses_windows_of_another_length(stores: Stores) -> None:
    store = stores("delta-rs")
    store.append(BronzeEvents, FIRST, Commit("bronze", 0, 0))
    take(store, SilverStage, GoldStage)
    shorter = replace(store, settings=store.settings.model_copy(update={"window_minutes": 5}))

    with pytest.raises(LakehouseError, match=r"LAKEHOUSE_WINDOW_MINUTES=5: .* holds windows of 10 minutes"):
        take(shorter, GoldStage)


def fails_for(table: type[Table], really: Callable[..., None]) -> Callable[..., None]:
    """``really``, but for ``table`` it fails as a full disk does."""

    def maybe(store: TableStore, into: type[Table], *arguments: Any) -> None:
        if into is table:
            raise OSError("no space left on device")
        really(store, into, *arguments)

    return maybe


def accounts(store: TableStore, table: type[Table]) -> list[Commit]:
    """What the commits of a table say of themselves, the oldest first."""
    found = [Commit.from_json(entry.get(KEY)) for entry in reversed(store.at_head(table).history())]
    return [commit for commit in found if commit is not None]


@pytest.mark.parametrize("engine", ENGINES)
def test_new_rows_are_found_beside_those_that_were_removed(stores: Stores, engine: str) -> None:
    store = stores(engine)
    for batch, name in enumerate(("e1", "e2")):
        store.append(BronzeEvents, messages(batch, event(name, "10:00")), Commit("bronze", 0, batch))
    first = store.version(BronzeEvents)
    store.delete(BronzeEvents, lambda dialect: f"{dialect.quoted('offset')} = 0", Commit("erase", 0, 0))
    store.append(BronzeEvents, messages(2, event("e3", "10:01")), Commit("bronze", 0, 2))

    found = store.inserted(BronzeEvents, first, store.version(BronzeEvents), ["offset"])

    table = found if isinstance(found, pa.Table) else found.toArrow()
    assert sorted(table["offset"].to_pylist()) == [1, 2]


@pytest.mark.parametrize("timestamps", ["TIMESTAMP_MICROS", "INT96"])
def test_files_that_spark_wrote_are_read_in_this_process(stores: Stores, spark: SparkSession, timestamps: str) -> None:
    """INT96 is how a Spark that was not told otherwise writes times."""
    by_spark, here = stores("spark"), stores("delta-rs")
    name = "spark.sql.parquet.outputTimestampType"
    usual = spark.conf.get(name)
    spark.conf.set(name, timestamps)
    try:
        rows = spark.createDataFrame(messages(0, event("e1", "10:00")))
        by_spark.append(BronzeEvents, rows, Commit("bronze", 0, 0))
    finally:
        spark.conf.set(name, usual)
    here.append(BronzeEvents, messages(1, event("e2", "10:00")), Commit("bronze", 0, 1))

    last = here.version(BronzeEvents)
    found = here.inserted(BronzeEvents, last - 1, last, ["offset", "kafka_timestamp", "ingest_date"])

    assert isinstance(found, pa.Table)
    assert sorted(found.to_pylist(), key=lambda row: row["offset"]) == [
        {"offset": offset, "kafka_timestamp": at("23:00"), "ingest_date": at("23:00").date()} for offset in (0, 1)
    ]
    assert here.scan(BronzeEvents).collect().height == 2
