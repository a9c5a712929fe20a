"""The facts that go with rows, read from the tables around theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import polars as pl

from lakehouse.contracts import (
    BronzeEvents,
    ChurnFeatures,
    Cohorts,
    FunnelSummary,
    FunnelWindows,
    SessionDays,
    SessionFunnel,
    SilverDuplicates,
    SilverEvents,
    Table,
    UserDays,
)
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings
from quality.facts import ACCOUNTS, BALANCES, HISTORY, Facts
from quality.rows import TableReader

BEFORE: Mapping[type[Table], type[Table]] = {
    SilverEvents: BronzeEvents,
    FunnelSummary: SilverEvents,
    UserDays: SilverEvents,
    ChurnFeatures: UserDays,
    SessionDays: SilverEvents,
    SessionFunnel: SessionDays,
}
"""The table that a table is made from, where its commits name the version that is in it."""


@dataclass(frozen=True)
class Origin:
    """By what a row is found in the table that it is made of."""

    table: type[Table]
    columns: Mapping[str, pl.Expr]
    """For each column there what it has to be, of the row."""
    at_least: Mapping[str, pl.Expr] = field(default_factory=dict)
    """So too, but there it may be more: the table goes on, and its row is replaced while this one is judged."""


MADE_OF: Mapping[type[Table], Origin] = {
    SilverDuplicates: Origin(
        SilverEvents,
        {
            SilverEvents.event_id: pl.col(SilverDuplicates.event_id),
            SilverEvents.event_time: pl.col(SilverDuplicates.event_time),
        },
    ),
    FunnelSummary: Origin(
        SilverEvents,
        {
            SilverEvents.user_id: pl.col(FunnelSummary.user_id),
            SilverEvents.event_time: pl.col(FunnelSummary.last_event_time),
        },
    ),
    UserDays: Origin(
        SilverEvents,
        {SilverEvents.user_id: pl.col(UserDays.user_id), SilverEvents.event_time: pl.col(UserDays.last_event_time)},
    ),
    ChurnFeatures: Origin(
        UserDays,
        {
            UserDays.user_id: pl.col(ChurnFeatures.user_id),
            UserDays.date: pl.col(ChurnFeatures.last_event_time).dt.date(),
        },
        {UserDays.last_event_time: pl.col(ChurnFeatures.last_event_time)},
    ),
    SessionDays: Origin(
        SilverEvents,
        {
            SilverEvents.user_id: pl.col(SessionDays.user_id),
            SilverEvents.event_time: pl.col(SessionDays.last_event_time),
        },
    ),
}

DAYS: Mapping[type[Table], str] = {
    FunnelSummary: FunnelSummary.window_date,
    FunnelWindows: FunnelWindows.window_date,
    UserDays: UserDays.date,
    SessionDays: SessionDays.date,
}
"""The day (UTC) of the events that a row counts: windows do not cross midnight, so a day's books balance."""


