"""What is judged beside the rows: shares, hours and books, made of rows and facts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import polars as pl
import pytest

from lakehouse.settings import Settings
from quality import views
from quality.facts import ACCOUNTS, HISTORY, Facts
from quality.judge import Judge
from quality.verdicts import Severity, Verdict
from tests.quality.clean_rows import at, rows

NONE = pl.DataFrame()


def history(by_hour: Mapping[datetime, Mapping[str, int]]) -> pl.DataFrame:
    """Windows that hold these events; a window for each hour and type will do."""
    found = [(hour, kind, events) for hour, kinds in by_hour.items() for kind, events in kinds.items()]
    return pl.DataFrame(found, schema=HISTORY, orient="row")


def days(number: int, kinds: Mapping[str, int]) -> dict[datetime, Mapping[str, int]]:
    """The same events in every hour of ``number`` days before 4 May 10:00."""
    return {at("10:00") - timedelta(hours=hour): kinds for hour in range(1, number * 24 + 1)}


def failed(judge: Judge, table: str, facts: Facts) -> dict[str, Verdict]:
    return {v.expectation: v for v in judge.judge(table, rows(table).slice(0, 0), facts) if not v.success}


def test_a_dead_producer_is_found_by_silence(judge: Judge) -> None:
    newest = at("10:00")
    assert failed(judge, "bronze.user_events", Facts(now=at("10:09"), newest=newest)) == {}
    found = failed(judge, "bronze.user_events", Facts(now=at("10:11"), newest=newest))
    assert (list(found), found["messages_come"].severity) == (["messages_come"], Severity.alarm)
    assert found["messages_come"].examples == [{"newest": "2026-05-04T10:00:00+00:00", "seconds": 660.0}]


def test_silence_is_not_judged_where_nobody_expects_events(judge: Judge) -> None:
    asked = [verdict.expectation for verdict in judge.judge("bronze.user_events", rows("bronze.user_events"), Facts())]
    assert "messages_come" not in asked


def test_rows_that_wait_too_long_are_found(judge: Judge) -> None:
    assert failed(judge, "silver.events", Facts(now=at("10:09"), waiting_since=at("10:00"))) == {}
    assert list(failed(judge, "silver.events", Facts(now=at("10:11"), waiting_since=at("10:00")))) == [
        "rows_do_not_wait"
    ]


def test_more_users_than_their_cohort_has_are_found(judge: Judge) -> None:
    week, own = pl.DataFrame(rows("gold.cohorts")), {"period": 0}
    of_two = Facts(sizes=week.select("unit", "cohort", pl.lit(2, pl.Int64).alias("users")))
    cells = rows("gold.cohorts", own | {"users": 2}, {"users": 3})

    (found,) = (v for v in judge.judge("gold.cohorts", cells, of_two) if not v.success)

    assert found.expectation == "users_are_of_the_cohort"
    assert [example["period"] for example in found.examples] == [1]


def account(rows_in: int, out: int, duplicate: int, refused: int, added: int | None = None) -> Facts:
    values = (1, rows_in, out, duplicate, refused, out if added is None else added, None)
    return Facts(accounts=pl.DataFrame([values], schema=ACCOUNTS, orient="row"))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(account(1_000, 987, 10, 3), [], id="as simulated"),
        pytest.param(account(30, 25, 3, 2), [], id="few messages prove little"),
        pytest.param(account(1_000, 990, 5, 4), ["books_balance_with_the_layer_before"], id="one is nowhere"),
        pytest.param(account(1_000, 987, 10, 3, added=986), ["commits_hold_what_they_say"], id="one was not written"),
        pytest.param(account(1_000, 850, 0, 150), ["few_are_refused_or_copies"], id="many refused"),
        pytest.param(account(1_000, 500, 500, 0), ["few_are_refused_or_copies"], id="all came twice"),
    ],
)
def test_the_books_of_a_batch(judge: Judge, facts: Facts, expected: list[str]) -> None:
    assert list(failed(judge, "silver.events", facts)) == expected


def test_offsets_that_were_jumped_over_are_found(judge: Judge) -> None:
    accounts = pl.DataFrame([(1, 10, 10, 0, 0, 10, 12)], schema=ACCOUNTS, orient="row")
    found = failed(judge, "bronze.user_events", Facts(accounts=accounts))
    assert [(each.expectation, each.examples[0]["version"]) for each in found.values()] == [
        ("every_offset_is_there", 1)
    ]


def events(kinds: Mapping[str, int]) -> pl.DataFrame:
    of_each = [(kind, at("10:03")) for kind, number in kinds.items() for _ in range(number)]
    return pl.DataFrame(of_each, schema={"event_type": pl.String, "event_time": pl.Datetime("us", "UTC")}, orient="row")


USUAL = {"view": 600, "add_to_cart": 300, "purchase": 100}


@pytest.mark.parametrize(
    ("now", "floods", "dry"),
    [
        pytest.param(USUAL, [], [], id="as always"),
        pytest.param({"view": 60, "add_to_cart": 25, "purchase": 15}, [], [], id="a few, as they fall"),
        pytest.param({**USUAL, "search": 30}, [], [], id="a new type, of which a few come"),
        pytest.param({**USUAL, "search": 3_000}, ["search"], ["view"], id="a flood"),
        pytest.param({"view": 6_000, "add_to_cart": 3_000}, [], ["purchase"], id="no purchase any more"),
        pytest.param({"view": 6, "add_to_cart": 3}, [], [], id="none of nine is no purchase, which proves nothing"),
    ],
)
def test_shares_of_types_against_their_history(
    settings: Settings, now: dict[str, int], floods: list[str], dry: list[str]
) -> None:
    found = views.shares(events(now), Facts(history=history(days(1, USUAL))), settings)
    assert found is not None
    assert found.filter(pl.col("share") > pl.col("highest"))["event_type"].to_list() == floods
    assert found.filter(pl.col("share") < pl.col("lowest"))["event_type"].to_list() == dry


def test_shares_are_not_compared_with_a_short_history_or_with_the_rows_themselves(settings: Settings) -> None:
    short = history({at("09:00"): {"view": 999}})
    itself = history({at("10:00"): {"view": 10_000}})
    for known in (short, itself):
        assert views.shares(events(USUAL), Facts(history=known), settings) is None


def hours(by_hour: Mapping[datetime, Mapping[str, int]], until: str, settings: Settings) -> list[tuple[str, str, str]]:
    """Hours that are out of order: hour, type, and whether too many or too few came."""
    facts = Facts(history=history(by_hour), complete_until=at(until))
    touched = pl.DataFrame({"window_start": [at(until) - timedelta(hours=1)]})
    found = views.hours(touched, facts, settings)
    assert found is not None
    return [
        (f"{row['hour']:%H:%M}", row["event_type"], "many" if row["events"] > row["highest"] else "few")
        for row in found.to_dicts()
        if not row["lowest"] <= row["events"] <= row["highest"]
    ]


MANY = {kind: 10 * events for kind, events in USUAL.items()}


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        pytest.param(MANY, [], id="as on other days"),
        pytest.param({"view": 11_000, "add_to_cart": 5_000, "purchase": 1_800}, [], id="a good hour"),
        pytest.param({**MANY, "purchase": 0}, [("10:00", "purchase", "few")], id="purchases are not tracked"),
        pytest.param({**MANY, "view": 60_000}, [("10:00", "*", "many"), ("10:00", "view", "many")], id="a flood"),
        pytest.param(
            {}, [("10:00", "*", "few"), ("10:00", "add_to_cart", "few"), ("10:00", "purchase", "few"),
                 ("10:00", "view", "few")], id="nothing at all",
        ),
    ],
)  # fmt: skip
def test_an_hour_against_the_same_hour_of_earlier_days(
    settings: Settings, newest: dict[str, int], expected: list[tuple[str, str, str]]
) -> None:
    assert hours({**days(4, MANY), at("10:00"): newest}, "11:00", settings) == expected


def test_an_hour_that_is_not_complete_is_not_judged(settings: Settings) -> None:
    assert hours({**days(4, MANY), at("10:00"): {"view": 1}}, "10:59", settings) == []


def test_an_hour_needs_three_days_before_it_and_the_first_hour_of_all_is_none(settings: Settings) -> None:
    began = {at("10:00") - timedelta(days=3): {"view": 3}}
    assert hours({**days(2, MANY), **began, at("10:00"): {}}, "11:00", settings) == []


def test_an_hour_of_few_events_proves_nothing(settings: Settings) -> None:
    for now in (0, 150):
        assert hours({**days(4, {"view": 20}), at("10:00"): {"view": now}}, "11:00", settings) == []
