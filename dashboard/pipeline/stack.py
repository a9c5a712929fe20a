"""What the home tells of a running stack: its services, its tables, and what the writer says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import streamlit as st
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lakehouse.contracts import TABLES
from lakehouse.embedded.status import look
from lakehouse.home import Home

STACK_SHARED_FOR_S = 5.0
"""Memory is summed up over all processes of a service."""
TABLES_SHARED_FOR_S = 60.0
"""A table's log is read from its newest checkpoint on: some hundredths of a second each."""


@st.cache_data(ttl=STACK_SHARED_FOR_S, max_entries=5, show_spinner=False)
def read_stack(root: Path) -> dict[str, Any] | None:
    """The document of `lakehouse status --json`; None where no stack runs under the home."""
    home = Home(root)
    report = look(home)
    return None if report is None else report.as_document(home)


@st.cache_data(ttl=TABLES_SHARED_FOR_S, max_entries=5, show_spinner="Reading the tables' logs …")
def read_tables(root: Path) -> pl.DataFrame:
    """table, version, rows, files, bytes of each Delta table at its newest version; by the log alone."""
    found = []
    for table in TABLES:
        path = Home(root).table(table.name)
        try:
            opened = DeltaTable(path)
            files = pl.DataFrame(pa.table(opened.get_add_actions()))
        except (DeltaError, OSError):  # not made yet, or being made anew
            continue
        found.append(
            (table.name, opened.version(), files["num_records"].sum(), files.height, files["size_bytes"].sum())
        )
    columns = {"table": pl.String, "version": pl.Int64, "rows": pl.Int64, "files": pl.Int64, "bytes": pl.Int64}
    return pl.DataFrame(found, columns, orient="row")
