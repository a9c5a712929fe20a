"""The life of models under one home: trained, registered, promoted or not, listed, exported, loaded by MLflow."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable, Schema, write_deltalake

from gold.churn_features import FEATURES
from lakehouse.contracts import UserDays
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from ml import package as packages
from ml.challenge import Challenge, Wish, challenge
from ml.monitoring import Past, watch
from ml.registry import NAME, Registry, Run
from ml.source import load_user_days
from ml.watches import Watches, horizons
from tests.ml.churn_days import shop

WISH = Wish(horizon_days=21, cuts=2)


def write(home: Home, days: pl.DataFrame) -> None:
    """Adds ``days`` to ``gold.user_days`` as one version."""
    path = home.table(UserDays.name)
    DeltaTable.create(str(path), Schema.from_json(UserDays.schema_json()), mode="ignore", partition_by=["date"])
    write_deltalake(str(path), days.to_arrow(), mode="append")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """With the days of a shop at version 1, in a folder with a blank in its name."""
    made = Home(tmp_path_factory.mktemp("a home")).make()
    write(made, shop(800, seed=11))
    return made


@pytest.fixture(scope="module")
def first(home: Home) -> Challenge:
    return challenge(home, WISH, served_lookback_days=30)


@pytest.fixture(scope="module")
def again(home: Home, first: Challenge) -> Challenge:
    """The same training once more, with the first one's model as champion."""
    assert first.verdict.promote
    return challenge(home, WISH, served_lookback_days=30)


def test_the_first_model_becomes_champion_and_its_file_serves(home: Home, first: Challenge) -> None:
    served = packages.load(home.champion)

    assert (first.version, first.verdict.promote, first.verdict.reason) == (
        1,
        True,
        "there was no champion to speak of",
    )
    assert served.card.version == "1"
    assert (served.card.known_at_cut, served.card.data_versions) == (False, {"gold.user_days": 1})
    assert sum(one.users for one in served.card.calibration) == served.card.test_rows
    np.testing.assert_array_equal(
        served.model.probability(first.trained.data.judged), first.trained.model.probability(first.trained.data.judged)
    )


def test_the_same_model_again_is_kept_but_does_not_beat_the_champion(
    home: Home, first: Challenge, again: Challenge
) -> None:
    assert again.trained.fingerprints == first.trained.fingerprints
    assert not again.verdict.promote
    assert "does not beat the champion by more than noise" in again.verdict.reason
    assert "of version 1 on the same" in again.verdict.reason
    assert [(one.version, one.champion) for one in Registry(home).versions()] == [(again.version, False), (1, True)]
    assert packages.load(home.champion).card.version == "1"


def test_the_champion_is_watched_where_a_challenger_is_trained(home: Home, first: Challenge) -> None:
    days = load_user_days(home, first.data_version).days

    found = watch(packages.load(home.champion), days, "nothing runs here")

    assert first.replaced is None
    assert (found.model_version, found.due_again) == ("1", first.plan.cuts.test.date() + timedelta(days=2 * 21))
    assert set(found.indices) == {"score", *FEATURES}
    assert found.as_document()["due"] == found.due
    assert (found.realised, found.not_realised) == ([], "nothing runs here")


def test_a_watch_is_kept_in_mlflow_with_what_came_of_the_predictions_of_each_model(
    home: Home, first: Challenge
) -> None:
    """Of each user's prediction at the test's cut, by the champion and by one before it that said 0.5 of everybody."""
    pinned, champion, judged = load_user_days(home, 1), packages.load(home.champion), first.trained.data.judged
    of_champion = judged.select(
        "user_id",
        "as_of",
        pl.Series("churn_probability", champion.model.probability(judged)),
        model_version=pl.lit("1"),
    )
    of_another = of_champion.with_columns(pl.lit(0.5).alias("churn_probability"), pl.lit("0").alias("model_version"))
    past = Past(pl.concat([of_champion, of_another]), {"0": 14, **horizons(Registry(home), champion)})

    found = watch(champion, pinned.days, past)
    Watches(home).keep(found, {"gold.user_days": 1})

    kept, *_ = Watches(home).latest(3)
    assert (kept.model_version, kept.at, kept.data_versions) == ("1", f"{found.at}", {"gold.user_days": 1})
    assert kept.due == "; ".join(found.due)
    assert kept.score == found.indices["score"]
    tested = first.package.card.metrics
    assert kept.metrics["realised.roc_auc"] == pytest.approx(tested["roc_auc"].value)
    assert kept.metrics["realised.brier"] == pytest.approx(tested["brier"].value)
    assert kept.metrics["realised.predictions"] == len(judged)
    assert kept.metrics["realised.0.roc_auc"] == 0.5
    document = json.loads((home.models / "artifacts" / kept.run_id / "artifacts" / "watch.json").read_text())
    assert [one["model_version"] for one in document["realised"]] == ["0", "1"]
    assert json.loads(home.champion_watch.read_text()) == document


