"""Months of a shop, as the pages' benchmark has them behind it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest

from benchmarks.history import History, messages

END = datetime(2026, 3, 31, 12, tzinfo=UTC)
SMALL = History(events=20_000, days=90, users=500)


@pytest.fixture(scope="module")
def sent() -> pl.DataFrame:
    return pl.concat(messages(SMALL, END))


@pytest.fixture(scope="module")
def events(sent: pl.DataFrame) -> list[dict[str, Any]]:
    """The messages that can be read, in the order in which they are sent."""
    return [found for value in sent["value"] if (found := read(value)) is not None]


def read(value: bytes) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(value)
    except ValueError:
        return None
    return found


def test_there_are_as_many_events_as_asked_for_beside_copies_and_broken_messages(
    sent: pl.DataFrame, events: list[dict[str, Any]]
) -> None:
    ids = {event["event_id"] for event in events}

    assert len(ids) == SMALL.events
    assert 0.005 < (len(events) - len(ids)) / SMALL.events < 0.02
    assert 0 < len(sent) - len(events) < 0.01 * SMALL.events


def test_a_message_is_kept_by_its_user(sent: pl.DataFrame) -> None:
    for key, value in sent.iter_rows():
        event = read(value)
        assert event is None or event["user_id"].encode() == key


def test_events_lie_in_the_days_before_the_end_and_few_are_late(events: list[dict[str, Any]]) -> None:
    times = [datetime.fromisoformat(event["timestamp"]) for event in events]
    newest = times[0]
    late = 0
    for time in times:
        late += newest - time > timedelta(minutes=1)
        newest = max(newest, time)

    assert END - timedelta(days=90) <= min(times) < END - timedelta(days=89)
    assert END - timedelta(hours=12) < max(times) < END
    assert 0.003 < late / len(times) < 0.02


def test_a_session_is_of_one_user_and_goes_down_the_funnel(events: list[dict[str, Any]]) -> None:
    steps = ["view", "add_to_cart", "purchase"]
    sessions: dict[str, list[dict[str, Any]]] = {}
    for event in {event["event_id"]: event for event in events}.values():
        sessions.setdefault(event["session_id"], []).append(event)

    for session in sessions.values():
        session.sort(key=lambda event: event["timestamp"])
        assert len({event["user_id"] for event in session}) == 1
        assert len(session) <= 9
        assert all(steps.index(a["event_type"]) <= steps.index(b["event_type"]) for a, b in pairwise(session))


def test_users_come_and_stay_away(events: list[dict[str, Any]]) -> None:
    """So that there is retention below 100 % and churn above 0 to be shown."""
    first = {event["user_id"] for event in events if event["timestamp"] < "2026-01-30"}
    last = {event["user_id"] for event in events if event["timestamp"] >= "2026-03-01"}

    assert 0.1 < len(first & last) / len(first) < 0.9
    assert last - first


def test_the_same_values_give_the_same_messages(sent: pl.DataFrame) -> None:
    assert pl.concat(messages(SMALL, END)).equals(sent)
