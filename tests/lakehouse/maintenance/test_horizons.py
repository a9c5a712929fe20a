"""Who holds a table's history: whoever needs more of it than the horizon keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kept_tables import Follower, append, commit_at, new_store

from lakehouse.contracts import BronzeEvents, SilverEvents
from lakehouse.maintenance.horizons import Hold, holds
from lakehouse.store import TableStore

HORIZON = datetime(2026, 3, 2, 4, tzinfo=UTC)
TEN, TWO, SIX = (datetime.fromisoformat(f"2026-03-{text}:00+00:00") for text in ("01T22:00", "02T02:00", "02T06:00"))


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    """Silver at version 3, whose versions were committed at 22:00, 02:00 and 06:00."""
    store = new_store(tmp_path)
    append(store, 3)
    for version, moment in ((1, TEN), (2, TWO), (3, SIX)):
        commit_at(store, SilverEvents, version, moment)
    return store


def held(store: TableStore, *readers: Follower) -> list[Hold]:
    return holds(store, SilverEvents, readers, HORIZON)


def test_who_has_taken_everything_holds_nothing_however_old_it_is(store: TableStore) -> None:
    commit_at(store, SilverEvents, 3, TEN)

    assert held(store, Follower("gold", SilverEvents, 3)) == []


def test_who_is_behind_but_within_the_horizon_holds_nothing(store: TableStore) -> None:
    assert held(store, Follower("gold", SilverEvents, 2)) == []


def test_who_has_not_taken_what_is_older_than_the_horizon_holds_it(store: TableStore) -> None:
    found = held(store, Follower("gold", SilverEvents, 2), Follower("raw_events", SilverEvents, 1))

    assert found == [Hold("silver.events", "raw_events", 1, TWO)]
    assert str(found[0]) == (
        "raw_events holds the history of silver.events: it has not taken version 2, of 2026-03-02 02:00:00 UTC"
    )


def test_who_has_taken_nothing_holds_everything(store: TableStore) -> None:
    commit_at(store, SilverEvents, 0, TEN - timedelta(hours=1))

    assert [hold.since for hold in held(store, Follower("raw_events", SilverEvents, -1))] == [TEN - timedelta(hours=1)]


def test_who_does_not_say_what_it_has_taken_may_have_taken_nothing(store: TableStore) -> None:
    found = held(store, Follower("raw_events", SilverEvents, None))

    assert found == [Hold("silver.events", "raw_events", None, None)]
    assert str(found[0]) == "raw_events holds the history of silver.events: what it has taken is not known now"


def test_who_reads_another_table_or_none_holds_nothing_of_this_one(store: TableStore) -> None:
    assert held(store, Follower("silver", BronzeEvents, -1), Follower("bronze", None, None)) == []
