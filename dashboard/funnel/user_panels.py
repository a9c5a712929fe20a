"""The funnel of users, and from a bar to the users in it. Ids are shown as text only: in tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl
import streamlit as st

from dashboard.database import TEXT_SHOWN
from dashboard.download import as_csv
from dashboard.frame import broken
from dashboard.funnel import charts
from dashboard.funnel.apart import USERS, by_value, differences
from dashboard.funnel.panels import FUNNEL_PX, nothing_in
from dashboard.funnel.queries import Against, Asked, read_bounds
from dashboard.funnel.stops import Stop, Within
from dashboard.now.panels import freshness, no_data
from dashboard.ranges import Range, Span, resolve, whole
from dashboard.user.links import follow_selection, remember
from dashboard.words import MOMENTS, moment, share
from lakehouse.errors import LakehouseError
from lakehouse.home import Home

if TYPE_CHECKING:  # it takes Arrow and deltalake, which are loaded where users are counted only
    from dashboard.funnel.users import Users

BARS: Final = "user_steps"
STOPPED: Final = "stopped"
LISTED: Final = "funnel_users"


DAY: Final = timedelta(days=1)
"""What users are counted by."""


def users(dsn: str, home: Home, choice: Range, custom: Span | None, within: Within, asked: Asked) -> None:
    """The whole of the page below its inputs, by user."""
    follow_selection(LISTED)
    bounds = read_bounds(dsn)
    freshness(bounds.pipeline)
    if bounds.extent is None:
        no_data()
        return
    span = whole(resolve(choice, bounds.extent, custom), DAY)
    watermark = bounds.pipeline.watermark
    found = _read(home, span, within, watermark, asked)
    if found is None:
        return
    total = sum(found.counts.values())
    if not total:
        nothing_in(found.span, bounds.extent, "users")
    else:
        _left_out(found)
        left, right = st.columns([3, 2], gap="medium")
        with left:
            _steps(found, within)
        with right:
            _time_to_purchase(found)
        _not_final(found, within, watermark)
    if asked.against is not Against.NOTHING:
        _compared(home, found, within, watermark, asked)
    if asked.dimension is not None and found.by_value is not None and total:
        _by_value(found.by_value, asked.dimension)
    if total:
        _who(found)


def _read(home: Home, span: Span, within: Within, watermark: datetime | None, asked: Asked) -> Users | None:
    from dashboard.funnel.users import read_users

    try:
        with st.status("Reading the days of sessions, of the range and of the window after it …") as status:
            found = read_users(home, span, within.length, watermark, asked.dimension, asked.most_values)
            status.update(
                label=f"Read {found.rows:,} days of sessions, of gold.session_days at version {found.version:,}",
                state="complete",
            )
            st.caption("Read anew once a minute at most.")
    except LakehouseError as error:
        broken("Users cannot be counted here.", error)
        return None
    return found


def _left_out(found: Users) -> None:
    if found.span != found.asked:
        st.warning(
            f"Users from {found.span.start:%Y-%m-%d} on: the days before, from {found.asked.start:%Y-%m-%d}, have "
            f"{found.rows_left:,} days of sessions more than are read at once. Choose a shorter range to see them.",
            icon=":material/content_cut:",
        )
    if found.capped:
        st.caption(
            f"Of {found.capped:,} users not all times are kept (`LAKEHOUSE_FUNNEL_STEPS_CAP`): they may have come "
            "further."
        )


def _steps(found: Users, within: Within) -> None:
    st.subheader("Steps, in their order", anchor=False)
    st.caption(
        f"Users who acted on the days {_days(found.span)} · "
        f"within {within} of their first view · beside a bar: its share of the step before · of all users"
    )
    st.echarts_chart(
        charts.funnel(steps(found.counts), selectable=True),
        height=FUNNEL_PX,
        key=BARS,
        on_select=_choose_bar,
        alt="Funnel of users: all, with a view, with an add to cart after it, with a purchase after that",
    )
    bought = found.counts[Stop.NOWHERE]
    total = sum(found.counts.values())
    st.caption(
        f"{bought:,} of {total:,} users ({share(bought, total)}) purchased. Select a bar to see who stopped there."
    )


def steps(counts: dict[Stop, int]) -> list[tuple[str, int]]:
    """How many came to each step, of how many stopped at each."""
    names, each = ("All users", "View", "Add to cart", "Purchase"), [counts[stop] for stop in Stop]
    return [(name, sum(each[number:])) for number, name in enumerate(names)]


def _choose_bar() -> None:
    selected = st.session_state.get(BARS, {}).get("selection", {}).get("selected", [])
    for index in (index for group in selected for index in group.get("data_indices", [])):
        if 0 <= index < len(Stop):
            st.session_state[STOPPED] = list(Stop)[index]


def _time_to_purchase(found: Users) -> None:
    st.subheader("Time to purchase", anchor=False)
    if not found.counts[Stop.NOWHERE]:
        st.caption("No user went through all steps.")
        return
    st.caption("Users who went through all steps, by the time from their first view to the purchase, at most")
    st.echarts_chart(
        charts.time_to_purchase(list(found.to_purchase.items())),
        height=FUNNEL_PX,
        key="user_time_to_purchase",
        alt="Histogram of users' time from the first view to the purchase",
    )


def _not_final(found: Users, within: Within, watermark: datetime | None) -> None:
    if not found.open:
        return
    where = "there is no watermark yet" if watermark is None else f"the watermark is at {moment(watermark)} UTC"
    st.caption(
        f":material/hourglass_top: Not final: {found.open:,} users who viewed and did not purchase are still within "
        f"{within} of their first view, for {where}."
    )


def _compared(home: Home, found: Users, within: Within, watermark: datetime | None, asked: Asked) -> None:
    """Beside another period as long as what was read of the range: where days were too much, of the other as well."""
    st.subheader("Two periods", anchor=False)
    span = asked.other(found.span, DAY)
    if span is None:
        st.info("Say above where the other period begins.", icon=":material/date_range:")
        return
    other = _read(home, span, within, watermark, replace(asked, dimension=None))
    if other is None:
        return
    places = st.columns(2, gap="medium")
    longest = max(sum(period.counts.values()) for period in (found, other))
    for place, title, key, period in zip(
        places, ("This period", "The other period"), ("this_users", "other_users"), (found, other), strict=True
    ):
        with place:
            st.markdown(f"**{title}**")
            st.caption(f"Whole days, {_days(period.span)}")
            _left_out(period)
            if not sum(period.counts.values()):
                st.caption("No users in it.")
                continue
            st.echarts_chart(
                charts.funnel(steps(period.counts), longest=longest),
                height=FUNNEL_PX,
                key=key,
                alt=f"Funnel of users: {title}",
            )
            _not_final(period, within, watermark)
    differences(steps(found.counts), steps(other.counts), USERS)
    st.caption(
        "A user who acted in both periods counts in each, from the first view of each. Both are given the same window "
        "after their last day, so that a cart or a purchase in it may lie in the other period."
    )


def _by_value(values: pl.DataFrame, dimension: str) -> None:
    st.subheader("By value", anchor=False)
    if values.is_empty():
        st.text(f"No user of this range was counted by {dimension}.")
        st.caption(
            "A dimension that is declared is kept of events that come from then on; `lakehouse rebuild` has that of "
            "those before."
        )
        return
    st.text(f"Users by {dimension}: the value of their first event of the range that has one")
    st.caption("Each user counts once, also one whose later events have other values.")
    by_value(values, USERS, "users_by_value")


def _days(span: Span) -> str:
    return f"from {span.start:%Y-%m-%d} to {span.last_day:%Y-%m-%d} (UTC)"


def _who(found: Users) -> None:
    st.subheader("Users", anchor=False)
    chosen = Stop(
        st.segmented_control(
            "Who came to",
            list(Stop),
            default=Stop.AFTER_CART,
            required=True,
            key=STOPPED,
            bind="query-params",
            help="And no further; a bar of the funnel chooses too",
        )
        or Stop.AFTER_CART
    )
    listed, total = found.listed[chosen], found.counts[chosen]
    remember(LISTED, listed["user_id"].to_list())
    if listed.is_empty():
        st.caption("Nobody.")
        return
    st.dataframe(
        listed.with_columns(pl.col("user_id").str.slice(0, TEXT_SHOWN)),
        key=LISTED,
        hide_index=True,
        placeholder="—",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "user_id": st.column_config.TextColumn("User", pinned=True, width="medium"),
            "view_time": st.column_config.DatetimeColumn("First view (UTC)", **MOMENTS),
            "cart_time": st.column_config.DatetimeColumn("Then to the cart (UTC)", **MOMENTS),
            "purchase_time": st.column_config.DatetimeColumn("Then purchased (UTC)", **MOMENTS),
            "last_time": st.column_config.DatetimeColumn(
                "Last event (UTC)", help="In the range, of any type", **MOMENTS
            ),
        },
        alt="Users who stopped at the step, those who acted last first",
    )
    told = f"All {total:,}" if total == listed.height else f"{listed.height:,} of {total:,}"
    st.caption(f"{told}, those who acted last first. Select a row to see the user's events.")
    st.download_button(
        "CSV",
        data=as_csv(listed),
        file_name="funnel-users.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        help="The users of the table above",
    )
