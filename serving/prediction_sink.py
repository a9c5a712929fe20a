"""The scores' way into Postgres: the newest of each user in ``churn_prediction``, what it was in its history.

A batch is one transaction, as those of serving.mirror. A user who is gone from the features is gone from both tables.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from lakehouse.contracts import ChurnPrediction, ChurnPredictionHistory
from serving.mirror import CHURN_PREDICTION
from serving.postgres import transaction
from serving.sink import (
    ANSWER_LIMIT_S,
    Applied,
    MirrorBatch,
    account,
    claim,
    identifiers,
    limit_s,
    stage,
    take_new,
)

EXPIRED_AT_ONCE = 50_000
"""Rows of history that one call deletes: what is there after a long pause goes in steps."""

# What the newest features say replaces what is there. Of a day's scores by one model history keeps the last, so that it
# grows with the users and days and not with their events; a user whose score is as it was gets no row.
_KEEP = """
INSERT INTO public.churn_prediction_history AS h ({history})
SELECT {new} FROM {staging} s LEFT JOIN public.churn_prediction p USING (user_id)
WHERE s.churn_probability IS NOT NULL AND (p.as_of IS NULL OR p.as_of <= s.as_of)
  AND (p.churn_probability, p.model_version) IS DISTINCT FROM (s.churn_probability, s.model_version)
ON CONFLICT ({key}) DO UPDATE SET {changes} WHERE h.as_of <= EXCLUDED.as_of
"""
_FORGET_NEWER = """
DELETE FROM public.churn_prediction p USING {staging} s WHERE p.user_id = s.user_id AND p.as_of > s.as_of
"""
_PUT = """
INSERT INTO public.churn_prediction AS p ({columns}) SELECT {columns} FROM {staging}
ON CONFLICT (user_id) DO UPDATE SET {changes} WHERE p.as_of <= EXCLUDED.as_of
"""
_EXPIRE = """
DELETE FROM public.churn_prediction_history WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM public.churn_prediction_history
    WHERE scored_at < (SELECT max(scored_at) FROM public.churn_prediction_history) - make_interval(days => %s)
    ORDER BY scored_at LIMIT %s))
"""


def apply_predictions(conn: Connection, scores: pa.Table, erased: Sequence[str], batch: MirrorBatch) -> Applied:
    """Puts ``scores``, rows of `ChurnPrediction`, in their users' places and removes the users ``erased``, once.

    A score of older features than those that are there is left out, unless the features were made anew. Raises
    psycopg2.Error, after a rollback.
    """
    with transaction(conn, limit_s(scores.num_rows + len(erased))) as cursor:
        if not claim(cursor, batch):
            return Applied(rows=0, skipped=True)
        return account(cursor, batch, _erase(cursor, erased) + _put(cursor, scores, made_anew=batch.made_anew))


def apply_rescored(conn: Connection, scores: pa.Table) -> int:
    """Puts ``scores`` of features that are in already in their users' places; it may be done again.

    Returns how many there are. Raises psycopg2.Error, after a rollback.
    """
    with transaction(conn, limit_s(scores.num_rows)) as cursor:
        return _put(cursor, scores)


def users_of_other_models(conn: Connection, model_version: str, after: str, most: int) -> list[str]:
    """The first ``most`` users behind ``after``, in Postgres's order, whom another model has scored."""
    with transaction(conn, ANSWER_LIMIT_S) as cursor:
        cursor.execute(
            "SELECT user_id FROM public.churn_prediction WHERE user_id > %s AND model_version <> %s"
            " ORDER BY user_id LIMIT %s",
            (after, model_version, most),
        )
        return [user for (user,) in cursor.fetchall()]


def drop_expired_history(conn: Connection, keep_days: int, most: int = EXPIRED_AT_ONCE) -> int:
    """Deletes at most ``most`` rows of history older than ``keep_days`` before the newest; returns how many."""
    with transaction(conn, ANSWER_LIMIT_S) as cursor:
        cursor.execute(_EXPIRE, (keep_days, most))
        return cursor.rowcount


def _put(cursor: Cursor, scores: pa.Table, *, made_anew: bool = False) -> int:
    if not scores.num_rows:
        return 0
    staging = stage(cursor, CHURN_PREDICTION, f"staging_{CHURN_PREDICTION}", scores)
    if made_anew:
        cursor.execute(sql.SQL(_FORGET_NEWER).format(staging=staging))
    key = ChurnPredictionHistory.key
    history = [column for column in ChurnPredictionHistory.columns() if column != ChurnPredictionHistory.as_of_date]
    keep = sql.SQL(_KEEP).format(
        history=identifiers(history),
        new=sql.SQL(", ").join([sql.Identifier("s", column) for column in history]),
        staging=staging,
        key=identifiers(key),
        changes=take_new([column for column in history if column not in key]),
    )
    cursor.execute(keep)
    changes = take_new([column for column in ChurnPrediction.columns() if column not in ChurnPrediction.key])
    columns = identifiers(ChurnPrediction.columns())
    cursor.execute(sql.SQL(_PUT).format(columns=columns, staging=staging, changes=changes))
    return cursor.rowcount


def _erase(cursor: Cursor, users: Sequence[str]) -> int:
    if not users:
        return 0
    cursor.execute("DELETE FROM public.churn_prediction_history WHERE user_id = ANY (%s)", (list(users),))
    cursor.execute("DELETE FROM public.churn_prediction WHERE user_id = ANY (%s)", (list(users),))
    return cursor.rowcount
