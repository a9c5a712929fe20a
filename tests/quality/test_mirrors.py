"""What only Postgres can show: a day that is gone from a mirror, counts that differ, scores of nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import polars as pl
import psycopg2
import pytest
from psycopg2.extensions import connection as Connection

from lakehouse.contracts import ChurnFeatures, FunnelSummary, SilverEvents
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.frames import to_arrow
from quality.inspection import Inspector
from serving.migrate import WRITABLE
from serving.mirror import apply_funnel_summary, apply_raw_events
from serving.postgres import connect, transaction
from serving.sink import MirrorBatch
from tests.quality.clean_rows import at
from tests.quality.lake import Lake, message

YESTERDAY = at("10:00") - timedelta(days=1)


@pytest.fixture
def owner(endpoints: Endpoints) -> Iterator[Connection]:
    with closing(connect(endpoints.postgres_owner)) as conn:
        with transaction(conn) as cursor:
            cursor.execute(f"TRUNCATE {', '.join(WRITABLE)}")
        yield conn


@pytest.fixture
def mirrored(lake: Lake, owner: Connection) -> Lake:
    """Events of two days, each in Delta and in Postgres; one user has a score."""
    lake.bring(message("view", YESTERDAY), message("view", YESTERDAY, user="bob"))
    lake.bring(message("view", at("10:01")))
    silver, summary = lake.store.version(SilverEvents), lake.store.version(FunnelSummary)
    events = lake.store.appended(SilverEvents, 1, silver)
    assert events is not None
    apply_raw_events(owner, events, MirrorBatch("raw_events", 0, silver, silver))
    changes = to_arrow(pl.DataFrame(lake.store.feed(FunnelSummary, 0, summary)))
    apply_funnel_summary(owner, changes, MirrorBatch("funnel_summary", 0, summary, summary))
    with transaction(owner) as cursor:
        score = "INSERT INTO churn_prediction VALUES (%s, 0.5, true, 0.5, 'v1', now(), now(), '{}', '{}', NULL)"
        cursor.execute(score, ("ann",))
        cursor.execute(score, ("bob",))
        cursor.execute(
            "INSERT INTO mirror_ledger VALUES ('churn_prediction', 0, 1, %s, 2)", (lake.store.version(ChurnFeatures),)
        )
    return lake


def failures(inspector: Inspector, endpoints: Endpoints, name: str) -> list[tuple[str, str]]:
    """What is not met, and in which part."""
    run = inspector.mirror(f"postgres.{name}", endpoints)
    return [(v.expectation, str(v.examples[0]["part"])) for v in run.verdicts if not v.success]


@pytest.mark.usefixtures("mirrored")
@pytest.mark.parametrize("name", ["raw_events", "funnel_summary", "churn_prediction"])
def test_a_mirror_that_has_all_is_met(inspector: Inspector, endpoints: Endpoints, name: str) -> None:
    assert failures(inspector, endpoints, name) == []


@pytest.mark.usefixtures("mirrored")
def test_a_lost_day_is_found_and_named(inspector: Inspector, endpoints: Endpoints, owner: Connection) -> None:
    with transaction(owner) as cursor:
        cursor.execute(f"DROP TABLE raw_events_{YESTERDAY:%Y%m%d}")
    day = str(YESTERDAY.date())
    assert failures(inspector, endpoints, "raw_events") == [("rows_in_mirror_are_those_in_delta", day)]


def test_events_beyond_what_the_mirror_has_taken_are_lag_and_not_wrong(
    mirrored: Lake, inspector: Inspector, endpoints: Endpoints
) -> None:
    mirrored.bring(message("view", at("10:05")))
    assert failures(inspector, endpoints, "raw_events") == []
    assert failures(inspector, endpoints, "funnel_summary") == []


def test_days_beyond_those_kept_are_not_missed(
    mirrored: Lake, inspector: Inspector, endpoints: Endpoints, owner: Connection
) -> None:
    with transaction(owner) as cursor:
        cursor.execute(f"DROP TABLE raw_events_{YESTERDAY:%Y%m%d}")
    short = mirrored.settings.model_copy(update={"raw_events_days": 1})
    assert failures(Inspector(mirrored.home, short, inspector.judge), endpoints, "raw_events") == []


@pytest.mark.usefixtures("mirrored")
def test_a_count_that_differs_is_found(inspector: Inspector, endpoints: Endpoints, owner: Connection) -> None:
    with transaction(owner) as cursor:
        cursor.execute("UPDATE funnel_summary SET num_events = 2, num_views = -1 WHERE window_start >= '2026-05-04'")
    assert failures(inspector, endpoints, "funnel_summary") == [
        ("events_in_mirror_are_those_in_delta", "2026-05-04"),
        ("no_wrong_rows", "2026-05-04"),
    ]


@pytest.mark.usefixtures("mirrored")
def test_a_score_of_nobody_is_found(inspector: Inspector, endpoints: Endpoints, owner: Connection) -> None:
    with transaction(owner) as cursor:
        cursor.execute("UPDATE churn_prediction SET user_id = 'ghost', churn_probability = 1.5 WHERE user_id = 'ann'")
    found = failures(inspector, endpoints, "churn_prediction")
    assert found == [("no_unknown_users", "all"), ("no_wrong_rows", "all")]


def test_a_server_that_is_away_is_told_in_one_line(inspector: Inspector) -> None:
    away = Endpoints("", "", "", "postgresql://nobody@127.0.0.1:1/none", "", "")
    with pytest.raises(LakehouseError, match=r"postgres\.raw_events: Postgres does not answer") as error:
        inspector.mirror("postgres.raw_events", away)
    assert "\n" not in str(error.value)
    assert isinstance(error.value.__context__, psycopg2.Error)
