"""What the shop sends beside its events: some of them once more, and lines that no event can be made of.

Neither change a number of the funnel, of users or of sessions; they have numbers of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import polars as pl

COPIES: Final = 1_000

_SPOILT: Final = {
    "unknown_type": ("event_type", "teleport", 40),
    "wrong_type:price": ("value", "cheap", 25),
    "implausible_time": ("event_time", "1999-12-31T23:59:59.000000Z", 5),
}
"""By silver's reason: the column of a line that is spoilt, what stands in it, and in how many lines."""

REFUSED: Final = {reason: lines for reason, (_, _, lines) in _SPOILT.items()}
"""Lines by the reason for which they are refused."""

MORE: Final = COPIES + sum(REFUSED.values())


def write(shop: Path, target: Path) -> Path:
    """The first lines of the file ``shop`` as they are, then spoilt ones, into ``target``."""
    lines = pl.read_csv(shop, infer_schema=False)
    whole = lines.filter(pl.col("event_type") == "view_item", pl.col("value").is_not_null())
    parts, first = [lines.head(COPIES)], 0
    for column, text, count in _SPOILT.values():
        parts.append(whole.slice(first, count).with_columns(pl.lit(text).alias(column)))
        first += count
    pl.concat(parts).write_csv(target)
    return target
