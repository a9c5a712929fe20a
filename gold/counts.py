"""What gold counts of a group of events, whatever it groups them by."""

from __future__ import annotations

from typing import Final

import polars as pl

from lakehouse import event
from lakehouse.contracts import FunnelSummary as G
from lakehouse.contracts import SilverEvents as S

_OF_TYPE: Final = {
    G.num_views: event.VIEW,
    G.num_add_to_cart: event.ADD_TO_CART,
    G.num_purchases: event.PURCHASE,
}


def counted() -> list[pl.Expr]:
    """The three counts of the funnel, the count of all events, and the first and the last event's time."""
    kind, time = pl.col(S.event_type), pl.col(S.event_time)
    return [
        *((kind == name).sum().cast(pl.Int64).alias(column) for column, name in _OF_TYPE.items()),
        pl.len().cast(pl.Int64).alias(G.num_events),
        time.min().alias(G.first_event_time),
        time.max().alias(G.last_event_time),
    ]
