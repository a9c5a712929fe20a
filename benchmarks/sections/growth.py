"""Growth, in words and tables."""

from __future__ import annotations

import statistics
from typing import Any, Final

from benchmarks import markdown as md
from benchmarks.sections import notes

_PART_TITLES: Final = {
    "in order": "More events, in order",
    "1 % a week late": "More events, 1 % of them a week late",
    "commits": "More commits",
}


def section(result: Any, options: Any) -> list[str]:
    """Each way to grow: a row for each size, and the slopes."""
    parts = [
        "## Growth",
        "What a micro-batch costs as the history grows. Bronze is given its rows in bulk, by the store; everything "
        "after it is the writer's own: its stages, its mirrors in Postgres, and what it does between two rounds. At "
        f"each size {options['small_batches']} micro-batches of {options['small']:,} events are timed, from rows in "
        f"bronze to rows in Postgres{_density(options)}. Slopes are Theil and Sen's, with their 95 % interval.",
    ]
    for part in result["parts"]:
        parts += [f"### {_PART_TITLES.get(part['name'], part['name'])}", *_part(part, options)]
    parts.append(notes.busy(max((part["others_cores"] for part in result["parts"]), default=0.0)))
    return parts


def _density(options: Any) -> str:
    per_day = options.get("events_per_day")
    return f", of a history of {per_day:,} events a day" if per_day else ""


def _part(part: Any, options: Any) -> list[str]:
    if part["error"]:
        return [f"It failed: {part['error']}."]
    of_commits = "commits" in part["unit"]
    looks = [*part["looks"], *([part["after_upkeep"]] if part["after_upkeep"] else [])]
    names = [f"{look['history']:,}" for look in part["looks"]] + ["after `lakehouse maintain`"]
    head = ["commits a table" if of_commits else "events", "micro-batch, median", "longest"]
    head.append("writer opens" if of_commits else "an event, in bulk")
    head += ["longest upkeep", "data files", "log files", "on disk", "Python", "Spark"]
    step = part.get("step", options["step"])  # each part may have been run by itself
    rows = []
    for name, look in zip(names, looks, strict=False):
        row = [name, md.seconds(_median(look["batch_s"])), md.seconds(max(look["batch_s"]))]
        bulk = f"{look['grown_s'] / step * 1e6:,.0f} µs" if look["grown_s"] else md.NONE
        row.append(md.seconds(look["open_s"]) if of_commits else bulk)
        row += [
            md.seconds(look["upkeep_s"]),
            md.whole(sum(look["files"].values())),
            md.whole(sum(look["log_files"].values())),
            md.mebibytes(look["bytes"]),
            *(f"{look['memory_mib'][process]:,.0f} MiB" for process in ("writer: Python", "writer: Spark")),
        ]
        rows.append(row)
    made = (
        "In place of most commits log entries that change nothing are made, dated as if one had come every 1.5 s, for "
        "as many micro-batches would take days; with the last comes a checkpoint."
        if of_commits
        else ""
    )
    measured = f"*This part: measured {part['measured']}.*" if part.get("measured") else ""
    return [made, md.table(head, rows), _slopes(part), *_stages(part), measured]


def _stages(part: Any) -> list[str]:
    """Which stage grows, and what those take that come at intervals of minutes."""
    first, last = part["looks"][0], part["looks"][-1]
    rows = [
        [name, *(md.seconds(look["stage_s"][name]) if name in look["stage_s"] else md.NONE for look in (first, last))]
        for name in sorted(last["stage_s"], key=lambda name: -last["stage_s"][name])
    ]
    heads = [f"at {look['history']:,}" for look in (first, last)]
    told = [md.table(["stage, median", *heads], rows)]
    if last.get("rare_s"):
        rare = ", ".join(
            f"{name} {md.seconds(first['rare_s'].get(name))} and {md.seconds(seconds)}"
            for name, seconds in last["rare_s"].items()
        )
        told.append(f"Not in each micro-batch but every few minutes, at {heads[0][3:]} and at {heads[1][3:]}: {rare}.")
    return told


def _slopes(part: Any) -> str:
    lines = []
    for name, slope, factor, unit in (
        ("A micro-batch", part["batch_slope"], 1_000, "ms"),
        ("An event in bulk", part["event_slope"], 1, "µs"),
        ("The writer's memory", part["memory_slope"], 1, "MiB"),
    ):
        if slope is None:
            continue
        per_unit, low, high = (slope[key] * factor for key in ("per_unit", "low", "high"))
        flat = ", which is none that can be told from zero" if low <= 0 <= high else ""
        lines.append(
            f"- {name}: {per_unit:+,.2f} {unit} for each {part['unit']} ({low:+,.2f} to {high:+,.2f}){flat}; median "
            f"{slope['median'] * factor:,.0f} {unit}, {slope['points']} points."
        )
    return "\n".join(lines)


def _median(values: list[float]) -> float:
    return float(statistics.median(values))
