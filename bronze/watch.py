"""A cheap look at the topic between two rounds: which topic it is, and how far it goes."""

from __future__ import annotations

import uuid

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from lakehouse.errors import Unavailable
from lakehouse.kafka_security import PLAIN_TEXT, KafkaSecurity

TIMEOUT_S = 5.0


class TopicWatch:
    """One topic over kept connections (a new one for each look would cost 100 ms).

    Each method raises Unavailable where the broker does not answer or has no such topic.
    """

    def __init__(self, bootstrap: str, topic: str, security: KafkaSecurity = PLAIN_TEXT) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._security = security
        client = {"bootstrap.servers": bootstrap, "log_level": 0, **security.librdkafka()}
        self._consumer = Consumer({**client, "group.id": "lakehouse-watch", "enable.auto.commit": False})
        self._admin = AdminClient(client)

    def topic_id(self) -> str:
        """Kafka's UUID of the topic, as ``lakehouse.topic.topic_id`` gives it; 1 ms."""
        try:
            described = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=TIMEOUT_S)
            found = described[self._topic].result().topic_id
        except KafkaException as error:
            raise self._unavailable(error) from None
        most, least = found.get_most_significant_bits(), found.get_least_significant_bits()
        return str(uuid.UUID(bytes=most.to_bytes(8, signed=True) + least.to_bytes(8, signed=True)))

    def offsets(self) -> dict[int, tuple[int, int]]:
        """For each partition the first offset that Kafka keeps and the one that the next message gets."""
        try:
            found = self._consumer.list_topics(self._topic, timeout=TIMEOUT_S).topics[self._topic]
            if found.error is not None:
                raise KafkaException(found.error)
            offsets = {}
            for partition in sorted(found.partitions):
                place = TopicPartition(self._topic, partition)
                low, high = self._consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)
                offsets[partition] = (int(low), int(high))
            return offsets
        except KafkaException as error:
            raise self._unavailable(error) from None

    def close(self) -> None:
        self._consumer.close()

    def _unavailable(self, error: KafkaException) -> Unavailable:
        reason: KafkaError = error.args[0]
        if reason.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return Unavailable(
                f"Kafka at {self._bootstrap} has no topic {self._topic} any more; `lakehouse produce` makes it, and it "
                "is then read from its beginning"
            )
        perhaps = "" if self._security == PLAIN_TEXT else ", or it refuses the user, password or certificates given"
        return Unavailable(
            f"Kafka at {self._bootstrap} does not answer ({reason.str()}){perhaps}; events wait there until it does"
        )
