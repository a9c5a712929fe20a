"""The replacements that were sent and that silver has not taken yet, read from Kafka."""

from __future__ import annotations

from typing import Any, Final

from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from lakehouse.commits import KEY, Commit
from lakehouse.contracts import SilverEvents
from lakehouse.home import Home
from lakehouse.kafka_security import PLAIN_TEXT, KafkaSecurity
from lakehouse.replacements import HEADER
from lakehouse.topic import CONNECT_TIMEOUT_S, topic_id, unreachable

_AT_ONCE: Final = 10_000


def taken_by_silver(home: Home) -> dict[str, int]:
    """For each ``source_id/partition`` the offset after the last one that silver has put into a table."""
    try:
        table = DeltaTable(str(home.table(SilverEvents.name)))
    except TableNotFoundError:
        return {}
    for limit in (20, 1_000, None):
        for entry in table.history(limit):
            commit = Commit.from_json(entry.get(KEY))
            if commit is not None:
                return dict(commit.offsets)
    return {}


def roots_on_their_way(
    bootstrap: str, topic: str, taken: dict[str, int], security: KafkaSecurity = PLAIN_TEXT
) -> set[str]:
    """What the headers of all messages behind ``taken`` name.

    Raises LakehouseError where no broker answers.
    """
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    source = topic_id(bootstrap, topic, security)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "lakehouse-quarantine",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
            **security.librdkafka(),
        }
    )
    roots: set[str] = set()
    try:
        left: dict[int, int] = {}
        places = []
        for partition in consumer.list_topics(topic, timeout=CONNECT_TIMEOUT_S).topics[topic].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=CONNECT_TIMEOUT_S)
            first = max(low, taken.get(f"{source}/{partition}", 0))
            if first < high:
                left[partition] = high
                places.append(TopicPartition(topic, partition, first))
        consumer.assign(places)
        while left:
            messages: list[Any] = consumer.consume(_AT_ONCE, timeout=CONNECT_TIMEOUT_S)
            if not messages:
                raise unreachable(bootstrap, security)
            for message in messages:
                if message.error() is not None:
                    raise KafkaException(message.error())
                roots |= _named(message)
                if message.offset() + 1 >= left.get(message.partition(), 0):
                    left.pop(message.partition(), None)
    except KafkaException:
        raise unreachable(bootstrap, security) from None
    finally:
        consumer.close()
    return roots


def _named(message: Any) -> set[str]:
    values = [value for name, value in message.headers() or () if name == HEADER and value is not None]
    return {value.decode(errors="replace") for value in values}