def test_training_keeps_a_watch_of_the_champion_that_was_there(home: Home, again: Challenge) -> None:
    """No stack runs here, so that nothing is known of past predictions."""
    *_, kept = Watches(home).latest(50)

    assert again.replaced is not None
    assert (kept.model_version, kept.score) == ("1", again.replaced.indices["score"])
    assert again.replaced.not_realised == (
        f"realised accuracy needs the running stack: nothing is running under {home.root}; start it with `lakehouse up`"
    )


def test_a_version_says_what_it_was_made_of(home: Home, first: Challenge) -> None:
    (found,) = (one for one in Registry(home).versions() if one.version == first.version)

    assert found.tags["delta.gold.user_days"] == "1"
    assert found.tags["test_cut"] == f"{first.plan.cuts.test:%Y-%m-%d}"
    assert found.tags["training_rows"] == str(len(first.trained.data.training))
    assert found.tags["code_version"] == first.package.card.code_version
    kept = home.models / "artifacts" / found.run_id / "artifacts"
    assert json.loads((kept / "evaluation.json").read_text())["test"]["chosen, calibrated"]["roc_auc"]["value"] > 0.7
    assert sorted(file.name for file in (kept / "plots").iterdir()) == [
        "calibration.svg",
        "importance.svg",
        "precision_recall.svg",
        "roc.svg",
        "scores.svg",
    ]


def test_mlflow_serves_the_model_from_the_three_counts_alone(home: Home, first: Challenge) -> None:
    import mlflow
    import pandas as pd

    mlflow.set_tracking_uri(f"sqlite:///{home.models / 'mlflow.db'}")
    served = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")

    counts = {"num_views": [5.0, 0.0], "num_add_to_cart": [2.0, 0.0], "num_purchases": [0.0, 0.0]}
    found = served.predict(pd.DataFrame(counts))

    expected = first.trained.model.predict(pl.DataFrame(counts))
    assert found["churn_probability"].tolist() == expected["churn_probability"].to_list()
    with pytest.raises(mlflow.exceptions.MlflowException, match="num_purchases"):
        served.predict(pd.DataFrame({"num_views": [1.0], "num_add_to_cart": [0.0]}))


def test_promoting_by_hand_overrules_and_can_be_undone(home: Home, first: Challenge, tmp_path: Path) -> None:
    registry = Registry(home)
    other = registry.register(first.package, Run(params={}, metrics={}, tags={}, files=tmp_path))

    registry.promote(other)
    assert (registry.champion(), packages.load(home.champion).card.version) == (other, str(other))
    registry.promote(1)
    assert (registry.champion(), packages.load(home.champion).card.version) == (1, "1")


def test_an_exported_file_gives_the_same_scores_in_a_process_without_mlflow(
    home: Home, first: Challenge, tmp_path: Path
) -> None:
    packages.save(Registry(home).load(1), tmp_path / "churn_model.pkl")
    script = (
        "import sys; import polars as pl; from pathlib import Path; from ml.package import load;"
        "rows = pl.DataFrame({'num_views': [5], 'num_add_to_cart': [2], 'num_purchases': [0]});"
        "print(load(Path(sys.argv[1])).model.probability(rows)[0], 'mlflow' in sys.modules)"
    )

    said = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "churn_model.pkl")], capture_output=True, text=True, check=True
    ).stdout.split()

    counts = pl.DataFrame({"num_views": [5], "num_add_to_cart": [2], "num_purchases": [0]})
    assert said == [str(first.trained.model.probability(counts)[0]), "False"]


def test_a_version_that_is_not_there_is_named_with_those_that_are(home: Home, first: Challenge) -> None:
    with pytest.raises(LakehouseError, match=r"version 99: no such churn model under .*, there is 1"):
        Registry(home).promote(99)
    assert packages.load(home.champion).card.version == str(first.version)


def test_without_any_model_there_is_nothing_to_list_and_no_database_is_made(tmp_path: Path) -> None:
    registry = Registry(Home(tmp_path))

    assert (registry.versions(), registry.champion()) == ([], None)
    with pytest.raises(LakehouseError, match="there is none; `lakehouse train` makes one"):
        registry.load(1)
    assert not (tmp_path / "models").exists()


def test_a_version_of_the_days_holds_the_same_rows_after_more_have_come(home: Home, first: Challenge) -> None:
    pinned = load_user_days(home, first.data_version)
    write(home, shop(50, seed=3))

    assert load_user_days(home, first.data_version).days.equals(pinned.days)
    assert load_user_days(home).version == first.data_version + 1
    again = challenge(home, replace(WISH, data=first.data_version), served_lookback_days=30)
    assert again.trained.fingerprints == first.trained.fingerprints


def test_data_that_are_not_there_are_said_to_be_missing(home: Home, tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match=r"gold.user_days: is not under .* yet; start `lakehouse up`"):
        load_user_days(Home(tmp_path))
    with pytest.raises(LakehouseError, match=r"--data 99: gold.user_days under .* the newest is \d"):
        load_user_days(home, 99)
