"""What verdicts do: on tables of the real stages, which stop, go on, and read no further than they may."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lakehouse.contracts import BronzeEvents, FunnelSummary, QualityResults, SilverEvents, Table
from lakehouse.drain import Arrival
from lakehouse.errors import LakehouseError
from lakehouse.gatekeeper import Gatekeeper, after
from lakehouse.home import Home
from lakehouse.maintenance.horizons import holds
from lakehouse.settings import Settings
from lakehouse.stages import Stage, utc_now
from lakehouse.writer import Writer
from quality.record import accept_quality, record_quality
from quality.verdicts import Run, Severity, Verdict, followed, run_to_json
from tests.quality.lake import Lake, message

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SILVER = SilverEvents.name
AFTER_SILVER = {"gold", "user_days", "churn_features", "sessions", "ordered_funnel"}
GATED = {"quality_gates": (SILVER,)}


@dataclass
class Kept:
    """A lake with a gatekeeper, whose stages run as the writer's do."""

    lake: Lake
    gatekeeper: Gatekeeper = field(init=False)

    def __post_init__(self) -> None:
        self.reopen()

    def reopen(self) -> None:
        """As a writer that has just started has it."""
        self.gatekeeper = Gatekeeper(self.lake.store)
        self.gatekeeper.open()
        for stage in self.lake.stages:
            stage.context = replace(stage.context, limit=self.gatekeeper.limit)

    @property
    def stages(self) -> dict[str, Stage]:
        return {stage.name: stage for stage in self.lake.stages}

    @property
    def writer(self) -> Writer:
        runner = SimpleNamespace(turn=nullcontext())
        return cast(Writer, SimpleNamespace(runner=runner, gatekeeper=self.gatekeeper))

    def view(self, minute: int) -> None:
        """An event comes, and every stage that may takes what it may."""
        self.lake.receive(message("view", NOON + timedelta(minutes=minute)))
        for stage in self.lake.stages:
            if self.why(stage.name) is None and stage.has_work():
                stage.run()

    def why(self, name: str) -> str | None:
        return self.gatekeeper.obstacle(self.stages[name], self.lake.stages)

    def judge(
        self, first: int, last: int, table: str = SILVER, at: datetime | None = None, **severities: Severity
    ) -> str:
        """Records the run on these versions, with what it found not to be met; returns its id."""
        verdicts = [Verdict(name, "type", None, each, "Why.", False, 1, 1) for name, each in severities.items()]
        verdicts.append(Verdict("met", "type", None, Severity.halt, "Why.", True))
        run = Run(followed(table, first, last), table, "new", first, last, 1, at or utc_now(), 0.1, verdicts)
        self.record(run)
        return run.run_id

    def record(self, *runs: Run) -> list[str]:
        document = {"runs": [run_to_json(run) for run in runs]}
        recorded: list[str] = record_quality(self.writer, document, lambda _: None)["recorded"]
        return recorded

    def accept(self, *runs: str) -> None:
        accept_quality(self.writer, {"runs": runs, "note": "a test shop"}, lambda _: None)

    def head(self, table: type[Table] = SilverEvents) -> int:
        return self.lake.store.version(table)


@pytest.fixture
def kept(tmp_path: Path) -> Callable[..., Kept]:
    def make(**settings: Any) -> Kept:
        return Kept(Lake(Home(tmp_path).make(), Settings(home=tmp_path, **settings)))

    return make


def test_a_run_is_recorded_once_and_without_a_gap(kept: Callable[..., Kept]) -> None:
    shop = kept()
    shop.view(0)
    shop.judge(0, 1)
    again = Run(followed(SILVER, 0, 1), SILVER, "new", 0, 1, 1, utc_now(), 0.1, [])

    assert shop.record(again) == []
    shop.reopen()
    assert shop.record(again) == []
    with pytest.raises(LakehouseError, match=r"@3-4: silver\.events was judged up to version 1, .* begins with 2$"):
        shop.judge(3, 4)
    assert shop.gatekeeper.standing.validated == {SILVER: 1}


def test_a_halt_stops_what_comes_after_its_table_until_someone_accepts_it(kept: Callable[..., Kept]) -> None:
    shop = kept()
    shop.view(0)
    run = shop.judge(0, 1, types=Severity.halt)
    reached = {name: stage.position for name, stage in shop.stages.items()}

    shop.view(10)

    assert {name for name in shop.stages if shop.why(name) is not None} == AFTER_SILVER
    assert {name for name, stage in shop.stages.items() if stage.position != reached[name]} == {"silver"}
    assert run in str(shop.why("gold"))

    shop.reopen()
    assert shop.why("gold") is not None, "a restart changes nothing"

    with pytest.raises(LakehouseError, match=r"silver.events@9-9: this run halts nothing.*those that do are " + run):
        shop.accept("silver.events@9-9")
    shop.accept(run)
    shop.view(20)
    assert shop.lake.store.rows(FunnelSummary) == 3

    shop.reopen()
    assert shop.gatekeeper.standing.halts == ()


