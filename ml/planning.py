"""Which cuts to train and test at, from what the data hold. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import polars as pl

from lakehouse.contracts import UserDays as D
from lakehouse.errors import LakehouseError
from ml.dataset import Cuts, training_cuts
from ml.labels import midnight_of

HORIZON_DAYS: Final = 30
LOOKBACK_DAYS: Final = 30
EVERY_DAYS: Final = 7
NUMBER: Final = 3
"""Most training cuts, where no number is asked for."""


def plan_cuts(
    user_days: pl.DataFrame,
    horizon_days: int = HORIZON_DAYS,
    lookback_days: int = LOOKBACK_DAYS,
    test: date | None = None,
    every_days: int = EVERY_DAYS,
    number: int | None = None,
) -> Cuts:
    """The test's cut at ``test``, by default the last midnight (UTC) whose labels are complete; training cuts before.

    Labels are complete up to the newest event's day, exclusive, for that day may go on. Without a ``number`` there are
    up to `NUMBER` training cuts: those whose lookback lies within the data, and at least the last one.

    Raises LakehouseError where the data are too short, with what is there, what is needed and what helps.
    """
    oldest, newest = _reach(user_days)
    latest = newest - timedelta(days=horizon_days)
    if test is not None and test > latest:
        raise LakehouseError(
            f"--test-cut {test}: its labels end on {test + timedelta(days=horizon_days)}, and the events on {newest}; "
            f"the latest is {latest}"
        )
    cut = midnight_of(test or latest)
    wanted = training_cuts(cut, horizon_days, every_days, number or NUMBER)
    first_day = midnight_of(oldest)
    if number is None:
        full = tuple(one for one in wanted if one - timedelta(days=lookback_days) >= first_day)
        wanted = full or wanted[-1:]
    if wanted[0] <= first_day:
        raise LakehouseError(_too_short(oldest, newest, horizon_days, wanted[0].date(), test, number))
    return Cuts(wanted, cut, horizon_days, lookback_days)


def _reach(user_days: pl.DataFrame) -> tuple[date, date]:
    if user_days.is_empty():
        raise LakehouseError(
            f"{D.name}: holds no events yet, and there is nothing to train on; let events come, or `lakehouse replay` "
            "a file"
        )
    oldest, newest = user_days.select(pl.col(D.date).min().alias("oldest"), pl.col(D.date).max().alias("newest")).row(0)
    return oldest, newest


def _too_short(
    oldest: date, newest: date, horizon_days: int, needed: date, test: date | None, number: int | None
) -> str:
    there = f"{D.name} holds events of {oldest} to {newest}"
    why = f"the first training cut would be {needed}, two horizons of {horizon_days} days or more before the last event"
    shorter = ((newest - oldest).days - 1) // 2
    remedies = ["wait for more events or `lakehouse replay` older ones"]
    if test is not None:
        remedies.append("choose a later --test-cut")
    if number is not None and number > 1:
        remedies.append("ask for fewer --cuts")
    if 1 <= shorter < horizon_days:
        remedies.append(f"shorten the horizon: --horizon {shorter} at most")
    return f"too little to train on: {there}, and {why}, so that nothing lies before it; {', or '.join(remedies)}"
