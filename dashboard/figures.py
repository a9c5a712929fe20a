"""The figures of a page, each in a card: beside each other as many as there is room for, all of one width."""

from __future__ import annotations

from typing import Any, Final

import streamlit as st

from dashboard.words import COUNT

MOST_IN_A_ROW: Final = 5
"""Nine break evenly so on a desktop: five of events, and then four."""
NARROWEST_PX: Final = 150
"""Two beside each other on a phone of 360 px."""


def figures() -> st.delta_generator.DeltaGenerator:
    """Within it, each `figure` is a card."""
    return st.grid(MOST_IN_A_ROW, min_column_width=NARROWEST_PX)


def figure(
    label: str, value: str | int, change: str | int | None = None, explained: str | None = None, **of_change: Any
) -> None:
    """A card; whole numbers are told as everywhere. ``of_change``: how ``st.metric`` shows ``change``."""
    whole = COUNT if isinstance(value, int) else None
    st.metric(label, value, change, format=whole, border=True, height="stretch", help=explained, **of_change)
