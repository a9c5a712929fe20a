"""Small pieces of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

NONE = "-"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are figures."""
    align = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, align, *rows))


def seconds(value: float | None) -> str:
    """Three figures, with the unit."""
    if value is None:
        return NONE
    if abs(value) < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} s" if abs(value) < 10 else f"{value:,.1f} s"


def whole(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"


def mebibytes(count: float | None) -> str:
    """From bytes."""
    return NONE if count is None else f"{count / 2**20:,.1f} MiB"


def spread(repeated: dict[str, Any] | None, show: Any = seconds) -> str:
    """A median, and the lowest and highest run where there were several."""
    if repeated is None:
        return NONE
    median = str(show(repeated["median"]))
    if len(repeated["runs"]) == 1:
        return median
    return f"{median} ({show(repeated['lowest'])} to {show(repeated['highest'])})"
