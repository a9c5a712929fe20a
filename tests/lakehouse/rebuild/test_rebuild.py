"""Layers made anew: what is wrong is put right, what is right stays, and a kill leaves the old or the new."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal
from pyspark.sql import SparkSession

import gold.rebuild
import silver.rebuild
from gold.stream import stages as gold_stages
from lakehouse.commits import Commit
from lakehouse.contracts import (
    BronzeEvents,
    ChurnFeatures,
    Cohorts,
    FunnelSummary,
    FunnelWindows,
    SessionDays,
    SessionFunnel,
    SilverDuplicates,
    SilverEvents,
    SilverQuarantine,
    Table,
    UserDays,
)
from lakehouse.endpoints import Endpoints
from lakehouse.errors import EngineLost
from lakehouse.follow import Follower
from lakehouse.frames import arrow_schema, to_arrow
from lakehouse.home import Home
from lakehouse.rebuild.swap import finish
from lakehouse.replacements import HEADER
from lakehouse.runner import Runner
from lakehouse.settings import Settings
from lakehouse.stages import Context
from lakehouse.store import TableStore
from silver.stream import stages as silver_stages
from tests.pipeline.judge import cohorts, session_funnel, summarise, user_days
from tests.pipeline.shop_stack import in_order

COUNTED = {"num_views": "view", "num_add_to_cart": "add_to_cart", "num_purchases": "purchase"}
TABLES = (
    SilverEvents,
    SilverDuplicates,
    SilverQuarantine,
    FunnelWindows,
    FunnelSummary,
    UserDays,
    SessionDays,
    SessionFunnel,
    ChurnFeatures,
    Cohorts,
)

Message = dict[str, Any]


def act(user: str, kind: str, time: str, number: int) -> Message:
    """``time``: of March 2026, UTC, as 01T10:00."""
    at = f"2026-03-{time}:00Z"
    return {"event_id": f"e{number}", "user_id": user, "event_type": kind, "timestamp": at, "session_id": f"s-{user}"}


ANN, BOB, LATE = (
    act("ann", "view", "01T10:00", 1),
    act("bob", "purchase", "01T23:55", 2),
    act("ann", "view", "01T10:05", 3),
)
CID, DAN = act("cid", "add_to_cart", "02T09:00", 4), act("dan", "view", "03T09:00", 5)
WISH = act("eve", "wishlist", "02T12:00", 6)
DAYS: tuple[tuple[str, list[Message]], ...] = (
    ("01T23:59", [ANN, BOB, ANN]),
    ("02T23:59", [CID, WISH, LATE, {"user_id": ""}]),
    ("03T23:59", [DAN, CID, DAN | {"timestamp": "2026-03-03T09:00:01Z"}]),
)
VALID = (ANN, BOB, LATE, CID, DAN)


@dataclass
class Layers:
    """Bronze, silver and gold under a home of their own; the stages have their turns when they are asked to."""

    settings: Settings
    sent: int = 0
    batches: int = 0
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open()

    def open(self, **changed: Any) -> None:
        """As a new writer does."""
        self.settings = self.settings.model_copy(update=changed)
        self.store = TableStore(Home(self.settings.home).make(), self.settings, cast(SparkSession, None))
        self.store.create_all()
        finish(self.store, self.said.append)
        nowhere = Endpoints("", "", "", "", "", "")
        context = Context(self.settings, self.store.home, nowhere, self.store.spark, self.store, self.said.append)
        self.stages = cast(list[Follower], [*silver_stages(context), *gold_stages(context)])
        for stage in self.stages:
            stage.open()
        self.writer: Any = SimpleNamespace(
            context=context,
            runner=Runner(self.stages, 0.0, lambda: None, self.said.append),
            stage=lambda name: next(stage for stage in self.stages if stage.name == name),
        )

    def bring(self, received: str, messages: Sequence[Message], replaces: int | None = None) -> None:
        at = datetime.fromisoformat(f"2026-03-{received}+00:00")
        named = None if replaces is None else [{"key": HEADER, "value": f"topic-1/0/{replaces}".encode()}]
        rows = [
            {
                "source_id": "topic-1",
                "partition": 0,
                "offset": offset,
                "value": json.dumps(message).encode(),
                "headers": named,
                "topic": "user_events",
                "kafka_timestamp": at,
                "ingested_at": at + timedelta(seconds=self.batches),
                "ingest_date": at.date(),
            }
            for offset, message in enumerate(messages, self.sent)
        ]
        table = pa.Table.from_pylist(rows, schema=arrow_schema(BronzeEvents))
        self.sent += len(rows)
        self.store.append(BronzeEvents, table, Commit("bronze", 0, self.batches, rows_in=len(rows), rows_out=len(rows)))
        self.batches += 1

    def run(self) -> None:
        for stage in self.stages:
            while stage.has_work():
                stage.run()

    def silver(self, since: date | None = None) -> Mapping[str, Any]:
        done = silver.rebuild.rebuild(self.writer, since, self.said.append)
        self.run()
        return done

    def gold(self, since: date | None = None) -> Mapping[str, Any]:
        done = gold.rebuild.rebuild(self.writer, since, self.said.append)
        self.run()
        return done

    def spoil(self, table: type[Table], where: str = "true", **changes: str) -> None:
        """What no stage would do: rows are changed, or removed where nothing is to be changed."""
        opened = self.store.at_head(table)
        opened.update(updates=changes, predicate=where) if changes else opened.delete(where)
        for stage in self.stages:  # as if it had not been seen by anyone
            if stage.origin is table:
                stage.position = self.store.version(table)

    def rows(self, table: type[Table]) -> pl.DataFrame:
        return self.store.scan(table).select(table.columns()).collect().sort(table.key)

    def versions(self) -> dict[str, int]:
        return {table.name: self.store.version(table) for table in TABLES}

    def assert_is(self, *valid: Message) -> None:
        """Silver and gold hold these events, worked out apart from the project; each message is in one table."""
        events = pl.DataFrame(valid).with_columns(
            pl.col("timestamp")
            .str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
            .dt.replace_time_zone("UTC")
            .alias("event_time")
        )
        assert sorted(self.rows(SilverEvents)["event_id"]) == sorted(events["event_id"])
        assert_frame_equal(
            in_order(self.rows(FunnelSummary).drop("late_events", "is_final")), summarise(events, COUNTED)
        )
        days = in_order(self.rows(UserDays).drop("revenue"), "user_id", "date")
        assert_frame_equal(days, user_days(events, COUNTED))
        funnel = self.rows(SessionFunnel).filter(pl.col("dimension") == "")
        told = session_funnel(events, COUNTED)
        assert_frame_equal(in_order(funnel.select(told.columns), "hour"), told)
        assert self.rows(SessionDays)["num_events"].sum() == events.height
        windows = self.rows(FunnelWindows).group_by("event_type").agg(pl.col("num_events").sum())
        assert dict(windows.iter_rows()) == Counter(events["event_type"])
        assert self.rows(ChurnFeatures)["user_id"].to_list() == sorted(set(events["user_id"]))
        assert_frame_equal(self.rows(Cohorts).filter(pl.col("users") > 0), cohorts(events))
        placed = pl.concat([self.rows(table)["offset"] for table in TABLES[:3]])
        assert sorted(placed) == list(range(self.sent))


@pytest.fixture
def layers(settings: Settings, tmp_path: Path) -> Layers:
    changed = {"home": tmp_path / "a home", "commit_engine": "delta-rs", "churn_interval_s": 0.0}
    made = Layers(settings.model_copy(update=changed))
    for received, messages in DAYS:
        made.bring(received, messages)
        made.run()
    made.assert_is(*VALID)
    return made


def test_what_is_right_stays_as_it_is(layers: Layers) -> None:
    before = layers.versions()

    replaced = [*layers.silver().values(), *list(layers.gold().values())[:5]]

    assert {count for each in replaced for count in each.values()} == {0}
    after = layers.versions()
    assert {name for name in before if after[name] != before[name]} <= {ChurnFeatures.name, Cohorts.name}


def test_silver_is_made_anew_and_gold_follows(layers: Layers) -> None:
    layers.spoil(SilverEvents, "event_id = 'e3'")
    layers.spoil(SilverEvents, "event_id = 'e4'", user_id="'nobody''s'")
    layers.spoil(SilverDuplicates)
    layers.spoil(SilverQuarantine, reasons="make_array('lost')")

    replaced = layers.silver()

    layers.assert_is(*VALID)
    assert [reasons for (reasons,) in layers.rows(SilverQuarantine).select("reasons").iter_rows()] == [
        ["unknown_type"],
        ["missing_user", "unknown_type", "unreadable_time"],
        ["event_id_reused"],
    ]
    assert replaced["silver.events"] == {"partitions": 2, "rows": 3}


def test_the_streams_go_on_after_it(layers: Layers) -> None:
    layers.spoil(SilverEvents, "event_id = 'e3'")
    layers.silver()
    new = act("fay", "view", "04T10:00", 9)

    layers.bring("04T10:01", [new, ANN])
    layers.run()

    layers.assert_is(*VALID, new)
    layers.open()
    assert not any(stage.has_work() for stage in layers.stages)


def test_a_setting_that_changed_holds_for_what_came_before(layers: Layers) -> None:
    layers.open(event_types=(*layers.settings.event_types, "wishlist"))

    layers.silver()

    layers.assert_is(*VALID, WISH)


def test_corrected_rows_stay_resolved(layers: Layers) -> None:
    fixed = WISH | {"event_type": "search"}
    layers.bring("04T10:00", [fixed], replaces=4)
    layers.run()
    before = layers.rows(SilverQuarantine)
    assert before.filter(pl.col("offset") == 4)["resolved_by"].item() == f"topic-1/0/{layers.sent - 1}"

    layers.silver()
    assert_frame_equal(layers.rows(SilverQuarantine), before)
    layers.spoil(SilverQuarantine, "true", resolved_by="CAST(NULL AS STRING)")
    layers.silver(date(2026, 3, 2))

    assert_frame_equal(layers.rows(SilverQuarantine).drop("quarantined_at"), before.drop("quarantined_at"))
    layers.assert_is(*VALID, fixed)


def test_silver_since_a_day_is_what_has_arrived_since(layers: Layers) -> None:
    layers.spoil(SilverEvents, "event_id = 'e1'")  # arrived on the 1st
    layers.spoil(SilverEvents, "event_id = 'e3'")  # of the 1st, arrived on the 2nd
    layers.spoil(SilverEvents, "event_id = 'e5'")

    layers.silver(date(2026, 3, 2))

    assert sorted(layers.rows(SilverEvents)["event_id"]) == ["e2", "e3", "e4", "e5"]


def test_gold_is_made_anew(layers: Layers) -> None:
    late = layers.rows(FunnelSummary).select("user_id", "window_start", "late_events", "is_final")
    layers.spoil(FunnelSummary, "user_id = 'ann'", num_views="num_views + 7")
    layers.spoil(FunnelWindows, "window_date = DATE '2026-03-02'")
    layers.spoil(UserDays, "user_id = 'bob'")
    layers.spoil(SessionDays, "user_id = 'dan'", num_views="num_views + 7")
    layers.spoil(SessionFunnel, "date = DATE '2026-03-02'", sessions="sessions + 7")
    layers.spoil(ChurnFeatures, "user_id = 'dan'", num_events="0")
    layers.spoil(Cohorts, "period = 0", users="7")

    replaced = layers.gold()

    layers.assert_is(*VALID)
    assert [
        replaced.pop(table.name) for table in (FunnelSummary, FunnelWindows, UserDays, SessionDays, SessionFunnel)
    ] == [{"days": 1}] * 5
    assert layers.rows(ChurnFeatures).filter(pl.col("user_id") == "dan")["num_events"].item() == 1
    assert replaced["gold.cohorts"] == {"cells": layers.rows(Cohorts).filter(pl.col("period") == 0).height}
    assert_frame_equal(layers.rows(FunnelSummary).select(late.columns), late)


def test_gold_since_a_day_leaves_the_days_before(layers: Layers) -> None:
    layers.spoil(FunnelSummary, num_views="num_views + 7")

    layers.gold(date(2026, 3, 2))

    views = layers.rows(FunnelSummary).group_by("window_date").agg(pl.col("num_views").sum()).sort("window_date")
    assert views["num_views"].to_list() == [2 + 2 * 7, 0, 1]


def test_what_comes_meanwhile_is_counted_once(layers: Layers, monkeypatch: pytest.MonkeyPatch) -> None:
    layers.spoil(FunnelSummary, num_views="num_views + 7")
    layers.spoil(SilverEvents, "event_id = 'e3'")
    new = act("fay", "view", "02T10:00", 9)
    for module in ("silver.rebuild", "gold.rebuild"):
        real = __import__(module, fromlist=["unlike"]).unlike
        arrivals = iter([act("gus", "view", "01T10:00", 100 + len(module))])

        def unlike(*arguments: Any, real: Any = real, arrivals: Any = arrivals) -> Any:
            for message in arrivals:  # at the first comparison, which is beside the rounds
                come.append(message)
                layers.bring("04T10:00", [message])
                layers.run()
            return real(*arguments)

        monkeypatch.setattr(f"{module}.unlike", unlike)
    come = [new]
    layers.bring("04T09:00", [new])
    layers.run()

    layers.silver()
    layers.gold()

    assert len(come) == 3
    layers.assert_is(*VALID, *come)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_kill_in_the_last_step_is_mended_by_the_next_start(
    layers: Layers, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    layers.spoil(SilverEvents, "event_id = 'e3'")
    layers.spoil(SilverDuplicates)
    left = iter(range(after + 1))

    def dies(_: str) -> None:
        if next(left) == after:
            raise OSError("no space")

    with monkeypatch.context() as patched, pytest.raises(EngineLost, match="done at the next start"):
        patched.setattr("lakehouse.rebuild.swap.reach", dies)
        layers.silver()

    layers.open()
    layers.run()

    assert "rebuild: does what was left of the last step" in layers.said
    layers.assert_is(*VALID)
    assert list(layers.store.home.rebuild.iterdir()) == []


def test_a_row_of_bronze_that_is_no_event_any_more_goes_from_gold_too(layers: Layers) -> None:
    layers.open(event_types=("add_to_cart", "purchase", "search"))

    layers.silver()

    layers.assert_is(BOB, CID)
    assert to_arrow(layers.rows(FunnelSummary)).num_rows == 2
