"""From Kafka's columns to bronze's: nothing is judged, nothing is changed."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.contracts import BronzeEvents as B


def received(messages: DataFrame, source_id: str, ingested_at: datetime) -> DataFrame:
    """Rows of ``bronze.user_events`` for ``messages`` as Spark's Kafka source gives them, headers included.

    ``source_id`` tells this topic from one of the same name that was made anew; ``ingested_at`` is the start of
    the micro-batch.
    """
    at = F.lit(ingested_at.isoformat()).cast("timestamp")
    return messages.select(
        F.lit(source_id).alias(B.source_id),
        F.col("partition").alias(B.partition),
        F.col("offset").alias(B.offset),
        F.col("key").alias(B.message_key),
        F.col("value").alias(B.value),
        F.col("headers").alias(B.headers),
        F.col("topic").alias(B.topic),
        F.col("timestamp").alias(B.kafka_timestamp),
        at.alias(B.ingested_at),
        at.cast("date").alias(B.ingest_date),
    )
