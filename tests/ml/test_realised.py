"""Past predictions held against what followed: who had churned, which predictions count, and for which model."""

from __future__ import annotations

from datetime import date, datetime

import polars as pl
import pytest

from ml.past_predictions import as_frame
from ml.realised import realised, with_outcomes
from tests.ml.churn_days import days

NEWEST = date(2026, 3, 9)


def predictions(*rows: tuple[str, str, float], model: str = "1") -> pl.DataFrame:
    """Of (user, as_of in 2026 as ``03-01T12:00``, probability), as Postgres gives them."""
    return as_frame([(user, datetime.fromisoformat(f"2026-{time}+00:00"), score, model) for user, time, score in rows])


def churned(rows: pl.DataFrame) -> dict[str, bool]:
    return dict(rows.select("user_id", "churned").iter_rows())


def test_a_user_has_churned_if_nothing_follows_within_the_horizon() -> None:
    """As of noon: the morning of the first day is before it, the evening of the last one after it."""
    acts = days(
        ("same day", "03-01T10:00"), ("same day", "03-01T13:00"),
        ("at once", "03-01T12:00"),
        ("last moment", "02-01T10:00"), ("last moment", "03-08T11:59"), ("last moment", "03-08T15:00"),
        ("morning only", "03-01T10:00"),
        ("too late", "02-01T10:00"), ("too late", "03-08T12:00"),
    )  # fmt: skip
    users = ["same day", "at once", "last moment", "morning only", "too late"]

    found = with_outcomes(predictions(*[(user, "03-01T12:00", 0.5) for user in users]), acts, 7, NEWEST)

    assert churned(found) == {
        "same day": False,
        "at once": False,
        "last moment": False,
        "morning only": True,
        "too late": True,
    }


def test_each_prediction_of_a_user_has_its_own_outcome() -> None:
    acts = days(("ann", "02-01T10:00"), ("ann", "02-12T10:00"))

    found = with_outcomes(predictions(("ann", "02-02T00:00", 0.9), ("ann", "02-06T00:00", 0.8)), acts, 7, NEWEST)

    assert dict(found.select("churn_probability", "churned").iter_rows()) == {0.9: True, 0.8: False}


def test_a_prediction_counts_once_its_whole_horizon_lies_before_the_newest_day() -> None:
    """The newest day may go on, so a horizon that ends within it is not over; one that ends as it begins is."""
    acts, given = days(("ann", "02-01T10:00")), predictions(("ann", "03-01T12:00", 0.5))

    assert with_outcomes(given, acts, 7, newest=date(2026, 3, 8)).is_empty()
    assert len(with_outcomes(given, acts, 7, newest=date(2026, 3, 9))) == 1
    assert len(with_outcomes(predictions(("ann", "03-01T00:00", 0.5)), acts, 7, newest=date(2026, 3, 8))) == 1
    assert realised(given, acts, {"1": 7}, newest=date(2026, 3, 8)) == []


def test_the_figures_of_a_model_by_hand() -> None:
    acts = days(("stays", "02-20T10:00"), ("stays", "03-02T10:00"), ("goes", "02-20T10:00"), ("went", "02-01T10:00"))
    given = predictions(("stays", "03-01T12:00", 0.2), ("goes", "03-01T12:00", 0.6), ("went", "02-27T08:00", 0.7))

    (found,) = realised(given, acts, {"1": 7}, NEWEST)

    assert (found.model_version, found.predictions, found.users) == ("1", 3, 3)
    assert (found.first, found.last) == (date(2026, 2, 27), date(2026, 3, 1))
    assert found.roc_auc.value == 1
    assert found.brier.value == pytest.approx((0.2**2 + 0.4**2 + 0.3**2) / 3)
    assert found.mean_predicted.value == pytest.approx(0.5)
    assert found.observed_share.value == pytest.approx(2 / 3)
    assert found.metrics()["observed_share"] == pytest.approx(2 / 3)


def test_models_are_judged_apart_each_over_its_own_horizon_and_one_that_is_not_known_is_left_out() -> None:
    """Ann acts eight days after: churned within a week, and not within two."""
    acts = days(("ann", "02-01T10:00"), ("ann", "02-09T10:00"))
    row = ("ann", "02-01T12:00", 0.5)
    given = pl.concat([predictions(row, model=model) for model in ("1", "2", "from elsewhere")])

    found = realised(given, acts, {"1": 7, "2": 14, "3": 7}, NEWEST)

    assert [(one.model_version, one.observed_share.value) for one in found] == [("1", 1.0), ("2", 0.0)]


def test_a_user_with_many_predictions_does_not_make_the_interval_narrow() -> None:
    """Two users: a drawing of one of them alone is all of its predictions, so the share may be 0 or 1."""
    acts = days(("ann", "02-01T10:00"), *[("bob", f"02-{day:02}T10:00") for day in range(1, 28)])
    dates = [f"02-{day:02}T12:00" for day in range(2, 16)]
    given = predictions(*[(user, time, 0.5) for user in ("ann", "bob") for time in dates])

    (found,) = realised(given, acts, {"1": 7}, NEWEST)

    assert (found.observed_share.value, found.observed_share.low, found.observed_share.high) == (0.5, 0.0, 1.0)
