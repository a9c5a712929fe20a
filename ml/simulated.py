"""Users' days of a simulated history: what the first champion learns from, before a home has a history of its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import polars as pl

from gold.user_days import user_days
from lakehouse import event
from lakehouse.contracts import SilverEvents as S
from producer.simulator import SimulatorConfig, simulate

END: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""A fixed moment, so that the same code gives the same model on any day."""
DAYS: Final = 120
EVENTS: Final = 90_000
USERS: Final = 8_000
"""With so many the models differ by more than noise, and all of it takes some four seconds of one core."""
SEED: Final = 7
SESSION_IDS_CAP: Final = 1_000

_NAMES: Final = {
    S.user_id: event.USER_ID,
    S.event_type: event.EVENT_TYPE,
    S.event_time: event.TIMESTAMP,
    S.session_id: event.SESSION_ID,
    S.price: event.PRICE,
    S.quantity: event.QUANTITY,
}
"""What days are made of, and what it is called on the wire."""
_WIRE: Final = {
    event.USER_ID: pl.String,
    event.EVENT_TYPE: pl.String,
    event.TIMESTAMP: pl.String,
    event.SESSION_ID: pl.String,
    event.PRICE: pl.Float64,
    event.QUANTITY: pl.Int32,
}


def simulated_user_days(days: int = DAYS, events: int = EVENTS, users: int = USERS, seed: int = SEED) -> pl.DataFrame:
    """The days of ``users`` of the simulator who make about ``events`` well-formed events in ``days`` days up to `END`.

    The same simulator as that of a running stack: its users come in spells and stay away for months, the less active
    the sooner, and neither spell nor absence can be seen in the events.
    """
    config = SimulatorConfig(
        seed=seed,
        users=users,
        rate=events / timedelta(days=days).total_seconds(),
        start=END - timedelta(days=days),
        late_share=0,
        duplicate_share=0,
        malformed_share=0,
        future_share=0,
        end=END,
    )
    decode = msgspec.json.Decoder().decode
    wire = pl.DataFrame([decode(message.value) for message in simulate(config)], schema=_WIRE, strict=False)
    return user_days(
        wire.select(pl.col(name).alias(column) for column, name in _NAMES.items()).with_columns(
            pl.col(S.event_time).str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC"),
            pl.col(S.price).cast(pl.Decimal(18, 4)),
        ),
        SESSION_IDS_CAP,
    )
