"""The job `maintain`: all that upkeep does between rounds in the course of time, now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lakehouse.contracts import TABLES
from lakehouse.embedded.waiting import until
from lakehouse.errors import LakehouseError
from lakehouse.jobs import Progress
from lakehouse.maintenance.upkeep import HistoryExpired, Outcome, PartitionCompacted

if TYPE_CHECKING:
    from lakehouse.writer import Writer

CATCH_UP_S = 10.0
"""How long it waits for a reader that holds a table: one that is only late lets go by then."""
TURN_S = 0.1
"""How long small steps may follow each other before a round has its turn."""


def maintain(writer: Writer, arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Does each step between two rounds. ``tables``: names, all by default; ``dry_run``: only say what would be done.

    Result: ``dry_run``, ``seconds``, ``longest_turn_s`` (for so long a round had to wait), ``snapshots``,
    ``compactions``, ``expired``: lists of what was done, by table. Raises LakehouseError for a table that there is not.
    """
    names, known = list(arguments.get("tables") or ()), {table.name: table for table in TABLES}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise LakehouseError(f"maintain: there is no table {unknown[0]}; there are {', '.join(known)}")
    dry_run = bool(arguments.get("dry_run"))
    tables = [known[name] for name in names] or TABLES
    # Where the writer has just begun, its streams have yet to find out what they have taken, and to take the rest.
    until(lambda: not any(writer.upkeep.held_by_streams(table) for table in tables), CATCH_UP_S)
    began, longest = time.monotonic(), 0.0
    done: dict[str, list[dict[str, Any]]] = {"snapshots": [], "compactions": [], "expired": []}
    steps = writer.upkeep.steps(tables, dry_run=dry_run)
    while True:
        with writer.runner.turn:
            turn_began = time.monotonic()
            outcomes = list(_within(steps, TURN_S))
            longest = max(longest, time.monotonic() - turn_began)
        if not outcomes:
            break
        for outcome in outcomes:
            kind, document = _document(outcome)
            done[kind].append(document)
            if line := _line(outcome, dry_run=dry_run):
                progress(line)
    seconds = time.monotonic() - began
    return {"dry_run": dry_run, "seconds": round(seconds, 3), "longest_turn_s": round(longest, 3), **done}


def _within(steps: Iterator[Outcome], seconds: float) -> Iterator[Outcome]:
    """Does steps until so much time has gone, and at least one if there is one."""
    deadline = time.monotonic() + seconds
    for outcome in steps:
        yield outcome
        if time.monotonic() >= deadline:
            return


def _document(outcome: Outcome) -> tuple[str, dict[str, Any]]:
    if isinstance(outcome, HistoryExpired):
        held_by = [hold.as_document() for hold in outcome.held_by]
        return "expired", {"table": outcome.table, **asdict(outcome.removed), "held_by": held_by}
    if isinstance(outcome, PartitionCompacted):
        step = outcome.step
        planned = {"partition": dict(step.partition), "files": step.files, "bytes": step.bytes}
        return "compactions", {"table": outcome.table, **planned, "done": outcome.done and asdict(outcome.done)}
    done = None if outcome.done is None else {"partitions": outcome.done.partitions, "rows": outcome.done.rows}
    return "snapshots", {"table": outcome.table, "day": outcome.day.isoformat(), "done": done}


def _line(outcome: Outcome, *, dry_run: bool) -> str:
    """One line for people; none where there was nothing to do."""
    table = outcome.table
    if isinstance(outcome, HistoryExpired):
        removed = outcome.removed
        if outcome.held_by:
            return f"{table}: nothing removed; " + "; ".join(map(str, outcome.held_by))
        if not (removed.files or removed.log_files):
            return ""
        said = "to remove" if dry_run else "removed"
        return f"{table}: {removed.files:,} files ({_mib(removed.bytes)}) and {removed.log_files:,} of the log {said}"
    if isinstance(outcome, PartitionCompacted):
        step, done = outcome.step, outcome.done
        if done is None:
            return f"{table}: {step.files:,} files ({_mib(step.bytes)}) to compact in {step.where}"
        return (
            f"{table}: {done.removed:,} files ({_mib(done.removed_bytes)}) into {done.added:,} "
            f"({_mib(done.added_bytes)}) in {step.where}"
        )
    if outcome.done is None:
        return f"{table}: the snapshot of {outcome.day} is due"
    return f"{table}: {outcome.done.rows:,} rows of {outcome.done.partitions} days copied as of {outcome.day}"


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"
