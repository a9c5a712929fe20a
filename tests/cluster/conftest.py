"""A cluster on this machine, and what its workers are given."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lakehouse.embedded.rehearsal import Rehearsal, rehearsal
from lakehouse.settings import load_settings
from tests.cluster.tls_door import tls_door

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built anew."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def node_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python as a node has it: with the packages that the project needs, and without the project itself."""
    script = tmp_path_factory.mktemp("node") / "python"
    packages = sysconfig.get_path("purelib")
    # -S: what makes the project importable here, a line in a .pth file, is not read.
    script.write_text(f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{packages}" exec {sys.executable} -S "$@"\n')
    script.chmod(0o755)
    command = [script, "-c", "import polars, pyspark, lakehouse"]
    found = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert "No module named 'lakehouse'" in found.stderr, found.stderr
    return script


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """Three brokers, Postgres, Spark's master and two workers of one core each."""
    with rehearsal(load_settings(home=tmp_path_factory.mktemp("servers"))) as running:
        yield running


@pytest.fixture(scope="session")
def postgres_by_tls(servers: Rehearsal, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The owner's address of the cluster's Postgres, over TLS that clients verify."""
    port = urlsplit(servers.postgres).port
    assert port is not None
    with tls_door(port, tmp_path_factory.mktemp("door")) as door:
        yield door.address(servers.postgres, port)
