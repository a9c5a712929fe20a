"""Events into sessions' days and the ordered funnel: what they hold, and that it is the same however events come."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gold.session_days import merged, session_days
from gold.session_funnel import CHANGE, change, net, session_funnel
from gold.user_days import MOST
from lakehouse.contracts import SessionDays, SessionFunnel, SilverEvents
from lakehouse.frames import arrow_schema, empty, to_arrow
from lakehouse.settings import Settings

SETTINGS = Settings(funnel_dimensions=("category", "device"), funnel_steps_cap=3)


def at(text: str) -> datetime:
    """A moment of March 2026, UTC: ``01T10:00``."""
    return datetime.fromisoformat(f"2026-03-{text}+00:00")


def events(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=pl.DataFrame(empty(SilverEvents)).schema)


def act(kind: str, time: str, session: str | None = "s1", *, user: str = "ann", **more: Any) -> dict[str, Any]:
    """An event; what silver has no column for goes to its properties."""
    columns = {name: more.pop(name) for name in list(more) if name in SilverEvents.columns()}
    properties = {"properties": json.dumps(more)} if more else {}
    given = {"user_id": user, "event_type": kind, "event_time": at(time), "session_id": session}
    return {**given, **properties, **columns}


def days(*rows: dict[str, Any], settings: Settings = SETTINGS) -> list[dict[str, Any]]:
    return session_days(events(*rows), settings).sort(SessionDays.key).to_dicts()


def funnel(*rows: dict[str, Any], settings: Settings = SETTINGS) -> list[dict[str, Any]]:
    """Of all sessions: a row for each hour."""
    found = session_funnel(session_days(events(*rows), settings))
    return found.filter(pl.col("dimension") == "").sort("hour").to_dicts()


def test_a_session_day_holds_what_was_done_and_when() -> None:
    [day] = days(
        act("view", "01T10:02"),
        act("view", "01T10:00"),
        act("add_to_cart", "01T10:07", price=Decimal("99")),
        act("add_to_cart", "01T10:05"),
        act("add_to_cart", "01T10:05"),
        act("purchase", "01T10:09", price=Decimal("2.5"), quantity=2),
        act("search", "01T10:01"),
    )

    counts = ("num_views", "num_add_to_cart", "num_purchases", "num_events")
    assert [day[name] for name in counts] == [2, 3, 1, 7]
    assert (day["first_event_time"], day["last_event_time"]) == (at("01T10:00"), at("01T10:09"))
    assert day["first_view_time"] == at("01T10:00")
    assert day["cart_times"] == [at("01T10:05"), at("01T10:07")]
    assert (day["purchase_times"], day["steps_capped"]) == ([at("01T10:09")], False)
    assert day["revenue"] == Decimal("5")


def test_events_without_a_session_are_one_row_of_the_users_day_and_midnight_parts_a_session() -> None:
    found = days(
        act("view", "01T10:00", None),
        act("view", "01T12:00", None),
        act("view", "01T23:59", "s1"),
        act("view", "02T00:00", "s1"),
        act("view", "01T23:59", "s1", user="bob"),
    )

    assert [(day["user_id"], day["session_id"], day["date"].day, day["num_events"]) for day in found] == [
        ("ann", "", 1, 2),
        ("ann", "s1", 1, 1),
        ("ann", "s1", 2, 1),
        ("bob", "s1", 1, 1),
    ]


def test_a_dimension_is_that_of_the_earliest_event_that_has_one() -> None:
    [day] = days(
        act("view", "01T10:00", category="Hats"),
        act("view", "01T10:01", category="Bags", device="desktop"),
        act("view", "01T10:01", device="applet"),
        act("view", "01T09:00", category="", device=None),
    )

    assert day["dimensions"] == [
        {"name": "category", "value": "Hats", "time": at("01T10:00")},
        {"name": "device", "value": "applet", "time": at("01T10:01")},
    ]


@pytest.mark.parametrize(
    ("properties", "value"),
    [
        pytest.param('{"device":"x' + "y" * 99 + '"}', "x" + "y" * 63, id="a long one is cut"),
        pytest.param('{"device":"a\\u0000b"}', "ab", id="Postgres takes no NUL"),
        pytest.param('{"device":7}', "7", id="a number"),
        pytest.param('{"device":""}', None, id="an empty one is none"),
        pytest.param('{"device":"\\ud800"}', None, id="half a character"),
        pytest.param('{"other":' + "[" * 500 + "]" * 500 + ',"device":"x"}', None, id="nested too deep to be read"),
    ],
)
def test_whatever_a_property_holds_becomes_a_short_value_or_none(properties: str, value: str | None) -> None:
    [day] = days(act("view", "01T10:00") | {"properties": properties})

    assert day["dimensions"][1]["value"] == value


def test_more_steps_than_the_cap_are_the_first_ones() -> None:
    [day] = days(*(act("add_to_cart", f"01T10:0{minute}") for minute in (4, 2, 3, 1)))

    assert day["cart_times"] == [at("01T10:01"), at("01T10:02"), at("01T10:03")]
    assert day["steps_capped"]


def test_rows_are_of_the_contracts() -> None:
    for settings in (SETTINGS, Settings(funnel_dimensions=())):
        for rows in ((act("view", "01T10:00"),), ()):
            made = session_days(events(*rows), settings)
            assert to_arrow(made).cast(arrow_schema(SessionDays)).num_rows == len(rows)
            assert to_arrow(session_funnel(made)).cast(arrow_schema(SessionFunnel)).schema == arrow_schema(
                SessionFunnel
            )


STEPS = ("sessions", "viewed", "carted", "purchased", "bought")


@pytest.mark.parametrize(
    ("acts", "steps"),
    [
        pytest.param("v10:00 c10:05 p10:30", (1, 1, 1, 1, 1), id="in order"),
        pytest.param("c10:00 v10:05 p10:30", (1, 1, 0, 0, 1), id="carted before it was viewed"),
        pytest.param("v10:00 p10:05 c10:30", (1, 1, 1, 0, 1), id="bought before it was carted"),
        pytest.param("v10:00 c10:00 p10:00", (1, 1, 1, 1, 1), id="all at once"),
        pytest.param("c09:00 v10:00 c10:01 p09:30 p11:00", (1, 1, 1, 1, 1), id="steps before do not matter"),
        pytest.param("c10:00 p10:01", (1, 0, 0, 0, 1), id="no view"),
        pytest.param("v10:00 c10:01", (1, 1, 1, 0, 0), id="not bought"),
    ],
)
def test_steps_count_in_their_order_only(acts: str, steps: tuple[int, ...]) -> None:
    kinds = {"v": "view", "c": "add_to_cart", "p": "purchase"}

    [row] = funnel(*(act(kinds[each[0]], f"01T{each[1:]}") for each in acts.split()))

    assert tuple(row[name] for name in STEPS) == steps


@pytest.mark.parametrize(
    ("bought", "column"),
    [
        ("10:01:00", "purchased_1m"),
        ("10:01:00.000001", "purchased_5m"),
        ("10:05:00", "purchased_5m"),
        ("10:15:00", "purchased_15m"),
        ("11:00:00", "purchased_1h"),
        ("16:00:00", "purchased_6h"),
        ("16:00:00.000001", "purchased_later"),
        ("23:59:59", "purchased_later"),
    ],
)
def test_the_time_to_a_purchase_falls_into_one_column(bought: str, column: str) -> None:
    [row] = funnel(act("view", "01T10:00"), act("add_to_cart", "01T10:00:30.9"), act("purchase", f"01T{bought}"))

    assert [name for name in row if name.startswith("purchased_") and row[name]] == [column]
    assert row["seconds_to_cart"] == 30
    assert row["seconds_to_purchase"] == int((at(f"01T{bought}") - at("01T10:00")).total_seconds())


def test_sessions_are_counted_in_the_hour_in_which_they_begin_and_once_in_each_dimension() -> None:
    made = session_days(
        events(
            act("search", "01T09:59", "s1", device="mobile"),
            act("view", "01T10:01", "s1"),
            act("view", "01T09:00", "s2", device="mobile"),
            act("view", "01T10:00", "s3"),
        ),
        Settings(funnel_dimensions=("device",)),
    )

    found = session_funnel(made).sort(SessionFunnel.key).select("hour", "dimension", "value", "sessions", "num_events")

    assert found.rows() == [
        (at("01T09:00"), "", "", 2, 3),
        (at("01T09:00"), "device", "mobile", 2, 3),
        (at("01T10:00"), "", "", 1, 1),
        (at("01T10:00"), "device", "", 1, 1),
    ]


ACTS = st.builds(
    lambda user, kind, minutes, session, price, quantity, category, device: {
        **act(kind, "01T22:00", session, user=user, price=price, quantity=quantity, category=category, device=device),
        "event_time": datetime(2026, 3, 1, 22, tzinfo=UTC) + timedelta(minutes=minutes),
    },
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["view", "add_to_cart", "purchase", "search"]),
    st.integers(0, 240),
    st.sampled_from([None, "s1", "s2"]),
    st.sampled_from([None, Decimal("0.0001"), Decimal("12.5"), Decimal(MOST)]),
    st.sampled_from([None, 0, 1, 7]),
    st.sampled_from([None, "Hats", "Bags"]),
    st.sampled_from([None, "mobile", "desktop"]),
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), ACTS), max_size=25))
def test_any_split_into_batches_gives_the_same_days_and_the_same_funnel(
    numbered: list[tuple[int, dict[str, Any]]],
) -> None:
    at_once = session_days(events(*(row for _, row in numbered)), SETTINGS)

    there, sums = session_days(events(), SETTINGS), session_funnel(session_days(events(), SETTINGS))
    for batch in range(4):
        new = session_days(events(*(row for number, row in numbered if number == batch)), SETTINGS)
        before = there.join(new, on=SessionDays.key, how="semi")
        after = merged(pl.concat([before, new]), SETTINGS)
        there = pl.concat([there.join(new, on=SessionDays.key, how="anti"), after])
        feed = [
            rows.with_columns(pl.lit(kind).alias(CHANGE)) for kind, rows in (("update_preimage", before), ("x", after))
        ]
        sums = net([sums, change(pl.concat(feed))])

    assert_frame_equal(there, at_once, check_row_order=False)
    assert_frame_equal(sums, session_funnel(at_once), check_row_order=False)


@pytest.fixture(scope="module")
def ga4(shared_data: Path) -> list[dict[str, str]]:
    file = shared_data / "ga4_store_events.csv.gz"
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    with gzip.open(file, "rt", newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_shops_three_months_are_as_counted_one_by_one(ga4: list[dict[str, str]]) -> None:
    """Real events, gone through one after the other in plain Python."""
    kinds = {"view_item": "view"}
    rows = [
        {
            "user_id": line["user_id"],
            "event_type": kinds.get(line["event_type"], line["event_type"]),
            "event_time": datetime.fromisoformat(line["event_time"]),
            "session_id": line["session_id"] or None,
            "category": line["category"] or None,
            "properties": json.dumps({"device": line["device"]}),
        }
        for line in ga4
    ]
    visits: dict[tuple[str, str, date], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        visits[row["user_id"], row["session_id"] or "", row["event_time"].date()].append(row)
    totals: dict[str, int] = defaultdict(int)
    devices: dict[str, int] = defaultdict(int)
    for visit in visits.values():
        visit.sort(key=lambda row: row["event_time"])
        view = cart = purchase = None
        for row in visit:  # at one time in the order of the funnel
            same = [each["event_type"] for each in visit if each["event_time"] == row["event_time"]]
            view = view or (row["event_time"] if "view" in same else None)
            cart = cart or (row["event_time"] if view and "add_to_cart" in same else None)
            purchase = purchase or (row["event_time"] if cart and "purchase" in same else None)
        totals["sessions"] += 1
        totals["viewed"] += view is not None
        totals["carted"] += cart is not None
        totals["purchased"] += purchase is not None
        totals["bought"] += any(row["event_type"] == "purchase" for row in visit)
        totals["seconds_to_purchase"] += int((purchase - view).total_seconds()) if purchase and view else 0
        devices[json.loads(visit[0]["properties"])["device"]] += 1

    funnel = session_funnel(session_days(events(*rows), Settings(funnel_dimensions=("device",))))

    sums = funnel.filter(pl.col("dimension") == "").select(pl.col(list(totals)).sum())
    assert sums.row(0, named=True) == totals
    by_device = funnel.filter(pl.col("dimension") == "device").group_by("value").agg(pl.col("sessions").sum())
    assert dict(by_device.iter_rows()) == devices
    assert funnel["num_events"].sum() == 2 * len(rows)
