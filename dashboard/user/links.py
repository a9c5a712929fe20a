"""From a table of users to the page of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

_USER_PAGE: Final = "views/user.py"


def follow_selection(table: str) -> None:
    """Opens the page of the user whose row was selected in the table of that key, as it stood when it was.

    By what was listed then and not by what is read now: between the look and the click the order may have changed.
    """
    selected = st.session_state.get(table, {}).get("selection", {}).get("rows", [])
    listed: Sequence[str] = st.session_state.get(_listed(table), [])
    if selected and selected[0] < len(listed):
        st.switch_page(_USER_PAGE, query_params={"user": listed[selected[0]]})


def remember(table: str, users: Sequence[str]) -> None:
    """That the table of that key now lists these, whole ids in its order."""
    st.session_state[_listed(table)] = list(users)


def _listed(table: str) -> str:
    return f"{table}_listed"
