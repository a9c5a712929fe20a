"""The embedded broker: Apache Kafka in KRaft mode, on loopback; one node, or several with copies of each topic."""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lakehouse.embedded import jars
from lakehouse.embedded.java import Java
from lakehouse.embedded.ports import LOOPBACK, accepts
from lakehouse.embedded.process import Service
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.kafka_security import PLAIN_TEXT, KafkaSecurity
from lakehouse.settings import Settings

HEAP = ("-Xms128m", "-Xmx384m")

QUICK_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""Up in 2.3 s instead of 4.3 s on two cores, with 150 MB less memory: the broker moves bytes, so that it
gains little from the compiler and the collector that these leave out."""

DATA = "data"
"""Its folder, named relative to the working directory: log.dirs is a list, so that a path with a comma, which
a home may have, would be two."""

_LOGGING = {
    "org.slf4j.simpleLogger.showDateTime": "true",
    "org.slf4j.simpleLogger.dateTimeFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "org.slf4j.simpleLogger.showThreadName": "false",
    "org.slf4j.simpleLogger.defaultLogLevel": "warn",
    "org.slf4j.simpleLogger.log.kafka": "info",
    "org.slf4j.simpleLogger.log.org.apache.kafka.common.config": "warn",
    "org.slf4j.simpleLogger.log.kafka.server.KafkaConfig": "warn",
}


@dataclass(frozen=True)
class Node:
    """A broker that is a controller too."""

    number: int
    """From 1; it keeps it for ever."""
    port: int
    controller_port: int

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"


def kafka_service(settings: Settings, home: Home, java: Java, port: int, controller_port: int) -> Service:
    """The one broker's spec; formats its storage at the first start. Raises LakehouseError."""
    node = Node(1, port, controller_port)
    return _service("kafka", settings, home.kafka, java, node, [node], uuid.uuid4())


def kafka_services(settings: Settings, home: Home, java: Java, nodes: Sequence[Node]) -> list[Service]:
    """The specs of several brokers, each with a folder of its own; a topic has a copy on up to three of them.

    Formats their storage at the first start. Raises LakehouseError.
    """
    cluster = uuid.uuid5(uuid.NAMESPACE_URL, home.kafka.as_uri())  # one name for all, also where one is formatted anew
    names = {node: f"kafka-{node.number}" for node in nodes}
    return [_service(name, settings, home.kafka / name, java, node, nodes, cluster) for node, name in names.items()]


def _service(
    name: str, settings: Settings, folder: Path, java: Java, node: Node, nodes: Sequence[Node], cluster: uuid.UUID
) -> Service:
    class_path = os.pathsep.join(str(path) for path in jars.kafka(settings, java))
    run = (str(java.executable), *HEAP, *QUICK_START, *(f"-D{name}={value}" for name, value in _LOGGING.items()))
    run += ("-cp", class_path)
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    properties.write_text(_properties(settings, node, nodes))
    if not (folder / DATA / "meta.properties").is_file():
        _format(run, properties, cluster)
    return Service(
        name=name,
        argv=(*run, "kafka.Kafka", properties.name),
        healthy=answers(node.address),
        env={"JAVA_HOME": str(java.home)},
        cwd=folder,
        stop_timeout_s=15.0,
    )


def answers(bootstrap: str, security: KafkaSecurity = PLAIN_TEXT) -> Callable[[], bool]:
    """A health check: a broker of ``bootstrap`` (HOST:PORT, comma-separated) answers a metadata request, so that it has
    become leader of itself, or follows one."""
    places = [(host, int(port)) for host, _, port in (each.strip().rpartition(":") for each in bootstrap.split(","))]

    def check() -> bool:
        if not any(accepts(host, port) for host, port in places):
            return False
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        # Nothing of its own on stderr: a refused connection is what we expect for a while.
        client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, **security.librdkafka()})
        try:
            return bool(client.list_topics(timeout=2.0).brokers)
        except KafkaException:
            return False

    return check


def _properties(settings: Settings, node: Node, nodes: Sequence[Node]) -> str:
    """The quorum is static, of these nodes: nothing about it is stored, so that the ports may change."""
    copies = min(3, len(nodes))
    lines = {
        "process.roles": "broker,controller",
        "node.id": node.number,
        "controller.quorum.voters": ",".join(f"{each.number}@{LOOPBACK}:{each.controller_port}" for each in nodes),
        "listeners": f"PLAINTEXT://{node.address},CONTROLLER://{LOOPBACK}:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{node.address}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": DATA,
        "num.partitions": settings.topic_partitions,
        "log.retention.hours": settings.topic_retention_hours,
        "log.segment.bytes": 64 * 1024 * 1024,  # small, so that retention, which drops whole segments, keeps up
        "message.max.bytes": max(1_048_588, settings.max_event_bytes * 4),
        "auto.create.topics.enable": "false",  # a topic made by accident has the wrong partitions and clock
        "default.replication.factor": copies,
        "min.insync.replicas": max(1, copies - 1),  # what is acknowledged is on two of three, and one may be away
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": max(1, copies - 1),
        "share.coordinator.state.topic.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": max(1, copies - 1),
        "group.initial.rebalance.delay.ms": 0,
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _format(run: tuple[str, ...], properties: Path, cluster: uuid.UUID) -> None:
    name = base64.urlsafe_b64encode(cluster.bytes).rstrip(b"=").decode()
    command = [*run, "kafka.tools.StorageTool", "format", f"--cluster-id={name}", "--config", properties.name]
    # --ignore-formatted: a format that was killed half-way is done again.
    command.append("--ignore-formatted")
    done = subprocess.run(command, cwd=properties.parent, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines() or ["no reason given"]
        reason = next((line for line in lines if "Exception" in line), lines[0])
        raise LakehouseError(f"Kafka's storage under {properties.parent} could not be made: {reason}")
