"""Which versions of a table are judged next: exactly those behind the last that was judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from lakehouse.contracts import Table
from lakehouse.deltalog import Version, read_version
from lakehouse.errors import LakehouseError
from lakehouse.maintenance.log import Log
from lakehouse.store import TableStore
from quality.verdicts import Run, Severity, Verdict, followed


@dataclass(frozen=True)
class Range:
    """Versions from ``first`` to ``last``, both included."""

    first: int
    last: int
    kept: bool = True
    """False where they were removed before they were judged."""
    more: bool = False
    """Whether there were later ones, left for the next time."""


def next_range(store: TableStore, table: type[Table], judged: int, most_rows: int) -> Range | None:
    """What is to be judged of ``table`` after the version ``judged``: see `end_of_range`; None where nothing is.

    Where versions are not in the log any more, they are the range, and not kept.
    """
    path, head = Path(store.path(table)), store.version(table)
    try:
        last = end_of_range((read_version(path, number) for number in range(judged + 1, head + 1)), most_rows)
    except LakehouseError:
        oldest = Log(path).oldest()
        if oldest <= judged + 1:
            raise
        return Range(judged + 1, oldest - 1, kept=False, more=True)
    return None if last is None else Range(judged + 1, last, more=last < head)


def end_of_range(versions: Iterable[Version], most_rows: int) -> int | None:
    """As many of ``versions`` as hold at most ``most_rows`` rows together, at least one that brings or changes rows.

    None where none of them does: there is nothing to judge in compactions and clean-ups.
    """
    rows, last, something = 0, None, False
    for version in versions:
        if something and version.changes_rows and rows + version.rows > most_rows:
            break
        rows, last, something = rows + version.rows, version.number, something or version.changes_rows
    return last if something else None


def expired(store: TableStore, table: type[Table], asked: Range, now: datetime) -> Range | None:
    """The versions of ``asked`` that are older than versions are kept for, so that their files may be gone."""
    horizon = now - timedelta(hours=store.settings.time_travel_hours)
    last = Log(Path(store.path(table))).version_before(horizon)
    return None if last is None or last < asked.first else Range(asked.first, min(last, asked.last), more=True)


def passed_over(table_name: str, versions: Range, now: datetime, why: str) -> Run:
    """The run that says that ``versions`` were not judged, and ``why``: so they are told of, and come once."""
    verdict = Verdict(
        "every_version_is_judged",
        "followed",
        None,
        Severity.warn,
        "Every row is judged once: of what was passed over nothing is known.",
        success=None,
        error=why,
    )
    run_id = followed(table_name, versions.first, versions.last)
    return Run(run_id, table_name, "new", versions.first, versions.last, 0, now, 0.0, [verdict])
