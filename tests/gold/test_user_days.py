"""Events into users' days: what a day holds, and that it is the same however the events come."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gold.user_days import MOST, merged, user_days
from lakehouse.contracts import SilverEvents, UserDays
from lakehouse.frames import arrow_schema, empty, to_arrow

CAP = 3


def at(text: str) -> datetime:
    """A moment of March 2026, UTC: ``01T10:00``."""
    return datetime.fromisoformat(f"2026-03-{text}+00:00")


def events(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=pl.DataFrame(empty(SilverEvents)).schema)


def act(user: str, kind: str, time: str, session: str | None = None, **more: Any) -> dict[str, Any]:
    return {"user_id": user, "event_type": kind, "event_time": at(time), "session_id": session, **more}


def test_a_day_begins_and_ends_at_midnight_in_utc() -> None:
    days = user_days(
        events(
            act("ann", "view", "01T00:00"),
            act("ann", "view", "01T23:59:59.999999"),
            act("ann", "view", "02T00:00"),
        ),
        CAP,
    ).sort("date")

    assert days["date"].to_list() == [date(2026, 3, 1), date(2026, 3, 2)]
    assert days["num_events"].to_list() == [2, 1]
    assert days["active_hours"].to_list() == [1 + 2**23, 1]


def test_a_day_counts_what_the_user_did() -> None:
    [day] = user_days(
        events(
            act("ann", "view", "01T10:00", "s1"),
            act("ann", "add_to_cart", "01T10:05", "s1", price=Decimal("99")),
            act("ann", "purchase", "01T10:06", "s2", price=Decimal("2.5"), quantity=2),
            act("ann", "purchase", "01T10:07", price=Decimal("0.0001")),
            act("ann", "purchase", "01T10:08"),
            act("ann", "search", "01T11:00"),
        ),
        CAP,
    ).to_dicts()

    counts = ("num_views", "num_add_to_cart", "num_purchases", "num_events", "sessions")
    assert [day[name] for name in counts] == [1, 1, 3, 6, 2]
    assert (day["first_event_time"], day["last_event_time"]) == (at("01T10:00"), at("01T11:00"))
    assert day["last_purchase_time"] == at("01T10:08")
    assert day["revenue"] == Decimal("5.0001")
    assert (day["session_ids"], day["sessions_capped"]) == (["s1", "s2"], False)


def test_a_day_without_purchases_has_no_revenue_and_no_last_purchase() -> None:
    [day] = user_days(events(act("ann", "view", "01T10:00", price=Decimal("3"))), CAP).to_dicts()

    assert (day["revenue"], day["last_purchase_time"]) == (Decimal("0"), None)


def test_revenue_stops_at_its_limit() -> None:
    huge = act("ann", "purchase", "01T10:00", price=Decimal("99999999999999.9999"), quantity=2**31 - 1)

    day = user_days(events(huge, huge), CAP)

    assert merged(day, day, CAP)["revenue"].to_list() == [Decimal(MOST)]


def test_days_are_rows_of_the_contract() -> None:
    schema = arrow_schema(UserDays)

    assert to_arrow(user_days(events(act("ann", "view", "01T10:00")), CAP)).cast(schema).schema == schema
    assert to_arrow(user_days(events(), CAP)).cast(schema).num_rows == 0


ACTS = st.builds(
    lambda user, kind, minutes, session, price, quantity: {
        **act(user, kind, "01T22:00", session, price=price, quantity=quantity),
        "event_time": datetime(2026, 3, 1, 22, tzinfo=UTC) + timedelta(minutes=minutes),
    },
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["view", "add_to_cart", "purchase", "search"]),
    st.integers(0, 240),
    st.sampled_from([None, "s1", "s2", "s3", "s4", "s5"]),
    st.sampled_from([None, Decimal("0.0001"), Decimal("12.5"), Decimal("99999999999999")]),
    st.sampled_from([None, 0, 1, 7]),
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), ACTS), max_size=25))
def test_any_split_into_batches_gives_the_same_days(numbered: list[tuple[int, dict[str, Any]]]) -> None:
    at_once = user_days(events(*(row for _, row in numbered)), CAP)

    in_batches = user_days(events(), CAP)
    for batch in range(4):
        new = user_days(events(*(row for number, row in numbered if number == batch)), CAP)
        in_batches = merged(in_batches, new, CAP)

    assert_frame_equal(in_batches, at_once, check_row_order=False)
