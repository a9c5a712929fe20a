"""A server that hangs is given up; one that is slow is not."""

from __future__ import annotations

import time

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from serving.postgres import transaction


def test_a_server_that_does_not_answer_in_time_is_given_up(reader: Connection) -> None:
    began = time.monotonic()

    with (
        pytest.raises(psycopg2.OperationalError, match=r"^no answer within 0\.2 s$"),
        transaction(reader, 0.2) as cursor,
    ):
        cursor.execute("SELECT pg_sleep(20)")

    assert time.monotonic() - began < 5
    assert reader.closed


def test_a_server_that_answers_in_time_is_kept(reader: Connection) -> None:
    for _ in range(2):
        with transaction(reader, 10) as cursor:
            cursor.execute("SELECT pg_sleep(0.01), 7")
            assert cursor.fetchone() == ("", 7)

    assert not reader.closed


def test_an_error_of_the_statement_stays_what_it_is(reader: Connection) -> None:
    with pytest.raises(psycopg2.errors.DivisionByZero), transaction(reader, 10) as cursor:
        cursor.execute("SELECT 1 / 0")
