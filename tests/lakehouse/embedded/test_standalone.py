"""What a Spark cluster on this machine is made of."""

from __future__ import annotations

from pathlib import Path

from lakehouse.embedded.java import Java
from lakehouse.embedded.standalone import MASTER, Worker, plan_cluster
from lakehouse.home import Home

JAVA = Java(Path("/java"), Path("/java/bin/java"), 17, "PATH")


def test_nothing_of_it_is_reached_from_elsewhere(tmp_path: Path) -> None:
    cluster = plan_cluster(Home(tmp_path), JAVA, workers=2)

    for service in cluster.services:
        assert service.argv[service.argv.index("--host") + 1] == "127.0.0.1"
        assert service.env["SPARK_LOCAL_IP"] == "127.0.0.1", "its page too"
    assert cluster.address.startswith("spark://127.0.0.1:")
    assert cluster.page.startswith("http://127.0.0.1:")


def test_workers_come_after_the_master_and_give_what_they_are_told(tmp_path: Path) -> None:
    master, *workers = plan_cluster(Home(tmp_path), JAVA, workers=2, each=Worker(cores=3, memory="2g")).services

    assert (master.name, [worker.name for worker in workers]) == (MASTER, ["spark-worker-1", "spark-worker-2"])
    for worker in workers:
        assert worker.after == (MASTER,)
        assert worker.argv[worker.argv.index("--cores") + 1] == "3"
        assert worker.argv[worker.argv.index("--memory") + 1] == "2g"


def test_without_a_master_there_is_no_state(tmp_path: Path) -> None:
    assert not any(service.healthy() for service in plan_cluster(Home(tmp_path), JAVA, workers=1).services)
