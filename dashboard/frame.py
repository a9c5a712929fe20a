"""What every page is made of: a heading with the refresh's controls, and panels that refresh and fail on their own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Concatenate, Final, ParamSpec

import streamlit as st

from dashboard.database import TooSlow, Unavailable
from lakehouse.alerts import current
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings, load_settings

P = ParamSpec("P")
LIVE: Final = "live"
"""The key of the switch, and its name in the page's address."""


def page(title: str, body: Callable[[Settings], None]) -> None:
    """The page ``title``; ``body`` draws its inputs, and its panels with `panel`. Inputs keep their state in the
    address (``bind="query-params"``), so that a view can be shared."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header(title, anchor=False, width="stretch")
        try:
            settings = load_settings()
        except LakehouseError as error:
            broken("The settings cannot be read.", error)
            return
        _controls(settings)
    _refreshed(settings, lambda: _alerts(Home(settings.home)))
    body(settings)


def panel(settings: Settings, draw: Callable[Concatenate[str, P], None], *args: P.args, **kwargs: P.kwargs) -> None:
    """``draw(dsn, …)`` now and at each refresh, apart from the rest of the page, whose inputs and scroll stay.

    ``dsn`` is Postgres by the role that can only read. Each run starts anew, so it recovers from whatever was away;
    what is away is told in its place.
    """
    _refreshed(settings, lambda: _told(settings, lambda: draw(reader(settings), *args, **kwargs)))


def panel_of_tables(
    settings: Settings, draw: Callable[Concatenate[Home, P], None], *args: P.args, **kwargs: P.kwargs
) -> None:
    """``draw(home, …)`` likewise, for what is read from the tables: no stack need run, and Postgres may be away."""
    _refreshed(settings, lambda: _told(settings, lambda: draw(Home(settings.home), *args, **kwargs)))


def further_panel(
    settings: Settings, draw: Callable[Concatenate[str, P], None], *args: P.args, **kwargs: P.kwargs
) -> None:
    """A `panel` below another of the same source: where that says what is away, this one is left out."""

    def drawn() -> None:
        try:
            draw(reader(settings), *args, **kwargs)
        except TooSlow as error:
            broken(f"This part took too long. {_again(settings)}", error)
        except LakehouseError:
            return

    _refreshed(settings, drawn)


def reader(settings: Settings) -> str:
    """The address of Postgres for the role that can only read; looked up each time: a stack that is started anew may
    answer elsewhere. Raises LakehouseError where no stack has run."""
    return Endpoints.load(Home(settings.home)).postgres_reader


def broken(what: str, error: Exception) -> None:
    """Why there is nothing to see, and what to do about it. ``what`` is ours, Markdown; the error is text."""
    with st.container(border=True):
        st.markdown(f":red[:material/error:] **{what}**")
        st.text(str(error))


def _alerts(home: Home) -> None:
    """The alert rules that fire, and those that did until lately. Their names and reasons are a person's and a
    server's: text."""
    found = current(home, datetime.now(UTC))
    if found is None:
        if home.alert_rules.exists():
            st.caption(
                ":material/notifications_off: Nobody looks at the rules of alerts.toml now: the validator does, which "
                "runs with the stack unless LAKEHOUSE_QUALITY_VALIDATOR switches it off."
            )
        return
    for firing in found.firing:
        with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
            st.badge("Alert", color="red", icon=":material/notifications_active:")
            st.text(str(firing))
    for over in found.just_over:
        with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
            st.badge("Alert is over", color="green", icon=":material/notifications:")
            st.text(str(over))
    if found.problem:
        with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
            st.badge("Alert rules", color="orange", icon=":material/notifications_off:")
            st.text(found.problem)


def _told(settings: Settings, draw: Callable[[], None]) -> None:
    """Draws it, or what keeps it from being drawn."""
    try:
        draw()
    except Unavailable as error:
        broken(f"Postgres is away. `lakehouse status` shows what runs. {_again(settings)}", error)
    except LakehouseError as error:
        broken(f"There is nothing to read from. {_again(settings)}", error)


def _refreshed(settings: Settings, drawn: Callable[[], None]) -> None:
    st.fragment(drawn, run_every=settings.dashboard_refresh_s if _live() else None)()


def _controls(settings: Settings) -> None:
    every = f"every {settings.dashboard_refresh_s:g} s"
    st.toggle("Live", value=True, key=LIVE, bind="query-params", help=f"The panels refresh by themselves {every}")
    # A click runs the page again, and that is all it is for.
    st.button("Refresh", icon=":material/refresh:", type="tertiary", help="Read everything again, now")


def _live() -> bool:
    return bool(st.session_state.get(LIVE, True))


def _again(settings: Settings) -> str:
    if _live():
        return f"This page tries again every {settings.dashboard_refresh_s:g} s."
    return "Refresh to try again."
