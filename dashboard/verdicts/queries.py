"""The verdicts that the page shows: from Postgres, read in one consistent look, and bounded however long it has judged.

A table that gets rows all the time is judged every few seconds, so that a day has half a million verdicts: they are
read by the index on table and time, the newest of each table only. What only the writer knows (how far the judge is
behind, what is halted) is read from the state that it keeps under the home, where that is on this machine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import polars as pl
import streamlit as st
from psycopg2.extensions import cursor as Cursor

from dashboard.database import SHARED_FOR_S, TEXT_SHOWN, rows, snapshot
from lakehouse.contracts import PIPELINE
from lakehouse.embedded.livestate import read_writer
from lakehouse.home import Home
from lakehouse.standing import HALT, WARN, followed

NEWEST_VERDICTS: Final = 400
"""Of each table: what is newer than its ten newest runs of 40 expectations."""
LOOK_BACK: Final = timedelta(days=1)
"""How far back it is looked for when something was met last, before a table's newest verdict."""
LONG_SHARED_S: Final = 60.0
"""What takes longer to read, and changes little, is shared for so long."""
MOST_DECISIONS: Final = 50
MOST_EXAMPLES: Final = 5
EXAMPLE_SHOWN: Final = 300
OBSERVED_SHOWN: Final = 2_000
MIRROR: Final = "mirror"
LAYERS: Final = ("bronze", "silver", "gold", MIRROR)

# A query for each table: joined with the tables, the planner reads all verdicts (1 s for 3,000,000, in place of 5 ms).
_NEXT_TABLE = "SELECT table_name FROM quality_results WHERE table_name > %(after)s ORDER BY table_name LIMIT 1"

_NEWEST = """
SELECT DISTINCT ON (expectation)
       table_name, expectation, severity, success, left(observed, %(observed_shown)s) AS observed, unexpected_count,
       ARRAY(SELECT left(example, %(example_shown)s) FROM unnest(examples[1:%(examples)s]) AS example) AS examples,
       left(description, 1000) AS description, left(error, 1000) AS error, run_id, mode,
       first_version, last_version, num_rows, started_at
FROM (
    SELECT * FROM quality_results WHERE table_name = %(table)s ORDER BY started_at DESC LIMIT %(most)s
) AS newest
ORDER BY expectation, started_at DESC, run_id DESC
"""

_SINCE = """
WITH judged AS (
    SELECT expectation, started_at, success,
           max(started_at) FILTER (WHERE success) OVER (PARTITION BY expectation) AS last_met
    FROM quality_results
    WHERE table_name = %(table)s AND started_at > %(first)s AND expectation = ANY(%(expectations)s)
)
SELECT expectation, min(started_at) AS since,
       last_met IS NULL AND EXISTS (
           SELECT FROM quality_results WHERE table_name = %(table)s AND started_at <= %(first)s
       ) AS is_longer
FROM judged
WHERE NOT success AND (last_met IS NULL OR started_at > last_met)
GROUP BY expectation, last_met
"""

_HALTING = """
SELECT DISTINCT run_id, table_name, first_version, last_version
FROM quality_results
WHERE started_at > (SELECT max(started_at) FROM quality_results) - %(look_back)s AND severity = %(halt)s AND NOT success
LIMIT 1000
"""

_DECISIONS = """
SELECT left(run_id, %(shown)s) AS run_id, left(decision, %(shown)s) AS decision, decided_at, left(note, 1000) AS note
FROM quality_decisions ORDER BY decided_at DESC LIMIT %(most)s
"""

_DECIDED = """
SELECT DISTINCT ON (run_id) run_id, decision, decided_at, left(note, 1000) AS note
FROM quality_decisions
WHERE run_id = ANY(%(runs)s) ORDER BY run_id, decided_at DESC
"""

_TREND = """
SELECT date_bin(%(bar)s, started_at, '2000-01-03 00:00+00') AS bar, split_part(table_name, '.', 1) AS layer,
       count(*)::bigint AS judged, count(*) FILTER (WHERE success)::bigint AS met
FROM quality_results
WHERE started_at > (SELECT max(started_at) FROM quality_results) - %(length)s AND success IS NOT NULL
GROUP BY 1, 2 ORDER BY 1, 2
"""


_DECISION_SCHEMA = pl.Schema(
    {"run_id": pl.String(), "decision": pl.String(), "decided_at": pl.Datetime("us", "UTC"), "note": pl.String()}
)
_TREND_SCHEMA = pl.Schema(
    {"bar": pl.Datetime("us", "UTC"), "layer": pl.String(), "judged": pl.Int64(), "met": pl.Int64()}
)


class State(StrEnum):
    """How a table stands, the gravest first."""

    HALT = "halt"
    ALARM = "alarm"
    WARN = "warn"
    ACCEPTED = "accepted"
    MET = "met"
    NOT_JUDGED = "not judged yet"


