"""How many requests a caller may make, by a clock that the test turns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from serving.rate import MOST_CALLERS, RateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_minute_s_worth_may_come_at_once_and_then_as_fast_as_it_fills() -> None:
    clock = Clock()
    limit = RateLimit(60, clock)

    first = [limit.wait_s("a") for _ in range(61)]
    clock.now += 1.0
    second = [limit.wait_s("a") for _ in range(2)]

    assert first == [0.0] * 60 + [1.0]
    assert second == [0.0, 1.0]


def test_one_caller_does_not_use_up_what_is_another_s() -> None:
    limit = RateLimit(1, Clock())

    assert [limit.wait_s("a"), limit.wait_s("a"), limit.wait_s("b")] == [0.0, 60.0, 0.0]


def test_a_refused_request_costs_nothing() -> None:
    clock = Clock()
    limit = RateLimit(1, clock)
    limit.wait_s("a")
    for _ in range(100):
        limit.wait_s("a")
    clock.now += 60.0

    assert limit.wait_s("a") == 0.0


def test_no_more_callers_are_remembered_than_fit() -> None:
    limit = RateLimit(1, Clock())
    for number in range(MOST_CALLERS + 50):
        limit.wait_s(str(number))

    assert len(limit._buckets) == MOST_CALLERS


@given(st.integers(1, 600), st.lists(st.floats(0, 30, allow_nan=False, allow_infinity=False), min_size=1, max_size=200))
def test_in_any_time_no_more_are_answered_than_a_minute_s_worth_and_what_filled_up(
    per_minute: int, pauses: list[float]
) -> None:
    clock = Clock()
    limit = RateLimit(per_minute, clock)
    answered = 0
    for pause in pauses:
        clock.now += pause
        answered += limit.wait_s("a") == 0.0

    assert answered <= per_minute + sum(pauses) * per_minute / 60 + 1e-6
