"""The job `sql`: a query over the Delta tables, by their names, in the session that writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from lakehouse.contracts import SNAPSHOTS, TABLES
from lakehouse.errors import LakehouseError
from lakehouse.jobs import Progress
from lakehouse.maintenance.history import daily_view, kept
from lakehouse.stages import utc_now

if TYPE_CHECKING:
    from lakehouse.writer import Writer

MAX_ROWS = 100_000

NOT_KEPT = frozenset(
    {
        "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION",
        "DELTA_UNSUPPORTED_TIME_TRAVEL_BEYOND_DELETED_FILE_RETENTION_DURATION",
        "DELTA_VERSION_NOT_FOUND",
    }
)
"""How Spark refuses a version or a moment that it cannot go back to."""


def query(writer: Writer, arguments: Mapping[str, Any], _: Progress) -> dict[str, Any]:
    """Runs ``query``. Result: ``columns``, ``rows`` (values as JSON has them), ``truncated``.

    It reads versions that are there, so it takes no turn: a long one would keep every stage waiting.

    Only queries are taken: whatever would change something is refused before it runs. Raises LakehouseError with
    Spark's reason.
    """
    text = str(arguments["query"]).strip().rstrip(";")
    spark = writer.context.spark
    try:
        _only_a_query(spark, text)
        name_tables(spark, writer)
        found = spark.sql(text).limit(MAX_ROWS + 1).toArrow()
    except (PySparkException, Py4JJavaError) as error:
        raise LakehouseError("; ".join([f"sql: {_reason(error)}", *_what_is_kept(error, text, writer)])) from None
    rows = found.slice(0, MAX_ROWS)
    return {
        "columns": found.column_names,
        "rows": [list(row.values()) for row in rows.to_pylist()],
        "truncated": found.num_rows > MAX_ROWS,
    }


def name_tables(spark: SparkSession, writer: Writer) -> None:
    """Makes the tables known by the names of their contracts, once in a session."""
    for table in TABLES:
        if spark.catalog.tableExists(table.name):
            continue
        spark.sql(f"CREATE DATABASE IF NOT EXISTS {table.name.split('.')[0]}")
        path = writer.context.store.path(table).replace("'", "\\'")
        spark.sql(f"CREATE TABLE {table.name} USING delta LOCATION '{path}'")
    for snapshot in SNAPSHOTS:
        if not spark.catalog.tableExists(snapshot.view):
            spark.sql(f"CREATE VIEW {snapshot.view} AS {daily_view(snapshot, writer.context.settings)}")


def _what_is_kept(error: PySparkException | Py4JJavaError, text: str, writer: Writer) -> list[str]:
    """For who asked for a version or a moment that is not kept: what is, of the tables in the query."""
    condition = error.getCondition() if isinstance(error, PySparkException) else None
    if condition not in NOT_KEPT:
        return []
    named = [table for table in TABLES if re.search(rf"\b{re.escape(table.name)}\b", text, re.IGNORECASE)]
    return [kept(writer.context.store, table, utc_now()) for table in named]


def _only_a_query(spark: SparkSession, text: str) -> None:
    jvm: Any = spark._jvm
    plan = spark._jsparkSession.sessionState().sqlParser().parsePlan(text)
    plans = "org.apache.spark.sql.catalyst.plans.logical."
    forbidden = [jvm.java.lang.Class.forName(plans + name) for name in ("Command", "ParsedStatement")]
    waiting = [plan]
    while waiting:
        node = waiting.pop()
        if any(kind.isInstance(node) for kind in forbidden):
            raise LakehouseError(
                f"sql: only queries are taken, and this is {node.nodeName()}; tables are changed by their own commands"
            )
        children = node.children()
        waiting += [children.apply(i) for i in range(children.size())]


def _reason(error: PySparkException | Py4JJavaError) -> str:
    """Spark's own sentence, without plan and stack."""
    # Not getMessage(): Spark looks the condition up among its own, and fails at those of Delta.
    text = str(error) if isinstance(error, PySparkException) else str(error.java_exception.getMessage())
    return " ".join((text or type(error).__name__).split("\n\n")[0].split(" SQLSTATE")[0].split())[:600].rstrip(".")
