"""What a commit says of itself is read back as it was written."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.commits import Commit

WATERMARK = datetime(2026, 3, 1, 9, 30, 0, 123_456, tzinfo=UTC)

commits = st.builds(
    Commit,
    query=st.text(min_size=1),
    generation=st.integers(0, 1_000),
    batch_id=st.integers(-1, 2**62),
    offsets=st.dictionaries(st.text(), st.integers(0, 2**62)),
    source_version=st.none() | st.integers(-1, 2**62),
    rows_in=st.integers(0, 2**62),
    watermark=st.none() | st.datetimes(timezones=st.just(UTC)),
    finalized=st.none() | st.datetimes(timezones=st.just(UTC)),
    refreshed=st.none() | st.datetimes(timezones=st.just(UTC)),
    marker=st.none() | st.text(),
)


@given(commits)
def test_a_commit_is_read_back_as_it_was_written(commit: Commit) -> None:
    assert Commit.from_json(commit.to_json()) == commit


def test_the_text_is_plain_json_without_what_is_not_known() -> None:
    commit = Commit("gold", 2, 7, source_version=41, rows_in=3, watermark=WATERMARK)

    assert json.loads(commit.to_json()) == {
        "query": "gold",
        "generation": 2,
        "batch_id": 7,
        "offsets": {},
        "source_version": 41,
        "rows_in": 3,
        "rows_out": 0,
        "rows_duplicate": 0,
        "rows_refused": 0,
        "watermark": "2026-03-01T09:30:00.123456+00:00",
    }


@pytest.mark.parametrize(
    "text", [None, "", "nightly cleanup", "{}", "[]", "5", "null", '"gold"', '{"job": "OPTIMIZE"}', '{"query": "gold"}']
)
def test_a_commit_of_someone_else_carries_no_account(text: str | None) -> None:
    assert Commit.from_json(text) is None


def test_a_batch_is_committed_once_under_the_id_of_its_query_and_generation() -> None:
    assert Commit("silver", 0, 5).app_id == Commit("silver", 0, 6).app_id == "silver/0"
    assert Commit("silver", 1, 5).app_id == "silver/1"


def test_a_changed_commit_leaves_the_first_as_it_was() -> None:
    first = Commit("silver", 0, 5)

    assert first.with_(rows_in=3).rows_in == 3
    assert first.rows_in == 0
