"""Users' scores: how many have which, how that moved, and who they are. Every answer is bounded.

Numbers of users come from ``churn_score_days``, which Postgres counts as scores change: a few rows for each day,
however many users there are. Users come page by page, in the order of an index.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final

import polars as pl
import streamlit as st

from dashboard.database import SHARED_FOR_S, rows, snapshot
from dashboard.download import as_csv

BUCKETS: Final = 20
"""Of the probability, as ``churn_score_days`` counts them."""
DAYS_SHOWN: Final = 90
MOST_REFUSED: Final = 1_000
"""Users without a score are counted up to here."""
PAGE_ROWS: Final = 50
MOST_PAGES: Final = 200
MOST_EXPORTED: Final = 50_000
SEARCHED: Final = 50_000
"""Reasons and purchases have no index: so many users, those with the highest scores, are looked through. Of a million
users that took 0.4 s, and 0.8 s at first; of 200,000 of them 1.1 s, and 6.9 s at first."""
SEARCH_KEPT_S: Final = 10.0
"""Such a search is not made again with each refresh."""

_DAYS = """
SELECT as_of_date, sum(num_users)::bigint AS users,
       coalesce(sum(num_users) FILTER (WHERE churned), 0)::bigint AS at_risk,
       array_agg(DISTINCT left(model_version, 100)) AS models
FROM churn_score_days
WHERE as_of_date > (SELECT max(as_of_date) FROM churn_score_days) - %(days)s AND num_users > 0
GROUP BY as_of_date ORDER BY as_of_date
"""
_BUCKETS = """
SELECT bucket::int, churned, sum(num_users)::bigint AS users FROM churn_score_days
WHERE as_of_date = (SELECT max(as_of_date) FROM churn_score_days) AND num_users > 0
GROUP BY bucket, churned ORDER BY bucket, churned
"""
_MODELS = """
SELECT left(model_version, 100) AS model_version, sum(num_users)::bigint AS users FROM churn_score_days
WHERE as_of_date = (SELECT max(as_of_date) FROM churn_score_days) AND num_users > 0
GROUP BY 1 ORDER BY users DESC, 1 LIMIT 20
"""
_THRESHOLD = "SELECT threshold FROM churn_prediction ORDER BY churn_probability DESC NULLS LAST LIMIT 1"
_REFUSED = (
    "SELECT count(*) AS users FROM (SELECT FROM churn_prediction WHERE churn_probability IS NULL LIMIT %(most)s) r"
)

_NEWEST = "FROM churn_score_days WHERE as_of_date = (SELECT max(as_of_date) FROM churn_score_days) AND num_users > 0"
# Which scores the verdict leaves: a bound for the index, so that those of the other verdict are not gone through. A
# hair wider, for a twentieth is no binary number.
_LEAST = f"churn_probability >= (SELECT min(bucket) / 20.0 - 1e-9 {_NEWEST} AND churned)"
_MOST = f"churn_probability <= (SELECT (max(bucket) + 1) / 20.0 + 1e-9 {_NEWEST} AND NOT churned)"

_USERS = """
SELECT user_id, churn_probability, churned, array_to_string(reasons, '; ') AS reasons,
       as_of - (features ->> 'recency_days')::float8 * interval '1 day' AS last_seen,
       (features ->> 'num_views')::bigint AS num_views, (features ->> 'num_add_to_cart')::bigint AS num_add_to_cart,
       (features ->> 'num_purchases')::bigint AS num_purchases, as_of, model_version, error
FROM (
    SELECT * FROM churn_prediction WHERE {indexed}
    ORDER BY churn_probability DESC NULLS LAST, user_id LIMIT %(searched)s
) p
WHERE {others}
ORDER BY churn_probability DESC NULLS LAST, user_id LIMIT %(limit)s OFFSET %(offset)s
"""

_MOMENT = pl.Datetime("us", "UTC")
_SCHEMA: dict[str, Any] = {
    "user_id": pl.String,
    "churn_probability": pl.Float64,
    "churned": pl.Boolean,
    "reasons": pl.String,
    "last_seen": _MOMENT,
    "num_views": pl.Int64,
    "num_add_to_cart": pl.Int64,
    "num_purchases": pl.Int64,
    "as_of": _MOMENT,
    "model_version": pl.String,
    "error": pl.String,
}


class Show(StrEnum):
    """Whom; the value is the label."""

    AT_RISK = "At risk"
    NOT_AT_RISK = "Not at risk"
    ALL = "All"
    REFUSED = "Not scored"


class Bought(StrEnum):
    """Whether they ever bought; the value is the label."""

    EITHER = "Either"
    YES = "Bought"
    NO = "Never bought"


@dataclass(frozen=True)
class Filter:
    """Which users."""

    show: Show = Show.AT_RISK
    prefix: str = ""
    """How the user's id begins."""
    low: int = 0
    """Per cent, inclusive."""
    high: int = 100
    """Per cent, inclusive."""
    reason: str = ""
    """Part of a reason, in either case."""
    bought: Bought = Bought.EITHER

    @property
    def is_searched(self) -> bool:
        """Whether it asks for what has no index."""
        return bool(self.reason) or self.bought is not Bought.EITHER


