"""The job `audit`: proves at a cut that nothing was lost and nothing came twice.

By default only what has come since the last audit that agreed is looked at; its totals are kept under the home.
``full`` recomputes everything. Each layer is compared at the position that it says it has reached, so that a layer
that waits is told from one that is wrong: what has not arrived is lag, and no imbalance.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.extensions import cursor as Cursor
from pyspark.sql import DataFrame

from lakehouse.commits import Commit
from lakehouse.contracts import (
    TABLES,
    BronzeEvents,
    ChurnFeatures,
    Cohorts,
    FunnelSummary,
    FunnelWindows,
    QualityResults,
    SessionDays,
    SessionFunnel,
    SilverDuplicates,
    SilverEvents,
    SilverQuarantine,
    Table,
    UserDays,
)
from lakehouse.errors import LakehouseError
from lakehouse.jobs import Progress
from lakehouse.kafka_security import KafkaSecurity
from lakehouse.topic import messages_between
from quality.balances import (
    Balance,
    Scope,
    by_type,
    counted,
    counted_by_day,
    counted_by_session,
    described,
    first_seen,
    funnelled,
    placed,
    received,
    scores_counted,
)
from quality.canonical import MIRRORED, Mirrored, checksum
from quality.score_days import counted as counted_scores
from quality.score_days import scored

if TYPE_CHECKING:
    from lakehouse.writer import Writer

DAYS = (FunnelSummary.window_date, SessionFunnel.date)
"""The days of events that mirrored tables of gold are parted by."""
_REFUSE_OLD_VERSIONS = "spark.databricks.delta.vacuum.enforceTimeTravelWithinDeletedFileRetentionDuration"


def audit(writer: Writer, arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Notes the versions of all tables between two rounds, which is the cut, and draws up the books as of them.

    Its turn is over once they are noted: the stages go on while it counts.

    Result: ``agrees``, ``full``, ``balances`` (each with both sides), ``lag``. Raises LakehouseError where a side
    cannot be counted at all.
    """
    with writer.runner.turn:
        drawn_up = _Audit(writer, bool(arguments.get("full")), progress)
    return drawn_up.run()


