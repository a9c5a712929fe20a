"""Users' days and churn features as tables: once each, whichever engine commits, and as if all had come at once."""

from __future__ import annotations

from decimal import Decimal

import pytest

import gold.churn_features_stream as churn_stream
from gold.user_days_stream import UserDaysStage
from lakehouse.contracts import ChurnFeatures, SilverEvents, UserDays
from lakehouse.store import TableStore
from tests.gold.gold_shop import ENGINES, Shop, act, at, fails_at_the

FIRST = (
    act("ann", "view", "10T09:00", "s3"),
    act("ann", "purchase", "10T09:10", "s3", price=Decimal("2.5"), quantity=2),
    act("bob", "view", "10T23:59"),
    act("cid", "purchase", "09T12:00", "c1", price=Decimal("99999999999999")),
)
SECOND = (
    act("ann", "search", "11T00:00", "s3"),
    act("ann", "add_to_cart", "10T07:00", "s1"),
    act("cid", "purchase", "09T11:00", "c2", price=Decimal("99999999999999")),
)
LATE = (
    act("ann", "view", "10T22:00", "s2"),
    act("ann", "view", "10T22:01", "s0"),
    act("bob", "view", "01T08:00", "b1"),
    act("dan", "view", "02T08:00"),
)


@pytest.mark.parametrize(("first", "second"), [("delta-rs", "delta-rs"), ("delta-rs", "spark"), ("spark", "delta-rs")])
def test_batches_of_any_lateness_add_up_in_both_engines(shop: Shop, first: str, second: str) -> None:
    shop.bring(*FIRST)
    shop.watermark(at("10T23:00"))
    shop.take(engine=first)
    shop.bring(*SECOND)
    shop.bring(*LATE)
    shop.watermark(at("11T01:00"))
    shop.take(engine=second)
    versions = [shop.store.version(table) for table in (UserDays, ChurnFeatures)]

    for engine in ENGINES:
        shop.take(engine=engine)

    shop.assert_users_as_if_all_came_at_once()
    assert [shop.store.version(table) for table in (UserDays, ChurnFeatures)] == versions == [2, 2]
    assert shop.last(UserDays).offsets == {"topic-1/0": 11}
    assert dict(shop.table(ChurnFeatures).select("user_id", "as_of").iter_rows()) == {
        name: at("11T01:00") for name in ("ann", "bob", "cid", "dan")
    }


def test_a_days_batch_that_is_committed_again_changes_nothing(shop: Shop) -> None:
    shop.bring(*FIRST)
    [days] = shop.take(UserDaysStage)

    days.take(1, 1)

    shop.take()
    shop.assert_users_as_if_all_came_at_once()


def test_a_home_that_is_older_than_users_days_has_all_its_events_counted(shop: Shop) -> None:
    shop.bring(*FIRST)
    shop.bring(*SECOND)
    shop.store.at_head(SilverEvents).create_checkpoint()
    for version in (0, 1):
        (shop.home.table(SilverEvents.name) / "_delta_log" / f"{version:020}.json").unlink()

    shop.take()
    shop.bring(*LATE)
    shop.take()

    shop.assert_users_as_if_all_came_at_once()
    assert shop.last(UserDays).offsets == {"topic-1/0": 11}


def test_users_who_did_not_act_keep_their_row_until_the_watermark_has_come_far(shop: Shop) -> None:
    shop.bring(*FIRST)
    shop.watermark(at("11T00:00"))
    shop.take()
    shop.bring(act("ann", "view", "11T23:00"))
    shop.watermark(at("11T23:30"))
    shop.take()

    def recency() -> dict[str, float]:
        return dict(shop.table(ChurnFeatures).select("user_id", "recency_days").iter_rows())

    assert recency() == {"ann": 0.5 / 24, "bob": pytest.approx(1 / 1440), "cid": 1.5}

    shop.watermark(at("12T00:00"))
    shop.take()

    assert recency() == {"ann": 1 / 24, "bob": pytest.approx(1 + 1 / 1440), "cid": 2.5}
    assert shop.last(ChurnFeatures).refreshed == at("12T00:00")
    shop.assert_users_as_if_all_came_at_once()


