"""Any bytes are read: what is an object keeps all that it says, and nothing keeps the others from being read."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse import event
from silver.messages import CHUNK, RAW, read

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from(event.FIELDS) | TEXT, VALUES, max_size=12)
NOTHING = dict.fromkeys([*(RAW.format(name) for name in event.FIELDS), "properties", "content", "nested"])


def read_all(*values: bytes | None) -> list[dict[str, Any]]:
    return read(pl.Series(values, dtype=pl.Binary), max_bytes=10_000).to_dicts()


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40) | OBJECTS.map(lambda said: json.dumps(said).encode()), max_size=6))
def test_each_message_has_a_row_whatever_it_is(values: list[bytes]) -> None:
    rows = read_all(*values)

    assert len(rows) == len(values)
    assert rows == [row for value in values for row in read_all(value)], "none is read otherwise for its neighbours"


@settings(deadline=None)
@given(OBJECTS, st.booleans())
def test_an_object_keeps_all_that_it_says(said: dict[str, Any], in_ascii: bool) -> None:
    [row] = read_all(json.dumps(said, ensure_ascii=in_ascii).encode())

    assert row["readable"]
    assert json.loads(row["properties"] or "{}") == {k: v for k, v in said.items() if k not in event.FIELDS}
    for name in event.FIELDS:
        value = said.get(name)
        if isinstance(value, list | dict):
            assert name in row["nested"]
        elif isinstance(value, str) or value is None:
            assert row[RAW.format(name)] == value
        else:
            assert json.loads(row[RAW.format(name)]) == value


def test_numbers_are_exact_and_plain_where_text_is_due() -> None:
    [row] = read_all(b'{"user_id": 123456789012345678901234567890, "price": 12.50, "quantity": 1e2, "n": 1e999999999}')

    texts = (row["raw_user_id"], row["raw_price"], row["raw_quantity"])
    assert texts == ("123456789012345678901234567890", "12.5", "100")
    assert row["properties"] == '{"n":1E+999999999}'


def test_the_largest_is_read_and_a_byte_more_is_not() -> None:
    largest = b'{"note":"' + b"x" * (10_000 - 11) + b'"}'

    first, second = read_all(largest, largest + b" ")

    assert (first["readable"], first["too_large"]) == (True, False)
    assert second == {**NOTHING, "readable": False, "too_large": True}


def test_there_may_be_none_or_more_than_are_read_at_once() -> None:
    assert read_all() == []
    assert [row["raw_user_id"] for row in read_all(*[b'{"user_id":"u"}'] * (CHUNK + 1))] == ["u"] * (CHUNK + 1)
