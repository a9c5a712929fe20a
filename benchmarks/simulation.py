"""How fresh rows are where stages take turns, or run beside each other: computed from what a batch costs. Pure.

Events come evenly. A batch takes all that is there when it begins, lasts ``fixed + events x per_event / cores`` times a
factor drawn from those that were measured, and hands its events on when it is done. Freshness is the time from an
event's arrival to the end of the last batch that it is in, over all events of a run; what falls behind has none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Cost

Numbers: TypeAlias = npt.NDArray[np.float64]

WARM_UP: Final = 0.2
"""Share of a run that counts nowhere."""
BEHIND: Final = 0.25
"""Where the last quarter's events wait so much longer than the second's, as a share of it, the run falls behind."""
SLICES: Final = 8
"""Events of a batch are told apart by so many moments."""


@dataclass(frozen=True)
class Step:
    """A stage."""

    name: str
    cost: Cost
    cores: float = 1.0
    """How many times faster than it was measured it goes through the events of a batch."""


@dataclass(frozen=True)
class Batch:
    """The events that arrived from ``since`` to ``until`` are through a stage at ``done``; seconds of the run."""

    since: float
    until: float
    done: float


@dataclass(frozen=True)
class Freshness:
    """Seconds from an event's arrival."""

    p50: float
    p95: float


class Spread:
    """Factors by which batches of one size differed; the same seed gives the same run."""

    def __init__(self, factors: Sequence[float] = (1.0,), seed: int = 7) -> None:
        self._factors = list(factors)
        self._random = Random(seed)  # noqa: S311 (a simulation)

    def seconds(self, step: Step, events: float) -> float:
        """Of one batch."""
        lasts = step.cost.fixed_s + step.cost.per_event_s * events / step.cores
        return lasts * self._random.choice(self._factors)


def rounds(
    steps: Sequence[Step],
    rare: Sequence[Step],
    rate: float,
    interval_s: float,
    rare_interval_s: float,
    length_s: float,
    spread: Spread,
) -> dict[str, list[Batch]]:
    """One machine: the stages take turns, a round begins ``interval_s`` after the one before or when that has ended.

    ``rare`` stages come every ``rare_interval_s``, or more rarely where they took more than a tenth of the time. For
    each stage its batches, done when its turn ends.
    """
    found: dict[str, list[Batch]] = {step.name: [] for step in (*steps, *rare)}
    clock, taken, rare_taken, rare_due = 0.0, 0.0, 0.0, 0.0
    while clock < length_s:
        began = clock
        for step in steps:
            clock += spread.seconds(step, (began - taken) * rate)
            found[step.name].append(Batch(taken, began, clock))
        taken = began
        if began >= rare_due and rare:
            turn = clock
            for step in rare:
                clock += spread.seconds(step, (taken - rare_taken) * rate)
                found[step.name].append(Batch(rare_taken, taken, clock))
            rare_taken, rare_due = taken, began + max(rare_interval_s, 10 * (clock - turn))
        clock = max(clock, began + interval_s)
    return found


def behind(batches: Sequence[Batch], step: Step, rate: float, spread: Spread) -> list[Batch]:
    """A stage that follows another by itself: it takes all that the other has done, as soon as it is free."""
    found: list[Batch] = []
    clock, place = 0.0, 0
    while place < len(batches):
        clock = max(clock, batches[place].done)
        since = batches[place].since
        while place < len(batches) and batches[place].done <= clock:
            until = batches[place].until
            place += 1
        clock += spread.seconds(step, (until - since) * rate)
        found.append(Batch(since, until, clock))
    return found


def chain(steps: Sequence[Step], rate: float, interval_s: float, length_s: float, spread: Spread) -> list[Batch]:
    """A cluster: each stage runs by itself, the first every ``interval_s`` or as soon as it can. The last's batches."""
    found = list(_first(steps[0], rate, interval_s, length_s, spread))
    for step in steps[1:]:
        found = behind(found, step, rate, spread)
    return found


def _first(step: Step, rate: float, interval_s: float, length_s: float, spread: Spread) -> Iterator[Batch]:
    clock, taken = interval_s, 0.0
    while clock < length_s:
        began = clock
        clock += spread.seconds(step, (began - taken) * rate)
        yield Batch(taken, began, clock)
        taken, clock = began, max(clock, began + interval_s)


def freshness(batches: Sequence[Batch], length_s: float) -> Freshness | None:
    """None where the stages fall behind."""
    counted = [batch for batch in batches if batch.until > length_s * WARM_UP and batch.until > batch.since]
    if len(counted) < 4:
        return None
    moments = np.concatenate([np.linspace(b.since, b.until, SLICES, endpoint=False) for b in counted])
    waited = np.concatenate([np.full(SLICES, b.done) for b in counted]) - moments
    weights = np.repeat([(b.until - b.since) / SLICES for b in counted], SLICES)
    early, late = _mean(waited, weights, 0.25, 0.5), _mean(waited, weights, 0.75, 1.0)
    if late > early * (1 + BEHIND):
        return None
    order = np.argsort(waited)
    share = np.cumsum(weights[order]) / weights.sum()
    p50, p95 = (float(waited[order][np.searchsorted(share, p)]) for p in (0.5, 0.95))
    return Freshness(p50, p95)


def _mean(waited: Numbers, weights: Numbers, since: float, until: float) -> float:
    """Of the events from one share of the run to another."""
    first, last = int(len(waited) * since), int(len(waited) * until)
    return float(np.average(waited[first:last], weights=weights[first:last]))
