"""The round of faults that the default suite has, on a Spark cluster."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lakehouse.embedded.rehearsal import Rehearsal
from tests.faults import driver, plan, report
from tests.faults.faults import FAULTS
from tests.faults.world import opened

pytestmark = [pytest.mark.slow, pytest.mark.long]

SEED = 12


@pytest.mark.timeout(1_200)
def test_faults_on_a_cluster_lose_nothing_and_double_nothing(
    servers: Rehearsal, wheel: Path, node_python: Path, tmp_path: Path
) -> None:
    """The stack has a Kafka and a Postgres of its own, which the faults hit; Spark's tasks run on the cluster."""
    cluster = {
        "LAKEHOUSE_SPARK_MASTER": servers.cluster.address,
        "LAKEHOUSE_SPARK_WHEEL": str(wheel),
        "LAKEHOUSE_SPARK_PYTHON": str(node_python),
    }
    steps = plan.one_round(plan.draw(SEED, {name: fault.weight for name, fault in FAULTS.items()}))
    began = time.monotonic()

    with opened(tmp_path, SEED, cluster) as world:
        outcomes = list(driver.run(world, steps, tmp_path / "actions.jsonl", tell=lambda outcome: print(outcome)))  # noqa: T201

    summary = report.summarise(SEED, outcomes, time.monotonic() - began)
    assert summary.agrees, report.markdown(summary)
    assert summary.faults >= 3, summary.skipped
