"""The topic of the events: made as this project needs it, or judged where somebody else made it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lakehouse.errors import LakehouseError, Unavailable
from lakehouse.kafka_security import PLAIN_TEXT, KafkaSecurity
from lakehouse.settings import Settings

CONNECT_TIMEOUT_S = 5.0
"""How long the first answer of a broker is waited for."""

_HOUR_MS = 3_600_000

TIMESTAMP_TYPE = "message.timestamp.type"
RETENTION_MS = "retention.ms"
RETENTION_BYTES = "retention.bytes"


def topic_config(settings: Settings) -> dict[str, str]:
    """The settings that the topic is made with.

    LogAppendTime, because the far-future check compares an event's time with the broker's; retention by time only,
    and said explicitly, so that a broker's own default cannot drop what has not been read.
    """
    return {
        TIMESTAMP_TYPE: "LogAppendTime",
        RETENTION_MS: str(settings.topic_retention_hours * _HOUR_MS),
        RETENTION_BYTES: "-1",
    }


def ensure_topic(bootstrap: str, settings: Settings) -> list[str]:
    """Makes ``settings.topic`` on the broker at ``bootstrap`` (HOST:PORT) where it is not there.

    A topic that is there is never changed: each way in which it differs from the settings comes back as one
    sentence, an empty list where it does not differ. Raises LakehouseError where no broker answers or the broker
    refuses to make the topic.
    """
    from kafka.errors import TopicAlreadyExistsError

    wanted = topic_config(settings)
    with _admin(bootstrap, KafkaSecurity.of(settings)) as admin:
        if _describe(admin, settings.topic) is None:
            topic = {"num_partitions": settings.topic_partitions, "configs": wanted}
            try:
                admin.create_topics({settings.topic: topic}, wait_for_metadata=True)
                _listed(admin, bootstrap, settings.topic, "LATEST")  # until each partition has a leader that answers
                return []
            except TopicAlreadyExistsError:  # another process was quicker: then its topic is judged
                admin.wait_for_topics([settings.topic])
        return _differences(admin, settings, wanted)


def topic_id(bootstrap: str, topic: str, security: KafkaSecurity = PLAIN_TEXT) -> str:
    """Kafka's UUID of ``topic`` as text: a topic deleted and made anew has another one.

    Raises LakehouseError where no broker answers or the topic is not there.
    """
    with _admin(bootstrap, security) as admin:
        return str(_existing(admin, bootstrap, topic)["topic_id"])


def end_offsets(bootstrap: str, topic: str, security: KafkaSecurity = PLAIN_TEXT) -> dict[int, int]:
    """Per partition, the offset that the next message will get. Raises as ``topic_id`` does."""
    return _offsets(bootstrap, topic, security, "LATEST")


def beginning_offsets(bootstrap: str, topic: str, security: KafkaSecurity = PLAIN_TEXT) -> dict[int, int]:
    """Per partition, the lowest offset that Kafka still keeps. Raises as ``topic_id`` does."""
    return _offsets(bootstrap, topic, security, "EARLIEST")


def _differences(admin: Any, settings: Settings, wanted: Mapping[str, str]) -> list[str]:
    from kafka.admin import ConfigResource

    described = _describe(admin, settings.topic) or {"partitions": []}
    configs = admin.describe_configs([ConfigResource("topic", settings.topic)], config_filter="all")
    found = {name: str(data["value"]) for name, data in configs["topic"][settings.topic].items()}
    topic = f"topic {settings.topic}"
    differences = []
    partitions = len(described["partitions"])
    if partitions != settings.topic_partitions:
        differences.append(
            f"{topic} has {partitions} partitions where topic_partitions={settings.topic_partitions}: "
            "its own number is used; it is left as it is"
        )
    if found[TIMESTAMP_TYPE] != wanted[TIMESTAMP_TYPE]:
        differences.append(
            f"{topic} has {TIMESTAMP_TYPE}={found[TIMESTAMP_TYPE]}, not {wanted[TIMESTAMP_TYPE]}: the far-future check "
            "compares an event's time with the time its sender claims, not the broker's"
        )
    for name, remedy in (
        (RETENTION_MS, f"which is what topic_retention_hours={settings.topic_retention_hours} asks for"),
        (RETENTION_BYTES, "so Kafka may drop messages by size before they are read"),
    ):
        if found[name] != wanted[name]:
            differences.append(f"{topic} has {name}={found[name]}, not {wanted[name]}, {remedy}")
    return differences


def _offsets(bootstrap: str, topic: str, security: KafkaSecurity, which: str) -> dict[int, int]:
    with _admin(bootstrap, security) as admin:
        return _listed(admin, bootstrap, topic, which)


def _listed(admin: Any, bootstrap: str, topic: str, which: str) -> dict[int, int]:
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec

    partitions = [p["partition_index"] for p in _existing(admin, bootstrap, topic)["partitions"]]
    wanted = {TopicPartition(topic, partition): getattr(OffsetSpec, which) for partition in partitions}
    found = admin.list_partition_offsets(wanted, timeout_ms=int(CONNECT_TIMEOUT_S * 1000))
    return {place.partition: int(at.offset) for place, at in sorted(found.items())}


def _existing(admin: Any, bootstrap: str, topic: str) -> dict[str, Any]:
    described = _describe(admin, topic)
    if described is None:
        raise LakehouseError(f"Kafka at {bootstrap} has no topic {topic}; `lakehouse produce` and `up` make it")
    return described


def _describe(admin: Any, topic: str) -> dict[str, Any] | None:
    described: dict[str, Any] = admin.describe_topics([topic])[0]
    return described if described["topic_id"] and not described["error_code"] else None


@contextmanager
def _admin(bootstrap: str, security: KafkaSecurity) -> Iterator[Any]:
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

    hush_kafka_python()
    timeout_ms = int(CONNECT_TIMEOUT_S * 1000)
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap,
            bootstrap_timeout_ms=timeout_ms,
            request_timeout_ms=timeout_ms,
            **security.kafka_python(),
        )
    except (KafkaError, ValueError, OSError):
        raise unreachable(bootstrap, security) from None
    try:
        yield admin
    except (KafkaConnectionError, KafkaTimeoutError):
        raise unreachable(bootstrap, security) from None
    except KafkaError as error:
        raise LakehouseError(f"Kafka at {bootstrap} refused: {error}; see the broker's log") from None
    finally:
        admin.close()


def unreachable(bootstrap: str, security: KafkaSecurity = PLAIN_TEXT) -> Unavailable:
    """What every door says when no broker answers, or none lets this client in: not all brokers tell which."""
    if security.protocol != "PLAINTEXT":
        who = f" as {security.username}" if security.has_password else ""
        return Unavailable(
            f"no Kafka broker at {bootstrap} lets this client in{who} by {security.protocol}; see that it runs and "
            "listens so, that kafka_ca_file has signed its certificate, which must be of this host, and that user and "
            "password are right (docs/security.md)"
        )
    return Unavailable(
        f"no Kafka broker answers at {bootstrap}; start one with `lakehouse up`, or set LAKEHOUSE_KAFKA_BOOTSTRAP "
        "to HOST:PORT of a broker that runs"
    )


def hush_kafka_python() -> None:
    """Keeps kafka-python from logging a traceback for each refused connection: the errors here say it once."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def messages_between(
    bootstrap: str, topic: str, partition: int, first: int, last: int, security: KafkaSecurity = PLAIN_TEXT
) -> int:
    """Reads the offsets from ``first`` to ``last`` again and says how many of them hold a message.

    Raises LakehouseError where no broker answers within ``CONNECT_TIMEOUT_S``.
    """
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "lakehouse-audit",
            "enable.auto.commit": False,
            "log_level": 0,
            **security.librdkafka(),
        }
    )
    found = 0
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=CONNECT_TIMEOUT_S)
        consumer.assign([TopicPartition(topic, partition, first)])
        while first <= min(last, end - 1):
            message = consumer.poll(CONNECT_TIMEOUT_S)
            offset = None if message is None or message.error() is not None else message.offset()
            if offset is None or offset > last:
                break
            found += 1
            first = offset + 1
    except KafkaException:
        raise unreachable(bootstrap, security) from None
    finally:
        consumer.close()
    return found
