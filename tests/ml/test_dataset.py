"""Labels and data sets: who is in them, who has churned, and which cuts are refused."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gold.user_days import user_days
from ml.dataset import AllDays, Cuts, Received, at_cut, fingerprint, training_cuts, training_rows
from tests.ml.churn_days import day, days, received, shop, shop_events


def churned(rows: pl.DataFrame) -> dict[str, bool]:
    return dict(rows.select("user_id", "churned").iter_rows())


def test_a_user_without_an_event_in_the_horizon_has_churned() -> None:
    known = [(user, "02-01T10:00") for user in ("at the cut", "last moment", "too late", "never")]
    acts = days(
        *known,
        ("at the cut", "03-01T00:00"),
        ("last moment", "03-30T23:59"),
        ("too late", "03-31T00:00"),
        ("new", "03-02T10:00"),
    )

    assert churned(at_cut(AllDays(acts), day("03-01"), lookback_days=30, horizon_days=30)) == {
        "at the cut": False,
        "last moment": False,
        "too late": True,
        "never": True,
    }


def test_every_user_seen_before_the_cut_is_in_it_however_long_ago() -> None:
    acts = days(("old", "01-01T10:00"), ("recent", "04-30T10:00"))

    assert churned(at_cut(AllDays(acts), day("05-01"), lookback_days=7, horizon_days=30)) == {
        "old": True,
        "recent": True,
    }


def test_training_cuts_are_the_latest_whose_labels_end_by_the_tests_cut() -> None:
    assert training_cuts(day("05-01"), horizon_days=30, every_days=7, number=3) == (
        day("03-18"),
        day("03-25"),
        day("04-01"),
    )


@pytest.mark.parametrize(
    ("train", "reason"),
    [
        ((), "at least one"),
        ((day("04-02"),), "its labels end on 2026-05-02, after the test's cut 2026-05-01"),
        ((day("03-02"), day("03-01")), "in order"),
        ((datetime.fromisoformat("2026-03-01T12:00+00:00"),), "midnight in UTC"),
        ((datetime.fromisoformat("2026-03-01T00:00+01:00"),), "midnight in UTC"),
    ],
)
def test_cuts_that_would_see_the_test_or_divide_a_day_are_refused(train: tuple[datetime, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Cuts(train, day("05-01"), horizon_days=30, lookback_days=30)


def test_a_data_set_is_the_same_when_built_again_and_after_more_data() -> None:
    whole = shop(80, seed=1)
    cuts = Cuts((day("02-15"), day("03-01")), day("03-15"), horizon_days=14, lookback_days=30)
    by_then = whole.filter(pl.col("date") < day("03-15").date())

    first = training_rows(AllDays(by_then), cuts)
    again = training_rows(AllDays(whole.sample(fraction=1.0, shuffle=True, seed=2)), cuts)

    assert_frame_equal(again, first)
    assert fingerprint(again) == fingerprint(first)
    assert fingerprint(again.with_columns(~pl.col("churned"))) != fingerprint(first)


def test_what_was_received_after_the_cut_changes_no_feature_where_the_bound_is_set_and_does_where_it_is_not() -> None:
    """Ann's second view was in a phone without a network for three days."""
    on_time = [("ann", "02-01T10:00", "02-01T10:00"), ("bob", "02-10T10:00", "02-10T10:01")]
    late = ("ann", "02-27T10:00", "03-02T10:00")
    without, with_it = received(*on_time), received(*on_time, late)
    cut = day("03-01")

    def rows(events: pl.DataFrame, bound: bool) -> pl.DataFrame:
        made_of = user_days(events, 100)
        history = Received(made_of, events, 100) if bound else AllDays(made_of)
        return at_cut(history, cut, lookback_days=30, horizon_days=30)

    assert_frame_equal(rows(with_it, bound=True), rows(without, bound=True))
    assert dict(rows(with_it, bound=True).select("user_id", "num_views").iter_rows()) == {"ann": 1, "bob": 1}
    assert dict(rows(with_it, bound=False).select("user_id", "num_views").iter_rows()) == {"ann": 2, "bob": 1}


def test_a_user_of_whom_nothing_was_known_at_the_cut_is_not_in_it() -> None:
    events = received(("ann", "02-01T10:00", "02-01T10:00"), ("bob", "02-10T10:00", "03-01T00:00"))

    found = at_cut(Received(user_days(events, 100), events, 100), day("03-01"), 30, 30)

    assert churned(found) == {"ann": True}


def test_labels_are_of_all_events_however_late_they_were_received() -> None:
    events = received(("ann", "02-01T10:00", "02-01T10:00"), ("ann", "03-05T10:00", "06-01T10:00"))

    assert churned(at_cut(Received(user_days(events, 100), events, 100), day("03-01"), 30, 30)) == {"ann": False}


def test_events_that_are_received_as_they_happen_give_the_same_data_set_with_the_bound() -> None:
    events = shop_events(80, seed=1)
    cuts = Cuts((day("02-15"), day("03-01")), day("03-15"), horizon_days=14, lookback_days=30)
    made_of = user_days(events, 100)

    assert_frame_equal(training_rows(Received(made_of, events, 100), cuts), training_rows(AllDays(made_of), cuts))


def test_of_a_replay_nothing_was_known() -> None:
    events = received(("ann", "02-01T10:00", "02-20T10:00"), ("ann", "04-01T10:00", "04-01T10:00"))
    history = Received(user_days(events, 100), events, 100)

    assert history.knows_nothing(Cuts((day("02-15"),), day("03-01"), 14, 30)) == day("02-15")
    assert history.knows_nothing(Cuts((day("03-01"),), day("03-15"), 14, 30)) is None
