"""The wheel runs where there is nothing but itself and what the lock names: no checkout, no uv, no home."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_S = 400.0
PORTS = {f"LAKEHOUSE_{name}_PORT": "0" for name in ("KAFKA", "POSTGRES", "API", "DASHBOARD", "QUALITY")}

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def uv() -> str:
    """The uv that runs the tests, or the one that run_tests.sh has fetched."""
    found = os.environ.get("UV") or shutil.which("uv", path=f"{os.environ['PATH']}:{ROOT / '.tools/uv/bin'}")
    if found is None:
        pytest.skip("there is no uv to build with; run_tests.sh fetches one")
    return found


@pytest.fixture(scope="module")
def built(uv: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheel, built by way of the source distribution as a release is."""
    folder = tmp_path_factory.mktemp("dist")
    run(uv, "build", "--quiet", "--out-dir", str(folder), cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def installed(uv: str, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment's folder of programs: the wheel and the lock's packages, and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    locked = folder / "locked.txt"
    run(uv, "export", "--quiet", "--frozen", "--no-dev", "--no-emit-project", "--output-file", str(locked), cwd=ROOT)
    run(uv, "venv", "--quiet", "--no-project", str(folder / "venv"), cwd=folder)
    into = ("--quiet", "--python", str(folder / "venv/bin/python"))
    run(uv, "pip", "install", *into, "--require-hashes", "--requirement", str(locked), cwd=folder)
    (wheel,) = built.glob("*.whl")
    run(uv, "pip", "install", *into, "--no-deps", str(wheel), cwd=folder)
    return folder / "venv/bin"


@pytest.fixture
def elsewhere(installed: Path, tmp_path: Path) -> Iterator[Path]:
    """A working directory that has nothing to do with the project; whatever was started in it is stopped."""
    yield tmp_path
    lakehouse(installed, tmp_path, "down")


def run(*command: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def lakehouse(programs: Path, cwd: Path, *arguments: str) -> str:
    """What the installed command says. Of this process's environment it has only where the user's cache is."""
    env = {name: os.environ[name] for name in ("HOME", "XDG_CACHE_HOME", "LAKEHOUSE_CACHE") if name in os.environ}
    path = f"{programs}:/usr/local/bin:/usr/bin:/bin"
    return run(str(programs / "lakehouse"), *arguments, cwd=cwd, env={**env, **PORTS, "PATH": path})


def test_the_wheel_has_every_file_of_the_packages_and_nothing_else(built: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages: list[str] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    tracked = run("git", "ls-files", *packages, cwd=ROOT).split()
    (wheel,) = built.glob("*.whl")

    held = [name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name]

    assert sorted(held) == sorted(tracked)
    assert {
        "lakehouse/log4j2.properties",
        "lakehouse/embedded/jars.lock",
        "serving/migrations/env.py",
        "quality/templates/report.html.j2",
        "producer/mappings/ga4.yaml",
        "dashboard/.streamlit/config.toml",
        "dashboard/views/now.py",
    } <= set(held)


def test_the_version_is_the_one_of_pyproject_toml(installed: Path, tmp_path: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

    assert lakehouse(installed, tmp_path, "--version") == f"lakehouse {version}\n"
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_command_loads(installed: Path, tmp_path: Path) -> None:
    told = lakehouse(installed, tmp_path, "--help")

    assert "cannot be loaded" not in told
    commands = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["lakehouse.commands"]
    for name in commands:
        assert f" {name} " in told
        assert "Usage:" in lakehouse(installed, tmp_path, name, "--help")


def test_events_go_all_the_way_and_the_books_balance(installed: Path, elsewhere: Path) -> None:
    lakehouse(installed, elsewhere, "up", "--no-simulator", "--detach")
    lakehouse(installed, elsewhere, "produce", "--events", "200")
    lakehouse(installed, elsewhere, "drain")
    services = json.loads(lakehouse(installed, elsewhere, "status", "--json"))["services"]
    books = json.loads(lakehouse(installed, elsewhere, "audit", "--json"))
    counted = lakehouse(installed, elsewhere, "sql", "SELECT count(*) FROM bronze.user_events")

    assert {service["state"] for service in services} == {"up"}
    assert books["agrees"] is True
    assert "200" in counted
    assert (elsewhere / ".lakehouse").is_dir()
