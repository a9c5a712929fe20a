"""From bronze into silver: parse, compare with what is there, and put every row into one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial

import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.commits import Commit
from lakehouse.contracts import BronzeEvents, SilverDuplicates, SilverEvents, SilverQuarantine
from lakehouse.dialects import EPOCH, Dialect, cover
from lakehouse.faultpoints import reach
from lakehouse.follow import Follower
from lakehouse.frames import Frame, apply, conform, count, to_arrow, union, where
from lakehouse.replacements import coordinates
from lakehouse.stages import Context, Stage, utc_now
from lakehouse.store import Merge
from silver.identity import (
    COORDINATES,
    DUPLICATE,
    EXISTING_COLUMNS,
    JOIN_ID,
    NEW,
    OUTCOME,
    REFUSED,
    REUSED,
    TIME_MS,
    classify,
)
from silver.predicates import EVENT_ID_REUSED
from silver.replacements import (
    known_rows,
    named,
    now_resolved,
    refusals,
    resolutions,
    with_header_or_refused,
    with_resolutions,
    without,
)
from silver.transforms import CANDIDATES, READ, candidates

SPAN_MS = 600_000
"""The times of a batch are looked at in spans of ten minutes, to find the few ranges that hold them all."""

Q = SilverQuarantine
RECEIVED = (Q.message_key, Q.value, Q.headers, Q.topic, Q.ingested_at, Q.ingest_date)

Ranges = list[tuple[datetime, datetime]]


def stages(context: Context) -> list[Stage]:
    return [SilverStage(context)]


class SilverStage(Follower):
    """Takes bronze's new rows; each becomes an event, a duplicate or a quarantined row."""

    name = "silver"
    origin = BronzeEvents
    targets = (SilverEvents,)
    generation = 0
    last: Commit | None = None

    def reached(self) -> int:
        """Takes back, before it answers, the side rows of a batch whose events were never committed.

        The batch will be done again, perhaps with other rows beside it: under a new generation, for its transaction
        ids are taken.
        """
        store = self.context.store
        self.last = store.last_commit(SilverEvents)
        sides = {table: store.last_commit(table) for table in (SilverDuplicates, SilverQuarantine)}
        done = -1 if self.last is None else self.last.batch_id
        self.generation = max((c.generation for c in (self.last, *sides.values()) if c is not None), default=0)
        ahead = [table for table, commit in sides.items() if commit is not None and commit.batch_id > done]
        if ahead:
            self.generation += 1
            self.context.log(f"silver: takes back what a batch after {done} left; generation {self.generation}")
        if SilverQuarantine in ahead:
            self._reopen({} if self.last is None else self.last.offsets)
        for table in ahead:
            marker = Commit(self.name, self.generation, -1, marker="rows of an unfinished batch taken back")
            store.delete(table, _beyond({} if self.last is None else self.last.offsets), marker)
        self.state.rows = store.rows(SilverEvents)
        return -1 if self.last is None or self.last.source_version is None else self.last.source_version

    def take(self, first: int, last: int) -> None:
        """One batch, in this order:

        1. the rows are parsed and judged, and compared with those that they replace and with silver near their times;
        2. duplicates, then refused rows, are appended to their tables; with the latter the older ones that the batch
           resolves are marked;
        3. new events are appended to ``silver.events``: with this commit the batch counts as taken.

        A kill between them is mended by ``reached``.
        """
        store = self.context.store
        versions = store.versions(BronzeEvents, first, last)
        if not any(version.changes_rows for version in versions):
            return
        about = sum(version.rows for version in versions)
        self.place(partial(store.inserted, BronzeEvents, first, last), about, last)

    def place(self, received_rows: Callable[[Sequence[str]], Frame], about: int, batch_id: int) -> None:
        """Puts each row of bronze of one batch into one table; ``received_rows`` gives the columns asked for of them,
        ``about`` so many. ``batch_id`` is the version of bronze that is wholly in with it."""
        store, settings = self.context.store, self.context.settings
        began = utc_now()
        received = received_rows(READ)
        alone = apply(received, partial(candidates, settings=settings, quarantined_at=began), CANDIDATES)
        with ExitStack() as held:
            batch = held.enter_context(store.gathered(alone, about))
            known = self._known(batch)
            if known is not None:
                batch = without(batch, refusals(with_header_or_refused(batch), known))
            judged = held.enter_context(self._judged(batch))
            events, duplicates, refused = (where(judged, OUTCOME, *o) for o in ([NEW], [DUPLICATE], [REFUSED, REUSED]))
            before = {} if self.last is None else dict(self.last.offsets)
            commit = Commit(
                self.name,
                self.generation,
                batch_id,
                offsets=before | _ends(judged),
                source_version=batch_id,
                rows_in=count(judged),
                rows_out=count(events),
                rows_duplicate=count(duplicates),
                rows_refused=count(refused),
            )
            if commit.rows_duplicate:
                store.append(SilverDuplicates, duplicates, commit)
            if commit.rows_refused or known is not None:
                rows = received_rows((*COORDINATES, *RECEIVED))
                self._quarantine(_as_received(with_reasons(refused), rows), judged, known, commit)
            reach("between-silver-tables")
            store.append(SilverEvents, _by_time(events), commit)
        self.last = commit
        self.state.taken(commit, began)

    def _reopen(self, taken: Mapping[str, int]) -> None:
        """Takes back what messages beyond ``taken`` have resolved.

        Its commit names the batch that is taken back, so that after a kill the rest is still found to be done.
        """
        store, left = self.context.store, self.context.store.last_commit(Q)
        by = store.scan(Q).select(pl.col(Q.resolved_by).unique()).collect().to_series().drop_nulls().to_list()
        beyond = [each for each in by if int(each.rsplit("/", 1)[1]) >= taken.get(each.rsplit("/", 1)[0], 0)]
        if not beyond or left is None:
            return
        literals = ", ".join(f"'{each}'" for each in beyond)
        marker = Commit(
            self.name, self.generation, left.batch_id, marker="resolutions of an unfinished batch taken back"
        )
        changes = {str(Q.resolved_by): "CAST(NULL AS STRING)"}
        store.update(Q, lambda _: f"{Q.resolved_by} IN ({literals})", changes, marker)

    def _known(self, batch: Frame) -> pl.DataFrame | None:
        """The quarantined rows that the batch's headers name; None where no message has a header."""
        roots = named(batch)
        if not roots:
            return None
        columns = (*COORDINATES, Q.headers, Q.resolved_by, Q.ingest_date)
        might = coordinates().is_in(roots) | (pl.col(Q.headers).list.len() > 0)
        return known_rows(self.context.store.scan(Q).filter(might).select(columns).collect(), roots)

    def _quarantine(self, received: Frame, judged: Frame, known: pl.DataFrame | None, commit: Commit) -> None:
        """One commit: the refused rows, and with it the older ones that a message of the batch has resolved."""
        store = self.context.store
        if known is None:
            store.append(Q, received, commit)
            return
        resolved = resolutions(judged)
        received = with_resolutions(received, known, resolved)
        older = now_resolved(known, resolved)
        if not older.height:
            store.append(Q, received, commit)
            return
        days = sorted(set(older[Q.ingest_date]))

        def on(dialect: Dialect) -> str:
            return f"{Q.ingest_date} IN ({', '.join(dialect.date(day) for day in days)})"

        old = pl.DataFrame(store.of(Q, to_arrow(older.select(Q.key)), on)).drop(Q.resolved_by)
        rows = to_arrow(old.join(older.select(*Q.key, Q.resolved_by), on=Q.key).select(*Q.columns()))
        if isinstance(received, pa.Table):
            both: Frame = union(conform(received, Q), rows)
        else:
            both = union(received.select(*Q.columns()), self.context.spark.createDataFrame(rows))
        resolve = Merge(Q.key, lambda dialect: f"t.{on(dialect)}", lambda _: {str(Q.resolved_by): "s.resolved_by"})
        store.merge(Q, both, resolve, commit)

    @contextmanager
    def _judged(self, batch: Frame) -> Iterator[Frame]:
        """``batch`` with its outcomes, by the engine that holds it."""
        if isinstance(batch, pa.Table):
            yield classify(batch, self._existing_here(batch))
            return
        judged = classify(batch, self._existing(spans(batch))).persist()
        try:
            yield judged
        finally:
            judged.unpersist()

    def _existing(self, ranges: Ranges) -> DataFrame:
        """What silver holds at the batch's times: literal ranges, so that few files are read."""

        def near(dialect: Dialect) -> str:
            if not ranges:
                return "false"
            first, last = ranges[0][0].date(), ranges[-1][1].date()
            dates = f"event_date BETWEEN {dialect.date(first)} AND {dialect.date(last)}"
            return f"{dates} AND ({dialect.within(SilverEvents.event_time, ranges)})"

        time_ms = F.unix_millis(SilverEvents.event_time).alias(TIME_MS)
        return self.context.store.read(SilverEvents, near).withColumn(TIME_MS, time_ms).select(*EXISTING_COLUMNS)

    def _existing_here(self, batch: pa.Table) -> pl.DataFrame:
        """The same, read in this process, and only the rows that have an id of the batch."""
        ranges = spans(batch)
        time = pl.col(SilverEvents.event_time)
        ids = pl.DataFrame(batch.select([JOIN_ID])).lazy().drop_nulls().unique()
        near = pl.any_horizontal(*(time.is_between(a, b) for a, b in ranges)) if ranges else pl.lit(False)
        days = {a.date() + timedelta(days=n) for a, b in ranges for n in range((b.date() - a.date()).days + 1)}
        return (
            self.context.store.scan(SilverEvents)
            .filter(pl.col(SilverEvents.event_date).is_in(sorted(days)) & near)
            .select(SilverEvents.event_id, time.dt.epoch("ms").alias(TIME_MS), *COORDINATES)
            .join(ids, left_on=SilverEvents.event_id, right_on=JOIN_ID, how="semi")
            .collect()
        )


