"""Tables as files to take away."""

from __future__ import annotations

import polars as pl


def as_csv(rows: pl.DataFrame) -> bytes:
    """In UTF-8; moments are ISO 8601, UTC.

    A text that a spreadsheet would take for a formula gets an apostrophe before it, as such programs write it.
    """
    texts = [pl.col(name) for name, kind in rows.schema.items() if kind == pl.String]
    formula = r"^[=+\-@\t\r]"
    safe = [pl.when(text.str.contains(formula)).then(pl.lit("'") + text).otherwise(text).name.keep() for text in texts]
    return rows.with_columns(safe).write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ").encode()
