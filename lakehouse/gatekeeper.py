"""Acts on how the tables stand by their verdicts: who may read what, who has stopped, and what is said of it.

It is part of the writer. What it knows is derived from `quality.results` less `quality.decisions`, so that a restart
changes nothing; between two jobs that write them it is only looked up, for it is asked before every turn of a stage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from lakehouse.commits import Commit
from lakehouse.contracts import PIPELINE, QualityDecisions, QualityResults, Table
from lakehouse.errors import LakehouseError
from lakehouse.frames import arrow_schema
from lakehouse.maintenance.log import Log
from lakehouse.stages import Stage, utc_now
from lakehouse.standing import ALARM, HALT, TOLD, WARN, Finding, Halt, Standing
from lakehouse.store import TableStore

Q, D = QualityResults, QualityDecisions
RECORD, DECIDE = "quality", "quality_decisions"
"""The names under which the tables of verdicts and of decisions are committed to."""
NAMES = frozenset(table.name for table in PIPELINE)
FINDINGS_FOR = timedelta(days=2)
"""What a table's newest run found is known again after a restart for so long; a halt for ever."""


@dataclass
class Gatekeeper:
    """Of the tables of ``store``. What writes is to be called with the runner's turn held."""

    store: TableStore
    standing: Standing = field(default_factory=Standing)
    _alike: dict[str, tuple[tuple[int, int], int]] = field(default_factory=dict)
    """For each table the versions, judged and newest, that its position was last found for."""
    _forgot_on: date | None = None
    """The day (UTC) on which old verdicts were last looked for."""

    def open(self) -> None:
        """Reads how the tables stand; called once, before the first round."""
        self.standing = read_standing(self.store)

    # -- what the stages ask -----------------------------------------------------------------------------

    def limit(self, table: type[Table]) -> int | None:
        """The last version that stages may read of ``table``; None where it has no gate."""
        if table.name not in self.store.settings.quality_gates:
            return None
        bad = [halt.first_version for halt in self.standing.halts if halt.table_name == table.name]
        return min([self.position(table), *(version - 1 for version in bad)])

    def obstacle(self, stage: Stage, stages: Sequence[Stage]) -> str | None:
        """Why ``stage`` may not run now; None where it may.

        Behind a gate nothing bad has come through: there a stage goes on up to the bad versions, and what comes after
        it goes on altogether.
        """
        for halt in self.standing.halts:
            if halt.table_name not in self.store.settings.quality_gates:
                if stage.name in after(halt.table_name, stages):
                    return str(halt)
            elif stage.origin is not None and stage.origin.name == halt.table_name:
                limit = self.limit(stage.origin)
                if limit is not None and stage.position is not None and stage.position >= limit:
                    return str(halt)
        return None

    def position(self, table: type[Table]) -> int:
        """The last version of ``table`` with nothing left to judge up to it, -1 for none: the last that was judged, or
        a later one that brought no rows."""
        judged = self.standing.validated.get(table.name)
        if judged is None:
            return -1
        head = self.store.version(table)
        key, found = self._alike.get(table.name, ((-1, -1), -1))
        if key != (judged, head):
            try:
                found = self.store.latest_alike(table, judged, head)
            except LakehouseError:  # the log does not go back so far: the validator jumps ahead
                found = judged
            self._alike[table.name] = (judged, head), found
        return found

    @property
    def readers(self) -> list[Validated]:
        """The validator as a reader of each table; none while it is switched off."""
        return [Validated(self, table) for table in PIPELINE] if self.store.settings.quality_validator else []

    # -- what is said ------------------------------------------------------------------------------------

    def alarms(self) -> list[str]:
        """A sentence for each halt and for each expectation that raises an alarm."""
        return [str(each) for each in (*self.standing.halts, *self.standing.alarms())]

    def waits(self) -> list[str]:
        """A sentence for each gate that holds something back."""
        lines = []
        for table in PIPELINE:
            limit = self.limit(table)
            if limit is not None and limit < (head := self.store.version(table)):
                lines.append(f"{table.name} is read up to version {limit} of {head}, as far as it was judged")
        return lines

    def state(self) -> dict[str, Any]:
        """For `status --json`; times are ISO 8601 in UTC."""
        standing = self.standing
        return {
            "enabled": self.store.settings.quality_validator,
            "tables": {table.name: self._table(table) for table in PIPELINE}
            | {name: {"failed": _failed(found)} for name, found in standing.findings.items() if name not in NAMES},
            "halts": [_halt(halt) for halt in standing.halts],
            "alarms": [_finding(finding) for finding in standing.alarms()],
            "warnings": [_finding(finding) for finding in standing.warnings()],
        }

    def _table(self, table: type[Table]) -> dict[str, Any]:
        found, position, head = (
            self.standing.findings.get(table.name, ()),
            self.position(table),
            self.store.version(table),
        )
        return {
            "validated": self.standing.validated.get(table.name),
            "lag_versions": head - position,
            "lag_seconds": None if position >= head else _age(Log(Path(self.store.path(table))), position + 1),
            "failed": _failed(found),
            "not_judged": [str(each) for each in found if each.success is None],
            "gate": self.limit(table),
        }

    # -- what the jobs do --------------------------------------------------------------------------------

    def record(self, rows: pa.Table, validated: Mapping[str, int]) -> None:
        """Appends runs by their ``rows``, oldest first, to `quality.results`; ``validated``: the tables that they
        follow, and how far.

        How far is in the commit of the rows: once that is there, whoever starts again knows that they are.
        """
        standing = self.standing.after(rows.select([*TOLD]).to_pylist(), validated)
        account = Commit(
            RECORD,
            0,
            self.store.version(Q),
            rows_in=rows.num_rows,
            validated=standing.validated,
            halted=[halt.run_id for halt in standing.halts],
        )
        self.store.append(Q, rows, account)
        self.standing = standing
        self._forget(account)

    def _forget(self, account: Commit) -> None:
        """Deletes the verdicts of days that are not kept any more, but for those that still halt; looked at daily.

        The commit says of the tables what the one before it said, since the newest one is what a restart reads.
        """
        today = utc_now().date()
        if self._forgot_on == today:
            return
        self._forgot_on = today
        oldest = today - timedelta(days=self.store.settings.quality_days)
        days = {date.fromisoformat(each[Q.run_date]) for each in self.store.at_head(Q).partitions()}
        if not any(day < oldest for day in days):
            return
        halted = ", ".join("'" + run_id.replace("'", "''") + "'" for run_id in account.halted or ())
        but = f" AND {Q.run_id} NOT IN ({halted})" if halted else ""
        self.store.delete(
            Q,
            lambda dialect: f"{Q.run_date} < {dialect.date(oldest)}{but}",
            replace(account, batch_id=self.store.version(Q), rows_in=0),
        )

    def decide(self, run_ids: Sequence[str], decision: str, note: str | None) -> None:
        """Appends a decision about each of these runs to `quality.decisions`, and lets go on what they had halted."""
        made = [{D.run_id: each, D.decision: decision, D.decided_at: utc_now(), D.note: note} for each in run_ids]
        rows = pa.Table.from_pylist(made, schema=arrow_schema(D))
        self.store.append(D, rows, Commit(DECIDE, 0, self.store.version(D), rows_in=rows.num_rows))
        self.standing = self.standing.decided(run_ids)


