"""What Postgres keeps of past predictions, read by the role that can only read."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from typing import Any, Final
from urllib.parse import urlsplit

import polars as pl
import psycopg2

from lakehouse.contracts import ChurnPredictionHistory as H
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError, Unavailable
from lakehouse.home import Home
from ml.labels import midnight_of

MOST_USERS: Final = 10_000
"""Enough for narrow intervals; the cost must not grow with the number of users."""
CONNECT_TIMEOUT_S: Final = 3
STATEMENT_TIMEOUT_S: Final = 60

SCHEMA: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    H.user_id: pl.String,
    H.as_of: pl.Datetime("us", "UTC"),
    H.churn_probability: pl.Float64,
    H.model_version: pl.String,
}

# Which users are taken depends on their ids alone, and so on nothing that a model knows.
_UNTIL = """
WITH taken AS (
    SELECT user_id FROM public.churn_prediction_history WHERE as_of <= %(until)s
    GROUP BY user_id ORDER BY md5(user_id) LIMIT %(users)s
)
SELECT user_id, as_of, churn_probability, model_version
FROM public.churn_prediction_history
WHERE as_of <= %(until)s AND user_id IN (SELECT user_id FROM taken)
ORDER BY model_version, user_id, as_of
"""


def past_predictions(home: Home, until: date) -> pl.DataFrame:
    """The last prediction of each user on each day (UTC) of ``as_of``, by each model, up to the midnight ``until``.

    More there are not: a user who acts all day would be asked all but the same question hundreds of times. Of more than
    `MOST_USERS` users so many are taken, always the same ones.

    Raises Unavailable where no Postgres of a running stack answers, with the reason.
    """
    try:
        dsn = Endpoints.load(home).postgres_reader
    except LakehouseError as error:
        raise Unavailable(str(error)) from None
    if not dsn:
        raise Unavailable(f"the stack under {home.root} runs without Postgres")
    return as_frame(_rows(dsn, until))


def as_frame(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Rows of the query."""
    return pl.DataFrame(rows, schema={str(name): kind for name, kind in SCHEMA.items()}, orient="row")


def _rows(dsn: str, until: date) -> list[tuple[Any, ...]]:
    try:
        with closing(_connect(dsn)) as conn, conn.cursor() as cursor:
            cursor.execute(_UNTIL, {"until": midnight_of(until), "users": MOST_USERS})
            return cursor.fetchall()
    except psycopg2.Error as error:
        raise Unavailable(f"Postgres at {_host_port(dsn)} does not answer: {_reason(error)}") from None


def _connect(dsn: str) -> psycopg2.extensions.connection:
    conn = psycopg2.connect(
        dsn,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name="lakehouse model drift",
        options=f"-c statement_timeout={STATEMENT_TIMEOUT_S * 1000} -c timezone=UTC",
    )
    conn.set_session(readonly=True)
    return conn


def _reason(error: psycopg2.Error) -> str:
    """In one line; never an address that could not be parsed, which libpq quotes with its password."""
    if isinstance(error, psycopg2.ProgrammingError) and error.pgcode is None:
        return "its address cannot be read"
    return (str(error).splitlines() or [type(error).__name__])[0].strip()


def _host_port(dsn: str) -> str:
    address = urlsplit(dsn)
    return f"{address.hostname or 'localhost'}:{address.port or 5432}"
