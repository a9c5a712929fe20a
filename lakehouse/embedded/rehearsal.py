"""The servers of a cluster, all on this machine: to rehearse what is to run on many.

Brokers of one Kafka, Postgres, and Spark's master and workers. The lakehouse itself is not among them: it uses them as
servers of one's own.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lakehouse.embedded.java import find_java
from lakehouse.embedded.kafka import Node, kafka_services
from lakehouse.embedded.ports import LOOPBACK, Door, assign
from lakehouse.embedded.postgres import OWNER, dsn, postgres_service
from lakehouse.embedded.secrets import load_secrets
from lakehouse.embedded.standalone import ONE_CORE, Cluster, Worker, plan_cluster
from lakehouse.embedded.supervisor import Event, Supervisor
from lakehouse.home import Home
from lakehouse.settings import Settings


@dataclass(frozen=True)
class Rehearsal:
    """Servers that run; whoever waits for one of them to come back must call ``step`` meanwhile."""

    kafka: str
    """HOST:PORT of each broker, comma-separated."""
    postgres: str
    """``postgresql://`` address of an owner who may make roles."""
    cluster: Cluster
    supervisor: Supervisor

    @property
    def variables(self) -> dict[str, str]:
        """The settings, as environment variables, of a lakehouse that uses them."""
        return {
            "LAKEHOUSE_KAFKA_BOOTSTRAP": self.kafka,
            "LAKEHOUSE_POSTGRES_DSN": self.postgres,
            "LAKEHOUSE_SPARK_MASTER": self.cluster.address,
        }

    def step(self) -> None:
        """Brings back what has died."""
        self.supervisor.step()

    def kill(self, service: str) -> None:
        """kill -9 of a server and of all that it has started: as a machine that is gone."""
        kill_all_of(self.supervisor, service)


@contextmanager
def rehearsal(settings: Settings, brokers: int = 3, workers: int = 2, each: Worker = ONE_CORE) -> Iterator[Rehearsal]:
    """Yields the servers once all of them answer; their data lie under the home of ``settings``, which is theirs alone.

    To be called in the main thread. Raises LakehouseError where one does not start.
    """
    home = Home(settings.home).make()
    java = find_java(settings)
    numbers = range(1, brokers + 1)
    doors = [name for number in numbers for name in (f"kafka-{number}", f"kafka-{number} controller")]
    ports = assign(Door(name, "", LOOPBACK, 0) for name in (*doors, "postgres"))
    nodes = [Node(number, ports[f"kafka-{number}"], ports[f"kafka-{number} controller"]) for number in numbers]
    password = load_secrets(home).postgres_owner
    cluster = plan_cluster(home, java, workers, each)
    services = [
        *kafka_services(settings, home, java, nodes),
        postgres_service(home, ports["postgres"], password),
        *cluster.services,
    ]
    supervisor = Supervisor(settings, home, _quietly)
    try:
        supervisor.start(services)
        address = dsn(OWNER, password, LOOPBACK, ports["postgres"])
        yield Rehearsal(",".join(node.address for node in nodes), address, cluster, supervisor)
    finally:
        supervisor.stop()


def kill_all_of(supervisor: Supervisor, service: str) -> None:
    """kill -9 of a service and of all that it has started."""
    running = {status.name: status.pid for status in supervisor.statuses()}
    pid = running[service]
    assert pid is not None, f"{service} does not run"  # noqa: S101 (a mistake of the caller)
    os.killpg(pid, signal.SIGKILL)


def _quietly(_: Event) -> None: ...
