"""How the tables stand by their verdicts: how far each was judged, what was not met, and what that halts.

A value: each run and each decision makes the next one. Whoever acts on it is `lakehouse.gatekeeper`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lakehouse.contracts import QualityResults as Q

WARN, ALARM, HALT = "warn", "alarm", "halt"
"""What a failure does, in the words of `quality.results`."""

NEW = "new"
"""The mode of the runs that follow a table: they alone have consequences. A run over a full table is a look at it."""

TOLD = tuple(
    str(c)
    for c in (
        Q.run_id,
        Q.table_name,
        Q.first_version,
        Q.last_version,
        Q.severity,
        Q.expectation,
        Q.description,
        Q.unexpected_count,
        Q.success,
        Q.error,
    )
)
"""What is to be known of a verdict to act on it."""


@dataclass(frozen=True)
class Finding:
    """An expectation that a run found not to be met, or could not judge: then ``success`` is None."""

    run_id: str
    table_name: str
    first_version: int
    last_version: int
    severity: str
    expectation: str
    description: str
    unexpected_count: int | None
    success: bool | None
    error: str | None

    def __str__(self) -> str:
        versions = _versions(self.first_version, self.last_version)
        if self.success is None:
            return f"{self.table_name} {versions}: {self.expectation} could not be judged: {self.error}"
        rows = "" if self.unexpected_count is None else f", {self.unexpected_count:,} rows"
        return f"{self.table_name} {versions}: {self.expectation} is not met{rows} ({self.description})"


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
        return f"`lakehouse quality accept {self.run_id}` to go on with them as they are{rebuild}"

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
    """Those that nobody has decided about, oldest first."""

    def after(self, validated: Mapping[str, int], verdicts: Iterable[Mapping[str, Any]]) -> Standing:
        """With runs that follow tables: how far each table was judged now, and their rows of `quality.results`."""
        found = [finding(row) for row in verdicts if row[Q.success] is not True]
        reached = {**self.validated, **validated}
        newest = {
            table: tuple(each for each in found if each.table_name == table and each.last_version == version)
            for table, version in validated.items()
        }
        return Standing(reached, {**self.findings, **newest}, (*self.halts, *halts(found)))

    def decided(self, run_ids: Collection[str]) -> Standing:
        """With decisions about these runs."""
        return replace(self, halts=tuple(halt for halt in self.halts if halt.run_id not in run_ids))

    def unmet(self, severity: str) -> list[Finding]:
        """What the newest run of each table found not to be met."""
        return [f for each in self.findings.values() for f in each if f.severity == severity and f.success is False]


def finding(row: Mapping[str, Any]) -> Finding:
    """Of a row of `quality.results`."""
    return Finding(**{name: row[name] for name in TOLD})


def halts(findings: Iterable[Finding]) -> list[Halt]:
    """The runs that halt, oldest first, each with its failures of that severity."""
    by_run: dict[str, list[Finding]] = {}
    for each in findings:
        if each.severity == HALT and each.success is False:
            by_run.setdefault(each.run_id, []).append(each)
    found = [
        Halt(run_id, each[0].table_name, each[0].first_version, each[0].last_version, tuple(each))
        for run_id, each in by_run.items()
    ]
    return sorted(found, key=lambda halt: (halt.table_name, halt.first_version))


def _versions(first: int, last: int) -> str:
    return f"version {first}" if first == last else f"versions {first} to {last}"
