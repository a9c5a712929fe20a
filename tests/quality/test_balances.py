"""The books find what is lost, doubled or misplaced: each fault is made by hand, and named by its balance."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, SparkSession

from lakehouse.contracts import BronzeEvents, SilverDuplicates, SilverEvents, SilverQuarantine
from quality.balances import (
    Scope,
    counted,
    counted_by_day,
    described,
    first_seen,
    funnelled,
    placed,
    received,
    scores_counted,
)
from quality.score_days import Group

T0 = {"T/0": 4}


def rows(spark: SparkSession, *offsets: int) -> DataFrame:
    places = [("T", 0, offset) for offset in offsets]
    return spark.createDataFrame(places, "source_id string, partition int, offset long")


def wrong(spark: SparkSession, bronze: list[int], events: list[int], copies: list[int], refused: list[int]) -> set[str]:
    tables: dict[type, DataFrame] = {
        BronzeEvents: rows(spark, *bronze),
        SilverEvents: rows(spark, *events),
        SilverDuplicates: rows(spark, *copies),
        SilverQuarantine: rows(spark, *refused),
    }
    return {balance.name for balance in placed(tables, Scope(T0)) if not balance.agrees}


def test_every_row_in_one_table_agrees(spark: SparkSession) -> None:
    assert wrong(spark, [0, 1, 2, 3], [0, 1], [2], [3]) == set()


def test_rows_beyond_what_silver_has_taken_are_lag_and_not_wrong(spark: SparkSession) -> None:
    assert wrong(spark, [0, 1, 2, 3, 4, 5], [0, 1], [2], [3]) == set()


def test_a_lost_row_is_found_though_a_doubled_one_makes_up_for_it(spark: SparkSession) -> None:
    assert wrong(spark, [0, 1, 2, 3], [0, 1, 1], [2], []) == {
        "coordinates in none of silver's tables",
        "coordinates in more than one of them",
    }


def test_a_row_that_bronze_never_had_is_found(spark: SparkSession) -> None:
    assert "coordinates unknown to bronze, or twice in it" in wrong(spark, [0, 1, 2], [0, 1], [2], [3])


@pytest.mark.parametrize(
    ("offsets", "gaps"),
    [
        pytest.param([0, 1, 2, 3], [], id="all there"),
        pytest.param([0, 3], [("T/0", 1, 2)], id="two are missing within"),
        pytest.param([0, 1], [("T/0", 2, 3)], id="two are missing at the end"),
        pytest.param([0, 1, 1, 2, 3], [], id="one came twice"),
    ],
)
def test_offsets_that_bronze_does_not_have_are_named(
    spark: SparkSession, offsets: list[int], gaps: list[tuple[str, int, int]]
) -> None:
    balance, found = received(rows(spark, *offsets), Scope(T0))

    assert found == gaps
    assert balance.agrees == (offsets == [0, 1, 2, 3])


def test_an_event_that_gold_counted_twice_is_found_by_type(spark: SparkSession) -> None:
    windows = spark.createDataFrame([("view", 3), ("purchase", 1)], "event_type string, num_events long")
    summary = spark.createDataFrame(
        [(2, 0, 1, 3)], "num_views long, num_add_to_cart long, num_purchases long, num_events long"
    )

    found = {balance.name for balance in counted({"view": 2, "purchase": 1}, windows, summary) if not balance.agrees}

    assert found == {"silver → gold: view"}


def test_an_event_that_users_days_lack_is_found_by_type(spark: SparkSession) -> None:
    days = spark.createDataFrame(
        [(1, 0, 1, 2)], "num_views long, num_add_to_cart long, num_purchases long, num_events long"
    )

    found = counted_by_day({"view": 2, "purchase": 1, "search": 1}, days)

    assert {balance.name: (balance.left_value, balance.right_value) for balance in found if not balance.agrees} == {
        "silver → user_days: num_views": (2, 1),
        "silver → user_days: num_events": (4, 2),
    }


@pytest.mark.parametrize(
    ("described_users", "rows", "agrees"),
    [
        pytest.param("ab", 2, True, id="each once"),
        pytest.param("a", 1, False, id="one is missing"),
        pytest.param("aab", 3, False, id="one is there twice"),
        pytest.param("abc", 2, True, id="of a batch that is not finished"),
    ],
)
def test_each_user_has_one_row_of_features(spark: SparkSession, described_users: str, rows: int, agrees: bool) -> None:
    days = spark.createDataFrame([("a",), ("a",), ("b",)], "user_id string")
    features = spark.createDataFrame([(user,) for user in described_users], "user_id string")

    balance = described(days, features)

    assert (balance.left_value, balance.right_value, balance.agrees) == (2, rows, agrees)


def test_a_session_that_the_funnel_lacks_is_found_in_its_dimension(spark: SparkSession) -> None:
    known = [([("device",), ("country",)],), ([("device",)],), ([],)]
    days = spark.createDataFrame(known, "dimensions array<struct<name string>>")
    funnel = spark.createDataFrame(
        [("", "", 3), ("device", "mobile", 1), ("country", "", 1)], "dimension string, value string, sessions long"
    )

    found = funnelled(days, funnel)

    assert {each.name.rpartition(" ")[2]: (each.left_value, each.right_value) for each in found} == {
        "all": (3, 3),
        "country": (1, 1),
        "device": (2, 1),
    }


def test_a_user_who_is_in_no_cohort_is_found_by_unit(spark: SparkSession) -> None:
    days = spark.createDataFrame([("ann",), ("ann",), ("bob",)], "user_id string")
    cells = spark.createDataFrame(
        [("day", 0, 2), ("day", 1, 1), ("week", 0, 1)], "unit string, period long, users long"
    )

    found = {balance.name: (balance.left_value, balance.right_value) for balance in first_seen(days, cells)}

    assert found == {"user_days → cohorts: by day": (2, 2), "user_days → cohorts: by week": (2, 1)}


RISK, SAFE = Group("3", 18, True), Group("3", 2, False)


@pytest.mark.parametrize(
    ("counted", "users", "groups"),
    [
        pytest.param({RISK: 2, SAFE: 5}, (7, 7), 0, id="as scored"),
        pytest.param({RISK: 1, SAFE: 5}, (7, 6), 1, id="one is not counted"),
        pytest.param({RISK: 1, SAFE: 6}, (7, 7), 2, id="one is counted in another group"),
        pytest.param({RISK: 2, SAFE: 5, Group("2", 2, False): 1}, (7, 8), 1, id="one of a model that went is left"),
        pytest.param({}, (7, 0), 2, id="nothing is counted"),
    ],
)
def test_the_scores_days_count_each_user_as_scored(
    counted: dict[Group, int], users: tuple[int, int], groups: int
) -> None:
    both, differ = scores_counted({RISK: 2, SAFE: 5}, counted)

    assert (both.left_value, both.right_value) == users
    assert (differ.left_value, differ.right_value) == (groups, 0)


def test_the_group_that_differs_most_is_named() -> None:
    _, differ = scores_counted({RISK: 2, SAFE: 1_005}, {RISK: 1, SAFE: 5})

    assert differ.note == "model 3, probability from 0.10, not at risk: 1,005 scored, 5 counted"
