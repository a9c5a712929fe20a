"""From bronze rows to events, copies and refused rows. Pure: no I/O, no clock."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lakehouse import event
from lakehouse.contracts import SilverEvents as S
from lakehouse.contracts import SilverQuarantine as Q
from lakehouse.settings import Settings
from silver.predicates import EVENT_ID_REUSED, reasons

OUTCOME = "outcome"
EVENT = "event"
"""The row is this event: it has not been seen, or it is the very row that is in silver already."""
NEW = "new"
"""The row is an event that is not in silver yet."""
DUPLICATE = "duplicate"
REFUSED = "refused"

PRICE = "decimal(18,4)"
TIME_MS = "time_ms"
COORDINATES = (S.source_id, S.partition, S.offset)

# A cast alone would also take '2020', or '12:30' as a time of today.
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = "[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?"
_ISO = f"^{_DATE}([T ]{_CLOCK}(Z|z|[ ]UTC|[+-][0-9]{{2}}:?[0-9]{{2}})?)?$"
_EPOCH_MS = "^-?[0-9]{1,15}$"
_NUMBER = "^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,2})?$"
_WHOLE = "^[+-]?[0-9]{1,10}([.]0+)?$"
_ISO_TIME = f"CASE WHEN raw_timestamp RLIKE '{_ISO}' THEN try_cast(raw_timestamp AS TIMESTAMP) END"
_EPOCH_TIME = f"CASE WHEN raw_timestamp RLIKE '{_EPOCH_MS}' THEN timestamp_millis(CAST(raw_timestamp AS BIGINT)) END"
# All fields as JSON with sorted keys; the time as epoch milliseconds, so that two ways to write it are one.
_CANONICAL = (
    "concat(concat_ws(',', array_sort(transform(map_entries(map_filter(fields, (name, _) -> name != 'timestamp')), "
    "e -> concat(to_json(named_struct('k', e.key)), ':', to_json(e.value))))), '@', "
    "CAST(unix_millis(event_time) AS STRING))"
)
_OTHERS = ", ".join(f"'{name}'" for name in event.FIELDS)
# Every field without a column of its own, as a JSON object; null where there is none.
_PROPERTIES = (
    f"CASE WHEN exists(map_keys(fields), name -> name NOT IN ({_OTHERS})) "
    f"THEN to_json(map_filter(fields, (name, _) -> name NOT IN ({_OTHERS}))) END"
)


def parse(bronze: DataFrame, settings: Settings) -> DataFrame:
    """Bronze's columns, the fields of the message (``fields``: name → VARIANT, ``raw_NAME``: text), what they are as
    silver's types, and ``reasons``: the predicates that the row fails.

    Types: ``event_time`` TIMESTAMP (UTC, microseconds), ``time_ms`` BIGINT (epoch milliseconds, part of the key),
    ``price`` DECIMAL(18,4), ``quantity`` INT; null where the text is none.
    """
    return (
        bronze.selectExpr("*", f"coalesce(octet_length(value) > {settings.max_event_bytes}, false) AS too_large")
        .selectExpr(
            "*", "CASE WHEN NOT too_large THEN from_json(CAST(value AS STRING), 'map<string,variant>') END AS fields"
        )
        .selectExpr(
            "*",
            "fields IS NOT NULL AND is_valid_utf8(CAST(value AS STRING)) AS readable",
            *(f"CAST(fields['{name}'] AS STRING) AS raw_{name}" for name in event.FIELDS),
        )
        .selectExpr(
            "*",
            f"coalesce({_ISO_TIME}, {_EPOCH_TIME}) AS event_time",
            f"CASE WHEN raw_price RLIKE '{_NUMBER}' THEN try_cast(raw_price AS {PRICE}) END AS price",
            f"CASE WHEN raw_quantity RLIKE '{_WHOLE}' THEN try_cast(raw_quantity AS DECIMAL(20,4)) END AS whole",
        )
        .selectExpr(
            "*",
            "try_cast(whole AS INT) AS quantity",
        )
        .selectExpr("*", "unix_millis(event_time) AS time_ms")
        .selectExpr("*", f"{reasons(settings)} AS reasons", f"{_identity(settings)} AS event_id")
    )


def _identity(settings: Settings) -> str:
    """The producer's id; without one the SHA-256 of all fields in a canonical form, or of the coordinates."""
    instead = "concat_ws('/', source_id, partition, offset)" if settings.identity == "coordinates" else _CANONICAL
    return f"CASE WHEN trim(raw_event_id) != '' THEN raw_event_id ELSE sha2({instead}, 256) END"


