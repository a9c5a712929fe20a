"""What a stack is made of: where its services will answer, and the spec of each."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from lakehouse import jobs
from lakehouse.doors import docs_address, require_key, require_login
from lakehouse.embedded import kafka, postgres
from lakehouse.embedded.environment import child_environment
from lakehouse.embedded.java import find_java
from lakehouse.embedded.ports import LOOPBACK, Door, assign
from lakehouse.embedded.process import RestartPolicy, Service
from lakehouse.embedded.secrets import Secrets, load_secrets
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.obstacles import short_of_disk
from lakehouse.settings import Settings

KAFKA = "kafka"
POSTGRES = "postgres"
MIGRATE = "migrate"
WRITER = "writer"
API = "api"
DASHBOARD = "dashboard"
VALIDATOR = "validator"
SIMULATOR = "simulator"
CHAMPION = "champion"

SERVERS = frozenset({KAFKA, POSTGRES})
"""What a single command may need."""

OWN = (MIGRATE, WRITER, API, DASHBOARD, VALIDATOR, SIMULATOR, CHAMPION)
"""The project's own services: `lakehouse run` runs each of them on its own."""

BESIDE_THE_STREAM = 5
"""The niceness of what judges or learns: on a machine that starts, or has more to do than it can, events come first."""


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything is started."""

    endpoints: Endpoints
    services: tuple[Service, ...]


def plan_servers(settings: Settings, home: Home, need: frozenset[str]) -> Plan:
    """Kafka, Postgres or both, as far as ``need`` names them and the settings name none of their own.

    An address that is not needed is the empty string. Raises LakehouseError where a port is taken.
    """
    need = _embedded(settings, need)
    ports = assign(_doors(settings, need))
    endpoints = _endpoints(settings, home, ports)
    return Plan(endpoints, tuple(_servers(settings, home, need, ports, endpoints)))


def plan_stack(settings: Settings, home: Home, simulate: bool) -> Plan:
    """The full stack. Raises LakehouseError where a port is taken, disk is short, or a key or a login is needed."""
    require_disk(settings, home)
    require_key(settings)
    require_login(settings)
    need = _embedded(settings, SERVERS)
    doors = {API, DASHBOARD} | ({VALIDATOR} if settings.quality_validator else set())
    ports = assign(_doors(settings, need | doors))
    endpoints = _endpoints(settings, home, ports)
    services = list(_servers(settings, home, need | {MIGRATE}, ports, endpoints))
    own = _own(settings, home, endpoints, tuple({KAFKA} & need))
    chosen = [WRITER, API, DASHBOARD]
    if settings.model_file is None and not home.champion.exists():
        chosen.append(CHAMPION)
    if simulate:
        chosen.append(SIMULATOR)
    services += [own[name]() for name in chosen]
    policy = RestartPolicy(limit=settings.service_restarts)
    services = [replace(service, restart=policy) for service in services]
    if settings.quality_validator:
        services.append(own[VALIDATOR]())
    return Plan(endpoints, tuple(services))


def plan_service(settings: Settings, home: Home, name: str) -> Plan:
    """One of `OWN`, as the stack would run it, beside a Kafka and a Postgres that the settings name.

    Raises LakehouseError where they name none, or give a door no fixed port.
    """
    missing = [server for server in ("kafka_bootstrap", "postgres_dsn") if not getattr(settings, server)]
    if missing:
        raise LakehouseError(
            f"run {name}: a service on its own needs a Kafka and a Postgres that are there; set "
            f"{' and '.join(f'LAKEHOUSE_{server.upper()}' for server in missing)}, or start everything with "
            "`lakehouse up`"
        )
    here = _endpoints(settings, home, _fixed_ports(settings))
    service = _own(settings, home, here, ())[name]()
    quality = here.quality if settings.quality_validator else ""
    return Plan(replace(here, api=settings.api_url or here.api, quality=quality), (service,))


def health_check(settings: Settings, home: Home, name: str) -> Callable[[], bool] | None:
    """What the stack asks of the service of `OWN` with this name where it runs on this machine; None: nothing."""
    return _check(name, home, _door_addresses(settings, _fixed_ports(settings)))


def _fixed_ports(settings: Settings) -> dict[str, int]:
    """Of the doors, each said by its setting: whoever looks from another machine could not know a port picked here."""
    ports = {API: settings.api_port, DASHBOARD: settings.dashboard_port, VALIDATOR: settings.quality_port}
    names = {API: "API_PORT", DASHBOARD: "DASHBOARD_PORT", VALIDATOR: "QUALITY_PORT"}
    if unknown := [names[name] for name, port in ports.items() if port == 0]:
        raise LakehouseError(
            f"LAKEHOUSE_{unknown[0]}=0: a service on its own needs a port that the others know; name one"
        )
    return ports


def plan_writer(settings: Settings, home: Home) -> Plan:
    """What a writer needs that runs by itself: the migrations, and where the servers that the settings name answer.

    Raises LakehouseError where they name none.
    """
    for name, server in (("kafka_bootstrap", "Kafka"), ("postgres_dsn", "Postgres")):
        if not getattr(settings, name):
            raise LakehouseError(f"a writer by itself needs {server} of your own; name it by LAKEHOUSE_{name.upper()}")
    endpoints = _endpoints(settings, home, {})
    return Plan(endpoints, tuple(_servers(settings, home, frozenset({MIGRATE}), {}, endpoints)))


def require_disk(settings: Settings, home: Home) -> None:
    """Raises LakehouseError where the disk of the home has less left than the setting min_free_disk_mb."""
    short = short_of_disk(home.root, settings.min_free_disk_mb)
    if short is not None:
        raise LakehouseError(f"{short}; free some, move the home (LAKEHOUSE_HOME) or lower the setting")


def _embedded(settings: Settings, need: Iterable[str]) -> frozenset[str]:
    """``need`` less what runs elsewhere."""
    elsewhere = {KAFKA: settings.kafka_bootstrap, POSTGRES: settings.postgres_dsn}
    return frozenset(name for name in need if not elsewhere[name])


def _doors(settings: Settings, services: frozenset[str]) -> list[Door]:
    doors = [
        Door(KAFKA, "LAKEHOUSE_KAFKA_PORT", LOOPBACK, settings.kafka_port),
        Door(POSTGRES, "LAKEHOUSE_POSTGRES_PORT", LOOPBACK, settings.postgres_port),
        Door(API, "LAKEHOUSE_API_PORT", settings.bind_address, settings.api_port),
        Door(DASHBOARD, "LAKEHOUSE_DASHBOARD_PORT", settings.bind_address, settings.dashboard_port),
        Door(VALIDATOR, "LAKEHOUSE_QUALITY_PORT", docs_address(settings), settings.quality_port),
    ]
    chosen = [door for door in doors if door.service in services]
    if KAFKA in services:
        chosen.append(Door("kafka controller", "", LOOPBACK, 0))
    return chosen


def _endpoints(settings: Settings, home: Home, ports: dict[str, int]) -> Endpoints:
    secrets = load_secrets(home)
    return Endpoints(
        kafka=settings.kafka_bootstrap or (f"{LOOPBACK}:{ports[KAFKA]}" if KAFKA in ports else ""),
        **_postgres_addresses(settings, secrets, ports.get(POSTGRES)),
        **_door_addresses(settings, ports),
    )


def _door_addresses(settings: Settings, ports: dict[str, int]) -> dict[str, str]:
    """Where the doors answer on this machine, by their names in Endpoints; empty for one that is not opened."""
    hosts = {API: settings.bind_address, DASHBOARD: settings.bind_address, VALIDATOR: docs_address(settings)}
    names = {API: "api", DASHBOARD: "dashboard", VALIDATOR: "quality"}
    return {
        names[door]: f"http://{_visible(host)}:{ports[door]}" if door in ports else "" for door, host in hosts.items()
    }


def _postgres_addresses(settings: Settings, secrets: Secrets, port: int | None) -> dict[str, str]:
    roles = {postgres.WRITER: secrets.postgres_writer, postgres.READER: secrets.postgres_reader}
    if settings.postgres_dsn:
        owner = settings.postgres_dsn
        return {
            "postgres_owner": owner,
            "postgres_writer": postgres.as_role(owner, postgres.WRITER, roles[postgres.WRITER]),
            "postgres_reader": postgres.as_role(owner, postgres.READER, roles[postgres.READER]),
        }
    if port is None:
        return dict.fromkeys(("postgres_owner", "postgres_writer", "postgres_reader"), "")
    return {
        "postgres_owner": postgres.dsn(postgres.OWNER, secrets.postgres_owner, LOOPBACK, port),
        "postgres_writer": postgres.dsn(postgres.WRITER, roles[postgres.WRITER], LOOPBACK, port),
        "postgres_reader": postgres.dsn(postgres.READER, roles[postgres.READER], LOOPBACK, port),
    }


def _visible(address: str) -> str:
    """The host to show and to ask: where the doors listen on every address, loopback is one of them."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(address, address)  # noqa: S104
    return f"[{host}]" if ":" in host else host


