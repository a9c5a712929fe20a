"""What each Kafka client is told of TLS and passwords, and that every client is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lakehouse.kafka_security import PLAIN_TEXT, KafkaSecurity
from lakehouse.settings import load_settings
from tests.security.certificates import issue

ROOT = Path(__file__).parents[2]
ROOMS = ("lakehouse", "bronze", "silver", "gold", "serving", "producer", "dashboard", "quality", "ml")


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    return issue(tmp_path).ca


@pytest.fixture
def locked(tmp_path: Path, ca_file: Path) -> KafkaSecurity:
    settings = load_settings(
        home=tmp_path,
        kafka_bootstrap="kafka.example.com:9093",
        kafka_security_protocol="SASL_SSL",
        kafka_username="shop",
        kafka_password='p"; evil="\\',
        kafka_ca_file=ca_file,
    )
    return KafkaSecurity.of(settings)


def test_a_broker_under_the_home_needs_nothing(tmp_path: Path) -> None:
    plain = KafkaSecurity.of(load_settings(home=tmp_path))

    assert plain == PLAIN_TEXT
    assert (plain.librdkafka(), plain.kafka_python(), plain.spark()) == ({}, {}, {})


def test_confluent_kafka_is_told_in_its_words(locked: KafkaSecurity, ca_file: Path) -> None:
    assert locked.librdkafka() == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": "shop",
        "sasl.password": 'p"; evil="\\',
        "ssl.endpoint.identification.algorithm": "https",
        "ssl.ca.location": str(ca_file),
    }


def test_kafka_python_is_told_in_its_words(locked: KafkaSecurity, ca_file: Path) -> None:
    assert locked.kafka_python() == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "shop",
        "sasl_plain_password": 'p"; evil="\\',
        "ssl_check_hostname": True,
        "ssl_cafile": str(ca_file),
    }


def test_spark_is_told_in_its_words_and_a_password_stays_within_its_quotes(
    locked: KafkaSecurity, ca_file: Path
) -> None:
    told = locked.spark()

    assert told.pop("kafka.sasl.jaas.config") == (
        "org.apache.kafka.common.security.scram.ScramLoginModule required "
        r'username="shop" password="p\"; evil=\"\\";'
    )
    assert told == {
        "kafka.security.protocol": "SASL_SSL",
        "kafka.sasl.mechanism": "SCRAM-SHA-512",
        "kafka.ssl.endpoint.identification.algorithm": "https",
        "kafka.ssl.truststore.type": "PEM",
        "kafka.ssl.truststore.certificates": ca_file.read_text(),
    }


def test_tls_without_a_password_and_a_password_without_tls() -> None:
    encrypted = KafkaSecurity(protocol="SSL")
    proved = KafkaSecurity(protocol="SASL_PLAINTEXT", username="shop", password="secret")

    assert set(encrypted.librdkafka()) == {"security.protocol", "ssl.endpoint.identification.algorithm"}
    assert set(proved.kafka_python()) == {
        "security_protocol",
        "sasl_mechanism",
        "sasl_plain_username",
        "sasl_plain_password",
    }


def test_a_password_is_never_shown(locked: KafkaSecurity) -> None:
    assert "evil" not in repr(locked)


def test_every_client_of_kafka_is_told() -> None:
    """A client made somewhere new without it would speak plain text, and find out only against a locked broker."""
    makes_a_client = re.compile(r"bootstrap\.servers|bootstrap_servers")
    tells_it = re.compile(r"\.librdkafka\(\)|\.kafka_python\(\)|\.spark\(\)")
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*.py")]

    clients = {file.relative_to(ROOT): file.read_text() for file in files if makes_a_client.search(file.read_text())}
    silent = [str(name) for name, text in clients.items() if len(tells_it.findall(text)) < _clients(text)]

    assert len(clients) >= 5
    assert silent == []


def _clients(text: str) -> int:
    return len(re.findall(r"\"bootstrap\.servers\"|kafka\.bootstrap\.servers|bootstrap_servers=", text))
