"""Users' features into scores in Postgres: once each, the newest of each user, through whatever becomes of the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import polars as pl
import pyarrow as pa
import pytest
from psycopg2.extensions import connection as Connection
from scoring_api import Api
from serving_rows import at, batch, read

from gold.churn_features import FEATURES
from gold.churn_features_stream import REPLACE
from lakehouse.commits import Commit
from lakehouse.contracts import ChurnFeatures
from lakehouse.endpoints import Endpoints
from lakehouse.errors import Unavailable
from lakehouse.frames import conform
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.stages import Context
from lakehouse.store import TableStore
from ml.package import Package
from serving import predictions as stage_of_scores
from serving.prediction_rows import predictions
from serving.prediction_sink import apply_predictions, drop_expired_history
from serving.predictions import PredictionStage, UnscoredStage, stages
from serving.scoring_client import Refused, Scored, ScoringClient
from tests.serving.churn_package import churn_package

TOO_MANY_VIEWS = 2_000_000_000
"""More than the API believes."""

NEWEST = "SELECT user_id, as_of, model_version, error FROM churn_prediction ORDER BY user_id"
HISTORY = "SELECT user_id, as_of, model_version FROM churn_prediction_history ORDER BY scored_at, user_id"


def user(name: str, as_of: datetime, views: int = 3, **more: Any) -> dict[str, Any]:
    """A row of gold.churn_features."""
    counts = {"num_views": views, "num_add_to_cart": 1, "num_purchases": 0, "num_events": min(views, 1_000) + 1}
    days = {"sessions": 1, "active_days": 1, "active_hours": 1}
    rates = dict.fromkeys(("view_to_cart_rate", "cart_to_purchase_rate", "view_to_purchase_rate"), 0.0)
    times = {"recency_days": 1.5, "tenure_days": 20.0, "frequency": 0.05, "trend": 0.0, "revenue": 0.0}
    seen = {"first_event_time": as_of - timedelta(days=20), "last_event_time": as_of - timedelta(days=1.5)}
    return {"user_id": name, "as_of": as_of, **counts, **days, **rates, **times, **seen, **more}


def rows(*users: dict[str, Any]) -> pa.Table:
    return conform(
        pa.Table.from_pylist([{str(column): each.get(column) for column in ChurnFeatures.columns()} for each in users]),
        ChurnFeatures,
    )


@dataclass
class Gold:
    """The features under a home of their own, the API that scores them, and the stage in between."""

    store: TableStore
    endpoints: Endpoints

    def bring(self, *users: dict[str, Any]) -> None:
        """A commit of features, each in the place of its user's last ones."""
        version = self.store.version(ChurnFeatures)
        commit = Commit("churn_features", 0, version, source_version=version, rows_in=len(users))
        self.store.merge(ChurnFeatures, rows(*users), REPLACE, commit)

    def erase(self, name: str) -> None:
        self.store.at_head(ChurnFeatures).delete(f"user_id = '{name}'")

    def stage(self) -> PredictionStage:
        """As a new process has it."""
        context = Context(self.store.settings, self.store.home, self.endpoints, self.store.spark, self.store, print)
        (stage,) = stages(context)
        assert isinstance(stage, PredictionStage)
        stage.open()
        return stage

    def take(self) -> PredictionStage:
        """A new process takes what is there, until nothing is left to do."""
        stage = self.stage()
        while stage.has_work():
            stage.run()
        return stage


@pytest.fixture(scope="module")
def first() -> Package:
    return churn_package("1")


@pytest.fixture(scope="module")
def second() -> Package:
    """A champion that calls churned whom the first one does not."""
    return churn_package("2", turned=True)


@pytest.fixture
def api(tmp_path: Path, endpoints: Endpoints, first: Package) -> Iterator[Api]:
    api = Api(tmp_path, endpoints)
    api.serve(first)
    with api.running():
        yield api


