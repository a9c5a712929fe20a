"""What tables take on disk, in Delta, in Postgres and in Kafka."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from lakehouse.contracts import TABLES
from lakehouse.home import Home

PARTITIONED = "SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint FROM pg_partition_tree(%s)"
PLAIN = "SELECT pg_total_relation_size(%s)"
MIRRORS = (
    "raw_events",
    "funnel_summary",
    "funnel_windows",
    "session_funnel",
    "cohorts",
    "churn_prediction",
    "churn_prediction_history",
)


@dataclass(frozen=True)
class DeltaSize:
    """One Delta table."""

    rows: int
    files: int
    """Of the newest version."""
    bytes: int
    """Of these files."""
    bytes_on_disk: int
    """With the files that only older versions need, change data and the log."""
    log_files: int
    log_bytes: int
    versions: int


def delta_sizes(home: Home) -> Mapping[str, DeltaSize]:
    """Every table of the contracts that is there."""
    return {
        table.name: _delta_size(home.table(table.name))
        for table in TABLES
        if (home.table(table.name) / "_delta_log").is_dir()
    }


def postgres_sizes(dsn: str) -> Mapping[str, int]:
    """Bytes of each mirror, its indexes and partitions included."""
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        sizes = {}
        for mirror in MIRRORS:
            cursor.execute("SELECT relkind = 'p' FROM pg_class WHERE oid = %s::regclass", (mirror,))
            is_partitioned = bool((cursor.fetchone() or (False,))[0])
            cursor.execute(PARTITIONED if is_partitioned else PLAIN, (mirror,))
            sizes[mirror] = int((cursor.fetchone() or (0,))[0])
        return sizes


def bytes_below(folder: Path) -> int:
    """Of all files in it; those that vanish meanwhile are left out."""
    return sum(size for _, size in _files(folder))


def _delta_size(path: Path) -> DeltaSize:
    table = DeltaTable(str(path))
    adds = pa.table(table.get_add_actions(flatten=True))
    log = list(_files(path / "_delta_log"))
    return DeltaSize(
        rows=int(pc.sum(adds["num_records"]).as_py() or 0),
        files=adds.num_rows,
        bytes=int(pc.sum(adds["size_bytes"]).as_py() or 0),
        bytes_on_disk=bytes_below(path),
        log_files=len(log),
        log_bytes=sum(size for _, size in log),
        versions=int(table.version()) + 1,
    )


def _files(folder: Path) -> list[tuple[Path, int]]:
    found = []
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                told = path.stat()
                found.append((path, min(told.st_size, told.st_blocks * 512)))  # Kafka's index files are sparse
        except FileNotFoundError:
            continue
    return found
