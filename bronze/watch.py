"""A cheap look at the topic between two rounds: which topic it is, and how far it goes."""

from __future__ import annotations

from confluent_kafka import Consumer, KafkaException, TopicPartition

from lakehouse.errors import LakehouseError

TIMEOUT_S = 5.0


class TopicWatch:
    """Offsets of one topic over one kept connection (a new one for each look would cost 100 ms)."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "lakehouse-watch", "enable.auto.commit": False, "log_level": 0}
        )

    def offsets(self) -> dict[int, tuple[int, int]]:
        """For each partition the first offset that Kafka keeps and the one that the next message gets.

        Raises LakehouseError where the broker does not answer or has no such topic.
        """
        try:
            found = self._consumer.list_topics(self._topic, timeout=TIMEOUT_S).topics[self._topic]
            if found.error is not None:
                raise LakehouseError(f"Kafka at {self._bootstrap} has no topic {self._topic}: {found.error.str()}")
            offsets = {}
            for partition in sorted(found.partitions):
                place = TopicPartition(self._topic, partition)
                low, high = self._consumer.get_watermark_offsets(place, timeout=TIMEOUT_S)
                offsets[partition] = (int(low), int(high))
            return offsets
        except KafkaException as error:
            raise LakehouseError(
                f"Kafka at {self._bootstrap} does not answer ({error.args[0].str()}); events wait there until it does"
            ) from None

    def close(self) -> None:
        self._consumer.close()
