"""The doors of a default stack, each tried from the wrong side over a real socket, and what each attempt got."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from lakehouse.api_keys import Scope, add, id_of, make, revoke
from lakehouse.home import Home
from lakehouse.jobs import JobServer
from quality.docs_server import serve
from tests.security.conftest import Told
from tests.serving.churn_package import churn_package
from tests.serving.scoring_api import Api
from tests.serving.test_scoring import ENDPOINTS, THREE

pytestmark = [pytest.mark.slow, pytest.mark.long]

LIMIT_MB = 8


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    found = Api(tmp_path, ENDPOINTS)
    found.serve(churn_package())
    with found.running():
        yield found


def key(home: Path, *scopes: Scope, made_ago: timedelta = timedelta(0), days: float | None = None) -> str:
    made, kept = make(scopes, "of a test", days, datetime.now(UTC) - made_ago)
    add(Home(home), kept)
    return made


def got(answer: httpx.Response) -> str:
    detail = answer.json()["detail"]
    return f"{answer.status_code} {detail if isinstance(detail, str) else detail[0]['msg']}".partition(";")[0]


def test_the_api(api: Api, tmp_path: Path, told: Told) -> None:
    score, read, expired, revoked = (
        key(tmp_path, "score"),
        key(tmp_path, "read"),
        key(tmp_path, "read", made_ago=timedelta(days=2), days=1),
        key(tmp_path, "read"),
    )
    revoke(Home(tmp_path), id_of(revoked), datetime.now(UTC))
    headers = {"score": {"X-API-Key": score}, "read": {"X-API-Key": read}}
    zeros = b"0" * (LIMIT_MB * 1_000_000 + 1)
    with httpx.Client(base_url=api.address, trust_env=False, timeout=30) as client:
        attempts = {
            "no key": client.get("/model"),
            "a wrong key": client.get("/model", headers={"X-API-Key": f"lh_{id_of(read)}_wrong"}),
            "a key that has expired": client.get("/model", headers={"X-API-Key": expired}),
            "a key that was revoked": client.get("/model", headers={"X-API-Key": revoked}),
            "a key for scoring, to read": client.get("/users/u1/churn", headers=headers["score"]),
            "a key for reading, to score": client.post("/predict", json=THREE, headers=headers["read"]),
            "a body of more than 8 MB": client.post("/predict/batch", content=zeros, headers=headers["score"]),
            "the same in pieces, without its length": client.post(
                "/predict/batch",
                content=(zeros[at : at + 65_536] for at in range(0, len(zeros), 65_536)),
                headers=headers["score"],
            ),
            "a field named like SQL": client.post(
                "/predict", json={**THREE, "num_views; DROP TABLE x": 1}, headers=headers["score"]
            ),
            "SQL for a number": client.post(
                "/predict", json={**THREE, "num_views": "1 OR 1=1"}, headers=headers["score"]
            ),
            "a path for a route": client.get("/%2e%2e/%2e%2e/etc/passwd", headers=headers["read"]),
            "a page of another origin asks whether it may": client.options(
                "/predict", headers={"Origin": "https://evil.example.com", "Access-Control-Request-Method": "POST"}
            ),
        }
    for attempt, answer in attempts.items():
        assert answer.status_code >= 400, attempt
        assert [name for name in answer.headers if name.startswith("access-control")] == []
        told("API", attempt, got(answer))


def test_the_open_api_of_loopback(api: Api, told: Told) -> None:
    with httpx.Client(base_url=api.address, trust_env=False) as client:
        answer = client.get("/model", headers={"Host": "evil.example.com"})
    told("API without a key", "a name of the web that leads to 127.0.0.1", got(answer))


def test_tls_spoken_to_a_plain_port_gets_no_data(api: Api) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(api.address.replace("http:", "https:"), trust_env=False, verify=False)  # noqa: S501


def test_the_data_docs(tmp_path: Path, told: Told) -> None:
    folder = tmp_path / "quality" / "docs"
    folder.mkdir(parents=True)
    (tmp_path / "secrets.json").write_text('{"postgres_owner": "s3cret"}')
    server = serve(folder, "127.0.0.1", 0)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_address[1]}", trust_env=False) as client:
            attempts = {
                "a path outside the home": client.get("/%2e%2e/%2e%2e/secrets.json"),
                "the same, encoded twice": client.get("/%252e%252e/%252e%252e/secrets.json"),
                "an absolute path": client.get("//etc/passwd"),
                "writing": client.put("/index.html", content=b"mine"),
                "a name of the web that leads to 127.0.0.1": client.get("/", headers={"Host": "evil.example.com"}),
            }
    finally:
        server.shutdown()
    for attempt, answer in attempts.items():
        assert "s3cret" not in answer.text
        assert "root:" not in answer.text
        assert answer.status_code >= 400, attempt
        told("Data Docs", attempt, f"{answer.status_code} {answer.reason_phrase}")


@contextmanager
def job_server(home: Home) -> Iterator[Path]:
    with JobServer(home, lambda *_: "done"):
        yield home.socket


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can try as another account")
def test_the_writer_s_socket(tmp_path: Path, told: Told) -> None:
    home = Home(tmp_path / "home").make()
    for folder in (tmp_path, *tmp_path.parents):  # so that it is the socket that refuses, and no folder above it
        if folder.stat().st_uid == os.geteuid() and str(folder).startswith("/tmp/"):  # noqa: S108
            folder.chmod(0o755)
    asks = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    with job_server(home) as path:
        with closing(socket.socket(socket.AF_UNIX)) as own:
            own.connect(str(path))
        done = subprocess.run(
            ["/usr/bin/python3", "-c", asks, str(path)], user="nobody", capture_output=True, text=True, check=False
        )
    told("The writer's socket", "another account of the machine", done.stderr.strip().splitlines()[-1])


def lakehouse(home: Path, *arguments: str, **variables: str) -> str:
    """What a refused command says in its one line."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAKEHOUSE_")}
    done = subprocess.run(
        [sys.executable, "-m", "lakehouse.cli", *arguments],
        env={**environment, "LAKEHOUSE_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode not in (0, 70), done.stdout + done.stderr
    (line,) = done.stderr.strip().splitlines()
    return line.replace(str(home), "HOME")


def test_the_command_line(tmp_path: Path, told: Told) -> None:
    produce = ("produce", "--events", "1")
    attempts = {
        "a topic named like a command": lakehouse(tmp_path, *produce, LAKEHOUSE_TOPIC="x; touch /tmp/owned"),
        "a topic named like a path": lakehouse(tmp_path, *produce, LAKEHOUSE_TOPIC="../../etc/passwd"),
        "a dimension named like SQL": lakehouse(
            tmp_path, "status", LAKEHOUSE_FUNNEL_DIMENSIONS="a'); DROP TABLE x; --"
        ),
        "a key named like a path": lakehouse(tmp_path, "api-key", "revoke", "../../etc/passwd"),
        "beyond loopback without a key": lakehouse(tmp_path, "up", LAKEHOUSE_BIND_ADDRESS="0.0.0.0"),  # noqa: S104
        "beyond loopback with a key, without a login": lakehouse(
            tmp_path,
            "up",
            LAKEHOUSE_BIND_ADDRESS="0.0.0.0",  # noqa: S104
            LAKEHOUSE_API_KEY="a long enough key",
        ),
    }
    assert not Path("/tmp/owned").exists()  # noqa: S108
    for attempt, line in attempts.items():
        assert "a long enough key" not in line
        told("`lakehouse`", attempt, line.removeprefix("lakehouse: "))
