"""The topic and the clients, on a real broker; and what is said where there is none."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings, load_settings
from lakehouse.topic import beginning_offsets, end_offsets, ensure_topic, topic_id
from producer.client import ConfluentSender, KafkaPythonSender

NOWHERE = "127.0.0.1:1"
CLIENTS = [ConfluentSender, KafkaPythonSender]


@pytest.fixture
def own_topic(tmp_path: Path) -> Settings:
    """Settings with a topic that no other test has."""
    return load_settings(home=tmp_path, topic=f"t-{uuid.uuid4()}", topic_partitions=3)


def read_all(bootstrap: str, topic: str) -> list[Any]:
    from confluent_kafka import Consumer, TopicPartition

    ends = end_offsets(bootstrap, topic)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
    messages: list[Any] = []
    while len(messages) < sum(ends.values()):
        messages += consumer.consume(sum(ends.values()) - len(messages), timeout=10)
    consumer.close()
    assert all(message.error() is None for message in messages)
    return messages


def make(bootstrap: str, topic: str, partitions: int, configs: dict[str, str]) -> None:
    from kafka import KafkaAdminClient

    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics({topic: {"num_partitions": partitions, "configs": configs}}, wait_for_metadata=True)
    admin.close()


def test_a_topic_is_made_with_the_brokers_time_and_explicit_retention(kafka: str, own_topic: Settings) -> None:
    from kafka import KafkaAdminClient
    from kafka.admin import ConfigResource

    assert ensure_topic(kafka, own_topic) == []
    assert ensure_topic(kafka, own_topic) == []
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    found = admin.describe_configs([ConfigResource("topic", own_topic.topic)], config_filter="all")
    admin.close()
    configs = {name: entry["value"] for name, entry in found["topic"][own_topic.topic].items()}
    assert configs["message.timestamp.type"] == "LogAppendTime"
    assert configs["retention.ms"] == str(168 * 3_600_000)
    assert configs["retention.bytes"] == "-1"
    assert end_offsets(kafka, own_topic.topic) == {0: 0, 1: 0, 2: 0}


def test_a_foreign_topic_is_described_and_left_alone(kafka: str, own_topic: Settings) -> None:
    foreign = {"message.timestamp.type": "CreateTime", "retention.ms": "1000", "retention.bytes": "5000"}
    make(kafka, own_topic.topic, 1, foreign)
    said = ensure_topic(kafka, own_topic)
    assert [sentence for sentence in said if own_topic.topic not in sentence] == []
    for expected, sentence in zip(
        ("1 partitions", "message.timestamp.type=CreateTime", "retention.ms=1000", "retention.bytes=5000"),
        said,
        strict=True,
    ):
        assert expected in sentence
    assert ensure_topic(kafka, own_topic) == said
    assert list(end_offsets(kafka, own_topic.topic)) == [0]


def test_a_topic_made_anew_has_another_id(kafka: str, own_topic: Settings) -> None:
    from kafka import KafkaAdminClient

    ensure_topic(kafka, own_topic)
    before = topic_id(kafka, own_topic.topic)
    assert uuid.UUID(before)
    assert topic_id(kafka, own_topic.topic) == before
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_topics([own_topic.topic])
    admin.close()
    ensure_topic(kafka, own_topic)
    assert topic_id(kafka, own_topic.topic) != before


def test_a_topic_that_is_not_there_is_named(kafka: str, own_topic: Settings) -> None:
    with pytest.raises(LakehouseError, match=f"has no topic {own_topic.topic}"):
        topic_id(kafka, own_topic.topic)


@pytest.mark.parametrize("client", CLIENTS)
def test_messages_arrive_as_sent(kafka: str, own_topic: Settings, client: type[ConfluentSender]) -> None:
    ensure_topic(kafka, own_topic)
    sender = client(kafka, own_topic.topic)
    for number in range(3_000):
        sender.send(b"u%d" % (number % 7), b'{"n":%d}' % number, [("h", b"1")] if number == 0 else ())
    sender.send(None, b"\xff\x00")
    sender.flush()
    assert sender.sent == 3_001
    sender.close()
    sender.close()
    messages = read_all(kafka, own_topic.topic)
    assert {message.value() for message in messages} == {b'{"n":%d}' % n for n in range(3_000)} | {b"\xff\x00"}
    assert len(messages) == 3_001
    assert [message.headers() for message in messages if message.value() == b'{"n":0}'] == [[("h", b"1")]]
    assert beginning_offsets(kafka, own_topic.topic) == {0: 0, 1: 0, 2: 0}


def test_both_clients_send_a_user_to_the_same_partition(kafka: str, own_topic: Settings) -> None:
    ensure_topic(kafka, own_topic)
    for client in CLIENTS:
        sender = client(kafka, own_topic.topic)
        for number in range(50):
            sender.send(b"user-%d" % number, b"x")
        sender.flush()
        sender.close()
    places: dict[bytes, set[int]] = {}
    for message in read_all(kafka, own_topic.topic):
        places.setdefault(message.key(), set()).add(message.partition())
    assert len(places) == 50
    assert all(len(partitions) == 1 for partitions in places.values())
    assert len({min(partitions) for partitions in places.values()}) > 1


@pytest.mark.parametrize("client", CLIENTS)
def test_a_message_that_the_broker_refuses_is_an_error(
    kafka: str, own_topic: Settings, client: type[ConfluentSender]
) -> None:
    make(kafka, own_topic.topic, 1, {"max.message.bytes": "1000"})
    sender = client(kafka, own_topic.topic)
    with pytest.raises(LakehouseError, match="not delivered to Kafka"):
        sender.send(b"u", os.urandom(5_000))  # what does not compress
        sender.flush()
    sender.close()


@pytest.mark.parametrize(
    "ask",
    [
        lambda: topic_id(NOWHERE, "user_events"),
        lambda: ensure_topic(NOWHERE, load_settings()),
        lambda: ConfluentSender(NOWHERE, "user_events"),
        lambda: KafkaPythonSender(NOWHERE, "user_events"),
    ],
)
@pytest.mark.timeout(20)
def test_a_broker_that_is_not_there_is_named_with_the_remedy(ask: Any) -> None:
    with pytest.raises(LakehouseError, match=rf"no Kafka broker answers at {NOWHERE}; .*lakehouse up"):
        ask()
