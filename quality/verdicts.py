"""What a run of the validator says: the rows of `quality.results`, as values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

from lakehouse.contracts import QualityResults as Q
from lakehouse.standing import followed as followed

if TYPE_CHECKING:
    import pyarrow as pa

Mode = Literal["new", "full"]


class Severity(StrEnum):
    """What a failure does."""

    warn = "warn"
    """It is shown."""
    alarm = "alarm"
    """It is shown in red, in `status`, and sent to whom the settings name."""
    halt = "halt"
    """The layers after the table stop where they are until someone decides."""


@dataclass(frozen=True)
class Verdict:
    """One expectation, judged."""

    expectation: str
    """Its name within the suite."""
    expectation_type: str
    """What Great Expectations calls it."""
    column_name: str | None
    severity: Severity
    description: str
    """What it requires, and why."""
    success: bool | None
    """None where it could not be judged; ``error`` then says why."""
    observed: Any = None
    """JSON values."""
    unexpected_count: int | None = None
    examples: Sequence[Mapping[str, Any]] = ()
    """Keys of some rows that failed."""
    error: str | None = None


@dataclass(frozen=True)
class Run:
    """A table's suite against the rows of a range of its versions, or against all rows at one."""

    run_id: str
    table_name: str
    mode: Mode
    first_version: int
    last_version: int
    num_rows: int
    started_at: datetime
    """UTC."""
    duration_seconds: float
    verdicts: Sequence[Verdict]

    def failed(self, severity: Severity) -> list[Verdict]:
        """Those of ``severity`` that were not met."""
        return [verdict for verdict in self.verdicts if verdict.success is False and verdict.severity is severity]

    def rows(self) -> pa.Table:
        """The rows of `quality.results`, one for each verdict."""
        import pyarrow as pa  # not for `--help`, which names this module's severities

        from lakehouse.frames import arrow_schema

        run = {
            Q.run_id: self.run_id,
            Q.table_name: self.table_name,
            Q.mode: self.mode,
            Q.first_version: self.first_version,
            Q.last_version: self.last_version,
            Q.num_rows: self.num_rows,
            Q.started_at: self.started_at,
            Q.duration_seconds: self.duration_seconds,
            Q.run_date: self.started_at.date(),
        }
        rows = [run | _row(verdict) for verdict in self.verdicts]
        return pa.Table.from_pylist(rows, schema=arrow_schema(Q))


def run_to_json(run: Run) -> dict[str, Any]:
    """A run as a JSON object: what the job that records runs is asked with."""
    document: dict[str, Any] = json.loads(json.dumps(asdict(run), default=_text))
    return document


def run_from_json(document: Mapping[str, Any]) -> Run:
    """The run that `run_to_json` wrote down. Raises KeyError, TypeError or ValueError where it is none."""
    verdicts = [Verdict(**{**verdict, "severity": Severity(verdict["severity"])}) for verdict in document["verdicts"]]
    started_at = datetime.fromisoformat(document["started_at"])
    return Run(**{**document, "started_at": started_at, "verdicts": verdicts})


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, (datetime, date)) else str(value)


def _row(verdict: Verdict) -> dict[str, Any]:
    return {
        Q.expectation: verdict.expectation,
        Q.expectation_type: verdict.expectation_type,
        Q.column_name: verdict.column_name,
        Q.severity: str(verdict.severity),
        Q.success: verdict.success,
        Q.observed: None if verdict.observed is None else json.dumps(verdict.observed, default=_text),
        Q.unexpected_count: verdict.unexpected_count,
        Q.examples: [json.dumps(example, default=_text) for example in verdict.examples],
        Q.description: verdict.description,
        Q.error: verdict.error,
    }
