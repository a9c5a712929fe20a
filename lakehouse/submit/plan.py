"""The command line of `spark-submit` by which the writer runs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pyspark

from lakehouse.embedded.environment import child_environment
from lakehouse.embedded.java import Java
from lakehouse.settings import Settings
from lakehouse.spark import NAME, SECRET_NAMES, session_options

APPLICATION = Path(__file__).with_name("application.py")


def command(settings: Settings, jars: Sequence[Path]) -> list[str]:
    """`spark-submit` with what the driver must be told before its JVM starts; the session is told all of it again.

    Secrets are left to the session: a command line is seen by whoever may list processes.
    """
    program = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    options = [
        part
        for name, value in session_options(settings, jars).items()
        if not re.search(SECRET_NAMES, name)
        for part in ("--conf", f"{name}={value}")
    ]
    return [str(program), "--master", settings.spark_master, "--name", NAME, *options, str(APPLICATION)]


def environment(settings: Settings, java: Java) -> dict[str, str]:
    """What it runs in: the driver in this Python, with these settings."""
    kept = {name: value for name, value in os.environ.items() if name != "SPARK_HOME"}
    own = {"JAVA_HOME": str(java.home), "PYSPARK_DRIVER_PYTHON": sys.executable}
    return {**kept, **child_environment(settings), **own}