@dataclass(frozen=True)
class Gathering:
    """Reads facts for one run on a table of a home."""

    home: Home
    settings: Settings
    table: type[Table]
    _readers: dict[type[Table], TableReader] = field(default_factory=dict, repr=False, compare=False)

    def facts(self, now: datetime | None) -> Facts:
        """What goes with the table whatever the rows. ``now`` in UTC; None where nobody expects events to come."""
        facts = Facts(now=now)
        if self.table is BronzeEvents and now is not None:
            facts = replace(facts, newest=self._newest())
        if self.table in BEFORE and now is not None:
            facts = replace(facts, waiting_since=self._waiting_since())
        if self.table in (SilverEvents, FunnelWindows):
            watermark = self._watermark()
            facts = replace(facts, history=self._history(), complete_until=watermark)
        return facts

    def of_range(self, facts: Facts, rows: pl.DataFrame, first: int, last: int) -> Facts:
        """``facts`` and those that go with the new rows of a range of versions."""
        reader = self._reader(self.table)
        accounts = self._accounts(first, last) if self.table in (BronzeEvents, SilverEvents) else None
        repeated = reader.repeated(rows, last)
        days = set(rows.get_column(DAYS[self.table]).unique()) if self.table in DAYS else set()
        return replace(
            facts,
            mode="new",
            accounts=accounts,
            repeated=repeated,
            unknown=self._unknown(rows),
            balances=self._balances(last, days),
            sizes=self._sizes(last),
        )

    def of_part(self, facts: Facts, rows: pl.DataFrame) -> Facts:
        """``facts`` and those that go with a part of the whole table."""
        return replace(facts, mode="full", unknown=self._unknown(rows))

    def of_whole(self, facts: Facts, version: int) -> Facts:
        """``facts`` and those that go with the whole table at ``version``, whatever part is judged."""
        repeated = self._reader(self.table).repeated_anywhere(version, self.settings.quality_full_rows)
        accounts = self._kept_accounts(version) if self.table in (BronzeEvents, SilverEvents) else None
        balances, sizes = self._balances(version, None), self._sizes(version)
        return replace(facts, repeated=repeated, balances=balances, accounts=accounts, sizes=sizes)

    def _reader(self, table: type[Table]) -> TableReader:
        return self._readers.setdefault(table, TableReader(self.home, table))

    def _newest(self) -> datetime | None:
        statistics = self._reader(BronzeEvents).statistics()
        name = f"max.{BronzeEvents.kafka_timestamp}"
        if name not in statistics.columns or statistics.is_empty():
            return None
        found: datetime | None = statistics.select(pl.col(name).cast(pl.Datetime("us", "UTC")).max()).item()
        return found

    def _waiting_since(self) -> datetime | None:
        """When the first version that brought rows, of those that the table has not taken, was committed."""
        before, reader = self._reader(BEFORE[self.table]), self._reader(self.table)
        account = reader.account(reader.version())
        taken = -1 if account is None or account.source_version is None else account.source_version
        try:
            for number in range(taken + 1, before.version() + 1):
                if before.versions(number, number)[0].changes_rows:
                    return before.committed_at(number)
        except LakehouseError:  # not kept: it has waited longer than versions are kept for
            return before.committed_at(before.log.oldest())
        return None

    def _history(self) -> pl.DataFrame:
        windows = self._reader(FunnelWindows)
        days = windows.statistics()
        name = f"partition.{FunnelWindows.window_date}"
        if days.is_empty():
            return pl.DataFrame(schema=HISTORY)
        newest: date = days.select(pl.col(name).max()).item()
        kept = days.filter(pl.col(name) >= newest - timedelta(days=self.settings.quality_history_days + 1))
        return windows.scan_some([windows.file(path) for path in kept["path"]]).select(*HISTORY).collect()

    def _watermark(self) -> datetime | None:
        reader = self._reader(FunnelSummary)
        account = reader.account(reader.version())
        return None if account is None else account.watermark

    def _accounts(self, first: int, last: int) -> pl.DataFrame:
        reader = self._reader(self.table)
        before = reader.account(first - 1) if first > 0 else None
        rows = []
        for version in reader.versions(first, last):
            account = version.account
            if account is None or account.marker is not None:
                continue
            places = {} if before is None else before.offsets
            new = set(account.offsets) - set(places)
            taken = sum(end - places.get(place, 0) for place, end in account.offsets.items())
            rows.append(
                {
                    "version": version.number,
                    "rows_in": account.rows_in,
                    "rows_out": account.rows_out,
                    "rows_duplicate": account.rows_duplicate,
                    "rows_refused": account.rows_refused,
                    "rows_added": version.rows if version.only_appends else None,
                    "offsets_taken": None if new else taken,  # where a place begins is not known here
                }
            )
            before = account
        return pl.DataFrame(rows, schema=ACCOUNTS)

    def _kept_accounts(self, version: int) -> pl.DataFrame:
        return self._accounts(self._reader(self.table).log.oldest(), version)

    def _balances(self, version: int, days: set[date] | None) -> pl.DataFrame | None:
        """Each day's events in silver, as of the version that is in the table, and those that the table counts."""
        if self.table not in DAYS:
            return None
        reader, silver = self._reader(self.table), self._reader(SilverEvents)
        account = reader.account(version)
        if account is None or account.source_version is None:
            return None
        try:
            statistics = silver.statistics(silver.alike(account.source_version))
        except LakehouseError:  # silver as it was then is not kept any more
            return None
        day, counted = DAYS[self.table], pl.col("num_events").sum().alias("found")
        here = reader.statistics(version)
        if days is not None:
            here = here.filter(pl.col(f"partition.{day}").is_in(list(days)))
        files = [reader.file(path) for path in here["path"]]
        found = reader.scan_some(files).group_by(pl.col(day).alias("day")).agg(counted).collect()
        expected = (
            pl.DataFrame(schema={"day": pl.Date, "expected": pl.Int64})
            if statistics.is_empty()
            else statistics.group_by(pl.col("partition.event_date").alias("day")).agg(
                pl.col("num_records").sum().cast(pl.Int64).alias("expected")
            )
        )
        if days is not None:
            expected = expected.filter(pl.col("day").is_in(list(days)))
        return (
            expected.join(found, on="day", how="full", coalesce=True)
            .with_columns(pl.col("expected", "found").fill_null(0))
            .select(pl.format("events of {}", "day").alias("balance"), "expected", "found")
            .cast(BALANCES)
            .sort("balance")
        )

    def _sizes(self, version: int) -> pl.DataFrame | None:
        if self.table is not Cohorts:
            return None
        own = self._reader(Cohorts).scan(version).filter(pl.col(Cohorts.period) == 0)
        return own.select(Cohorts.unit, Cohorts.cohort, Cohorts.users).collect()

    def _unknown(self, rows: pl.DataFrame) -> pl.DataFrame | None:
        """The keys of rows that are not found in the table that they are made of, as it is now."""
        if self.table not in MADE_OF:
            return None
        origin, key = MADE_OF[self.table], [str(column) for column in self.table.key]
        wanted = {**origin.columns, **origin.at_least}
        asked = rows.select(*(what.alias(f"asked.{name}") for name, what in wanted.items()), *key).with_row_index()
        columns = {name: f"asked.{name}" for name in origin.columns}
        there = self._reader(origin.table).near(asked, columns).select(*wanted).unique()
        found = asked.lazy().join(there, left_on=list(columns.values()), right_on=list(columns))
        if origin.at_least:
            found = found.filter(*(pl.col(name) >= pl.col(f"asked.{name}") for name in origin.at_least))
        unknown = asked.lazy().join(found, on="index", how="anti")
        return unknown.select(key).head(1_000).collect(engine="streaming")
