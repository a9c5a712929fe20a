"""Which cuts are taken where none are named, and what is said where the data are too short."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from lakehouse.errors import LakehouseError
from ml.planning import plan_cuts
from tests.ml.churn_days import day, days


def reaching(first: str, last: str) -> pl.DataFrame:
    return days(("ann", f"{first}T10:00"), ("bob", f"{last}T10:00"))


def test_the_test_is_at_the_last_midnight_whose_labels_are_complete() -> None:
    """10 April may go on, so that the last whole horizon is that of the 10 days up to it."""
    cuts = plan_cuts(reaching("01-01", "04-10"), horizon_days=10, lookback_days=30)

    assert cuts.test == day("03-31")
    assert cuts.train == (day("03-07"), day("03-14"), day("03-21"))


def test_training_cuts_have_a_full_lookback_but_for_the_last_one() -> None:
    some = plan_cuts(reaching("02-08", "04-10"), horizon_days=10, lookback_days=30)
    none = plan_cuts(reaching("03-10", "04-10"), horizon_days=10, lookback_days=30)

    assert some.train == (day("03-14"), day("03-21"))
    assert none.train == (day("03-21"),)


def test_cuts_that_are_asked_for_are_taken() -> None:
    cuts = plan_cuts(reaching("01-01", "04-10"), 10, 30, test=date(2026, 3, 1), every_days=1, number=2)

    assert (cuts.train, cuts.test) == ((day("02-18"), day("02-19")), day("03-01"))


@pytest.mark.parametrize(
    ("first", "options", "said"),
    [
        ("04-01", {}, "events of 2026-04-01 to 2026-04-10, and the first training cut would be 2026-02-09"),
        ("04-01", {}, "shorten the horizon: --horizon 4 at most"),
        ("04-10", {}, "wait for more events or `lakehouse replay` older ones$"),
        ("02-01", {"number": 9}, "ask for fewer --cuts"),
        ("02-01", {"test": date(2026, 2, 20)}, "choose a later --test-cut"),
        (
            "01-01",
            {"test": date(2026, 3, 20)},
            "its labels end on 2026-04-19, and the events on 2026-04-10; the latest",
        ),
    ],
)
def test_too_short_data_are_refused_with_what_helps(first: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(LakehouseError, match=said):
        plan_cuts(reaching(first, "04-10"), **options)  # type: ignore[arg-type]


def test_without_events_there_is_nothing_to_train_on() -> None:
    with pytest.raises(LakehouseError, match="holds no events yet"):
        plan_cuts(reaching("01-01", "01-02").clear())
