"""One round of the fault driver; the long run is ``python -m tests.faults``."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults import driver, plan, report
from tests.faults.faults import FAULTS
from tests.faults.world import opened

pytestmark = pytest.mark.slow

SEED = 12


def test_faults_while_events_flow_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    log = tmp_path / "actions.jsonl"
    print(f"again: python -m tests.faults --seed {SEED} --actions {log}")  # noqa: T201 (shown where it fails)
    steps = plan.one_round(plan.draw(SEED, {name: fault.weight for name, fault in FAULTS.items()}))
    began = time.monotonic()

    with opened(tmp_path, SEED) as world:
        outcomes = list(driver.run(world, steps, log, tell=lambda outcome: print(outcome)))  # noqa: T201

    summary = report.summarise(SEED, outcomes, time.monotonic() - began)
    assert summary.agrees, report.markdown(summary)
    assert summary.faults >= 3, summary.skipped