def spans(parsed: DataFrame) -> DataFrame:
    """The hours that the valid rows' times fall into: ``earliest`` and ``latest`` of each, and ``rows``.

    Refused rows are in it with null times, so that the sum of ``rows`` is the number of rows.
    """
    valid = F.size(Q.reasons) == 0
    time = F.when(valid, F.col(S.event_time))
    return (
        parsed.groupBy(F.date_trunc("hour", time).alias("hour"))
        .agg(F.min(time).alias("earliest"), F.max(time).alias("latest"), F.count("*").alias("rows"))
        .drop("hour")
    )


def classify(parsed: DataFrame, existing: DataFrame, quarantined_at: datetime) -> DataFrame:
    """Says of each row of ``parsed`` what it is (``outcome``), with all columns that any target wants.

    ``existing``: the rows of ``silver.events`` near the batch's times (``event_id``, ``event_time`` and coordinates).
    The key is (``event_id``, time in milliseconds); within the batch the lowest coordinates win. An id that is known
    with another time is refused. What a replay of the same batch finds in silver under its own coordinates is EVENT
    again, so that its copies are found as copies then too.
    """
    seen = existing.groupBy(S.event_id).agg(
        F.collect_list(F.struct(F.unix_millis(S.event_time).alias(TIME_MS), *COORDINATES)).alias("seen")
    )
    own_coordinates = F.concat_ws("/", *COORDINATES)
    valid = F.size(Q.reasons) == 0
    keyed = parsed.withColumn("join_id", F.when(valid, F.col(S.event_id)))
    joined = keyed.join(seen.withColumnRenamed(S.event_id, "join_id"), on="join_id", how="left")
    known = F.get(F.filter("seen", lambda row: row[TIME_MS] == F.col(TIME_MS)), F.lit(0))
    same_row = F.concat_ws("/", *(known[c] for c in COORDINATES)) == own_coordinates

    # Two columns: in one, an event_id that reads like coordinates would meet the refused row at that place.
    nothing_in_common = F.when(F.col("join_id").isNull(), own_coordinates)
    in_batch = Window.partitionBy("join_id", nothing_in_common).orderBy(*COORDINATES)
    first_time = F.first(TIME_MS).over(in_batch)
    place = F.row_number().over(in_batch)
    outcome = (
        F.when(~valid, REFUSED)
        .when(known.isNotNull(), F.when(same_row, EVENT).otherwise(DUPLICATE))
        .when(F.col("seen").isNotNull() | (F.col(TIME_MS) != first_time), REFUSED)
        .when(place == 1, NEW)
        .otherwise(DUPLICATE)
    )
    reused = (F.col(OUTCOME) == REFUSED) & (F.size(Q.reasons) == 0)
    refused = F.col(OUTCOME) == REFUSED
    kept = F.col(OUTCOME) == NEW
    return joined.withColumn(OUTCOME, outcome).select(
        OUTCOME,
        S.event_id,
        F.col("raw_user_id").alias(S.user_id),
        F.col("raw_event_type").alias(S.event_type),
        S.event_time,
        F.col("raw_session_id").alias(S.session_id),
        F.col("raw_product_id").alias(S.product_id),
        F.col("raw_category").alias(S.category),
        S.price,
        S.quantity,
        F.col("raw_currency").alias(S.currency),
        F.when(kept, F.expr(_PROPERTIES)).alias(S.properties),
        *COORDINATES,
        S.kafka_timestamp,
        F.col(S.event_time).cast("date").alias(S.event_date),
        *(F.when(refused, F.col(name)).alias(name) for name in (Q.message_key, Q.value, Q.headers)),
        Q.topic,
        Q.ingested_at,
        Q.ingest_date,
        F.when(reused, F.array(F.lit(EVENT_ID_REUSED))).otherwise(F.col(Q.reasons)).alias(Q.reasons),
        F.lit(quarantined_at.isoformat()).cast("timestamp").alias(Q.quarantined_at),
        F.lit(None).cast("string").alias(Q.resolved_by),
    )
