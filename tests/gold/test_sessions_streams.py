"""Sessions' days and the ordered funnel as tables: once each, whichever engine commits, as if all had come at once."""

from __future__ import annotations

import json
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from gold.session_days import session_days
from gold.session_funnel import session_funnel
from gold.sessions_stream import SessionDaysStage, SessionFunnelStage
from lakehouse.contracts import SessionDays, SessionFunnel, SilverEvents
from lakehouse.frames import empty
from lakehouse.store import TableStore
from tests.gold.gold_shop import ENGINES, Shop, act, at, fails_at_the

STAGES = (SessionDaysStage, SessionFunnelStage)
MOBILE = {"properties": json.dumps({"device": "mobile"})}

FIRST = (
    act("ann", "view", "10T10:00", "s1", category="Hats", **MOBILE),
    act("ann", "purchase", "10T10:30", "s1", price=Decimal("2.5"), quantity=2),
    act("bob", "view", "10T23:59"),
    act("cid", "purchase", "09T12:00", "c1", price=Decimal("99999999999999")),
)
SECOND = (
    act("ann", "add_to_cart", "10T10:20", "s1", category="Bags"),
    act("ann", "search", "11T00:00", "s1"),
    act("cid", "purchase", "09T11:00", "c1", price=Decimal("99999999999999"), **MOBILE),
)
LATE = (
    act("ann", "view", "10T09:50", "s1", category="Caps"),
    act("bob", "add_to_cart", "10T01:00", category="Hats"),
    act("dan", "view", "02T08:00", "d1"),
)


def assert_as_if_all_came_at_once(shop: Shop) -> None:
    schema = pl.DataFrame(empty(SilverEvents)).schema
    days = session_days(pl.DataFrame(shop.events, schema=schema), shop.settings)
    assert_frame_equal(shop.table(SessionDays), days.sort(SessionDays.key))
    assert_frame_equal(shop.table(SessionFunnel), session_funnel(days).sort(SessionFunnel.key))


@pytest.mark.parametrize(("first", "second"), [("delta-rs", "delta-rs"), ("delta-rs", "spark"), ("spark", "delta-rs")])
def test_batches_of_any_lateness_add_up_in_both_engines(shop: Shop, first: str, second: str) -> None:
    shop.bring(*FIRST)
    shop.take(*STAGES, engine=first)
    shop.bring(*SECOND)
    shop.bring(*LATE)
    shop.take(*STAGES, engine=second)
    versions = [shop.store.version(table) for table in (SessionDays, SessionFunnel)]

    for engine in ENGINES:
        shop.take(*STAGES, engine=engine)

    assert_as_if_all_came_at_once(shop)
    assert [shop.store.version(table) for table in (SessionDays, SessionFunnel)] == versions == [2, 2]
    assert shop.last(SessionDays).offsets == {"topic-1/0": 10}


def test_a_session_that_turns_out_to_begin_earlier_moves_to_its_hour(shop: Shop) -> None:
    shop.bring(act("ann", "view", "10T10:00", "s1"))
    shop.take(*STAGES)
    shop.bring(act("ann", "view", "10T09:59", "s1"))
    shop.take(*STAGES)

    assert shop.table(SessionFunnel)["hour"].unique().to_list() == [at("10T09:00")]
    assert_as_if_all_came_at_once(shop)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_update_of_the_funnel_tells_of_the_rows_that_it_changes_and_of_no_other(shop: Shop, engine: str) -> None:
    shop.bring(act("ann", "view", "10T10:00", "s1"), act("bob", "view", "10T12:00", "b1"))
    shop.take(*STAGES, engine=engine)
    shop.bring(act("ann", "add_to_cart", "10T10:05", "s1"))
    shop.take(*STAGES, engine=engine)

    told = DeltaTable(shop.store.path(SessionFunnel)).load_cdf(starting_version=2)
    assert pl.DataFrame(pa.table(told))["hour"].unique().to_list() == [at("10T10:00")]


def test_a_batch_that_is_committed_again_changes_nothing(shop: Shop) -> None:
    shop.bring(*FIRST)
    days, funnel = shop.take(*STAGES)

    days.take(1, 1)
    funnel.take(1, 1)

    assert_as_if_all_came_at_once(shop)


@pytest.mark.parametrize("table", [SessionDays, SessionFunnel])
def test_a_batch_that_fails_between_the_tables_is_taken_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, table: type[SessionDays | SessionFunnel]
) -> None:
    shop.bring(*FIRST)
    shop.take(*STAGES)
    shop.bring(*SECOND)
    with monkeypatch.context() as dying:
        dying.setattr(TableStore, "merge", fails_at_the(1, table, TableStore.merge))
        with pytest.raises(OSError, match="no space"):
            shop.take(*STAGES)

    shop.bring(*LATE)
    shop.take(*STAGES)

    assert_as_if_all_came_at_once(shop)


def test_sessions_that_were_counted_before_a_dimension_was_declared_stay_out_of_it(shop: Shop) -> None:
    shop.settings = shop.settings.model_copy(update={"funnel_dimensions": ("category",)})
    shop.store = shop.store_of("delta-rs")
    shop.bring(*FIRST)
    shop.take(*STAGES)
    shop.settings = shop.settings.model_copy(update={"funnel_dimensions": ("category", "device")})
    shop.store = shop.store_of("delta-rs")
    shop.bring(act("ann", "view", "10T09:00", "s1", **MOBILE))
    shop.take(*STAGES)

    counted = shop.table(SessionFunnel).group_by("dimension").agg(pl.col("sessions").sum())
    assert dict(counted.iter_rows()) == {"": 3, "category": 3, "device": 1}
    assert shop.table(SessionFunnel)["sessions"].min() == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_home_that_is_older_than_sessions_days_has_all_its_events_counted(shop: Shop, engine: str) -> None:
    shop.bring(*FIRST)
    shop.bring(*SECOND)
    shop.store.at_head(SilverEvents).create_checkpoint()
    for version in (0, 1):
        (shop.home.table(SilverEvents.name) / "_delta_log" / f"{version:020}.json").unlink()

    shop.take(*STAGES, engine=engine)
    shop.bring(*LATE)
    shop.take(*STAGES)

    assert_as_if_all_came_at_once(shop)
    assert shop.last(SessionDays).offsets == {"topic-1/0": 10}
