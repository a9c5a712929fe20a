"""The funnel of sessions. What users sent is shown as text only: in tables and charts."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl
import streamlit as st

from dashboard.figures import figure, figures
from dashboard.funnel import charts
from dashboard.funnel.apart import SESSIONS, by_value, differences
from dashboard.funnel.queries import BANDS, Against, Asked, Compared, Funnel, Grain, Sessions, Totals
from dashboard.now.panels import freshness, no_data
from dashboard.ranges import Span
from dashboard.words import COUNT, age, minutes, moment, money, share

FUNNEL_PX: Final = 250


def funnel(found: Funnel, asked: Asked) -> None:
    """The whole of the page below its inputs, by session."""
    freshness(found.pipeline)
    if found.extent is None:
        no_data()
        return
    if found.sessions is None:
        _not_yet()
        return
    sessions, watermark = found.sessions, found.pipeline.watermark
    if not sessions.totals.sessions:
        nothing_in(sessions.span, found.extent, "sessions")
    else:
        _figures(sessions.totals)
        left, right = st.columns([3, 2], gap="medium")
        with left:
            _steps(sessions)
        with right:
            _time_to_purchase(sessions.totals)
        _not_final(sessions.span, watermark)
        _over_time(sessions, asked.grain, watermark)
        _other_types(sessions.other_types)
    if asked.against is not Against.NOTHING:
        _compared(sessions, watermark)
    if asked.dimension is not None and sessions.by_value is not None and sessions.totals.sessions:
        _by_value(sessions.by_value, asked.dimension)


def nothing_in(span: Span, extent: Span, what: str) -> None:
    with st.container(border=True):
        st.markdown(f"**No {what} in this range.**")
        st.caption(
            f"It is from {moment(span.start)} to {moment(span.end)} UTC; the data reaches from "
            f"{moment(extent.start)} to {moment(extent.end)} UTC."
        )


def _not_yet() -> None:
    with st.container(border=True):
        st.markdown(":material/hourglass_empty: **There are events, and no sessions yet.**")
        st.caption(
            "They are counted every few seconds (`LAKEHOUSE_CHURN_INTERVAL_S`), and appear here then. "
            "`lakehouse status` shows whether the streams sessions and ordered_funnel run."
        )


def _figures(totals: Totals) -> None:
    mean = totals.mean_to_purchase
    with figures():
        figure(
            "Sessions",
            totals.sessions,
            explained="Of one user on one day (UTC); events without a session are one for each user and day",
        )
        figure(
            "Conversion",
            share(totals.purchased, totals.sessions),
            explained="Share of all sessions that viewed, then added to the cart, then purchased",
        )
        figure(
            "Median time",
            totals.median_band or "—",
            explained="From the first view to the purchase: the middle one came within it, and not within the band "
            "before",
        )
        figure(
            "Mean time",
            "—" if mean is None else age(mean),
            explained="From the first view to the purchase",
        )
        figure(
            "Revenue",
            money(totals.revenue),
            explained="Price times quantity of all purchases, in the events' currency; currencies are not converted",
        )


def _steps(found: Sessions) -> None:
    totals = found.totals
    st.subheader("Steps, in their order", anchor=False)
    st.caption(f"{_between(found.span)} · whole hours · beside a bar: its share of the step before · of all sessions")
    st.echarts_chart(
        charts.funnel(totals.steps),
        height=FUNNEL_PX,
        key="steps",
        alt="Funnel of sessions: all, with a view, with an add to cart after it, with a purchase after that",
    )
    st.caption(drop_off(totals))


def drop_off(totals: Totals) -> str:
    """How many stopped at each step, in words: Markdown, a line each."""
    lines = [
        f"**View:** {totals.sessions - totals.viewed:,} of {totals.sessions:,} sessions "
        f"({share(totals.sessions - totals.viewed, totals.sessions)}) had none.",
        f"**Add to cart:** {totals.viewed - totals.carted:,} of {totals.viewed:,} with a view "
        f"({share(totals.viewed - totals.carted, totals.viewed)}) stopped there.",
        f"**Purchase:** {totals.carted - totals.purchased:,} of {totals.carted:,} with something in the cart "
        f"({share(totals.carted - totals.purchased, totals.carted)}) left it.",
        f"In whatever order, {totals.bought:,} sessions had a purchase.",
    ]
    return "  \n".join(lines)


def _time_to_purchase(totals: Totals) -> None:
    st.subheader("Time to purchase", anchor=False)
    if not totals.purchased:
        st.caption("No session went through all steps.")
        return
    st.caption("Sessions that went through all steps, by the time from their first view to the purchase, at most")
    st.echarts_chart(
        charts.time_to_purchase(list(zip(BANDS.values(), totals.within, strict=True))),
        height=FUNNEL_PX,
        key="time_to_purchase",
        alt="Histogram of the time from the first view to the purchase",
    )
    if totals.carted:
        st.caption(f"To the cart it was {totals.seconds_to_cart / totals.carted / 60:,.1f} min in the mean.")


def _not_final(span: Span, watermark: datetime | None) -> None:
    if watermark is None:
        st.caption(
            ":material/hourglass_top: Nothing is final yet: there is no watermark, and events are still expected."
        )
    elif watermark < span.end:
        st.caption(
            f":material/hourglass_top: Not final after {moment(watermark)} UTC, where the watermark is: hours that end "
            "later still expect sessions, and those that began earlier on that day may still go on."
        )


def _over_time(found: Sessions, grain: Grain, watermark: datetime | None) -> None:
    st.subheader("Over time", anchor=False)
    told = f"Sessions by when they begin, and their conversion · a bar is {minutes(found.minutes)}"
    wanted = {Grain.HOUR: 60, Grain.DAY: 1440, Grain.WEEK: 10_080}.get(grain)
    if wanted is not None and wanted != found.minutes:
        told += f"; by the {grain.value.lower()} there would be too many"
    st.caption(f"{told} · faint where it is not final")
    st.echarts_chart(
        charts.over_time(found.over_time, found.minutes, watermark),
        height=320,
        key="over_time",
        alt="Sessions and their conversion over time",
    )


def _other_types(found: pl.DataFrame) -> None:
    if found.is_empty():
        return
    st.subheader("Other types", anchor=False)
    st.caption("Events of the range that are no step of this funnel")
    st.dataframe(
        found,
        hide_index=True,
        width=420,
        column_config={
            "event_type": st.column_config.TextColumn("Type", width="medium"),
            "num_events": st.column_config.NumberColumn("Events", format=COUNT),
        },
        alt="Events of other types",
    )


def _compared(found: Sessions, watermark: datetime | None) -> None:
    st.subheader("Two periods", anchor=False)
    other = found.other
    if other is None:
        st.info("Say above where the other period begins.", icon=":material/date_range:")
        return
    places = st.columns(2, gap="medium")
    this = Compared(found.span, found.totals)
    longest = max(found.totals.sessions, other.totals.sessions)
    for place, title, key, period in zip(
        places, ("This period", "The other period"), ("this_period", "other_period"), (this, other), strict=True
    ):
        with place:
            st.markdown(f"**{title}**")
            st.caption(_between(period.span))
            if not period.totals.sessions:
                st.caption("No sessions in it.")
                continue
            st.echarts_chart(
                charts.funnel(period.totals.steps, longest=longest),
                height=FUNNEL_PX,
                key=key,
                alt=f"Funnel of sessions: {title}",
            )
            _not_final(period.span, watermark)
    differences(found.totals.steps, other.totals.steps, SESSIONS)


def _by_value(values: pl.DataFrame, dimension: str) -> None:
    st.subheader("By value", anchor=False)
    if values.is_empty():
        st.text(f"No session of this range was counted by {dimension}.")
        st.caption(
            "A dimension that is declared counts the sessions of events that come from then on; `lakehouse rebuild` "
            "counts those before."
        )
        return
    st.text(f"Sessions by {dimension}: the value of their first event that has one")
    by_value(values, SESSIONS, "by_value")


def _between(span: Span) -> str:
    return f"{moment(span.start)} to {moment(span.end)} UTC"
