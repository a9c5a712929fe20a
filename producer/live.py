"""``python -m producer.live``: the shop that `lakehouse up` simulates, for ever, at ``simulator_rate`` events/s.

A broker that goes away is waited for. Each start is a run of its own, whose moment is part of every event id: a
restart with the same seed repeats what users do, but no event.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import typer

from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.kafka_security import KafkaSecurity
from lakehouse.settings import Settings, load_settings
from lakehouse.topic import ensure_topic
from producer.client import KafkaPythonSender, Sender
from producer.pace import Pace
from producer.produce import config_of
from producer.simulator import simulate
from producer.stop import Stop, stop_on

FIRST_BACKOFF_S = 1.0
LONGEST_BACKOFF_S = 30.0

LAST_FLUSH_S = 3.0
"""How long the end of a run waits for a broker: nobody who stops the stack wants to wait for simulated events."""

MAX_BEHIND = timedelta(seconds=60)
"""A run that lags more (the machine slept, the broker was away) is given up for a new one that begins now: nobody
wants hours of missed events sent at once."""

Now = Callable[[], datetime]
Say = Callable[[str], None]


def main() -> None:
    """Runs until SIGTERM or SIGINT, then exits with 0."""
    settings = load_settings()
    with stop_on(signal.SIGTERM, signal.SIGINT) as stop:
        run(settings, lambda: _connect(settings), stop, now=_now, pace=lambda: Pace(1.0, sleep=stop.sleep), say=_say)


def run(
    settings: Settings, connect: Callable[[], Sender], stop: Stop, *, now: Now, pace: Callable[[], Pace], say: Say
) -> None:
    """One run after the other until ``stop`` is set; after a failure it waits, twice as long each time.

    ``connect`` raises LakehouseError while there is no broker. ``say`` gets one line when it fails, one when it is
    back.
    """
    if settings.simulator_rate == 0:
        say("simulator_rate is 0: nothing is simulated")
        while not stop.is_set():
            stop.sleep(3600)
        return
    backoff_s, is_away = FIRST_BACKOFF_S, False
    while not stop.is_set():
        try:
            sender = connect()
            say(f"simulating {settings.simulator_rate:g} events/s")
            backoff_s, is_away = FIRST_BACKOFF_S, False
            try:
                _one_run(settings, sender, stop, now, pace())
            finally:
                sender.close()
        except LakehouseError as error:
            if not is_away:
                say(f"{error}; trying again until it is back")
            is_away = True
            stop.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, LONGEST_BACKOFF_S)


def _one_run(settings: Settings, sender: Sender, stop: Stop, now: Now, pace: Pace) -> None:
    """Sends what is due when it is due, until it is stopped, fails or lags behind."""
    for event in simulate(config_of(settings, rate=settings.simulator_rate, start=now())):
        pace.wait_for(event.due)
        if stop.is_set() or now() - event.due > MAX_BEHIND:
            break
        sender.send(event.key, event.value)
    sender.flush(LAST_FLUSH_S)


def _connect(settings: Settings) -> Sender:
    bootstrap = Endpoints.load(Home(settings.home)).kafka
    for difference in ensure_topic(bootstrap, settings):
        _say(difference)
    return KafkaPythonSender(bootstrap, settings.topic, KafkaSecurity.of(settings))


def _now() -> datetime:
    return datetime.now(UTC)


def _say(line: str) -> None:
    typer.echo(f"{_now():%Y-%m-%dT%H:%M:%SZ} {line}", err=True)


if __name__ == "__main__":
    main()
