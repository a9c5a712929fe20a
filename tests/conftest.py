"""One set of real servers for the whole run, on free ports, under a temporary home; see lakehouse.embedded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.embedded import jars
from lakehouse.embedded.java import find_java
from lakehouse.embedded.services import services
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from lakehouse.settings import Settings, load_settings
from lakehouse.spark import build_session


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the run: a temporary home, free ports."""
    return load_settings(
        home=tmp_path_factory.mktemp("home"),
        kafka_port=0,
        postgres_port=0,
        api_port=0,
        dashboard_port=0,
        quality_port=0,
    )


@pytest.fixture(scope="session")
def home(settings: Settings) -> Home:
    """The home that the servers run under."""
    return Home(settings.home).make()


@pytest.fixture(scope="session")
def endpoints(settings: Settings) -> Iterator[Endpoints]:
    """Kafka and Postgres, started on first use, Postgres with its migrations run; api and dashboard are empty."""
    with services(settings, {"kafka", "postgres"}) as started:
        yield started


@pytest.fixture(scope="session")
def kafka(endpoints: Endpoints) -> str:
    """HOST:PORT of the broker."""
    return endpoints.kafka


@pytest.fixture(scope="session")
def postgres(endpoints: Endpoints) -> Endpoints:
    """The DSNs of the owner, the writer and the reader (``postgres_owner`` …)."""
    return endpoints


@pytest.fixture(scope="session")
def spark(settings: Settings) -> Iterator[SparkSession]:
    """One Spark for the whole run: its JVM takes up to 1 GiB beside those of the stacks that tests start."""
    session = build_session(settings, jars.spark(settings), find_java(settings).home)
    yield session
    session.stop()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real events beside the project."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the shared data is not here: {folder}")
    return folder