class Trend(StrEnum):
    """How far back pass rates are shown; the value is the label."""

    DAY = "24 hours"
    WEEK = "7 days"

    @property
    def length(self) -> timedelta:
        return timedelta(days=1 if self is Trend.DAY else 7)

    @property
    def bar(self) -> timedelta:
        return timedelta(hours=1) if self is Trend.DAY else timedelta(days=1)


@dataclass(frozen=True)
class Decision:
    """What somebody decided about a run that halted."""

    decision: str
    decided_at: datetime
    note: str | None


@dataclass(frozen=True)
class Verdict:
    """The newest verdict on an expectation."""

    table_name: str
    expectation: str
    severity: str
    success: bool | None
    observed: str | None
    """JSON."""
    unexpected_count: int | None
    examples: Sequence[str]
    """Keys of rows that failed, as JSON: text of events."""
    description: str
    error: str | None
    """Why it could not be judged; then ``success`` is None."""
    run_id: str
    mode: str
    first_version: int
    last_version: int
    num_rows: int
    started_at: datetime
    since: datetime | None = None
    """When it began not to be met; None where it is met."""
    is_longer: bool = False
    """It may have begun before ``since``: it was looked for no further back."""
    decision: Decision | None = None
    """About its run."""

    @property
    def state(self) -> State:
        """What it makes of its table. A look at a whole table that somebody asked for halts nothing."""
        if self.success is not False:
            return State.MET
        if self.severity == WARN:
            return State.WARN
        if self.severity == HALT and self.decision is not None:
            return State.ACCEPTED
        follows = self.run_id == followed(self.table_name, self.first_version, self.last_version)
        return State.HALT if self.severity == HALT and follows else State.ALARM


@dataclass(frozen=True)
class Halt:
    """A run that halts what comes after its table: nobody has decided about it."""

    run_id: str
    table_name: str
    first_version: int
    last_version: int


@dataclass(frozen=True)
class Judge:
    """What the writer last said of the judge."""

    at: datetime
    is_on: bool
    lag: Mapping[str, tuple[int, float | None]]
    """For each table that was judged: versions that were not yet, and the age of the oldest of them in seconds."""
    halts: tuple[Halt, ...]


@dataclass(frozen=True)
class TableState:
    """A table, or a mirror, by its newest verdicts; all numbers are None while there are none."""

    name: str
    layer: str
    state: State
    met: int = 0
    judged: int = 0
    """Expectations that have a verdict, those that could not be judged included."""
    judged_at: datetime | None = None
    num_rows: int | None = None
    """Of the newest run that had rows: between two of them it is looked at whether any come."""
    last_version: int | None = None


@dataclass(frozen=True)
class Verdicts:
    """All that the page shows of Postgres, but for the trend."""

    read_at: datetime
    tables: tuple[TableState, ...]
    """By layer, and as rows go through them."""
    not_met: tuple[Verdict, ...]
    """Newest verdicts that are not met, the gravest first; then those that could not be judged."""
    halts: tuple[Halt, ...]
    decisions: pl.DataFrame
    """run_id, decision, decided_at, note; the newest first."""
    judge: Judge | None
    """None where the home's state is not on this machine, or the writer has not said anything."""

    @property
    def judged_at(self) -> datetime | None:
        return max((table.judged_at for table in self.tables if table.judged_at), default=None)


@st.cache_data(ttl=SHARED_FOR_S, max_entries=10, show_spinner="Reading from Postgres …")
def read_verdicts(dsn: str, home: Home) -> Verdicts:
    """One look at the verdicts. Raises dashboard.database.Unavailable and NotMigrated, which are not remembered."""
    judge = judge_of(read_writer(home))
    with snapshot(dsn) as cursor:
        ((read_at,),) = rows(cursor, "SELECT now()")
        bounds = {"shown": TEXT_SHOWN, "example_shown": EXAMPLE_SHOWN, "examples": MOST_EXAMPLES}
        bounds |= {"most": NEWEST_VERDICTS, "observed_shown": OBSERVED_SHOWN}
        newest = [
            Verdict(*row) for table in _tables(cursor) for row in rows(cursor, _NEWEST, {**bounds, "table": table})
        ]
        halting = judge.halts if judge is not None else _halting(cursor)
        runs = {verdict.run_id for verdict in newest if verdict.success is False} | {halt.run_id for halt in halting}
        decided = {run: Decision(*told) for run, *told in rows(cursor, _DECIDED, {"runs": sorted(runs)})}
        halts = tuple(halt for halt in halting if halt.run_id not in decided)
        newest = [replace(verdict, decision=decided.get(verdict.run_id)) for verdict in newest]
        decisions = rows(cursor, _DECISIONS, {"shown": TEXT_SHOWN, "most": MOST_DECISIONS})
    not_met = _with_since(dsn, [verdict for verdict in newest if verdict.success is not True])
    return Verdicts(
        read_at,
        tables_of(newest, halts),
        tuple(sorted(not_met, key=lambda v: (v.success is None, list(State).index(v.state), v.table_name))),
        halts,
        pl.DataFrame(decisions, _DECISION_SCHEMA, orient="row"),
        judge,
    )


