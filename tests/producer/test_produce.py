"""Sending simulated events: exactly as many as asked for, when asked for, through every restart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from memory_sender import MemorySender

from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings, load_settings
from producer import live
from producer.pace import Pace
from producer.produce import ProduceStopped, Span, config_of, produce, span_of
from producer.simulator import simulate
from producer.stop import Stop

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def twenty_a_second() -> Settings:
    return load_settings(simulator_rate=20.0)


def span(count: int, **asked: object) -> Span:
    given: dict[str, object] = {"rate": None, "since": None, "until": None} | asked
    return span_of(count, now=NOON, usual_rate=20.0, **given)  # type: ignore[arg-type]


def test_spans() -> None:
    assert span(72_000) == Span(NOON - HOUR, 20.0, is_live=False)
    assert span(10, rate=5.0) == Span(NOON, 5.0, is_live=True)
    assert span(3_600, since=NOON - 2 * HOUR, until=NOON - HOUR) == Span(NOON - 2 * HOUR, 1.0, is_live=False)
    assert span(72_000, since=NOON) == Span(NOON, 20.0, is_live=False)
    assert span(72_000, until=NOON - HOUR) == Span(NOON - 2 * HOUR, 20.0, is_live=False)


@pytest.mark.parametrize("asked", [{"rate": 5.0, "since": NOON}, {"since": NOON, "until": NOON}])
def test_spans_that_contradict_themselves(asked: dict[str, object]) -> None:
    with pytest.raises(LakehouseError, match="--from"):
        span(10, **asked)


def test_exactly_the_events_asked_for_are_sent(twenty_a_second: Settings) -> None:
    sender = MemorySender()
    events = islice(simulate(config_of(twenty_a_second, rate=20.0, start=NOON)), 5_000)
    result = produce(events, sender, pace=Pace(None), stop=sender.stop, progress=lambda _doing, _done: None)
    assert result.events == sender.sent == sum(result.by_kind.values()) == 5_000
    assert sender.flushes == 1


def test_a_live_rate_is_kept(twenty_a_second: Settings) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    sender = MemorySender()
    events = islice(simulate(config_of(twenty_a_second, rate=50.0, start=NOON)), 101)
    pace = Pace(1.0, clock=lambda: now, sleep=sleep)
    result = produce(events, sender, pace=pace, stop=sender.stop, progress=lambda _a, _b: None, clock=lambda: now)
    assert result.seconds == pytest.approx(2.0)


def test_a_stop_says_what_was_sent(twenty_a_second: Settings) -> None:
    sender = MemorySender(stop_after=7)
    events = simulate(config_of(twenty_a_second, rate=20.0, start=NOON))
    with pytest.raises(ProduceStopped) as error:
        produce(events, sender, pace=Pace(None), stop=sender.stop, progress=lambda _doing, _done: None)
    assert error.value.result.events == sender.sent == 7
    assert error.value.exit_code == 130


class Away(Stop):
    """A stop that notes how long was slept instead of sleeping, and ends after so many sleeps."""

    def __init__(self, sleeps: int) -> None:
        super().__init__()
        self.slept: list[float] = []
        self._left = sleeps

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._left -= 1
        if not self._left:
            self.set()


def test_a_broker_that_is_away_is_waited_for_longer_each_time_and_said_once(twenty_a_second: Settings) -> None:
    def connect() -> MemorySender:
        raise LakehouseError("no Kafka broker answers")

    said: list[str] = []
    stop = Away(sleeps=7)
    live.run(twenty_a_second, connect, stop, now=lambda: NOON, pace=lambda: Pace(None), say=said.append)
    assert stop.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert said == ["no Kafka broker answers; trying again until it is back"]


def test_a_broker_that_fails_gets_a_new_run_with_new_ids(twenty_a_second: Settings) -> None:
    class Failing(MemorySender):
        def send(self, key: bytes | None, value: bytes, headers: object = ()) -> None:  # noqa: ARG002
            super().send(key, value)
            if self.sent == 10:
                raise LakehouseError("lost")

    stop = Away(sleeps=2)
    senders: list[Failing] = []
    starts = iter(NOON + timedelta(seconds=number) for number in range(1_000_000))

    def connect() -> MemorySender:
        senders.append(Failing())
        return senders[-1]

    live.run(twenty_a_second, connect, stop, now=lambda: next(starts), pace=lambda: Pace(None), say=lambda _line: None)
    first, second = ({value for _, value in sender.messages} for sender in senders)
    assert len(first) == len(second) == 10
    assert not first & second
    assert stop.slept == [1.0, 1.0]


def test_a_run_that_lags_is_given_up_for_one_that_begins_now(twenty_a_second: Settings) -> None:
    stop = Stop()
    runs: list[MemorySender] = []
    moments = iter([NOON, NOON, NOON, NOON + 8 * HOUR])  # the machine slept after the second event

    def connect() -> MemorySender:
        if runs:
            stop.set()
        runs.append(MemorySender())
        return runs[-1]

    live.run(
        twenty_a_second,
        connect,
        stop,
        now=lambda: next(moments, NOON + 8 * HOUR),
        pace=lambda: Pace(None),
        say=lambda _line: None,
    )
    assert [run.sent for run in runs] == [2, 0]
