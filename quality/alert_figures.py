"""What the alert rules are about, read from the mirrors in Postgres by the role that can only read."""

from __future__ import annotations

from typing import Any

from psycopg2.extensions import connection as Connection

from lakehouse.contracts import BronzeEvents
from quality.alert_rules import Figure, Rule

# Whole windows: the newest is still filling, and purchases come after views. Of the data's time, as a replay has it.
_CONVERSION = """
SELECT sum(num_events) FILTER (WHERE event_type = 'purchase')::float8
       / nullif(sum(num_events) FILTER (WHERE event_type = 'view'), 0)::float8
FROM funnel_windows, (SELECT max(window_start) AS open FROM funnel_windows) AS newest
WHERE window_start < open AND window_start >= open - %(minutes)s * interval '1 minute'
"""

# By the clock, for data that has stopped coming has no newer time. Against the last report from before the time.
_EVENTS_PER_MINUTE = """
SELECT greatest(0, newest.rows_total - before.rows_total) / %(minutes)s::float8
FROM (SELECT rows_total FROM pipeline_history WHERE name = %(bronze)s ORDER BY minute DESC LIMIT 1) AS newest,
     (SELECT rows_total FROM pipeline_history
      WHERE name = %(bronze)s AND minute <= now() - %(minutes)s * interval '1 minute'
      ORDER BY minute DESC LIMIT 1) AS before
"""

# What does not report any more falls behind as time goes on.
_LAG_SECONDS = "SELECT max(lag_seconds + extract(epoch FROM now() - updated_at))::float8 FROM pipeline_status"

_CHURN_RISK = """
SELECT coalesce(sum(num_users) FILTER (WHERE churned), 0)::float8 / nullif(sum(num_users), 0)::float8
FROM churn_score_days WHERE as_of_date = (SELECT max(as_of_date) FROM churn_score_days)
"""

_QUERIES = {
    Figure.conversion: _CONVERSION,
    Figure.events_per_minute: _EVENTS_PER_MINUTE,
    Figure.lag_seconds: _LAG_SECONDS,
    Figure.churn_risk: _CHURN_RISK,
}


def value(conn: Connection, rule: Rule) -> float | None:
    """The figure of ``rule`` now; None while it is not known, as with no views, or before there is so much history.

    Raises psycopg2.Error; the transaction is over in any case.
    """
    parameters: dict[str, Any] = {"minutes": rule.minutes, "bronze": BronzeEvents.name}
    try:
        with conn.cursor() as cursor:
            cursor.execute(_QUERIES[rule.figure], parameters)
            (found,) = cursor.fetchone() or (None,)
    finally:
        conn.rollback()
    return None if found is None else float(found)
