"""A broker with TLS and SCRAM: every client comes in with the password, and none without."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyspark.sql import SparkSession

from bronze.stream import BronzeStage
from bronze.watch import TopicWatch
from lakehouse.contracts import BronzeEvents
from lakehouse.embedded.screen import addresses
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError, Unavailable
from lakehouse.home import Home
from lakehouse.kafka_security import KafkaSecurity
from lakehouse.settings import Settings
from lakehouse.stages import Context
from lakehouse.store import TableStore
from lakehouse.topic import end_offsets, ensure_topic, messages_between, topic_id
from producer.client import ConfluentSender, KafkaPythonSender, Sender
from producer.quarantine.underway import roots_on_their_way
from tests.security.certificates import HOST, Certificates
from tests.security.conftest import PASSWORD, Told

pytestmark = [pytest.mark.slow, pytest.mark.long]

SENDERS: dict[str, Callable[..., Sender]] = {"confluent-kafka": ConfluentSender, "kafka-python": KafkaPythonSender}


def in_a_topic_of_its_own(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return settings.model_copy(update={"topic": re.sub(r"\W", "_", request.node.name)[:200]})


def test_every_client_comes_in_by_tls_with_the_password(
    broker: str, of_the_shop: Settings, request: pytest.FixtureRequest
) -> None:
    settings = in_a_topic_of_its_own(of_the_shop, request)
    security = KafkaSecurity.of(settings)

    assert ensure_topic(broker, settings) == []
    for connect in SENDERS.values():
        with closing(connect(broker, settings.topic, security)) as sender:
            for number in range(5):
                sender.send(b"key", str(number).encode())
            sender.flush()

    assert end_offsets(broker, settings.topic, security) == {0: 10}
    with closing(TopicWatch(broker, settings.topic, security)) as watch:
        assert (watch.topic_id(), watch.offsets()) == (topic_id(broker, settings.topic, security), {0: (0, 10)})
    assert messages_between(broker, settings.topic, 0, 0, 9, security) == 10
    assert roots_on_their_way(broker, settings.topic, {}, security) == set()


def test_bronze_takes_events_from_it_and_leaves_the_password_nowhere(
    broker: str, of_the_shop: Settings, spark: SparkSession, request: pytest.FixtureRequest
) -> None:
    settings = in_a_topic_of_its_own(of_the_shop, request)
    home = Home(settings.home).make()
    store = TableStore(home, settings, spark)
    store.create_all()
    endpoints = Endpoints(broker, "", "", "", "", "")
    said: list[str] = []
    stage = BronzeStage(Context(settings, home, endpoints, spark, store, said.append))
    stage.open()
    ensure_topic(broker, settings)
    with closing(ConfluentSender(broker, settings.topic, KafkaSecurity.of(settings))) as sender:
        for number in range(20):
            sender.send(None, str(number).encode())
        sender.flush()

    while stage.has_work():
        stage.run()
    plan: Any = stage.source(stage.last)
    stage.close()

    assert store.scan(BronzeEvents).collect().height == 20
    plans = plan._jdf.queryExecution()
    shown = [*said, plans.logical().toString(), plans.analyzed().toString(), repr(settings)]
    shown.append(str(addresses(endpoints, home)))
    assert [text for text in shown if secret_in(text.encode())] == []
    assert [str(file) for file in files_of(home.root) if secret_in(file.read_bytes())] == []
    assert [line for line in command_lines() if secret_in(line.encode())] == []


OTHER_AUTHORITY = "trust in another authority"
OTHER_NAME = "its address, which is not in the certificate"

WRONG: dict[str, dict[str, Any]] = {
    "a wrong password": {"password": "wrong"},
    "a user it does not know": {"username": "nobody"},
    "plain text to the TLS port": {"protocol": "PLAINTEXT"},
    "a password without TLS": {"protocol": "SASL_PLAINTEXT"},
    "TLS without a password": {"protocol": "SSL"},
}


@pytest.mark.parametrize("client", SENDERS)
@pytest.mark.parametrize("attempt", [*WRONG, OTHER_AUTHORITY, OTHER_NAME])
def test_from_the_wrong_side(
    broker: str, of_the_shop: Settings, certificates: Certificates, told: Told, client: str, attempt: str
) -> None:
    right = KafkaSecurity.of(of_the_shop)
    wrong = {**WRONG, OTHER_AUTHORITY: {"ca_file": certificates.other_ca}}.get(attempt, {})
    security = KafkaSecurity(**{**vars(right), **wrong})
    address = broker if wrong else broker.replace(HOST, "127.0.0.1")

    with pytest.raises(LakehouseError) as refused:
        SENDERS[client](address, "user_events", security)

    assert isinstance(refused.value, Unavailable)
    assert PASSWORD not in str(refused.value)
    if client == "confluent-kafka":
        told("Kafka", attempt, str(refused.value).partition(";")[0])


def test_a_stage_with_a_wrong_password_waits_and_says_so(broker: str, of_the_shop: Settings) -> None:
    wrong = of_the_shop.model_copy(update={"kafka_username": "nobody"})

    with pytest.raises(Unavailable, match=rf"no Kafka broker at {broker} lets this client in as nobody by SASL_SSL"):
        ensure_topic(broker, wrong)
    with (
        closing(TopicWatch(broker, "user_events", KafkaSecurity.of(wrong))) as watch,
        pytest.raises(Unavailable, match=r"does not answer .*, or it refuses the user, password"),
    ):
        watch.offsets()


def secret_in(content: bytes) -> bool:
    """The password, or its end, where something writes its beginning in another way."""
    return b"of-the-shop" in content


def files_of(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def command_lines() -> list[str]:
    """Of all processes; the broker's own is told its users on its line, when its storage is made, and has ended."""
    lines = []
    for process in psutil.process_iter():
        try:
            lines.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return lines
