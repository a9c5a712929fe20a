"""Which messages may take a refused row's place, and which rows they resolve. Pure: no I/O, no clock.

A message with the header of `lakehouse.replacements` stands for one refused row, its root: the first that is valid is
judged like any other message, and where it becomes an event, or is a copy of one, the root is resolved by it. With the
root are resolved the other attempts at it, which were refused. Any later one is refused, whatever it says: so a root
becomes at most one event, though a sender that was killed sends it again. A header that names no refused row is refused
too: the row that it names may be an event by now, as after a rebuild under other settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.contracts import SilverQuarantine as Q
from lakehouse.frames import Frame, to_arrow
from lakehouse.replacements import UNREADABLE, coordinates, replaced
from silver.identity import COORDINATES, DUPLICATE, EVENT, JOIN_ID, NEW, OUTCOME
from silver.predicates import ALREADY_REPLACED, REPLACES, REPLACES_NOTHING

AT: Final = "at"
"""A row's own coordinates, as text."""
_REASON: Final = "reason"

ACCEPTED: Final = (NEW, EVENT, DUPLICATE)
"""The outcomes that resolve a root: what it says is in silver."""


def with_header_or_refused(batch: Frame) -> pl.DataFrame:
    """What there is to know of the batch's messages with a header and of its refused rows: few columns of few rows."""
    columns = [JOIN_ID, REPLACES, *map(str, COORDINATES)]
    if isinstance(batch, pa.Table):
        thin = pl.DataFrame(batch.select(columns))
        found = thin.filter(pl.col(REPLACES).is_not_null() | pl.col(JOIN_ID).is_null())
    else:
        some = batch.where(F.col(REPLACES).isNotNull() | F.col(JOIN_ID).isNull()).select(*columns)
        found = pl.DataFrame(some.toArrow())
    return found.with_columns(coordinates().alias(AT))


def claims(batch: pl.DataFrame) -> pl.DataFrame:
    """Of `with_header_or_refused` the valid messages with a header, lowest coordinates first."""
    return batch.filter(pl.col(REPLACES).is_not_null() & pl.col(JOIN_ID).is_not_null()).sort(*COORDINATES)


def named(batch: Frame) -> list[str]:
    """The roots that the batch's messages name, each once; none in nearly every batch."""
    if isinstance(batch, pa.Table):
        roots = pl.DataFrame(batch.select([REPLACES])).to_series().drop_nulls().unique().to_list()
    else:
        roots = [row[0] for row in batch.select(REPLACES).where(F.col(REPLACES).isNotNull()).distinct().collect()]
    return [root for root in roots if root != UNREADABLE]


def known_rows(quarantined: pl.DataFrame, roots: Sequence[str]) -> pl.DataFrame:
    """Of ``quarantined`` (coordinates, headers, ``resolved_by``, ``ingest_date``) the roots and the attempts at them,
    with `AT` and `REPLACES`."""
    rows = quarantined.with_columns(coordinates().alias(AT), replaced(quarantined[Q.headers]).alias(REPLACES))
    return rows.filter(pl.col(AT).is_in(roots) | pl.col(REPLACES).is_in(roots)).drop(Q.headers)


