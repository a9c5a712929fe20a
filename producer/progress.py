"""How far a long run is, on stderr: a line that moves on a terminal, elsewhere a line every five seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

_LINE_EVERY_S = 5.0

Report = Callable[[str, int], None]
"""Takes what is being done and how many it has done."""


@contextmanager
def reporting(
    console: Console, unit: str, total: int | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Report]:
    """Yields the function to report by; ``unit`` is what is counted, ``total`` how many there will be."""
    if not console.is_terminal:
        yield _line_by_line(console, unit, total, clock)
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=None)

        def report(doing: str, done: int) -> None:
            progress.update(task, description=_said(doing, done, total, unit))

        yield report


def _line_by_line(console: Console, unit: str, total: int | None, clock: Callable[[], float]) -> Report:
    told_at = clock()

    def report(doing: str, done: int) -> None:
        nonlocal told_at
        if clock() - told_at >= _LINE_EVERY_S:
            told_at = clock()
            console.print(_said(doing, done, total, unit), markup=False)

    return report


def _said(doing: str, done: int, total: int | None, unit: str) -> str:
    return f"{doing}: {done:,} {unit}" if total is None else f"{doing}: {done:,} of {total:,} {unit}"
