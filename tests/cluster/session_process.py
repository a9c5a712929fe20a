"""A session on a cluster, in a process of its own: ``python -m tests.cluster.session_process FOLDER``.

It does what a stage does with a batch: computes it by the executors' Python, holds it there, and commits it to the
table at FOLDER. It says ``held`` between the two, and waits for a line; what came of it is its last line, as JSON.
"""

from __future__ import annotations

import json
import sys

import polars as pl
import pyarrow as pa

from lakehouse.embedded import jars
from lakehouse.embedded.java import find_java
from lakehouse.frames import apply
from lakehouse.settings import load_settings
from lakehouse.spark import build_session, engine_runs

ROWS, PARTS = 4_000, 8
SCHEMA = pa.schema([("id", pa.int64()), ("module", pa.string())])


def where_it_ran(rows: pl.DataFrame) -> pl.DataFrame:
    """With the file that the worker has a transform of the project from."""
    import silver.transforms

    return rows.with_columns(pl.lit(silver.transforms.__file__).alias("module"))


def main(folder: str) -> None:
    settings = load_settings()
    spark = build_session(settings, jars.spark(settings), find_java(settings).home)
    rows = apply(spark.range(0, ROWS, 1, PARTS), where_it_ran, SCHEMA)
    held = rows.persist()  # type: ignore[union-attr]  # of a Spark DataFrame comes one
    held.count()
    print("held", flush=True)  # noqa: T201
    sys.stdin.readline()
    held.write.format("delta").save(folder)
    back = spark.read.format("delta").load(folder)
    modules = [row[0] for row in back.select("module").distinct().collect()]
    told = {"rows": back.count(), "ids": back.distinct().count(), "modules": modules, "runs": engine_runs(spark)}
    print(json.dumps(told), flush=True)  # noqa: T201
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1])
