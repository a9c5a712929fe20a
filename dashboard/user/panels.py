"""What the page of one user says; the user's own text is in tables, in charts and in st.text."""

from __future__ import annotations

from typing import Any

import polars as pl
import streamlit as st

from dashboard.churn.what_if import label, verdict
from dashboard.database import TEXT_SHOWN
from dashboard.user import charts
from dashboard.user.queries import MOST_EVENTS, SCORES, Score, User
from dashboard.user.sessions import PAUSE, sessions
from dashboard.words import COUNT, PRICE, height, moment, per_cent
from lakehouse.contracts import SIMULATED_MODEL, ChurnFeatures


def heading(user: str) -> None:
    """Who it is, cut to what a page can show."""
    cut = user if len(user) <= TEXT_SHOWN else f"{user[:TEXT_SHOWN]}… ({len(user):,} characters)"
    st.text(f"User {cut}", width="stretch")


def unknown(found: User) -> None:
    with st.container(border=True):
        st.markdown(":material/person_off: **Nothing is known of this user.**")
        st.caption("There is no score, and no event that is still kept. Ids are compared letter by letter.")
        if found.alike:
            st.caption("Users whose ids begin so:")
            for other in found.alike:
                st.text(other)


def score(found: Score | None) -> None:
    """The score now, why, and what it rests on."""
    st.subheader("Churn", anchor=False)
    if found is None:
        st.caption("Not scored yet: scores follow events within seconds while the stack runs (`lakehouse status`).")
        return
    if found.churn_probability is None:
        st.markdown(":orange[:material/warning:] **The API refused to score this user.**")
        st.text(found.error or "")
    else:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.metric("Probability of churn", per_cent(found.churn_probability), border=True, width=220)
            verdict(bool(found.churned))
        for reason in found.reasons:
            st.text(f"· {reason}")
        if not found.reasons:
            st.caption("Reasons are kept for users at risk; the form below gives them for anybody.")
        st.text(
            f"By model {found.model_version}, as of {moment(found.as_of)} UTC, scored {moment(found.scored_at)} UTC"
        )
        if (found.model_version or "").startswith(SIMULATED_MODEL):
            st.caption(
                ":material/science: A model of simulated data, until `lakehouse train` makes one of your events."
            )
    with st.expander("What the score rests on", icon=":material/list:"):
        st.dataframe(
            [
                {"Feature": label(column), "Value": found.features.get(column), "Meaning": column.comment}
                for column in ChurnFeatures.columns()
                if column in found.features
            ],
            hide_index=True,
            placeholder="not known",
            height=height(len(found.features)),
            column_config={"Value": st.column_config.NumberColumn(format="%.4g")},
            alt="The features of the user",
        )


def scores_over_time(found: User) -> None:
    """History, and the score that is now."""
    st.subheader("Scores over time", anchor=False)
    now = found.score
    history = found.history
    if now is not None and now.churn_probability is not None:
        newest = pl.DataFrame([(now.as_of, now.churn_probability, now.model_version)], SCORES, orient="row")
        history = pl.concat([history, newest]).unique()
    if history.is_empty():
        st.caption("No score is kept.")
        return
    if len(history) < 2:
        st.caption("One score is known so far; how it moves is drawn here once it has changed on another day (UTC).")
        return
    st.caption("The last score of each day (UTC) on which it changed, and the one now")
    st.echarts_chart(
        charts.scores_over_time(history, now.threshold if now else None),
        height=280,
        key="scores_over_time",
        alt="The user's probability of churn over time, by model",
    )


def events(found: User) -> None:
    """What the user did, in sessions and one by one."""
    st.subheader("Sessions", anchor=False)
    if found.events.is_empty():
        st.caption("No event of this user is kept in Postgres any more; the features above are of all events.")
        return
    made = sessions(found.events)
    st.dataframe(
        made,
        hide_index=True,
        placeholder="—",
        height=height(made.height),
        column_config={
            "session_id": "Session",
            "start": _moments("From (UTC)"),
            "end": _moments("Until (UTC)"),
            "minutes": st.column_config.NumberColumn("Minutes", format="%,.1f"),
            "num_events": _counts("Events"),
            "num_views": _counts("Views"),
            "num_add_to_cart": _counts("Adds to cart"),
            "num_purchases": _counts("Purchases"),
        },
        alt="Sessions of the user, the newest first",
    )
    told = []
    if made["session_id"].null_count():
        told.append(f"Events that name no session are parted where nothing happened for {PAUSE.seconds // 60} minutes.")
    if found.has_more:
        told.append("The oldest session may have begun before the events below.")
    if told:
        st.caption(" ".join(told))
    st.subheader("Events", anchor=False)
    st.caption(
        f"The newest {MOST_EVENTS}, the newest first; older ones are kept too."
        if found.has_more
        else "All that Postgres still keeps, the newest first."
    )
    st.dataframe(
        found.events,
        hide_index=True,
        placeholder="—",
        height=height(found.events.height),
        column_config={
            "event_time": _moments("Event time (UTC)"),
            "event_type": "Type",
            "session_id": "Session",
            "product_id": "Product",
            "category": "Category",
            "price": st.column_config.NumberColumn("Price", format=PRICE),
            "currency": "Currency",
            "quantity": _counts("Quantity"),
            "kafka_timestamp": _moments("Received (UTC)"),
        },
        alt="Events of the user, the newest first",
    )


def _counts(title: str) -> Any:
    return st.column_config.NumberColumn(title, format=COUNT)


def _moments(title: str) -> Any:
    return st.column_config.DatetimeColumn(title, format="YYYY-MM-DD HH:mm:ss", timezone="UTC")
