"""The report's charts as SVG to be put into a page: they take its colours, light or dark, and name no other address."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from quality.evidence import AT, COPIES, LATE, LAYER, MET, REASON, RUNS, bucket_of
from quality.outages import EVENT_TYPE, EVENTS, HOUR, Outage, Span

WIDTH: Final = 10.4
_INK, _LINE = "#010203", "#040506"
"""Stand for the page's colours of text and of lines."""
SERIES: Final = ("#2f7fc1", "#d9822b", "#3a9d6e", "#a05fb4", "#c2506a", "#7d8b99")
MISSING: Final = "#e0483e"
REDUCED: Final = "#e5a13a"
_DARKEST: Final = 2.0
"""Times the usual hour that is drawn darkest."""
MOST_SERIES: Final = len(SERIES) - 1
_HOUR = timedelta(hours=1)
_STYLE: Final[Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched and read aloud
    "svg.hashsalt": "quality",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.parse_math": False,  # a name may hold a dollar
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _LINE,
    "axes.titlesize": 9,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "grid.color": _LINE,
    "grid.linewidth": 0.5,
    "timezone": "UTC",
}


def completeness(counts: pl.DataFrame, outages: Sequence[Outage], span: Span, types: Sequence[str]) -> str:
    """A panel for each type: a column for each day, a cell for each hour; where ``span`` is short, one row of hours.

    ``counts``: event_type, hour (UTC) and events; ``outages`` are marked.
    """
    hours = _hours(span)
    by_day = span.end - span.start > timedelta(days=4)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, 0.45 + (0.95 if by_day else 0.5) * max(1, len(types))), layout="constrained")
        panels = figure.subplots(max(1, len(types)), 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(panels, types, strict=False):
            mine = counts.filter(pl.col(EVENT_TYPE) == name)
            count = _at(hours, mine, EVENTS)
            there = count[count > 0]
            relative = np.clip(count / (np.median(there) if there.size else 1.0), 0, _DARKEST)
            mine_out = [each for each in outages if each.event_type in (name, None)]
            marks = np.where(_within(hours, [each for each in mine_out if not each.is_total]), 0.0, np.nan)
            marks[_within(hours, [each for each in mine_out if each.is_total])] = 1.0
            _cells(axes, hours, relative, np.where(count == 0, marks, np.nan), by_day=by_day)
            axes.set_ylabel(_short(name, 18), rotation=0, ha="right", va="center", fontsize=10)
        _dates(panels[-1])
        lost = "; ".join(f"{each.event_type or 'every type'} {each.span.start:%Y-%m-%d} on" for each in outages)
        return _svg(
            figure,
            "completeness",
            "Events by hour, for each type",
            f"From {span.start:%Y-%m-%d} to {span.end:%Y-%m-%d}, {', '.join(types)}. "
            f"Marked as missing: {lost or 'none'}.",
        )


def _cells(axes: Axes, hours: list[datetime], relative: Any, marks: Any, *, by_day: bool) -> None:
    rows = 24 if by_day else 1
    lead = hours[0].hour if by_day else 0  # the first column begins at midnight
    columns = -(-(len(hours) + lead) // rows)
    shape = (columns, rows)

    def grid(values: Any) -> Any:
        full = np.full(columns * rows, np.nan)
        full[lead : lead + len(hours)] = values
        return full.reshape(shape).T

    step = _HOUR * rows
    first = hours[0] - _HOUR * lead
    edges = [(first + step * place).replace(tzinfo=None) for place in range(columns + 1)]
    x, y = np.array(edges, dtype="datetime64[s]"), np.arange(rows + 1)
    colours = ListedColormap([REDUCED, MISSING])
    axes.pcolormesh(x, y, np.ma.masked_invalid(grid(marks)), cmap=colours, vmin=0, vmax=1, rasterized=True)
    blue = np.array([[*mpl.colors.to_rgb(SERIES[0]), 0.18 + 0.82 * level] for level in np.linspace(0, 1, 64)])
    events = np.ma.masked_invalid(grid(np.where(relative > 0, relative, np.nan)))
    axes.pcolormesh(x, y, events, cmap=ListedColormap(blue), vmin=0, vmax=_DARKEST, rasterized=True)
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(rows, 0)
    axes.set_yticks([0, 12, 24] if by_day else [], ["0 h", "12 h", "24 h"] if by_day else [], fontsize=7)
    axes.spines[:].set_linewidth(0.6)
    axes.patch.set_visible(False)


def pass_rates(trend: pl.DataFrame) -> str:
    """``AT``, ``LAYER``, ``RUNS`` and ``MET``: a line for each layer."""
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(2.5)
        layers = trend[LAYER].unique().sort().to_list()
        lowest = 1.0
        for number, layer in enumerate(layers):
            mine = trend.filter(pl.col(LAYER) == layer)
            rate = (mine[MET] / mine[RUNS]).to_numpy()
            lowest = min(lowest, float(rate.min()))
            style: dict[str, Any] = {
                "color": _colour(number),
                "marker": "o",
                "markersize": 3,
                "linewidth": 1.6,
                "clip_on": False,
            }
            axes.plot(_x(mine[AT]), rate, label=_short(layer), **style)
        axes.set_ylim(max(0.0, lowest - 0.1), 1.0)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if trend[AT].n_unique() == 1:  # else the axis would span years around the only point
            (only,) = _x(trend[AT].unique())
            axes.set_xlim(only - _HOUR, only + _HOUR)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        _dates(axes)
        _legend(axes)
        return _svg(
            figure,
            "pass-rates",
            "Share of expectations that were met",
            f"A line for each of {', '.join(layers)}; the lowest point is {lowest:.0%}.",
        )


def refusals(refused: pl.DataFrame, reasons: Sequence[str], other: str) -> str:
    """``HOUR``, ``REASON`` and ``EVENTS``, stacked; reasons beside ``reasons`` together as ``other``."""
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(2.5)
        starts, every = _bars(refused)
        base = np.zeros(len(starts))
        named = refused.with_columns(
            pl.when(pl.col(REASON).is_in(list(reasons))).then(pl.col(REASON)).otherwise(pl.lit(other)).alias(REASON)
        )
        shown = [name for name in (*reasons, other) if name in set(named[REASON])]
        for number, name in enumerate(shown):
            mine = named.filter(pl.col(REASON) == name)
            grouped = mine.group_by(pl.col(HOUR).dt.truncate(every)).agg(pl.col(EVENTS).sum())
            height = _at(starts, grouped, EVENTS)
            axes.bar(
                _x(starts), height, width=_width(every), bottom=base, color=_colour(number), label=_short(name, 40),
                align="edge",
            )  # fmt: skip
            base += height
        axes.set_ylabel("rows")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        _dates(axes)
        _legend(axes)
        return _svg(
            figure,
            "refusals",
            "Rows in quarantine by reason",
            f"Stacked bars, by {_NAMES[every]} received: {', '.join(shown)}.",
        )


def late_and_copies(counted: pl.DataFrame, copies: pl.DataFrame) -> str:
    """Shares by event time: ``LATE`` of ``EVENTS``, and ``COPIES`` of both together."""
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(2.2)
        both = counted.join(copies, on=HOUR, how="full", coalesce=True).fill_null(0).sort(HOUR)
        starts, every = _bars(both)
        sums = both.group_by(pl.col(HOUR).dt.truncate(every)).agg(pl.col(EVENTS, LATE, COPIES).sum())
        events, late, copied = (_at(starts, sums, name) for name in (EVENTS, LATE, COPIES))
        shares = {
            "late": np.divide(late, events, out=np.zeros_like(late), where=events > 0),
            "duplicates": np.divide(copied, events + copied, out=np.zeros_like(late), where=events + copied > 0),
        }
        for number, (name, share) in enumerate(shares.items()):
            axes.plot(_x(starts), share, color=_colour(number), label=name, linewidth=1.6, marker="o", markersize=2.5)
        highest = max(float(share.max()) for share in shares.values())
        axes.set_ylim(0, max(0.01, highest * 1.15))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        _dates(axes)
        _legend(axes)
        return _svg(
            figure,
            "late-and-duplicates",
            "Shares of late events and of duplicates",
            f"By {_NAMES[every]} of event time; the highest share is {highest:.1%}.",
        )


_NAMES: Final = {"1m": "minute", "10m": "ten minutes", "1h": "hour", "1d": "day", "1w": "week"}
_LENGTHS: Final = {"1h": _HOUR, "1d": timedelta(days=1), "1w": timedelta(weeks=1)}


def _bars(counts: pl.DataFrame) -> tuple[list[datetime], str]:
    """The starts of all bars, those without rows too, and their length: an hour or more."""
    first, last = counts[HOUR].min(), counts[HOUR].max()
    every = bucket_of(first, last)  # type: ignore[arg-type]
    every = every if every in _LENGTHS else "1h"
    begin = counts[HOUR].dt.truncate(every).min()
    starts = pl.datetime_range(pl.lit(begin), pl.lit(last), every, time_zone="UTC")
    return pl.select(starts).to_series().to_list(), every


def _width(every: str) -> float:
    """In days, as an axis of dates counts."""
    return 0.9 * (_LENGTHS[every] / timedelta(days=1))


def _hours(span: Span) -> list[datetime]:
    number = max(1, int((span.end - span.start) / _HOUR))
    return [span.start + _HOUR * place for place in range(number)]


def _at(starts: Sequence[datetime], counts: pl.DataFrame, column: str) -> Any:
    known = dict(zip(counts[HOUR], counts[column], strict=True))
    return np.array([known.get(start, 0) for start in starts], dtype=float)


def _within(hours: Sequence[datetime], outages: Sequence[Outage]) -> Any:
    spans = [each.span for each in outages]
    return np.array([any(span.start <= hour < span.end for span in spans) for hour in hours], dtype=bool)


def _axes(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.patch.set_visible(False)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    return figure, axes


def _x(times: Any) -> Any:
    return [time.replace(tzinfo=None) for time in times]


def _dates(axes: Axes) -> None:
    locator = AutoDateLocator(minticks=3, maxticks=12)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def _legend(axes: Axes) -> None:
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.02), labelcolor=_INK, fontsize=9)


def _colour(number: int) -> str:
    return SERIES[number % len(SERIES)]


def _short(text: str, most: int = 28) -> str:
    """One line, for a label."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split()) or "(blank)"
    line = line if len(line) <= most else f"{line[: most - 1]}…"
    return line.lstrip("_") or line  # matplotlib leaves a label that begins with one out


def _svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an element of a page: without the file's head, its ids its own, colours by the page."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing, transparent=True, dpi=200)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    head, body = text.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    body = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", body).replace("xlink:href", "href")
    for stand_in, colour in ((_INK, "var(--ink)"), (_LINE, "var(--line)")):
        body = body.replace(stand_in, colour)
    labels = f'role="img" aria-labelledby="{name}-title {name}-desc"'
    words = (
        f'<title id="{name}-title">{html.escape(title)}</title><desc id="{name}-desc">{html.escape(description)}</desc>'
    )
    return f"<svg {box[0] if box else ''} {labels}>{words}{body}"
