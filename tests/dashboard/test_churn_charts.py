"""The charts of the page Churn: every step of the probability, and a line where another model began."""

from __future__ import annotations

from datetime import date

from dashboard.churn.charts import at_risk_by_day, calibration, histogram
from dashboard.churn.queries import Day, Scores
from dashboard.scoring import Calibrated


def test_a_bar_for_each_step_with_the_threshold_between_them() -> None:
    buckets = ((2, False, 5), (9, False, 1), (10, True, 2), (19, True, 7))
    series = histogram(Scores((), buckets, (), 0.5, 0))["series"]
    assert [sum(count for _, count in one["data"]) for one in series] == [6, 9]
    assert all(len(one["data"]) == 20 for one in series)
    assert series[0]["data"][2] == [12.5, 5]
    assert series[1]["data"][19] == [97.5, 7]
    assert series[1]["markLine"]["data"] == [{"xAxis": 50.0}]


def test_days_with_a_line_where_another_model_scored() -> None:
    days = (
        Day(date(2025, 3, 1), 10, 4, ("1",)),
        Day(date(2025, 3, 2), 11, 5, ("1",)),
        Day(date(2025, 3, 4), 11, 2, ("1", "2")),
    )
    users, at_risk = at_risk_by_day(days)["series"]
    assert users["data"] == [["2025-03-01", 10], ["2025-03-02", 11], ["2025-03-04", 11]]
    assert at_risk["data"] == [["2025-03-01", 4], ["2025-03-02", 5], ["2025-03-04", 2]]
    (change,) = at_risk["markLine"]["data"]
    assert (change["xAxis"], change["label"]["formatter"]) == ("2025-03-04", "model 1, 2")


def test_calibration_is_in_per_cent_beside_the_diagonal() -> None:
    curve, perfect = calibration((Calibrated(10, 0.25, 0.3), Calibrated(10, 0.8, 0.75)))["series"]
    assert curve["data"] == [[25.0, 30.0], [80.0, 75.0]]
    assert perfect["data"] == [[20, 20], [100, 100]]


def test_calibration_begins_at_the_ten_below_the_lowest() -> None:
    options = calibration((Calibrated(10, 0.95, 0.91), Calibrated(10, 0.99, 1.0)))
    assert (options["xAxis"]["min"], options["yAxis"]["min"], options["xAxis"]["max"]) == (90, 90, 100)
    assert calibration(())["series"][1]["data"] == [[0, 0], [100, 100]]
