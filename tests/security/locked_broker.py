"""A broker that lets nobody in but by TLS and with the password of a user that it knows."""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.embedded import jars
from lakehouse.embedded.java import find_java
from lakehouse.embedded.kafka import HEAP, QUICK_START, answers
from lakehouse.embedded.ports import LOOPBACK, Door, assign
from lakehouse.embedded.waiting import until
from lakehouse.kafka_security import KafkaSecurity
from lakehouse.settings import Settings
from tests.security.certificates import HOST, Certificates

STARTS_WITHIN_S = 60.0
LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required"
MECHANISM = "SCRAM-SHA-512"


@contextmanager
def locked_broker(
    settings: Settings, folder: Path, certificates: Certificates, username: str, password: str
) -> Iterator[str]:
    """Yields HOST:PORT, where it answers ``username`` with ``password``."""
    java = find_java(settings)
    class_path = os.pathsep.join(str(jar) for jar in jars.kafka(settings, java))
    run = [str(java.executable), *HEAP, *QUICK_START, "-cp", class_path]
    ports = assign([Door(name, "", LOOPBACK, 0) for name in ("kafka", "controller")])
    bootstrap = f"{HOST}:{ports['kafka']}"
    (folder / "server.properties").write_text(_properties(ports, certificates))
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    users = [f"--add-scram={MECHANISM}=[name={name},password={word}]" for name, word in ((username, password), BROKER)]
    made = [*run, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "--config=server.properties", *users]
    done = subprocess.run(made, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    knows = KafkaSecurity("SASL_SSL", MECHANISM, username, password, certificates.ca)
    with (folder / "kafka.log").open("w") as log:
        broker = subprocess.Popen([*run, "kafka.Kafka", "server.properties"], cwd=folder, stdout=log, stderr=log)
        try:
            assert until(answers(bootstrap, knows), STARTS_WITHIN_S), (folder / "kafka.log").read_text()[-5000:]
            yield bootstrap
        finally:
            broker.terminate()
            broker.wait(30)


BROKER = ("broker", "among-brokers")
"""By which a broker would ask another one."""


def _properties(ports: dict[str, int], certificates: Certificates) -> str:
    name, word = BROKER
    control = f"{LOOPBACK}:{ports['controller']}"
    lines = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{control}",
        "listeners": f"SASL_SSL://{LOOPBACK}:{ports['kafka']},CONTROLLER://{control}",
        "advertised.listeners": f"SASL_SSL://{HOST}:{ports['kafka']}",
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "SASL_SSL",
        "controller.listener.names": "CONTROLLER",
        "sasl.enabled.mechanisms": MECHANISM,
        "sasl.mechanism.inter.broker.protocol": MECHANISM,
        f"listener.name.sasl_ssl.{MECHANISM.lower()}.sasl.jaas.config": (
            f'{LOGIN} username="{name}" password="{word}";'
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": certificates.keystore,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": certificates.ca,
        "log.dirs": "data",
        "auto.create.topics.enable": "false",
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
