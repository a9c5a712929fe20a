"""Each expectation is met by a clean row, and fails on the row that breaks it, which is named."""

from __future__ import annotations

import re
from decimal import Decimal
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from quality.facts import Facts
from quality.judge import Judge
from quality.suite import CONTRACTS
from quality.verdicts import Verdict
from tests.quality.clean_rows import CLEAN, at, rows


def failed(judge: Judge, table: str, *changes: dict[str, Any]) -> dict[str, Verdict]:
    verdicts = judge.judge(table, rows(table, *changes), Facts())
    assert [verdict.error for verdict in verdicts if verdict.success is None] == []
    return {verdict.expectation: verdict for verdict in verdicts if not verdict.success}


@pytest.mark.parametrize("table", CLEAN)
def test_a_clean_row_meets_all_that_is_expected(judge: Judge, table: str) -> None:
    assert failed(judge, table) == {}


@pytest.mark.parametrize("table", CONTRACTS)
def test_no_rows_meet_all_that_is_expected(judge: Judge, table: str) -> None:
    nothing = rows(table).slice(0, 0)
    assert [verdict for verdict in judge.judge(table, nothing, Facts()) if not verdict.success] == []


BREAKS: list[tuple[str, dict[str, Any], str]] = [
    ("bronze.user_events", {"offset": -1}, "offset_is_in_range"),
    ("bronze.user_events", {"kafka_timestamp": at("10:30")}, "messages_are_taken_after_they_came"),
    ("bronze.user_events", {"value": None}, "messages_have_a_body"),
    ("bronze.user_events", {"value": b"x" * 300_000}, "messages_are_small"),
    ("silver.events", {"user_id": None}, "user_id_is_there"),
    ("silver.events", {"user_id": ""}, "user_id_has_a_length"),
    ("silver.events", {"event_type": "teleport"}, "types_are_known"),
    ("silver.events", {"price": Decimal("-1")}, "price_is_in_range"),
    ("silver.events", {"quantity": -1}, "quantity_is_in_range"),
    ("silver.events", {"currency": "euro"}, "currencies_are_codes"),
    ("silver.events", {"price": None}, "purchases_have_a_price"),
    ("silver.events", {"event_time": at("10:06")}, "clocks_are_not_ahead"),
    ("silver.quarantine", {"reasons": []}, "rows_have_a_reason"),
    ("silver.quarantine", {"reasons": ["no such user: <b>"]}, "reasons_are_names"),
    ("silver.quarantine", {"quarantined_at": at("09:00")}, "rows_are_refused_after_they_came"),
    ("gold.funnel_summary", {"num_purchases": -1}, "num_purchases_is_in_range"),
    ("gold.funnel_summary", {"num_events": 4}, "num_events_holds_all_counts"),
    ("gold.funnel_summary", {"late_events": 7}, "late_events_is_at_most_num_events"),
    ("gold.funnel_summary", {"sessions": 3}, "sessions_are_those_listed"),
    ("gold.funnel_summary", {"window_end": at("10:20")}, "windows_have_their_length"),
    ("gold.funnel_summary", {"first_event_time": at("09:59:59")}, "first_event_time_is_not_before_window_start"),
    ("gold.funnel_summary", {"last_event_time": at("10:00:59")}, "last_event_time_is_not_before_first_event_time"),
    ("gold.funnel_summary", {"last_event_time": at("10:10")}, "events_are_before_the_window_ends"),
    ("gold.funnel_windows", {"num_events": 0}, "num_events_is_in_range"),
    ("gold.funnel_windows", {"event_type": "teleport"}, "types_are_known"),
    ("gold.funnel_windows", {"window_start": at("10:05"), "window_end": at("10:15")}, "windows_begin_on_the_grid"),
    ("gold.user_days", {"revenue": Decimal("-0.01")}, "revenue_is_in_range"),
    ("gold.user_days", {"active_hours": 1 << 24}, "active_hours_is_in_range"),
    ("gold.user_days", {"last_purchase_time": None}, "purchases_have_a_time"),
    ("gold.user_days", {"sessions": 7, "session_ids": list("abcdefg")}, "sessions_is_at_most_num_events"),
    ("gold.churn_features", {"view_to_cart_rate": 1.5}, "view_to_cart_rate_is_in_range"),
    ("gold.churn_features", {"trend": -2.0}, "trend_is_in_range"),
    ("gold.churn_features", {"recency_days": 1.0}, "recency_days_is_at_most_tenure_days"),
    ("gold.churn_features", {"as_of": at("09:00")}, "as_of_is_not_before_last_event_time"),
    ("gold.churn_features", {"active_days": 31}, "active_days_is_in_range"),
    ("gold.session_days", {"first_view_time": None}, "views_have_a_time"),
    ("gold.session_days", {"num_events": 4}, "num_events_holds_all_counts"),
    ("gold.session_funnel", {"carted": 0}, "purchased_is_at_most_carted"),
    ("gold.session_funnel", {"purchased_1m": 1}, "purchases_fall_into_one_time"),
    ("gold.session_funnel", {"num_events": 4}, "sessions_is_at_most_num_events"),
    ("gold.cohorts", {"users": -1}, "users_is_in_range"),
    ("gold.cohorts", {"period": -1}, "period_is_in_range"),
    ("gold.cohorts", {"unit": "month"}, "units_are_known"),
    ("postgres.raw_events", {"rows_in_mirror": 0}, "rows_in_mirror_are_those_in_delta"),
    ("postgres.raw_events", {"wrong_rows": 1}, "no_wrong_rows"),
    ("postgres.funnel_summary", {"events_in_mirror": 5}, "events_in_mirror_are_those_in_delta"),
    ("postgres.churn_prediction", {"unknown_users": 1}, "no_unknown_users"),
]


