"""Where tables are made anew: under the home, beside those that are there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from lakehouse.contracts import Table
from lakehouse.errors import LakehouseError
from lakehouse.spark import is_local
from lakehouse.store import TableStore


@dataclass(frozen=True)
class StagingStore(TableStore):
    """The tables under a home, of which those in ``staged`` are others, of a folder of their own."""

    staged: tuple[type[Table], ...] = ()

    def path(self, table: type[Table]) -> str:
        if table in self.staged:
            return str(self.home.rebuild / table.name)
        return super().path(table)


@contextmanager
def staging(store: TableStore, tables: Sequence[type[Table]]) -> Iterator[StagingStore]:
    """Empty ``tables`` to be filled, with handles of their own to all others, so that it may be used beside the rounds.

    Raises LakehouseError where delta-rs does not commit.
    """
    if not is_local(store.settings) or store.settings.commit_engine == "spark":
        raise LakehouseError("rebuild: is done where delta-rs commits, on one machine; see LAKEHOUSE_COMMIT_ENGINE")
    settings = store.settings.model_copy(update={"commit_engine": "delta-rs"})
    opened = StagingStore(store.home, settings, store.spark, staged=tuple(tables))
    folders = [store.home.rebuild / table.name for table in tables]
    try:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        opened.create_all(tables)
        yield opened
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
