"""The command line of `spark-submit`, and what a writer by itself needs."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lakehouse.embedded.java import Java
from lakehouse.embedded.stack import plan_writer
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.spark import session_options
from lakehouse.submit.plan import command, environment

JARS = [Path("/jars/delta.jar")]


def settings(tmp_path: Path, **others: Any) -> Settings:
    return Settings(home=tmp_path, spark_master="spark://127.0.0.1:7077", **others)


def test_the_driver_is_told_before_it_starts_all_that_the_session_is_configured_with(tmp_path: Path) -> None:
    line = command(settings(tmp_path), JARS)

    told = dict(value.split("=", 1) for flag, value in pairwise(line) if flag == "--conf")
    assert told == session_options(settings(tmp_path), JARS)
    assert line[line.index("--master") + 1] == "spark://127.0.0.1:7077"


def test_no_secret_stands_in_the_command_line(tmp_path: Path) -> None:
    conf = {"spark.hadoop.fs.s3a.secret.key": "hunter2", "spark.executor.memory": "4g"}

    line = " ".join(command(settings(tmp_path, spark_conf=conf), JARS))

    assert "spark.executor.memory=4g" in line
    assert "hunter2" not in line


def test_what_it_runs_lies_where_it_hides_no_module_of_pythons(tmp_path: Path) -> None:
    application = Path(command(settings(tmp_path), JARS)[-1])

    assert application.is_file()
    beside = {path.stem for path in application.parent.glob("*.py")}
    assert not beside & sys.stdlib_module_names


def test_the_driver_runs_in_this_python_with_these_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_HOME", "/another/spark")
    java = Java(Path("/java"), Path("/java/bin/java"), 17, "PATH")

    told = environment(settings(tmp_path, topic="clicks"), java)

    assert told["PYSPARK_DRIVER_PYTHON"] == sys.executable
    assert (told["JAVA_HOME"], told["LAKEHOUSE_HOME"], told["LAKEHOUSE_TOPIC"]) == ("/java", str(tmp_path), "clicks")
    assert "SPARK_HOME" not in told


def test_a_writer_by_itself_is_refused_without_servers(tmp_path: Path) -> None:
    home = Home(tmp_path).make()

    with pytest.raises(LakehouseError, match="LAKEHOUSE_KAFKA_BOOTSTRAP"):
        plan_writer(settings(tmp_path), home)
    with pytest.raises(LakehouseError, match="LAKEHOUSE_POSTGRES_DSN"):
        plan_writer(settings(tmp_path, kafka_bootstrap="kafka:9092"), home)


def test_a_writer_by_itself_brings_the_schema_and_nothing_else(tmp_path: Path) -> None:
    dsn = "postgresql://owner:word@db:5432/lakehouse?sslmode=require"
    own = settings(tmp_path, kafka_bootstrap="a:9092,b:9092", postgres_dsn=dsn)

    plan = plan_writer(own, Home(tmp_path).make())

    assert [service.name for service in plan.services] == ["migrate"]
    assert plan.endpoints.kafka == "a:9092,b:9092"
    assert plan.endpoints.postgres_writer.endswith("@db:5432/lakehouse?sslmode=require")
    assert (plan.endpoints.api, plan.endpoints.dashboard) == ("", "")
