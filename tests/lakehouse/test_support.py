"""The bundle for whoever is asked for help: what is in it, and that no secret is."""

from __future__ import annotations

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.api_keys import add, make, service_key
from lakehouse.embedded.secrets import load_secrets
from lakehouse.embedded.stack import plan_servers
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.masks import masked, secrets_of
from lakehouse.settings import Settings, load_settings
from lakehouse.support import write

LOGIN = """
[auth]
redirect_uri = "http://localhost:8501/oauth2callback"
cookie_secret = "of-the-cookie"
[auth.work]
client_id = "lakehouse"
client_secret = "of-the-client"
"""

OF_THE_SETTINGS = (
    "of-the-owner:/@",
    "of-kafka-0815",
    "a long enough key",
    "t0ken-of-the-hook",
    "of-the-bucket",
    "of-the-cookie",
    "of-the-client",
)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    login = tmp_path / "login.toml"
    login.write_text(LOGIN)
    return load_settings(
        home=tmp_path / "home",
        kafka_bootstrap="kafka:9093",
        kafka_security_protocol="SASL_SSL",
        kafka_username="shop",
        kafka_password="of-kafka-0815",
        postgres_dsn="postgresql://lakehouse_owner:of-the-owner%3A%2F%40@db:5432/lakehouse?sslmode=verify-full",
        api_key="a long enough key",
        quality_webhook="https://hooks.example.com/t0ken-of-the-hook",
        spark_conf={"spark.hadoop.fs.s3a.secret.key": "of-the-bucket", "spark.cores.max": "4"},
        dashboard_login_file=login,
        dashboard_users="@example.com",
    )


@pytest.fixture
def home(settings: Settings) -> Home:
    """A home that knows secrets, whose logs name each of them."""
    made = Home(settings.home).make()
    endpoints = plan_servers(settings, made, frozenset({"kafka", "postgres"})).endpoints
    endpoints.save(made)
    key, kept = make(["read"], "of a test", None, datetime.now(UTC))
    add(made, kept)
    words = [*OF_THE_SETTINGS, *vars(load_secrets(made)).values(), service_key(made), key]
    lines = [
        *words,
        endpoints.postgres_writer,
        str(settings.postgres_dsn),
        'required password="said \\" by a stranger";',
    ]
    (made.logs / "writer.log").write_text("the end\n".join(lines))
    (made.logs / "replay-rejects-1.jsonl").write_text("of users")
    return made


def test_no_secret_that_the_home_knows_is_in_any_file(settings: Settings, home: Home, tmp_path: Path) -> None:
    out = tmp_path / "support.zip"
    known = secrets_of(settings, home)

    names = write(settings, home, out)

    assert set(OF_THE_SETTINGS) <= known
    assert len(known) >= len(OF_THE_SETTINGS) + 4
    with zipfile.ZipFile(out) as bundle:
        files = {name: bundle.read(name).decode() for name in bundle.namelist()}
    assert list(files) == names == ["settings.json", "versions.json", "status.json", "logs/writer.log"]
    for name, text in files.items():
        assert [secret for secret in known if secret in text] == [], name
        assert "by a stranger" not in text
    assert out.stat().st_mode & 0o077 == 0


def test_what_is_needed_is_in_it(settings: Settings, home: Home, tmp_path: Path) -> None:
    write(settings, home, tmp_path / "support.zip")

    with zipfile.ZipFile(tmp_path / "support.zip") as bundle:
        told = {name: json.loads(bundle.read(name)) for name in bundle.namelist() if name.endswith(".json")}
        log = bundle.read("logs/writer.log").decode()
    assert told["settings.json"]["kafka_username"] == "shop"
    assert told["settings.json"]["api_key"] == "…"
    assert told["settings.json"]["spark_conf"] == {"spark.hadoop.fs.s3a.secret.key": "…", "spark.cores.max": "4"}
    assert told["settings.json"]["window_minutes"] == 10
    assert told["versions.json"]["packages"]["pyspark"] == "4.2.0"
    assert told["status.json"]["running"] is False
    assert "the end" in log


def test_a_file_that_is_there_is_left_alone(settings: Settings, home: Home, tmp_path: Path) -> None:
    (tmp_path / "mine.zip").write_text("mine")

    with pytest.raises(LakehouseError, match="there is such a file already"):
        write(settings, home, tmp_path / "mine.zip")
    assert (tmp_path / "mine.zip").read_text() == "mine"


@given(st.text(min_size=4), st.text(), st.text())
def test_no_text_around_a_secret_keeps_its_mask_off(secret: str, before: str, after: str) -> None:
    if secret in before or secret in after or "…" in secret:
        return
    assert secret not in masked(f"{before}{secret}{after}", {secret}).replace("…", "")