@dataclass(frozen=True)
class Day:
    """How users stood at the end of a day (UTC) of event time; on the newest, now."""

    date: date
    users: int
    """Those with a score."""
    at_risk: int
    models: tuple[str, ...]
    """By which models they were scored."""


@dataclass(frozen=True)
class Scores:
    """All users' scores, counted."""

    days: tuple[Day, ...]
    """Days on which a score changed, the newest last; empty while nobody is scored."""
    buckets: tuple[tuple[int, bool, int], ...]
    """Twentieth of the probability, whether churned, users."""
    models: tuple[tuple[str, int], ...]
    """Model and users, the one of most users first."""
    threshold: float | None
    """Of the model that scored the user most at risk."""
    refused: int
    """Users whom the API refused to score, counted up to `MOST_REFUSED`."""

    @property
    def now(self) -> Day:
        return self.days[-1]

    def before(self, days: int) -> Day | None:
        """How it stood at the end of the day so many days before the newest; None where that was not yet counted."""
        until = self.now.date - timedelta(days=days)
        return next((day for day in reversed(self.days) if day.date <= until), None)


@st.cache_data(ttl=SHARED_FOR_S, max_entries=10, show_spinner="Reading from Postgres …")
def read_scores(dsn: str) -> Scores:
    """Raises dashboard.database.Unavailable and NotMigrated, which are not remembered."""
    with snapshot(dsn) as cursor:
        days = rows(cursor, _DAYS, {"days": DAYS_SHOWN})
        threshold = rows(cursor, _THRESHOLD)
        (refused,) = rows(cursor, _REFUSED, {"most": MOST_REFUSED})
        return Scores(
            tuple(Day(one.as_of_date, one.users, one.at_risk, tuple(one.models)) for one in days),
            tuple(tuple(one) for one in rows(cursor, _BUCKETS)),
            tuple(tuple(one) for one in rows(cursor, _MODELS)),
            threshold[0].threshold if threshold else None,
            refused.users,
        )


def read_users(dsn: str, wanted: Filter, page: int) -> tuple[pl.DataFrame, bool]:
    """The users of ``page``, from 1 on, the likeliest to churn first, with whole ids; and whether there are more.

    Raises dashboard.database.Unavailable and NotMigrated, which are not remembered.
    """
    found = (_searched_page if wanted.is_searched else _page)(dsn, wanted, page)
    return found.head(PAGE_ROWS), len(found) > PAGE_ROWS


def export_users(dsn: str, wanted: Filter) -> bytes:
    """All of ``wanted``, at most `MOST_EXPORTED`."""
    return as_csv(_users(dsn, wanted, MOST_EXPORTED, 0))


def is_storable(text: str) -> bool:
    """Whether Postgres could hold ``text`` at all: it may come from an address that anybody wrote."""
    return "\0" not in text


def _one_more(dsn: str, wanted: Filter, page: int) -> pl.DataFrame:
    return _users(dsn, wanted, PAGE_ROWS + 1, (page - 1) * PAGE_ROWS)


_page = st.cache_data(ttl=SHARED_FOR_S, max_entries=100, show_spinner="Reading from Postgres …")(_one_more)
_searched_page = st.cache_data(ttl=SEARCH_KEPT_S, max_entries=100, show_spinner="Searching in Postgres …")(_one_more)


def _users(dsn: str, wanted: Filter, limit: int, offset: int) -> pl.DataFrame:
    if not (is_storable(wanted.prefix) and is_storable(wanted.reason)):
        return pl.DataFrame(schema=_SCHEMA)
    indexed, others = _conditions(wanted)
    query = _USERS.format(indexed=" AND ".join(indexed) or "true", others=" AND ".join(others) or "true")
    with snapshot(dsn) as cursor:
        found = rows(cursor, query, {**_parameters(wanted), "limit": limit, "offset": offset, "searched": SEARCHED})
    return pl.DataFrame(found, _SCHEMA, orient="row")


def _conditions(wanted: Filter) -> tuple[list[str], list[str]]:
    """Those that an index serves, and the others; no text of theirs comes from anybody but us."""
    verdict = {
        Show.AT_RISK: ["churned", _LEAST],
        Show.NOT_AT_RISK: ["NOT churned", _MOST],
        Show.ALL: [],
        Show.REFUSED: ["churn_probability IS NULL"],
    }
    indexed = list(verdict[wanted.show])
    if wanted.prefix:
        indexed.append("user_id ^@ %(prefix)s")
    if wanted.low > 0:
        indexed.append("churn_probability >= %(low)s")
    if wanted.high < 100:
        indexed.append("churn_probability <= %(high)s")
    others = []
    if wanted.reason:
        others.append("strpos(lower(array_to_string(reasons, '; ')), lower(%(reason)s)) > 0")
    if wanted.bought is not Bought.EITHER:
        bought = "IS NOT NULL" if wanted.bought is Bought.YES else "IS NULL"
        others.append(f"features ->> 'days_since_purchase' {bought}")
    return indexed, others


def _parameters(wanted: Filter) -> Mapping[str, Any]:
    low, high = wanted.low / 100, wanted.high / 100
    return {"prefix": wanted.prefix, "low": low, "high": high, "reason": wanted.reason}