def test_a_user_whose_clock_is_ahead_moves_nobody_elses_row(shop: Shop) -> None:
    shop.bring(act("ann", "view", "10T09:00"), act("bob", "view", "10T10:00"))
    shop.watermark(at("10T09:30"))

    shop.take()

    as_of = dict(shop.table(ChurnFeatures).select("user_id", "as_of").iter_rows())
    assert as_of == {"ann": at("10T09:30"), "bob": at("10T10:00:00.000001")}


def test_features_do_not_wait_for_golds_first_watermark(shop: Shop) -> None:
    shop.bring(act("ann", "view", "10T09:00"))
    shop.take()
    assert shop.table(ChurnFeatures)["as_of"].to_list() == [at("10T09:00:00.000001")]

    shop.watermark(at("10T10:00"))
    shop.take()

    assert shop.table(ChurnFeatures)["as_of"].to_list() == [at("10T10:00")]


@pytest.mark.parametrize("engine", ENGINES)
def test_silent_users_are_refreshed_by_either_engine(shop: Shop, engine: str) -> None:
    shop.bring(*FIRST)
    shop.watermark(at("11T00:00"))
    shop.take(engine=engine)
    shop.watermark(at("13T00:00"))

    shop.take(engine=engine)

    assert shop.table(ChurnFeatures)["as_of"].to_list() == [at("13T00:00")] * 3
    shop.assert_users_as_if_all_came_at_once()


@pytest.mark.parametrize("engine", ENGINES)
def test_of_days_before_the_lookback_the_first_and_last_times_are_remembered(shop: Shop, engine: str) -> None:
    shop.bring(*FIRST)
    shop.watermark(at("11T00:00"))
    shop.take(engine=engine)
    shop.bring(act("ann", "view", "28T09:00"))
    shop.bring(act("bob", "view", "02T08:00"), act("dan", "purchase", "03T08:00", price=Decimal(1)))
    shop.watermark(at("28T10:00"))

    shop.take(engine=engine)

    shop.assert_users_as_if_all_came_at_once()
    tenure = dict(shop.table(ChurnFeatures).select("user_id", "first_event_time").iter_rows())
    assert tenure == {"ann": at("10T09:00"), "bob": at("02T08:00"), "cid": at("09T12:00"), "dan": at("03T08:00")}


def test_an_update_in_parts_that_dies_between_them_ends_as_one_that_does_not(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(churn_stream, "USERS_AT_ONCE", 2)
    monkeypatch.setattr(churn_stream, "REFRESHED_AT_ONCE", 2)
    shop.bring(*FIRST)
    shop.watermark(at("11T00:00"))
    with monkeypatch.context() as dying:
        dying.setattr(TableStore, "merge", fails_at_the(2, ChurnFeatures, TableStore.merge))
        with pytest.raises(OSError, match="no space"):
            shop.take()
    assert (shop.table(ChurnFeatures).height, shop.last(ChurnFeatures).source_version) == (2, -1)

    shop.bring(*SECOND)
    shop.take()
    shop.assert_users_as_if_all_came_at_once()

    shop.watermark(at("15T00:00"))
    with monkeypatch.context() as dying:
        dying.setattr(TableStore, "merge", fails_at_the(2, ChurnFeatures, TableStore.merge))
        with pytest.raises(OSError, match="no space"):
            shop.take()
    assert shop.last(ChurnFeatures).refreshed == at("11T00:00")

    shop.take()

    assert shop.last(ChurnFeatures).refreshed == at("15T00:00")
    assert shop.table(ChurnFeatures)["as_of"].to_list() == [at("15T00:00")] * 3
    shop.assert_users_as_if_all_came_at_once()
