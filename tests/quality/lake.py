"""A lakehouse of real tables, made by the real stages without a JVM: messages in, as bronze takes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import polars as pl
from pyspark.sql import SparkSession

from gold.churn_features_stream import ChurnFeaturesStage
from gold.sessions_stream import SessionDaysStage, SessionFunnelStage
from gold.stream import GoldStage
from gold.user_days_stream import UserDaysStage
from lakehouse.commits import Commit
from lakehouse.contracts import BronzeEvents
from lakehouse.endpoints import Endpoints
from lakehouse.follow import Follower
from lakehouse.frames import empty, to_arrow
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.stages import Context
from lakehouse.store import TableStore
from producer.simulator import SimulatorConfig, simulate
from silver.stream import SilverStage

SOURCE = "topic-1"


@dataclass(frozen=True)
class Message:
    """As a producer sends it; ``received`` is the broker's time."""

    value: bytes | None
    received: datetime


@dataclass
class Lake:
    home: Home
    settings: Settings
    offset: int = 0
    stages: list[Follower] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.settings = self.settings.model_copy(update={"home": self.home.root, "churn_interval_s": 0.0})
        no_spark = cast(SparkSession, None)  # delta-rs commits, and polars reads
        self.store = TableStore(self.home, self.settings, no_spark)
        self.store.create_all()
        servers = Endpoints("", "", "", "", "", "")
        context = Context(self.settings, self.home, servers, no_spark, self.store, lambda _: None)
        self.stages = [
            SilverStage(context),
            GoldStage(context),
            UserDaysStage(context),
            SessionDaysStage(context),
            SessionFunnelStage(context),
            ChurnFeaturesStage(context),
        ]
        for stage in self.stages:
            stage.open()

    def receive(self, *messages: Message, skip: int = 0) -> None:
        """One batch of bronze; ``skip`` offsets are lost before it."""
        self.offset += skip
        rows = [
            {
                "source_id": SOURCE,
                "partition": 0,
                "offset": self.offset + number,
                "value": message.value,
                "topic": "user_events",
                "kafka_timestamp": message.received,
                "ingested_at": message.received + timedelta(seconds=1),
                "ingest_date": message.received.date(),
            }
            for number, message in enumerate(messages)
        ]
        self.offset += len(rows)
        batch = self.store.version(BronzeEvents)
        commit = Commit("bronze", 0, batch, offsets={f"{SOURCE}/0": self.offset}, rows_in=len(rows), rows_out=len(rows))
        frame = pl.DataFrame(rows, schema=pl.DataFrame(empty(BronzeEvents)).schema)
        self.store.append(BronzeEvents, to_arrow(frame), commit)

    def take(self) -> None:
        """Every stage takes what is there."""
        for stage in self.stages:
            while stage.has_work():
                stage.run()

    def bring(self, *messages: Message) -> None:
        self.receive(*messages)
        self.take()


def message(
    event_type: str, time: datetime, user: str = "ann", *, received: datetime | None = None, **more: Any
) -> Message:
    fields = {"user_id": user, "event_type": event_type, "timestamp": time.isoformat(), **more}
    return Message(json.dumps(fields).encode(), received or time + timedelta(milliseconds=50))


def simulated(start: datetime, hours: float, rate: float, seed: int = 7, users: int = 500) -> Iterator[Message]:
    """A simulated shop's messages, received the moment they are due."""
    end = start + timedelta(hours=hours)
    for each in simulate(SimulatorConfig(rate=rate, seed=seed, users=users, start=start, end=end)):
        yield Message(each.value, each.due)


def batches(messages: Iterable[Message], length: timedelta) -> Iterator[list[Message]]:
    """The messages of each such span of time."""
    batch: list[Message] = []
    until: datetime | None = None
    for each in messages:
        if until is None:
            until = each.received + length
        if each.received >= until:
            yield batch
            batch, until = [], until + length
        batch.append(each)
    if batch:
        yield batch
