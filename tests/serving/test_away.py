"""A Postgres that is away while the tables are maintained: nothing that its mirrors lack is removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import polars as pl
import pyarrow as pa
import pytest
from psycopg2.extensions import connection as Connection
from serving_rows import at, read, summary

from lakehouse.commits import Commit
from lakehouse.contracts import FunnelSummary
from lakehouse.dialects import Dialect
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.frames import conform
from lakehouse.home import Home
from lakehouse.maintenance.upkeep import HistoryExpired, Upkeep
from lakehouse.settings import Settings
from lakehouse.stages import Context
from lakehouse.store import Merge, TableStore
from serving.stream import MIRRORS, MirrorStage

NOBODY = "postgresql://writer@127.0.0.1:9/lakehouse"


def mirror(store: TableStore, endpoints: Endpoints) -> MirrorStage:
    """The mirror of the funnels, as a new process has it."""
    context = Context(store.settings, store.home, endpoints, store.spark, store, lambda _: None)
    stage = MirrorStage(context, next(each for each in MIRRORS if each.origin is FunnelSummary))
    stage.open()
    return stage


def count_views(store: TableStore, batch: int, *users: str) -> None:
    """A batch of gold: a view more for each user."""

    def everywhere(_: Dialect) -> str:
        return "true"

    adding = {name: f"t.{name} + s.{name}" for name in ("num_views", "num_events")}
    rows = conform(pa.Table.from_pylist([summary(user, at("10:00"), 1) for user in users]), FunnelSummary)
    commit = Commit("gold", 0, batch, source_version=batch, rows_in=len(users))
    store.merge(FunnelSummary, rows, Merge(["user_id", "window_start"], everywhere, lambda _: adding), commit)


def clean(store: TableStore, stages: Sequence[MirrorStage]) -> list[HistoryExpired]:
    steps = Upkeep(store, stages, lambda _: None, lambda: datetime.now(UTC)).steps([FunnelSummary])
    return [step for step in steps if isinstance(step, HistoryExpired)]


def in_delta(store: TableStore) -> list[tuple[Any, ...]]:
    return store.scan(FunnelSummary).select("user_id", pl.col("num_views")).sort("user_id").collect().rows()


def test_a_mirror_that_was_away_while_all_expired_catches_up(
    tmp_path: Path, endpoints: Endpoints, writer: Connection
) -> None:
    settings = Settings(home=tmp_path, time_travel_hours=0.000001, round_interval_s=0, commit_engine="delta-rs")
    store = TableStore(Home(tmp_path).make(), settings, cast(Any, None))
    store.create_all()
    count_views(store, 0, "ann", "bob")
    here = mirror(store, endpoints)
    here.run()
    here.close()

    away = mirror(store, replace(endpoints, postgres_writer=NOBODY))
    for batch in range(1, 104):
        count_views(store, batch, "ann", f"user-{batch:03}")
    with pytest.raises(LakehouseError):
        away.run()
    (held,) = clean(store, [away])
    assert [hold.reader for hold in held.held_by] == ["funnel_summary"]

    back = mirror(store, endpoints)
    back.run()
    assert read(writer, "SELECT user_id, num_views FROM funnel_summary ORDER BY user_id") == in_delta(store)
    assert in_delta(store)[0] == ("ann", 104)

    (free,) = clean(store, [back])
    assert free.held_by == ()
    assert free.removed.files > 100
    assert free.removed.log_files > 90
    back.close()
    again = mirror(store, endpoints)
    count_views(store, 104, "ann")
    again.run()
    again.close()
    assert read(writer, "SELECT user_id, num_views FROM funnel_summary ORDER BY user_id") == in_delta(store)
