"""The files under docker/ say what they are to say; no engine is needed. What ran in containers: docs/containers.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from lakehouse.embedded.stack import CHAMPION, MIGRATE, OWN
from lakehouse.metrics import WriterFigures
from lakehouse.settings import SECRET_FILES, Settings, load_settings
from serving.champion import Champion
from serving.metrics import Metrics

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
IMAGE = "interaction-lakehouse:0.1.0"
TASKS = {MIGRATE, CHAMPION}
PINNED = re.compile(r"[a-z0-9./-]+:[\w.-]*\d+\.[\w.-]+@sha256:[0-9a-f]{64}")


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A linter of the development environment."""
    return subprocess.run(
        [Path(sys.executable).with_name(name), *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    return document


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(compose["services"])


def test_the_compose_file_is_one_by_the_specification() -> None:
    checked = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DOCKER / "compose.yaml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_linters_have_nothing_to_say() -> None:
    dockerfile = tool("hadolint", "--no-color", DOCKER / "Dockerfile")
    scripts = tool("shellcheck", "--external-sources", ROOT / "run_all.sh", DOCKER / "run.sh")

    assert dockerfile.returncode == 0, dockerfile.stdout
    assert scripts.returncode == 0, scripts.stdout


def test_every_service_has_a_health_check_and_limits(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert set(limits) == {"cpus", "memory", "pids"}, name
        assert ("test" in service["healthcheck"]) is (name not in TASKS), name
        assert service["restart"] == ("no" if name in TASKS else "unless-stopped"), name
        assert service["logging"]["options"]["max-size"], name


def test_every_service_of_the_project_is_run_and_asked_by_name(services: dict[str, dict[str, Any]]) -> None:
    for name in OWN:
        assert services[name]["command"] == ["run", name]
        assert services[name]["image"] == IMAGE
        if name not in TASKS:
            assert services[name]["healthcheck"]["test"] == ["CMD", "lakehouse", "healthy", name]


def test_what_starts_first_is_waited_for_until_it_is_well(services: dict[str, dict[str, Any]]) -> None:
    conditions = {
        (name, needed): how["condition"]
        for name, service in services.items()
        for needed, how in _needs(service).items()
    }

    assert conditions[("migrate", "postgres")] == "service_healthy"
    assert conditions[("writer", "kafka")] == "service_healthy"
    assert conditions[("dashboard", "api")] == "service_healthy"
    for (name, needed), condition in conditions.items():
        wanted = "service_completed_successfully" if needed in TASKS else "service_healthy"
        assert condition == wanted, (name, needed)
        optional = set(services[needed].get("profiles", [])) - set(services[name].get("profiles", []))
        assert not optional or services[name]["depends_on"][needed]["required"] is False, (name, needed)


def test_nothing_is_published_but_on_loopback(services: dict[str, dict[str, Any]]) -> None:
    published = {port for service in services.values() for port in service.get("ports", [])}

    assert {port.rpartition(":")[2] for port in published} >= {"8000", "8501", "8502", "19092"}
    for port in published:
        assert port.startswith("127.0.0.1:") or port == "${LAKEHOUSE_PUBLISH:-127.0.0.1}:8000:8000"


def test_only_who_publishes_a_port_has_a_way_out(compose: dict[str, Any], services: dict[str, dict[str, Any]]) -> None:
    assert compose["networks"]["inside"] == {"internal": True}
    for name, service in services.items():
        assert ("doors" in service["networks"]) is bool(service.get("ports")), name


def test_nobody_has_more_rights_than_needed(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        assert not any("docker.sock" in str(volume) for volume in service.get("volumes", [])), name
        if service["image"].startswith("interaction-lakehouse"):
            assert service["read_only"], name
            # What a tmpfs holds cannot be run unless it says so, and Spark unpacks native code there.
            needs_exec = name == "writer" or name.startswith("spark-")
            assert (":exec," in service["tmpfs"][0]) is needs_exec, name
    assert services["dashboard"]["volumes"] == ["home:/var/lib/lakehouse:ro"]
    assert re.search(r"^USER 10001:10001$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)


def test_images_are_pinned(services: dict[str, dict[str, Any]]) -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text()
    used = {
        service["image"] for service in services.values() if not service["image"].startswith("interaction-lakehouse")
    }
    bases = set(re.findall(r"^ARG \w+_IMAGE=(\S+)$", dockerfile, re.MULTILINE))

    assert len(bases) == 2
    for image in used | bases:
        assert PINNED.fullmatch(image), image


def test_the_kafka_image_is_of_the_version_that_is_embedded(services: dict[str, dict[str, Any]]) -> None:
    lock = (ROOT / "lakehouse" / "embedded" / "jars.lock").read_text()

    (version,) = set(re.findall(r"org\.apache\.kafka:kafka_2\.13:(\S+)", lock))
    assert services["kafka"]["image"].split("@")[0] == f"docker.io/apache/kafka:{version}"


def test_mlflows_page_is_of_the_version_that_the_project_has() -> None:
    page, project = (
        re.search(rf"{name}==([\d.]+)", (folder / "pyproject.toml").read_text())
        for folder, name in ((DOCKER / "mlflow", "mlflow"), (ROOT, "mlflow-skinny"))
    )

    assert page is not None
    assert project is not None
    assert page[1] == project[1]


def test_secrets_come_by_file_and_no_file_is_in_git(
    compose: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    tracked = subprocess.run(["git", "ls-files", "docker"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    secret = re.compile(r"(password|secret|key|token|dsn)", re.IGNORECASE)

    assert {entry["file"] for entry in compose["secrets"].values()} == {
        f"secrets/{name}" for name in compose["secrets"]
    }
    assert "secrets/" not in tracked
    assert "docker/secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if secret.search(variable):
                assert str(value).startswith("/run/secrets/"), (name, variable)
                assert str(value).removeprefix("/run/secrets/") in service["secrets"], (name, variable)


def test_the_project_knows_every_setting_that_it_is_given(
    services: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OWN:
        given = {key: _default(value) for key, value in services[name]["environment"].items()}
        assert {key.removeprefix("LAKEHOUSE_").lower() for key in given if key not in SECRET_FILES} <= set(
            Settings.model_fields
        )
        for variable, value in given.items():
            if variable in SECRET_FILES:
                (tmp_path / variable).write_text("postgresql://owner:password@postgres/lakehouse")
                value = str(tmp_path / variable)
            monkeypatch.setenv(variable, value)
        assert load_settings(home=tmp_path).api_url == "http://api:8000"


def test_the_larger_profile_keeps_each_event_three_times(services: dict[str, dict[str, Any]]) -> None:
    lines = (DOCKER / "large.env").read_text().splitlines()
    large = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    text = (DOCKER / "compose.yaml").read_text()
    brokers = [name for name, service in services.items() if "apache/kafka" in service["image"]]
    numbers = {services[name]["environment"]["KAFKA_NODE_ID"]: name for name in brokers}

    assert all(f"${{{name}:-" in text for name in large)
    assert large["KAFKA_BOOTSTRAP"] == ",".join(f"{name}:9092" for name in brokers)
    assert large["KAFKA_VOTERS"] == ",".join(f"{number}@{name}:9093" for number, name in sorted(numbers.items()))
    assert (large["KAFKA_COPIES"], large["KAFKA_LEAST_COPIES"]) == ("3", "2")


def test_the_board_and_the_alerts_ask_for_figures_that_there_are(services: dict[str, dict[str, Any]]) -> None:
    state = {
        "alarms": [],
        **dict.fromkeys(("events_per_second", "lag_events", "lag_seconds"), 1),
        "watermark": "2026-01-01T00:00:00+00:00",
        "tables": {"silver.events": 1},
        "streams": {
            "gold": {"rows": 1, "lag_seconds": 1, "last_batch": {"id": 1, "rows": 1, "seconds": 1}, "error": None}
        },
    }
    figures = WriterFigures()
    figures.state = state
    api = Metrics(Champion(Path("none")))
    api.seconds.labels("/predict").observe(0.01)
    api.requests.labels("POST", "/predict", "200").inc()
    api.predictions.labels("stays").inc()
    known = {sample.name for metric in figures.collect() for sample in metric.samples} | set(
        re.findall(r"^(\w+)[{ ]", generate_latest(api.registry).decode(), re.MULTILINE)
    )
    board = json.loads((DOCKER / "grafana" / "boards" / "lakehouse.json").read_text())
    alerts = yaml.safe_load((DOCKER / "prometheus" / "alerts.yml").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked += [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]

    used = {name for expression in asked for name in re.findall(r"\blakehouse_\w+", expression)}
    assert used <= known
    assert {name for name in known if name.startswith("lakehouse_stream_")} - {"lakehouse_stream_rows"} <= used
    assert services["prometheus"]["volumes"][0] == "./prometheus:/etc/prometheus:ro"


def test_the_page_tells_of_every_service_and_every_figure(services: dict[str, dict[str, Any]]) -> None:
    page = (ROOT / "docs" / "containers.md").read_text()

    figures = {metric.name for metric in WriterFigures().collect()}
    assert {name for name in services if f"`{name}`" not in page} == set()
    assert {name for name in figures if name.removeprefix("lakehouse_stream_") not in page} == set()


def test_the_board_has_its_source_and_every_panel_a_place() -> None:
    board = json.loads((DOCKER / "grafana" / "boards" / "lakehouse.json").read_text())
    sources = yaml.safe_load((DOCKER / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text())
    places = [panel["gridPos"] for panel in board["panels"]]
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]

    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {sources["datasources"][0]["uid"]}
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_writers_figures_and_prometheus_mean_the_same_port(services: dict[str, dict[str, Any]]) -> None:
    scraped = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in scraped}

    assert targets["writer"] == [f"writer:{services['writer']['environment']['LAKEHOUSE_METRICS_PORT']}"]
    assert targets["api"] == ["api:8000"]


def run_all(tmp_path: Path, *arguments: str, docker: str | None) -> subprocess.CompletedProcess[str]:
    """`bash run_all.sh --docker ARGUMENTS` in a copy, where ``docker`` is the text of the program of that name."""
    copy = tmp_path / "project"
    shutil.copytree(DOCKER, copy / "docker", ignore=shutil.ignore_patterns("secrets"), dirs_exist_ok=True)
    shutil.copy(ROOT / "run_all.sh", copy)
    programs = tmp_path / "programs"
    programs.mkdir(exist_ok=True)
    for name in ("bash", "dirname", "cat", "mkdir", "chmod", "mv", "tr", "head", "cut"):
        if not (programs / name).exists():
            (programs / name).symlink_to(str(shutil.which(name)))
    if docker is not None:
        (programs / "docker").write_text(f"#!{shutil.which('bash')}\n{docker}")
        (programs / "docker").chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
    return subprocess.run(
        ["bash", "run_all.sh", "--docker", *arguments],
        cwd=copy,
        env={**environment, "PATH": str(programs)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("docker", "said"),
    [
        (None, "there is no docker here; install Docker Engine"),
        ("exit 1", "docker has no Compose 2; install its plugin"),
        ('[ "$1" = compose ] && echo v2.23.3', "Compose 2.23.3 is too old: 2.24 or later is needed"),
        ('[ "$1" = compose ] && echo 2.40.0', "no Docker engine answers; start it"),
    ],
)
def test_what_is_missing_for_containers_is_one_line(tmp_path: Path, docker: str | None, said: str) -> None:
    run = run_all(tmp_path, docker=docker)

    assert run.returncode == 1
    assert run.stderr.startswith(f"run_all.sh --docker: {said}")
    assert run.stderr.count("\n") == 1


def test_what_compose_is_asked_and_the_secrets_that_it_finds(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    engine = f'echo "$*" >> {asked}; [ "$2" != version ] || echo 2.40.0'

    up = run_all(tmp_path, "--large", "--observe", docker=engine)
    folder = tmp_path / "project" / "docker" / "secrets"
    first = {file.name: file.read_text().strip() for file in folder.iterdir()}
    again = run_all(tmp_path, "--no-simulator", docker=engine)
    down = run_all(tmp_path, "down", docker=engine)

    assert (up.returncode, again.returncode, down.returncode) == (0, 0, 0), up.stderr + again.stderr + down.stderr
    commands = [line.split("compose.yaml ", 1)[1] for line in asked.read_text().splitlines() if "compose.yaml" in line]
    assert [command.split(" ", 1)[1] if command.startswith("--env-file") else command for command in commands] == [
        f"{folder.parent}/large.env --profile simulator --profile large --profile observe up --detach --build --wait "
        "--wait-timeout 900",
        "up --detach --build --wait --wait-timeout 900",
        "--profile * down --remove-orphans",
    ]
    assert "dashboard  http://127.0.0.1:8501" in up.stdout
    assert "grafana" in up.stdout
    assert "grafana" not in again.stdout
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert first == {file.name: file.read_text().strip() for file in folder.iterdir()}
    assert set(first) == {"api_key", "postgres_password", "postgres_dsn", "grafana_password", "store_keys"}
    assert first["postgres_dsn"] == f"postgresql://lakehouse_owner:{first['postgres_password']}@postgres:5432/lakehouse"
    assert all(re.fullmatch(r"[A-Za-z0-9]{32}", first[name]) for name in ("api_key", "postgres_password"))
    assert json.loads(first["store_keys"])["identities"][0]["credentials"][0]["secretKey"]


def _needs(service: dict[str, Any]) -> dict[str, dict[str, Any]]:
    needs: dict[str, dict[str, Any]] = service.get("depends_on", {})
    return needs


def _default(value: Any) -> str:
    """``value`` with what compose puts in for a variable that is not set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))
