"""Every setting of the project, in one frozen object that is built once and passed down.

Sources, strongest first: command-line options, environment variables (``LAKEHOUSE_`` and the name in
capitals), a ``.env`` file in the working directory, and the file that ``LAKEHOUSE_CONFIG`` names
(``.toml``, ``.yaml`` or ``.yml``; default: ``lakehouse.toml`` in the working directory, if there). A secret may also
lie in a file that ``LAKEHOUSE_<NAME>_FILE`` names.
"""

from __future__ import annotations

import os
import re
import shlex
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
    YamlConfigSettingsSource,
)

from lakehouse import faultpoints
from lakehouse.contracts import PIPELINE, SilverEvents
from lakehouse.errors import LakehouseError

KNOWN_TYPES = (
    "view",
    "add_to_cart",
    "purchase",
    "session_start",
    "begin_checkout",
    "remove_from_cart",
    "search",
)

DIMENSION_COLUMNS = (SilverEvents.product_id, SilverEvents.category, SilverEvents.currency)
"""Columns of events that sessions may be told apart by; whatever else is one is a property."""


def check_dimension(name: str) -> None:
    """Raises ValueError unless sessions can be told apart by ``name``: a property, or one of `DIMENSION_COLUMNS`."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", name):
        raise ValueError(f"{name!r} is no name of letters, digits and underscores")
    if name in SilverEvents.columns() and name not in DIMENSION_COLUMNS:
        raise ValueError(f"{name} is no dimension; of the columns {', '.join(DIMENSION_COLUMNS)} are")


SECRET = frozenset({"api_key", "kafka_password", "postgres_dsn", "quality_webhook"})
"""Settings that no message shows, and that a file may hold (see `SECRET_FILES`)."""

SECRET_FILES = {f"LAKEHOUSE_{name.upper()}_FILE": name for name in SECRET}
"""The variable that names a file with the secret, as containers are given theirs, and the setting that it is of."""

Port = Annotated[int, Field(ge=0, le=65535)]
KafkaProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"]


class Settings(BaseSettings):
    """What a run of the lakehouse is told. Times are in UTC; durations carry their unit in the name."""

    model_config = SettingsConfigDict(
        env_prefix="LAKEHOUSE_", env_file=".env", frozen=True, extra="forbid", validate_default=True
    )

    home: Path = Field(Path(".lakehouse"), description="Folder that holds all state: tables, checkpoints, logs.")

    # Kafka
    kafka_bootstrap: str | None = Field(
        None, description="HOST:PORT of a Kafka of your own; without it a broker is run under the home."
    )
    kafka_port: Port = Field(19092, description="Port of the embedded broker; 0 picks a free one.")
    kafka_security_protocol: KafkaProtocol = Field(
        "PLAINTEXT", description="How a Kafka of your own is spoken to; docs/security.md."
    )
    kafka_sasl_mechanism: SaslMechanism = Field(
        "SCRAM-SHA-512", description="How the password is proved where the protocol begins with SASL."
    )
    kafka_username: str | None = Field(None, min_length=1, description="User of Kafka, where the protocol is SASL.")
    kafka_password: SecretStr | None = Field(
        None, min_length=1, description="That user's password; better in the file LAKEHOUSE_KAFKA_PASSWORD_FILE."
    )
    kafka_ca_file: Path | None = Field(
        None, description="Certificates (PEM) that Kafka's must be signed by; default: those the machine trusts."
    )
    topic: str = Field("user_events", pattern=r"^[A-Za-z0-9._-]{1,249}$", description="Topic of the events.")
    topic_partitions: int = Field(4, ge=1, le=1000, description="Partitions, when the topic is made.")
    topic_retention_hours: int = Field(168, ge=1, description="How long Kafka keeps an event.")

    # Postgres
    postgres_dsn: str | None = Field(
        None,
        repr=False,
        description="postgresql:// address of a server of your own, as an owner who may create roles; "
        "without it PostgreSQL is run under the home.",
    )
    postgres_port: Port = Field(15432, description="Port of the embedded PostgreSQL; 0 picks a free one.")
    raw_events_days: int = Field(30, ge=1, description="Days that Postgres keeps raw events, by the day received.")
    churn_history_days: int = Field(90, ge=1, description="Days that Postgres keeps a user's earlier churn scores.")

    # Doors
    bind_address: str = Field(
        "127.0.0.1", description="Address that the API, the dashboard and the Data Docs listen on."
    )
    api_port: Port = Field(8000, description="Port of the REST API; 0 picks a free one.")
    dashboard_port: Port = Field(8501, description="Port of the dashboard; 0 picks a free one.")
    api_key: SecretStr | None = Field(
        None,
        min_length=8,
        description="A key that opens all of the API; where bind_address is other than loopback, this or "
        "`lakehouse api-key create` is needed.",
    )
    api_requests_per_minute: int = Field(
        6_000,
        ge=0,
        description="Requests that one key, or one address without a key, may make of the API; 0: no limit.",
    )
    api_url: str | None = Field(
        None,
        pattern=r"^https?://[^/\s]+$",
        description="http:// address at which services on other machines reach the API (`lakehouse run`); default: "
        "this machine's.",
    )
    metrics_port: Port = Field(0, description="Port of the writer's metrics, for Prometheus; 0: none.")
    api_max_body_mb: int = Field(8, ge=1, description="Largest body, in MB, that the API takes.")
    api_max_batch_rows: int = Field(50_000, ge=1, description="Most rows of one batch that the API scores.")
    model_file: Path | None = Field(
        None, description="File of the churn model that the API serves; default: the champion under the home."
    )
    dashboard_refresh_s: float = Field(15.0, ge=1, description="Seconds between two refreshes of a panel.")
    dashboard_login_file: Path | None = Field(
        None, description="TOML file with [auth], as Streamlit has it: people log in by OpenID Connect."
    )
    dashboard_users: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Who may come in after the login, comma-separated: e-mail addresses, or @domain; needed for it.",
    )
    dashboard_guarded: bool = Field(
        False,
        description="Says that something else (a proxy with a login, a port published on loopback only) decides who "
        "reaches the dashboard and the Data Docs.",
    )

    # Spark
    spark_master: str = Field("local[2]", description="Spark master; local[N] runs it in the writer's process.")
    spark_driver_memory: str = Field("1g", pattern=r"^[1-9][0-9]*[mg]$", description="Heap of the Spark driver.")
    spark_conf: dict[str, str] = Field({}, repr=False, description="Further Spark settings, as a JSON object.")
    spark_python: str | None = Field(
        None, description="Python of Spark's workers; default: the writer's own, on a cluster python3 of each node."
    )
    spark_wheel: Path | None = Field(
        None, description="Wheel of the project that a cluster's workers are sent; without it they need it installed."
    )
    java_home: Path | None = Field(None, description="A Java 17 or 21; default: JAVA_HOME, PATH, the bundled one.")
    cache: Path | None = Field(None, description="Folder of jars and first champions; default: in the user's cache.")
    maven_repository: str | None = Field(None, description="Root of a Maven mirror, default: Maven Central.")

    # Streams
    max_events_per_batch: int = Field(200_000, ge=1, description="Most events that one micro-batch takes.")
    max_bytes_per_batch: str = Field("256m", pattern=r"^[1-9][0-9]*[kmg]$", description="Most bytes of table files.")
    round_interval_s: float = Field(1.5, ge=0, description="Least seconds from one round's start to the next.")
    commit_engine: Literal["auto", "spark", "delta-rs"] = Field(
        "auto", description="Who commits: auto lets delta-rs do it where Spark is local and the batch is small."
    )
    delta_rs_max_rows: int = Field(500_000, ge=1, description="Largest batch that delta-rs commits under auto.")
    time_travel_hours: float = Field(8.0, gt=0, description="How far back every version of a table can be read.")
    log_files_ceiling: int = Field(20_000, ge=100, description="Most log files of a table within that time.")

    # Maintenance (between rounds; lakehouse maintain)
    compact_files: int = Field(32, ge=2, description="More small files than this in a partition are put together.")
    maintain_interval_minutes: float = Field(
        60.0, ge=0, description="How often files and commits that have expired are removed; 0: only by `maintain`."
    )
    gold_snapshot_days: int = Field(
        30, ge=0, description="For how many days back gold is kept as of the end of each day; 0: no daily snapshots."
    )

    # The event contract
    event_types: Annotated[tuple[str, ...], NoDecode] = Field(
        KNOWN_TYPES, description="Known event types, comma-separated; any other is refused as unknown_type."
    )
    identity: Literal["content", "coordinates"] = Field(
        "content", description="What makes an event without event_id one: equal content, or its place in Kafka."
    )
    oldest_event_time: str = Field(
        "2000-01-01",
        description="Events before this day, or moment in ISO 8601, are refused; in UTC where it names no zone.",
    )
    future_tolerance_minutes: float = Field(
        60.0, ge=0, description="How far an event's time may lie after the broker's before it is refused."
    )
    max_event_bytes: int = Field(262_144, ge=256, description="Largest event taken; a larger one is refused.")

    # Gold
    window_minutes: int = Field(10, ge=1, le=1440, description="Length of a funnel window; divides a day.")
    allowed_lateness_minutes: float = Field(
        60.0, ge=0, description="How far the watermark stays behind the newest event; it only makes windows final."
    )
    watermark_max_step_hours: float = Field(
        24.0, gt=0, description="A longer jump of the watermark needs events of several users."
    )
    watermark_step_users: int = Field(3, ge=1, description="How many users such a jump needs.")
    session_ids_cap: int = Field(1_000, ge=1, description="Most session ids kept for a user's window.")

    # Sessions
    funnel_dimensions: Annotated[tuple[str, ...], NoDecode] = Field(
        ("category", "device", "country"),
        max_length=5,
        description="What sessions and users are told apart by, comma-separated, at most 5: product_id, category, "
        "currency, or a property of events.",
    )
    funnel_steps_cap: int = Field(
        100, ge=1, description="Most times of add_to_cart, and of purchase, kept for a session's day."
    )
    funnel_values_cap: int = Field(
        50, ge=1, description="Most values of a dimension that are shown apart; the others count together."
    )

    # Churn
    churn_lookback_days: int = Field(30, ge=1, description="Days that the counts of a user's churn features are of.")
    churn_interval_s: float = Field(
        5.0, ge=0, description="Least seconds from one update of users' days, churn features and sessions to the next."
    )
    churn_refresh_hours: float = Field(
        24.0, gt=0, description="Users who did not act get new features once the watermark has come so far."
    )
    churn_segment_property: str = Field(
        "device",
        pattern=r"^[A-Za-z0-9_]*$",
        description="Property of events by whose values `lakehouse train` judges users apart; empty for none.",
    )

    # Retention
    cohorts_interval_s: float = Field(
        300.0, ge=0, description="Least seconds from one update of cohorts, which reads all users' days, to the next."
    )

    # Quality
    quality_validator: bool = Field(True, description="Whether `up` runs the validator, which judges new rows.")
    quality_interval_s: float = Field(
        30.0, gt=0, description="Seconds from one look of the validator at the tables to the next."
    )
    quality_mirrors_interval_s: float = Field(
        300.0, gt=0, description="Seconds from one comparison of the mirrors with their tables to the next."
    )
    quality_max_rows: int = Field(200_000, ge=1, description="Most rows that the validator judges at once.")
    quality_gates: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Tables, comma-separated, that the layers after them read only as far as they were judged."
    )
    quality_webhook: str | None = Field(
        None,
        pattern=r"^https?://",
        repr=False,
        description="URL that is sent each alarm and halt, and when it is over, as JSON.",
    )
    quality_command: str | None = Field(
        None,
        description="Command run for each alarm and halt, and when it is over, without a shell; it reads them as JSON.",
    )
    quality_days: int = Field(30, ge=1, description="Days that verdicts are kept, in Delta and in Postgres.")
    quality_port: Port = Field(8502, description="Port of Great Expectations' Data Docs; 0 picks a free one.")

    # Simulator (lakehouse up, lakehouse produce)
    simulator_rate: float = Field(20.0, ge=0, description="Events/s that `up` simulates.")
    simulator_seed: int = Field(7, description="Seed of the simulator.")
    simulator_users: int = Field(2_000, ge=1, description="Users that the simulator knows.")
    simulator_late_share: float = Field(0.01, ge=0, le=1, description="Share of events sent up to a day late.")
    simulator_duplicate_share: float = Field(0.01, ge=0, le=1, description="Share of events sent twice.")
    simulator_malformed_share: float = Field(0.002, ge=0, le=1, description="Share of events made unreadable.")
    simulator_future_share: float = Field(0.001, ge=0, le=1, description="Share of events set in the far future.")

    # What is too much
    stage_attempts: int = Field(
        8, ge=1, description="How often a stage is tried again at the same place before it stops; outages do not count."
    )
    quarantine_ceiling: float = Field(
        0.25, ge=0, le=1, description="Share of the newest events above which refusals raise an alarm."
    )
    quarantine_window_events: int = Field(1_000, ge=1, description="Newest events that the share is taken of.")
    quarantine_stops: bool = Field(False, description="Whether such an alarm stops bronze until it is over.")

    # Quality (docs/quality.md)
    quality_suites: Path | None = Field(None, description="Folder of Python files with expectations of your own.")
    quality_full_rows: int = Field(
        1_000_000, ge=1, description="Most rows of a table that are judged at once; a larger one is judged in parts."
    )
    quality_freshness_minutes: float = Field(
        10.0, gt=0, description="How long no event may come, and how long a layer may leave one waiting."
    )
    quality_clock_skew_seconds: float = Field(
        120.0, ge=0, description="How far ahead of the broker's clock the clocks of producers may be."
    )
    quality_late_share: float = Field(0.2, ge=0, le=1, description="Largest share of events that come late.")
    quality_refused_share: float = Field(0.05, ge=0, le=1, description="Largest share of messages that are refused.")
    quality_duplicate_share: float = Field(0.1, ge=0, le=1, description="Largest share of messages that are copies.")
    quality_change_factor: float = Field(
        3.0, gt=1, description="How many times more or fewer events of a type, or in an hour, may come than usual."
    )
    quality_history_days: int = Field(14, ge=3, description="Days that the usual is taken from.")
    quality_docs_kept: int = Field(5, ge=1, description="Runs of each suite that Data Docs keep.")

    # Operation
    start_timeout_s: float = Field(120.0, gt=0, description="Longest wait for one service to become healthy.")
    min_free_disk_mb: int = Field(
        500, ge=0, description="With less free disk `up` refuses to start, and every stage waits."
    )
    log_max_mb: int = Field(20, ge=1, description="A service's log is rotated beyond this size.")
    service_restarts: int = Field(
        5, ge=0, description="How often a service that dies is brought back within five minutes before `up` stops."
    )
    fault_point: str | None = Field(
        None, description="For tests: a point at which a process kills itself, NAME or NAME:N; docs/reliability.md."
    )

    _config_file: ClassVar[Path | None] = None

    @field_validator("event_types", "quality_gates", "funnel_dimensions", "dashboard_users", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("home", mode="after")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("oldest_event_time")
    @classmethod
    def _a_day_or_a_moment(cls, value: str) -> str:
        datetime.fromisoformat(value)  # its message names the value
        return value

    @property
    def oldest_moment(self) -> datetime:
        """``oldest_event_time`` with its zone: UTC where it names none, whatever the machine's is."""
        moment = datetime.fromisoformat(self.oldest_event_time)
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

    @field_validator("fault_point")
    @classmethod
    def _known_point(cls, value: str | None) -> str | None:
        if value is not None:
            faultpoints.parse(value)
        return value

    @field_validator("kafka_ca_file", "dashboard_login_file")
    @classmethod
    def _a_file_that_is_there(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        file = value.expanduser().resolve()  # children run in other folders
        if not file.is_file():
            raise ValueError("there is no such file")
        return file

    @field_validator("kafka_ca_file")
    @classmethod
    def _certificates(cls, value: Path | None) -> Path | None:
        if value is not None:
            try:
                ssl.create_default_context(cafile=str(value))
            except OSError:  # ssl's own errors are some of these
                raise ValueError("the file holds no certificates in PEM, or cannot be read") from None
        return value

    @field_validator("dashboard_users")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not re.fullmatch(r"[^@\s]*@[^@\s]+", each):
                raise ValueError(f"{each} is neither an e-mail address nor @domain")
        return tuple(each.lower() for each in value)

    @field_validator("quality_command")
    @classmethod
    def _a_command(cls, value: str | None) -> str | None:
        if value is not None and not shlex.split(value):  # its own message names an open quotation mark
            raise ValueError("must name a program")
        return value

    @field_validator("quality_gates")
    @classmethod
    def _known_tables(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [table.name for table in PIPELINE]
        for name in value:
            if name not in names:
                raise ValueError(f"there is no table {name}; there are {', '.join(names)}")
        return value

    @field_validator("funnel_dimensions")
    @classmethod
    def _told_by_content(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            check_dimension(name)
            if value.count(name) > 1:
                raise ValueError(f"{name} is named twice")
        return value

    @field_validator("window_minutes")
    @classmethod
    def _divides_a_day(cls, value: int) -> int:
        if 1440 % value:
            raise ValueError("must divide a day: 1, 2, 5, 10, 15, 20, 30, 60 … minutes")
        return value

    @model_validator(mode="after")
    def _kafka_can_be_spoken_to(self) -> Settings:
        protocol, names = self.kafka_security_protocol, ("kafka_username", "kafka_password")
        if protocol != "PLAINTEXT" and self.kafka_bootstrap is None:
            raise ValueError(
                f"kafka_security_protocol={protocol} is for a Kafka of your own, and kafka_bootstrap names none; the "
                "one under the home listens on loopback only"
            )
        given = [name for name in names if getattr(self, name) is not None]
        if protocol.startswith("SASL") and len(given) < len(names):
            missing = next(name for name in names if name not in given)
            raise ValueError(f"kafka_security_protocol={protocol} needs {missing}; set LAKEHOUSE_{missing.upper()}")
        if not protocol.startswith("SASL") and given:
            raise ValueError(f"{given[0]} is of no use with kafka_security_protocol={protocol}; set that to SASL_SSL")
        if protocol == "SASL_PLAINTEXT" and self.kafka_sasl_mechanism == "PLAIN":
            raise ValueError(
                "kafka_sasl_mechanism=PLAIN with SASL_PLAINTEXT would send the password as it is to whoever listens; "
                "use SCRAM-SHA-512, or SASL_SSL"
            )
        if not protocol.endswith("SSL") and self.kafka_ca_file is not None:
            raise ValueError(
                f"kafka_ca_file is of no use with kafka_security_protocol={protocol}, which has no TLS; set that to "
                "SASL_SSL or SSL"
            )
        return self

    @model_validator(mode="after")
    def _a_login_lets_somebody_in(self) -> Settings:
        if self.dashboard_login_file is not None and not self.dashboard_users:
            raise ValueError(
                "dashboard_login_file without dashboard_users would let in whoever has an account with the provider; "
                "name who may, as ann@example.com or @example.com"
            )
        return self

    @model_validator(mode="after")
    def _gates_have_a_validator(self) -> Settings:
        if self.quality_gates and not self.quality_validator:
            raise ValueError(
                f"quality_gates={','.join(self.quality_gates)} with quality_validator=False would keep the layers "
                "after them waiting for ever; switch the validator on, or name no gates"
            )
        return self

    @model_validator(mode="after")
    def _log_files_below_ceiling(self) -> Settings:
        # A commit takes 0.18 s with few log files and 2.1 s with 80,000 of them: hence a ceiling.
        if self.round_interval_s > 0:
            files = int(self.time_travel_hours * 3600 / self.round_interval_s)
            if files > self.log_files_ceiling:
                raise ValueError(
                    f"time_travel_hours={self.time_travel_hours:g} at a commit every round_interval_s="
                    f"{self.round_interval_s:g} makes {files:,} log files for each table, above log_files_ceiling="
                    f"{self.log_files_ceiling:,}; shorten the first, lengthen the second or raise the third"
                )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (the library names it)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = cls._config_file
        sources = [init_settings, env_settings, dotenv_settings]
        if file is not None and file.suffix == ".toml":
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=file))
        elif file is not None:
            sources.append(YamlConfigSettingsSource(settings_cls, yaml_file=file))
        return tuple(sources)


def load_settings(**overrides: Any) -> Settings:
    """The settings of this run; ``overrides`` (command-line options) that are None are left out.

    Raises LakehouseError that names each wrong setting, its value and what is allowed.
    """
    named = os.environ.get("LAKEHOUSE_CONFIG")
    file = Path(named) if named else Path("lakehouse.toml")
    if named and not file.is_file():
        raise LakehouseError(f"LAKEHOUSE_CONFIG={named}: there is no such file")
    if named and file.suffix not in {".toml", ".yaml", ".yml"}:
        raise LakehouseError(f"LAKEHOUSE_CONFIG={named}: the name must end in .toml, .yaml or .yml")
    known = {"LAKEHOUSE_CONFIG", *(f"LAKEHOUSE_{name.upper()}" for name in Settings.model_fields), *SECRET_FILES}
    unknown = sorted(name for name in os.environ if name.startswith("LAKEHOUSE_") and name not in known)
    if unknown:
        raise LakehouseError(f"{unknown[0]}: no such setting; docs/settings.md lists them all")
    Settings._config_file = file if file.is_file() else None
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**{**_secrets_in_files(), **given})
    except ValidationError as error:
        raise LakehouseError(_explain(error)) from None
    except (ValueError, yaml.YAMLError) as error:  # no TOML or YAML in the file, or no JSON in a variable
        raise LakehouseError(f"the settings could not be read: {error}") from None


