"""Sends messages in the background, and keeps what was sent and what the broker has acknowledged."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaException, Producer

from lakehouse.embedded.waiting import until
from tests.faults.messages import Message

RATE = 400.0
"""Messages/s: a batch takes seconds, so that faults come in the midst of it."""

PATIENCE_MS = 300_000
"""How long a message waits for a broker that is away; it is sent again if that was not enough."""

Place = tuple[int, int, bytes | None]
"""Partition, offset and value: a topic made anew starts its offsets again, and no two messages at one are alike."""


class Flow:
    """A producer that any fault may hit: what was not acknowledged is sent until it is."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.produced: list[Message] = []
        """Every message handed over, copies included, in order."""
        self.delivered: Counter[Place] = Counter()
        self.sent_again: Counter[bytes | None] = Counter()
        """Values whose first delivery failed: they may be in Kafka one time more than was acknowledged."""
        self.bootstrap = bootstrap
        self.topic = topic
        self._acknowledged = 0
        self._waiting: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._send, name="flow", daemon=True)

    def add(self, messages: Sequence[Message]) -> None:
        """Hands ``messages`` over; returns at once."""
        self.produced += messages
        for message in messages:
            self._waiting.put(message)

    @property
    def missing(self) -> int:
        """Messages that the broker has not acknowledged yet."""
        return len(self.produced) - self._acknowledged

    def settle(self, limit_s: float) -> None:
        """Waits until every message is acknowledged; raises TimeoutError where that takes longer."""
        if not until(lambda: self.missing == 0, limit_s):
            raise TimeoutError(f"{self.missing} of {len(self.produced)} messages not acknowledged after {limit_s:g} s")

    def __enter__(self) -> Flow:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closed.set()
        self._thread.join()

    def _send(self) -> None:
        producer = self._connect()
        while not self._closed.is_set():
            try:
                message = self._waiting.get_nowait()
            except queue.Empty:
                if not len(producer) and self.missing == 0:
                    producer = self._idle(producer)
                else:
                    producer.poll(0.02)
                continue
            try:
                producer.produce(
                    self.topic,
                    message.value,
                    message.key,
                    on_delivery=lambda e, m, sent=message: self._done(e, m, sent),
                )
            except BufferError:
                self._waiting.put(message)
                producer.poll(0.2)
            except KafkaException:  # the client cannot go on: what it had in hand has been reported as failed
                self._waiting.put(message)
                producer = self._connect()
            producer.poll(1 / RATE)
        producer.purge()

    def _idle(self, producer: Producer) -> Producer:
        """With nothing to send the client is let go: the next batch may go to a topic that was made anew."""
        while not self._closed.is_set() and self._waiting.empty():
            self._closed.wait(0.02)
        return self._connect() if not self._closed.is_set() else producer

    def _connect(self) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": PATIENCE_MS,
                "reconnect.backoff.max.ms": 500,
                "partitioner": "murmur2_random",
                "log_level": 0,
            }
        )

    def _done(self, error: object, message: Any, sent: Message) -> None:
        if error is None:
            self.delivered[(message.partition(), message.offset(), sent.value)] += 1
            self._acknowledged += 1
        else:
            self.sent_again[sent.value] += 1
            self._waiting.put(sent)