@dataclass(frozen=True)
class Validated:
    """The validator as a reader of ``origin``: of what it has yet to judge nothing is removed.

    It holds a table only once it has judged some of it: in a home where no validator ever ran nobody waits for one.
    """

    gatekeeper: Gatekeeper
    origin: type[Table]
    name: str = "the validator"

    @property
    def position(self) -> int:
        """See `lakehouse.maintenance.horizons`."""
        if self.origin.name not in self.gatekeeper.standing.validated:
            return self.gatekeeper.store.version(self.origin)
        return self.gatekeeper.position(self.origin)


def read_standing(store: TableStore) -> Standing:
    """How the tables stand, by the newest account and the rows that it names; findings of the newest days only."""
    account = store.last_commit(Q)
    if account is None:
        return Standing()
    decided = set(store.scan(D).select(D.run_id).collect().to_series())
    halted = set(account.halted or ()) - decided
    recent = pl.col(Q.run_date) >= utc_now().date() - FINDINGS_FOR
    rows = store.scan(Q).filter(recent | pl.col(Q.run_id).is_in(list(halted)) if halted else recent)
    newest = pl.col(Q.started_at) == pl.col(Q.started_at).max().over(Q.table_name)
    wanted = rows.select(*TOLD, Q.started_at).filter(newest | pl.col(Q.run_id).is_in(list(halted)))
    verdicts = wanted.sort(Q.started_at, Q.run_id, maintain_order=True).collect().iter_rows(named=True)
    return Standing().after(verdicts, account.validated).decided(decided)


def after(table_name: str, stages: Sequence[Stage]) -> set[str]:
    """The names of the stages that read the table ``table_name``, or one that was made of it."""
    reached, names = {table_name}, set[str]()
    while True:
        more = [s for s in stages if s.name not in names and s.origin is not None and s.origin.name in reached]
        if not more:
            return names
        names |= {stage.name for stage in more}
        reached |= {target.name for stage in more for target in stage.targets}


def _failed(findings: Iterable[Finding]) -> dict[str, int]:
    failed = Counter(finding.severity for finding in findings if finding.success is False)
    return {severity: failed[severity] for severity in (WARN, ALARM, HALT)}


def _halt(halt: Halt) -> dict[str, Any]:
    return {
        "run_id": halt.run_id,
        "table": halt.table_name,
        "first_version": halt.first_version,
        "last_version": halt.last_version,
        "reasons": [str(finding) for finding in halt.findings],
        "remedy": halt.remedy,
    }


def _finding(found: Finding) -> dict[str, Any]:
    return {
        "run_id": found.run_id,
        "table": found.table_name,
        "expectation": found.expectation,
        "unexpected_count": found.unexpected_count,
        "said": str(found),
    }


def _age(log: Log, version: int) -> float | None:
    try:
        committed = log.committed_at(version)
    except FileNotFoundError:
        return None
    return round((utc_now() - committed).total_seconds(), 1)
