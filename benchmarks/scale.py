"""The plan past one machine, in figures: what a rate of events costs, part by part, computed from what was measured.

Everything is a function of the results of ``costs``, ``freshness`` and ``scoring``, and of what is assumed where
nothing was measured. The tables stand in docs/scale.md between two marks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks import markdown as md
from benchmarks.figures import Assumed, Document, Figures, figures
from benchmarks.forecasts import LAYERS, most_events_per_s, on_a_cluster, one_machine, table_stages
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

BEGIN: Final = "<!-- figures: begin; `python -m benchmarks scale --write docs/scale.md` makes them -->"
END: Final = "<!-- figures: end -->"

ASSUMED: Final = Assumed()
DAY_S: Final = 86_400
SCORED_EVERY_S: Final = 60.0
"""On a cluster; a user who acts several times meanwhile is scored once."""
AGGREGATES: Final = ("funnel_windows", "session_funnel", "cohorts")
"""Mirrors whose rows do not grow with the users."""

TOUCHED_S: Final = (1.5, 10.0, 60.0, 600.0)
"""Seconds of events in a batch, for what a merge touches."""
INTERVALS_S: Final = (1.5, 5.0, 15.0, 60.0)
PARTITIONS: Final = (32, 128)
EXECUTORS: Final = (16, 32, 64, 128)


def render(documents: Mapping[str, Document], rate: float, settings: Settings, assumed: Assumed = ASSUMED) -> str:
    """All tables for ``rate`` events/s, as Markdown."""
    told = figures(documents)
    return "\n\n".join(
        [
            *_parts(told, rate, settings, assumed),
            *_tables(told, rate, assumed),
            *_postgres(told, rate, settings),
            *_check(told, settings),
            *_cluster(told, rate, assumed),
            _sources(documents),
        ]
    )


def replaced(page: str, tables: str) -> str:
    """``page`` with ``tables`` between its marks. Raises LakehouseError where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise LakehouseError(f"the page has no lines {BEGIN!r} and {END!r} to put the tables between")
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def write(documents: Mapping[str, Document], rate: float, settings: Settings, page: Path) -> None:
    """Puts the tables into ``page``."""
    page.write_text(replaced(page.read_text(), render(documents, rate, settings)))


def _parts(told: Figures, rate: float, settings: Settings, assumed: Assumed) -> list[str]:
    """Kafka, processors, and what serves."""
    taken = rate * told.message_bytes
    cores = {name: told.stage_processor_s(name) * rate for name in table_stages(told)}
    whole = sum(cores.values())
    rows: list[tuple[str, str, str, str]] = [
        (
            "messages" if told.sent_bytes else "messages, keys included",
            f"{told.message_bytes:,.0f} bytes",
            f"{_bytes(taken)}/s",
            "measured",
        ),
        *_kafka_disks(told, rate, settings, assumed),
        (
            "brokers",
            f"{_bytes(assumed.broker_bytes_per_s)}/s each",
            f"{math.ceil(taken * assumed.replicas / assumed.broker_bytes_per_s)}",
            "assumed",
        ),
        (
            "partitions, by bytes",
            f"{_bytes(assumed.partition_bytes_per_s)}/s each",
            f"{math.ceil(taken / assumed.partition_bytes_per_s)}",
            "assumed",
        ),
        (
            "partitions, by tasks",
            "one task for each",
            f"{math.ceil(max(cores.values()) / assumed.busy)}",
            "from the cores of the dearest stage",
        ),
    ]
    rows += [
        (
            f"cores: `{name}`",
            f"{told.stage_processor_s(name) * 1e6:,.1f} µs",
            f"{count:,.1f}",
            "measured on two cores, linear beyond",
        )
        for name, count in cores.items()
    ]
    planned = math.ceil(whole / assumed.busy / assumed.executor_cores)
    rows += [
        ("cores of all these", f"{whole / rate * 1e6:,.1f} µs", f"{whole:,.0f}", "sum"),
        (
            f"executors of {assumed.executor_cores} cores",
            f"{assumed.busy:.0%} at work",
            f"{planned}",
            "assumed share",
        ),
        (
            "cores: Postgres, with all mirrors",
            f"{told.processor_s['postgres'] * 1e6:,.1f} µs",
            f"{told.processor_s['postgres'] * rate:,.1f}",
            "measured; one server does not spread so far: see below",
        ),
    ]
    if "kafka" in told.processor_s:
        used = told.processor_s["kafka"]
        rows.append(
            ("cores: Kafka, one copy", f"{used * 1e6:,.1f} µs", f"{used * rate:,.1f}", "measured, linear beyond")
        )
    if told.scored_per_s:
        acting = told.keys_touched(SCORED_EVERY_S)
        rows.append(
            (
                f"workers of the API, scores every {SCORED_EVERY_S:g} s",
                f"{acting:.2f} users",
                f"{acting * rate / told.scored_per_s:,.1f}",
                f"{told.scored_per_s:,.0f} users/s measured; those who act, with reasons",
            )
        )
    return [
        f"### What {rate:,.0f} events/s take",
        md.table(("part", "an event", f"at {rate:,.0f}/s", "how it is known"), rows),
    ]


