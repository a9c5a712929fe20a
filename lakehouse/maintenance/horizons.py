"""Who still needs old versions of a table: nothing is removed that the slowest reader has not taken.

Every stage that reads a table registers by being one: its ``origin`` is the table, its ``position`` the last version
that it has wholly taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from lakehouse.contracts import Table
from lakehouse.maintenance.log import Log
from lakehouse.store import TableStore

SLACK = timedelta(minutes=1)
"""A file is marked as removed, and a change file written, while its commit is being made: a little before its time."""


class Reader(Protocol):
    """Who reads a table by its versions; every stage is one."""

    @property
    def name(self) -> str: ...

    @property
    def origin(self) -> type[Table] | None:
        """The table that it reads; None where it reads no table."""

    @property
    def position(self) -> int | None:
        """The last version that it has wholly taken, -1 for none; None while that is not known."""


@dataclass(frozen=True)
class Hold:
    """A reader that is further behind than a table's history is kept, so that nothing of the table is removed."""

    table: str
    reader: str
    position: int | None
    """The last version that it has taken; None where that is not known, as while Postgres is away."""
    since: datetime | None
    """When the first version that it has not taken was committed; None where that is not known."""

    def __str__(self) -> str:
        if self.position is None:
            return f"{self.reader} holds the history of {self.table}: what it has taken is not known now"
        since = "" if self.since is None else f", of {self.since:%Y-%m-%d %H:%M:%S} UTC"
        return f"{self.reader} holds the history of {self.table}: it has not taken version {self.position + 1}{since}"

    def as_document(self) -> dict[str, Any]:
        """For `status --json`; times are ISO 8601 in UTC."""
        since = None if self.since is None else self.since.isoformat()
        named = {"table": self.table, "reader": self.reader, "position": self.position, "since": since}
        return named | {"reason": str(self)}


def holds(store: TableStore, table: type[Table], readers: Iterable[Reader], horizon: datetime) -> list[Hold]:
    """The readers of ``table`` for which what is older than ``horizon`` must stay.

    One that has taken the newest version needs nothing, however old that version is. One that is behind needs the
    files that its next versions brought or removed, and their commits: as long as those are younger than the horizon
    it is in nobody's way. Beyond it everything stays: VACUUM goes by time and not by version, and what could be removed
    from between is little, for it was removed up to the horizon while the reader was still within it.
    """
    log, head = Log(store.home.table(table.name)), store.version(table)
    found = []
    for reader in readers:
        if reader.origin is not table:
            continue
        position = reader.position
        if position is None:
            found.append(Hold(table.name, reader.name, None, None))
        elif position < head:
            since = _committed_at(log, position + 1)
            if since is None or since < horizon + SLACK:
                found.append(Hold(table.name, reader.name, position, since))
    return found


def _committed_at(log: Log, version: int) -> datetime | None:
    try:
        return log.committed_at(version)
    except FileNotFoundError:
        return None
