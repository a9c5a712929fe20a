"""Where the data begins and ends, in event time."""

from __future__ import annotations

import streamlit as st
from psycopg2.extensions import cursor as Cursor

from dashboard.database import SHARED_FOR_S, rows, snapshot
from dashboard.ranges import Span

_EXTENT = """
SELECT (SELECT window_start FROM funnel_windows ORDER BY window_start LIMIT 1) AS first,
       (SELECT window_end FROM funnel_windows ORDER BY window_start DESC LIMIT 1) AS last
"""


@st.cache_data(ttl=SHARED_FOR_S, max_entries=10, show_spinner=False)
def read_extent(dsn: str) -> Span | None:
    """From the first window's start to the last one's end; None while there is no data."""
    with snapshot(dsn) as cursor:
        return extent_of(cursor)


def extent_of(cursor: Cursor) -> Span | None:
    (found,) = rows(cursor, _EXTENT)
    return None if found.first is None else Span(found.first, found.last)
