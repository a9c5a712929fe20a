"""Events into windows: which one each falls into, and what is counted there."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl
import pytest

from gold.windows import funnel_summary, funnel_windows, summed
from lakehouse.contracts import SilverEvents
from lakehouse.frames import empty
from lakehouse.settings import Settings


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-01T{text}+00:00")


def events(*rows: tuple[str, str, str, str | None]) -> pl.DataFrame:
    """Rows of silver.events of (user, type, time, session)."""
    schema = pl.DataFrame(empty(SilverEvents)).schema
    values = [
        {"user_id": user, "event_type": kind, "event_time": at(time), "session_id": session}
        for user, kind, time, session in rows
    ]
    return pl.DataFrame(values, schema={name: schema[name] for name in values[0]})


def summary(frame: pl.DataFrame, settings: Settings, watermark: datetime | None = None) -> dict[tuple[str, str], Any]:
    """The summary's rows by user and start of the window."""
    rows = funnel_summary(frame, watermark, settings).to_dicts()
    return {(row["user_id"], f"{row['window_start']:%H:%M}"): row for row in rows}


def test_a_window_begins_with_its_start_and_ends_before_its_end(settings: Settings) -> None:
    found = summary(
        events(
            ("ann", "view", "10:00:00", None),
            ("ann", "view", "10:09:59.999999", None),
            ("ann", "view", "10:10:00", None),
        ),
        settings,
    )

    assert {key: row["num_events"] for key, row in found.items()} == {("ann", "10:00"): 2, ("ann", "10:10"): 1}
    first = found["ann", "10:00"]
    assert (first["window_start"], first["window_end"]) == (at("10:00"), at("10:10"))
    assert (first["first_event_time"], first["last_event_time"]) == (at("10:00"), at("10:09:59.999999"))
    assert first["window_date"] == at("10:00").date()


def test_each_user_has_a_funnel_of_counts(settings: Settings) -> None:
    found = summary(
        events(
            ("ann", "view", "10:01", "s1"),
            ("ann", "view", "10:02", "s1"),
            ("ann", "add_to_cart", "10:03", "s2"),
            ("ann", "purchase", "10:04", None),
            ("ann", "search", "10:05", None),
            ("bob", "view", "10:01", None),
        ),
        settings,
    )

    counts = ("num_views", "num_add_to_cart", "num_purchases", "num_events", "sessions")
    assert [found["ann", "10:00"][name] for name in counts] == [2, 1, 1, 5, 2]
    assert [found["bob", "10:00"][name] for name in counts] == [1, 0, 0, 1, 0]
    assert found["ann", "10:00"]["session_ids"] == ["s1", "s2"]
    assert found["bob", "10:00"]["session_ids"] == []


def test_sessions_are_kept_up_to_their_cap(settings: Settings) -> None:
    three = events(*[("ann", "view", "10:01", f"s{n}") for n in (3, 1, 2)])

    capped = summary(three, settings.model_copy(update={"session_ids_cap": 2}))["ann", "10:00"]
    assert (capped["session_ids"], capped["sessions"], capped["sessions_capped"]) == (["s1", "s2"], 2, True)

    free = summary(three, settings.model_copy(update={"session_ids_cap": 4}))["ann", "10:00"]
    assert (free["sessions"], free["sessions_capped"]) == (3, False)


@pytest.mark.parametrize(
    ("watermark", "late", "final"),
    [(None, 0, False), ("10:05", 0, False), ("10:05:01", 1, False), ("10:10", 2, True)],
)
def test_events_before_the_watermark_are_late_and_a_window_it_passed_is_final(
    settings: Settings, watermark: str | None, late: int, final: bool
) -> None:
    two = events(("ann", "view", "10:05", None), ("ann", "view", "10:09", None))

    row = summary(two, settings, None if watermark is None else at(watermark))["ann", "10:00"]

    assert (row["late_events"], row["is_final"], row["num_events"]) == (late, final, 2)


def test_all_users_windows_count_each_type(settings: Settings) -> None:
    four = events(
        ("ann", "view", "10:01", None),
        ("bob", "view", "10:02", None),
        ("bob", "search", "10:03", None),
        ("bob", "view", "23:59:59", None),
    )

    found = funnel_windows(four, settings).to_dicts()

    assert sorted((f"{row['window_start']:%H:%M}", row["event_type"], row["num_events"]) for row in found) == [
        ("10:00", "search", 1),
        ("10:00", "view", 2),
        ("23:50", "view", 1),
    ]


def test_parts_of_a_batch_are_summed(settings: Settings) -> None:
    early, late = events(("ann", "view", "10:01", None)), events(("bob", "view", "10:02", None))

    [row] = summed(pl.concat([funnel_windows(early, settings), funnel_windows(late, settings)])).to_dicts()

    assert (row["window_start"], row["event_type"], row["num_events"]) == (at("10:00"), "view", 2)
