"""The API's health and what it reads of Postgres, asked over HTTP of a real process or server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from psycopg2.extensions import connection as Connection

from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from lakehouse.settings import Settings
from ml.package import save
from serving.api import create_app
from serving.postgres import transaction
from tests.serving.churn_package import churn_package

Ask = Callable[[str], tuple[int, dict[str, Any]]]


def ask(base: str, path: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a GET."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(base + path, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@contextmanager
def served(settings: Settings, endpoints: Endpoints) -> Iterator[Ask]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(settings, endpoints), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield lambda path: ask(f"http://127.0.0.1:{listener.getsockname()[1]}", path)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def with_model(settings: Settings, tmp_path: Path) -> Settings:
    """Settings of the run, with a model to serve."""
    save(churn_package(), tmp_path / "model.pkl")
    return settings.model_copy(update={"model_file": tmp_path / "model.pkl"})


@pytest.fixture
def api(with_model: Settings, endpoints: Endpoints) -> Iterator[Ask]:
    with served(with_model, endpoints) as asked:
        yield asked


def test_it_is_alive_and_ready(api: Ask) -> None:
    assert api("/healthz") == (200, {"status": "alive"})
    assert api("/readyz") == (
        200,
        {
            "status": "ready",
            "dependencies": [
                {"name": "postgres", "ok": True, "reason": None},
                {"name": "migrations", "ok": True, "reason": None},
                {"name": "model", "ok": True, "reason": None},
            ],
        },
    )


def test_the_index_names_paths_that_answer(api: Ask) -> None:
    status, index = api("/")
    assert status == 200
    links = index["links"]
    assert {links["health"], links["readiness"], links["openapi"]} == {"/healthz", "/readyz", "/openapi.json"}
    assert (api(links["openapi"])[0], api(links["model"])[0]) == (200, 200)


def test_every_answer_is_documented_with_an_example(api: Ask) -> None:
    _, document = api("/openapi.json")
    assert {"/", "/healthz", "/readyz", "/metrics", "/model", "/predict"} < set(document["paths"])
    unready = document["paths"]["/readyz"]["get"]["responses"]["503"]["content"]["application/json"]["example"]
    assert unready["status"] == "not ready"
    schemas = document["components"]["schemas"]
    assert schemas["Alive"]["examples"] == [{"status": "alive"}]
    assert schemas["Readiness"]["examples"][0]["status"] == "ready"


def test_without_postgres_it_is_alive_and_says_what_is_missing(with_model: Settings, endpoints: Endpoints) -> None:
    nobody = replace(endpoints, postgres_reader="postgresql://lakehouse_reader:s3cret@127.0.0.1:1/lakehouse")
    with served(with_model, nobody) as api:
        assert api("/healthz") == (200, {"status": "alive"})
        status, readiness = api("/readyz")
    assert status == 503
    assert readiness["status"] == "not ready"
    postgres, migrations, model = readiness["dependencies"]
    assert not postgres["ok"]
    assert "127.0.0.1:1 does not answer" in postgres["reason"]
    assert not migrations["ok"]
    assert model["ok"]
    assert "s3cret" not in json.dumps(readiness)


def test_a_restart_of_postgres_is_not_noticed(api: Ask, reader: Connection) -> None:
    assert api("/readyz")[0] == 200
    with transaction(reader) as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'lakehouse api'"
        )
        assert cursor.rowcount >= 1
    assert api("/readyz")[0] == 200


def test_an_older_schema_is_not_ready(api: Ask, owner: Connection) -> None:
    with transaction(owner) as cursor:
        cursor.execute("SELECT version_num FROM alembic_version")
        (newest,) = cursor.fetchone() or ("",)
        cursor.execute("UPDATE alembic_version SET version_num = '0000'")
    try:
        status, readiness = api("/readyz")
    finally:
        with transaction(owner) as cursor:
            cursor.execute("UPDATE alembic_version SET version_num = %s", (newest,))
    assert status == 503
    assert readiness["dependencies"][0]["ok"]
    assert "serving.migrate" in readiness["dependencies"][1]["reason"]


def test_the_process_ends_in_peace_on_sigterm(endpoints: Endpoints, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    home = Home(tmp_path).make()
    replace(endpoints, api=f"http://127.0.0.1:{port}").save(home)
    save(churn_package(), home.champion)
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.api"],
        env={**os.environ, "LAKEHOUSE_HOME": str(home.root), "LAKEHOUSE_API_PORT": "0"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if "Uvicorn running" in line:
            break
    assert ask(f"http://127.0.0.1:{port}", "/readyz")[0] == 200
    process.send_signal(signal.SIGTERM)
    said.append(process.communicate(timeout=20)[1])
    assert "Application shutdown complete" in "".join(said)
    assert process.returncode in (0, -signal.SIGTERM)


def test_the_stored_prediction_of_a_user_is_given_back(api: Ask, owner: Connection) -> None:
    with transaction(owner) as cursor:
        cursor.execute("DELETE FROM churn_prediction")
        for user, churned in (("u1", True), ("a/b", False)):
            cursor.execute(
                "INSERT INTO churn_prediction (user_id, churn_probability, churned, threshold, model_version, as_of, "
                "scored_at, features, reasons) VALUES (%s, 0.75, %s, 0.5, '7', '2026-03-01 12:00Z', "
                "'2026-03-01 12:00:03Z', %s, %s)",
                (user, churned, json.dumps({"num_views": 5, "days_since_purchase": None}), ["no purchases"]),
            )

    status, said = api("/users/u1/churn")

    assert status == 200
    assert said == {
        "user_id": "u1",
        "churn_probability": 0.75,
        "churned": True,
        "threshold": 0.5,
        "model_version": "7",
        "as_of": "2026-03-01T12:00:00Z",
        "scored_at": "2026-03-01T12:00:03Z",
        "reasons": ["no purchases"],
        "features": {"num_views": 5, "days_since_purchase": None},
        "error": None,
    }
    assert api("/users/a%2Fb/churn")[1]["churned"] is False
    for stranger in ("u2", "%00", "'%20OR%201=1"):
        status, said = api(f"/users/{stranger}/churn")
        assert status == 404
        assert said["detail"].startswith("no prediction is stored of the user ")


def test_without_a_running_stack_the_process_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving.api"],
        env={**os.environ, "LAKEHOUSE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip().startswith("serving.api: nothing is running under")
    assert "Traceback" not in done.stderr