def _as_received(refused: Frame, rows: Frame) -> Frame:
    """The refused rows with all that bronze holds of them: it is looked up for these few, not carried for all."""
    if isinstance(refused, pa.Table):
        return to_arrow(pl.DataFrame(refused).join(pl.DataFrame(rows), on=COORDINATES, how="left"))
    return refused.join(rows, on=[str(column) for column in COORDINATES], how="left")


def spans(batch: Frame) -> Ranges:
    """The few closed ranges, of whole milliseconds as the key is, that hold the times of all valid rows; aware."""
    if isinstance(batch, pa.Table):
        times = pl.DataFrame(batch.select([JOIN_ID, TIME_MS])).lazy().drop_nulls(JOIN_ID).select(TIME_MS)
        span = times.group_by(pl.col(TIME_MS) // SPAN_MS).agg(
            pl.col(TIME_MS).min().alias("least"), pl.col(TIME_MS).max().alias("most")
        )
        found = span.select("least", "most").collect().rows()
    else:
        valid = batch.where(F.col(JOIN_ID).isNotNull())
        grouped = valid.groupBy(F.floor(F.col(TIME_MS) / SPAN_MS)).agg(F.min(TIME_MS), F.max(TIME_MS))
        found = [(row[1], row[2]) for row in grouped.collect()]
    return cover([(_moment(least), _moment(most) + timedelta(microseconds=999)) for least, most in found])


