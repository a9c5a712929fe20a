"""The choice of a range, as every page offers it: kept in the page's address, told in event time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import streamlit as st

from dashboard.extent import read_extent
from dashboard.frame import reader
from dashboard.ranges import Range, Span
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

EARLIEST, LATEST = datetime(1990, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 (the widget knows no zone)


def choose_range(settings: Settings, default: Range = Range.HOUR) -> tuple[Range, Span | None]:
    """The range; for a custom one its span too, where both ends are given in order."""
    chosen = st.segmented_control(
        "Range",
        list(Range),
        default=default,
        required=True,
        key="range",
        bind="query-params",
        label_visibility="collapsed",
        wrap=False,  # on a phone one bar that scrolls, in place of two with an open edge
        help="Of event time, counted back from the newest data",
    )
    choice = Range(chosen or default)
    return choice, _custom(settings) if choice is Range.CUSTOM else None


def _custom(settings: Settings) -> Span | None:
    # Suggested once: an input whose suggestion moves on with the data would move under the person's hands.
    last = st.session_state.setdefault("suggested_end", _newest(settings))
    first, until = st.columns(2, width=480)
    ends = [
        place.datetime_input(
            label,
            value=value.astimezone(UTC).replace(tzinfo=None),
            min_value=EARLIEST,
            max_value=LATEST,
            step=timedelta(minutes=settings.window_minutes),
            key=key,
            bind="query-params",
        )
        for place, label, value, key in (
            (first, "From (UTC)", last - timedelta(hours=1), "from"),
            (until, "Until (UTC), exclusive", last, "until"),
        )
    ]
    if ends[0] is None or ends[1] is None:
        return None
    span = Span(ends[0].replace(tzinfo=UTC), ends[1].replace(tzinfo=UTC))
    if span.length <= timedelta(0):
        st.warning("The range must end after it begins; all data is shown.", icon=":material/date_range:")
        return None
    return span


def _newest(settings: Settings) -> datetime:
    """Where the data ends, to suggest a custom range; what is wrong, if anything, is said below."""
    try:
        extent = read_extent(reader(settings))
    except LakehouseError:
        extent = None
    return extent.end if extent else datetime.now(UTC)
