"""A standalone Spark cluster on loopback: a master and workers, each a process, as they would be on several machines.

It asks nobody who they are: for tests and benchmarks, where nothing but this machine reaches it.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyspark

from lakehouse.embedded.java import Java
from lakehouse.embedded.ports import LOOPBACK, Door, assign
from lakehouse.embedded.process import Service
from lakehouse.home import Home

MASTER = "spark-master"
DAEMON_MEMORY = "256m"
"""Heap of the master, and of a worker beside its executors."""


@dataclass(frozen=True)
class Worker:
    """What each worker gives to executors."""

    cores: int = 1
    memory: str = "1g"


ONE_CORE = Worker()


@dataclass(frozen=True)
class Cluster:
    """A cluster that is to be started by its services."""

    address: str
    """What the setting spark_master is: ``spark://HOST:PORT``."""
    page: str
    """http:// address of the master's own page."""
    services: tuple[Service, ...]

    def state(self) -> dict[str, Any]:
        """What the master says of its workers and applications. Raises OSError where it does not answer."""
        # Loopback: no proxy has a say in it.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.page}/json/", timeout=2.0) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


def worker_name(number: int) -> str:
    """The service of a worker, ``number`` from 1."""
    return f"spark-worker-{number}"


def plan_cluster(home: Home, java: Java, workers: int, each: Worker = ONE_CORE) -> Cluster:
    """A master and ``workers`` workers on free ports; executors' folders and logs are under the home's ``spark``.

    Raises LakehouseError where no port is free.
    """
    names = [worker_name(number) for number in range(1, workers + 1)]
    ports = assign(Door(name, "", LOOPBACK, 0) for name in (MASTER, f"{MASTER} page", *names))
    cluster = Cluster(f"spark://{LOOPBACK}:{ports[MASTER]}", f"http://{LOOPBACK}:{ports[f'{MASTER} page']}", ())
    places = ("--port", str(ports[MASTER]), "--webui-port", str(ports[f"{MASTER} page"]))
    services = [_daemon(MASTER, "master.Master", places, home, java, healthy=_answers(cluster))]
    for name in names:
        gives = ("--cores", str(each.cores), "--memory", each.memory, "--work-dir", str(_folder(home) / name))
        options = ("--port", str(ports[name]), "--webui-port", "0", *gives, cluster.address)
        healthy = _has_worker(cluster, ports[name])
        services.append(_daemon(name, "worker.Worker", options, home, java, healthy, after=(MASTER,)))
    return Cluster(cluster.address, cluster.page, tuple(services))


def _folder(home: Home) -> Path:
    folder = home.root / "spark"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _daemon(
    name: str,
    main: str,
    options: tuple[str, ...],
    home: Home,
    java: Java,
    healthy: Callable[[], bool],
    after: tuple[str, ...] = (),
) -> Service:
    """By the launcher that Spark brings along: it knows which of Java's modules Spark needs opened."""
    spark_home = Path(pyspark.__file__).parent
    launcher = ("bash", str(spark_home / "bin" / "spark-class"), f"org.apache.spark.deploy.{main}")
    return Service(
        name=name,
        argv=(*launcher, "--host", LOOPBACK, *options),
        healthy=healthy,
        after=after,
        env={
            "JAVA_HOME": str(java.home),
            "SPARK_HOME": str(spark_home),
            "SPARK_LOCAL_IP": LOOPBACK,
            "SPARK_DAEMON_MEMORY": DAEMON_MEMORY,
            "SPARK_DAEMON_JAVA_OPTS": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
            "SPARK_NO_DAEMONIZE": "true",
        },
        cwd=_folder(home),
    )


def _answers(cluster: Cluster) -> Callable[[], bool]:
    """A health check: the master says that it is the one."""

    def check() -> bool:
        try:
            return bool(cluster.state()["status"] == "ALIVE")
        except (OSError, ValueError, KeyError):
            return False

    return check


def _has_worker(cluster: Cluster, port: int) -> Callable[[], bool]:
    """A health check: the master has the worker that listens on ``port``, and it is alive."""

    def check() -> bool:
        try:
            workers = cluster.state()["workers"]
        except (OSError, ValueError, KeyError):
            return False
        return any(worker["port"] == port and worker["state"] == "ALIVE" for worker in workers)

    return check
