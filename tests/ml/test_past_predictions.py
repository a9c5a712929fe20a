"""Past predictions from Postgres: which of a user's are taken, and what is said where none answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extras import execute_values

from lakehouse.endpoints import Endpoints
from lakehouse.errors import Unavailable
from lakehouse.home import Home
from ml import past_predictions as module
from ml.past_predictions import past_predictions

NOWHERE = Endpoints("", "", "", "postgresql://lakehouse_reader:s3cret@127.0.0.1:1/lakehouse", "", "")


def a_home(folder: Path, endpoints: Endpoints) -> Home:
    home = Home(folder).make()
    endpoints.save(home)
    return home


@pytest.fixture
def history(endpoints: Endpoints) -> Iterator[None]:
    """(user, scored_at, as_of, probability, model) in March 2026, alone in the table."""
    rows = [
        ("ann", "01T19:30", "01T18:59", 0.3, "1"),
        ("ann", "01T20:00", "01T18:59", 0.4, "2"),
        ("ann", "02T01:00", "02T00:00", 0.5, "2"),
        ("bob", "01T23:59", "01T23:59", 0.6, "2"),
        ("bob", "05T00:02", "05T00:01", 0.8, "2"),
    ]
    table = "public.churn_prediction_history"
    with closing(psycopg2.connect(endpoints.postgres_owner)) as conn, conn.cursor() as cursor:
        cursor.execute(f"TRUNCATE {table}")
        values = [
            (user, f"2026-03-{scored_at}Z", f"2026-03-{as_of}Z", score, model)
            for user, scored_at, as_of, score, model in rows
        ]
        execute_values(
            cursor,
            f"INSERT INTO {table} (user_id, scored_at, as_of, churn_probability, model_version) VALUES %s",
            values,
        )
        conn.commit()
        yield
        cursor.execute(f"TRUNCATE {table}")
        conn.commit()


@pytest.mark.usefixtures("history")
def test_predictions_of_every_day_and_model_up_to_the_midnight_are_taken(endpoints: Endpoints, tmp_path: Path) -> None:
    found = past_predictions(a_home(tmp_path, endpoints), until=date(2026, 3, 5))

    assert sorted(found.rows()) == [
        ("ann", datetime(2026, 3, 1, 18, 59, tzinfo=UTC), 0.3, "1"),
        ("ann", datetime(2026, 3, 1, 18, 59, tzinfo=UTC), 0.4, "2"),
        ("ann", datetime(2026, 3, 2, tzinfo=UTC), 0.5, "2"),
        ("bob", datetime(2026, 3, 1, 23, 59, tzinfo=UTC), 0.6, "2"),
    ]


@pytest.mark.usefixtures("history")
def test_of_many_users_the_same_ones_are_always_taken_with_all_that_was_said_of_them(
    endpoints: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_USERS", 1)
    home = a_home(tmp_path, endpoints)

    first, again = (past_predictions(home, until=date(2026, 3, 5)) for _ in range(2))

    assert first["user_id"].to_list() == ["ann"] * 3
    assert first.equals(again)


def test_where_no_postgres_answers_it_is_said_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"Postgres at 127.0.0.1:1 does not answer: .*refused") as raised:
        past_predictions(a_home(tmp_path, NOWHERE), until=date(2026, 3, 5))
    assert "s3cret" not in str(raised.value)


def test_a_home_where_nothing_runs_and_a_stack_without_postgres_are_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=f"nothing is running under {tmp_path}; start it with `lakehouse up`"):
        past_predictions(Home(tmp_path), until=date(2026, 3, 5))
    home = a_home(tmp_path, replace(NOWHERE, postgres_reader=""))
    with pytest.raises(Unavailable, match=f"the stack under {tmp_path} runs without Postgres"):
        past_predictions(home, until=date(2026, 3, 5))
