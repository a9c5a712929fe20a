"""Numbers, moments and durations as a person reads them. Moments are UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

MOST_WHOLE: Final = 20
"""Rows of a table that is shown whole: about a screen of them."""
COUNT: Final = "%,d"
"""How a column or a figure shows a count: as the words of a page do, whatever the language of the browser."""
PRICE: Final = "%,.2f"
"""How a column shows the price of one thing, beside its currency."""
MONEY: Final = "%,.0f"
"""How a column shows a sum of money as `money` tells it."""
PER_CENT: Final = "%.1f %%"
"""How a column shows what is in per cent."""
MOMENTS: Final[dict[str, Any]] = {"format": "YYYY-MM-DD HH:mm:ss", "timezone": "UTC"}
"""How a column of a table shows moments."""


def moment(time: datetime | None) -> str:
    return "—" if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def age(length: timedelta) -> str:
    """``3 s``, ``12 min``, ``5 h``, ``9 days``: one unit is enough to judge freshness."""
    seconds = max(0, int(length.total_seconds()))
    for limit, divisor, unit in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds // divisor} {unit}"
    return f"{seconds // 86_400:,} days"


def lag(events: int | None, seconds: float | None) -> str | None:
    """``1,200 events · 3.2 s``; None where neither is known."""
    told = [f"{events:,} events"] if events is not None else []
    if seconds is not None:
        told.append(f"{seconds:,.1f} s")
    return " · ".join(told) or None


def height(rows: int) -> Literal["content", "auto"]:
    """Of a table of so many rows: one that ends in the middle of a row looks cut off, unless there is far to go."""
    return "content" if rows <= MOST_WHOLE else "auto"


def minutes(length: int) -> str:
    """Length of a window or a bar."""
    for unit, name in ((1440, "day"), (60, "hour")):
        if length % unit == 0:
            count = length // unit
            return f"{count} {name}" + ("s" if count > 1 else "")
    return f"{length} min"


def share(part: int, whole: int) -> str:
    """A conversion rate; a dash where there is nothing to convert."""
    return per_cent(part / whole if whole else None)


def change(now: float | None, before: float | None) -> str | int | None:
    """By how much of what was before it has changed, for ``st.metric``; None where there was nothing before."""
    if now is None or not before:
        return None
    return 0 if now == before else f"{(now - before) / before:+,.1%}".replace("%", " %")


def points(part: int, whole: int, part_before: int, whole_before: int) -> str | int | None:
    """By how many percentage points a rate has changed; None where one of the two has nothing to convert."""
    if not (whole and whole_before):
        return None
    told = f"{100 * (part / whole - part_before / whole_before):+.1f}"
    return 0 if float(told) == 0 else f"{told} points"


def shortened(text: str, most: int = 32) -> str:
    """In one line, for a legend: line ends and the like are shown as spaces, what is too long is cut."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def money(amount: float | None) -> str:
    """A sum over events, whose currencies nobody converted: whole. A dash where no event had a price."""
    return "—" if amount is None else f"{amount:,.0f}"


def per_cent(probability: float | None) -> str:
    """A probability or a share; a dash where it is not known. Nearly all is not said to be all."""
    if probability is None:
        return "—"
    told = f"{probability:.1%}".replace("%", " %")
    if told == "100.0 %" and probability < 1:
        return "> 99.9 %"
    return "< 0.1 %" if told == "0.0 %" and probability > 0 else told
