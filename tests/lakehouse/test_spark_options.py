"""What the Spark session is configured with, on a laptop and on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.spark import build_session, session_options

JARS = [Path("/jars/delta.jar"), Path("/jars/kafka.jar")]


def options(tmp_path: Path, **settings: Any) -> dict[str, str]:
    return session_options(Settings(home=tmp_path, **settings), JARS)


def test_on_a_laptop_the_driver_has_the_jars_and_listens_on_loopback(tmp_path: Path) -> None:
    found = options(tmp_path)

    assert found["spark.driver.extraClassPath"] == "/jars/delta.jar:/jars/kafka.jar"
    assert "spark.jars" not in found
    assert found["spark.driver.host"] == found["spark.driver.bindAddress"] == "127.0.0.1"
    assert found["spark.sql.shuffle.partitions"] == "2"


def test_on_a_cluster_the_jars_travel_and_what_is_for_a_laptop_is_left_out(tmp_path: Path) -> None:
    found = options(tmp_path, spark_master="spark://master.example:7077")

    assert found["spark.jars"] == "file:///jars/delta.jar,file:///jars/kafka.jar"
    assert "spark.driver.extraClassPath" not in found
    assert "spark.driver.bindAddress" not in found, "executors on other machines must reach it"
    assert "spark.hadoop.fs.file.impl" not in found, "executors have no such class before the jars are there"
    assert found["spark.sql.shuffle.partitions"] == "16"


def test_nobody_reaches_sparks_own_page_unless_told_to(tmp_path: Path) -> None:
    assert options(tmp_path)["spark.ui.enabled"] == "false"
    assert options(tmp_path, spark_master="spark://master.example:7077")["spark.ui.enabled"] == "false"


def test_a_cluster_on_loopback_finds_the_driver_there(tmp_path: Path) -> None:
    assert options(tmp_path, spark_master="spark://127.0.0.1:7077")["spark.driver.bindAddress"] == "127.0.0.1"


@pytest.mark.parametrize("master", ["local[2]", "spark://master.example:7077"])
def test_spark_conf_has_the_last_word(tmp_path: Path, master: str) -> None:
    found = options(tmp_path, spark_master=master, spark_conf={"spark.sql.shuffle.partitions": "64"})

    assert found["spark.sql.shuffle.partitions"] == "64"


def test_a_wheel_that_is_not_there_is_named_before_spark_starts(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, spark_master="spark://127.0.0.1:1", spark_wheel=tmp_path / "none.whl")

    with pytest.raises(LakehouseError, match=r"LAKEHOUSE_SPARK_WHEEL=.*none\.whl: there is no such file"):
        build_session(settings, JARS, tmp_path)
