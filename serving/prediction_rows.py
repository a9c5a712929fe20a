"""Rows of churn features into rows of ``churn_prediction``, by whoever scores; one bad row holds back no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from gold.churn_features import FEATURES
from lakehouse.contracts import ChurnFeatures, ChurnPrediction
from serving.scoring_client import Refused, Scored
from serving.sink import conform, mirror_schema

ROWS_AT_ONCE: Final = 5_000

Score: TypeAlias = Callable[[pa.Table], Scored]


def predictions(score: Score, users: pa.Table, now: Callable[[], datetime]) -> pa.Table:
    """A row of ``churn_prediction`` for each of ``users``, rows of ``gold.churn_features``, in any order.

    ``score`` is asked for at most `ROWS_AT_ONCE` rows together. Rows that it refuses by number carry its reason as
    ``error``, and the rest is asked for again; where it refuses without a number, halves find out which.
    """
    done = [mirror_schema(ChurnPrediction).empty_table()]
    to_do = [users.slice(start, ROWS_AT_ONCE) for start in range(0, users.num_rows, ROWS_AT_ONCE)]
    while to_do:
        chunk = to_do.pop()
        try:
            scored = score(chunk.select(FEATURES))
        except Refused as refused:
            bad = _blamed(refused, chunk.num_rows)
            if bad:
                is_bad = [number in bad for number in range(chunk.num_rows)]
                done.append(_with_error(chunk.filter(is_bad), [bad[number] for number in sorted(bad)], now()))
                to_do += _parts(chunk.filter(pc.invert(pa.array(is_bad))), 1)
            else:
                to_do += _parts(chunk, 2)
        else:
            done.append(_with_score(chunk, scored, now()))
    return pa.concat_tables(done)


def _blamed(refused: Refused, rows: int) -> Mapping[int, str]:
    """Why, for each row that is to be taken out; none where that is not known."""
    named = {number: reason for number, reason in refused.rows.items() if 0 <= number < rows}
    return {0: str(refused)} if not named and rows == 1 else named


def _parts(rows: pa.Table, count: int) -> Iterator[pa.Table]:
    size = -(-rows.num_rows // count)
    return (rows.slice(start, size) for start in range(0, rows.num_rows, size or 1))


def _with_score(users: pa.Table, scored: Scored, at: datetime) -> pa.Table:
    return _table(
        users,
        {
            ChurnPrediction.churn_probability: scored.rows["churn_probability"],
            ChurnPrediction.churned: scored.rows["churned"],
            ChurnPrediction.threshold: scored.threshold,
            ChurnPrediction.model_version: scored.model_version,
            ChurnPrediction.scored_at: at,
            ChurnPrediction.reasons: scored.rows["reasons"],
            ChurnPrediction.error: None,
        },
    )


def _with_error(users: pa.Table, errors: Sequence[str], at: datetime) -> pa.Table:
    return _table(
        users,
        {
            ChurnPrediction.churn_probability: None,
            ChurnPrediction.churned: None,
            ChurnPrediction.threshold: None,
            ChurnPrediction.model_version: None,
            ChurnPrediction.scored_at: at,
            ChurnPrediction.reasons: [],
            ChurnPrediction.error: pa.array(errors, pa.string()),
        },
    )


def _table(users: pa.Table, values: Mapping[str, Any]) -> pa.Table:
    """Rows of ``churn_prediction``; a value that is no column is that of every row."""
    features = pl.DataFrame(users.select(FEATURES)).select(pl.struct(pl.all()).struct.json_encode()).to_series()
    given = {
        ChurnPrediction.user_id: users[ChurnFeatures.user_id],
        ChurnPrediction.as_of: users[ChurnFeatures.as_of],
        ChurnPrediction.features: features.to_arrow(compat_level=pl.CompatLevel.oldest()),
        **values,
    }
    schema = mirror_schema(ChurnPrediction)
    columns = {field.name: _column(given[field.name], field.type, users.num_rows) for field in schema}
    return conform(pa.table(columns), ChurnPrediction)


def _column(value: Any, type: pa.DataType, rows: int) -> pa.Array | pa.ChunkedArray:
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return value
    return pa.array([value] * rows, type)
