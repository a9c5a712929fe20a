"""A run: rows are read, facts gathered, and the judge asked. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

import polars as pl

from lakehouse.contracts import Table
from lakehouse.endpoints import Endpoints
from lakehouse.frames import empty
from lakehouse.home import Home
from lakehouse.settings import Settings
from quality.facts import Facts
from quality.gathering import Gathering
from quality.judge import Judge, merged
from quality.mirrors import compared
from quality.rows import TableReader
from quality.suite import CONTRACTS
from quality.verdicts import Mode, Run, Verdict, followed


@dataclass(frozen=True)
class Inspector:
    """Makes runs on the tables of a home."""

    home: Home
    settings: Settings
    judge: Judge

    def new(self, table_name: str, first: int, last: int, now: datetime | None = None) -> Run:
        """Judges the rows that the versions from ``first`` to ``last``, both included, brought.

        ``now`` (UTC) is when; None where nobody expects events to come. Raises LakehouseError where the versions, or
        their files, are not kept any more.
        """
        began, clock = datetime.now(UTC), time.monotonic()
        table = CONTRACTS[table_name]
        rows = TableReader(self.home, table).new_rows(first, last, self._columns(table))
        gathering = Gathering(self.home, self.settings, table)
        facts = gathering.of_range(gathering.facts(now), pl.DataFrame(rows), first, last)
        verdicts = self.judge.judge(table_name, rows, facts)
        return self._run(table_name, "new", first, last, rows.num_rows, began, clock, verdicts)

    def full(self, table_name: str, version: int | None = None, now: datetime | None = None) -> Run:
        """Judges all rows of the table at ``version``, at the newest by default; a large table in parts.

        Raises LakehouseError where the version is not kept any more.
        """
        began, clock = datetime.now(UTC), time.monotonic()
        table = CONTRACTS[table_name]
        reader, gathering = TableReader(self.home, table), Gathering(self.home, self.settings, table)
        at = reader.version() if version is None else version
        whole = gathering.of_whole(gathering.facts(now), at)
        judged: list[list[Verdict]] = []
        rows = 0
        for part in reader.parts(at, self._columns(table), self.settings.quality_full_rows):
            # What is of the whole table is judged with the first part, once.
            facts = whole if not judged else Facts(mode="full", sizes=whole.sizes)
            judged.append(self.judge.judge(table_name, part, gathering.of_part(facts, pl.DataFrame(part))))
            rows += part.num_rows
        return self._run(table_name, "full", 0, at, rows, began, clock, merged(judged))

    def at_rest(self, table_name: str, version: int, now: datetime) -> Run:
        """What can be said of a table that gets nothing new: whether it should. ``version`` is its newest."""
        began, clock = datetime.now(UTC), time.monotonic()
        table = CONTRACTS[table_name]
        facts = Gathering(self.home, self.settings, table).facts(now)
        facts = Facts(mode="full", now=now, newest=facts.newest, waiting_since=facts.waiting_since)
        verdicts = self.judge.judge(table_name, empty(table), facts)
        return self._run(table_name, "full", version, version, 0, began, clock, verdicts)

    def mirror(self, table_name: str, endpoints: Endpoints) -> Run:
        """Compares a mirror in Postgres, ``postgres.NAME``, with its table, as of the version that it says it has.

        Raises LakehouseError where Postgres does not answer.
        """
        began, clock = datetime.now(UTC), time.monotonic()
        comparison = compared(table_name, self.home, self.settings, endpoints.postgres_reader)
        verdicts = self.judge.judge(table_name, comparison.rows, Facts(mode="full"))
        version = comparison.version
        return self._run(table_name, "full", version, version, comparison.num_rows, began, clock, verdicts)

    def _columns(self, table: type[Table]) -> list[str]:
        return sorted({*self.judge.suites[table.name].columns(), *(str(column) for column in table.partition_by)})

    @staticmethod
    def _run(
        table_name: str,
        mode: Mode,
        first: int,
        last: int,
        rows: int,
        began: datetime,
        clock: float,
        verdicts: Sequence[Verdict],
    ) -> Run:
        run_id = followed(table_name, first, last) if mode == "new" else f"{table_name}/{uuid4()}"
        seconds = round(time.monotonic() - clock, 3)
        return Run(run_id, table_name, mode, first, last, rows, began, seconds, verdicts)


def with_id(run: Run, run_id: str) -> Run:
    """``run`` under another id: one that was asked for is no step of a validator's."""
    return replace(run, run_id=run_id)
