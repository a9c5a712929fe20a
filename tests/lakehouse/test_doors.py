"""What is said of doors that stand open, and addresses that keep a role within its own."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg2.extensions
import pytest

from lakehouse.doors import is_asked_by_this_machine, is_loopback, own_key, spoken_in_plain
from lakehouse.embedded.postgres import as_role
from lakehouse.embedded.screen import without_password
from lakehouse.settings import load_settings
from lakehouse.spark import _told_by_a_file

OWNER = "postgresql://owner:s3cret@db.example.com:5432/shop?sslmode=verify-full&sslrootcert=/etc/a%20ca.pem"


def test_another_role_comes_in_by_the_same_tls() -> None:
    address = as_role(OWNER, "lakehouse_reader", "p/w@d")

    assert psycopg2.extensions.parse_dsn(address) == {
        "user": "lakehouse_reader",
        "password": "p/w@d",
        "host": "db.example.com",
        "port": "5432",
        "dbname": "shop",
        "sslmode": "verify-full",
        "sslrootcert": "/etc/a ca.pem",
    }


def test_a_login_behind_the_question_mark_does_not_make_a_reader_the_owner() -> None:
    address = as_role("postgresql://db/shop?user=owner&password=s3cret&sslmode=require", "lakehouse_reader", "word")

    assert psycopg2.extensions.parse_dsn(address)["user"] == "lakehouse_reader"
    assert "s3cret" not in address
    assert parse_qs(urlsplit(address).query) == {"sslmode": ["require"]}


@pytest.mark.parametrize("address", [OWNER, "postgresql://owner@db/shop?password=s3cret", "postgresql://db/shop"])
def test_an_address_is_shown_without_any_password(address: str) -> None:
    shown = without_password(address)

    assert "s3cret" not in shown
    assert shown.endswith("/shop")


@pytest.mark.parametrize(
    ("given", "about"),
    [
        ({}, []),
        ({"kafka_bootstrap": "127.0.0.1:9092,localhost:9093"}, []),
        ({"kafka_bootstrap": "127.0.0.1:9092,kafka:9092"}, ["Kafka at 127.0.0.1:9092,kafka:9092"]),
        ({"kafka_bootstrap": "kafka:9093", "kafka_security_protocol": "SSL"}, []),
        ({"postgres_dsn": "postgresql://o:s3cret@127.0.0.1/shop"}, []),
        ({"postgres_dsn": "postgresql://o:s3cret@db/shop"}, ["Postgres at db"]),
        ({"postgres_dsn": "postgresql://o:s3cret@db/shop?sslmode=require"}, ["Postgres at db"]),
        ({"postgres_dsn": OWNER}, []),
    ],
)
def test_servers_of_other_machines_in_plain_text_are_named(
    given: dict[str, str], about: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    said = spoken_in_plain(load_settings(**given))

    assert [any(each.startswith(beginning) for each in said) for beginning in about] == [True] * len(said)
    assert len(said) == len(about)
    assert "s3cret" not in "".join(said)


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("", True),
        ("localhost", True),
        ("LocalHost:8000", True),
        ("127.0.0.1:8000", True),
        ("127.9.9.9", True),
        ("[::1]:8000", True),
        ("localhost.evil.com", False),
        ("127.0.0.1.evil.com:8000", False),
        ("evil.com", False),
        ("0.0.0.0:8000", False),
        ("[::]", False),
        ("192.168.0.9:8000", False),
    ],
)
def test_only_names_of_loopback_are_this_machine(host: str, here: bool) -> None:
    assert is_asked_by_this_machine(host) is here


def test_loopback_is_an_address_and_not_a_name_that_looks_like_one() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "[::1]", "localhost")] == [True] * 4
    assert [is_loopback(host) for host in ("0.0.0.0", "::", "127.0.0.1.example.com", "")] == [False] * 4  # noqa: S104


def test_the_setting_goes_before_the_key_of_the_home(tmp_path: Path) -> None:
    assert own_key(load_settings(home=tmp_path, api_key="a long enough key")) == "a long enough key"
    assert own_key(load_settings(home=tmp_path)) == (tmp_path / "service.key").read_text()


def test_what_spark_is_told_in_secret_lies_in_a_file_only_while_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYSPARK_SUBMIT_ARGS", raising=False)
    file = tmp_path / "a home" / "spark.properties"

    with _told_by_a_file(file, {"spark.hadoop.fs.s3a.secret.key": "a=b:c \\d\n"}):
        written, mode, arguments = file.read_text(), file.stat().st_mode & 0o777, os.environ["PYSPARK_SUBMIT_ARGS"]

    assert written == "spark.hadoop.fs.s3a.secret.key=a\\u003db\\u003ac\\u0020\\u005cd\\u000a\n"
    assert mode == 0o600
    assert arguments == f"--load-spark-defaults --properties-file '{file}' pyspark-shell"
    assert not file.exists()
    assert "PYSPARK_SUBMIT_ARGS" not in os.environ


def test_without_a_secret_spark_is_started_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYSPARK_SUBMIT_ARGS", raising=False)

    with _told_by_a_file(tmp_path / "spark.properties", {}):
        assert "PYSPARK_SUBMIT_ARGS" not in os.environ
    assert list(tmp_path.iterdir()) == []
