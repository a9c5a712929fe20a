"""Bytewax: one process for each worker; an event more than the watermark behind is dropped."""

import json
import multiprocessing
import os
import socket
import sys
import time
from datetime import UTC, datetime, timedelta

import bytewax.operators as op
import psycopg2
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower, count_window
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import cluster_main
from psycopg2.extras import execute_values

WINDOW = timedelta(minutes=10)
LATENESS = timedelta(hours=1)
ALIGN_TO = datetime(2025, 1, 1, tzinfo=UTC)


class PostgresPartition(StatelessSinkPartition):
    def __init__(self, dsn):
        self.connection = psycopg2.connect(dsn)

    def write_batch(self, items):
        rows = []
        for key, (window, count) in items:
            user_id, event_type = key.rsplit("|", 1)
            rows.append((user_id, event_type, ALIGN_TO + window * WINDOW, count))
        with self.connection, self.connection.cursor() as cursor:
            execute_values(cursor, "INSERT INTO peer_windows VALUES %s", rows, page_size=1000)

    def close(self):
        self.connection.close()


class PostgresSink(DynamicSink):
    def __init__(self, dsn):
        self.dsn = dsn

    def build(self, step_id, worker_index, worker_count):
        return PostgresPartition(self.dsn)


def parse(message):
    """User, type and time; None, which drops it, where it is no event."""
    try:
        event = json.loads(message.value)
        return f"{event['user_id']}|{event['event_type']}", datetime.fromisoformat(event["timestamp"])
    except (ValueError, KeyError, TypeError):
        return None


def build():
    flow = Dataflow("windows")
    source = KafkaSource([os.environ["KAFKA"]], [os.environ["TOPIC"]], tail=False, batch_size=1000)
    events = op.filter_map("parse", op.input("kafka", flow, source), parse)
    windows = count_window(
        "count",
        events,
        EventClock(ts_getter=lambda event: event[1], wait_for_system_duration=LATENESS),
        TumblingWindower(length=WINDOW, align_to=ALIGN_TO),
        key=lambda event: event[0],
    )
    op.output("postgres", windows.down, PostgresSink(os.environ["POSTGRES_DSN"]))
    return flow


def free_address():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


def execute(statement):
    """The one value that it returns, if any; no connection is left open for a fork to share."""
    connection = psycopg2.connect(os.environ["POSTGRES_DSN"])
    with connection, connection.cursor() as cursor:
        cursor.execute(statement)
        found = cursor.fetchone()[0] if cursor.description else None
    connection.close()
    return found


def main():
    execute("CREATE TABLE peer_windows (user_id text, event_type text, window_start timestamptz, events bigint)")
    began = time.monotonic()
    addresses = [free_address() for _ in range(int(os.environ["WORKERS"]))]
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=lambda number=number: cluster_main(build(), addresses, number))
        for number in range(len(addresses))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.monotonic() - began
    if any(worker.exitcode for worker in workers):
        sys.exit("Error: a worker failed")
    counted = execute("SELECT coalesce(sum(events), 0)::bigint FROM peer_windows")
    sys.stdout.write(f"\nRESULT {json.dumps({'seconds': round(seconds, 3), 'counted': counted})}\n")


if __name__ == "__main__":
    main()
