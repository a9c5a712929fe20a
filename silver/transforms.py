"""From bronze rows to rows that silver can take. Pure: no I/O, no clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256

import polars as pl
import pyarrow as pa

from lakehouse import event
from lakehouse.contracts import BronzeEvents as B
from lakehouse.contracts import SilverEvents as S
from lakehouse.contracts import SilverQuarantine as Q
from lakehouse.frames import arrow_schema
from lakehouse.replacements import replaced
from lakehouse.settings import Settings
from silver.identity import COORDINATES, JOIN_ID, TIME_MS
from silver.messages import CONTENT, read
from silver.predicates import REPLACES, blank, raw, reasons

READ = (*COORDINATES, B.value, B.headers, B.kafka_timestamp)
"""What is read of bronze."""

CANDIDATES = pa.schema(
    [
        pa.field(JOIN_ID, pa.string()),
        pa.field(TIME_MS, pa.int64()),
        pa.field(REPLACES, pa.string()),
        *(field.with_nullable(True) for field in arrow_schema(S)),
        *(arrow_schema(Q).field(str(column)) for column in (Q.reasons, Q.quarantined_at, Q.resolved_by)),
    ]
)
"""What all of silver's tables hold beside what was received, the columns that tell copies apart, and what a message
replaces."""

ON_TIME = timedelta(minutes=10)
"""How far behind the broker's time an event counts as on time: it lays out files, and no number depends on it."""

# [0-9] and not \d, which takes the digits of every script.
_ISO = (
    r"^(?<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"([T ](?<hour>[01][0-9]|2[0-3]):(?<minute>[0-5][0-9])(:(?<second>[0-5][0-9])([.](?<fraction>[0-9]{1,9}))?)?"
    r"(Z|z|[ ]UTC|(?<sign>[+-])(?<hours>0[0-9]|1[0-8]):?(?<minutes>[0-5][0-9]))?)?$"
)
_EPOCH_MS = r"^-?[0-9]{1,15}$"
_NUMBER = r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{1,2})?$"
_WHOLE = r"^[+]?(-?[0-9]{1,10})([.]0+)?$"
_UTC_MICROS = pl.Datetime("us", "UTC")


def candidates(bronze: pl.DataFrame, settings: Settings, quarantined_at: datetime) -> pl.DataFrame:
    """What becomes of each row of ``bronze``, judged by itself: columns as in ``CANDIDATES``.

    ``join_id`` is the event's id, and null where a predicate refuses the row; ``reasons`` names those. Typed columns
    (``event_time`` TIMESTAMP in UTC with microseconds, ``time_ms`` epoch milliseconds, ``price`` DECIMAL(18,4), rounded
    half to even, ``quantity`` INT) are null where the text is none.
    """
    texts = read(bronze.get_column(B.value), settings.max_event_bytes)
    of_bronze = bronze.select(*COORDINATES, S.kafka_timestamp, replaced(bronze[B.headers]).alias(REPLACES))
    typed = pl.concat([of_bronze, texts], how="horizontal").with_columns(
        _time(raw(event.TIMESTAMP)).alias(S.event_time),
        _price(raw(event.PRICE)).alias(S.price),
        _quantity(raw(event.QUANTITY)).alias(S.quantity),
    )
    typed = typed.with_columns(
        pl.col(S.event_time).dt.epoch("ms").alias(TIME_MS), reasons(typed, settings).alias(Q.reasons)
    )
    on_time = pl.col(S.event_time) >= pl.col(S.kafka_timestamp) - ON_TIME
    valid = pl.col(Q.reasons).list.len() == 0
    return typed.with_columns(_identity(typed, settings).alias(S.event_id)).select(
        pl.when(valid).then(S.event_id).alias(JOIN_ID),
        TIME_MS,
        REPLACES,
        S.event_id,
        raw(event.USER_ID).alias(S.user_id),
        raw(event.EVENT_TYPE).alias(S.event_type),
        S.event_time,
        raw(event.SESSION_ID).alias(S.session_id),
        raw(event.PRODUCT_ID).alias(S.product_id),
        raw(event.CATEGORY).alias(S.category),
        S.price,
        S.quantity,
        raw(event.CURRENCY).alias(S.currency),
        pl.when(valid).then(S.properties).alias(S.properties),
        *COORDINATES,
        S.kafka_timestamp,
        pl.col(S.event_time).dt.date().alias(S.event_date),
        pl.when(on_time).then(pl.lit("on_time")).otherwise(pl.lit("late")).alias(S.arrival),
        Q.reasons,
        pl.lit(quarantined_at, dtype=_UTC_MICROS).alias(Q.quarantined_at),
        pl.lit(None, dtype=pl.String).alias(Q.resolved_by),
    )


def _time(text: pl.Expr) -> pl.Expr:
    """ISO 8601, in UTC where it names no zone, or epoch milliseconds."""
    part = text.str.extract_groups(_ISO).struct

    def number(name: str) -> pl.Expr:
        return part.field(name).cast(pl.Int64, strict=False).fill_null(0)

    day = part.field("day").str.to_date("%Y-%m-%d", strict=False).cast(pl.Int32).cast(pl.Int64)
    fraction = part.field("fraction").str.pad_end(6, "0").str.head(6).cast(pl.Int64, strict=False).fill_null(0)
    ahead = (number("hours") * 60 + number("minutes")) * pl.when(part.field("sign") == "-").then(-1).otherwise(1)
    minutes = (day * 24 + number("hour")) * 60 + number("minute") - ahead
    iso = (minutes * 60 + number("second")) * 1_000_000 + fraction
    epoch = pl.when(text.str.contains(_EPOCH_MS)).then(text).cast(pl.Int64, strict=False) * 1_000
    return pl.coalesce(iso, epoch).cast(_UTC_MICROS)


def _price(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.contains(_NUMBER)).then(text).cast(pl.Decimal(18, 4), strict=False)


def _quantity(text: pl.Expr) -> pl.Expr:
    return text.str.extract(_WHOLE, 1).cast(pl.Int32, strict=False)


def _identity(typed: pl.DataFrame, settings: Settings) -> pl.Series:
    """The producer's id; without one the SHA-256 of all fields in a canonical form, or of the coordinates."""
    given, content = raw(event.EVENT_ID), pl.col(CONTENT)
    if settings.identity == "coordinates":
        content = pl.when(blank(given)).then(pl.concat_str(*COORDINATES, separator="/"))
    else:
        content = pl.concat_str(content, pl.lit("@"), pl.col(TIME_MS).cast(pl.String).fill_null(""))
    hashed = content.map_elements(lambda text: sha256(text.encode()).hexdigest(), return_dtype=pl.String)
    return typed.select(pl.when(blank(given)).then(hashed).otherwise(given)).to_series()
