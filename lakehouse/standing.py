"""How the tables stand by their verdicts: how far each was judged, what was not met, and what that halts.

A value: each run and each decision makes the next one. Whoever acts on it is `lakehouse.gatekeeper`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lakehouse.contracts import QualityResults as Q

FULL = "full"
"""The mode of a run on a whole table."""

WARN, ALARM, HALT = "warn", "alarm", "halt"
"""What a failure does, in the words of `quality.results`."""


def followed(table_name: str, first_version: int, last_version: int) -> str:
    """The id of the run that judges the new rows of these versions: asked for twice, it is one run."""
    return f"{table_name}@{first_version}-{last_version}"


@dataclass(frozen=True)
class Finding:
    """An expectation that a run found not to be met, or could not judge: then ``success`` is None."""

    run_id: str
    table_name: str
    mode: str
    first_version: int
    last_version: int
    severity: str
    expectation: str
    description: str
    unexpected_count: int | None
    success: bool | None
    error: str | None

    @property
    def follows(self) -> bool:
        """Whether its run follows the table. Only such halt: what somebody asked to look at has long gone on."""
        return self.run_id == followed(self.table_name, self.first_version, self.last_version)

    @property
    def versions(self) -> str:
        """Of which versions it is, in words."""
        one = self.mode == FULL or self.first_version == self.last_version
        return f"version {self.last_version}" if one else f"versions {self.first_version} to {self.last_version}"

    def __str__(self) -> str:
        where = f"{self.table_name}, {self.versions}"
        if self.success is None:
            return f"{where}: {self.expectation} could not be judged: {self.error}"
        failing = self.unexpected_count
        rows = f" by {failing:,} row{'s' if failing > 1 else ''}" if failing else ""
        return f"{where}: {self.expectation} is not met{rows}: {self.description.rstrip('.')}"


TOLD = tuple(Finding.__dataclass_fields__)
"""The columns of `quality.results` that a finding has."""


@dataclass(frozen=True)
class Halt:
    """A run whose failures stop the layers after its table until someone has decided."""

    run_id: str
    table_name: str
    first_version: int
    last_version: int
    findings: tuple[Finding, ...]

    @property
    def remedy(self) -> str:
        """The commands that let the layers go on."""
        layer = self.table_name.split(".")[0]
        rebuild = f", or mend the cause and `lakehouse rebuild {layer}`" if layer in ("silver", "gold") else ""
        return f"`lakehouse quality accept {self.run_id}` to go on with these rows as they are{rebuild}"

    def __str__(self) -> str:
        others = len(self.findings) - 1
        more = f", and {others} more" if others else ""
        return f"{self.findings[0]}{more}; what comes after {self.table_name} has stopped: {self.remedy}"


@dataclass(frozen=True)
class Standing:
    """As of the newest run and decision."""

    validated: Mapping[str, int] = field(default_factory=dict)
    """For each table the last version whose new rows were judged."""
    findings: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    """For each table those of its newest run."""
    halts: tuple[Halt, ...] = ()
    """Those that nobody has decided about."""

    def after(self, verdicts: Iterable[Mapping[str, Any]], validated: Mapping[str, int] | None = None) -> Standing:
        """With runs, by all their rows of `quality.results`, oldest run of a table first; ``validated`` says how far
        they judged the tables that they follow."""
        runs: dict[str, dict[str, list[Finding]]] = {}
        for row in verdicts:
            found = runs.setdefault(row[Q.table_name], {}).setdefault(row[Q.run_id], [])
            if row[Q.success] is not True:
                found.append(Finding(**{name: row[name] for name in TOLD}))
        newest = {table: tuple(list(of_table.values())[-1]) for table, of_table in runs.items()}
        halted = [halt for of_table in runs.values() for each in of_table.values() if (halt := _halt(each))]
        return Standing({**self.validated, **(validated or {})}, {**self.findings, **newest}, (*self.halts, *halted))

    def decided(self, run_ids: Collection[str]) -> Standing:
        """With decisions about these runs."""
        return replace(self, halts=tuple(halt for halt in self.halts if halt.run_id not in run_ids))

    def alarms(self) -> list[Finding]:
        """What the newest runs found that raises an alarm, beside what halts; a look at a whole table does no more."""
        return [f for f in self._unmet() if f.severity == ALARM or (f.severity == HALT and not f.follows)]

    def warnings(self) -> list[Finding]:
        """What the newest runs found that is only shown."""
        return [finding for finding in self._unmet() if finding.severity == WARN]

    def _unmet(self) -> list[Finding]:
        return [finding for each in self.findings.values() for finding in each if finding.success is False]


def _halt(findings: Iterable[Finding]) -> Halt | None:
    """What a run halts, by all that it found."""
    halting = [f for f in findings if f.follows and f.severity == HALT and f.success is False]
    if not halting:
        return None
    run = halting[0]
    return Halt(run.run_id, run.table_name, run.first_version, run.last_version, tuple(halting))
