"""The funnel by any property of the events. What users sent is shown as text only: in tables and charts."""

from __future__ import annotations

import streamlit as st

from dashboard.frame import broken, reader
from dashboard.funnel.apart import SESSIONS, by_value
from dashboard.funnel.queries import read_bounds, whole_hours
from dashboard.ranges import Range, Span, resolve
from dashboard.words import moment
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings, check_dimension


def by_property(settings: Settings, choice: Range, custom: Span | None, name: str) -> None:
    """Sessions of the range by the property ``name``, with progress."""
    try:
        check_dimension(name)
    except ValueError as error:
        with st.container(border=True):
            st.markdown("**Sessions cannot be told apart by this.**")
            st.text(str(error))
        return
    try:
        extent = read_bounds(reader(settings)).extent
        if extent is None:
            return
        span = whole_hours(resolve(choice, extent, custom))
        _shown(settings, span, name)
    except LakehouseError as error:
        broken("The events cannot be read for this.", error)


def _shown(settings: Settings, span: Span, name: str) -> None:
    from dashboard.funnel.properties import read_by_property

    with st.status("Reading the events …") as status:
        bar = st.progress(0.0)

        def _tell(share: float, told: str) -> None:
            bar.progress(share, f"Reading the events of {told}")

        found = read_by_property(
            Home(settings.home),
            span,
            name,
            settings.funnel_values_cap,
            settings,
            _tell,
        )
        bar.empty()
        status.update(
            label=f"Read {found.events:,} events, of silver.events at version {found.version:,}", state="complete"
        )
        st.caption("Kept for ten minutes.")
    if found.span != span:
        st.warning(
            f"Sessions from {moment(found.span.start)} UTC on: with the days before, from {moment(span.start)}, there "
            "are more events than are read at once. A property that is declared (`LAKEHOUSE_FUNNEL_DIMENSIONS`) is "
            "counted as events come.",
            icon=":material/content_cut:",
        )
    if found.values.is_empty():
        st.caption("No sessions in this range.")
        return
    st.text(f"Sessions by {name}: the value of their first event that has one")
    by_value(found.values, SESSIONS, "by_property")
