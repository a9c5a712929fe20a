"""Tracking outages: stretches in which an event type was missing though it usually is there. Pure: no I/O, no clock.

Each type is held against its own usual day, as the three weeks around it show it, for a shop grows and a sale ends.
A day on which everything is low is no outage of every type: what is expected is scaled down to how busy the busiest of
the other types was. Counts scatter by more than chance alone, and the size of a negative binomial says by how much;
it is fitted to the days that are not low, by a likelihood that knows of the cut: so neither does an outage make zeros
look usual, nor does leaving low days out make them look rarer than they are.

A stretch is found where the likelihood ratio of "a fifth is left" against "as usual", over all its days together, is
above the number of looks / `FALSE_ALARMS`. From any one day on, such a ratio ever grows beyond x with a probability of
at most 1/x, however long one looks (Ville's inequality); hence a correction by days and types, and not by lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import nbinom

from lakehouse.contracts import SilverEvents

EVENT_TYPE: Final = str(SilverEvents.event_type)
HOUR: Final = "hour"
EVENTS: Final = "events"

FALSE_ALARMS: Final = 0.01
"""Probability that a file without an outage shows one."""
LEFT: Final = 0.2
"""Share of the usual events that is left in what is looked for: a tracker often fails on some pages only."""
LOW: Final = 0.25
"""Below this share of the usual a day is not used to say what is usual: it is what the question is about."""
MOST_LEFT: Final = 1 / 3
"""A stretch with more than this share of its usual events is called no outage, however surely it is low."""
LEAST_USUAL: Final = 5.0
"""Events in a usual day, or hour: a rarer type is not judged, for its zeros say nothing by themselves."""
LEAST_BUCKETS: Final = 21
"""Days, or hours, that must be there before one can be called usual: three weeks, each weekday three times."""

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_NEAREST: Final = {_DAY: 21, _HOUR: 168}
"""How many days, or hours, around one say what is usual there: three weeks, and one."""
_LARGEST_SIZE: Final = 1e4
"""Of a negative binomial: beyond it a Poisson distribution is meant."""

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Span:
    """From ``start``, inclusive, to ``end``, exclusive; aware, UTC, whole hours."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Outage:
    """A stretch in which a type, or every event, was missing, or nearly so."""

    event_type: str | None
    """None: no event of any type came."""
    buckets: Span
    """The whole days, or hours, that are low."""
    span: Span
    """Where nothing came, to the hour: from the last event before to the first after, or to the ends of the data."""
    events: int
    """Of the type, in ``buckets``: 0, or what a reduced stretch has."""
    usual: float
    """Events expected in ``buckets``, as busy as the other types were."""
    from_start: bool
    """The data hold no event of the type before: tracking may have begun only then."""
    to_end: bool
    """Nor one after."""

    @property
    def is_total(self) -> bool:
        """Nothing came; else far less than usual."""
        return self.events == 0


@dataclass(frozen=True)
class LookBack:
    """What was found, and what was looked at."""

    outages: tuple[Outage, ...]
    """By start, then by type."""
    bucket: timedelta | None
    """Whether days or hours were compared; None where there are too few of either."""
    judged: tuple[str, ...]
    too_rare: tuple[str, ...]
    """Types that are missing on most days, or have fewer than `LEAST_USUAL` events in a usual one."""


def look_back(counts: pl.DataFrame) -> LookBack:
    """The outages in ``counts``: `EVENT_TYPE`, `HOUR` (event time, UTC, the start of the hour) and `EVENTS`.

    Hours without events may be left out. Days are compared where there are `LEAST_BUCKETS` of them, else hours.
    """
    counts = counts.filter(pl.col(EVENTS) > 0)
    if counts.is_empty():
        return LookBack((), None, (), ())
    first, last = cast(datetime, counts[HOUR].min()), cast(datetime, counts[HOUR].max())
    for bucket, name in ((_DAY, "1d"), (_HOUR, "1h")):
        table = _table(counts, name, first, last)
        if table.height >= LEAST_BUCKETS:
            return _look(counts, table, bucket)
    return LookBack((), None, (), ())


def _table(counts: pl.DataFrame, bucket: str, first: datetime, last: datetime) -> pl.DataFrame:
    """A row for each bucket from the first event to the last, a column for each type."""
    start = pl.col(HOUR).dt.truncate(bucket)
    wide = counts.with_columns(start).pivot(EVENT_TYPE, index=HOUR, values=EVENTS, aggregate_function="sum")
    every = pl.DataFrame({HOUR: pl.datetime_range(first, last, "1h", eager=True)}).select(start.unique().sort())
    return every.cast({HOUR: counts.schema[HOUR]}).join(wide, on=HOUR, how="left").sort(HOUR).fill_null(0)


def _look(counts: pl.DataFrame, table: pl.DataFrame, bucket: timedelta) -> LookBack:
    types = sorted(name for name in table.columns if name != HOUR)
    observed = {name: table[name].to_numpy().astype(np.float64) for name in types}
    judged = [name for name in types if _is_usual(observed[name])]
    looks = table.height * (len(judged) + 1)
    starts = table[HOUR].to_list()
    found = []
    total = np.sum([observed[name] for name in types], axis=0)
    if _is_usual(total):
        low = _low(total, np.ones_like(total), looks, bucket, edges=False)
        found += [
            _outage(None, counts, starts, total, part, bucket) for part in low if not total[part.a : part.b].any()
        ]
    for name in judged:
        others = [
            observed[other] / np.median(observed[other][observed[other] > 0]) for other in judged if other != name
        ]
        # Where all is silent nothing is expected of any type: that is a finding of its own.
        activity = np.minimum(1.0, np.max(others, axis=0)) if others else (total > 0).astype(np.float64)
        low = _low(observed[name], activity, looks, bucket, edges=bool(others))
        found += [_outage(name, counts, starts, observed[name], part, bucket) for part in low]
    found.sort(key=lambda outage: (outage.buckets.start, outage.event_type or "", outage.is_total))
    return LookBack(tuple(found), bucket, tuple(judged), tuple(name for name in types if name not in judged))


