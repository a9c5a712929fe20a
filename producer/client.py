"""Sending messages to one topic: a small interface and the two clients behind it.

Measured on two cores with the broker beside it, 4 partitions, acks=all, idempotent, one message of 330 bytes
with a key, in messages/s: kafka-python 3.0.12 with its crc32c extra 54,000 (gzip 47,000; it has no lz4 or zstd
without further packages), confluent-kafka 2.16.1 213,000 (lz4 256,000, zstd 244,000). So the simulator sends by
kafka-python, which is ample for it, and a replay by confluent-kafka, whose sending thread leaves the core that
maps the lines alone.

Both place a key by murmur2, as Java's client does: a user's messages keep their order and their partition
whichever of the two sends them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from lakehouse.errors import LakehouseError
from lakehouse.kafka_security import PLAIN_TEXT, KafkaSecurity
from lakehouse.topic import CONNECT_TIMEOUT_S, hush_kafka_python, unreachable

Headers = Sequence[tuple[str, bytes]]

DELIVERY_TIMEOUT_S = 60.0
"""How long a message may wait for a broker that went away before its delivery counts as failed."""

MAX_MESSAGE_BYTES = 1_000_000
"""Largest value sent: Kafka's own limit (1,048,588 bytes for a batch) less room for key and framing."""

_BUFFER_BYTES = 32 * 1024 * 1024
_LINGER_MS = 20


class Sender(Protocol):
    """Sends to one topic, in the background; what was not delivered is said, never swallowed."""

    @property
    def sent(self) -> int:
        """Messages handed over so far; after ``flush`` the broker has all of them."""

    def send(self, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        """Hands one message over; waits while the buffer is full.

        Raises LakehouseError where an earlier message could not be delivered or the buffer does not drain.
        """

    def flush(self, timeout_s: float | None = None) -> None:
        """Waits until the broker has every message, by default as long as a delivery may take.

        Raises LakehouseError where it does not take them in that time.
        """

    def close(self) -> None:
        """Lets go of the connection, without waiting for what is not delivered; may be called twice."""


def _undelivered(bootstrap: str, count: int, reason: object) -> LakehouseError:
    return LakehouseError(
        f"{count:,} messages or more were not delivered to Kafka at {bootstrap}: {reason}; see that the broker runs, "
        "then send again (copies are recognised by their event_id)"
    )


class ConfluentSender:
    """confluent-kafka (librdkafka): for replay. Raises LakehouseError where the broker does not answer."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        security: KafkaSecurity = PLAIN_TEXT,
        *,
        delivery_timeout_s: float = DELIVERY_TIMEOUT_S,
    ) -> None:
        from confluent_kafka import KafkaException, Producer

        self._bootstrap = bootstrap
        self._topic = topic
        self._timeout_s = delivery_timeout_s
        self._failure: tuple[int, object] = (0, None)
        self._sent = 0
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": _LINGER_MS,
                "queue.buffering.max.kbytes": _BUFFER_BYTES // 1024,
                "message.timeout.ms": int(delivery_timeout_s * 1000),
                "partitioner": "murmur2_random",
                # A Python call for each delivered message would halve the rate; only failures are told.
                "delivery.report.only.error": True,
                "on_delivery": self._delivered,
                # librdkafka would write its own lines to stderr; what matters is raised instead.
                "log_level": 0,
                **security.librdkafka(),
            }
        )
        try:
            self._producer.list_topics(topic, timeout=CONNECT_TIMEOUT_S)
        except KafkaException:
            raise unreachable(bootstrap, security) from None

    @property
    def sent(self) -> int:
        return self._sent

    def send(self, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        try:
            self._produce(key, value, headers)
        except BufferError:
            self._wait_for_room(key, value, headers)
        self._sent += 1
        if self._sent % 1024 == 0:
            self._producer.poll(0)
            self._raise_failure()

    def flush(self, timeout_s: float | None = None) -> None:
        left = self._producer.flush(self._timeout_s + CONNECT_TIMEOUT_S if timeout_s is None else timeout_s)
        self._raise_failure()
        if left:
            raise _undelivered(self._bootstrap, left, "no answer in time")

    def close(self) -> None:
        self._producer.purge()

    def _produce(self, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        if headers:
            self._producer.produce(self._topic, value, key, headers=list(headers))
        else:
            self._producer.produce(self._topic, value, key)

    def _wait_for_room(self, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        deadline = time.monotonic() + self._timeout_s + CONNECT_TIMEOUT_S
        while True:
            self._producer.poll(0.05)
            self._raise_failure()
            try:
                return self._produce(key, value, headers)
            except BufferError:
                if time.monotonic() > deadline:
                    raise _undelivered(self._bootstrap, len(self._producer), "the buffer does not drain") from None

    def _delivered(self, error: object, _message: object) -> None:
        if error is not None:
            count, first = self._failure
            self._failure = (count + 1, first or error)

    def _raise_failure(self) -> None:
        count, reason = self._failure
        if count:
            raise _undelivered(self._bootstrap, count, reason)


class KafkaPythonSender:
    """kafka-python: for the simulator. Raises LakehouseError where the broker does not answer."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        security: KafkaSecurity = PLAIN_TEXT,
        *,
        delivery_timeout_s: float = DELIVERY_TIMEOUT_S,
    ) -> None:
        from kafka import KafkaProducer
        from kafka.errors import KafkaError

        hush_kafka_python()
        self._bootstrap = bootstrap
        self._topic = topic
        self._timeout_s = delivery_timeout_s
        self._failure: tuple[int, object] = (0, None)
        self._sent = 0
        try:
            self._producer: Any = KafkaProducer(
                bootstrap_servers=bootstrap,
                acks="all",
                enable_idempotence=True,
                linger_ms=_LINGER_MS,
                batch_size=131_072,
                delivery_timeout_ms=int(delivery_timeout_s * 1000),
                request_timeout_ms=int(min(30.0, delivery_timeout_s / 2) * 1000),
                max_block_ms=int(delivery_timeout_s * 1000),
                bootstrap_timeout_ms=int(CONNECT_TIMEOUT_S * 1000),
                **security.kafka_python(),
            )
        except (KafkaError, OSError):  # the latter for certificates that cannot be read
            raise unreachable(bootstrap, security) from None

    @property
    def sent(self) -> int:
        return self._sent

    def send(self, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        from kafka.errors import KafkaError

        self._raise_failure()
        try:
            future = self._producer.send(self._topic, value, key, list(headers) or None)
        except KafkaError as error:
            raise _undelivered(self._bootstrap, 1, error) from None
        future.add_errback(self._failed)
        self._sent += 1

    def flush(self, timeout_s: float | None = None) -> None:
        from kafka.errors import KafkaError

        try:
            self._producer.flush(self._timeout_s + CONNECT_TIMEOUT_S if timeout_s is None else timeout_s)
        except KafkaError as error:
            raise _undelivered(self._bootstrap, 1, error) from None
        self._raise_failure()

    def close(self) -> None:
        self._producer.close(timeout=0)

    def _failed(self, error: object) -> None:
        count, first = self._failure
        self._failure = (count + 1, first or error)

    def _raise_failure(self) -> None:
        count, reason = self._failure
        if count:
            raise _undelivered(self._bootstrap, count, reason)


Connect = Callable[[str, str, KafkaSecurity], Sender]
"""Makes a sender from HOST:PORT, a topic and what the broker asks for; both classes above are one."""
