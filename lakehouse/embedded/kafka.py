"""The embedded broker: Apache Kafka, one node in KRaft mode, on loopback."""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from collections.abc import Callable
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


def kafka_service(settings: Settings, home: Home, java: Java, port: int, controller_port: int) -> Service:
    """The broker's spec; formats its storage at the first start. Raises LakehouseError."""
    class_path = os.pathsep.join(str(path) for path in jars.kafka(settings, java))
    run = (str(java.executable), *HEAP, *QUICK_START, *(f"-D{name}={value}" for name, value in _LOGGING.items()))
    run += ("-cp", class_path)
    home.kafka.mkdir(parents=True, exist_ok=True)
    properties = home.kafka / "server.properties"
    properties.write_text(_properties(settings, port, controller_port))
    if not (home.kafka / DATA / "meta.properties").is_file():
        _format(run, properties)
    return Service(
        name="kafka",
        argv=(*run, "kafka.Kafka", properties.name),
        healthy=answers(f"{LOOPBACK}:{port}"),
        env={"JAVA_HOME": str(java.home)},
        cwd=home.kafka,
        stop_timeout_s=15.0,
    )


def answers(bootstrap: str, security: KafkaSecurity = PLAIN_TEXT) -> Callable[[], bool]:
    """A health check: the broker answers a metadata request, so that it has become leader of itself."""
    host, _, port = bootstrap.split(",")[0].rpartition(":")

    def check() -> bool:
        if not accepts(host, int(port)):
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


def _properties(settings: Settings, port: int, controller_port: int) -> str:
    """The quorum is static, of this one node: nothing about it is stored, so that the ports may change."""
    listen, control = f"{LOOPBACK}:{port}", f"{LOOPBACK}:{controller_port}"
    lines = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{control}",
        "listeners": f"PLAINTEXT://{listen},CONTROLLER://{control}",
        "advertised.listeners": f"PLAINTEXT://{listen}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": DATA,
        "num.partitions": settings.topic_partitions,
        "log.retention.hours": settings.topic_retention_hours,
        "log.segment.bytes": 64 * 1024 * 1024,  # small, so that retention, which drops whole segments, keeps up
        "message.max.bytes": max(1_048_588, settings.max_event_bytes * 4),
        "auto.create.topics.enable": "false",  # a topic made by accident has the wrong partitions and clock
        "offsets.topic.num.partitions": 1,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _format(run: tuple[str, ...], properties: Path) -> None:
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    command = [*run, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config", properties.name]
    # --ignore-formatted: a format that was killed half-way is done again.
    command.append("--ignore-formatted")
    done = subprocess.run(command, cwd=properties.parent, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines() or ["no reason given"]
        reason = next((line for line in lines if "Exception" in line), lines[0])
        raise LakehouseError(f"Kafka's storage under {properties.parent} could not be made: {reason}")