def test_verdicts_are_kept_for_a_number_of_days_and_those_that_halt_until_someone_decides(
    kept: Callable[..., Kept], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = kept(quality_days=30)
    for minute in range(3):
        lake.view(minute)
    a_while_ago = datetime.now(UTC) - timedelta(days=40)
    monkeypatch.setattr("lakehouse.gatekeeper.utc_now", lambda: a_while_ago)
    halted = lake.judge(0, 1, bad=Severity.halt, at=a_while_ago)
    lake.judge(2, 2, at=a_while_ago)

    monkeypatch.undo()
    lake.reopen()
    new = lake.judge(3, 3)

    verdicts = lake.lake.store.scan(QualityResults).collect()
    assert set(verdicts[QualityResults.run_id]) == {halted, new}
    lake.reopen()
    assert lake.gatekeeper.standing.validated == {SILVER: 3}
    assert [halt.run_id for halt in lake.gatekeeper.standing.halts] == [halted]


def test_what_alarms_stops_nothing(kept: Callable[..., Kept]) -> None:
    shop = kept()
    shop.view(0)
    shop.judge(0, 1, shares=Severity.alarm, size=Severity.warn)

    shop.reopen()

    assert shop.why("gold") is None
    assert shop.gatekeeper.alarms() == ["silver.events, versions 0 to 1: shares is not met by 1 row: Why"]
    state = shop.gatekeeper.state()
    assert state["tables"][SILVER]["failed"] == {"warn": 1, "alarm": 1, "halt": 0}
    assert (state["tables"][SILVER]["validated"], state["tables"][SILVER]["lag_versions"]) == (1, 0)


def test_behind_a_gate_only_what_was_judged_is_read(kept: Callable[..., Kept]) -> None:
    shop = kept(**GATED)
    shop.view(0)
    assert shop.lake.store.rows(FunnelSummary) == 0

    shop.judge(0, 1)
    shop.view(10)
    assert shop.lake.store.rows(FunnelSummary) == 1
    assert not shop.stages["gold"].took_all
    assert shop.gatekeeper.waits() == ["silver.events is read up to version 1 of 2, as far as it was judged"]

    shop.judge(2, 2)
    shop.view(20)
    assert shop.lake.store.rows(FunnelSummary) == 2
    assert shop.lake.store.rows(SilverEvents) == 3


def test_behind_a_gate_a_halt_lets_what_came_before_it_through(kept: Callable[..., Kept]) -> None:
    shop = kept(**GATED)
    shop.view(0)
    shop.view(10)
    shop.judge(0, 1)
    run = shop.judge(2, 2, types=Severity.halt)
    assert shop.why("gold") is None

    shop.view(20)
    assert shop.lake.store.rows(FunnelSummary) == 1
    assert run in str(shop.why("gold"))
    assert shop.why("churn_features") is None, "what it reads has come through the gate"

    shop.judge(3, 3)
    shop.accept(run)
    shop.view(30)
    assert shop.lake.store.rows(FunnelSummary) == 3


def test_features_are_made_of_the_days_that_may_be_read(kept: Callable[..., Kept]) -> None:
    shop = kept(quality_gates=("gold.user_days",))
    shop.view(0)
    shop.judge(0, 1, "gold.user_days")
    shop.view(10)

    features = shop.lake.store.scan(shop.stages["churn_features"].targets[0]).collect()

    assert features["num_views"].to_list() == [1]


def test_whoever_drains_waits_for_the_verdict_of_a_gate(kept: Callable[..., Kept]) -> None:
    shop = kept(**GATED)
    shop.view(0)
    arrival = Arrival(shop.lake.stages[1:2] + shop.lake.stages[:1], shop.lake.store.version)
    assert not arrival.is_complete()
    assert not arrival.is_complete()

    shop.judge(0, 1)
    shop.view(1)

    assert arrival.is_complete()


def test_whoever_drains_waits_for_no_interval_once_all_is_there(kept: Callable[..., Kept]) -> None:
    shop = kept()
    silver, gold = shop.lake.stages[:2]
    shop.lake.receive(message("view", NOON))
    silver.run()
    gold.state.due_at = 300.0
    arrival = Arrival([silver, gold], shop.lake.store.version)

    assert not arrival.is_complete()

    assert gold.state.due_at == 0.0
    gold.run()
    assert arrival.is_complete()


def test_what_is_not_judged_yet_is_held_unless_the_validator_is_off(kept: Callable[..., Kept]) -> None:
    def held(shop: Kept) -> list[tuple[str, str, int | None]]:
        in_future = utc_now() + timedelta(hours=1)
        found = holds(shop.lake.store, SilverEvents, shop.gatekeeper.readers, in_future)
        return [(hold.table, hold.reader, hold.position) for hold in found]

    shop = kept()
    shop.view(0)
    assert held(shop) == [], "nothing was judged yet: nobody waits for a validator that never ran"
    shop.judge(0, 1)
    assert held(shop) == []
    shop.view(10)
    assert held(shop) == [(SILVER, "the validator", 1)]
    assert held(kept(quality_validator=False)) == []


def test_the_stages_after_a_table_are_those_that_read_what_was_made_of_it(kept: Callable[..., Kept]) -> None:
    stages = kept().lake.stages

    found: Mapping[str, set[str]] = {table.name: after(table.name, stages) for table in (BronzeEvents, FunnelSummary)}

    assert found == {
        "bronze.user_events": {"silver", *AFTER_SILVER},
        "gold.funnel_summary": set(),
    }