class _Audit:
    def __init__(self, writer: Writer, full: bool, progress: Progress) -> None:
        self.writer = writer
        self.context = writer.context
        self.store = writer.context.store
        self.progress = progress
        self.cut = {table: self.store.version(table) for table in TABLES}
        accounts = {table: self.store.last_commit(table) for table in (BronzeEvents, SilverEvents, FunnelSummary)}
        self.bronze, self.silver, self.gold = accounts.values()
        self.days, self.features, self.cohorts = (
            self.store.last_commit(table) for table in (UserDays, ChurnFeatures, Cohorts)
        )
        self.sessions, self.funnel = (self.store.last_commit(table) for table in (SessionDays, SessionFunnel))
        # A rebuild begins a generation: what was counted before may not be there any more.
        counting = (self.silver, self.gold, self.days, self.sessions)
        self.generations = [None if each is None else each.generation for each in counting]
        kept = {} if full else _load(self._file)
        kept = kept if kept.get("generations") == self.generations else {}
        self.full = not kept
        self.after: dict[str, int] = kept.get("offsets", {})
        self.types: dict[str, int] = kept.get("types", {})
        self.versions: dict[str, int] = kept.get("versions", {})
        self.of_days: dict[str, dict[str, int]] = kept.get("days", {})
        self.of_sessions: dict[str, dict[str, int]] = kept.get("sessions", {})
        # Delta refuses what is older than files are kept for, but where a reader is behind, its files are there still.
        self.spark = self.context.spark.newSession()
        self.spark.conf.set(_REFUSE_OLD_VERSIONS, "false")

    @property
    def _file(self) -> Path:
        return self.context.home.root / "audit.json"

    def run(self) -> dict[str, Any]:
        bronze, gold = self.bronze, self.gold
        until = {} if self.silver is None else dict(self.silver.offsets)
        scope = Scope(until, self.after)

        self.progress("Kafka and bronze")
        balances = self._received(Scope({} if bronze is None else dict(bronze.offsets), self.after))
        self.progress("bronze and silver")
        tables: dict[type, DataFrame] = {
            t: self._at(t, self.cut[t]) for t in (BronzeEvents, SilverEvents, SilverDuplicates, SilverQuarantine)
        }
        balances += placed(tables, scope)
        self.progress("silver and gold")
        types = self._types(None if gold is None else gold.source_version)
        balances += counted(types, *(self._at(t, self.cut[t]) for t in (FunnelWindows, FunnelSummary)))
        self.progress("users' days and what is made of them")
        of_days = self._types_taken(self.days, self.of_days)
        balances += counted_by_day(of_days["types"], self._at(UserDays, self.cut[UserDays]))
        balances += self._described() + self._first_seen()
        self.progress("sessions")
        of_sessions = self._types_taken(self.sessions, self.of_sessions)
        balances += counted_by_session(of_sessions["types"], self._at(SessionDays, self.cut[SessionDays]))
        balances += self._funnelled()
        self.progress("Delta and Postgres")
        mirrored = {m.mirror: self._mirrored(m) for m in MIRRORED}
        balances += [balance for each in mirrored.values() for balance in each[0]]
        balances += self._scores_counted()

        agrees = all(balance.agrees for balance in balances)
        if agrees:
            versions = {name: version for name, (_, version) in mirrored.items()}
            _save(
                self._file,
                {
                    "generations": self.generations,
                    "offsets": until,
                    "types": types,
                    "versions": versions,
                    "gold": gold and gold.source_version,
                    "days": of_days,
                    "sessions": of_sessions,
                },
            )
        return {
            "agrees": agrees,
            "full": self.full,
            "balances": [asdict(balance) | {"agrees": balance.agrees} for balance in balances],
            "lag": self.writer.state()["lag_events"],
        }

    def _received(self, scope: Scope) -> list[Balance]:
        balance, gaps = received(self._at(BronzeEvents, self.cut[BronzeEvents]), scope)
        if balance.agrees or not gaps:
            return [balance]
        bootstrap, topic = self.context.endpoints.kafka, self.context.settings.topic
        security = KafkaSecurity.of(self.context.settings)
        missing = sum(last - first + 1 for _, first, last in gaps)
        lost = sum(
            messages_between(bootstrap, topic, int(place.rsplit("/", 1)[1]), first, last, security)
            for place, first, last in gaps
        )
        note = f"{missing:,} offsets hold no message (read again): {lost:,} of them do"
        return [
            Balance(
                balance.name,
                "offsets read, less proved gaps",
                balance.left_value - (missing - lost),
                balance.right,
                balance.right_value,
                note,
            )
        ]

    def _types(self, gold_version: int | None) -> dict[str, int]:
        """Events per type in silver, as of the version that gold has taken."""
        if gold_version is None:
            return {}
        events = self._at(SilverEvents, self._alike(SilverEvents, gold_version))
        if self.full:
            return by_type(events)
        since = Scope(dict.fromkeys(self._all_places(), 2**62), self.after)
        new = by_type(events.where(since.condition()))
        return {kind: self.types.get(kind, 0) + new.get(kind, 0) for kind in {*self.types, *new}}

    def _types_taken(self, taken: Commit | None, kept: Mapping[str, dict[str, int]]) -> dict[str, dict[str, int]]:
        """Events per type in silver that a table of days, which takes its time, says it holds; and up to where.

        ``kept``: the same of the last audit.
        """
        until, types = {} if taken is None else dict(taken.offsets), kept.get("types", {})
        scope = Scope(until, kept.get("offsets", {}))
        new = by_type(self._at(SilverEvents, self.cut[SilverEvents]).where(scope.condition()))
        return {"offsets": until, "types": {kind: types.get(kind, 0) + new.get(kind, 0) for kind in {*types, *new}}}

    def _described(self) -> list[Balance]:
        days = self._taken(UserDays, self.features)
        return [] if days is None else [described(days, self._at(ChurnFeatures, self.cut[ChurnFeatures]))]

    def _funnelled(self) -> list[Balance]:
        days = self._taken(SessionDays, self.funnel)
        return [] if days is None else funnelled(days, self._at(SessionFunnel, self.cut[SessionFunnel]))

    def _first_seen(self) -> list[Balance]:
        days = self._taken(UserDays, self.cohorts)
        return [] if days is None else first_seen(days, self._at(Cohorts, self.cut[Cohorts]))

    def _taken(self, origin: type[Table], account: Commit | None) -> DataFrame | None:
        """``origin`` as of the version that ``account`` says its table was made of; None where it was of none yet."""
        if account is None or account.source_version is None or account.source_version < 0:
            return None
        return self._at(origin, self._alike(origin, account.source_version))

    def _all_places(self) -> set[str]:
        return set(self.after) | set({} if self.silver is None else self.silver.offsets)

    def _at(self, table: type[Table], version: int) -> DataFrame:
        return self.spark.read.format("delta").option("versionAsOf", version).load(self.store.path(table))

    def _alike(self, table: type[Table], taken: int) -> int:
        """The version to read for the rows that a reader has which has taken ``taken``."""
        return self.store.latest_alike(table, taken, self.cut[table])

    def _mirrored(self, mirrored: Mirrored) -> tuple[list[Balance], int]:
        """Delta, as of the version that the ledger names, against Postgres: rows and checksum."""
        with self._postgres() as cursor:
            return self._compare(cursor, mirrored, f"{mirrored.table.name} → Postgres {mirrored.mirror}")

    def _scores_counted(self) -> list[Balance]:
        with self._postgres() as cursor:
            return scores_counted(scored(cursor), counted_scores(cursor))

    @contextmanager
    def _postgres(self) -> Iterator[Cursor]:
        """For one look at Postgres. Raises LakehouseError where it does not answer."""
        try:
            with closing(psycopg2.connect(self.context.endpoints.postgres_reader, connect_timeout=5)) as connection:
                connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
                with connection.cursor() as cursor:
                    cursor.execute("SET TIME ZONE 'UTC'")
                    yield cursor
        except psycopg2.OperationalError as error:
            reason = " ".join(str(error).split())
            raise LakehouseError(f"audit: Postgres does not answer, so its side cannot be counted: {reason}") from None

    def _compare(self, cursor: Any, mirrored: Mirrored, name: str) -> tuple[list[Balance], int]:
        cursor.execute(
            "SELECT source_version FROM mirror_ledger WHERE query = %s ORDER BY generation DESC, batch_id DESC LIMIT 1",
            (mirrored.mirror,),
        )
        found = cursor.fetchone()
        version = -1 if found is None or found[0] is None else int(found[0])
        where_delta, where_postgres = self._part(mirrored, version, cursor)
        sums = f"count(*), {checksum(mirrored.columns, 'postgres')}"
        # Names of contracts and literals of ours; nothing that came from outside.
        cursor.execute(f"SELECT {sums} FROM {mirrored.mirror} WHERE {where_postgres}")  # noqa: S608
        rows, total = cursor.fetchone()
        if version < 0:
            return [Balance(f"{name}: rows", "in Delta, as of the mirror", 0, "in Postgres", rows)], version
        delta = self._at(mirrored.table, self._alike(mirrored.table, version)).where(where_delta)
        delta_rows, delta_total = delta.selectExpr("count(*)", checksum(mirrored.columns, "spark")).collect()[0]
        return [
            Balance(f"{name}: rows", f"in Delta, version {version}", delta_rows, "in Postgres", rows),
            Balance(f"{name}: checksum", f"of Delta, version {version}", delta_total, "of Postgres", total),
        ], version

    def _part(self, mirrored: Mirrored, version: int, cursor: Any) -> tuple[str, str]:
        """Which rows are compared, for Spark and for Postgres: all, or those that changed since the last audit."""
        if mirrored.table is SilverEvents:
            cursor.execute("SELECT min(received_date) FROM raw_events")
            oldest = cursor.fetchone()[0]
            kept = "true" if oldest is None else f"CAST(kafka_timestamp AS DATE) >= DATE '{oldest}'"
            if self.full or mirrored.mirror not in self.versions:
                return kept, "true"
            condition = Scope(dict.fromkeys(self._all_places(), 2**62), self.after).condition()
            return f"{kept} AND ({condition})", condition.replace("`", '"')
        if mirrored.table is QualityResults:
            cursor.execute("SELECT min(started_at)::date FROM quality_results")
            oldest = cursor.fetchone()[0]
            kept = "true" if oldest is None else f"{QualityResults.run_date} >= DATE '{oldest}'"
            days = self._days_since(mirrored, QualityResults.run_date, version)
            changed = _in(QualityResults.run_date, days)
            return f"{kept} AND {changed}", _in(f"CAST({QualityResults.started_at} AS DATE)", days)
        # A table without days is small, or has one row for each user: all of it, each time.
        day = next((day for day in DAYS if day in mirrored.table.partition_by), None)
        if day is None:
            return "true", "true"
        condition = _in(day, self._days_since(mirrored, day, version))
        return condition, condition

    def _days_since(self, mirrored: Mirrored, partition: str, version: int) -> set[str] | None:
        """The days that changed since the last audit; None for all."""
        if self.full or mirrored.mirror not in self.versions:
            return None
        try:
            versions = self.store.versions(mirrored.table, self.versions[mirrored.mirror] + 1, version)
        except LakehouseError:  # the last audit is longer ago than the log is kept
            return None
        return {touched[partition] for each in versions for touched in each.touched}


def _in(day: str, days: set[str] | None) -> str:
    """SQL for the rows of ``days``; None means all."""
    if days is None:
        return "true"
    named = ", ".join(f"DATE '{each}'" for each in sorted(days))
    return f"{day} IN ({named})" if named else "false"


def _load(file: Path) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(file.read_text())
        return kept
    except (FileNotFoundError, ValueError):
        return {}


def _save(file: Path, kept: dict[str, Any]) -> None:
    part = file.with_suffix(".part")
    part.write_text(json.dumps(kept))
    part.replace(file)