def _kafka_disks(told: Figures, rate: float, settings: Settings, assumed: Assumed) -> list[tuple[str, str, str, str]]:
    """Nothing where it was not measured."""
    if not told.small["stored"]:
        return []
    copies = rate * told.kafka_bytes * assumed.replicas
    kept = copies * settings.topic_retention_hours * 3600
    return [
        (
            f"Kafka's disks, {assumed.replicas} copies",
            f"{told.kafka_bytes:,.0f} bytes a copy",
            f"{_bytes(copies)}/s, {_bytes(kept)} in {settings.topic_retention_hours} h",
            "one copy measured",
        )
    ]


def _tables(told: Figures, rate: float, assumed: Assumed) -> list[str]:
    touched = [
        (f"{span:g} s", f"{told.keys_touched(span):.2f}", f"{told.keys_touched(span) * rate:,.0f}")
        for span in TOUCHED_S
    ]
    return [
        "### Tables",
        *(_sizes(told, rate, assumed) if told.small["stored"] else []),
        "What a merge touches: rows of `gold.funnel_summary` for each message, by how many seconds of events a batch "
        "holds.",
        md.table(("a batch of", "rows touched a message", f"rows/s at {rate:,.0f}/s"), touched),
    ]


def _sizes(told: Figures, rate: float, assumed: Assumed) -> list[str]:
    rows = []
    for name, size in told.table_bytes().items():
        a_day = size * rate * DAY_S
        files = max(1, math.ceil(a_day / assumed.file_bytes))
        rows.append(
            (f"`{name}`", f"{told.table_rows(name):,.4f}", f"{size:,.1f}", _bytes(a_day), f"{files:,}"),
        )
    return [
        f"In the end, once compaction is done, in files of {_bytes(assumed.file_bytes)}; old versions come on top. "
        "Rows a message go down where a user does more in a day: here each acts every 50 s on the average.",
        md.table(("table", "rows a message", "bytes a message", f"a day at {rate:,.0f}/s", "files a day"), rows),
    ]


def _postgres(told: Figures, rate: float, settings: Settings) -> list[str]:
    alone = told.small["postgres"]
    if not alone:
        return []
    copied, updated = alone["copied"]["median"], alone["updated"]["median"]
    rows = []
    for name, mirrors in (
        ("all", ("raw_events", "funnel_summary")),
        ("without `raw_events`", ("funnel_summary",)),
        ("aggregates only", ()),
    ):
        for span in (1.5, 60.0):
            touched = told.keys_touched(span)
            costs = {"raw_events": 1 / copied, "funnel_summary": touched / updated}
            an_event = sum(costs[mirror] for mirror in mirrors)
            a_second = sum(told.rows_a_round(mirror) for mirror in AGGREGATES) / span
            limit = (1 - a_second / updated) / an_event if an_event else math.inf
            rows.append(
                (
                    name,
                    f"{span:g} s",
                    f"{(('raw_events' in mirrors) + touched * ('funnel_summary' in mirrors)) * rate + a_second:,.0f}",
                    "any" if math.isinf(limit) else f"{max(0.0, limit):,.0f}",
                    f"{a_second / updated:.0%} busy" if math.isinf(limit) else f"{rate / limit:,.1f}",
                )
            )
    return [
        "### Postgres",
        _rates(alone, copied, updated),
        *([_kept(told, rate, settings.raw_events_days)] if told.small["stored"] else []),
        f"Aggregates are {', '.join(f'`{name}`' for name in AGGREGATES)}: "
        f"{sum(told.rows_a_round(name) for name in AGGREGATES):,.0f} rows of the largest round, whatever the rate.",
        md.table(
            ("mirrors", "a batch every", f"rows/s at {rate:,.0f}/s", "events/s that fit", "servers' worth"),
            rows,
        ),
    ]


