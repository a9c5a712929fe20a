"""One user: what they did, how likely they are to leave and why, and what would change that."""

from __future__ import annotations

import hashlib

import streamlit as st

from dashboard.churn.what_if import what_if
from dashboard.frame import page, panel, reader
from dashboard.user import panels
from dashboard.user.queries import read_user
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

# The user's name in the page's address. A comment: Streamlit would print a text of a page's script.
USER = "user"


def body(settings: Settings) -> None:
    st.page_link("views/churn.py", label="All users", icon=":material/arrow_back:")
    user = find()
    if not user:
        st.caption("Type a user's id, or select a user on the page Churn.")
        return
    panel(settings, live, user)
    features = known(settings, user)
    st.subheader("What if?", anchor=False)
    st.caption(
        "What the model that serves would say of a user like this"
        if features is None
        else "What the model that serves would say of the user if these were otherwise"
    )
    what_if(settings, features, of=hashlib.sha256(user.encode()).hexdigest()[:12])


def find() -> str:
    """The user of the address; the form puts another there. Not bound to the input: an id may hold what it cannot."""
    now: str = st.query_params.get(USER, "")
    with st.form("find_user", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        asked = st.text_input("User", value=now, width=420, help="The id as it is in the events, letter by letter")
        if st.form_submit_button("Show", icon=":material/search:") and asked is not None:
            st.query_params[USER] = now = asked
    return now


def live(dsn: str, user: str) -> None:
    found = read_user(dsn, user)
    panels.heading(user)
    if not found.is_known:
        panels.unknown(found)
        return
    left, right = st.columns(2, gap="medium")
    with left:
        panels.score(found.score)
    with right:
        panels.scores_over_time(found)
    panels.events(found)


def known(settings: Settings, user: str) -> dict[str, float | None] | None:
    """The user's features, for the form to begin with; None where they are not to be had, as is said above."""
    try:
        score = read_user(reader(settings), user).score
    except LakehouseError:
        return None
    return None if score is None else dict(score.features)


page("User", body)
