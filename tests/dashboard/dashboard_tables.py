"""Rows for the tables that the page reads, and the page itself, in words short enough for an example."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg2.extensions import connection as Connection
from psycopg2.extras import Json, execute_values
from streamlit.testing.v1 import AppTest

from serving.postgres import transaction

Open = Callable[..., AppTest]
"""``open_page(range="All")``, ``open_page("churn", show="All")``: the page at that address, after its first run."""


class Tables:
    """Fills the tables that the page reads."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    def windows(self, *rows: tuple[str, str, int]) -> None:
        """Rows of ``funnel_windows``: start (ISO, UTC), event type, events; windows of ten minutes."""
        values = []
        for start, kind, count in rows:
            moment = datetime.fromisoformat(start).replace(tzinfo=UTC)
            values.append((moment, moment + timedelta(minutes=10), kind, count, moment.date()))
        self._insert("funnel_windows (window_start, window_end, event_type, num_events, window_date)", values)

    def event(self, time: str, **fields: Any) -> None:
        """A row of ``raw_events``."""
        moment = datetime.fromisoformat(time).replace(tzinfo=UTC)
        row: dict[str, Any] = {
            "event_id": f"{time}{fields}",
            "user_id": "ann",
            "event_type": "view",
            "event_time": moment,
            "source_id": "topic",
            "partition": 0,
            '"offset"': 0,
            "kafka_timestamp": moment,
            "received_date": moment.date(),
            **fields,
        }
        with transaction(self._conn) as cursor:
            cursor.execute("SELECT make_raw_events_day(%s)", (moment.date(),))
        self._insert(f"raw_events ({', '.join(row)})", [tuple(row.values())])

    def status(self, stream: str, *, ago: timedelta = timedelta(0), **fields: Any) -> None:
        """A row of ``pipeline_status``, reported ``ago``."""
        row = {"stream": stream, "state": "idle", "rows_total": 0, **fields, "updated_at": datetime.now(UTC) - ago}
        self._insert(f"pipeline_status ({', '.join(row)})", [tuple(row.values())])

    def score(self, user: str, probability: float | None, model: str = "3", at: str = "", **fields: Any) -> None:
        """A row of ``churn_prediction`` in the place of the user's last one, ``at`` (ISO, UTC) or now; the threshold is
        0.5, and without a probability the API refused the user. ``features`` are a dictionary."""
        moment = datetime.fromisoformat(at).replace(tzinfo=UTC) if at else datetime.now(UTC)
        known = probability is not None
        row: dict[str, Any] = {
            "user_id": user,
            "churn_probability": probability,
            "churned": probability >= 0.5 if probability is not None else None,
            "threshold": 0.5 if known else None,
            "model_version": model if known else None,
            "as_of": moment,
            "scored_at": moment,
            "reasons": [],
            "error": None if known else "num_views: too many",
            **fields,
            "features": Json({"recency_days": 1.0, "days_since_purchase": None, **fields.get("features", {})}),
        }
        changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in row)
        with transaction(self._conn) as cursor:
            statement = f"INSERT INTO churn_prediction ({', '.join(row)}) VALUES %s"
            execute_values(cursor, f"{statement} ON CONFLICT (user_id) DO UPDATE SET {changes}", [tuple(row.values())])

    def past_score(self, user: str, probability: float, at: str, model: str = "3") -> None:
        """A row of ``churn_prediction_history``."""
        moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
        columns = "user_id, scored_at, as_of, churn_probability, model_version"
        self._insert(f"churn_prediction_history ({columns})", [(user, moment, moment, probability, model)])

    def sessions(self, hour: str, *steps: int, of: tuple[str, str] = ("", ""), **fields: Any) -> None:
        """A row of ``session_funnel``: hour (ISO, UTC); how many sessions, and of them with a view, then a cart, then a
        purchase. ``of``: a dimension and its value. Each purchase took up to five minutes, and brought 10."""
        moment = datetime.fromisoformat(hour).replace(tzinfo=UTC)
        counts = dict(zip(("sessions", "viewed", "carted", "purchased"), (*steps, 0, 0, 0), strict=False))
        purchased = counts["purchased"]
        bands = dict.fromkeys((f"purchased_{band}" for band in ("1m", "15m", "1h", "6h", "later")), 0)
        row: dict[str, Any] = {
            "hour": moment,
            "dimension": of[0],
            "value": of[1],
            **counts,
            "bought": purchased,
            "num_events": sum(counts.values()),
            "revenue": 10 * purchased,
            "seconds_to_cart": 60 * counts["carted"],
            "seconds_to_purchase": 180 * purchased,
            "purchased_5m": purchased,
            **bands,
            **fields,
            "date": moment.date(),
        }
        self._insert(f"session_funnel ({', '.join(row)})", [tuple(row.values())])

    def cohort(self, unit: str, cohort: str, *users: int) -> None:
        """The cells of a cohort in ``cohorts``, from its own period on."""
        cells = [(unit, cohort, period, number) for period, number in enumerate(users)]
        self._insert("cohorts (unit, cohort, period, users)", cells)

    def verdict(
        self,
        table: str,
        expectation: str,
        at: str,
        success: bool | None = True,
        severity: str = "warn",
        versions: tuple[int, int] = (1, 1),
        **fields: Any,
    ) -> str:
        """A row of ``quality_results``, of a run that began ``at`` (ISO, UTC) and follows the table; its run's id."""
        run_id = f"{table}@{versions[0]}-{versions[1]}"
        row: dict[str, Any] = {
            "run_id": run_id,
            "table_name": table,
            "mode": "new",
            "first_version": versions[0],
            "last_version": versions[1],
            "num_rows": 100,
            "started_at": datetime.fromisoformat(at).replace(tzinfo=UTC),
            "duration_seconds": 0.5,
            "expectation": expectation,
            "expectation_type": "expect_it",
            "severity": severity,
            "success": success,
            "examples": [],
            "description": f"{expectation} is expected.",
            **fields,
        }
        self._insert(f"quality_results ({', '.join(row)})", [tuple(row.values())])
        return run_id

    def decide(self, run_id: str, decision: str, at: str, note: str | None = None) -> None:
        """A row of ``quality_decisions``."""
        moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
        self._insert("quality_decisions (run_id, decision, decided_at, note)", [(run_id, decision, moment, note)])

    def user_window(self, start: str, user: str, events: int = 1, late: int = 0) -> None:
        """A row of ``funnel_summary``: what ``user`` did in a window of ten minutes."""
        moment = datetime.fromisoformat(start).replace(tzinfo=UTC)
        row: dict[str, Any] = {
            "window_start": moment,
            "window_end": moment + timedelta(minutes=10),
            "user_id": user,
            **dict.fromkeys(("num_views", "num_add_to_cart", "num_purchases"), 0),
            "num_events": events,
            "sessions": 0,
            "first_event_time": moment,
            "last_event_time": moment,
            "late_events": late,
            "is_final": False,
            "session_ids": [],
            "sessions_capped": False,
            "window_date": moment.date(),
        }
        self._insert(f"funnel_summary ({', '.join(row)})", [tuple(row.values())])

    def session_hour(self, hour: str, sessions: int, revenue: float) -> None:
        """A row of ``session_funnel``, of all sessions, none of which viewed anything."""
        self.sessions(hour, sessions, revenue=revenue)

    def active(self, cohort: str, period: int, users: int) -> None:
        """A cell of ``cohorts``, by days."""
        self._insert("cohorts (unit, cohort, period, users)", [("day", cohort, period, users)])

    def was(self, name: str, ago: timedelta, rows_total: int, **fields: Any) -> None:
        """A row of ``pipeline_history``, of the minute that was ``ago``."""
        reported = datetime.now(UTC) - ago
        row = {"minute": reported.replace(second=0, microsecond=0), "name": name, "reported_at": reported}
        row |= {"rows_total": rows_total, **fields}
        self._insert(f"pipeline_history ({', '.join(row)})", [tuple(row.values())])

    def has(self, table: str) -> bool:
        """Whether the migrations make the table."""
        with transaction(self._conn) as cursor:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (table,))
            (found,) = cursor.fetchone() or (False,)
        return bool(found)

    def _insert(self, target: str, values: list[tuple[Any, ...]]) -> None:
        with transaction(self._conn) as cursor:
            execute_values(cursor, f"INSERT INTO {target} VALUES %s", values)
