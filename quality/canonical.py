"""One canonical text per row, the same in Spark SQL and in Postgres, so that tables can be compared by a checksum.

A row is its columns' texts joined by U+001F, null as "(null)"; times are epoch microseconds. The
checksum of a set of rows is the sum of the first 60 bits of each text's MD5: it does not depend on their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lakehouse.contracts import (
    ChurnFeatures,
    Cohorts,
    Column,
    FunnelSummary,
    FunnelWindows,
    QualityDecisions,
    QualityResults,
    SessionFunnel,
    SilverEvents,
    Table,
)

Engine = Literal["spark", "postgres"]


@dataclass(frozen=True)
class Mirrored:
    """A Delta table and its mirror, and the columns that are compared."""

    table: type[Table]
    mirror: str
    columns: Sequence[Column]


MIRRORED = (
    Mirrored(SilverEvents, "raw_events", SilverEvents.mirrored_columns()),
    Mirrored(FunnelSummary, "funnel_summary", FunnelSummary.mirrored_columns()),
    Mirrored(FunnelWindows, "funnel_windows", FunnelWindows.mirrored_columns()),
    Mirrored(SessionFunnel, "session_funnel", SessionFunnel.mirrored_columns()),
    # Of a score only what it is of can be told from the table. A row that the API refused is there like any other.
    Mirrored(ChurnFeatures, "churn_prediction", (ChurnFeatures.user_id, ChurnFeatures.as_of)),
    Mirrored(Cohorts, "cohorts", Cohorts.mirrored_columns()),
    Mirrored(
        QualityResults,
        "quality_results",
        # A double has no text that both engines write alike.
        [column for column in QualityResults.mirrored_columns() if column != QualityResults.duration_seconds],
    ),
    Mirrored(QualityDecisions, "quality_decisions", QualityDecisions.mirrored_columns()),
)


def checksum(columns: Sequence[Column], engine: Engine) -> str:
    """SQL for the checksum of the rows at hand, as text; and null where there are none."""
    text = f"concat_ws({_SEPARATOR[engine]}, {', '.join(_text(column, engine) for column in columns)})"
    if engine == "spark":
        return f"CAST(sum(CAST(conv(substr(md5({text}), 1, 15), 16, 10) AS DECIMAL(38,0))) AS STRING)"
    return f"sum(('x' || substr(md5({text}), 1, 15))::bit(60)::bigint::numeric)::text"


_SEPARATOR: dict[Engine, str] = {"spark": "char(31)", "postgres": "chr(31)"}
_TEXTS: dict[Engine, dict[str, str]] = {
    "spark": {"timestamp": "CAST(unix_micros({0}) AS STRING)", "array": "array_join({0}, char(30))"},
    "postgres": {
        "timestamp": "(extract(epoch FROM {0}) * 1000000)::bigint::text",
        "array": "array_to_string({0}, chr(30))",
        "boolean": "CASE {0} WHEN true THEN 'true' WHEN false THEN 'false' END",
    },
}
_OTHERWISE: dict[Engine, str] = {"spark": "CAST({0} AS STRING)", "postgres": "{0}::text"}


def _text(column: Column, engine: Engine) -> str:
    name = f"`{column}`" if engine == "spark" else f'"{column}"'
    kind = column.type if isinstance(column.type, str) else column.type["type"]
    return f"coalesce({_TEXTS[engine].get(kind, _OTHERWISE[engine]).format(name)}, '(null)')"