@pytest.fixture
def gold(tmp_path: Path, endpoints: Endpoints, writer: Connection, api: Api) -> Gold:
    del writer  # has emptied the tables
    settings = Settings(home=tmp_path, commit_engine="delta-rs")
    store = TableStore(Home(tmp_path).make(), settings, cast(Any, None))
    store.create_all()
    return Gold(store, replace(endpoints, api=api.address))


def test_a_score_says_of_what_by_whom_and_why(gold: Gold, reader: Connection, first: Package) -> None:
    silent = user("ann", at("10:00"), views=0, recency_days=40.0)
    busy = user("bob", at("10:05"), views=30, recency_days=0.1, days_since_purchase=2.25)
    gold.bring(silent, busy)
    gold.take()

    assert read(reader, NEWEST) == [("ann", at("10:00"), "1", None), ("bob", at("10:05"), "1", None)]
    ann, bob = read(
        reader,
        "SELECT churn_probability, churned, threshold, reasons, features, scored_at > as_of FROM churn_prediction"
        " ORDER BY user_id",
    )
    expected = first.model.probability(pl.DataFrame(rows(silent, busy)))
    assert [ann[0], bob[0]] == pytest.approx(list(expected), abs=1e-9)
    assert (ann[1:3], bob[1:3]) == ((True, 0.5), (False, 0.5))
    assert "raises the risk" in " ".join(ann[3])
    assert bob[3] == []
    assert (ann[4]["num_views"], ann[4]["days_since_purchase"]) == (0, None)
    assert (bob[4]["num_views"], bob[4]["days_since_purchase"]) == (30, 2.25)
    assert set(bob[4]) == set(FEATURES)
    assert ann[5] and bob[5]
    assert read(reader, "SELECT query, source_version, rows FROM mirror_ledger") == [("churn_prediction", 1, 2)]


def test_of_several_versions_the_newest_features_are_scored(gold: Gold, reader: Connection) -> None:
    gold.bring(user("ann", at("10:00")), user("bob", at("10:00")))
    gold.bring(user("ann", at("10:10"), views=5))
    gold.bring(user("ann", at("10:20"), views=9))
    gold.take()

    assert read(reader, NEWEST) == [("ann", at("10:20"), "1", None), ("bob", at("10:00"), "1", None)]
    assert sorted(read(reader, HISTORY)) == [("ann", at("10:20"), "1"), ("bob", at("10:00"), "1")]


def test_a_range_that_is_taken_again_changes_nothing(gold: Gold, writer: Connection) -> None:
    gold.bring(user("ann", at("10:00")))
    stage = gold.take()
    before = read(writer, "SELECT * FROM churn_prediction")

    stage.take(0, 1)

    assert read(writer, "SELECT * FROM churn_prediction") == before
    assert read(writer, HISTORY) == [("ann", at("10:00"), "1")]


def test_while_the_api_is_away_it_waits_and_then_scores_the_latest_features(
    gold: Gold, tmp_path: Path, reader: Connection
) -> None:
    away = Api(tmp_path, gold.endpoints)
    with away.running():
        pass  # a port on which nobody listens any more
    gold = Gold(gold.store, replace(gold.endpoints, api=away.address))
    gold.bring(user("ann", at("10:00")), user("bob", at("10:00")))
    stage = gold.stage()

    for time in ("10:10", "10:20"):
        gold.bring(user("ann", at(time)))
        with pytest.raises(Unavailable, match=rf"the API at {away.address} does not answer: .*refused"):
            stage.run()
    assert read(reader, NEWEST) == []

    with away.running():
        while stage.has_work():
            stage.run()
    assert read(reader, NEWEST) == [("ann", at("10:20"), "1", None), ("bob", at("10:00"), "1", None)]


def test_an_api_without_a_model_is_waited_for(gold: Gold, tmp_path: Path, reader: Connection, first: Package) -> None:
    (tmp_path / "empty").mkdir()
    with Api(tmp_path / "empty", gold.endpoints).running() as api:
        gold = Gold(gold.store, replace(gold.endpoints, api=api.address))
        gold.bring(user("ann", at("10:00")))
        stage = gold.stage()
        with pytest.raises(Unavailable, match="cannot score now: there is no churn model yet"):
            stage.run()

        api.serve(first)
        stage.run()
    assert read(reader, NEWEST) == [("ann", at("10:00"), "1", None)]


