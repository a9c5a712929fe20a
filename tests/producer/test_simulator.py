"""The simulated shop: reproducible, with the shares it was asked for, and with users who stop coming."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import LakehouseError
from producer.simulator import Kind, SimulatedEvent, SimulatorConfig, simulate

MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
CONFIG = SimulatorConfig(seed=7, users=500, rate=20.0, start=MONDAY)
CLEAN = replace(CONFIG, late_share=0, duplicate_share=0, malformed_share=0, future_share=0)


def first(config: SimulatorConfig, count: int) -> list[SimulatedEvent]:
    return list(islice(simulate(config), count))


def fields(events: list[SimulatedEvent]) -> list[dict[str, Any]]:
    return [json.loads(event.value) for event in events]


def test_the_same_seed_gives_the_same_messages() -> None:
    assert first(CONFIG, 2_000) == first(CONFIG, 2_000)
    assert first(replace(CONFIG, seed=8), 100) != first(CONFIG, 100)


def test_a_restart_repeats_no_event_id() -> None:
    before, after = first(CLEAN, 2_000), first(replace(CLEAN, start=MONDAY + timedelta(seconds=1)), 2_000)
    assert not {event["event_id"] for event in fields(before)} & {event["event_id"] for event in fields(after)}


def test_six_views_to_three_carts_to_one_purchase() -> None:
    types = Counter(event["event_type"] for event in fields(first(CLEAN, 30_000)))
    assert types["view"] / 30_000 == pytest.approx(0.6, abs=0.02)
    assert types["add_to_cart"] / 30_000 == pytest.approx(0.3, abs=0.02)
    assert types["purchase"] / 30_000 == pytest.approx(0.1, abs=0.01)


def test_a_session_has_one_user_and_the_order_of_a_funnel() -> None:
    sessions: dict[str, list[dict[str, Any]]] = {}
    for event in fields(first(CLEAN, 5_000)):
        sessions.setdefault(event["session_id"], []).append(event)
    rank = {"view": 0, "add_to_cart": 1, "purchase": 2}
    for steps in sessions.values():
        assert len({step["user_id"] for step in steps}) == 1
        assert [rank[step["event_type"]] for step in steps] == sorted(rank[step["event_type"]] for step in steps)


def test_the_faults_have_the_shares_asked_for() -> None:
    config = replace(CONFIG, late_share=0.1, duplicate_share=0.1, malformed_share=0.1, future_share=0.1)
    kinds = Counter(event.kind for event in first(config, 20_000))
    for kind in (Kind.LATE, Kind.DUPLICATE, Kind.MALFORMED, Kind.FUTURE):
        assert kinds[kind] / 20_000 == pytest.approx(0.1, abs=0.01)


def test_each_fault_is_what_it_is_called() -> None:
    config = replace(CONFIG, late_share=0.1, duplicate_share=0.1, malformed_share=0.1, future_share=0.1)
    sent: set[bytes] = set()
    for event in first(config, 5_000):
        if event.kind is Kind.DUPLICATE:
            assert event.value in sent
        elif event.kind is not Kind.MALFORMED:
            assert event.value not in sent
            time = datetime.fromisoformat(json.loads(event.value)["timestamp"])
            if event.kind is Kind.LATE:
                assert timedelta(0) < event.due - time <= timedelta(days=1)
            elif event.kind is Kind.FUTURE:
                assert time - event.due >= timedelta(days=2)
            else:
                assert time == event.due
        sent.add(event.value)


def is_sound(value: bytes) -> bool:
    """Whether a message keeps the event contract, as far as the simulator's fields go."""
    try:
        event = json.loads(value)
        datetime.fromisoformat(event["timestamp"])
    except (ValueError, TypeError, KeyError):
        return False
    numbers = isinstance(event["price"], int | float) and isinstance(event.get("quantity", 1), int)
    return bool(event.get("user_id")) and event["event_type"] in {"view", "add_to_cart", "purchase"} and numbers


def test_malformed_messages_break_the_contract_and_no_other_does() -> None:
    events = first(replace(CONFIG, malformed_share=0.2), 5_000)
    assert all(is_sound(event.value) != (event.kind is Kind.MALFORMED) for event in events)
    assert len({event.value for event in events if event.kind is Kind.MALFORMED and is_json(event.value)}) > 100


def is_json(value: bytes) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True


def test_few_users_make_most_events() -> None:
    counts = sorted(Counter(event["user_id"] for event in fields(first(CLEAN, 20_000))).values(), reverse=True)
    assert sum(counts[: len(counts) // 10]) > 0.4 * 20_000


def test_users_stop_coming_and_those_who_come_rarely_sooner() -> None:
    half_a_year = replace(CLEAN, rate=30_000 / (180 * 86_400), end=MONDAY + timedelta(days=180))
    cut = (MONDAY + timedelta(days=120)).isoformat()
    events = fields(list(simulate(half_a_year)))
    before = Counter(event["user_id"] for event in events if event["timestamp"] < cut)
    after = {event["user_id"] for event in events if event["timestamp"] >= cut}
    rare = [user for user, count in before.items() if count <= 20]
    often = [user for user, count in before.items() if count > 100]

    def churned(users: list[str]) -> float:
        return sum(user not in after for user in users) / len(users)

    assert 0.3 < churned(list(before)) < 0.9
    assert churned(rare) > churned(often) + 0.2


@settings(max_examples=25, deadline=None)
@given(rate=st.floats(0.001, 10_000), users=st.integers(1, 300), seed=st.integers(0, 99))
def test_messages_come_in_order_at_the_rate_whatever_it_is(rate: float, users: int, seed: int) -> None:
    events = first(SimulatorConfig(seed=seed, users=users, rate=rate, start=MONDAY), 300)
    dues = [event.due for event in events]
    assert dues == sorted(dues)
    assert dues[0] == MONDAY
    assert (dues[-1] - MONDAY).total_seconds() <= 299 / rate + 1e-6
    assert (dues[-1] - MONDAY).total_seconds() >= 288 / rate - 1e-6  # at most a session's steps closer together


def test_the_end_is_not_passed() -> None:
    events = list(simulate(replace(CLEAN, end=MONDAY + timedelta(seconds=10))))
    assert len(events) == 200
    assert events[-1].due < MONDAY + timedelta(seconds=10)


@pytest.mark.parametrize(
    "wrong",
    [{"users": 0}, {"rate": 0.0}, {"late_share": 0.9, "future_share": 0.2}, {"start": datetime(2024, 1, 1)}],  # noqa: DTZ001
)
def test_what_cannot_be_simulated_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LakehouseError):
        replace(CONFIG, **wrong)
