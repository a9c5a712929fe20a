"""The plain design: two streaming queries from Kafka to Postgres by JDBC, as most who start with Spark write it.

Nothing is kept but what Postgres gets. A batch that is done again is appended again; an event that comes behind the
watermark is dropped; a copy is counted; nothing is refused. It runs on the session that the lakehouse runs on, small
shuffles and quick local file system included, which is better than it would get by default.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import psycopg2
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from benchmarks.contenders.contender import tell
from benchmarks.contenders.session import session
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from lakehouse.settings import load_settings

SCHEMA = (
    "event_id STRING, user_id STRING, event_type STRING, timestamp STRING, session_id STRING, product_id STRING, "
    "category STRING, price DOUBLE, quantity INT, currency STRING"
)
WATERMARK = "1 hour"
WINDOW = "10 minutes"

RAW_EVENTS = "plain.raw_events"
FUNNEL_SUMMARY = "plain.funnel_summary"


def events(spark: SparkSession, bootstrap: str, topic: str) -> DataFrame:
    """The topic from its beginning: the fields of ``SCHEMA`` and ``event_time``, null where it cannot be read.

    ``to_timestamp`` would be the more usual; since Spark 4 the first broken time ends the query with it.
    """
    return (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap)
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .load()
        .select(F.from_json(F.col("value").cast("string"), SCHEMA).alias("event"))
        .select("event.*", F.try_to_timestamp("event.timestamp").alias("event_time"))
    )


def funnel_summary(rows: DataFrame) -> DataFrame:
    """A row for each window and user, when the watermark has passed the window's end."""

    def number(event_type: str) -> Column:
        return F.sum(F.when(F.col("event_type") == event_type, 1).otherwise(0))

    return (
        rows.withWatermark("event_time", WATERMARK)
        .groupBy(F.window("event_time", WINDOW), "user_id")
        .agg(
            number("view").alias("num_views"),
            number("add_to_cart").alias("num_add_to_cart"),
            number("purchase").alias("num_purchases"),
            F.count("*").alias("num_events"),
        )
        .select(
            F.col("window.start").alias("window_start"),
            F.col("window.end").alias("window_end"),
            "user_id",
            "num_views",
            "num_add_to_cart",
            "num_purchases",
            "num_events",
        )
    )


def append_to(dsn: str, table: str) -> Callable[[DataFrame, int], None]:
    """A batch function that appends to ``table`` of the Postgres at ``dsn`` by JDBC."""
    parts = urlsplit(dsn)
    url = f"jdbc:postgresql://{parts.hostname}:{parts.port}{parts.path}"

    def append(batch: DataFrame, _batch_id: int) -> None:
        (
            batch.write.format("jdbc")
            .option("url", url)
            .option("dbtable", table)
            .option("user", parts.username or "")
            .option("password", unquote(parts.password or ""))
            .option("driver", "org.postgresql.Driver")
            .mode("append")
            .save()
        )

    return append


def start(rows: DataFrame, mode: str, append: Callable[[DataFrame, int], None], checkpoint: str) -> StreamingQuery:
    return (
        rows.writeStream.outputMode(mode)
        .foreachBatch(append)
        .option("checkpointLocation", checkpoint)
        .trigger(availableNow=True)
        .start()
    )


def main() -> None:
    settings = load_settings()
    home = Home(settings.home)
    endpoints = Endpoints.load(home)
    with psycopg2.connect(endpoints.postgres_owner) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA plain")
    connection.close()
    spark = session(settings)
    began = time.monotonic()
    rows = events(spark, endpoints.kafka, settings.topic)
    queries = [
        start(
            rows, "append", append_to(endpoints.postgres_owner, RAW_EVENTS), str(home.checkpoints / "plain_raw_events")
        ),
        start(
            funnel_summary(rows),
            "append",
            append_to(endpoints.postgres_owner, FUNNEL_SUMMARY),
            str(home.checkpoints / "plain_funnel_summary"),
        ),
    ]
    for query in queries:
        query.awaitTermination()
    seconds = time.monotonic() - began
    with psycopg2.connect(endpoints.postgres_owner) as connection, connection.cursor() as cursor:
        counted = {}
        for name, table, what in (("raw", RAW_EVENTS, "count(*)"), ("windowed", FUNNEL_SUMMARY, "sum(num_events)")):
            cursor.execute(f"SELECT {what} FROM {table}")
            counted[name] = int((cursor.fetchone() or (0,))[0] or 0)
    connection.close()
    spark.stop()
    tell(round(seconds, 3), counted=counted["windowed"], raw=counted["raw"])


if __name__ == "__main__":
    main()
