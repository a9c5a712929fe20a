"""From a view to a purchase: where sessions, or users, stop, and how long it takes."""

from __future__ import annotations

from datetime import UTC, timedelta
from enum import StrEnum
from typing import Final

import streamlit as st

from dashboard.choice import EARLIEST, LATEST, choose_range
from dashboard.frame import page, panel
from dashboard.funnel import panels, property_panels, user_panels
from dashboard.funnel.queries import Against, Asked, Grain, read_funnel
from dashboard.funnel.stops import Within
from dashboard.ranges import Range, Span
from lakehouse.home import Home
from lakehouse.settings import Settings


class By(StrEnum):
    """What goes through the steps; the value is the label."""

    SESSION = "Sessions"
    USER = "Users"


# As no dimension can be called: a name is one word. (A comment, for Streamlit would write a string onto the page.)
NO_DIMENSION: Final = "No dimension"


def body(settings: Settings) -> None:
    choice, custom = choose_range(settings, Range.DAY)
    by = st.segmented_control(
        "Count",
        list(By),
        default=By.SESSION,
        required=True,
        key="by",
        bind="query-params",
        help="Sessions go through the steps on one day; users within a window, over their sessions",
    )
    if By(by or By.SESSION) is By.SESSION:
        with _inputs():
            grain = _grain()
            asked = _asked(settings, grain)
        panel(settings, by_session, choice, custom, asked)
        _by_any_property(settings, choice, custom)
    else:
        with _inputs():
            within = _window()
            asked = _asked(settings)
        panel(settings, user_panels.users, Home(settings.home), choice, custom, within, asked)


def by_session(dsn: str, choice: Range, custom: Span | None, asked: Asked) -> None:
    """Everything below the inputs, of one look at the mirror."""
    panels.funnel(read_funnel(dsn, choice, custom, asked), asked)


def _by_any_property(settings: Settings, choice: Range, custom: Span | None) -> None:
    """Not in a panel that refreshes: it takes seconds, and is looked for when a person asks."""
    st.subheader("By any other property", anchor=False)
    name = st.text_input(
        "Property",
        key="property",
        bind="query-params",
        max_chars=64,
        width=320,
        placeholder="as events name it",
        help="It is read from the events themselves, of the newest days of the range, which takes some seconds",
    )
    if name:
        st.fragment(property_panels.by_property)(settings, choice, custom, name)


def _window() -> Within:
    """The conversion window, kept in the page's address."""
    chosen = st.segmented_control(
        "Within",
        list(Within),
        default=Within.DAY,
        required=True,
        key="within",
        bind="query-params",
        help="From a user's first view of the range to the cart and the purchase, at most",
    )
    return Within(chosen or Within.DAY)


def _grain() -> Grain:
    chosen = st.segmented_control(
        "A bar is",
        list(Grain),
        default=Grain.AUTO,
        required=True,
        key="grain",
        bind="query-params",
        help="Of sessions over time; weeks begin on Mondays, days at midnight, UTC",
    )
    return Grain(chosen or Grain.AUTO)


def _asked(settings: Settings, grain: Grain = Grain.AUTO) -> Asked:
    """What it is compared with and told apart by, kept in the page's address; both count alike."""
    against = Against(
        st.segmented_control(
            "Compare with",
            list(Against),
            default=Against.NOTHING,
            required=True,
            key="against",
            bind="query-params",
            help="Another period is as long as the range: sessions by whole hours, users by whole days (UTC)",
        )
        or Against.NOTHING
    )
    other = None
    if against is Against.OTHER:
        other = st.datetime_input(
            "It begins (UTC)",
            value=None,
            min_value=EARLIEST,
            max_value=LATEST,
            step=timedelta(hours=1),
            key="other_from",
            bind="query-params",
            width=240,
        )
    chosen = st.segmented_control(
        "Tell apart by",
        [NO_DIMENSION, *settings.funnel_dimensions],
        default=NO_DIMENSION,
        required=True,
        key="dimension",
        bind="query-params",
        help="Dimensions are declared by LAKEHOUSE_FUNNEL_DIMENSIONS; sessions and users count by the value of their "
        "first event that has one",
    )
    return Asked(
        grain,
        against,
        None if other is None else other.replace(tzinfo=UTC),
        None if chosen in (None, NO_DIMENSION) else chosen,
        settings.funnel_values_cap,
    )


def _inputs() -> st.delta_generator.DeltaGenerator:
    return st.container(horizontal=True, gap="medium")


page("Funnel", body)
