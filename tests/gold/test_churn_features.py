"""Users' days into features: what each one is, and that nothing at or after the cut is seen."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gold.churn_features import churn_features, latest_features, remembered, with_rates
from gold.user_days import user_days
from lakehouse.contracts import ChurnFeatures, SilverEvents
from lakehouse.frames import arrow_schema, empty, to_arrow

CAP = 100


def at(text: str) -> datetime:
    """A moment of March 2026, UTC: ``01T10:00``."""
    return datetime.fromisoformat(f"2026-03-{text}+00:00")


CUT = at("11T00:00")


def days(*acts: tuple[str, str, str, str | None]) -> pl.DataFrame:
    """gold.user_days of acts (user, type, time, session); a purchase is of 10.00."""
    rows = [
        {"user_id": user, "event_type": kind, "event_time": at(time), "session_id": session, "price": Decimal("10")}
        for user, kind, time, session in acts
    ]
    return user_days(pl.DataFrame(rows, schema=pl.DataFrame(empty(SilverEvents)).schema), CAP)


def features(user_days: pl.DataFrame, as_of: datetime = CUT, lookback_days: int = 10) -> dict[str, dict[str, Any]]:
    """The features of each user."""
    return {row["user_id"]: row for row in churn_features(user_days, as_of, lookback_days).to_dicts()}


ANN = (
    ("ann", "view", "03T12:00", "s1"),
    ("ann", "view", "03T12:30", "s1"),
    ("ann", "add_to_cart", "05T23:50", "s2"),
    ("ann", "purchase", "06T00:10", "s2"),
    ("ann", "view", "09T06:00", "s3"),
    ("ann", "view", "09T12:00", "s3"),
)


def test_a_users_features() -> None:
    ann = features(days(*ANN))["ann"]

    assert ann["as_of"] == CUT
    counts = ("num_views", "num_add_to_cart", "num_purchases", "num_events", "active_days", "active_hours")
    assert [ann[name] for name in counts] == [4, 1, 1, 6, 4, 5]
    assert ann["sessions"] == 3  # one of them goes over midnight
    assert (ann["view_to_cart_rate"], ann["cart_to_purchase_rate"], ann["view_to_purchase_rate"]) == (0.25, 1.0, 0.25)
    assert (ann["recency_days"], ann["tenure_days"]) == (1.5, 7.5)
    assert ann["frequency"] == 4 / 8  # known since the 3rd
    assert ann["trend"] == (3 - 3) / 6  # the later half begins with the 6th
    assert ann["days_between_visits"] == 2.0  # the 3rd, 5th, 6th and 9th
    assert ann["days_since_purchase"] == pytest.approx(5 - 10 / 1440)
    assert ann["events_per_session"] == 2.0
    assert ann["minutes_per_day"] == (30 + 0 + 0 + 360) / 4
    assert ann["revenue"] == 10.0


def test_a_user_without_events_in_the_lookback_is_kept() -> None:
    ann = features(days(*ANN), lookback_days=1)["ann"]

    assert (ann["num_events"], ann["sessions"], ann["active_days"], ann["trend"]) == (0, 0, 0, 0.0)
    assert (ann["view_to_cart_rate"], ann["cart_to_purchase_rate"], ann["view_to_purchase_rate"]) == (0.0, 0.0, 0.0)
    assert (ann["recency_days"], ann["tenure_days"]) == (1.5, 7.5)
    assert (ann["days_between_visits"], ann["events_per_session"], ann["minutes_per_day"]) == (None, None, None)
    assert ann["days_since_purchase"] == pytest.approx(5 - 10 / 1440)


def test_the_lookback_holds_its_first_day_and_not_the_day_before() -> None:
    found = features(days(("ann", "view", "01T00:00", None), ("ann", "view", "02T00:00", None)), lookback_days=9)

    assert found["ann"]["num_views"] == 1


def test_an_event_at_the_cut_is_not_seen_and_one_just_before_is() -> None:
    found = features(days(("ann", "view", "10T23:59:59.999999", None), ("bob", "view", "11T00:00", None)))

    assert list(found) == ["ann"]
    assert found["ann"]["num_views"] == 1


def test_a_day_with_events_on_both_sides_of_the_cut_cannot_be_divided() -> None:
    two = days(("ann", "view", "10T11:00", None), ("ann", "view", "10T13:00", None))

    with pytest.raises(ValueError, match="2026-03-10 of user 'ann' has events before and after it"):
        churn_features(two, at("10T12:00"), 10)


def test_within_a_day_a_row_that_is_all_before_the_cut_is_seen() -> None:
    two = days(("ann", "view", "10T11:00", None), ("bob", "view", "10T13:00", None))

    found = features(two, at("10T12:00"), lookback_days=1)

    assert list(found) == ["ann"]
    assert (found["ann"]["num_views"], found["ann"]["recency_days"]) == (1, 1 / 24)


@pytest.mark.parametrize(
    ("as_of", "lookback_days", "reason"),
    [(datetime(2026, 3, 11), 10, "time zone"), (CUT, 0, "at least 1")],  # noqa: DTZ001
)
def test_a_cut_without_a_zone_and_an_empty_lookback_are_refused(
    as_of: datetime, lookback_days: int, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        churn_features(days(*ANN), as_of, lookback_days)


def test_the_latest_features_follow_each_users_newest_event() -> None:
    found = latest_features(days(*ANN, ("bob", "view", "12T09:00", None)), at("11T12:00"), 10)

    assert dict(found.select("user_id", "recency_days").iter_rows()) == {
        "ann": 2.0,
        "bob": pytest.approx(0, abs=1e-9),
    }
    assert found["as_of"].to_list() == [at("11T12:00"), at("12T09:00") + timedelta(microseconds=1)]


def test_the_latest_features_are_those_of_a_cut_at_the_watermark() -> None:
    assert_frame_equal(latest_features(days(*ANN), CUT, 10), churn_features(days(*ANN), CUT, 10))


def test_features_before_stand_for_the_days_before_the_lookback() -> None:
    before = days(*ANN, ("bob", "purchase", "02T09:00", None))
    after = days(("ann", "view", "20T10:00", "s9"))
    known = remembered(latest_features(before, CUT, 3))

    expected = latest_features(pl.concat([before, after]), at("20T12:00"), 3)

    assert_frame_equal(latest_features(pl.concat([known, after]), at("20T12:00"), 3), expected)


def test_one_users_features_do_not_depend_on_the_others() -> None:
    both = days(*ANN, ("bob", "view", "09T09:00", None))

    assert features(both)["ann"] == features(days(*ANN))["ann"]


def test_rates_are_zero_where_nothing_could_convert_and_at_most_one() -> None:
    counts = pl.DataFrame({"num_views": [0, 5, 1], "num_add_to_cart": [0, 2, 3], "num_purchases": [0, 1, 9]})

    rates = with_rates(counts).select("view_to_cart_rate", "cart_to_purchase_rate", "view_to_purchase_rate")

    assert rates.rows() == [(0.0, 0.0, 0.0), (0.4, 0.5, 0.2), (1.0, 1.0, 1.0)]


def test_features_are_rows_of_the_contract() -> None:
    schema = arrow_schema(ChurnFeatures)

    assert to_arrow(churn_features(days(*ANN), CUT, 10)).cast(schema).schema == schema
    assert to_arrow(churn_features(days(), CUT, 10)).cast(schema).num_rows == 0


KINDS = ["view", "add_to_cart", "purchase", "search"]
ACTS = st.tuples(
    st.sampled_from(["ann", "bob", "eve"]), st.sampled_from(KINDS), st.integers(-12 * 1440, 12 * 1440), st.booleans()
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(ACTS, max_size=30), st.randoms(use_true_random=False))
def test_what_happens_at_or_after_the_cut_changes_no_feature(
    acts: list[tuple[str, str, int, bool]], chance: random.Random
) -> None:
    def seen(rows: list[tuple[str, str, int, bool]]) -> pl.DataFrame:
        values = [
            {
                "user_id": user,
                "event_type": kind,
                "event_time": datetime(2026, 3, 11, tzinfo=UTC) + timedelta(minutes=minutes),
                "session_id": f"{user}{minutes // 60}" if in_session else None,
                "price": Decimal(abs(minutes)),
            }
            for user, kind, minutes, in_session in rows
        ]
        silver = pl.DataFrame(values, schema=pl.DataFrame(empty(SilverEvents)).schema)
        return churn_features(user_days(silver, CAP), CUT, 7)

    before = [act for act in acts if act[2] < 0]
    after = [act for act in acts if act[2] >= 0]
    altered = [(chance.choice(["ann", "new"]), chance.choice(KINDS), chance.randrange(0, 9_999), True) for _ in after]
    mixed = before + altered
    chance.shuffle(mixed)

    expected = seen(acts)

    assert_frame_equal(seen(before), expected)
    assert_frame_equal(seen(mixed), expected)