def test_one_bad_row_does_not_hold_back_the_others(gold: Gold, reader: Connection) -> None:
    gold.bring(user("ann", at("10:00")), user("bob", at("10:00"), views=TOO_MANY_VIEWS), user("cid", at("10:00")))
    gold.take()

    assert [(name, model) for name, _, model, _ in read(reader, NEWEST)] == [("ann", "1"), ("bob", None), ("cid", "1")]
    ((score, reasons, views, error),) = read(
        reader,
        "SELECT churn_probability, reasons, features ->> 'num_views', error FROM churn_prediction"
        " WHERE user_id = 'bob'",
    )
    assert (score, reasons, views) == (None, [], str(TOO_MANY_VIEWS))
    assert error.startswith("num_views: ")
    assert [name for name, _, _ in read(reader, HISTORY)] == ["ann", "cid"]

    gold.bring(user("bob", at("10:10"), views=4))
    gold.take()
    assert read(reader, NEWEST)[1] == ("bob", at("10:10"), "1", None)


def test_users_whom_another_model_has_scored_are_scored_again(
    gold: Gold, api: Api, reader: Connection, second: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_of_scores, "ROWS_AT_ONCE", 2)
    names = ["ann", "bob", "cid", "dan", "eve"]
    gold.bring(*(user(name, at("10:00")) for name in names))
    stage = gold.take()
    api.serve(second)
    newest = gold.store.version(ChurnFeatures)
    assert stage.has_taken(newest)  # it has not heard of the second one yet, and looks only now and then

    stage.hasten()  # as somebody drains
    assert not stage.has_taken(newest)
    assert stage.has_work()
    assert not stage.has_taken(newest)
    stage.run()  # one chunk, and then the process ends
    assert read(reader, NEWEST) == [(name, at("10:00"), "2" if name in ("ann", "bob") else "1", None) for name in names]

    again = gold.take()
    assert read(reader, NEWEST) == [(name, at("10:00"), "2", None) for name in names]
    assert again.has_taken(gold.store.version(ChurnFeatures))
    assert sorted(read(reader, HISTORY)) == [(name, at("10:00"), model) for name in names for model in "12"]


def test_newer_features_come_before_the_rest_is_scored_again(
    gold: Gold, api: Api, reader: Connection, second: Package
) -> None:
    gold.bring(user("ann", at("10:00")), user("bob", at("10:00")))
    stage = gold.take()
    api.serve(second)
    gold.bring(user("bob", at("10:10")))

    while stage.has_work():  # the answer for bob says which model serves
        stage.run()

    assert read(reader, NEWEST) == [("ann", at("10:00"), "2", None), ("bob", at("10:10"), "2", None)]
    assert read(reader, HISTORY)[2:] == [("bob", at("10:10"), "2"), ("ann", at("10:00"), "2")]


def test_an_erased_user_is_gone_with_all_earlier_scores(gold: Gold, reader: Connection) -> None:
    gold.bring(user("ann", at("10:00")), user("bob", at("10:00")))
    gold.take()
    gold.erase("ann")
    gold.take()

    assert [name for name, *_ in read(reader, NEWEST)] == ["bob"]
    assert [name for name, *_ in read(reader, HISTORY)] == ["bob"]


def test_history_has_the_last_score_of_a_day_where_it_is_another_than_before(gold: Gold, reader: Connection) -> None:
    for day, time, views in (("01", "10:00", 3), ("01", "10:10", 4), ("02", "10:00", 4), ("03", "10:00", 5)):
        gold.bring(user("ann", at(time, f"2025-03-{day}"), views=views))
        gold.take()

    assert read(reader, NEWEST) == [("ann", at("10:00", "2025-03-03"), "1", None)]
    assert read(reader, HISTORY) == [
        ("ann", at("10:10", "2025-03-01"), "1"),
        ("ann", at("10:00", "2025-03-03"), "1"),
    ]


