"""The watermark: up to when events are thought complete. It decides only when a window is called final.

It never drops an event, and no number depends on it but ``is_final`` and ``late_events``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from lakehouse.settings import Settings


def advance(before: datetime | None, newest_by_user: Iterable[datetime], settings: Settings) -> datetime | None:
    """The watermark after a batch: the newest event's time less the allowed lateness, and never less than ``before``.

    ``newest_by_user`` holds the newest event time of each user of the batch. Where the step is longer than
    ``watermark_max_step_hours``, it goes only as far as ``watermark_step_users`` users have come: one broken clock
    cannot close everybody's windows.
    """
    newest = sorted(newest_by_user, reverse=True)
    if not newest:
        return before
    lateness = timedelta(minutes=settings.allowed_lateness_minutes)
    if before is None:
        return newest[min(settings.watermark_step_users, len(newest)) - 1] - lateness
    furthest = before + timedelta(hours=settings.watermark_max_step_hours)
    within_step = next((time - lateness for time in newest if time - lateness <= furthest), before)
    supported = (
        newest[settings.watermark_step_users - 1] - lateness if len(newest) >= settings.watermark_step_users else before
    )
    if newest[0] - lateness <= furthest:
        return max(before, newest[0] - lateness)
    return max(before, within_step, supported)