def _servers(
    settings: Settings, home: Home, need: frozenset[str], ports: dict[str, int], endpoints: Endpoints
) -> Iterable[Service]:
    if KAFKA in need:
        java = find_java(settings)
        yield kafka.kafka_service(settings, home, java, ports[KAFKA], ports["kafka controller"])
    if POSTGRES in need:
        yield postgres.postgres_service(home, ports[POSTGRES], load_secrets(home).postgres_owner)
    if need & {POSTGRES, MIGRATE} and endpoints.postgres_owner:
        yield _migrate(settings, after=tuple({POSTGRES} & need))


def _own(
    settings: Settings, home: Home, endpoints: Endpoints, kafka_first: tuple[str, ...]
) -> dict[str, Callable[[], Service]]:
    """What makes the spec of each of `OWN`; ``kafka_first`` is Kafka's name where it is started here too."""
    addresses = {"api": endpoints.api, "dashboard": endpoints.dashboard, "quality": endpoints.quality}

    def healthy(name: str) -> Callable[[], bool]:
        return _check(name, home, addresses) or _always

    return {
        MIGRATE: lambda: _migrate(settings),
        WRITER: lambda: _writer(settings, healthy(WRITER)),
        API: lambda: _api(settings, healthy(API)),
        DASHBOARD: lambda: _dashboard(settings, endpoints, healthy(DASHBOARD)),
        VALIDATOR: lambda: _validator(settings, healthy(VALIDATOR)),
        SIMULATOR: lambda: _python(SIMULATOR, ("-m", "producer.live"), settings, after=kafka_first),
        CHAMPION: lambda: _first_champion(settings),
    }


