"""Tagged events of users that nobody else is, sent among a load, and when each appeared in Postgres."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import psycopg2
from confluent_kafka import Producer
from psycopg2 import sql

from lakehouse import event
from lakehouse.endpoints import Endpoints
from producer.event_times import iso_z

TABLES: Final = ("raw_events", "funnel_summary", "churn_prediction")
SEND_EVERY_S: Final = 0.5
LOOK_EVERY_S: Final = 0.03
LOOK_AT_ONCE: Final = 100
"""The oldest of those under way, so that a stack that is behind is not also kept busy by looking for them."""


@dataclass
class Probe:
    """One tagged event."""

    user: str
    sent: float
    """time.monotonic() when it was handed to the producer."""
    seen: dict[str, float] = field(default_factory=dict)
    """For each table the time.monotonic() at which a query first found its row."""

    def latency_s(self, table: str) -> float | None:
        """Seconds from the send to the row; None where it has not come."""
        return self.seen[table] - self.sent if table in self.seen else None


class Prober:
    """Sends a probe every half second and looks for those under way every 30 ms, in a thread of its own.

    One connection, as the dashboard's role. So a latency is up to 30 ms and one query too long.
    """

    def __init__(self, endpoints: Endpoints, topic: str) -> None:
        self._endpoints = endpoints
        self._topic = topic
        self._run = uuid.uuid4().hex[:8]
        self._sending = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="prober", daemon=True)
        self._failure: BaseException | None = None
        self.probes: list[Probe] = []

    def __enter__(self) -> Prober:
        self._sending.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def stop_sending(self) -> None:
        self._sending.clear()

    def wait_for(self, probes: Sequence[Probe], limit_s: float) -> None:
        """Waits until each of ``probes`` is in every table, at most ``limit_s``."""
        deadline = time.monotonic() + limit_s
        while any(len(probe.seen) < len(TABLES) for probe in probes) and time.monotonic() < deadline:
            self._raise_failure()
            time.sleep(LOOK_EVERY_S)

    def wait_until(self, moment: float) -> None:
        """Waits until time.monotonic() is ``moment``. Raises what has ended the thread."""
        while time.monotonic() < moment:
            self._raise_failure()
            time.sleep(0.1)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _loop(self) -> None:
        try:
            self._send_and_look()
        except BaseException as error:
            self._failure = error

    def _send_and_look(self) -> None:
        producer = Producer({"bootstrap.servers": self._endpoints.kafka, "linger.ms": 0, "log_level": 0})
        producer.list_topics(timeout=10)  # the connection is not the first probe's to pay for
        connection = psycopg2.connect(self._endpoints.postgres_reader)
        connection.autocommit = True
        due = time.monotonic()
        with connection.cursor() as cursor:
            while not self._ending.is_set():
                if self._sending.is_set() and time.monotonic() >= due:
                    self._send(producer)
                    due += SEND_EVERY_S
                producer.poll(0)
                for table in TABLES:
                    self._look(cursor, table)
                time.sleep(LOOK_EVERY_S)
        producer.flush(10)
        connection.close()

    def _send(self, producer: Producer) -> None:
        user = f"probe-{self._run}-{len(self.probes)}"
        fields = {
            event.EVENT_ID: user,
            event.USER_ID: user,
            event.EVENT_TYPE: event.VIEW,
            event.TIMESTAMP: iso_z(datetime.now(UTC)),
            event.SESSION_ID: user,
        }
        self.probes.append(Probe(user, time.monotonic()))
        producer.produce(self._topic, json.dumps(fields).encode(), user.encode())

    def _look(self, cursor: psycopg2.extensions.cursor, table: str) -> None:
        waiting = (probe for probe in self.probes if table not in probe.seen)
        under_way = {probe.user: probe for probe in islice(waiting, LOOK_AT_ONCE)}
        if not under_way:
            return
        query = sql.SQL("SELECT user_id FROM {} WHERE user_id = ANY(%s)").format(sql.Identifier(table))
        cursor.execute(query, (list(under_way),))
        now = time.monotonic()
        for (user,) in cursor.fetchall():
            under_way[user].seen[table] = now


def latencies_s(probes: Sequence[Probe], table: str) -> list[float]:
    """Of those that have come."""
    return [latency for probe in probes if (latency := probe.latency_s(table)) is not None]


def recovered_after_s(
    probes: Sequence[Probe], table: str, resumed: float, normal_s: float, *, span_s: float = 10.0
) -> float | None:
    """Seconds from ``resumed`` to the first probe from which on the median of ``span_s`` was ``normal_s`` or less.

    None where it never was.
    """
    after = [probe for probe in probes if probe.sent >= resumed and table in probe.seen]
    for first in after:
        near = sorted(latencies_s([p for p in after if first.sent <= p.sent < first.sent + span_s], table))
        if near[len(near) // 2] <= normal_s:
            return first.sent - resumed
    return None
