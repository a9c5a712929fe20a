"""Users' days and churn features as tables: once each, whichever engine commits, and as if all had come at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pyspark.sql import SparkSession

import gold.churn_features_stream as churn_stream
from gold.churn_features import latest_features
from gold.churn_features_stream import ChurnFeaturesStage
from gold.user_days import user_days
from gold.user_days_stream import UserDaysStage
from lakehouse.commits import Commit
from lakehouse.contracts import ChurnFeatures, FunnelSummary, SilverEvents, Table, UserDays
from lakehouse.endpoints import Endpoints
from lakehouse.follow import Follower
from lakehouse.frames import empty, to_arrow
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.stages import Context
from lakehouse.store import TableStore

ENGINES = ("spark", "delta-rs")
CAP = 3


def at(text: str) -> datetime:
    """A moment of March 2026, UTC: ``01T10:00``."""
    return datetime.fromisoformat(f"2026-03-{text}+00:00")


def act(user: str, kind: str, time: str, session: str | None = None, **more: Any) -> dict[str, Any]:
    return {"user_id": user, "event_type": kind, "event_time": at(time), "session_id": session, **more}


@dataclass
class Shop:
    """Silver and gold under a home of their own, and what was put into silver."""

    home: Home
    settings: Settings
    spark: SparkSession
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = self._store("delta-rs")
        self.store.create_all()

    def _store(self, engine: str) -> TableStore:
        return TableStore(self.home, self.settings.model_copy(update={"commit_engine": engine}), self.spark)

    def bring(self, *acts: dict[str, Any]) -> None:
        """A batch of new events in silver, which brings the next Kafka offsets."""
        rows = []
        for number, each in enumerate(acts, len(self.events)):
            of_kafka = {"source_id": "topic-1", "partition": 0, "offset": number, "kafka_timestamp": at("20T00:00")}
            date = each["event_time"].date()
            rows.append({"event_id": f"e{number}", "event_date": date, "arrival": "on_time", **of_kafka, **each})
        self.events += rows
        batch = self.store.version(SilverEvents)
        frame = pl.DataFrame(rows, schema=pl.DataFrame(empty(SilverEvents)).schema)
        commit = Commit("silver", 0, batch, offsets={"topic-1/0": len(self.events)}, rows_in=len(rows))
        self.store.append(SilverEvents, to_arrow(frame), commit)

    def watermark(self, moment: datetime) -> None:
        """Gold's funnel comes so far."""
        commit = Commit("gold", 0, self.store.version(FunnelSummary), watermark=moment)
        self.store.append(FunnelSummary, empty(FunnelSummary), commit)

    def take(self, *kinds: type[Follower], engine: str = "delta-rs") -> list[Follower]:
        """New stages, each of which takes what is there."""
        store = self.store if engine == "delta-rs" else self._store(engine)
        context = Context(store.settings, self.home, Endpoints("", "", "", "", "", ""), self.spark, store, print)
        stages = [kind(context) for kind in kinds or (UserDaysStage, ChurnFeaturesStage)]
        for stage in stages:
            stage.open()
            while stage.has_work():
                stage.run()
        return stages

    def table(self, table: type[Table]) -> pl.DataFrame:
        return self.store.scan(table).select(table.columns()).collect().sort(table.key)

    def last(self, table: type[Table]) -> Commit:
        commit = self.store.last_commit(table)
        assert commit is not None
        return commit

    def assert_as_if_all_came_at_once(self) -> None:
        schema = pl.DataFrame(empty(SilverEvents)).schema
        days = user_days(pl.DataFrame(self.events, schema=schema), self.settings.session_ids_cap)
        assert_frame_equal(self.table(UserDays), days.sort(UserDays.key))
        features = self.table(ChurnFeatures)
        again = [
            latest_features(days.filter(pl.col("user_id") == user), as_of, self.settings.churn_lookback_days)
            for user, as_of in features.select("user_id", "as_of").iter_rows()
        ]
        assert features["user_id"].to_list() == sorted({each["user_id"] for each in self.events})
        assert_frame_equal(features, pl.concat(again))


@pytest.fixture
def shop(spark: SparkSession, settings: Settings, tmp_path: Path) -> Shop:
    home = Home(tmp_path / "a home").make()
    return Shop(
        home, settings.model_copy(update={"home": home.root, "session_ids_cap": CAP, "churn_lookback_days": 7}), spark
    )


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

    shop.assert_as_if_all_came_at_once()
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
    shop.assert_as_if_all_came_at_once()


def test_a_home_that_is_older_than_users_days_has_all_its_events_counted(shop: Shop) -> None:
    shop.bring(*FIRST)
    shop.bring(*SECOND)
    shop.store.at_head(SilverEvents).create_checkpoint()
    for version in (0, 1):
        (shop.home.table(SilverEvents.name) / "_delta_log" / f"{version:020}.json").unlink()

    shop.take()
    shop.bring(*LATE)
    shop.take()

    shop.assert_as_if_all_came_at_once()
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
    shop.assert_as_if_all_came_at_once()


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
    shop.assert_as_if_all_came_at_once()


@pytest.mark.parametrize("engine", ENGINES)
def test_of_days_before_the_lookback_the_first_and_last_times_are_remembered(shop: Shop, engine: str) -> None:
    shop.bring(*FIRST)
    shop.watermark(at("11T00:00"))
    shop.take(engine=engine)
    shop.bring(act("ann", "view", "28T09:00"))
    shop.bring(act("bob", "view", "02T08:00"), act("dan", "purchase", "03T08:00", price=Decimal(1)))
    shop.watermark(at("28T10:00"))

    shop.take(engine=engine)

    shop.assert_as_if_all_came_at_once()
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
    shop.assert_as_if_all_came_at_once()

    shop.watermark(at("15T00:00"))
    with monkeypatch.context() as dying:
        dying.setattr(TableStore, "merge", fails_at_the(2, ChurnFeatures, TableStore.merge))
        with pytest.raises(OSError, match="no space"):
            shop.take()
    assert shop.last(ChurnFeatures).refreshed == at("11T00:00")

    shop.take()

    assert shop.last(ChurnFeatures).refreshed == at("15T00:00")
    assert shop.table(ChurnFeatures)["as_of"].to_list() == [at("15T00:00")] * 3
    shop.assert_as_if_all_came_at_once()


def fails_at_the(number: int, table: type[Table], really: Callable[..., None]) -> Callable[..., None]:
    """``really``, but the ``number``-th time for ``table`` it fails as a full disk does."""
    times = 0

    def maybe(store: TableStore, into: type[Table], *arguments: Any) -> None:
        nonlocal times
        times += into is table
        if into is table and times == number:
            raise OSError("no space left on device")
        really(store, into, *arguments)

    return maybe
