"""What a role asks of Postgres: its statements and what each took, from the server's own log.

The embedded server has no pg_stat_statements. The log tells as much of one role, for sessions that begin meanwhile; the
dashboard opens one for each look.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg2
from psycopg2 import sql

from benchmarks.stack import Stack
from lakehouse.embedded.postgres import READER
from serving.mirror import MIRRORS

INTERVAL_S: Final = 0.25
LARGE_ROWS: Final = 10_000

_ENTRY: Final = re.compile(r"duration: ([0-9.]+) ms  statement:(.*(?:\n\t.*)*)")
"""The lines of a statement after its first begin with a tab."""
_CONTROL: Final = ("BEGIN", "COMMIT", "ROLLBACK", "SET", "SHOW", "DISCARD")
_BESIDE: Final = (
    "churn_prediction_history",
    "churn_score_days",
    "mirror_ledger",
    "pipeline_history",
    "pipeline_status",
)
_TABLES: Final = re.compile(rf"\b(?:{'|'.join([*MIRRORS, *_BESIDE])})\b")


@dataclass(frozen=True)
class Statement:
    tables: tuple[str, ...]
    """The mirrors it names, sorted."""
    ms: float


@dataclass(frozen=True)
class Kind:
    """All statements that read the same mirrors."""

    reads: str
    count: int
    total_s: float
    mean_ms: float
    most_ms: float


@dataclass(frozen=True)
class Counters:
    """Of the whole database, whoever asks: `pg_stat_database`, cumulative."""

    sessions: int
    transactions: int
    blocks_hit: int
    """Of 8 KiB, found in the server's own buffers."""
    blocks_read: int
    active_s: float
    """Seconds that statements took, of all sessions together."""

    def since(self, before: Counters) -> Counters:
        return Counters(
            self.sessions - before.sessions,
            self.transactions - before.transactions,
            self.blocks_hit - before.blocks_hit,
            self.blocks_read - before.blocks_read,
            round(self.active_s - before.active_s, 3),
        )


@dataclass
class Asked:
    """Filled when the block ends."""

    statements: list[Statement] = field(default_factory=list)

    @property
    def total_s(self) -> float:
        return sum(statement.ms for statement in self.statements) / 1000


class ReaderLog:
    """The statements of the role that can only read, on a running stack with the embedded server."""

    def __init__(self, stack: Stack) -> None:
        self._dsn = stack.endpoints.postgres_owner
        self._log = stack.home.logs / "postgres.log"

    @contextmanager
    def on(self) -> Iterator[None]:
        """Sessions of the role that begin in the block have their statements logged."""
        self._owner("ALTER ROLE {} SET log_min_duration_statement = 0")
        try:
            yield
        finally:
            self._owner("ALTER ROLE {} RESET log_min_duration_statement")

    @contextmanager
    def asked(self) -> Iterator[Asked]:
        """What is asked within the block."""
        found, begin = Asked(), _size(self._log)
        yield found
        found.statements = parse(_tail(self._log, begin))

    @contextmanager
    def connections(self) -> Iterator[list[int]]:
        """How many sessions of the role are open, looked at every `INTERVAL_S` until the block ends."""
        found: list[int] = []
        done = threading.Event()
        thread = threading.Thread(target=self._sample, args=(found, done), name="connections", daemon=True)
        thread.start()
        try:
            yield found
        finally:
            done.set()
            thread.join()

    def counters(self) -> Counters:
        """As they are now."""
        with closing(psycopg2.connect(self._dsn)) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT sessions, xact_commit + xact_rollback, blks_hit, blks_read, active_time / 1000"
                " FROM pg_stat_database WHERE datname = current_database()"
            )
            row = cursor.fetchone()
        assert row is not None
        return Counters(*row)

    def _sample(self, found: list[int], done: threading.Event) -> None:
        with closing(psycopg2.connect(self._dsn)) as connection, connection.cursor() as cursor:
            connection.set_session(autocommit=True)
            while not done.wait(INTERVAL_S):
                cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (READER,))
                (count,) = cursor.fetchone() or (0,)
                found.append(count)

    def _owner(self, statement: str) -> None:
        with closing(psycopg2.connect(self._dsn)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL(statement).format(sql.Identifier(READER)))


def parse(log: str) -> list[Statement]:
    """The statements in a part of the server's log, those left out that only begin, set or end a transaction."""
    return [
        Statement(tuple(sorted(set(_TABLES.findall(text)))), float(ms))
        for ms, text in _ENTRY.findall(log)
        if not text.lstrip().upper().startswith(_CONTROL)
    ]


def kinds(statements: Iterable[Statement]) -> tuple[Kind, ...]:
    """By the mirrors that they read, those that took longest in all first."""
    taken: defaultdict[str, list[float]] = defaultdict(list)
    for statement in statements:
        taken[", ".join(statement.tables) or "no mirror"].append(statement.ms)
    found = (
        Kind(reads, len(ms), round(sum(ms) / 1000, 4), round(sum(ms) / len(ms), 3), round(max(ms), 3))
        for reads, ms in taken.items()
    )
    return tuple(sorted(found, key=lambda kind: (-kind.total_s, kind.reads)))


def upkeep_is_due(stack: Stack) -> bool:
    """Whether Postgres vacuums or analyses a large table, or soon will: by the server's own thresholds, as they are by
    default. A small one that is updated every second is due all the time, and costs nothing."""
    with closing(psycopg2.connect(stack.endpoints.postgres_owner)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'autovacuum worker') OR EXISTS ("
            " SELECT FROM pg_stat_user_tables WHERE n_live_tup > %s AND (n_mod_since_analyze > 50 + 0.1 * n_live_tup"
            " OR n_ins_since_vacuum > 1000 + 0.2 * n_live_tup OR n_dead_tup > 50 + 0.2 * n_live_tup))",
            (LARGE_ROWS,),
        )
        (is_due,) = cursor.fetchone() or (False,)
    return bool(is_due)


def most_active_user(stack: Stack) -> str:
    """The user least likely to leave, who as a rule did the most; empty while nobody has a score."""
    with closing(psycopg2.connect(stack.endpoints.postgres_reader)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT user_id FROM churn_prediction WHERE churn_probability IS NOT NULL"
            " ORDER BY churn_probability, user_id LIMIT 1"
        )
        row = cursor.fetchone()
    return "" if row is None else str(row[0])


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _tail(log: Path, begin: int) -> str:
    """What was written since; a log that was cut meanwhile is read from its start. Empty for a server elsewhere."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(begin if begin <= _size(log) else 0)
        return file.read().decode(errors="replace")
