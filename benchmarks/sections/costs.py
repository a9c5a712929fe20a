"""Costs, in words and tables."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import markdown as md
from benchmarks.measure import Cost, fit_cost
from benchmarks.sections import notes


def section(result: Any, options: Any) -> list[str]:
    """A table for each engine, one of bytes, and what Postgres takes alone."""
    parts = [
        "## Costs",
        "What a round costs by how many messages it takes: the simulated shop's "
        f"({options['rate']:,} for each second of event time, {options['users']:,} users), in Kafka when it begins, in "
        "every table and in Postgres when it ends. A stage's time is the median of the rounds of a size, the mirrors "
        "beside the tables; of these a cost for each round and one for each message, least wrong in proportion. What "
        "follows from them is in [scale.md](scale.md).",
    ]
    for part in result["parts"]:
        parts += [f"### {part['name']} commits", *([f"It failed: {part['error']}."] if part["error"] else _part(part))]
    parts.append(notes.busy(max((part["others_cores"] for part in result["parts"]), default=0.0)))
    return parts


def stage_costs(part: Any) -> Mapping[str, Cost]:
    """What a batch of each stage costs, by the messages that its round took."""
    return {
        name: fit_cost(
            [found["messages"] for found in part["rounds"] if name in found["stages"]],
            [found["stages"][name][1] for found in part["rounds"] if name in found["stages"]],
        )
        for name in _stages(part)
    }


def processor_per_message(part: Any) -> Mapping[str, float]:
    """Seconds of processor for a message, by kind of process, in rounds of the largest size."""
    rounds = largest_rounds(part)
    messages = sum(found["messages"] for found in rounds)
    return {name: sum(found["processor_s"][name] for found in rounds) / messages for name in rounds[0]["processor_s"]}


def largest_rounds(part: Any) -> list[Any]:
    size = max(found["messages"] for found in part["rounds"])
    return [found for found in part["rounds"] if found["messages"] == size]


def _stages(part: Any) -> list[str]:
    return list(dict.fromkeys(name for found in part["rounds"] for name in found["stages"]))


def _part(part: Any) -> list[str]:
    sizes = sorted({found["messages"] for found in part["rounds"]})
    costs = stage_costs(part)
    rows = [
        (
            f"`{name}`",
            *(_time(part, name, size) for size in sizes),
            md.seconds(cost.fixed_s),
            f"{cost.per_event_s * 1e6:,.1f} µs",
        )
        for name, cost in costs.items()
    ]
    whole = ["the round", *(md.seconds(_median(part, size)) for size in sizes), md.NONE, md.NONE]
    used = processor_per_message(part)
    said = ", ".join(f"{name} {seconds * 1e6:,.1f} µs" for name, seconds in used.items())
    parts = [
        md.table(("", *(f"{size:,}" for size in sizes), "a round", "a message"), [*rows, whole]),
        f"Processor for a message, in rounds of {sizes[-1]:,}: {said}; together {sum(used.values()) * 1e6:,.1f} µs.",
    ]
    if part["stored"]:
        parts.append(_stored(part["stored"]))
    if part["postgres"]:
        parts.append(_alone(part["postgres"]))
    return parts


def _time(part: Any, name: str, size: int) -> str:
    times = [
        found["stages"][name][1] for found in part["rounds"] if found["messages"] == size and name in found["stages"]
    ]
    return md.seconds(statistics.median(times)) if times else md.NONE


def _median(part: Any, size: int) -> float:
    return float(statistics.median(found["seconds"] for found in part["rounds"] if found["messages"] == size))


def _stored(stored: Any) -> str:
    messages = stored["messages"]
    rows: list[Sequence[str]] = [
        (
            f"`{name}`",
            f"{size['rows'] / messages:,.4f}",
            f"{size['bytes'] / size['rows']:,.0f}" if size["rows"] else md.NONE,
            f"{size['bytes'] / messages:,.1f}",
            f"{size['bytes_on_disk'] / messages:,.1f}",
        )
        for name, size in stored["delta"].items()
        if size["rows"]
    ]
    others = {f"Postgres `{name}`": size for name, size in stored["postgres_bytes"].items()}
    others |= {"Kafka": stored["kafka_bytes"], "as sent": stored["message_bytes"]}
    rows += [(name, md.NONE, md.NONE, f"{size / messages:,.1f}", md.NONE) for name, size in others.items() if size]
    head = ("", "rows a message", "bytes a row", "bytes a message", "with old versions and the log")
    return md.table(head, rows)


def _alone(alone: Any) -> str:
    rows = [
        ("new rows of `raw_events`", "copied"),
        ("the same by two connections at once", "copied_by_two"),
        ("new rows of `funnel_summary`", "inserted"),
        ("rows of `funnel_summary` that are there", "updated"),
    ]
    return "\n\n".join(
        [
            f"Postgres alone, {alone['rows']:,} rows a transaction:",
            md.table(("", "rows/s"), [(name, md.spread(alone[kind], md.whole)) for name, kind in rows]),
        ]
    )
