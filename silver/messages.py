"""Messages as bytes into the texts of their fields. Pure: no I/O, no clock.

JSON is read with msgspec: 3 µs of one core for an event of ten fields, text columns included, where Spark's
``from_json`` into a map of variants and the look-ups in it took 9 µs. Numbers are exact, whatever their size.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

import msgspec
import polars as pl

from lakehouse import event

RAW = "raw_{}"
"""A field's text; null where the message has none."""
NESTED = "nested"
"""The names of those fields that are an object or a list; null where none is."""
PROPERTIES = "properties"
"""Every field without a column of its own, as a JSON object; null where there is none."""
CONTENT = "content"
"""For a message without an id: all its fields but the time, as JSON with sorted keys and plain numbers. The same event
written another way, with another order of keys, other white space or 12.50 for 12.5, has the same."""
READABLE = "readable"
TOO_LARGE = "too_large"

CHUNK = 1_000
"""Messages whose fields are Python objects at once: few enough to stay in a core's cache, which is worth a fifth."""

_Fields = dict[str, Any]
_NOTHING: _Fields = {}
"""What an unreadable message says; told by identity from one that says nothing."""
_TEXTS = {str, type(None)}

_LONGEST_NUMBER = 38
"""Digits that a number is written out with; a longer one stays as it is, so that 1e999999999 is not."""
_EXACT = Context(prec=_LONGEST_NUMBER)

_decode = msgspec.json.Decoder(_Fields, float_hook=Decimal).decode
_decode_plain = msgspec.json.Decoder(_Fields, float_hook=lambda text: _plain(Decimal(text))).decode
_encode = msgspec.json.Encoder(decimal_format="number", order="deterministic").encode
# Nested too deep, too many digits, bytes that are no UTF-8: whatever a message does to a parser, it is unreadable.
_UNREADABLE = (msgspec.MsgspecError, RecursionError, ArithmeticError, ValueError)


def read(values: pl.Series, max_bytes: int) -> pl.DataFrame:
    """One row for each of ``values`` (binary, null for none), in their order; one over ``max_bytes`` is not read.

    Columns: ``raw_NAME`` for each field of ``lakehouse.event``, ``nested``, ``properties``, ``content``, ``readable``,
    ``too_large``.
    """
    too_large = (values.bin.size() > max_bytes).fill_null(value=False).alias(TOO_LARGE)
    taken = values.to_frame("value").select(pl.when(~too_large).then("value")).to_series()
    parts = [_read(taken.slice(first, CHUNK).to_list()) for first in range(0, max(1, len(values)), CHUNK)]
    return pl.concat(parts).with_columns(too_large)


def _read(values: list[bytes | None]) -> pl.DataFrame:
    messages = [_decoded(value) for value in values]
    ids = [fields.get(event.EVENT_ID) for fields in messages]
    # What is said of all fields comes first: then those with a column of their own are taken out.
    content = [_content(v) if f and _is_blank(i) else None for i, f, v in zip(ids, messages, values, strict=True)]
    nested: list[list[str] | None] = [None] * len(messages)
    texts = [_column(name, [fields.pop(name, None) for fields in messages], nested) for name in event.FIELDS]
    properties = [_encoded(fields) if fields else None for fields in messages]
    readable = [f is not _NOTHING and not (f and p is None) for f, p in zip(messages, properties, strict=True)]
    return pl.DataFrame(
        [
            *texts,
            pl.Series(PROPERTIES, properties, dtype=pl.String),
            pl.Series(CONTENT, content, dtype=pl.String),
            pl.Series(NESTED, nested, dtype=pl.List(pl.String)),
            pl.Series(READABLE, readable, dtype=pl.Boolean),
        ]
    )


def _decoded(value: bytes | None) -> _Fields:
    if value is None:
        return _NOTHING
    try:
        return _decode(value)
    except _UNREADABLE:
        return _NOTHING


def _encoded(fields: _Fields) -> str | None:
    try:
        return _encode(fields).decode()
    except _UNREADABLE:
        return None


def _content(value: bytes | None) -> str | None:
    assert value is not None  # noqa: S101 (it has been read)
    fields = _decode_plain(value)
    return _encoded({name: said for name, said in fields.items() if name != event.TIMESTAMP})


def _is_blank(value: Any) -> bool:
    return value is None or (type(value) is str and not value.strip())


def _column(name: str, values: list[Any], nested: list[list[str] | None]) -> pl.Series:
    """A field's texts; ``nested`` gets its name where it is an object or a list."""
    if not set(map(type, values)) <= _TEXTS:
        for row, value in enumerate(values):
            if value is not None and type(value) is not str:
                values[row] = _text(value)
                if isinstance(value, dict | list):
                    nested[row] = [*(nested[row] or []), name]
    return pl.Series(RAW.format(name), values, dtype=pl.String)


def _text(value: Any) -> str:
    """A value that is no text, as JSON writes it; an object or a list is refused wherever a text is due."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return "{}"
    return str(_plain(value)) if isinstance(value, Decimal) else str(value)


def _plain(number: Decimal) -> int | Decimal:
    """12.5 for 12.50, and 100 for 1e2 and 100.0."""
    digits, exponent = len(number.as_tuple().digits), int(number.as_tuple().exponent)
    if max(digits, digits + exponent, -exponent) > _LONGEST_NUMBER:
        return number
    plain = number.normalize(_EXACT)
    return int(plain) if plain == plain.to_integral_value() else plain
