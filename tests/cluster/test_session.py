"""A session on a Spark cluster: what its executors run, and what becomes of a batch that they hold when one is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.embedded.java import find_java
from lakehouse.embedded.rehearsal import kill_all_of
from lakehouse.embedded.standalone import Cluster, plan_cluster, worker_name
from lakehouse.embedded.supervisor import Supervisor
from lakehouse.home import Home
from lakehouse.settings import load_settings

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[Cluster, Supervisor]]:
    """A master and two workers, and nothing else."""
    settings = load_settings(home=tmp_path / "cluster")
    home = Home(settings.home).make()
    cluster = plan_cluster(home, find_java(settings), workers=2)
    supervisor = Supervisor(settings, home, lambda _: None)
    try:
        supervisor.start(cluster.services)
        yield cluster, supervisor
    finally:
        supervisor.stop()


def test_a_batch_that_a_gone_worker_held_is_computed_again_and_committed_once(
    started: tuple[Cluster, Supervisor], wheel: Path, node_python: Path, tmp_path: Path
) -> None:
    cluster, supervisor = started
    variables = {
        "LAKEHOUSE_HOME": str(tmp_path / "home"),
        "LAKEHOUSE_SPARK_MASTER": cluster.address,
        "LAKEHOUSE_SPARK_WHEEL": str(wheel),
        "LAKEHOUSE_SPARK_PYTHON": str(node_python),
    }
    command = [sys.executable, "-m", "tests.cluster.session_process", str(tmp_path / "table")]
    pipe = subprocess.PIPE
    with (
        (tmp_path / "session.log").open("w") as log,
        subprocess.Popen(
            command, env={**os.environ, **variables}, stdin=pipe, stdout=pipe, stderr=log, text=True
        ) as it,
    ):
        assert it.stdin is not None
        assert it.stdout is not None
        said = it.stdout.readline()
        assert said == "held\n", (tmp_path / "session.log").read_text()[-3_000:]
        [application] = cluster.state()["activeapps"]
        assert application["cores"] == 2, "both workers are its own"
        kill_all_of(supervisor, worker_name(1))
        it.stdin.write("\n")
        it.stdin.flush()
        told = json.loads(it.stdout.readline() or "{}")

    assert (told["rows"], told["ids"], told["runs"]) == (4_000, 4_000, True)
    assert all(".zip/silver/transforms.py" in module for module in told["modules"]), "from the wheel"
