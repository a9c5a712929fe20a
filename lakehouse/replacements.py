"""A message that replaces a refused one says which by a header: its name, its form, and how it is read from a row.

Pure: no I/O. Whoever sends a corrected row writes the header; silver reads it; both name a row by its coordinates.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from lakehouse.contracts import BronzeEvents

HEADER: Final = "lakehouse-replaces"
"""Its value names the refused row that the message stands for: ``source_id/partition/offset``, in UTF-8."""

UNREADABLE: Final = ""
"""What a header says that is not of this form, or is there twice: no row has such coordinates."""

_FORM = r"^.{1,200}/(0|[1-9][0-9]{0,9})/(0|[1-9][0-9]{0,18})$"


def coordinates() -> pl.Expr:
    """A row's coordinates as text, ``source_id/partition/offset``, of the columns of that name."""
    place = (BronzeEvents.source_id, BronzeEvents.partition, BronzeEvents.offset)
    return pl.concat_str(*place, separator="/")


def replaced(headers: pl.Series) -> pl.Series:
    """The coordinates, as text, of the row that each message replaces; null without the header.

    ``headers`` is a column of bronze or of quarantine. `UNREADABLE` where a header is there that names no row.
    """
    if headers.list.len().fill_null(0).max() in (None, 0):  # as nearly always
        return pl.Series(headers.name, [None] * len(headers), dtype=pl.String)
    header = pl.element().struct
    said = headers.list.eval(header.field("value").filter(header.field("key") == HEADER))
    texts = [None if not values else _read(values) for values in said.to_list()]
    return pl.Series(headers.name, texts, dtype=pl.String).to_frame().select(_in_form(headers.name)).to_series()


def _read(values: list[bytes | None]) -> str:
    only = values[0] if len(values) == 1 else None
    try:
        return UNREADABLE if only is None else only.decode()
    except UnicodeDecodeError:
        return UNREADABLE


def _in_form(name: str) -> pl.Expr:
    text = pl.col(name)
    return pl.when(text.is_null() | text.str.contains(_FORM)).then(text).otherwise(pl.lit(UNREADABLE))
