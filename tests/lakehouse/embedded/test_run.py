"""One service on its own is the one that the stack would run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.embedded.locks import is_shared
from lakehouse.embedded.run import ask_health, run_service
from lakehouse.embedded.run_commands import OwnService
from lakehouse.embedded.services import stack_runs
from lakehouse.embedded.stack import OWN, plan_service, plan_stack
from lakehouse.embedded.up import run_stack
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.metrics import WriterFigures
from lakehouse.settings import Settings, load_settings

EVERYWHERE = "0.0.0.0"  # noqa: S104 (as a container listens)
DSN = "postgresql://owner:a-password@postgres:5432/shop"

SHARING = """
import sys, pathlib
from lakehouse.embedded.locks import share
share(pathlib.Path(sys.argv[1]))
import os
os.execv(sys.executable, [sys.executable, "-c", "print('there', flush=True); input()"])
"""


def of_containers(home: Path, **more: object) -> Settings:
    return load_settings(home=home, kafka_bootstrap="kafka:9092", postgres_dsn=DSN, api_url="http://api:8000", **more)


def test_every_service_of_the_stack_can_be_run_on_its_own(tmp_path: Path) -> None:
    settings = of_containers(tmp_path, api_port=21801, dashboard_port=21802, quality_port=21803)
    home = Home(tmp_path).make()

    stack = {service.name: service for service in plan_stack(settings, home, simulate=True).services}
    alone = {name: plan_service(settings, home, name).services[0] for name in OWN}

    assert set(stack) == set(OWN) == {each.value for each in OwnService}
    assert {name: (s.argv, s.env) for name, s in alone.items()} == {name: (s.argv, s.env) for name, s in stack.items()}


def test_the_others_are_told_where_the_api_answers_them(tmp_path: Path) -> None:
    plan = plan_service(of_containers(tmp_path, bind_address=EVERYWHERE), Home(tmp_path).make(), "dashboard")

    assert plan.endpoints.api == "http://api:8000"
    assert plan.endpoints.kafka == "kafka:9092"
    assert plan.endpoints.postgres_reader.startswith("postgresql://lakehouse_reader:")
    assert plan.endpoints.postgres_reader.endswith("@postgres:5432/shop")


def test_every_service_tells_the_same_of_where_things_are(tmp_path: Path) -> None:
    home = Home(tmp_path).make()
    open_doors = of_containers(tmp_path, bind_address=EVERYWHERE)

    told = [
        plan_service(settings, home, name).endpoints
        for settings in (of_containers(tmp_path), open_doors)
        for name in OWN
    ]

    assert len(set(told)) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "set LAKEHOUSE_KAFKA_BOOTSTRAP and LAKEHOUSE_POSTGRES_DSN"),
        ({"kafka_bootstrap": "kafka:9092"}, "set LAKEHOUSE_POSTGRES_DSN"),
        ({"kafka_bootstrap": "kafka:9092", "postgres_dsn": DSN, "api_port": 0}, "LAKEHOUSE_API_PORT=0"),
    ],
)
def test_what_is_missing_is_one_sentence(tmp_path: Path, given: dict[str, object], said: str) -> None:
    with pytest.raises(LakehouseError, match=said):
        plan_service(load_settings(home=tmp_path, **given), Home(tmp_path).make(), "writer")


def test_what_does_not_answer_is_not_healthy_and_a_task_has_no_check(tmp_path: Path) -> None:
    settings = of_containers(tmp_path, api_port=21804)

    assert ask_health(settings, "api") == (False, "api is not healthy: it does not answer")
    assert ask_health(settings, "writer") == (False, "writer is not healthy: it does not answer")
    assert ask_health(settings, "migrate")[0]


def test_services_that_run_are_seen_and_keep_a_stack_away(tmp_path: Path) -> None:
    home = Home(tmp_path).make()
    assert not stack_runs(home)

    command = [sys.executable, "-c", SHARING, str(home.services_lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == "there\n"  # it is another program by now
        assert is_shared(home.services_lock)
        assert stack_runs(home)
        with pytest.raises(LakehouseError, match="started one by one"):
            run_stack(load_settings(home=tmp_path), simulate=False)
        service.communicate("end\n")

    assert not is_shared(home.services_lock)


def test_what_is_known_already_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path).make()
    settings = of_containers(tmp_path)
    became: list[str] = []
    monkeypatch.setattr(os, "execvpe", lambda program, *_: became.append(program))

    run_service(settings, "migrate")
    before = home.endpoints.stat().st_mtime_ns
    run_service(settings, "api")

    assert became == [sys.executable] * 2
    assert home.endpoints.stat().st_mtime_ns == before
    assert Endpoints.load(home).api == "http://api:8000"


def test_figures_that_are_not_known_are_left_out() -> None:
    figures = WriterFigures()
    figures.state = {
        "alarms": ["too many refused"],
        "events_per_second": 20.0,
        "lag_events": None,
        "watermark": "2026-01-01T00:00:00+00:00",
        "tables": {"silver.events": 3},
        "streams": {"gold": {"rows": 3, "lag_seconds": None, "last_batch": None, "error": "Postgres is away"}},
    }

    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in figures.collect()
        for sample in metric.samples
    }

    assert samples == {
        ("lakehouse_events_per_second",): 20.0,
        ("lakehouse_alarms",): 1.0,
        ("lakehouse_watermark_timestamp_seconds",): 1_767_225_600.0,
        ("lakehouse_table_rows", "silver.events"): 3.0,
        ("lakehouse_stream_rows", "gold"): 3.0,
        ("lakehouse_stream_waits", "gold"): 1.0,
    }
