"""Bronze reads its topic, and another one of the same name from its beginning."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from confluent_kafka import Producer
from pyspark.sql import SparkSession

from bronze.stream import BronzeStage
from lakehouse.contracts import BronzeEvents
from lakehouse.endpoints import Endpoints
from lakehouse.errors import Unavailable
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.stages import Context
from lakehouse.store import TableStore
from lakehouse.topic import ensure_topic
from tests.faults.topic import make_anew

NOWHERE = "127.0.0.1:1"

Open = Callable[..., BronzeStage]


@pytest.fixture
def topic(kafka: str, request: pytest.FixtureRequest) -> str:
    """The name of an empty topic with one partition, after the test."""
    name = re.sub(r"\W", "_", request.node.name)
    ensure_topic(kafka, Settings(topic=name, topic_partitions=1))
    return name


@pytest.fixture
def opened(tmp_path: Path, kafka: str, topic: str, spark: SparkSession) -> Iterator[Open]:
    """Opens a stage on a home of its own, again after a close; on the run's broker if no other is named."""
    stages: list[BronzeStage] = []

    def start(bootstrap: str = kafka, **more: Any) -> BronzeStage:
        settings = Settings(home=tmp_path / "home", topic=topic, topic_partitions=1, **more)
        home = Home(settings.home).make()
        store = TableStore(home, settings, spark)
        store.create_all()
        endpoints = Endpoints(bootstrap, "", "", "", "", "")
        stages.append(BronzeStage(Context(settings, home, endpoints, spark, store, lambda _: None)))
        stages[-1].open()
        return stages[-1]

    yield start
    for stage in stages:
        stage.close()


def send(bootstrap: str, topic: str, values: range) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    for value in values:
        producer.produce(topic, str(value).encode())
    assert producer.flush(30) == 0


def take(stage: BronzeStage) -> None:
    while stage.has_work():
        stage.run()


def values_by_source(stage: BronzeStage) -> dict[str, list[int]]:
    """What bronze holds of each source, in order."""
    rows = stage.context.store.scan(BronzeEvents).collect()
    numbers = pl.col("value").cast(pl.String).cast(pl.Int64).sort()
    return dict(rows.group_by("source_id").agg(numbers).rows())


def test_a_topic_made_anew_is_read_from_its_beginning_however_far_it_has_grown(
    opened: Open, kafka: str, topic: str
) -> None:
    stage = opened()
    send(kafka, topic, range(100))
    take(stage)
    old = stage.source_id
    make_anew(kafka, topic)
    send(kafka, topic, range(1_000, 1_150))

    take(stage)

    assert values_by_source(stage) == {old: list(range(100)), stage.source_id: list(range(1_000, 1_150))}
    assert stage.generation == 1


def test_a_topic_made_anew_while_bronze_was_down_is_a_new_source_too(opened: Open, kafka: str, topic: str) -> None:
    stage = opened()
    send(kafka, topic, range(10))
    take(stage)
    old = stage.source_id
    stage.close()
    make_anew(kafka, topic)
    send(kafka, topic, range(100, 120))

    stage = opened()
    take(stage)

    assert values_by_source(stage) == {old: list(range(10)), stage.source_id: list(range(100, 120))}


def test_a_restart_goes_on_where_it_was(opened: Open, kafka: str, topic: str) -> None:
    stage = opened()
    send(kafka, topic, range(10))
    take(stage)
    stage.close()
    send(kafka, topic, range(10, 20))

    stage = opened()
    take(stage)

    assert values_by_source(stage) == {stage.source_id: list(range(20))}
    assert stage.generation == 0


def test_a_broker_that_is_away_at_the_start_is_waited_for(opened: Open) -> None:
    stage = opened(NOWHERE)

    with pytest.raises(Unavailable, match=f"no Kafka broker answers at {NOWHERE}"):
        stage.has_work()


def test_it_reads_ahead_in_a_backlog_and_no_longer_than_that(opened: Open, kafka: str, topic: str) -> None:
    send(kafka, topic, range(35))
    stage = opened(max_events_per_batch=10)
    ahead = []
    for _ in range(4):
        assert stage.has_work()
        stage.run()
        ahead.append((stage.reads_ahead, stage.took_all))
    send(kafka, topic, range(35, 40))
    take(stage)

    assert ahead == [(True, False), (True, False), (False, False), (False, True)]
    assert (stage.reads_ahead, stage.took_all) == (False, True)
    assert list(values_by_source(stage).values()) == [list(range(40))]


def test_what_was_read_ahead_and_not_committed_is_read_again(opened: Open, kafka: str, topic: str) -> None:
    send(kafka, topic, range(35))
    first = opened(max_events_per_batch=10)
    assert first.has_work()
    first.run()
    first.close()

    second = opened(max_events_per_batch=10)
    take(second)

    assert list(values_by_source(second).values()) == [list(range(35))]
