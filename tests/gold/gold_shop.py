"""Silver and gold as tables, whose stages have their turns when they are asked to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal
from pyspark.sql import SparkSession

from gold.churn_features import latest_features
from gold.churn_features_stream import ChurnFeaturesStage
from gold.user_days import user_days
from gold.user_days_stream import UserDaysStage
from lakehouse.commits import Commit
from lakehouse.contracts import ChurnFeatures, FunnelSummary, SilverEvents, Table, UserDays
from lakehouse.endpoints import Endpoints
from lakehouse.follow import Follower
from lakehouse.frames import empty, to_arrow
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.stages import Context
from lakehouse.store import TableStore

ENGINES = ("spark", "delta-rs")
CAP = 3


def at(text: str) -> datetime:
    """A moment of March 2026, UTC: ``01T10:00``."""
    return datetime.fromisoformat(f"2026-03-{text}+00:00")


def act(user: str, kind: str, time: str, session: str | None = None, **more: Any) -> dict[str, Any]:
    return {"user_id": user, "event_type": kind, "event_time": at(time), "session_id": session, **more}


@dataclass
class Shop:
    """Silver and gold under a home of their own, and what was put into silver."""

    home: Home
    settings: Settings
    spark: SparkSession
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = self.store_of("delta-rs")
        self.store.create_all()

    def store_of(self, engine: str) -> TableStore:
        return TableStore(self.home, self.settings.model_copy(update={"commit_engine": engine}), self.spark)

    def bring(self, *acts: dict[str, Any]) -> None:
        """A batch of new events in silver, which brings the next Kafka offsets."""
        rows = []
        for number, each in enumerate(acts, len(self.events)):
            of_kafka = {"source_id": "topic-1", "partition": 0, "offset": number, "kafka_timestamp": at("20T00:00")}
            date = each["event_time"].date()
            rows.append({"event_id": f"e{number}", "event_date": date, "arrival": "on_time", **of_kafka, **each})
        self.events += rows
        batch = self.store.version(SilverEvents)
        frame = pl.DataFrame(rows, schema=pl.DataFrame(empty(SilverEvents)).schema)
        commit = Commit("silver", 0, batch, offsets={"topic-1/0": len(self.events)}, rows_in=len(rows))
        self.store.append(SilverEvents, to_arrow(frame), commit)

    def watermark(self, moment: datetime) -> None:
        """Gold's funnel comes so far."""
        commit = Commit("gold", 0, self.store.version(FunnelSummary), watermark=moment)
        self.store.append(FunnelSummary, empty(FunnelSummary), commit)

    def take(self, *kinds: type[Follower], engine: str = "delta-rs") -> list[Follower]:
        """New stages, by default those of users, each of which takes what is there."""
        store = self.store if engine == "delta-rs" else self.store_of(engine)
        context = Context(store.settings, self.home, Endpoints("", "", "", "", "", ""), self.spark, store, print)
        stages = [kind(context) for kind in kinds or (UserDaysStage, ChurnFeaturesStage)]
        for stage in stages:
            stage.open()
            while stage.has_work():
                stage.run()
        return stages

    def table(self, table: type[Table]) -> pl.DataFrame:
        return self.store.scan(table).select(table.columns()).collect().sort(table.key)

    def last(self, table: type[Table]) -> Commit:
        commit = self.store.last_commit(table)
        assert commit is not None
        return commit

    def assert_users_as_if_all_came_at_once(self) -> None:
        schema = pl.DataFrame(empty(SilverEvents)).schema
        days = user_days(pl.DataFrame(self.events, schema=schema), self.settings.session_ids_cap)
        assert_frame_equal(self.table(UserDays), days.sort(UserDays.key))
        features = self.table(ChurnFeatures)
        again = [
            latest_features(days.filter(pl.col("user_id") == user), as_of, self.settings.churn_lookback_days)
            for user, as_of in features.select("user_id", "as_of").iter_rows()
        ]
        assert features["user_id"].to_list() == sorted({each["user_id"] for each in self.events})
        assert_frame_equal(features, pl.concat(again))


def fails_at_the(number: int, table: type[Table], really: Callable[..., None]) -> Callable[..., None]:
    """``really``, but the ``number``-th time for ``table`` it fails as a full disk does."""
    times = 0

    def maybe(store: TableStore, into: type[Table], *arguments: Any) -> None:
        nonlocal times
        times += into is table
        if into is table and times == number:
            raise OSError("no space left on device")
        really(store, into, *arguments)

    return maybe
