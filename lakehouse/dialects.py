"""The few places where Spark SQL and DataFusion SQL (delta-rs) write one thing in two ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: datetime) -> int:
    """Microseconds since the epoch; ``moment`` must be aware: a naive one is in an unknown zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    delta = moment - EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


@dataclass(frozen=True)
class Dialect:
    """Literals that mean the same to both engines."""

    timestamp_format: str
    quote: str
    """Around an identifier that is a keyword."""
    first_elements: str
    """Of an array, at most so many."""

    def quoted(self, name: str) -> str:
        return f"{self.quote}{name}{self.quote}"

    def timestamp(self, moment: datetime) -> str:
        return self.timestamp_format.format(micros(moment))

    def date(self, day: date) -> str:
        return f"DATE '{day.isoformat()}'"

    def head(self, array: str, length: int) -> str:
        """The first elements of ``array``, at most ``length``."""
        return self.first_elements.format(array, length)

    def within(self, column: str, ranges: Sequence[tuple[datetime, datetime]]) -> str:
        """``column`` lies in one of the closed ranges, as literals: only those let files be skipped."""
        return " OR ".join(f"({column} BETWEEN {self.timestamp(a)} AND {self.timestamp(b)})" for a, b in ranges)


SPARK = Dialect("timestamp_micros({})", "`", "slice({}, 1, {})")
DATAFUSION = Dialect("""arrow_cast({}, 'Timestamp(Microsecond, Some("UTC"))')""", '"', "array_slice({}, 1, {})")


def cover(spans: Sequence[tuple[datetime, datetime]], at_most: int = 32) -> list[tuple[datetime, datetime]]:
    """At most ``at_most`` closed ranges that hold all ``spans``, split at the widest gaps.

    On a table of 150 files one range from the least to the greatest time left 126 files to read, an IN list
    121, an OR of ranges 2.
    """
    ordered = sorted(spans)
    merged: list[tuple[datetime, datetime]] = []
    for start, end in ordered:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    gaps = sorted(range(1, len(merged)), key=lambda i: merged[i][0] - merged[i - 1][1], reverse=True)
    cuts = sorted(gaps[: at_most - 1])
    return [
        (merged[first][0], merged[last - 1][1])
        for first, last in zip([0, *cuts], [*cuts, len(merged)], strict=True)
        if first < last
    ]
