"""`silver.quarantine` as people read it: the message as text, with reasons and coordinates. No JVM is started.

Rows come a batch at a time, so that memory does not grow with the quarantine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError, TableNotFoundError

from lakehouse.contracts import SilverQuarantine as Q
from lakehouse.dialects import DATAFUSION
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.replacements import coordinates, replaced

COORDINATES: Final = "coordinates"
"""``source_id/partition/offset``: the name of a row."""
REPLACES: Final = "replaces"
"""The coordinates that the message's header names; null without one."""
VALUE_BYTES: Final = "value_bytes"
KEY_BYTES: Final = "key_bytes"
OTHER_HEADERS: Final = "message_headers"

READABLE: Final = (
    COORDINATES,
    Q.reasons,
    Q.value,
    Q.message_key,
    Q.headers,
    REPLACES,
    Q.resolved_by,
    Q.topic,
    Q.kafka_timestamp,
    Q.ingested_at,
    Q.quarantined_at,
)
"""What is shown of a row, in this order; ``value``, ``key`` and ``headers`` as text."""

_TIMES: Final = (Q.kafka_timestamp, Q.ingested_at, Q.quarantined_at)
_EXAMPLES: Final = 3


@dataclass(frozen=True)
class Selection:
    """Which rows are meant."""

    where: str | None = None
    """A condition in SQL over the columns of `READABLE` and ``source_id``, ``partition``, ``offset``."""
    reason: str | None = None
    is_open: bool = False
    """Only those that nothing has resolved."""

    def of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Raises LakehouseError where the condition cannot be read."""
        if self.is_open:
            rows = rows.filter(pl.col(Q.resolved_by).is_null())
        if self.reason is not None:
            rows = rows.filter(pl.col(Q.reasons).list.contains(self.reason))
        if self.where is None:
            return rows
        try:
            return pl.SQLContext(quarantine=rows).execute(f"SELECT * FROM quarantine WHERE ({self.where})", eager=True)  # noqa: S608 (a condition of whoever runs the command, over rows in memory)
        except pl.exceptions.PolarsError as error:
            known = ", ".join([*map(str, READABLE), Q.source_id, Q.partition, Q.offset])
            raise LakehouseError(
                f"--where {self.where!r}: {str(error).splitlines()[0]}; the columns are {known}"
            ) from None


class Quarantine:
    """The quarantine under ``home``, as of now. Raises LakehouseError where there is none yet."""

    def __init__(self, home: Home) -> None:
        path = home.table(Q.name)
        try:
            self._table = DeltaTable(str(path))
        except TableNotFoundError:
            raise LakehouseError(
                f"{Q.name}: is not under {home.root} yet; start `lakehouse up`, and let events come"
            ) from None
        except (DeltaError, OSError) as error:
            raise LakehouseError(f"{Q.name}: {path} cannot be read ({' '.join(str(error).split())[:200]})") from None

    def rows(self, selection: Selection) -> Iterator[pl.DataFrame]:
        """The selected rows, in no order: `READABLE`, and what was received as bytes."""
        columns = ", ".join(DATAFUSION.quoted(column) for column in Q.columns())
        for batch in self._ask(f"SELECT {columns} FROM quarantine"):  # noqa: S608 (columns of the contract)
            found = selection.of(_readable(batch))
            if found.height:
                yield found

    def newest(self, selection: Selection, limit: int) -> pl.DataFrame:
        """The newest of the selected rows, newest first."""
        found: pl.DataFrame | None = None
        for rows in self.rows(selection):
            both = rows if found is None else pl.concat([found, rows])
            found = both.sort(Q.kafka_timestamp, Q.partition, Q.offset, descending=True).head(limit)
        return pl.DataFrame(schema=dict.fromkeys(READABLE, pl.String)) if found is None else found.select(READABLE)

    def by_reason(self) -> list[dict[str, Any]]:
        """For each reason how many rows have it, how many of them are open, the first and the last time (of the
        broker, UTC), and the coordinates of the newest; the most frequent first."""
        place = " || '/' || ".join(f"CAST({DATAFUSION.quoted(column)} AS VARCHAR)" for column in Q.key)
        found = self._ask(
            f"""
            WITH each AS (
                SELECT unnest(reasons) AS reason, resolved_by, kafka_timestamp AS received, {place} AS place
                FROM quarantine
            ), ranked AS (
                SELECT *, row_number() OVER (PARTITION BY reason ORDER BY received DESC, place DESC) AS rank FROM each
            )
            SELECT reason, count(*) AS rows, count(*) - count(resolved_by) AS open,
                min(received) AS first, max(received) AS last,
                array_agg(place ORDER BY rank) FILTER (WHERE rank <= {_EXAMPLES}) AS examples
            FROM ranked GROUP BY reason ORDER BY rows DESC, reason
            """  # noqa: S608 (names of ours)
        )
        times = [pl.col(name).cast(pl.Datetime("us", "UTC")) for name in ("first", "last")]
        return [row for batch in found for row in batch.with_columns(times).to_dicts()]

    def _ask(self, query: str) -> Iterator[pl.DataFrame]:
        reader = QueryBuilder().register("quarantine", self._table).execute(query)
        for batch in reader:
            yield pl.DataFrame(pa.Table.from_batches([pa.record_batch(batch)]))


def as_text(value: bytes | None) -> str | None:
    """Bytes as text; what is no UTF-8 is escaped, as ``\\xff``."""
    return None if value is None else value.decode(errors="backslashreplace")


def _readable(received: pl.DataFrame) -> pl.DataFrame:
    texts = {Q.value: VALUE_BYTES, Q.message_key: KEY_BYTES}
    headers = [_headers_as_text(each) for each in received[Q.headers].to_list()]
    return received.select(
        coordinates().alias(COORDINATES),
        *(column for column in Q.columns() if column not in (*texts, Q.headers, *_TIMES)),
        *(pl.col(column).cast(pl.Datetime("us", "UTC")) for column in _TIMES),
        *(pl.col(column).alias(name) for column, name in texts.items()),
        *(pl.Series(column, [as_text(each) for each in received[column]], dtype=pl.String) for column in texts),
        pl.Series(Q.headers, headers, dtype=pl.List(pl.String)),
        pl.col(Q.headers).alias(OTHER_HEADERS),
        replaced(received[Q.headers]).alias(REPLACES),
    )


def _headers_as_text(headers: list[dict[str, Any]] | None) -> list[str] | None:
    if not headers:
        return None
    return [f"{header['key']}={as_text(header['value']) or ''}" for header in headers]
