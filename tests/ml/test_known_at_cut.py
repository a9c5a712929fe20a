"""`lakehouse train --known-at-cut` on tables of silver and gold: of which versions, what the card says, when not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from deltalake import CommitProperties, DeltaTable, Schema, write_deltalake

from gold.user_days import user_days
from lakehouse.commits import KEY, Commit, upkeep
from lakehouse.contracts import SilverEvents, UserDays
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from ml import package as packages
from ml.challenge import Wish, challenge
from ml.dataset import AllDays, fingerprint, training_rows
from ml.registry import Registry
from ml.source import load_events
from tests.ml.churn_days import day, received, shop_events

WISH = Wish(horizon_days=21, cuts=2, known_at_cut=True, session_ids_cap=100)
NEVER_NULL = {"event_id": "e", "source_id": "s", "partition": 0, "offset": 0, "arrival": "on_time"}


def write_silver(home: Home, events: pl.DataFrame) -> int:
    """Adds ``events`` to silver.events; the version that holds them."""
    path = str(home.table(SilverEvents.name))
    schema = Schema.from_json(SilverEvents.schema_json())
    DeltaTable.create(path, schema, mode="ignore", partition_by=["event_date", "arrival"])
    rows = events.with_columns(
        *(pl.lit(value, events.schema[name]).alias(name) for name, value in NEVER_NULL.items()),
        pl.col("event_time").dt.date().alias("event_date"),
    )
    write_deltalake(path, rows.to_arrow(), mode="append")
    return int(DeltaTable(path).version())


def write_days(home: Home, events: pl.DataFrame, account: str) -> None:
    """Adds the days of ``events`` to gold.user_days, in a commit that says ``account``."""
    path = str(home.table(UserDays.name))
    DeltaTable.create(path, Schema.from_json(UserDays.schema_json()), mode="ignore", partition_by=["date"])
    properties = CommitProperties(custom_metadata={KEY: account})
    write_deltalake(path, user_days(events, 100).to_arrow(), mode="append", commit_properties=properties)


def of_silver(version: int) -> str:
    return Commit("user_days", 0, version, source_version=version).to_json()


def test_the_events_are_of_the_version_of_silver_that_is_in_the_days(tmp_path: Path) -> None:
    """More have come to silver since, and gold was compacted."""
    home = Home(tmp_path / "a home").make()
    first = received(("ann", "02-01T10:00", "02-01T10:00"), ("ann", "02-03T10:00", "03-01T00:00"))
    version = write_silver(home, first)
    write_days(home, first, of_silver(version))
    write_days(home, first.clear(), upkeep("compaction"))
    write_silver(home, received(("bob", "02-02T10:00", "02-02T10:00")))

    found = load_events(home, days_version=2, before=day("03-01"))

    assert found.version == version
    assert found.events.select("user_id", "event_time", "kafka_timestamp").rows() == [
        ("ann", first["event_time"][0], first["kafka_timestamp"][0])
    ]


def test_days_that_do_not_say_what_they_are_of_are_refused(tmp_path: Path) -> None:
    home, events = Home(tmp_path).make(), received(("ann", "02-01T10:00", "02-01T10:00"))
    write_silver(home, events)
    write_days(home, events, "by someone else")

    with pytest.raises(
        LakehouseError, match=r"--known-at-cut: gold.user_days under .* does not say at version 1 which"
    ):
        load_events(home, days_version=1, before=day("03-01"))


def test_a_replay_is_refused_with_the_flag_named_and_trained_without_it(tmp_path: Path) -> None:
    home, events = Home(tmp_path).make(), shop_events(60, seed=11)
    replayed = events.with_columns(pl.lit(day("11-01")).cast(pl.Datetime("us", "UTC")).alias("kafka_timestamp"))
    write_days(home, replayed, of_silver(write_silver(home, replayed)))

    with pytest.raises(
        LakehouseError,
        match=r"--known-at-cut leaves no rows at the cut 2026-.*as in a replay; train without --known-at",
    ):
        challenge(home, WISH, served_lookback_days=30)


def test_the_card_and_the_tags_say_that_the_bound_was_on_and_of_which_silver(tmp_path: Path) -> None:
    """Every tenth event is received a week late, so that the rows differ from those without the bound."""
    home, events = Home(tmp_path).make(), shop_events(400, seed=11)
    late = pl.int_range(pl.len()) % 10 == 0
    events = events.with_columns(
        pl.when(late)
        .then(pl.col("kafka_timestamp") + timedelta(days=7))
        .otherwise("kafka_timestamp")
        .alias("kafka_timestamp")
    )
    write_days(home, events, of_silver(write_silver(home, events)))

    bound = challenge(home, WISH, served_lookback_days=30)

    card = packages.load(home.champion).card
    assert (card.known_at_cut, card.data_versions) == (True, {"gold.user_days": 1, "silver.events": 1})
    free = training_rows(AllDays(user_days(events, 100)), bound.plan.cuts)
    assert bound.trained.fingerprints[0] != fingerprint(free)
    assert bound.as_document()["known_at_cut"] is True
    (found,) = Registry(home).versions()
    assert (found.tags["known_at_cut"], found.tags["delta.silver.events"]) == ("true", "1")
