"""Connections of the three roles to the run's Postgres; each test begins with empty tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from psycopg2.extensions import connection as Connection

from lakehouse.endpoints import Endpoints
from serving.migrate import WRITABLE
from serving.postgres import connect, transaction


@pytest.fixture
def owner(endpoints: Endpoints) -> Iterator[Connection]:
    with closing(connect(endpoints.postgres_owner)) as conn:
        yield conn


@pytest.fixture
def writer(endpoints: Endpoints, owner: Connection) -> Iterator[Connection]:
    with transaction(owner) as cursor:
        cursor.execute(f"TRUNCATE {', '.join(WRITABLE)}")
    with closing(connect(endpoints.postgres_writer)) as conn:
        yield conn


@pytest.fixture
def reader(endpoints: Endpoints) -> Iterator[Connection]:
    with closing(connect(endpoints.postgres_reader)) as conn:
        yield conn
