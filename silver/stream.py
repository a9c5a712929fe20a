"""The stream from bronze into silver: parse, compare with what is there, and put every row into one table."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.commits import Commit
from lakehouse.contracts import BronzeEvents, SilverDuplicates, SilverEvents, SilverQuarantine
from lakehouse.dialects import Dialect, cover
from lakehouse.faultpoints import reach
from lakehouse.stages import Context, DeltaStage, Stage, utc_now
from lakehouse.store import Frame, count, where
from silver.transforms import COORDINATES, DUPLICATE, NEW, OUTCOME, REFUSED, classify, parse, spans


def stages(context: Context) -> list[Stage]:
    return [SilverStage(context)]


class SilverStage(DeltaStage):
    """Takes bronze's new rows; each becomes an event, a duplicate or a quarantined row."""

    name = "silver"
    origin = BronzeEvents
    target = SilverEvents

    def process(self, rows: DataFrame, commit: Commit) -> Commit:
        """One micro-batch, in this order:

        1. the rows are parsed and judged, and compared with silver near their times;
        2. duplicates, then refused rows, are appended to their tables;
        3. new events are appended to ``silver.events``: with this commit the batch counts as taken.

        A kill between them is mended by doing the batch again: what it did is skipped by transaction id, and a row
        that is in silver under its own coordinates is told from a copy.
        """
        store, settings = self.context.store, self.context.settings
        parsed = parse(rows, settings).persist()
        try:
            found = spans(parsed).collect()
            total = sum(row["rows"] for row in found)
            times = [_whole_ms(row["earliest"], row["latest"]) for row in found if row["earliest"] is not None]
            outcomes = classify(parsed, self._near(times), utc_now())
            with store.gathered(outcomes, total) as gathered:
                events, duplicates, refused = (where(gathered, OUTCOME, o) for o in (NEW, DUPLICATE, REFUSED))
                before = {} if self.last is None else dict(self.last.offsets)
                commit = self.read_up_to(commit).with_(
                    offsets=before | _ends(gathered),
                    rows_in=total,
                    rows_out=count(events),
                    rows_duplicate=count(duplicates),
                    rows_refused=count(refused),
                )
                if commit.rows_duplicate:
                    store.append(SilverDuplicates, duplicates, commit)
                if commit.rows_refused:
                    store.append(SilverQuarantine, refused, commit)
                reach("between-silver-tables")
                store.append(SilverEvents, events, commit)
        finally:
            parsed.unpersist()
        return commit

    def _near(self, times: list[tuple[datetime, datetime]]) -> DataFrame:
        """What silver holds at the batch's times: literal ranges, so that few files are read."""
        ranges = cover(times)

        def near(dialect: Dialect) -> str:
            if not ranges:
                return "false"
            days = sorted({day.date() for bounds in ranges for day in bounds})
            dates = f"event_date BETWEEN {dialect.date(days[0])} AND {dialect.date(days[-1])}"
            return f"{dates} AND ({dialect.within(SilverEvents.event_time, ranges)})"

        columns = (SilverEvents.event_id, SilverEvents.event_time, *COORDINATES)
        return self.context.store.read(SilverEvents, near).select(*columns)

    def recover(self, last: Commit) -> None:
        """Takes back the side rows of a batch whose events were never committed: it will be done again."""
        if not last.offsets:
            return
        taken = " OR ".join(
            "(source_id = '{}' AND partition = {} AND \"offset\" < {})".format(*name.rsplit("/", 1), end)
            for name, end in last.offsets.items()
        )

        def beyond(_: Dialect) -> str:
            return f"NOT ({taken})"

        marker = Commit(self.name, last.generation, -1, marker="rows of an unfinished batch taken back")
        for table in (SilverDuplicates, SilverQuarantine):
            self.context.store.delete(table, beyond, marker)


def _ends(rows: Frame) -> dict[str, int]:
    """For each ``source_id/partition`` the offset after the last one of ``rows``."""
    source, partition, offset = (str(c) for c in COORDINATES)
    if isinstance(rows, pa.Table):
        found = pa.TableGroupBy(rows, [source, partition]).aggregate([(offset, "max")]).to_pylist()
        return {f"{row[source]}/{row[partition]}": row[f"{offset}_max"] + 1 for row in found}
    last = rows.groupBy(source, partition).agg(F.max(offset).alias("last")).collect()
    return {f"{row[source]}/{row[partition]}": row["last"] + 1 for row in last}


def _whole_ms(earliest: datetime, latest: datetime) -> tuple[datetime, datetime]:
    """The closed range widened to whole milliseconds, in which the key is compared, as aware times.

    Spark hands a TIMESTAMP to Python as naive local time; as a literal it would be wrong outside UTC.
    """
    first, last = earliest.astimezone(UTC), latest.astimezone(UTC)
    return (
        first.replace(microsecond=first.microsecond // 1000 * 1000),
        last.replace(microsecond=last.microsecond // 1000 * 1000 + 999),
    )
