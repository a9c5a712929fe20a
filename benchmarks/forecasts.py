"""How fresh gold would be at a rate: on one machine, which can be held against what was measured, and on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from benchmarks.figures import Assumed, Figures
from benchmarks.measure import Cost
from benchmarks.simulation import Freshness, Step, behind, chain, freshness, rounds
from lakehouse.settings import Settings

LAYERS: Final = ("bronze", "silver", "gold")
AT_INTERVALS: Final = ("user_days", "churn_features", "sessions", "ordered_funnel")
"""Stages that come every ``churn_interval_s``."""

AT_INTERVALS_S: Final = 60.0
"""How often they come on a cluster: what Spark takes for a commit is not to be spent every five seconds."""

RUN_S: Final = 600.0
LEAST_BATCHES: Final = 60
LOWEST_RATE: Final = 100.0
HIGHEST_RATE: Final = 1e7


def table_stages(told: Figures) -> list[str]:
    """All that commit to tables with every event, in their order."""
    return [*LAYERS, *(name for name in AT_INTERVALS if name in told.cluster_stages)]


def one_machine(told: Figures, rate: float, settings: Settings) -> Mapping[str, Freshness | None]:
    """Freshness of two mirrors where one writer takes turns, at the intervals of ``settings``."""
    costs, spread = told.stages, told.spread()
    steps = [Step(name, costs[name]) for name in LAYERS]
    rare = [Step(name, costs[name]) for name in AT_INTERVALS if name in costs]
    batches = rounds(steps, rare, rate, settings.round_interval_s, settings.churn_interval_s, RUN_S, spread)
    found: dict[str, Freshness | None] = {}
    for mirror, origin in (("raw_events", "silver"), ("funnel_summary", "gold")):
        if mirror in costs:
            found[mirror] = freshness(behind(batches[origin], Step(mirror, costs[mirror]), rate, spread), RUN_S)
    return found


def most_events_per_s(told: Figures, settings: Settings) -> float:
    """The highest rate, to a twentieth, at which one machine does not fall behind; at least ``LOWEST_RATE``."""
    low = LOWEST_RATE
    while low < HIGHEST_RATE and all(one_machine(told, 2 * low, settings).values()):
        low *= 2
    high = 2 * low
    while high > low * 1.05:
        rate = (low + high) / 2
        low, high = (rate, high) if all(one_machine(told, rate, settings).values()) else (low, rate)
    return low


def on_a_cluster(
    told: Figures,
    rate: float,
    interval_s: float,
    partitions: int,
    executors: int,
    assumed: Assumed,
    *,
    take_turns: bool = False,
) -> Freshness | None:
    """Freshness of ``gold.funnel_summary`` where Spark commits; None where it falls behind.

    Each layer is a query of its own, and the cores are dealt out by what each stage needs, those at intervals included;
    or the stages ``take_turns`` as on one machine, each with all cores. A stage has at most as many tasks as there are
    partitions.
    """
    needs = {name: told.stage_processor_s(name) for name in table_stages(told)}
    cores = executors * assumed.executor_cores

    def step(name: str) -> Step:
        given = cores if take_turns else cores * needs[name] / sum(needs.values())
        return Step(name, Cost(told.cluster_stages[name].fixed_s, needs[name]), min(given, partitions))

    length_s = max(RUN_S, LEAST_BATCHES * interval_s)
    steps, spread = [step(name) for name in LAYERS], told.spread()
    if take_turns:
        rare = [step(name) for name in needs if name not in LAYERS]
        batches = rounds(steps, rare, rate, interval_s, AT_INTERVALS_S, length_s, spread)[LAYERS[-1]]
    else:
        batches = chain(steps, rate, interval_s, length_s, spread)
    return freshness(batches, length_s)
