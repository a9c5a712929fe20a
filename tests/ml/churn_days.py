"""Users' days for the tests of `ml`: a few users by hand, and a small shop whose users fade."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import polars as pl

from gold.user_days import user_days
from lakehouse.contracts import SilverEvents
from lakehouse.frames import empty


def day(text: str) -> datetime:
    """Midnight (UTC) of a day of 2026: ``03-01``."""
    return datetime.fromisoformat(f"2026-{text}T00:00+00:00")


def days(*acts: tuple[str, str]) -> pl.DataFrame:
    """gold.user_days of views (user, time of 2026 as ``03-01T10:00``)."""
    return user_days(_events([(user, "view", _at(time)) for user, time in acts]), 100)


def received(*acts: tuple[str, str, str]) -> pl.DataFrame:
    """silver.events of views (user, time of 2026 as ``03-01T10:00``, time at which the broker had it)."""
    return _events([(user, "view", _at(time)) for user, time, _ in acts]).with_columns(
        pl.Series("kafka_timestamp", [_at(time) for *_, time in acts], pl.Datetime("us", "UTC"))
    )


def shop(users: int, seed: int) -> pl.DataFrame:
    """The days of `shop_events`."""
    return user_days(shop_events(users, seed), 100)


def shop_events(users: int, seed: int) -> pl.DataFrame:
    """``users`` who came in January and February 2026 and act at rates of their own until each one's end, by May.

    The broker has each event as it happens.
    """
    chance = np.random.default_rng(seed)
    acts = []
    for number in range(users):
        begins, alive = chance.uniform(0, 45), chance.exponential(50)
        moments = begins + np.append(0.0, np.cumsum(chance.exponential(chance.uniform(1, 20), 60)))
        for moment in moments[(moments < begins + alive) & (moments < 120)]:
            kind = chance.choice(["view", "view", "view", "add_to_cart", "purchase"])
            acts.append((f"u{number:04}", str(kind), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=float(moment))))
    return _events(acts)


def _at(time: str) -> datetime:
    return datetime.fromisoformat(f"2026-{time}+00:00")


def _events(acts: list[tuple[str, str, datetime]]) -> pl.DataFrame:
    rows = [
        {"user_id": user, "event_type": kind, "event_time": time, "kafka_timestamp": time, "price": Decimal("10")}
        for user, kind, time in acts
    ]
    return pl.DataFrame(rows, schema=pl.DataFrame(empty(SilverEvents)).schema)
