"""How far the watermark goes: behind the newest event, never back, and not after one broken clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gold.watermark import advance
from lakehouse.settings import Settings, load_settings

SETTINGS = load_settings(allowed_lateness_minutes=60, watermark_max_step_hours=24, watermark_step_users=3)

moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
batches = st.lists(moments, max_size=8)


def at(text: str) -> datetime:
    """DAY HH:MM of March 2026."""
    day, time = text.split()
    return datetime.fromisoformat(f"2026-03-{day}T{time}+00:00")


@pytest.mark.parametrize(
    ("before", "newest_by_user", "after"),
    [
        pytest.param("01 09:00", ["01 10:30"], "01 09:30", id="an hour behind the newest event"),
        pytest.param("01 09:00", ["01 10:30", "01 10:10"], "01 09:30", id="of the newest user"),
        pytest.param("01 09:00", ["01 08:00"], "01 09:00", id="never back for a late event"),
        pytest.param("01 09:00", [], "01 09:00", id="nor without events"),
        pytest.param("01 09:00", ["02 10:00"], "02 09:00", id="a step of exactly a day needs one user"),
        pytest.param("01 09:00", ["02 10:01"], "01 09:00", id="a longer one needs more than one"),
        pytest.param("01 09:00", ["09 12:00", "09 11:00"], "01 09:00", id="and more than two"),
        pytest.param("01 09:00", ["09 12:00", "09 11:00", "09 10:00"], "09 09:00", id="as far as three have come"),
        pytest.param("01 09:00", ["09 12:00", "01 11:00"], "01 10:00", id="the others move it within a day"),
        pytest.param("01 09:00", ["09 12:00", "09 11:00", "01 11:00"], "01 10:00", id="two broken clocks do not"),
    ],
)
def test_the_watermark_after_a_batch(before: str, newest_by_user: list[str], after: str) -> None:
    assert advance(at(before), [at(text) for text in newest_by_user], SETTINGS) == at(after)


def test_the_first_batch_sets_it_as_far_as_three_users_have_come() -> None:
    assert advance(None, [], SETTINGS) is None
    assert advance(None, [at("01 10:00")], SETTINGS) == at("01 09:00")
    assert advance(None, [at("09 10:00"), at("01 10:00"), at("01 11:00")], SETTINGS) == at("01 09:00")


def test_more_users_may_be_asked_for() -> None:
    three = [at("09 12:00"), at("09 11:00"), at("09 10:00")]

    assert advance(at("01 09:00"), three, SETTINGS.model_copy(update={"watermark_step_users": 4})) == at("01 09:00")


def lateness(settings: Settings) -> timedelta:
    return timedelta(minutes=settings.allowed_lateness_minutes)


@given(st.none() | moments, st.lists(batches, max_size=6))
def test_it_never_goes_back_nor_ahead_of_the_events(start: datetime | None, sequence: list[list[datetime]]) -> None:
    watermark = start
    for newest in sequence:
        after = advance(watermark, newest, SETTINGS)
        if watermark is not None:
            assert after is not None
            assert after >= watermark
        if newest and after != watermark:
            assert after is not None
            assert after <= max(newest) - lateness(SETTINGS)
        watermark = after


@given(moments, moments)
def test_one_user_moves_it_a_day_at_most(before: datetime, newest: datetime) -> None:
    after = advance(before, [newest], SETTINGS)

    assert after is not None
    assert before <= after <= before + timedelta(days=1)
