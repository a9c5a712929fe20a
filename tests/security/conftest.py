"""Locked servers for the folder's tests, and the record of what was tried from the wrong side."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lakehouse.settings import Settings, load_settings
from tests.security.certificates import Certificates, issue
from tests.security.locked_broker import MECHANISM, locked_broker
from tests.security.locked_postgres import locked_postgres, with_tls

USERNAME = "shop"
PASSWORD = "pass;word\\of-the-shop'"
"""With what has a meaning of its own in a line of JAAS."""

Told = Callable[[str, str, object], None]

SECURITY_PAGE = Path(__file__).parents[2] / "docs" / "security.md"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def broker(settings: Settings, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("locked broker")
    with locked_broker(settings, folder, certificates, USERNAME, PASSWORD) as bootstrap:
        yield bootstrap


@pytest.fixture
def of_the_shop(broker: str, certificates: Certificates, tmp_path: Path) -> Settings:
    """Settings that fit the locked broker, with a home of the test's own."""
    return load_settings(
        home=tmp_path / "home",
        kafka_bootstrap=broker,
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism=MECHANISM,
        kafka_username=USERNAME,
        kafka_password=PASSWORD,
        kafka_ca_file=certificates.ca,
        topic_partitions=1,
    )


@pytest.fixture(scope="session")
def database(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The owner's address of a PostgreSQL that asks for TLS."""
    binaries = with_tls()
    if binaries is None:
        pytest.skip("no PostgreSQL with OpenSSL here (Debian: apt-get install postgresql)")
    folder = tmp_path_factory.mktemp("locked postgres") / "server"
    with locked_postgres(binaries, folder, certificates, "of the owner") as address:
        yield address


@pytest.fixture
def told() -> Told:
    """``told(door, attempt, got)``: this row must stand in docs/security.md, which says what each attempt gets. Where
    the variable ATTEMPTS names a file, rows are written there instead, to be put into the page."""

    def row(door: str, attempt: str, got: object) -> None:
        text = re.sub(r"127\.0\.0\.1:\d+|localhost:\d+", "HOST:PORT", " ".join(str(got).split()))
        text = re.sub(r"port \d+", "port PORT", text).replace("|", "/")
        line = f"| {door} | {attempt} | {text} |"
        if file := os.environ.get("ATTEMPTS"):
            with Path(file).open("a") as page:
                page.write(line + "\n")
        else:
            assert line in SECURITY_PAGE.read_text()

    return row
