"""The first champion: of the simulator's users, made once for a version of the code, and never in another's place."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from lakehouse.embedded.livestate import champion_line, read_champion
from lakehouse.home import Home
from lakehouse.settings import Settings, load_settings
from ml import package as packages
from ml.first_champion import cached_champion, give
from ml.package import Package


def settings_of(home: Path, cache: Path) -> Settings:
    return load_settings(home=home, cache=cache)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the champion made."""
    folder = tmp_path_factory.mktemp("cache")
    said = give(settings_of(tmp_path_factory.mktemp("home"), folder))
    assert said.startswith("champion of simulated data in")
    return folder


@pytest.fixture(scope="module")
def champion(cache: Path) -> Package:
    return packages.load(cached_champion(load_settings(cache=cache)))


def test_it_says_that_it_is_from_simulated_data(champion: Package) -> None:
    assert champion.card.simulated
    assert champion.card.version.startswith("simulated-")
    assert champion.card.data_versions == {}


def test_the_simulators_users_churn_in_a_way_that_can_be_learnt_but_not_foreseen(champion: Package) -> None:
    """Above 0.9 the features would see what is after the cut."""
    assert 0.7 < champion.card.metrics["roc_auc"].value < 0.9
    assert 0.65 < champion.card.counts_metrics["roc_auc"].value < 0.9


def test_three_counts_make_sense(champion: Package) -> None:
    rows = pl.DataFrame({"num_views": [0, 5, 50], "num_add_to_cart": [0, 2, 20], "num_purchases": [0, 0, 5]})

    nothing, some, many = champion.model.probability(rows)

    assert nothing > some > many


def test_a_new_home_takes_what_is_in_the_cache_and_status_says_so(cache: Path, tmp_path: Path) -> None:
    made_at = cached_champion(load_settings(cache=cache)).stat().st_mtime_ns

    give(settings_of(tmp_path, cache))

    home = Home(tmp_path)
    assert packages.load(home.champion).card.simulated
    assert cached_champion(load_settings(cache=cache)).stat().st_mtime_ns == made_at
    assert champion_line(read_champion(home)).startswith("churn model: of simulated data, until `lakehouse train`")
    assert sorted(file.name for file in home.models.iterdir()) == ["champion.json", "champion.pkl"]


def test_a_champion_that_is_there_stays(cache: Path, tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.models.mkdir()
    home.champion.write_bytes(b"trained on one's own")

    assert give(settings_of(tmp_path, cache)) == "there is a champion already"
    assert home.champion.read_bytes() == b"trained on one's own"


def test_another_lookback_is_another_model(cache: Path) -> None:
    names = {cached_champion(load_settings(cache=cache, churn_lookback_days=days)).name for days in (7, 30)}

    assert len(names) == 2