def refusals(batch: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The claims of ``batch`` that are refused: coordinates and ``reason``.

    A root may be refused in the same batch.
    """
    unresolved = pl.lit(None, pl.String).alias(Q.resolved_by)
    here = batch.filter(pl.col(JOIN_ID).is_null()).select(AT, unresolved)
    roots = pl.concat([known.select(AT, Q.resolved_by), here]).unique(AT, keep="first", maintain_order=True)
    found = claims(batch).join(
        roots.with_columns(is_known=True), left_on=REPLACES, right_on=AT, how="left", maintain_order="left"
    )
    is_open = pl.col("is_known") & pl.col(Q.resolved_by).is_null()
    is_first = pl.int_range(pl.len()).over(REPLACES) == 0
    reason = (
        pl.when(pl.col("is_known").is_null())
        .then(pl.lit(REPLACES_NOTHING))
        .when(~(is_open & is_first))
        .then(pl.lit(ALREADY_REPLACED))
    )
    return found.with_columns(reason.alias(_REASON)).drop_nulls(_REASON).select(*COORDINATES, _REASON)


def without(batch: Frame, refusals: pl.DataFrame) -> Frame:
    """``batch`` with the claims of ``refusals`` refused."""
    if refusals.is_empty():
        return batch
    keys = [str(column) for column in COORDINATES]
    if isinstance(batch, pa.Table):
        rows = pl.DataFrame(batch).join(refusals, on=keys, how="left", maintain_order="left")
        is_refused = pl.col(_REASON).is_not_null()
        reasons = pl.when(is_refused).then(pl.concat_list(_REASON)).otherwise(Q.reasons)
        join_id = pl.when(~is_refused).then(JOIN_ID)
        return to_arrow(rows.with_columns(reasons.alias(Q.reasons), join_id.alias(JOIN_ID)).drop(_REASON)).cast(
            batch.schema
        )
    reason = F.col(_REASON)
    return (
        batch.join(F.broadcast(_there(batch, refusals)), on=keys, how="left")
        .withColumn(Q.reasons, F.when(reason.isNotNull(), F.array(reason)).otherwise(F.col(Q.reasons)))
        .withColumn(JOIN_ID, F.when(reason.isNull(), F.col(JOIN_ID)))
        .select(*batch.columns)
    )


def resolutions(judged: Frame) -> pl.DataFrame:
    """What the batch resolves: the root's coordinates `AT` and ``resolved_by``, those of the message that did it."""
    columns = [OUTCOME, REPLACES, *map(str, COORDINATES)]
    if isinstance(judged, pa.Table):
        thin = pl.DataFrame(judged.select(columns))
    else:
        thin = pl.DataFrame(judged.where(F.col(REPLACES).isNotNull()).select(*columns).toArrow())
    taken = thin.filter(pl.col(REPLACES).is_not_null() & pl.col(OUTCOME).is_in(ACCEPTED))
    return taken.select(pl.col(REPLACES).alias(AT), coordinates().alias(Q.resolved_by))


def now_resolved(known: pl.DataFrame, resolutions: pl.DataFrame) -> pl.DataFrame:
    """The rows of ``known`` that ``resolutions`` resolve, roots and attempts: coordinates, day and ``resolved_by``."""
    still_open = known.filter(pl.col(Q.resolved_by).is_null()).drop(Q.resolved_by)
    return (
        _resolved(still_open, resolutions).drop_nulls(Q.resolved_by).select(*COORDINATES, Q.ingest_date, Q.resolved_by)
    )


def with_resolutions(refused: Frame, known: pl.DataFrame, resolutions: pl.DataFrame) -> Frame:
    """``refused``, rows of the batch, with ``resolved_by`` where their root, or they themselves, are resolved."""
    all_of_them = pl.concat([known.drop_nulls(Q.resolved_by).select(AT, Q.resolved_by), resolutions])
    if all_of_them.is_empty():
        return refused
    if isinstance(refused, pa.Table):
        rows = pl.DataFrame(refused).drop(Q.resolved_by).with_columns(coordinates().alias(AT))
        return to_arrow(_resolved(rows, all_of_them).select(refused.column_names)).cast(refused.schema)
    there = F.broadcast(_there(refused, all_of_them.unique(AT)))
    own, root = (there.toDF(name, f"by_{name}") for name in ("own", "root"))
    at = F.concat_ws("/", *(F.col(column) for column in COORDINATES))
    both = refused.join(own, at == F.col("own"), "left").join(root, F.col(REPLACES) == F.col("root"), "left")
    return both.withColumn(Q.resolved_by, F.coalesce("by_own", "by_root")).select(*refused.columns)


def _resolved(rows: pl.DataFrame, resolutions: pl.DataFrame) -> pl.DataFrame:
    """``rows``, with `AT` and `REPLACES`, and the ``resolved_by`` of their own coordinates or of their root's."""
    by = resolutions.unique(AT)
    own = by.rename({str(Q.resolved_by): "by_own"})
    root = by.rename({str(Q.resolved_by): "by_root", AT: "root"})
    joined = rows.join(own, on=AT, how="left", maintain_order="left").join(
        root, left_on=REPLACES, right_on="root", how="left", maintain_order="left"
    )
    return joined.with_columns(pl.coalesce("by_own", "by_root").alias(Q.resolved_by))


def _there(like: DataFrame, rows: pl.DataFrame) -> DataFrame:
    return like.sparkSession.createDataFrame(to_arrow(rows))
