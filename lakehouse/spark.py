"""The Spark session: the settings that make Spark small and quick on one machine, and those for a cluster."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from py4j.protocol import Py4JError
from pyspark.sql import SparkSession

from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings

SECRET_NAMES = r"(?i)secret|password|token|access[.]?key|jaas"  # noqa: S105 (a pattern)
"""Names of options whose values are kept out of process lists and of what Spark prints: Spark's own pattern, and the
line with which Kafka is told its password."""

ALWAYS: Mapping[str, str] = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.redaction.regex": SECRET_NAMES,
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Each column expression would otherwise look up its place in the Python source: 0.7 s for a batch of silver.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    # An appId stays in the session after a MERGE otherwise, and its next plain write fails.
    "spark.databricks.delta.write.txnVersion.autoReset.enabled": "true",
    # Whoever reaches Spark's own page may end its jobs, and nobody is asked who they are.
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # A query that somebody asks runs beside the stages, and must not keep them waiting until it is done.
    "spark.scheduler.mode": "FAIR",
    "spark.sql.streaming.numRecentProgressUpdates": "2",
    # One JVM writes, and delta-rs commits by the same rename; a second writer is kept out by the home's lock.
    "spark.delta.logStore.file.impl": "io.delta.storage.LocalLogStore",
}

LAPTOP: Mapping[str, str] = {
    "spark.sql.shuffle.partitions": "2",
    # Replanning each stage of a small batch costs more than it saves: 1.3 s against 2.5 s for silver, not yet warm.
    "spark.sql.adaptive.enabled": "false",
    "spark.databricks.delta.snapshotPartitions": "2",
    # Hadoop's own local file system forks a process for each permission call: 90 ms for an empty micro-batch
    # against 8 ms with this one.
    "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
}
"""Where Spark is local: the driver is the only worker, and all cores are its own."""

CLUSTER: Mapping[str, str] = {
    # Adaptive execution joins those that stay small, so that this is only how far a large batch is spread.
    "spark.sql.shuffle.partitions": "16",
    "spark.databricks.delta.snapshotPartitions": "4",
    "spark.executor.extraJavaOptions": "-Duser.timezone=UTC",
}
"""Where executors are processes of their own, and tasks and jars travel to them."""

LOOPBACK = "127.0.0.1"
NAME = "interaction-lakehouse"
"""Of the application, as Spark shows it."""


def is_local(settings: Settings) -> bool:
    """Whether Spark runs in the writer's own process."""
    return settings.spark_master.startswith("local")


def session_options(settings: Settings, jars: Sequence[Path]) -> dict[str, str]:
    """What the session is configured with, ``spark_conf`` last; ``jars`` are local files.

    On a cluster the jars are sent to the executors, which need not have them.
    """
    class_path = os.pathsep.join(str(jar) for jar in jars)
    shipped = ",".join(jar.resolve().as_uri() for jar in jars)
    return {
        **ALWAYS,
        **({**LAPTOP, "spark.driver.extraClassPath": class_path} if is_local(settings) else CLUSTER),
        **({} if is_local(settings) else {"spark.jars": shipped}),
        **_driver_address(settings),
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.extraJavaOptions": "-Duser.timezone=UTC -XX:+UseSerialGC -XX:MaxMetaspaceSize=384m "
        f"-Dlog4j2.configurationFile={(Path(__file__).parent / 'log4j2.properties').as_uri()}",
        "spark.sql.warehouse.dir": str(settings.home / "spark-warehouse"),
        **settings.spark_conf,
    }


def _driver_address(settings: Settings) -> dict[str, str]:
    """Where executors find the driver: on loopback where they, or their master, are there too."""
    if is_local(settings) or urlsplit(settings.spark_master).hostname in (LOOPBACK, "localhost"):
        return {"spark.driver.host": LOOPBACK, "spark.driver.bindAddress": LOOPBACK}
    return {}


def build_session(settings: Settings, jars: Sequence[Path], java_home: Path) -> SparkSession:
    """A session with Delta and the Kafka source; times are in UTC whatever the machine's zone.

    ``jars`` are local files, so that nothing is resolved at start. The JVM ends with this process; under
    `spark-submit` it is the one that has started this process, and this process with it.

    Raises LakehouseError where the wheel that workers are to be sent is not there.
    """
    wheel = settings.spark_wheel
    if wheel is not None and not wheel.is_file():
        raise LakehouseError(
            f"LAKEHOUSE_SPARK_WHEEL={wheel}: there is no such file; build it with `uv build --wheel` and name it"
        )
    os.environ["JAVA_HOME"] = str(java_home)
    os.environ.pop("SPARK_HOME", None)
    if settings.spark_python is not None:
        os.environ["PYSPARK_PYTHON"] = settings.spark_python
    elif is_local(settings):  # else Spark's workers are whatever Python stands first on the path
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    builder = SparkSession.builder.appName(NAME).master(settings.spark_master)
    options = session_options(settings, jars)
    hidden = {name: value for name, value in options.items() if re.search(SECRET_NAMES, name)}
    for name, value in options.items():
        if name not in hidden:
            builder = builder.config(name, value)
    with _told_by_a_file(settings.home / "run" / f"spark-{os.getpid()}.properties", hidden):
        spark = builder.getOrCreate()
    if wheel is not None and not is_local(settings):
        _send_to_workers(spark, wheel, settings.home / "run")
    return spark


def _send_to_workers(spark: SparkSession, wheel: Path, folder: Path) -> None:
    """Lets the workers import the project from ``wheel``, ahead of what may be installed there.

    Under another name, for Spark puts only what ends in .zip, .egg or .jar on a worker's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{wheel.stem}.zip"
    part = archive.with_suffix(".part")
    part.write_bytes(wheel.read_bytes())
    part.replace(archive)
    path = list(sys.path)
    spark.sparkContext.addPyFile(str(archive))
    sys.path[:] = path  # the driver goes on with the project that it runs from


@contextmanager
def _told_by_a_file(path: Path, options: Mapping[str, str]) -> Iterator[None]:
    """Starts the JVM with ``options`` from a file that only its owner may read, and that is gone once the JVM has read
    it: what the builder is told stands in the JVM's command line, which everyone on the machine may read."""
    if not options:
        yield
        return
    before = os.environ.get("PYSPARK_SUBMIT_ARGS")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.writelines(f"{_property(name)}={_property(value)}\n" for name, value in options.items())
        arguments = f"--load-spark-defaults --properties-file {shlex.quote(str(path))} {before or 'pyspark-shell'}"
        os.environ["PYSPARK_SUBMIT_ARGS"] = arguments
        yield
    finally:
        path.unlink(missing_ok=True)
        os.environ.pop("PYSPARK_SUBMIT_ARGS", None)
        if before is not None:
            os.environ["PYSPARK_SUBMIT_ARGS"] = before


def _property(text: str) -> str:
    """``text`` as Java reads it from a file of properties."""
    return re.sub(r"[\\\s:=#!]", lambda found: f"\\u{ord(found[0]):04x}", text)


def engine_runs(spark: SparkSession) -> bool:
    """Whether the JVM is there still, and with it the session: a cluster may have given up on it."""
    process = getattr(spark.sparkContext._gateway, "proc", None)
    if process is not None and process.poll() is not None:
        return False
    context = spark.sparkContext._jsc
    try:
        return context is not None and not context.sc().isStopped()
    except (Py4JError, OSError):
        return False
