"""Who is likely not to come back, why, how that moves, and how far the model is to be trusted."""

from __future__ import annotations

import streamlit as st

from dashboard.churn import panels
from dashboard.churn.queries import MOST_PAGES, Bought, Filter, Show, read_scores
from dashboard.churn.watch import Watch, read_watch
from dashboard.churn.what_if import what_if
from dashboard.frame import broken, page, panel
from dashboard.scoring import serving_model
from dashboard.user.links import follow_selection
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings


def body(settings: Settings) -> None:
    panel(settings, counted)
    st.header("Users", anchor=False)
    wanted, number = choose()
    panel(settings, listed, wanted, number)
    st.header("What if?", anchor=False)
    st.caption("What the model that serves would say of a user like this")
    what_if(settings)
    st.header("The model", anchor=False)
    panel(settings, judged, settings)


def counted(dsn: str) -> None:
    scores = read_scores(dsn)
    if not scores.days:
        panels.no_scores(scores.refused)
        return
    panels.totals(scores)
    panels.distribution(scores)


def choose() -> tuple[Filter, int]:
    """Which users, and which page of them; kept in the page's address."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        show = st.segmented_control(
            "Show",
            list(Show),
            default=Show.AT_RISK,
            required=True,
            key="show",
            bind="query-params",
            on_change=_first_page,
            help="At risk: the model calls them churned",
        )
        bought = st.segmented_control(
            "Purchases",
            list(Bought),
            default=Bought.EITHER,
            required=True,
            key="bought",
            bind="query-params",
            on_change=_first_page,
            help="Whether they ever bought",
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        prefix = st.text_input(
            "User begins with", key="begins", bind="query-params", on_change=_first_page, width=220, max_chars=512
        )
        reason = st.text_input(
            "Reason contains",
            key="reason",
            bind="query-params",
            on_change=_first_page,
            width=220,
            max_chars=200,
            help="For example: last seen",
        )
        low, high = st.slider(
            "Probability",
            0,
            100,
            (0, 100),
            format="%d %%",
            key="probability",
            bind="query-params",
            on_change=_first_page,
            width=260,
        )
        number = st.number_input("Page", 1, MOST_PAGES, 1, key="page", bind="query-params", width=120)
    wanted = Filter(Show(show or Show.AT_RISK), prefix or "", low, high, reason or "", Bought(bought or Bought.EITHER))
    return wanted, int(number)


def _first_page() -> None:
    st.session_state["page"] = 1


def listed(dsn: str, wanted: Filter, number: int) -> None:
    follow_selection(panels.USERS)
    panels.users(dsn, wanted, number)


def judged(_: str, settings: Settings) -> None:
    """The model that serves, beside how far users are still those that it learnt from; each may be there alone."""
    try:
        found = serving_model(settings)
    except LakehouseError as error:
        broken("The API is away, or has no model yet. `lakehouse status` shows what runs, and why.", error)
        watched = _drift(settings, None)
    else:
        panels.model(found)
        left, right = st.columns(2, gap="medium")
        with left:
            panels.calibration(found)
        with right:
            watched = _drift(settings, found.model_version)
    if watched is not None:
        panels.realised(watched)


def _drift(settings: Settings, serving: str | None) -> Watch | None:
    """What was last found, for the rest of it to be drawn too; None where nothing was, as is said."""
    try:
        watched = read_watch(Home(settings.home))
    except LakehouseError as error:
        broken("What was last found of drift cannot be read.", error)
        return None
    panels.drift(watched, serving)
    return watched


page("Churn", body)