@st.cache_data(ttl=LONG_SHARED_S, max_entries=10, show_spinner="Counting verdicts …")
def read_trend(dsn: str, trend: Trend) -> pl.DataFrame:
    """``bar`` (its start), ``layer``, verdicts as ``judged``, and those of them that were ``met``."""
    with snapshot(dsn) as cursor:
        found = rows(cursor, _TREND, {"bar": trend.bar, "length": trend.length})
    return pl.DataFrame(found, _TREND_SCHEMA, orient="row").with_columns(pl.col("layer").replace("postgres", MIRROR))


def judge_of(writer: Mapping[str, Any] | None) -> Judge | None:
    """What the writer's state says of the judge."""
    quality = None if writer is None else writer.get("quality")
    if writer is None or quality is None:
        return None
    return Judge(
        datetime.fromisoformat(writer["at"]),
        bool(quality["enabled"]),
        {
            name: (int(told["lag_versions"]), told["lag_seconds"])
            for name, told in quality["tables"].items()
            if told.get("validated") is not None
        },
        tuple(
            Halt(told["run_id"], told["table"], told["first_version"], told["last_version"])
            for told in quality["halts"]
        ),
    )


def tables_of(newest: Iterable[Verdict], halts: Collection[Halt]) -> tuple[TableState, ...]:
    """Each table of the pipeline, judged or not, and what else was judged."""
    by_table: dict[str, list[Verdict]] = {table.name: [] for table in PIPELINE}
    for verdict in newest:
        by_table.setdefault(verdict.table_name, []).append(verdict)
    halted = {halt.table_name for halt in halts}
    states = [_table(name, verdicts, name in halted) for name, verdicts in by_table.items()]
    order = list(by_table)
    return tuple(sorted(states, key=lambda each: (_rank(each.layer), order.index(each.name))))


def _table(name: str, verdicts: Sequence[Verdict], halted: bool) -> TableState:
    layer = MIRROR if name.startswith("postgres.") else name.split(".")[0]
    if not verdicts:
        return TableState(name, layer, State.HALT if halted else State.NOT_JUDGED)
    by_time = sorted(verdicts, key=lambda verdict: (verdict.started_at, verdict.run_id))
    last = by_time[-1]
    states = [verdict.state for verdict in verdicts]
    return TableState(
        name,
        layer,
        State.HALT if halted else min(states, key=list(State).index),
        sum(verdict.success is True for verdict in verdicts),
        len(verdicts),
        last.started_at,
        next((verdict.num_rows for verdict in reversed(by_time) if verdict.num_rows), last.num_rows),
        last.last_version,
    )


def _rank(layer: str) -> int:
    return LAYERS.index(layer) if layer in LAYERS else len(LAYERS)


def _halting(cursor: Cursor) -> tuple[Halt, ...]:
    found = (Halt(*row) for row in rows(cursor, _HALTING, {"look_back": LOOK_BACK, "halt": HALT}))
    return tuple(h for h in found if h.run_id == followed(h.table_name, h.first_version, h.last_version))


def _tables(cursor: Cursor) -> Iterator[str]:
    """Each table that has verdicts, by a step of the index for each."""
    after = ""
    while found := rows(cursor, _NEXT_TABLE, {"after": after}):
        after = found[0].table_name
        yield after


def _with_since(dsn: str, verdicts: Sequence[Verdict]) -> list[Verdict]:
    failed = [verdict for verdict in verdicts if verdict.success is False]
    begun: dict[tuple[str, str], tuple[datetime, bool]] = {}
    for table in {verdict.table_name for verdict in failed}:
        of_table = [verdict for verdict in failed if verdict.table_name == table]
        first = min(verdict.started_at for verdict in of_table) - LOOK_BACK
        found = _read_since(dsn, table, tuple(verdict.expectation for verdict in of_table), first)
        begun |= {(table, expectation): since for expectation, since in found.items()}
    return [
        replace(verdict, since=since[0], is_longer=since[1])
        if (since := begun.get((verdict.table_name, verdict.expectation))) is not None
        else verdict
        for verdict in verdicts
    ]


@st.cache_data(ttl=LONG_SHARED_S, max_entries=100, show_spinner=False)
def _read_since(
    dsn: str, table: str, expectations: tuple[str, ...], _first: datetime
) -> dict[str, tuple[datetime, bool]]:
    """For each of these, which fail now, since when, looked for from ``_first`` on; and whether it may be longer.

    A day of a table that gets rows all the time is 60,000 verdicts, 0.1 s. What fails on has no other answer.
    """
    with snapshot(dsn) as cursor:
        asked = {"table": table, "expectations": list(expectations), "first": _first}
        return {row.expectation: (row.since, row.is_longer) for row in rows(cursor, _SINCE, asked)}
