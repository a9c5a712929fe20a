"""Runs on real tables, made by the real stages: clean ones are met, and each fault is found where it is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from lakehouse.commits import Commit
from lakehouse.contracts import (
    ChurnFeatures,
    FunnelSummary,
    FunnelWindows,
    SessionDays,
    SilverDuplicates,
    SilverEvents,
    UserDays,
)
from lakehouse.frames import conform, to_arrow
from lakehouse.settings import Settings
from quality.facts import Facts
from quality.inspection import Inspector
from quality.judge import Judge
from quality.rows import TableReader
from quality.suite import CONTRACTS
from quality.verdicts import Severity, followed
from silver.transforms import candidates
from tests.quality.clean_rows import at, rows
from tests.quality.lake import Lake, Message, batches, message, simulated

FEW = (
    message("view", at("10:01")),
    message("view", at("10:02"), user="bob"),
    message("add_to_cart", at("10:03")),
    message("purchase", at("10:12"), price=19.9, quantity=2, currency="EUR"),
)


def failures(inspector: Inspector, tables: Iterable[str] = CONTRACTS, *, full: bool = False) -> set[tuple[str, str]]:
    """What is not met, by table and expectation, of all rows so far."""
    found = set()
    for table in tables:
        head = TableReader(inspector.home, CONTRACTS[table]).version()
        run = inspector.full(table) if full else inspector.new(table, 0, head)
        assert [verdict.error for verdict in run.verdicts if verdict.success is None] == []
        found |= {(table, verdict.expectation) for verdict in run.verdicts if not verdict.success}
    return found


@pytest.mark.parametrize("full", [False, True], ids=["new", "full"])
def test_what_the_stages_make_of_clean_events_is_met(lake: Lake, inspector: Inspector, full: bool) -> None:
    lake.bring(*FEW)
    lake.bring(message("view", at("09:55"), received=at("10:20")))
    assert failures(inspector, full=full) == set()


def test_a_run_says_what_it_was_of(lake: Lake, inspector: Inspector) -> None:
    lake.bring(*FEW)
    run = inspector.new("silver.events", 0, 1)
    assert (run.run_id, run.mode, run.num_rows) == (followed("silver.events", 0, 1), "new", 4)
    whole = inspector.full("silver.events", 1)
    assert (whole.mode, whole.first_version, whole.last_version, whole.num_rows) == ("full", 0, 1, 4)
    assert whole.run_id.startswith("silver.events/")


def test_a_range_without_rows_is_a_run_of_none(inspector: Inspector) -> None:
    run = inspector.new("silver.events", 1, 0)
    assert run.num_rows == 0 and all(verdict.success for verdict in run.verdicts)


def test_a_message_that_bronze_does_not_have_is_found(lake: Lake, inspector: Inspector) -> None:
    lake.bring(*FEW)
    lake.receive(message("view", at("10:13")), skip=2)
    assert failures(inspector, ["bronze.user_events"]) == {("bronze.user_events", "every_offset_is_there")}


def test_an_event_that_was_lost_between_silver_and_gold_is_found_on_its_day(lake: Lake, inspector: Inspector) -> None:
    lake.bring(*FEW)
    lake.bring(message("view", at("10:13")))
    account = lake.store.last_commit(FunnelSummary)
    assert account is not None
    less = {"num_purchases": "0", "num_events": "num_events - 1"}
    lake.store.update(FunnelSummary, lambda _: "num_purchases = 1", less, account)
    found = failures(inspector, ["gold.funnel_summary"])
    assert found == {("gold.funnel_summary", "books_balance_with_the_layer_before")}


@pytest.mark.parametrize("table", [FunnelWindows, UserDays, SessionDays])
def test_an_event_that_is_counted_twice_is_found(
    lake: Lake, inspector: Inspector, table: type[FunnelWindows | UserDays | SessionDays]
) -> None:
    lake.bring(*FEW)
    account = lake.store.last_commit(table)
    assert account is not None
    lake.store.update(table, lambda _: "true", {"num_events": "num_events + 1"}, account)
    assert failures(inspector, [table.name]) == {(table.name, "books_balance_with_the_layer_before")}


@pytest.mark.parametrize("full", [False, True], ids=["new", "full"])
def test_an_event_that_is_in_silver_twice_is_found_though_it_came_in_another_batch(
    lake: Lake, inspector: Inspector, full: bool
) -> None:
    lake.bring(*FEW)
    again = lake.store.scan(SilverEvents).filter(pl.col("offset") == 1).collect()
    copies = to_arrow(again.with_columns(pl.lit(99, pl.Int64).alias("offset")))
    lake.store.append(SilverEvents, copies, Commit("silver", 1, 9, offsets={"topic-1/0": 100}, rows_in=1, rows_out=1))
    head = lake.store.version(SilverEvents)
    run = inspector.full("silver.events") if full else inspector.new("silver.events", head, head)
    missed = {verdict.expectation: verdict for verdict in run.failed(Severity.halt)}
    assert missed["key_is_unique_in_the_table"].examples[0]["copies"] == 2


def test_a_user_that_silver_does_not_know_is_found(lake: Lake, inspector: Inspector) -> None:
    lake.bring(*FEW)
    ghost = rows("gold.user_days", {"user_id": "ghost"})
    lake.store.append(UserDays, conform(ghost, UserDays), Commit("user_days", 1, 9, source_version=1))
    head = lake.store.version(UserDays)
    run = inspector.new("gold.user_days", head, head)
    found = {verdict.expectation: verdict for verdict in run.failed(Severity.halt)}
    (example,) = found["rows_are_known_to_the_layer_before"].examples
    assert example["user_id"] == "ghost"


def test_a_user_who_acted_again_while_the_features_were_judged_is_known(lake: Lake, inspector: Inspector) -> None:
    lake.bring(*FEW)
    lake.receive(message("view", at("10:30")))
    for stage in lake.stages[:-1]:  # ann's day has gone on, her features have not
        stage.run()
    assert failures(inspector, ["gold.churn_features"]) == set()


def test_features_of_a_day_that_no_user_has_are_found(lake: Lake, inspector: Inspector) -> None:
    lake.bring(*FEW)
    features = lake.store.scan(ChurnFeatures).filter(pl.col(ChurnFeatures.user_id) == "bob").collect()
    later = pl.col(ChurnFeatures.last_event_time)
    for number, (user, moment) in enumerate([("eve", later), ("bob", later + timedelta(minutes=30))]):
        strange = features.with_columns(pl.lit(user).alias(ChurnFeatures.user_id), moment)
        lake.store.append(ChurnFeatures, to_arrow(strange), Commit("test", 0, 9 + number, source_version=1))

    run = inspector.new("gold.churn_features", 0, lake.store.version(ChurnFeatures))

    found = next(v for v in run.verdicts if v.expectation == "rows_are_known_to_the_layer_before")
    assert {example["user_id"] for example in found.examples} == {"eve", "bob"}


def test_a_copy_of_an_event_that_is_nowhere_is_found(lake: Lake, inspector: Inspector) -> None:
    lake.bring(*FEW)
    lake.store.append(SilverDuplicates, rows("silver.duplicates", {"event_id": "nowhere"}), Commit("silver", 1, 9))
    assert failures(inspector, ["silver.duplicates"]) == {("silver.duplicates", "rows_are_known_to_the_layer_before")}


def test_rows_that_a_stage_leaves_lying_are_found(lake: Lake, inspector: Inspector) -> None:
    lake.bring(*FEW)
    lake.receive(message("view", at("10:13")))
    head = lake.store.version(SilverEvents)
    soon, later = (datetime.now(UTC) + timedelta(minutes=minutes) for minutes in (1, 11))
    assert inspector.new("silver.events", head + 1, head, soon).failed(Severity.alarm) == []
    (verdict,) = inspector.new("silver.events", head + 1, head, later).failed(Severity.alarm)
    assert verdict.expectation == "rows_do_not_wait"


def test_a_flood_and_a_clock_that_is_ahead_are_found(lake: Lake, inspector: Inspector) -> None:
    lake.bring(*(each for batch in batches(simulated(at("06:00"), 1, rate=1), timedelta(hours=1)) for each in batch))
    flood = [message("search", at("07:20"), user=f"u{number}", received=at("07:20")) for number in range(400)]
    ahead = [message("view", at("07:50"), user=f"w{number}", received=at("07:20")) for number in range(400)]
    lake.bring(*flood, *ahead)
    head = lake.store.version(SilverEvents)
    missed = {verdict.expectation for verdict in inspector.new("silver.events", head, head).failed(Severity.alarm)}
    assert missed == {"no_type_floods", "no_type_dries_up", "clocks_are_not_ahead"}


def test_a_simulated_shop_raises_no_alarm(lake: Lake, inspector: Inspector) -> None:
    judged = dict.fromkeys(CONTRACTS, -1)
    for batch in batches(simulated(at("06:20"), 4, rate=1), timedelta(hours=2)):
        lake.bring(*batch)
        for table in CONTRACTS:
            head = TableReader(lake.home, CONTRACTS[table]).version()
            run = inspector.new(table, judged[table] + 1, head)
            judged[table] = head
            assert [(v.expectation, v.observed, v.error) for v in run.verdicts if not v.success] == []


texts = st.text(min_size=1, max_size=20).filter(lambda text: text.strip() and "\0" not in text)
messages = st.builds(
    message,
    st.sampled_from(["view", "add_to_cart", "purchase", "search"]),
    st.integers(0, 800_000_000).map(lambda seconds: at("10:00") - timedelta(seconds=seconds)),
    texts,
    price=st.decimals(0, 10_000, places=2).map(str),
    quantity=st.integers(0, 100),
    currency=st.sampled_from(["EUR", "USD"]),
)


@examples(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(messages, min_size=1, max_size=30))
def test_whatever_silver_takes_is_met(judge: Judge, settings: Settings, sent: list[Message]) -> None:
    bronze = pl.DataFrame(
        {
            "source_id": "topic-1",
            "partition": pl.Series([0] * len(sent), dtype=pl.Int32),
            "offset": pl.Series(range(len(sent)), dtype=pl.Int64),
            "value": [each.value for each in sent],
            "headers": pl.Series([None] * len(sent), dtype=pl.List(pl.Struct({"key": pl.String, "value": pl.Binary}))),
            "kafka_timestamp": pl.Series([each.received for each in sent], dtype=pl.Datetime("us", "UTC")),
        }
    )
    taken = candidates(bronze, settings, at("10:00")).filter(pl.col("join_id").is_not_null())
    events = taken.unique(["event_id", "time_ms"]).select(SilverEvents.columns())
    verdicts = judge.judge("silver.events", pa.table(to_arrow(events)), Facts())
    assert {verdict.expectation for verdict in verdicts if not verdict.success} == set()
