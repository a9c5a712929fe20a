"""Batches into tables: once each, whichever engine commits; and the streams from bronze to gold on the real engine."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from gold.stream import GoldStage, _add_summary
from lakehouse.commits import Commit
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
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.stages import Context, DeltaStage
from lakehouse.store import TableStore, conform
from silver.stream import SilverStage

ENGINES = ("spark", "delta-rs")
Stores = Callable[[str], TableStore]


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-01T{text}+00:00")


@pytest.fixture
def stores(spark: SparkSession, settings: Settings, tmp_path: Path) -> Stores:
    """The same tables, committed to by the engine that is asked for."""
    home = Home(tmp_path).make()

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


def take(store: TableStore, *kinds: type[DeltaStage]) -> list[DeltaStage]:
    """A new process's stages, each of which takes what is there."""
    context = Context(store.settings, store.home, Endpoints("", "", "", "", "", ""), store.spark, store, lambda _: None)
    stages = [kind(context) for kind in kinds]
    for stage in stages:
        stage.open()
        if stage.has_work():
            stage.run()
        stage.close()
    return stages


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("engine", ENGINES)
def test_events_reach_gold_once_though_checkpoints_are_lost(stores: Stores, engine: str) -> None:
    store = stores(engine)
    first = messages(
        0,
        event("e1", "10:00:00.123", session="s1"),
        event("e1", "10:00:00.123", session="s1"),
        event("e2", "10:09:59.999", kind="purchase", session="s2"),
        event("e3", "10:10:00", kind="viewed"),
    )
    store.append(BronzeEvents, first, Commit("bronze", 0, 0))
    silver, gold = take(store, SilverStage, GoldStage)
    assert (silver.generation, gold.generation) == (0, 0)

    shutil.rmtree(store.home.checkpoints)
    second = messages(4, event("e1", "10:00:00.123"), event("e4", "10:03:00", session="s1"), event("e5", "10:10:00"))
    store.append(BronzeEvents, second, Commit("bronze", 0, 1))
    silver, gold = take(store, SilverStage, GoldStage)
    assert (silver.generation, gold.generation) == (1, 1)

    take(store, SilverStage, GoldStage)
    assert [row["event_id"] for row in rows(store, SilverEvents)] == ["e1", "e2", "e4", "e5"]
    assert [row["offset"] for row in rows(store, SilverDuplicates)] == [1, 4]
    assert [(row["offset"], row["reasons"]) for row in rows(store, SilverQuarantine)] == [(3, ["unknown_type"])]
    funnels = [
        (f"{row['window_start']:%H:%M}", row["num_events"], row["num_purchases"], row["session_ids"])
        for row in rows(store, FunnelSummary)
    ]
    assert funnels == [("10:00", 3, 1, ["s1", "s2"]), ("10:10", 1, 0, [])]
    assert sum(row["num_events"] for row in rows(store, FunnelWindows)) == 4
    last = store.last_commit(SilverEvents)
    assert last is not None
    assert last.offsets == {"topic-1/0": 7}
