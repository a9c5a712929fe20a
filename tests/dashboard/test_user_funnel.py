"""The ordered funnel of users, of a few of them: who came how far within the window, and what was not read."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.funnel.stops import Stop, Within
from dashboard.funnel.user_panels import steps
from dashboard.funnel.user_steps import (
    CART,
    PURCHASE,
    VIEW,
    Tally,
    most_frequent_values,
    stopped,
    tally,
    together,
    user_funnel,
)
from dashboard.funnel.users import read_users
from dashboard.lake import TooMuch
from dashboard.ranges import Span
from gold.session_days import session_days
from lakehouse.contracts import SilverEvents
from lakehouse.frames import empty
from lakehouse.home import Home
from lakehouse.settings import Settings
from tests.quality.lake import Lake, message

KINDS = {"v": "view", "c": "add_to_cart", "p": "purchase", "s": "search"}


def at(time: str) -> datetime:
    """``at("04T10:03")``: that time of a day of May 2026, UTC."""
    return datetime.fromisoformat(f"2026-05-{time}").replace(tzinfo=UTC)


def days(*first_and_last: str) -> Span:
    first, last = at(f"{first_and_last[0]}T00:00"), at(f"{first_and_last[-1]}T00:00")
    return Span(first, last + timedelta(days=1))


def session_days_of(acts: dict[str, str]) -> pl.LazyFrame:
    """``ann="s1 v04T10:00@NL c04T10:05"``: what a user did, in the session named before it; without a name in none; and
    with what value of ``country``."""
    rows: list[dict[str, Any]] = []
    for user, words in acts.items():
        session = None
        for word in words.split():
            if "T" not in word:
                session = word
                continue
            act, _, country = word.partition("@")
            row = {"user_id": user, "session_id": session, "event_type": KINDS[act[0]], "event_time": at(act[1:])}
            rows.append(row | ({"properties": json.dumps({"country": country})} if country else {}))
    events = pl.DataFrame(rows, schema=pl.DataFrame(empty(SilverEvents)).schema)
    return session_days(events, Settings(funnel_dimensions=("country",), funnel_steps_cap=2)).lazy()


def users(span: Span, window: timedelta = Within.DAY.length, **acts: str) -> pl.DataFrame:
    """The funnel of those who did ``acts``."""
    return user_funnel(session_days_of(acts), span, window).collect().sort("user_id")


def by_value(span: Span, dimension: str = "country", most: int = 9, **acts: str) -> pl.DataFrame:
    """Of those who did ``acts``."""
    found = most_frequent_values(tally(session_days_of(acts), span, Within.DAY.length, None, dimension), most)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("acts", "stop"),
    [
        pytest.param("v04T10:00 c04T10:05 p04T10:30", Stop.NOWHERE, id="in order"),
        pytest.param("s1 v04T10:00 s2 c04T12:00 s3 p04T15:00", Stop.NOWHERE, id="over three sessions"),
        pytest.param("v04T23:50 c05T00:05 p05T23:50", Stop.NOWHERE, id="over midnight, just within the window"),
        pytest.param("v04T23:50 c05T00:05 p05T23:51", Stop.AFTER_CART, id="bought after the window"),
        pytest.param("v04T10:00 c05T10:01 p05T10:02", Stop.AFTER_VIEW, id="carted after the window"),
        pytest.param("c04T09:00 v04T10:00", Stop.AFTER_VIEW, id="carted before the view"),
        pytest.param("v04T10:00 p04T10:05 c04T10:30", Stop.AFTER_CART, id="bought before the cart"),
        pytest.param("v04T10:00 c04T10:00 p04T10:00", Stop.NOWHERE, id="all at once"),
        pytest.param("v04T10:00 p04T10:30", Stop.AFTER_VIEW, id="no cart"),
        pytest.param("c04T10:00 p04T10:30", Stop.BEFORE_VIEW, id="no view"),
        pytest.param("v03T10:00 s04T10:00", Stop.BEFORE_VIEW, id="a view before the range"),
    ],
)
def test_how_far_a_user_came(acts: str, stop: Stop) -> None:
    found = users(days("04"), ann=acts)

    assert {each: stopped(found, each).height for each in Stop if not stopped(found, each).is_empty()} == {stop: 1}


def test_the_first_of_each_step_counts_and_no_step_before_it() -> None:
    [ann] = users(
        days("03", "04"),
        ann="s1 v04T08:00 c04T09:00 s2 v03T10:00 c03T09:00 c03T11:00 s3 p03T10:30 p03T12:00 p04T09:30",
    ).to_dicts()

    assert (ann[VIEW], ann[CART], ann[PURCHASE]) == (at("03T10:00"), at("03T11:00"), at("03T12:00"))
    assert ann["last_time"] == at("04T09:30")


def test_users_who_only_act_after_the_range_are_none_of_it() -> None:
    found = users(days("04"), ann="v04T10:00", bob="v05T10:00", cid="s03T10:00")

    assert found["user_id"].to_list() == ["ann"]


def test_users_of_whom_not_all_steps_are_kept_are_told() -> None:
    found = users(days("04"), ann="s1 c04T08:00 c04T08:01 c04T08:02 v04T09:00 c04T09:01", bob="s1 v04T09:00 c04T09:01")

    assert found.select("user_id", CART, "capped").rows() == [("ann", None, True), ("bob", at("04T09:01"), False)]


VALUES = ("value", "users", "viewed", "carted", "purchased")


@pytest.mark.parametrize(
    ("acts", "value"),
    [
        pytest.param("v04T10:00@NL c04T10:05@DE", "NL", id="the first event's"),
        pytest.param("v04T10:00 c04T10:05@DE", "DE", id="the first event's that has one"),
        pytest.param("s1 v04T12:00@NL s2 s04T10:00@DE", "DE", id="over sessions, of any type"),
        pytest.param("s1 v04T10:00@NL s2 s04T10:00@DE", "DE", id="the least of two at one time"),
        pytest.param("v03T10:00@NL c04T10:05@DE", "DE", id="of the range, and none before it"),
        pytest.param("v04T10:00 c05T10:00@DE", "", id="none of the window after it"),
        pytest.param("v04T10:00", "", id="without any"),
    ],
)
def test_a_user_of_several_values_counts_by_the_first_of_the_range(acts: str, value: str) -> None:
    assert by_value(days("04"), ann=acts)["value"].to_list() == [value]


def test_each_value_has_its_steps_and_each_user_counts_once() -> None:
    found = by_value(
        days("04"),
        ann="v04T10:00@NL c04T10:05@NL p04T10:30@DE",
        bob="v04T10:00@NL",
        cid="v04T10:00@DE c04T11:00@DE",
        eve="s04T10:00",
    )

    assert found.select(VALUES).rows() == [("NL", 2, 2, 1, 1), ("", 1, 0, 0, 0), ("DE", 1, 1, 1, 0)]
    assert found.filter(pl.col("value") == "NL")["seconds_to_purchase"].to_list() == [1800]
    assert found["users"].sum() == 4


def test_values_beyond_the_most_frequent_are_counted_together() -> None:
    found = by_value(days("04"), most=1, a="v04T10:00@NL", b="v04T10:00@NL", c="v04T10:00@DE", d="v04T10:00@FR")

    assert found.select("place", "num_values", *VALUES).rows() == [
        (1, 1, "NL", 2, 2, 0, 0),
        (2, 2, None, 2, 2, 0, 0),
    ]


def test_a_dimension_that_nobody_was_counted_by_has_no_values() -> None:
    assert by_value(days("04"), "device", ann="v04T10:00@NL").is_empty()


ACTS = st.dictionaries(
    st.sampled_from("abcdefg"),
    st.lists(st.tuples(st.sampled_from("vcps"), st.integers(2, 6), st.sampled_from(["", "@NL", "@DE", "@FR"]))),
    min_size=1,
).map(
    lambda acts: {
        user: " ".join(f"{kind}0{day}T10:{number:02}{of}" for number, (kind, day, of) in enumerate(each))
        for user, each in acts.items()
    }
)
"""What some users did, as `session_days_of` takes it."""


@given(ACTS, st.integers(1, 3))
def test_all_values_together_are_all_users(words: dict[str, str], most: int) -> None:
    span = days("03", "05")
    everyone = users(span, **words)
    found = by_value(span, most=most, **words)

    assert found.is_empty() == everyone.is_empty()
    assert found.height <= most + 1
    assert found.select(pl.col(VALUES[1:]).sum()).row(0) == (
        everyone.height,
        *(everyone[step].count() for step in (VIEW, CART, PURCHASE)),
    )


def told(found: Tally) -> list[Any]:
    """All of it, to be compared."""
    assert found.by_value is not None
    listed = {stop: users.rows() for stop, users in found.listed.items()}
    by_value = sorted(found.by_value.rows())
    return [found.counts, found.to_purchase, found.open, found.capped, listed, by_value, found.has_values]


@given(ACTS, st.sets(st.sampled_from("abcdefg")))
def test_users_counted_after_one_another_are_those_counted_at_once(words: dict[str, str], first: set[str]) -> None:
    rows_of_all, is_first = session_days_of(words), pl.col("user_id").is_in(first)

    def of(rows: pl.LazyFrame) -> Tally:
        return tally(rows, days("03", "05"), Within.DAY.length, at("05T00:00"), "country")

    assert told(together(of(rows_of_all.filter(is_first)), of(rows_of_all.filter(~is_first)))) == told(of(rows_of_all))


@pytest.fixture
def lake(settings: Settings, tmp_path: Path) -> Lake:
    """Of 3, 4 and 5 May: ann buys over midnight, bob leaves a cart, and cid only views."""
    lake = Lake(Home(tmp_path).make(), settings)
    lake.bring(
        message("view", at("03T10:00"), user="cid"),
        message("view", at("04T10:00"), user="bob"),
        message("add_to_cart", at("04T11:00"), user="bob"),
        message("view", at("04T23:00"), user="ann"),
        message("add_to_cart", at("04T23:30"), user="ann"),
        message("purchase", at("05T00:30"), user="ann"),
    )
    return lake


def test_the_days_of_the_window_are_read_and_users_are_listed(lake: Lake) -> None:
    found = read_users(lake.home, days("03", "04"), Within.DAY.length, at("05T01:00"))

    assert list(found.counts.values()) == [0, 1, 1, 1]
    assert [count for _, count in steps(found.counts)] == [3, 3, 2, 1]
    assert found.to_purchase == {"≤ 5 min": 0, "≤ 1 h": 0, "≤ 6 h": 1, "≤ 1 day": 0}
    assert (found.rows, found.rows_left, found.open) == (4, 0, 1)
    assert found.listed[Stop.AFTER_CART].select("user_id", VIEW, CART).rows() == [
        ("bob", at("04T10:00"), at("04T11:00"))
    ]
    assert found.by_value is None


def test_users_by_a_declared_dimension_are_read_with_them(lake: Lake) -> None:
    found = read_users(lake.home, days("03", "04"), Within.DAY.length, at("05T01:00"), "category", 5)

    assert found.by_value is not None
    assert found.by_value.select(VALUES).rows() == [("", 3, 3, 2, 1)]


def test_users_are_read_some_after_others_whatever_there_are_of_them(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = (lake.home, days("03", "04"), Within.DAY.length, at("05T01:00"), "category")
    at_once = read_users(*asked)
    read: list[pl.DataFrame] = []

    def noted(rows: pl.LazyFrame, *rest: Any) -> Tally:
        read.append(rows.collect())
        return tally(rows, *rest)

    monkeypatch.setattr("dashboard.funnel.users.tally", noted)
    found = read_users(*asked, part_rows=1)

    assert len(read) == sum(rows.height for rows in read) == at_once.rows == 4
    assert "session_id" not in read[0].columns
    assert [getattr(found, name) for name in ("counts", "to_purchase", "open", "rows", "span")] == [
        getattr(at_once, name) for name in ("counts", "to_purchase", "open", "rows", "span")
    ]
    assert found.by_value is not None and found.by_value.equals(at_once.by_value)
    assert all(users.equals(at_once.listed[stop]) for stop, users in found.listed.items())


def test_what_is_too_much_to_be_read_is_left_out_by_whole_days_and_said(lake: Lake) -> None:
    found = read_users(lake.home, days("03", "04"), Within.DAY.length, None, most_rows=3)

    assert (found.span, found.asked) == (days("04"), days("03", "04"))
    assert (found.rows, found.rows_left) == (3, 1)
    assert list(found.counts.values()) == [0, 0, 1, 1]


def test_a_day_that_is_too_much_is_refused_with_what_to_do(lake: Lake) -> None:
    with pytest.raises(TooMuch, match=r"more than the 2 that are read .* choose a shorter window, or count sessions"):
        read_users(lake.home, days("04"), Within.DAY.length, None, most_rows=2)


def test_a_range_without_anybody_has_no_users(lake: Lake) -> None:
    found = read_users(lake.home, days("20"), Within.WEEK.length, None)

    assert (sum(found.counts.values()), found.rows, found.span) == (0, 0, days("20"))
