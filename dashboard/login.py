"""Who may look: whoever an OpenID provider vouches for and the setting dashboard_users names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import streamlit as st

from lakehouse.settings import Settings

DEFAULT: Final = "default"
"""The provider whose settings stand in [auth] itself."""


def required(settings: Settings) -> None:
    """Ends the run of the page here, before anything is read, unless no login is set or one has let somebody in."""
    if settings.dashboard_login_file is None:
        return
    who = st.user.to_dict()
    if "is_logged_in" not in who:  # Streamlit was started by hand, without the file
        st.error(
            f"A login is set, and Streamlit was not told of it. Start it with --secrets.files "
            f"{settings.dashboard_login_file}, or by `lakehouse up`."
        )
        st.stop()
    if not who["is_logged_in"]:
        _ask()
    if not may_enter(who, settings.dashboard_users):
        st.error(f"{_named(who)} may not look at this dashboard; the setting dashboard_users says who may.")
        st.button("Log out", on_click=st.logout)
        st.stop()


def farewell(settings: Settings) -> None:
    """Says at the end of a page who looks at it, and lets them leave."""
    if settings.dashboard_login_file is None:
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="right"):
        st.text(_named(st.user.to_dict()), width="content")
        st.button("Log out", on_click=st.logout, type="tertiary")


def may_enter(who: Mapping[str, Any], users: Sequence[str]) -> bool:
    """Whether the claims ``who`` are of one of ``users``: addresses, or @domain for all of it.

    An address that the provider itself has not verified is nobody's.
    """
    address = who.get("email")
    if not isinstance(address, str) or who.get("email_verified") is False:
        return False
    name, at, domain = address.lower().rpartition("@")
    return bool(name and at) and (address.lower() in users or f"@{domain}" in users)


def providers(auth: Mapping[str, Any]) -> list[str]:
    """The names to log in by, of the table [auth]."""
    own = [DEFAULT] if "client_id" in auth else []
    return own + [name for name, value in auth.items() if isinstance(value, Mapping) and "client_id" in value]


def _ask() -> None:
    st.header("Interaction lakehouse", anchor=False)
    for provider in providers(st.secrets["auth"]):
        label = "Log in" if provider == DEFAULT else f"Log in with {provider}"
        if st.button(label, type="primary"):
            st.login(None if provider == DEFAULT else provider)
    st.stop()


def _named(who: Mapping[str, Any]) -> str:
    return str(who.get("email") or who.get("sub") or "Somebody without an address")[:200]