@pytest.mark.parametrize(("table", "change", "expectation"), BREAKS, ids=[f"{t}-{e}" for t, _, e in BREAKS])
def test_what_breaks_an_expectation_fails_it_and_no_other(
    judge: Judge, table: str, change: dict[str, Any], expectation: str
) -> None:
    found = failed(judge, table, change)

    assert list(found) == [expectation]
    key = judge.suites[table].key
    named = rows(table, change).select(list(key)).to_pylist()[0]
    (example,) = found[expectation].examples
    if set(key) <= set(example):  # a view has rows of its own
        assert {name: str(example[name]).replace("T", " ") for name in key} == {k: str(v) for k, v in named.items()}


def test_times_before_all_others_and_in_the_future_are_refused(judge: Judge) -> None:
    old, new = at("10:00").replace(year=1999), at("12:30")
    found = failed(judge, "silver.events", {"event_time": old}, {"event_time": new, "event_id": "e8"})
    assert {"times_are_plausible", "times_are_not_in_the_future"} <= set(found)
    assert found["times_are_not_in_the_future"].examples[0]["event_id"] == "e8"


@pytest.mark.parametrize("table", CONTRACTS)
def test_the_same_row_twice_is_found(judge: Judge, table: str) -> None:
    found = failed(judge, table, {}, {})
    assert (list(found), found["key_is_unique_among_the_rows"].unexpected_count) == (
        ["key_is_unique_among_the_rows"],
        2,
    )


def test_only_a_few_of_many_failing_rows_are_examples(judge: Judge) -> None:
    many = [{"price": Decimal(-1), "event_id": f"e{number}"} for number in range(100)]
    verdict = failed(judge, "silver.events", *many)["price_is_in_range"]
    assert (verdict.unexpected_count, len(verdict.examples)) == (100, 5)
    assert verdict.examples[0] == {"event_id": "e0", "event_time": "2026-05-04T10:02:59+00:00", "price": -1.0}


def test_more_purchases_than_carts_are_worth_a_look(judge: Judge) -> None:
    bought = {"num_add_to_cart": 0, "num_purchases": 40, "num_events": 50}
    found = failed(judge, "gold.funnel_summary", bought)
    assert found["purchases_go_with_carts"].examples[0]["purchases"] == 40


def test_every_expectation_stands_in_the_docs(judge: Judge) -> None:
    page = (Path(__file__).parents[2] / "docs" / "quality.md").read_text()
    named = [pattern.replace("…", "*") for pattern in re.findall(r"`([a-z_…]+)`", page)]
    expected = {each.name for suite in judge.suites.values() for each in suite.expectations}
    assert [name for name in sorted(expected) if not any(fnmatch(name, pattern) for pattern in named)] == []


def test_a_name_is_there_once_in_a_suite_and_says_what_is_required(judge: Judge) -> None:
    for suite in judge.suites.values():
        names = [each.name for each in suite.expectations]
        assert len(names) == len(set(names)), suite.table
        assert all(each.description.endswith(".") for each in suite.expectations)
