"""Whatever a producer writes comes back as it was."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg2.extensions import connection as Connection

from serving.copytext import copy_text
from serving.postgres import transaction

NASTY = [
    None,
    "",
    "\\N",
    "NULL",
    "\\.",
    "first\n\\.\nlast",
    'she said "no"',
    "it's",
    "tab\there",
    "line\r\nend\r",
    "back\\slash\\",
    "\\t \\n \\x41 \\101",
    "{a,b}",
    "a,b",
    " padded ",
    "😀 \u202eright to left\u202c مرحبا",
    "\u0001\u007f\u2028\ufeff",
    "x" * 300_000,
]
TEXT = st.none() | st.sampled_from(NASTY[:-1]) | st.text(st.characters(codec="utf-8", exclude_characters="\x00"))


def round_trip(conn: Connection, texts: list[str | None], lists: list[list[str | None] | None]) -> list[tuple]:
    rows = pa.table(
        {
            "position": pa.array(range(len(texts)), pa.int64()),
            "one": pa.array(texts, pa.string()),
            "many": pa.array(lists, pa.list_(pa.string())),
        }
    )
    with transaction(conn) as cursor:
        cursor.execute("CREATE TEMPORARY TABLE nasty (position bigint, one text, many text[]) ON COMMIT DROP")
        cursor.copy_expert("COPY nasty FROM STDIN", copy_text(rows))
        cursor.execute("SELECT one, many FROM nasty ORDER BY position")
        return cursor.fetchall()


def test_texts_that_mean_something_to_copy_arrays_or_sql(writer: Connection) -> None:
    lists = [None, [], [None], *[[text, None, text] for text in NASTY[3:]]]
    assert round_trip(writer, NASTY, lists) == list(zip(NASTY, lists, strict=True))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_text(writer: Connection, data: st.DataObject) -> None:
    texts = data.draw(st.lists(TEXT, min_size=1, max_size=20))
    lists = data.draw(st.lists(st.none() | st.lists(TEXT, max_size=4), min_size=len(texts), max_size=len(texts)))
    assert round_trip(writer, texts, lists) == list(zip(texts, lists, strict=True))


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_columns_in_any_number_of_chunks(chunks: int) -> None:
    piece = pa.table({"a": [1, None], "b": [["x"], None], "c": ["y", None]})
    table = pa.concat_tables([piece.slice(1)] * chunks) if chunks else piece.slice(0, 0)
    assert copy_text(table).read() == b"\\N\t\\N\t\\N\n" * chunks
