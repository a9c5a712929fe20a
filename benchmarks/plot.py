"""The figures as one picture: a panel for each benchmark that has something to show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS: Final = "#0b6e99"
OTHER: Final = "#b8c4cc"
SHADES: Final = ("#0b6e99", "#4fa3c7", "#9fcbe0")


def plot(documents: dict[str, Any], path: Path) -> bool:
    """Writes an SVG, the same for the same results; False where there is nothing to draw."""
    panels: dict[str, Callable[[Axes, Any], None]] = {
        "freshness": _freshness,
        "backlog": _backlog,
        "growth": _growth,
        "pages": _pages,
    }
    drawn = [(panels[name], document["result"]) for name, document in documents.items() if name in panels]
    if not drawn:
        return False
    # Text stays text, and ids do not change from run to run, so that a diff shows what has changed.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 9}):
        figure = Figure(figsize=(4.6 * len(drawn), 3.4), layout="constrained")
        for number, (draw, result) in enumerate(drawn, start=1):
            axes = figure.add_subplot(1, len(drawn), number)
            axes.spines[["top", "right"]].set_visible(False)
            draw(axes, result)
        figure.savefig(path, format="svg", metadata={"Date": None})
    return True


def _freshness(axes: Axes, result: Any) -> None:
    rates = [rate for rate in result["rates"] if rate["latency_s"][result["table_of_pause"]]]
    names = [f"{rate['events_per_second']:,}" for rate in rates]
    for number, percentile in enumerate(("p50", "p95", "p99")):
        values = [rate["latency_s"][result["table_of_pause"]][percentile] for rate in rates]
        places = [place + (number - 1) * 0.27 for place in range(len(rates))]
        axes.bar(places, values, width=0.25, color=SHADES[number], label=percentile)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlabel("events/s")
    axes.set_ylabel("s")
    axes.set_title("Send to row in Postgres")
    axes.legend(frameon=False)


def _backlog(axes: Axes, result: Any) -> None:
    contests = [contest for contest in result["contests"] if contest["events_per_second"]][::-1]
    values = [contest["events_per_second"]["median"] for contest in contests]
    colours = [OURS if contest["name"] == "lakehouse" else OTHER for contest in contests]
    bars = axes.barh([contest["name"] for contest in contests], values, color=colours)
    axes.bar_label(bars, labels=[f"{value:,.0f}" for value in values], padding=3)
    axes.set_xlim(0, max(values, default=1.0) * 1.2)
    axes.set_xlabel("events/s")
    axes.set_title("A backlog")


def _growth(axes: Axes, result: Any) -> None:
    parts = [part for part in result["parts"] if part["event_slope"] is not None and part["looks"]]
    for number, part in enumerate(parts):
        colour = (OURS, "#d1732a")[number % 2]
        at = [look["history"] / 1e6 for look in part["looks"] for _ in look["batch_s"]]
        seconds = [value for look in part["looks"] for value in look["batch_s"]]
        axes.plot(at, seconds, ".", color=colour, markersize=3, alpha=0.5)
        slope = part["batch_slope"]
        if slope:
            axes.plot([min(at), max(at)], [slope["at_start"], slope["at_end"]], color=colour, label=part["name"])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("million events before")
    axes.set_ylabel("s")
    axes.set_title("A micro-batch as history grows")
    if parts:
        axes.legend(frameon=False)


def _pages(axes: Axes, result: Any) -> None:
    """Each page by the view that takes longest to refresh."""
    slowest: dict[str, list[float]] = {}
    for page in result["pages"]:
        states = [page, page["with_events"]] if page["with_events"] else [page]
        found = [state["refresh_s"]["median"] for state in states]
        before = slowest.get(page["name"], [0.0] * len(found))
        slowest[page["name"]] = [max(pair) for pair in zip(found, before, strict=True)]
    names = list(slowest)[::-1]
    for number, label in enumerate(("alone", "events coming")):
        values = [slowest[name][number] for name in names if number < len(slowest[name])]
        if values:
            places = [place - number * 0.4 for place in range(len(names))]
            axes.barh(places, values, height=0.38, color=(OURS, OTHER)[number], label=label)
    axes.axvline(result["refresh_goal_s"], color="#d1732a", linewidth=1, label="goal")
    axes.set_yticks([place - 0.2 for place in range(len(names))], names)
    axes.set_xlabel("s")
    axes.set_title("A page's refresh, its slowest view")
    axes.legend(frameon=False)