def _rates(alone: Any, copied: float, updated: float) -> str:
    if "inserted" not in alone:
        return (
            f"One server, beside everything else on two cores: {copied:,.0f} rows/s of `raw_events` and "
            f"{updated:,.0f} of `funnel_summary`, in transactions of {alone['rows']:,.0f}."
        )
    return (
        f"One server, one connection, nothing else at work: {copied:,.0f} new rows/s of `raw_events` "
        f"({alone['copied_by_two']['median']:,.0f} by two), {alone['inserted']['median']:,.0f} new rows/s of "
        f"`funnel_summary` and {updated:,.0f} that are there already, {alone['rows']:,} in a transaction."
    )


def _kept(told: Figures, rate: float, days: int) -> str:
    kept = told.mirror_bytes("raw_events") * rate * DAY_S
    return (
        f"`raw_events` is {_bytes(kept)} a day at {rate:,.0f}/s with its indexes, {_bytes(kept * days)} in {days} days."
    )


def _check(told: Figures, settings: Settings) -> list[str]:
    """The rounds of one machine, computed, beside what was measured."""
    if told.freshness is None:
        return []
    rows = []
    for measured in told.freshness["rates"]:
        rate = measured["events_per_second"]
        computed = one_machine(told, rate, settings)
        for table, found in computed.items():
            seen = measured["latency_s"].get(table)
            if seen:
                rows.append(
                    (
                        f"{rate:,}",
                        f"`{table}`",
                        *(_pair(found.p50, seen["p50"]) if found else ("falls behind", md.NONE)),
                        *(_pair(found.p95, seen["p95"]) if found else (md.NONE, md.NONE)),
                    )
                )
    # Without costs no batch of a backlog was measured by stage, and a line through small ones says too little of it.
    limit = (
        "" if told.sent_bytes else f" Computed so, it keeps up with {most_events_per_s(told, settings):,.0f} events/s."
    )
    return [
        "### The simulation, held against one machine",
        "The rounds of one machine, computed from the costs of batches alone, beside what probes measured end to end."
        f"{limit}",
        md.table(("events/s", "table", "p50 computed", "measured", "p95 computed", "measured"), rows),
    ]


def _cluster(told: Figures, rate: float, assumed: Assumed) -> list[str]:
    plans = [(partitions, executors, False) for partitions in PARTITIONS for executors in EXECUTORS]
    plans.append((PARTITIONS[-1], EXECUTORS[-1], True))
    rows = []
    for partitions, executors, take_turns in plans:
        found = [
            on_a_cluster(told, rate, interval_s, partitions, executors, assumed, take_turns=take_turns)
            for interval_s in INTERVALS_S
        ]
        rows.append(
            (
                f"{partitions} partitions, {executors} executors{', in turns' if take_turns else ''}",
                *(f"{one.p50:,.1f} / {one.p95:,.1f} s" if one else "behind" for one in found),
            )
        )
    known = "measured" if told.has_spark else "assumed"
    fixed = ", ".join(f"`{name}` {md.seconds(told.cluster_stages[name].fixed_s)}" for name in LAYERS)
    return [
        "### A cluster, simulated",
        f"{rate:,.0f} events/s to `gold.funnel_summary`, p50 / p95, each layer a query of its own on executors of "
        f"{assumed.executor_cores} cores; by how often bronze takes a batch. What a commit costs by Spark whatever is "
        f"in it stays as {known} ({fixed}); the rest goes down with the cores, at most one for each partition "
        "and stage. In turns: all stages one after the other with all cores, as the runner of today does it.",
        md.table(("", *(f"every {interval_s:g} s" for interval_s in INTERVALS_S)), rows),
    ]


def _sources(documents: Mapping[str, Document]) -> str:
    said = []
    for name in ("costs", "freshness", "backlog", "scoring"):
        if name in documents:
            machine = documents[name]["machine"]
            quick = ", a quick run: no figures to go by" if documents[name]["quick"] else ""
            said.append(f"{name} of {machine['at'][:10]}, commit {machine['commit']}, {machine['processor']}{quick}")
    return f"*Computed from {'; '.join(said)}.*"


def _pair(computed: float, measured: float) -> tuple[str, str]:
    return md.seconds(computed), md.seconds(measured)


def _bytes(count: float) -> str:
    """Three figures, in powers of ten."""
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:,.3g} {unit}"
    return f"{count:,.0f} bytes"
