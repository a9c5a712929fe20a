"""The broker for as long as a command sends to it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console

from lakehouse.embedded.console import console
from lakehouse.embedded.services import services
from lakehouse.settings import Settings
from lakehouse.topic import ensure_topic
from producer.stop import Stop, stop_on


class Broker(NamedTuple):
    """What sending needs for as long as the command runs."""

    bootstrap: str
    console: Console
    stop: Stop


@contextmanager
def broker(settings: Settings) -> Iterator[Broker]:
    """The broker with its topic made; Ctrl-C only asks to stop once it is there."""
    with services(settings, {"kafka"}) as endpoints:
        for difference in ensure_topic(endpoints.kafka, settings):
            console.print(difference, markup=False)
        with stop_on(signal.SIGINT, signal.SIGTERM) as stop:
            yield Broker(endpoints.kafka, console, stop)
