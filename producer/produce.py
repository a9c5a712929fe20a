"""Sending simulated events, each when it is due or as fast as the broker takes them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from producer.client import Sender
from producer.pace import Pace
from producer.simulator import SimulatedEvent, SimulatorConfig
from producer.stop import Stop

SENDING = "sending"
_PROGRESS_EVERY = 512


@dataclass(frozen=True)
class Produced:
    """What was sent, every message acknowledged by the broker."""

    events: int
    """Messages, the malformed ones and the copies among them."""
    by_kind: Mapping[str, int]
    """normal, late, duplicate, malformed, future: how many of each."""
    seconds: float

    @property
    def sentence(self) -> str:
        rate = f"{self.events / self.seconds:,.0f} events/s" if self.seconds > 0 else "at once"
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.by_kind.items())
        return f"{self.events:,} events produced ({kinds or 'none'}); {self.seconds:.1f} s, {rate}"


class ProduceStopped(LakehouseError):
    """Somebody asked it to stop: what was sent until then is delivered."""

    exit_code = 130

    def __init__(self, result: Produced) -> None:
        super().__init__(f"stopped: {result.sentence}")
        self.result = result


def config_of(settings: Settings, *, rate: float, start: datetime, seed: int | None = None) -> SimulatorConfig:
    """The simulation that ``settings`` describe, at ``rate`` messages a second from ``start`` on."""
    return SimulatorConfig(
        seed=settings.simulator_seed if seed is None else seed,
        users=settings.simulator_users,
        rate=rate,
        start=start,
        late_share=settings.simulator_late_share,
        duplicate_share=settings.simulator_duplicate_share,
        malformed_share=settings.simulator_malformed_share,
        future_share=settings.simulator_future_share,
    )


@dataclass(frozen=True)
class Span:
    """When simulated events happen, and whether they are sent as they happen."""

    start: datetime
    rate: float
    is_live: bool


def span_of(
    count: int, *, now: datetime, usual_rate: float, rate: float | None, since: datetime | None, until: datetime | None
) -> Span:
    """When ``count`` events happen. Times are aware, rates in events/s.

    With ``rate`` they happen from ``now`` on and are sent at that rate. Without, they lie in the past and are sent as
    fast as they can: from ``since`` to ``until``, where one is left out at ``usual_rate`` from or to the other, and
    up to ``now`` where both are. Raises LakehouseError where these contradict each other.
    """
    if rate is not None:
        if since is not None or until is not None:
            raise LakehouseError("--rate paces events that happen now; with --from or --to they go as fast as they can")
        return Span(now, rate, is_live=True)
    usual = timedelta(seconds=count / (usual_rate or 1.0))
    if until is None:
        until = now if since is None else since + usual
    start = until - usual if since is None else since
    if start >= until:
        raise LakehouseError(f"--from {start.isoformat()} must lie before --to {until.isoformat()}")
    return Span(start, count / (until - start).total_seconds(), is_live=False)


def produce(
    events: Iterable[SimulatedEvent],
    sender: Sender,
    *,
    pace: Pace,
    stop: Stop,
    progress: Callable[[str, int], None],
    clock: Callable[[], float] = time.monotonic,
) -> Produced:
    """Sends ``events`` in their order and waits until the broker has them.

    Raises ProduceStopped where ``stop`` was set, LakehouseError where the broker does not take a message.
    """
    began = clock()
    kinds: Counter[str] = Counter()
    for number, event in enumerate(events):
        pace.wait_for(event.due)
        if stop.is_set():
            break
        sender.send(event.key, event.value)
        kinds[event.kind.value] += 1
        if number % _PROGRESS_EVERY == 0:
            progress(SENDING, number)
    sender.flush()
    result = Produced(kinds.total(), dict(kinds.most_common()), clock() - began)
    if stop.is_set():
        raise ProduceStopped(result)
    return result