def with_reasons(refused: Frame) -> Frame:
    """A row that passed every predicate and is refused has its id reused."""
    if isinstance(refused, pa.Table):
        rows = pl.DataFrame(refused.select([OUTCOME, str(SilverQuarantine.reasons)]))
        said = pl.when(pl.col(OUTCOME) == REUSED).then([EVENT_ID_REUSED]).otherwise(SilverQuarantine.reasons)
        reasons = rows.select(said.alias(SilverQuarantine.reasons)).to_series().to_arrow()
        place = refused.column_names.index(SilverQuarantine.reasons)
        return refused.set_column(place, str(SilverQuarantine.reasons), reasons)
    reused = F.col(OUTCOME) == REUSED
    said_there = F.when(reused, F.array(F.lit(EVENT_ID_REUSED))).otherwise(F.col(SilverQuarantine.reasons))
    return refused.withColumn(SilverQuarantine.reasons, said_there)


def _beyond(offsets: Mapping[str, int]) -> Callable[[Dialect], str]:
    """Rows whose coordinates ``offsets`` do not hold."""

    def beyond(dialect: Dialect) -> str:
        taken = " OR ".join(
            f"(source_id = '{source}' AND partition = {partition} AND {dialect.quoted('offset')} < {end})"
            for (source, partition), end in ((name.rsplit("/", 1), end) for name, end in offsets.items())
        )
        return f"NOT ({taken})" if taken else "true"

    return beyond


def _by_time(events: Frame) -> Frame:
    """In order of time where that is cheap, so that a reader skips most row groups of a file."""
    return events.sort_by(str(SilverEvents.event_time)) if isinstance(events, pa.Table) else events


def _ends(rows: Frame) -> dict[str, int]:
    """For each ``source_id/partition`` the offset after the last one of ``rows``."""
    source, partition, offset = (str(c) for c in COORDINATES)
    if isinstance(rows, pa.Table):
        found = pa.TableGroupBy(rows, [source, partition]).aggregate([(offset, "max")]).to_pylist()
        return {f"{row[source]}/{row[partition]}": row[f"{offset}_max"] + 1 for row in found}
    last = rows.groupBy(source, partition).agg(F.max(offset).alias("last")).collect()
    return {f"{row[source]}/{row[partition]}": row["last"] + 1 for row in last}


def _moment(epoch_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=epoch_ms)
