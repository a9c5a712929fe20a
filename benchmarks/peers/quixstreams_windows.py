"""Quix Streams: one process for each worker, in one consumer group; a window is written when the partition has passed
it by an hour, so those of the last hour are not."""

import json
import multiprocessing
import os
import sys
import tempfile
import time
from datetime import datetime, timedelta
from urllib.parse import unquote, urlsplit

import psycopg2
from confluent_kafka import Consumer, TopicPartition
from quixstreams import Application
from quixstreams.models import JSONDeserializer
from quixstreams.sinks.community.postgresql import PostgreSQLSink

TYPES = ("view", "add_to_cart", "purchase")
QUIET_S = 10.0
"""No message for so long ends a worker too, where the last message of a partition is none for it."""


class Lenient(JSONDeserializer):
    """A message that is no event becomes None, and is filtered out."""

    def __call__(self, value, ctx):
        try:
            event = json.loads(value)
            event["at"] = int(datetime.fromisoformat(event["timestamp"]).timestamp() * 1000)
            return event if event["user_id"] and event["event_type"] in TYPES else {"at": None}
        except (ValueError, KeyError, TypeError):
            return {"at": None}


def end_offsets():
    consumer = Consumer({"bootstrap.servers": os.environ["KAFKA"], "group.id": "ends"})
    topic = os.environ["TOPIC"]
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in sorted(partitions)]
    consumer.close()
    return ends


def work(ends, reached, last):
    """One worker: ends when every partition, whoever reads it, is at its end."""
    parts = urlsplit(os.environ["POSTGRES_DSN"])

    def processed(_topic, partition, offset):
        reached[partition] = max(reached[partition], offset + 1)
        last.value = time.monotonic()
        if all(at >= end for at, end in zip(reached, ends, strict=True)):
            app.stop()

    app = Application(
        broker_address=os.environ["KAFKA"],
        consumer_group="quix",
        auto_offset_reset="earliest",
        state_dir=tempfile.mkdtemp(dir="."),
        on_message_processed=processed,
        loglevel="WARNING",
    )
    topic = app.topic(
        os.environ["TOPIC"],
        key_deserializer="str",
        value_deserializer=Lenient(),
        timestamp_extractor=lambda event, _headers, broker_ms, _type: event["at"] or broker_ms,
    )

    def first(event):
        return add(dict.fromkeys(TYPES, 0), event)

    def add(counts, event):
        counts[event["event_type"]] += 1
        return counts

    events = app.dataframe(topic)
    events = events[events["at"].notnull()]
    windows = events.tumbling_window(timedelta(minutes=10), grace_ms=timedelta(hours=1), on_late=lambda *_: False)
    counted = windows.reduce(reducer=add, initializer=first).final(closing_strategy="partition")
    rows = counted.apply(
        lambda window, key, _timestamp, _headers: [
            {"user_id": key, "event_type": kind, "window_start": window["start"], "events": count}
            for kind, count in window["value"].items()
            if count
        ],
        expand=True,
        metadata=True,
    )
    rows.sink(
        PostgreSQLSink(
            host=parts.hostname,
            port=parts.port,
            dbname=parts.path[1:],
            user=parts.username,
            password=unquote(parts.password or ""),
            table_name="peer_windows",
            include_metadata=False,
        )
    )
    app.run(timeout=QUIET_S)


def execute(statement):
    """The one value that it returns, if any; no connection is left open for a fork to share."""
    connection = psycopg2.connect(os.environ["POSTGRES_DSN"])
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        found = cursor.fetchone()[0] if cursor.description else None
    connection.close()
    return found


def main():
    execute("CREATE TABLE peer_windows (user_id text, event_type text, window_start bigint, events bigint)")
    context = multiprocessing.get_context("fork")
    began = time.monotonic()
    ends = end_offsets()
    reached = context.Array("q", len(ends), lock=False)
    last = context.Value("d", began, lock=False)
    workers = [context.Process(target=work, args=(ends, reached, last)) for _ in range(int(os.environ["WORKERS"]))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    done = time.monotonic()
    if any(worker.exitcode for worker in workers):
        sys.exit("Error: a worker failed")
    # A worker that ended by being quiet had its last message, and the commit after it, before that.
    quiet = done - last.value > QUIET_S
    seconds = done - began - (QUIET_S if quiet else 0.0)
    counted = execute("SELECT coalesce(sum(events), 0)::bigint FROM peer_windows")
    sys.stdout.write(f"\nRESULT {json.dumps({'seconds': round(seconds, 3), 'counted': counted})}\n")


if __name__ == "__main__":
    main()
