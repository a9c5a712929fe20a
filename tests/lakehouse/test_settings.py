"""Where settings come from, which source is the strongest, and what a wrong one is answered with."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakehouse.embedded.environment import child_environment, inherited
from lakehouse.errors import LakehouseError
from lakehouse.settings import KNOWN_TYPES, load_settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no variable of the machine's own."""
    for name in [name for name in os.environ if name.startswith("LAKEHOUSE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_any_source_the_defaults_hold(folder: Path) -> None:
    settings = load_settings()

    assert settings.home == folder / ".lakehouse"
    assert settings.event_types == KNOWN_TYPES
    assert settings.kafka_bootstrap is None


def test_each_source_yields_to_the_stronger_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "lakehouse.toml").write_text('topic = "of_file"\napi_port = 1\nkafka_port = 1\npostgres_port = 1\n')
    (folder / ".env").write_text("LAKEHOUSE_API_PORT=2\nLAKEHOUSE_KAFKA_PORT=2\nLAKEHOUSE_POSTGRES_PORT=2\n")
    monkeypatch.setenv("LAKEHOUSE_KAFKA_PORT", "3")
    monkeypatch.setenv("LAKEHOUSE_POSTGRES_PORT", "3")

    settings = load_settings(postgres_port=4)

    assert (settings.topic, settings.api_port, settings.kafka_port, settings.postgres_port) == ("of_file", 2, 3, 4)


def test_an_option_that_was_not_given_overrides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_TOPIC", "clicks")

    assert load_settings(topic=None).topic == "clicks"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("other.toml", 'event_types = ["view", "purchase"]\n[spark_conf]\n"spark.ui.enabled" = "true"\n'),
        ("other.yaml", "event_types: [view, purchase]\nspark_conf:\n  spark.ui.enabled: 'true'\n"),
        ("other.yml", "event_types: view, purchase\nspark_conf: {spark.ui.enabled: 'true'}\n"),
    ],
)
def test_a_file_may_be_toml_or_yaml(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    (folder / name).write_text(text)
    monkeypatch.setenv("LAKEHOUSE_CONFIG", name)

    settings = load_settings()

    assert settings.event_types == ("view", "purchase")
    assert settings.spark_conf == {"spark.ui.enabled": "true"}


def test_a_file_of_one_run_is_forgotten_by_the_next(folder: Path) -> None:
    file = folder / "lakehouse.toml"
    file.write_text('topic = "clicks"\n')
    assert load_settings().topic == "clicks"
    file.unlink()

    assert load_settings().topic == "user_events"


def test_event_types_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_EVENT_TYPES", "view, rate ,")

    assert load_settings().event_types == ("view", "rate")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("LAKEHOUSE_API_PORT", "70000", "less than or equal to 65535"),
        ("LAKEHOUSE_API_PORT", "eight", "valid integer"),
        ("LAKEHOUSE_COMMIT_ENGINE", "duckdb", "'auto', 'spark' or 'delta-rs'"),
        ("LAKEHOUSE_WINDOW_MINUTES", "7", "must divide a day: 1, 2, 5, 10, 15, 20, 30, 60"),
        ("LAKEHOUSE_SIMULATOR_LATE_SHARE", "1.5", "less than or equal to 1"),
        ("LAKEHOUSE_SPARK_DRIVER_MEMORY", "lots", "[mg]"),
        ("LAKEHOUSE_TOPIC", "user events", "A-Za-z0-9"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(LakehouseError) as refused:
        load_settings()

    told = str(refused.value)
    assert f"{name}='{value}'" in told or f"{name}={value}" in told
    assert allowed in told


def test_all_wrong_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_API_PORT", "-1")
    monkeypatch.setenv("LAKEHOUSE_TOPIC_PARTITIONS", "0")

    with pytest.raises(LakehouseError, match=r"LAKEHOUSE_TOPIC_PARTITIONS=.*LAKEHOUSE_API_PORT="):
        load_settings()


def test_log_files_above_the_ceiling_are_refused_with_the_arithmetic() -> None:
    assert load_settings(time_travel_hours=10, round_interval_s=1.8)  # 10 h · 3600 / 1.8 s: exactly 20,000

    with pytest.raises(LakehouseError) as refused:
        load_settings(time_travel_hours=24, round_interval_s=1.5)

    told = str(refused.value)
    assert "time_travel_hours=24" in told
    assert "57,600 log files" in told
    assert "log_files_ceiling=20,000" in told
    assert load_settings(time_travel_hours=24, round_interval_s=1.5, log_files_ceiling=57_600)


def test_rounds_without_a_pause_are_told_no_ceiling() -> None:
    assert load_settings(time_travel_hours=24, round_interval_s=0).round_interval_s == 0


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_KAKFA_PORT", "9092")

    with pytest.raises(LakehouseError, match="LAKEHOUSE_KAKFA_PORT: no such setting"):
        load_settings()


def test_an_unknown_name_in_a_file_is_refused(folder: Path) -> None:
    (folder / "lakehouse.toml").write_text("kakfa_port = 9092\n")

    with pytest.raises(LakehouseError, match="kakfa_port: no such setting"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("missing.toml", None, "there is no such file"),
        ("settings.ini", "[a]", r"must end in .toml, .yaml or .yml"),
        ("broken.toml", "topic = ", "could not be read"),
        ("broken.yaml", "topic: [", "could not be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str | None, reason: str
) -> None:
    if text is not None:
        (folder / name).write_text(text)
    monkeypatch.setenv("LAKEHOUSE_CONFIG", name)

    with pytest.raises(LakehouseError, match=reason):
        load_settings()


def test_json_in_a_variable_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_SPARK_CONF", "spark.ui.enabled=true")

    with pytest.raises(LakehouseError, match="spark_conf"):
        load_settings()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_the_oldest_event_time_is_in_utc_on_any_machine(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert load_settings().oldest_moment == datetime(2000, 1, 1, tzinfo=UTC)
        at_five = load_settings(oldest_event_time="2020-01-01T00:00-05:00")
        assert at_five.oldest_moment == datetime(2020, 1, 1, 5, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_oldest_event_time_that_is_none_is_refused() -> None:
    with pytest.raises(LakehouseError, match="the year 2000"):
        load_settings(oldest_event_time="the year 2000")


def test_a_secret_may_lie_in_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "password").write_text("between us\n")
    (folder / "dsn").write_text("postgresql://owner:s3cret@db/lakehouse?sslmode=verify-full")
    monkeypatch.setenv("LAKEHOUSE_KAFKA_PASSWORD_FILE", str(folder / "password"))
    monkeypatch.setenv("LAKEHOUSE_POSTGRES_DSN_FILE", str(folder / "dsn"))

    settings = load_settings(kafka_bootstrap="kafka:9093", kafka_security_protocol="SASL_SSL", kafka_username="shop")

    assert settings.kafka_password is not None
    assert settings.kafka_password.get_secret_value() == "between us"
    assert settings.postgres_dsn == "postgresql://owner:s3cret@db/lakehouse?sslmode=verify-full"
    assert {"kafka_password", "postgres_dsn"} <= settings.model_fields_set


@pytest.mark.parametrize(
    ("content", "besides", "reason"),
    [
        (
            None,
            None,
            r"API_KEY_FILE=.*key: the file cannot be read \(No such file .*\); it must hold api_key",
        ),
        ("\n", None, r"API_KEY_FILE=.*key: the file is empty"),
        ("long enough", "long enough", "API_KEY_FILE and LAKEHOUSE_API_KEY are both set"),
    ],
)
def test_a_file_without_the_secret_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, besides: str | None, reason: str
) -> None:
    if content is not None:
        (folder / "key").write_text(content)
    if besides is not None:
        monkeypatch.setenv("LAKEHOUSE_API_KEY", besides)
    monkeypatch.setenv("LAKEHOUSE_API_KEY_FILE", str(folder / "key"))

    with pytest.raises(LakehouseError, match=reason):
        load_settings()


def test_a_child_reads_the_same_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "key").write_text("a long enough key")
    monkeypatch.setenv("LAKEHOUSE_API_KEY_FILE", str(folder / "key"))
    told = child_environment(load_settings(topic="clicks"))

    for name, value in told.items():
        monkeypatch.setenv(name, value)
    child = load_settings()

    assert "LAKEHOUSE_API_KEY" not in told
    assert child.api_key is not None
    assert (child.api_key.get_secret_value(), child.topic) == ("a long enough key", "clicks")


def test_a_server_of_others_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "KAFKA_PASSWORD", "POSTGRES_DSN", "QUALITY_WEBHOOK", "SPARK_CONF"):
        monkeypatch.setenv(f"LAKEHOUSE_{name}", "s3cret")
    monkeypatch.setenv("LAKEHOUSE_TOPIC", "clicks")

    assert inherited()["LAKEHOUSE_TOPIC"] == "clicks"
    assert "s3cret" not in inherited().values()


def test_only_a_secret_may_lie_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEHOUSE_TOPIC_FILE", "/etc/passwd")

    with pytest.raises(LakehouseError, match="LAKEHOUSE_TOPIC_FILE: no such setting"):
        load_settings()


SASL = {"kafka_bootstrap": "kafka:9093", "kafka_username": "shop", "kafka_password": "between us"}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"kafka_security_protocol": "SSL"}, "is for a Kafka of your own, and kafka_bootstrap names none"),
        (
            {"kafka_bootstrap": "kafka:9093", "kafka_username": "shop", "kafka_security_protocol": "SASL_SSL"},
            "needs kafka_password; set LAKEHOUSE_KAFKA_PASSWORD",
        ),
        (SASL, "kafka_username is of no use with kafka_security_protocol=PLAINTEXT"),
        (
            {**SASL, "kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_mechanism": "PLAIN"},
            "would send the password as it is",
        ),
        (
            {"kafka_bootstrap": "kafka:9093", "kafka_ca_file": __file__},
            "KAFKA_CA_FILE=.*no certificates in PEM",
        ),
        ({"kafka_ca_file": "/nowhere/ca.pem"}, "LAKEHOUSE_KAFKA_CA_FILE=.*there is no such file"),
        ({"kafka_security_protocol": "TLS"}, "'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'"),
        ({"dashboard_login_file": __file__}, "would let in whoever has an account with the provider"),
        ({"dashboard_users": "ann"}, "ann is neither an e-mail address nor @domain"),
    ],
)
def test_a_door_that_would_not_lock_is_refused(given: dict[str, str], reason: str) -> None:
    with pytest.raises(LakehouseError, match=reason) as refused:
        load_settings(**given)
    assert "between us" not in str(refused.value)


def test_no_secret_is_shown() -> None:
    shown = repr(
        load_settings(
            **SASL,
            kafka_security_protocol="SASL_SSL",
            postgres_dsn="postgresql://owner:s3cret@db/lakehouse",
            api_key="a long enough key",
            quality_webhook="https://hooks.example.com/t0ken",
            spark_conf={"spark.hadoop.fs.s3a.secret.key": "of the bucket"},
        )
    )

    for secret in ("between us", "s3cret", "a long enough key", "t0ken", "of the bucket"):
        assert secret not in shown
