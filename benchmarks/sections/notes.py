"""What several sections say."""

from __future__ import annotations

from typing import Any, Final

from benchmarks import markdown as md

BUSY_CORES: Final = 0.3
"""Above this a figure carries a note that it was not taken on a quiet machine."""


def busy(cores: float) -> str:
    """A warning where others were at work; empty where not."""
    return f"Others kept {cores:.1f} cores busy meanwhile: not a quiet machine." if cores > BUSY_CORES else ""


def times(count: int) -> str:
    """How often, in words."""
    return "once" if count == 1 else f"{count} times"


def memory(usages: list[tuple[str, Any]]) -> str:
    """A table of the peaks by process, a column for each named usage, against the budget."""
    names = sorted({name for _, usage in usages for name in usage["memory"]})
    rows = []
    for name in names:
        memories = [usage["memory"].get(name) for _, usage in usages]
        budget = next((memory["budget"] for memory in memories if memory), None)
        row = [name, f"{budget:,} MiB" if budget else md.NONE]
        for memory in memories:
            over = memory and budget and memory["peak"] > budget
            row.append(f"{memory['peak']:,.0f} MiB{' **over**' if over else ''}" if memory else md.NONE)
        rows.append(row)
    total = ["all at one moment", md.NONE, *(f"{usage['total_memory_peak']:,.0f} MiB" for _, usage in usages)]
    return md.table(["process, peak PSS", "budget", *(name for name, _ in usages)], [*rows, total])
