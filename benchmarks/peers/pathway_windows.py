"""Pathway: static mode, so that it ends with the topic; one thread for each worker (PATHWAY_THREADS)."""

import json
import os
import sys
import time
from datetime import timedelta
from urllib.parse import unquote, urlsplit

os.environ["PATHWAY_THREADS"] = os.environ["WORKERS"]

import pathway as pw
import psycopg2


class Event(pw.Schema):
    user_id: str
    event_type: str
    timestamp: str


def main():
    dsn = os.environ["POSTGRES_DSN"]
    parts = urlsplit(dsn)
    began = time.monotonic()
    events = pw.io.kafka.read(
        {"bootstrap.servers": os.environ["KAFKA"], "group.id": "pathway", "auto.offset.reset": "earliest"},
        os.environ["TOPIC"],
        schema=Event,
        format="json",
        mode="static",
    )
    events = events.select(
        pw.this.user_id, pw.this.event_type, at=pw.this.timestamp.dt.strptime("%Y-%m-%dT%H:%M:%S%.fZ")
    ).remove_errors()
    windows = events.windowby(
        events.at,
        window=pw.temporal.tumbling(duration=timedelta(minutes=10)),
        instance=(pw.this.user_id, pw.this.event_type),
    ).reduce(
        user_id=pw.reducers.any(pw.this.user_id),
        event_type=pw.reducers.any(pw.this.event_type),
        window_start=pw.this._pw_window_start,
        events=pw.reducers.count(),
    )
    pw.io.postgres.write(
        windows,
        {
            "host": parts.hostname,
            "port": parts.port,
            "dbname": parts.path[1:],
            "user": parts.username,
            "password": unquote(parts.password or ""),
        },
        "peer_windows",
        init_mode="replace",
        output_table_type="snapshot",
        primary_key=[windows.user_id, windows.event_type, windows.window_start],
    )
    pw.run(monitoring_level=pw.MonitoringLevel.NONE, terminate_on_error=False)
    seconds = time.monotonic() - began
    connection = psycopg2.connect(dsn)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(sum(events), 0)::bigint FROM peer_windows")
        counted = cursor.fetchone()[0]
    sys.stdout.write(f"\nRESULT {json.dumps({'seconds': round(seconds, 3), 'counted': counted})}\n")


if __name__ == "__main__":
    main()
