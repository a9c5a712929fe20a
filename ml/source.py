"""Users' days from `gold.user_days` and events from `silver.events`, as of a version, without Spark."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError, TableNotFoundError

from lakehouse.commits import KEY, Commit
from lakehouse.contracts import SilverEvents, UserDays
from lakehouse.dialects import DATAFUSION
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from ml.segments import Property, property_counts

EVENT_COLUMNS: Final = (
    SilverEvents.user_id,
    SilverEvents.event_type,
    SilverEvents.event_time,
    SilverEvents.session_id,
    SilverEvents.price,
    SilverEvents.quantity,
    SilverEvents.kafka_timestamp,
)
"""What users' days are made of, and when the broker had it."""


@dataclass(frozen=True)
class PinnedDays:
    """What a model is trained on: the same version always holds the same rows."""

    days: pl.DataFrame
    version: int
    """The Delta version of ``gold.user_days``."""


def load_user_days(home: Home, version: int | None = None) -> PinnedDays:
    """All users' days at ``version``, at the newest by default; by user and day.

    Raises LakehouseError where there is no such table or the version is not kept.
    """
    path = home.table(UserDays.name)
    try:
        table = DeltaTable(str(path), version=version)
        columns = ", ".join(f'"{column}"' for column in UserDays.columns())
        found = QueryBuilder().register("days", table).execute(f"SELECT {columns} FROM days").read_all()  # noqa: S608
    except TableNotFoundError:
        raise LakehouseError(
            f"{UserDays.name}: is not under {home.root} yet; start `lakehouse up`, and let events come or `lakehouse "
            "replay` a file"
        ) from None
    except (DeltaError, OSError) as error:
        newest = DeltaTable(str(path)).version()
        raise LakehouseError(
            f"--data {version}: {UserDays.name} under {home.root} cannot be read at this version, the newest is "
            f"{newest} ({' '.join(str(error).split())[:200]})"
        ) from None
    return PinnedDays(_days(found), int(table.version()))


@dataclass(frozen=True)
class PinnedEvents:
    """What users' days were made of."""

    events: pl.DataFrame
    """`EVENT_COLUMNS`."""
    version: int
    """The Delta version of ``silver.events``."""


def load_events(home: Home, days_version: int, before: datetime) -> PinnedEvents:
    """The events that happened and were received before ``before``, of the version of ``silver.events`` that is in
    ``gold.user_days`` at ``days_version``.

    Raises LakehouseError where that version is not told, or not kept.
    """
    version = _silver_version(home, days_version)
    time, received = SilverEvents.event_time, SilverEvents.kafka_timestamp
    columns = ", ".join(DATAFUSION.quoted(column) for column in EVENT_COLUMNS)
    moment = DATAFUSION.timestamp(before)
    query = f"SELECT {columns} FROM events WHERE {time} < {moment} AND {received} < {moment}"  # noqa: S608
    try:
        table = DeltaTable(str(home.table(SilverEvents.name)), version=version)
        found = pa.table(QueryBuilder().register("events", table).execute(query).read_all())
    except (DeltaError, OSError) as error:
        raise LakehouseError(
            f"--known-at-cut: {SilverEvents.name} under {home.root} cannot be read at version {version}, which "
            f"{UserDays.name} at version {days_version} was made of; take a newer --data, or train without the flag "
            f"({' '.join(str(error).split())[:200]})"
        ) from None
    return PinnedEvents(
        pl.DataFrame(found).with_columns(pl.col([time, received]).cast(pl.Datetime("us", "UTC"))), version
    )


def load_property(home: Home, days_version: int, name: str, before: datetime) -> Property | None:
    """The property ``name`` of each user's events before ``before``, of the version of ``silver.events`` that is in
    ``gold.user_days`` at ``days_version``; None where that version is not told or not kept, or no event has it.

    What is held at once is a count for each user and value, and not the events.
    """
    user, time, properties = SilverEvents.user_id, SilverEvents.event_time, SilverEvents.properties
    query = (
        f"SELECT {user}, {properties} FROM events WHERE {time} < {DATAFUSION.timestamp(before)} "  # noqa: S608
        f"AND {properties} LIKE '%\"{name}\"%'"
    )
    try:
        table = DeltaTable(str(home.table(SilverEvents.name)), version=_silver_version(home, days_version))
        batches = QueryBuilder().register("events", table).execute(query)
        counted = [property_counts(pl.DataFrame(pa.record_batch(batch)), name) for batch in batches]
    except (LakehouseError, DeltaError, OSError):
        return None
    found = [counts for counts in counted if not counts.is_empty()]
    return Property.of(name, pl.concat(found)) if found else None


def _silver_version(home: Home, days_version: int) -> int:
    """As the newest commit up to ``days_version`` that moved events says of itself."""
    table = DeltaTable(str(home.table(UserDays.name)), version=days_version)
    for limit in (20, 1_000, None):  # a log may hold thousands of commits, and the one in question is mostly the last
        for entry in table.history(limit):
            commit = Commit.from_json(entry.get(KEY)) if entry["version"] <= days_version else None
            if commit is not None and commit.source_version is not None:
                return commit.source_version
    raise LakehouseError(
        f"--known-at-cut: {UserDays.name} under {home.root} does not say at version {days_version} which version of "
        f"{SilverEvents.name} is in it; take a newer --data, or train without the flag"
    )


def _days(found: object) -> pl.DataFrame:
    days = pl.DataFrame(pa.table(found))
    times = [UserDays.first_event_time, UserDays.last_event_time, UserDays.last_purchase_time]
    return days.with_columns(pl.col(times).cast(pl.Datetime("us", "UTC"))).sort(UserDays.key)
