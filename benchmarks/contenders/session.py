"""The Spark session of the contenders that are not the lakehouse: the same as its own, with a JDBC driver."""

from __future__ import annotations

from pyspark.sql import SparkSession

from lakehouse.embedded import jars
from lakehouse.embedded.jars import Jar
from lakehouse.embedded.java import find_java
from lakehouse.settings import Settings
from lakehouse.spark import build_session

JDBC_DRIVER = Jar(
    "benchmarks",
    "org.postgresql",
    "postgresql",
    "42.7.11",
    "1981b31d3993c58702783c1cddf10a34e48c1f413d70ff1cb6def0a143484647",
)


def fetch_driver(settings: Settings) -> None:
    """Fetched before anything is timed. Raises LakehouseError where it cannot be had."""
    jars.obtain(settings, jars=[JDBC_DRIVER])


def session(settings: Settings) -> SparkSession:
    """An idle session, ready for its first query."""
    driver = jars.obtain(settings, jars=[JDBC_DRIVER])[JDBC_DRIVER]
    return build_session(settings, [*jars.spark(settings), driver], find_java(settings).home)
