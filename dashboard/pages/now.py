"""The first page: what users do now, and how the pipeline does."""

from __future__ import annotations

from dashboard.choice import choose_range
from dashboard.frame import page, panel
from dashboard.now import panels
from dashboard.now.queries import read_now
from dashboard.ranges import Range, Span
from lakehouse.settings import Settings


def body(settings: Settings) -> None:
    choice, custom = choose_range(settings)
    panel(settings, live, choice, custom, settings.window_minutes)


def live(dsn: str, choice: Range, custom: Span | None, window_minutes: int) -> None:
    """Everything below the choice of the range, of one look at the mirrors."""
    now = read_now(dsn, choice, custom, window_minutes)
    panels.freshness(now.pipeline)
    if now.activity is None:
        panels.no_data()
    else:
        panels.activity(now)
    panels.pipeline(now.pipeline)
    if now.activity is not None and now.activity.totals.events:
        panels.latest(now.activity)


page("Now", body)
