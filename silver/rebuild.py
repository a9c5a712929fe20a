"""`lakehouse rebuild silver`: silver's three tables made anew from bronze, beside the rounds.

The same stage that follows bronze fills staged tables with all that bronze holds, or with what it has received since a
day; at the end, between two rounds, it takes what has come meanwhile, and the days that are not as they were take the
place of those that are there. Silver's readers (gold, users' days, the mirror) then make anew what came of these days.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from lakehouse.commits import REBUILT, Commit
from lakehouse.contracts import BronzeEvents, SilverDuplicates, SilverEvents, SilverQuarantine, Table
from lakehouse.errors import LakehouseError
from lakehouse.frames import to_arrow
from lakehouse.jobs import Progress
from lakehouse.rebuild.staging import StagingStore, staging
from lakehouse.rebuild.swap import Partition, partitions, perform, plan, unlike
from silver.identity import COORDINATES
from silver.stream import RECEIVED, SilverStage
from silver.transforms import READ

if TYPE_CHECKING:
    from lakehouse.writer import Writer

B, Q = BronzeEvents, SilverQuarantine
TABLES: tuple[type[Table], ...] = (SilverDuplicates, SilverQuarantine, SilverEvents)
"""In the order in which a batch is committed to them."""
FEW_VERSIONS = 20
"""So many versions of bronze are caught up with while the rounds wait; more are taken beside them."""
_ALL = tuple(dict.fromkeys((*READ, *RECEIVED)))

COMPARED: Mapping[type[Table], tuple[str, ...]] = {
    SilverDuplicates: SilverDuplicates.columns(),
    SilverEvents: SilverEvents.columns(),
    # When it was refused is of the run, not of the row.
    Q: tuple(column for column in Q.columns() if column != Q.quarantined_at),
}


@dataclass(frozen=True)
class Beyond:
    """The rows that are made anew: those from an offset of each partition on; all where there are no offsets."""

    offsets: Mapping[tuple[str, int], int] | None

    def before(self) -> pl.Expr:
        """Whether a row, by its coordinates, stays as it is."""
        if self.offsets is None:
            return pl.lit(value=False)
        source, partition, offset = (pl.col(column) for column in COORDINATES)
        beyond = [(source == s) & (partition == p) & (offset >= o) for (s, p), o in self.offsets.items()]
        return ~pl.any_horizontal(beyond) if beyond else pl.lit(value=True)

    def has(self, coordinates: str) -> bool:
        source, partition, offset = coordinates.rsplit("/", 2)
        return self.offsets is None or int(offset) >= self.offsets.get((source, int(partition)), 2**63)


def rebuild(writer: Writer, since: date | None, progress: Progress) -> dict[str, Any]:
    """Result: for each table how many partitions and rows were replaced. Raises LakehouseError where silver holds
    nothing, EngineLost where the last step is left to the next start."""
    silver, store = writer.stage("silver"), writer.context.store
    if not isinstance(silver, SilverStage):
        raise LakehouseError("rebuild: there is no silver here")
    with writer.runner.turn:
        position = silver.reached()
        real = {table: store.version(table) for table in TABLES}
    if position < 0:
        raise LakehouseError("rebuild silver: silver has taken nothing from bronze yet")
    with staging(store, TABLES) as staged:
        own = SilverStage(replace(writer.context, store=staged))
        _fill(own, staged, position, since, progress)
        while (behind := (silver.position or position) - position) > FEW_VERSIONS:
            progress(f"{behind:,} versions of bronze have come meanwhile")
            position = _catch_up(own, position, position + behind)
        progress("comparing with what is there")
        compared = {table: staged.version(table) for table in TABLES}
        unequal = {
            table: unlike(
                staged_reader(writer, staged),
                real[table],
                staged,
                table,
                COMPARED[table],
                partitions(staged_reader(writer, staged), table, real[table]) | partitions(staged, table),
            )
            for table in TABLES
        }
        with writer.runner.turn:
            progress("the rounds wait")
            position = _catch_up(own, position, silver.reached())
            for table in TABLES:
                touched = _touched(store, table, real[table]) | _touched(staged, table, compared[table])
                unequal[table] = (unequal[table] - touched) | unlike(
                    store, store.version(table), staged, table, COMPARED[table], touched
                )
            last = silver.last
            assert last is not None  # noqa: S101 (it has taken something)
            commit = Commit(
                silver.name,
                silver.generation + 1,
                position,
                offsets=last.offsets,
                source_version=position,
                marker=REBUILT,
            )
            swaps = [plan(store, staged, table, unequal[table], commit) for table in TABLES]
            if any(swap.adds or swap.removes for swap in swaps):
                perform(store, staged, swaps)
            silver.position = silver.reached()
    return {swap.table.name: {"partitions": len(unequal[swap.table]), "rows": swap.rows} for swap in swaps}


def staged_reader(writer: Writer, staged: StagingStore) -> StagingStore:
    """The tables that are there, by handles that no round uses."""
    store = writer.context.store
    return StagingStore(store.home, staged.settings, store.spark)


def _fill(own: SilverStage, staged: StagingStore, version: int, since: date | None, progress: Progress) -> None:
    """Puts into the staged tables what bronze held at ``version``, in the order in which it came."""
    beyond = Beyond(None)
    if since is not None:
        beyond = Beyond(_first_offsets(staged, version, since))
        _keep(staged, beyond, progress)
    own.generation, own.last, done = 0, None, 0
    total = int(_of(staged, version, since).select(pl.len()).collect().item())
    for number, (first, last) in enumerate(_chunks(staged, version, since)):
        between = pl.col(B.ingested_at).is_between(first, last)
        days = pl.col(B.ingest_date).is_between(first.date(), last.date())
        rows = _of(staged, version, since).filter(days & between).select(_ALL).sort(*COORDINATES).collect()
        table = to_arrow(rows)
        own.place(lambda columns, table=table: table.select([str(c) for c in columns]), rows.height, number)  # type: ignore[misc]
        done += rows.height
        progress(f"bronze → silver: {done:,} of {total:,} rows")
    own.generation = 1


def _keep(staged: StagingStore, beyond: Beyond, progress: Progress) -> None:
    """Copies what stays as it is; what was resolved by a row that is made anew is open again until that is."""
    there = StagingStore(staged.home, staged.settings, staged.spark)
    for table in TABLES:
        progress(f"{table.name}: what came before stays as it is")
        for number, partition in enumerate(sorted(partitions(there, table), key=str)):
            rows = there.scan(table).filter(beyond.before())
            for column, value in zip(table.partition_by, partition, strict=True):
                rows = rows.filter(pl.col(column) == value)
            found = rows.collect()
            if table is Q:
                by = found[Q.resolved_by]
                again = [None if each is None or beyond.has(each) else each for each in by]
                found = found.with_columns(pl.Series(Q.resolved_by, again, dtype=pl.String))
            if found.height:
                staged.append(table, to_arrow(found), Commit("kept", 0, number, rows_in=found.height))


def _first_offsets(staged: StagingStore, version: int, since: date) -> dict[tuple[str, int], int]:
    source, partition, offset = COORDINATES
    found = _of(staged, version, since).group_by(source, partition).agg(pl.col(offset).min()).collect()
    return {(row[0], row[1]): row[2] for row in found.iter_rows()}


def _of(staged: StagingStore, version: int, since: date | None) -> pl.LazyFrame:
    rows = staged.scan(B, version)
    return rows if since is None else rows.filter(pl.col(B.ingest_date) >= since)


def _chunks(staged: StagingStore, version: int, since: date | None) -> Iterator[tuple[datetime, datetime]]:
    """Spans of ``ingested_at``, both ends included: whole batches of bronze, up to ``max_events_per_batch`` rows."""
    batches = _of(staged, version, since).group_by(B.ingested_at).len().sort(B.ingested_at).collect()
    first: datetime | None = None
    last: datetime | None = None
    rows = 0
    for moment, count in batches.iter_rows():
        if first is not None and last is not None and rows + count > staged.settings.max_events_per_batch:
            yield first, last
            first, rows = None, 0
        first, last, rows = first or moment, moment, rows + count
    if first is not None and last is not None:
        yield first, last


def _catch_up(own: SilverStage, taken: int, until: int) -> int:
    while taken < until:
        last = own._end_of_range(taken + 1, until)
        own.take(taken + 1, last)
        taken = last
    return taken


def _touched(store: Any, table: type[Table], since: int) -> set[Partition]:
    """The partitions that versions behind ``since`` have changed."""
    head = store.version(table)
    touched = [files for each in store.versions(table, since + 1, head) if each.changes_rows for files in each.touched]
    return {tuple(_typed(column.type, files[column]) for column in table.partition_by) for files in touched}


def _typed(kind: object, text: str) -> Any:
    return date.fromisoformat(text) if kind == "date" else text