def test_without_an_api_nobody_waits_and_the_position_is_known(gold: Gold) -> None:
    gold.bring(user("ann", at("10:00")))
    context = Context(
        gold.store.settings, gold.store.home, replace(gold.endpoints, api=""), gold.store.spark, gold.store, print
    )
    (stage,) = stages(context)
    assert isinstance(stage, UnscoredStage)
    stage.open()
    stage.run()

    assert (stage.position, stage.has_work(), stage.has_taken(1)) == (-1, False, True)
    stage.close()


# -- into Postgres ----------------------------------------------------------------------------------------


def by_rule(version: str) -> Callable[[pa.Table], Scored]:
    def score(features: pa.Table) -> Scored:
        n = features.num_rows
        answer = pa.table({"churn_probability": [0.5] * n, "churned": [True] * n, "reasons": [["silent"]] * n})
        return Scored(answer, version, 0.5)

    return score


def test_older_features_never_replace_newer_ones(writer: Connection) -> None:
    for number, time in enumerate(("10:10", "10:00")):
        scores = predictions(by_rule(str(number)), rows(user("ann", at(time))), lambda: at("11:00"))
        apply_predictions(writer, scores, [], batch(number))

    assert read(writer, NEWEST) == [("ann", at("10:10"), "0", None)]
    assert read(writer, HISTORY) == [("ann", at("10:10"), "0")]


def test_older_features_that_were_made_anew_replace_newer_ones(writer: Connection) -> None:
    for number, time in enumerate(("10:10", "10:00")):
        scores = predictions(by_rule(str(number)), rows(user("ann", at(time))), lambda: at("11:00"))
        apply_predictions(writer, scores, [], replace(batch(number), made_anew=number == 1))

    assert read(writer, NEWEST) == [("ann", at("10:00"), "1", None)]


def test_history_is_deleted_in_steps_counted_from_the_newest_score(writer: Connection) -> None:
    for number, day in enumerate(("2025-03-01", "2025-03-02", "2025-03-03", "2025-03-09")):
        scored_at = at("10:00", day)
        scores = predictions(by_rule(day), rows(user("ann", scored_at)), lambda scored_at=scored_at: scored_at)  # type: ignore[misc]
        apply_predictions(writer, scores, [], batch(number))

    assert drop_expired_history(writer, 6, most=1) == 1
    assert [drop_expired_history(writer, 6, most=9) for _ in range(2)] == [1, 0]
    assert [model for _, _, model in read(writer, HISTORY)] == ["2025-03-03", "2025-03-09"]


def test_texts_come_through_as_they_are(writer: Connection) -> None:
    name = 'a "b"\\\t\n{c},NULL'

    def refuse(_: pa.Table) -> Scored:
        raise Refused(name, {})

    scores = predictions(refuse, rows(user(name, at("10:00"))), lambda: at("11:00"))
    apply_predictions(writer, scores, [], batch(0))
    assert read(writer, NEWEST) == [(name, at("10:00"), None, name)]


# -- which rows are bad -----------------------------------------------------------------------------------


def test_where_no_row_is_named_halves_find_the_bad_one() -> None:
    asked: list[int] = []

    def score(features: pa.Table) -> Scored:
        asked.append(features.num_rows)
        if 13 in features["num_views"].to_pylist():
            raise Refused("something is wrong", {})
        return by_rule("1")(features)

    scores = predictions(score, rows(*(user(f"u{n:02}", at("10:00"), views=n) for n in range(16))), lambda: at("11:00"))

    found = {row["user_id"]: row["error"] for row in scores.to_pylist()}
    assert len(found) == scores.num_rows == 16
    assert {name: error for name, error in found.items() if error} == {"u13": "something is wrong"}
    assert max(asked) == 16 and len(asked) == 1 + 2 * 4


def test_only_features_are_sent(api: Api) -> None:
    assert not {"user_id", "as_of"} & set(FEATURES)
    with closing(ScoringClient(api.address)) as client:
        assert client.score(rows(user("ann", at("10:00"))).select(FEATURES)).rows.num_rows == 1
        assert client.model_version() == "1"