def _is_usual(observed: Floats) -> bool:
    there = observed[observed > 0]
    return 2 * len(there) >= len(observed) and float(np.median(there)) >= LEAST_USUAL


@dataclass(frozen=True)
class _Part:
    a: int
    b: int
    """Exclusive."""
    usual: float


def _low(observed: Floats, activity: Floats, looks: int, bucket: timedelta, *, edges: bool) -> list[_Part]:
    """The runs without an event in all that is surely low; and what is surely low as a whole, where such runs alone
    would not make it so.

    Without ``edges`` the first and the last bucket, which the data may cover in part, are left out.
    """
    expected, size = _fit(observed, activity, _NEAREST[bucket])
    usable = expected > 0
    if not edges:
        usable[[0, -1]] = False
    score = np.zeros_like(observed)
    mean, n = expected[usable], observed[usable]
    score[usable] = _log_pmf(n, LEFT * mean, size) - _log_pmf(n, mean, size)
    least = float(np.log(looks / FALSE_ALARMS))
    found = []
    for a, b in _surely_low(score, least):
        if observed[a:b].sum() > MOST_LEFT * expected[a:b].sum():
            continue
        # A silent day of all types has an expectation of 0, and neither makes nor breaks a run of one type.
        empty = [(i, j) for i, j in _runs(observed[a:b] == 0, a) if score[i:j].any()]
        if not any(score[i:j].sum() >= least for i, j in empty):
            found.append((a, b))
        found += [run for run in empty if run not in found]
    return [_Part(a, b, float(expected[a:b].sum())) for a, b in found]


def _fit(observed: Floats, activity: Floats, nearest: int) -> tuple[Floats, float]:
    """The events expected in each bucket, and the size of the negative binomial that they scatter by."""
    active = activity > 0
    share = np.divide(observed, activity, out=np.zeros_like(observed), where=active)
    middle = float(np.median(share[share > 0]))
    level = _level(share, share > LOW * middle, nearest) * activity
    low = np.floor(LOW * level)
    used = active & (observed > low)
    n, at, below = observed[used], level[used], low[used]

    def cost(parameters: Floats) -> float:
        scale, size = np.exp(parameters)
        known = _log_pmf(n, scale * at, size) - nbinom.logsf(below, size, size / (size + scale * at))
        return float(-known.sum())

    limits = [(-1.0, 1.0), (np.log(0.05), np.log(_LARGEST_SIZE))]
    start = np.array([0.0, np.log(10.0)])
    scale, size = np.exp(minimize(cost, start, method="L-BFGS-B", bounds=limits).x)
    return scale * level, float(size)


def _level(share: Floats, used: NDArray[np.bool_], nearest: int) -> Floats:
    """For each bucket the median of the ``nearest`` used ones, itself left out: it shall not speak for itself."""
    places = np.flatnonzero(used)
    level = np.empty_like(share)
    for place in range(len(share)):
        others = places[places != place]
        around = others[np.argsort(np.abs(others - place), kind="stable")[:nearest]]
        level[place] = np.median(share[around])
    return level


def _log_pmf(n: Floats, mean: Floats, size: float) -> Floats:
    return np.asarray(nbinom.logpmf(n, size, size / (size + mean)), dtype=np.float64)


def _surely_low(score: Floats, least: float) -> list[tuple[int, int]]:
    """The stretches whose scores add up to ``least``. One is over where the scores after it say so as surely."""
    found: list[tuple[int, int]] = []
    total = best = 0.0
    start = end = 0
    for place, value in enumerate([*score, -np.inf]):
        total += float(value)
        if total > best:
            best, end = total, place + 1
        elif total <= max(0.0, best - least):
            if best >= least:
                found.append((start, end))
            total = best = 0.0
            start = place + 1
    return found


def _outage(
    name: str | None, counts: pl.DataFrame, starts: list[datetime], observed: Floats, part: _Part, bucket: timedelta
) -> Outage:
    hours = counts[HOUR] if name is None else counts.filter(pl.col(EVENT_TYPE) == name)[HOUR]
    buckets = Span(starts[part.a], starts[part.b - 1] + bucket)
    events = int(observed[part.a : part.b].sum())
    last, first = hours.filter(hours < buckets.start).max(), hours.filter(hours >= buckets.end).min()
    before = None if last is None else cast(datetime, last) + _HOUR
    after = cast("datetime | None", first)
    whole = Span(cast(datetime, counts[HOUR].min()), cast(datetime, counts[HOUR].max()) + _HOUR)
    return Outage(
        name,
        buckets,
        buckets if events else Span(before or whole.start, after or whole.end),
        events,
        part.usual,
        from_start=before is None,
        to_end=after is None,
    )


def _runs(true: NDArray[np.bool_], offset: int) -> list[tuple[int, int]]:
    """First and end index of each run of true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], true.astype(np.int8), [0]])))
    return [(int(a) + offset, int(b) + offset) for a, b in zip(edges[::2], edges[1::2], strict=True)]
