"""One user: the score and what it rests on, what it was, and what the user did; by indices that begin with the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl
import streamlit as st

from dashboard.churn.queries import is_storable
from dashboard.database import SHARED_FOR_S, TEXT_SHOWN, rows, snapshot

MOST_EVENTS: Final = 200
MOST_SCORES: Final = 400
"""Of a year's days, with some days on which two models scored."""
MOST_ALIKE: Final = 5

_SCORE = """
SELECT churn_probability, churned, threshold, left(model_version, %(shown)s) AS model_version, as_of, scored_at,
       features, reasons, error
FROM churn_prediction WHERE user_id = %(user)s
"""
_HISTORY = """
SELECT as_of, churn_probability, left(model_version, %(shown)s) AS model_version
FROM churn_prediction_history WHERE user_id = %(user)s ORDER BY as_of_date DESC, as_of DESC LIMIT %(most)s
"""
# One more than is shown tells whether there are more.
_EVENTS = """
SELECT event_time, left(event_type, %(shown)s) AS event_type, left(session_id, %(shown)s) AS session_id,
       left(product_id, %(shown)s) AS product_id, left(category, %(shown)s) AS category, price::float8 AS price,
       left(currency, %(shown)s) AS currency, quantity, kafka_timestamp
FROM raw_events WHERE user_id = %(user)s ORDER BY event_time DESC LIMIT %(most)s + 1
"""
_ALIKE = """
SELECT left(user_id, %(shown)s) AS user_id FROM churn_prediction WHERE user_id ^@ %(user)s ORDER BY user_id
LIMIT %(most)s
"""

_MOMENT = pl.Datetime("us", "UTC")
EVENTS: Final[dict[str, Any]] = {
    "event_time": _MOMENT,
    "event_type": pl.String,
    "session_id": pl.String,
    "product_id": pl.String,
    "category": pl.String,
    "price": pl.Float64,
    "currency": pl.String,
    "quantity": pl.Int64,
    "kafka_timestamp": _MOMENT,
}
SCORES: Final[dict[str, Any]] = {"as_of": _MOMENT, "churn_probability": pl.Float64, "model_version": pl.String}


@dataclass(frozen=True)
class Score:
    """A row of ``churn_prediction``; without a probability the API refused it, and ``error`` says why."""

    churn_probability: float | None
    churned: bool | None
    threshold: float | None
    model_version: str | None
    as_of: datetime
    scored_at: datetime
    features: Mapping[str, Any]
    reasons: tuple[str, ...]
    error: str | None


@dataclass(frozen=True)
class User:
    """All that the page shows."""

    score: Score | None
    history: pl.DataFrame
    """The scores there were, by the columns of `SCORES`, the newest first."""
    events: pl.DataFrame
    """What the user did, by the columns of `EVENTS`, the newest first; at most `MOST_EVENTS`."""
    has_more: bool
    """Whether older events are kept than those."""
    alike: tuple[str, ...]
    """Of a user of whom nothing is known: users whose ids begin so."""

    @property
    def is_known(self) -> bool:
        return self.score is not None or not self.events.is_empty() or not self.history.is_empty()


@st.cache_data(ttl=SHARED_FOR_S, max_entries=100, show_spinner="Reading from Postgres …")
def read_user(dsn: str, user: str) -> User:
    """Raises dashboard.database.Unavailable and NotMigrated, which are not remembered."""
    if not is_storable(user):
        return User(None, pl.DataFrame(schema=SCORES), pl.DataFrame(schema=EVENTS), has_more=False, alike=())
    asked = {"user": user, "shown": TEXT_SHOWN}
    with snapshot(dsn) as cursor:
        scores = [Score(**{**row._asdict(), "reasons": tuple(row.reasons)}) for row in rows(cursor, _SCORE, asked)]
        history = rows(cursor, _HISTORY, {**asked, "most": MOST_SCORES})
        events = rows(cursor, _EVENTS, {**asked, "most": MOST_EVENTS})
        is_known = scores or history or events
        alike = [] if is_known else rows(cursor, _ALIKE, {**asked, "most": MOST_ALIKE})
    return User(
        scores[0] if scores else None,
        pl.DataFrame(history, SCORES, orient="row"),
        pl.DataFrame(events[:MOST_EVENTS], EVENTS, orient="row"),
        has_more=len(events) > MOST_EVENTS,
        alike=tuple(row.user_id for row in alike),
    )