def _check(name: str, home: Home, addresses: Mapping[str, str]) -> Callable[[], bool] | None:
    """``addresses`` are those of `_door_addresses`."""
    if name == WRITER:
        return _answers_jobs(home)
    paths = {
        API: f"{addresses['api']}/healthz",
        DASHBOARD: f"{addresses['dashboard']}/_stcore/health",
        VALIDATOR: addresses["quality"],
    }
    return _answers_http(paths[name]) if name in paths else None


def _always() -> bool:
    return True


def _migrate(settings: Settings, after: tuple[str, ...] = ()) -> Service:
    return _python(MIGRATE, ("-m", "serving.migrate"), settings, after=after, task=True)


def _writer(settings: Settings, healthy: Callable[[], bool]) -> Service:
    """Not after Kafka: by the time Spark is there so is the broker, and where not, bronze alone waits for it."""
    service = _python(
        WRITER,
        ("-m", "lakehouse.writer"),
        settings,
        healthy=healthy,
        after=(MIGRATE,),
        env={"JAVA_HOME": str(find_java(settings).home)},
        stop_timeout_s=20.0,
    )
    return replace(service, uses=(KAFKA,))


def _api(settings: Settings, healthy: Callable[[], bool]) -> Service:
    return _python(
        API,
        ("-m", "serving.api"),
        settings,
        healthy=healthy,
        after=(MIGRATE,),
        env={"OMP_NUM_THREADS": "1"},  # a score of one row by several threads takes longer, and now and then 1 s
    )


def _dashboard(settings: Settings, endpoints: Endpoints, healthy: Callable[[], bool]) -> Service:
    package = find_spec("dashboard")
    if package is None or not package.submodule_search_locations:
        raise LakehouseError("the package `dashboard` is not installed; reinstall the project")
    address = urlsplit(endpoints.dashboard)
    options = {
        "server.address": settings.bind_address,
        "server.port": str(address.port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "type",  # all of it is in the log; a viewer is shown neither paths nor code
        "server.maxUploadSize": "1",  # MB; no page takes a file
    }
    if settings.dashboard_login_file is not None:
        options["secrets.files"] = str(settings.dashboard_login_file)
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    app = Path(package.submodule_search_locations[0]) / "app.py"
    return _python(
        DASHBOARD,
        ("-m", "streamlit", "run", str(app), *arguments),
        settings,
        healthy=healthy,
        after=(MIGRATE,),
    )


def _first_champion(settings: Settings) -> Service:
    """Gives a new home a model of simulated history; nobody waits for it."""
    one_thread = {"OMP_NUM_THREADS": "1"}
    service = _python(CHAMPION, ("-m", "ml.first_champion"), settings, env=one_thread, task=True)
    return replace(service, background=True, niceness=BESIDE_THE_STREAM)


def _validator(settings: Settings, healthy: Callable[[], bool]) -> Service:
    """Beside the stream, which goes on however often this one dies."""
    service = _python(
        VALIDATOR,
        ("-m", "quality.validator"),
        settings,
        healthy=healthy,
        after=(WRITER,),
        env=dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1"),
    )
    forgiven = RestartPolicy(limit=sys.maxsize, max_backoff_s=60.0)
    return replace(service, restart=forgiven, niceness=BESIDE_THE_STREAM)


def _python(
    name: str,
    arguments: tuple[str, ...],
    settings: Settings,
    *,
    healthy: Callable[[], bool] = _always,
    after: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
    task: bool = False,
    stop_timeout_s: float = 10.0,
) -> Service:
    """A service of the project's own, in this interpreter."""
    return Service(
        name=name,
        argv=(sys.executable, *arguments),
        healthy=healthy,
        after=after,
        env={**child_environment(settings), **(env or {})},
        task=task,
        stop_timeout_s=stop_timeout_s,
    )


def _answers_jobs(home: Home) -> Callable[[], bool]:
    """A health check: the writer answers a job, so that its Spark session is there."""

    def check() -> bool:
        try:
            return bool(jobs.call(home, "ping", timeout_s=2.0) == "pong")
        except (LakehouseError, OSError):
            return False

    return check


def _answers_http(url: str) -> Callable[[], bool]:
    """A health check: a GET is answered with 200."""

    def check() -> bool:
        try:
            # Loopback or an address of this machine: no proxy has a say in it.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(url, timeout=2.0) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return check