def _secrets_in_files() -> dict[str, str]:
    """Values of the settings whose secret the environment puts in a file; an end of line there is not part of it.

    Raises LakehouseError where a file cannot be read, is empty, or the setting has a value of its own besides.
    """
    found = {}
    for variable, name in SECRET_FILES.items():
        file = os.environ.get(variable)
        if not file:
            continue
        if os.environ.get(f"LAKEHOUSE_{name.upper()}"):
            raise LakehouseError(f"{variable} and LAKEHOUSE_{name.upper()} are both set; leave one of them out")
        try:
            value = Path(file).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise LakehouseError(
                f"{variable}={file}: the file cannot be read ({reason}); it must hold {name}"
            ) from None
        if not value:
            raise LakehouseError(f"{variable}={file}: the file is empty; it must hold {name}")
        found[name] = value
    return found


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors():
        reason = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            lines.append(reason)
            continue
        name = str(problem["loc"][0])
        field = Settings.model_fields.get(name)
        if field is None:
            lines.append(f"{name}: no such setting; docs/settings.md lists them all")
            continue
        given = "…" if name in SECRET else repr(problem["input"])
        lines.append(f"LAKEHOUSE_{name.upper()}={given}: {reason}. {field.description}")
    return "wrong settings: " + "; ".join(lines)
