"""Which versions of a table can be read: opening one in this process, and what is said where it, or its files, are
gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from lakehouse.contracts import Table
from lakehouse.deltalog import commit_file
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.maintenance.log import Log


class NotHere(LakehouseError):
    """The table is not under this home, or none is."""


class NotKept(LakehouseError):
    """The table does not go back so far, or not any more."""


def open_table(home: Home, table: type[Table], version: int | None = None) -> DeltaTable:
    """The table at ``version``, by default the newest. Raises NotHere, NotKept."""
    folder = home.table(table.name)
    try:
        return DeltaTable(str(folder), version=version)
    except TableNotFoundError:
        raise not_here(home, table) from None
    except (DeltaError, OSError) as error:
        raise not_kept(home, table, version, error) from None


def data_files(opened: DeltaTable) -> pl.DataFrame:
    """What the log says of each of its files: ``path`` (as `file_path` takes it), ``num_records``,
    ``partition.COLUMN``, and ``min.COLUMN`` and ``max.COLUMN`` as far as the log has them."""
    return pl.DataFrame(pa.table(opened.get_add_actions(flatten=True)))


def file_path(folder: Path, path: str) -> Path:
    """Where a file of `data_files` lies."""
    return folder / unquote(path)


@contextmanager
def reading(home: Home, table: type[Table], version: int, files: Callable[[], list[Path]]) -> Iterator[None]:
    """``files`` of ``version`` are scanned within it. Raises NotKept where one of them is gone by then, as upkeep
    removes them once their time is over; whatever else goes wrong is raised as it is."""
    try:
        yield
    except (OSError, DeltaError, pl.exceptions.PolarsError):
        missing = next((file for file in files() if not file.exists()), None)
        if missing is None:
            raise
        raise removed(home, table, version, missing) from None


def not_here(home: Home, table: type[Table]) -> NotHere:
    """What to say of a table that is not there yet."""
    return NotHere(f"{table.name}: is not under {home.root} yet; start `lakehouse up`, and let events come")


def not_kept(home: Home, table: type[Table], version: int | None, error: Exception | None = None) -> NotKept:
    """What to say of a version that cannot be read."""
    asked = "the newest version" if version is None else f"version {version}"
    why = "" if error is None else f" ({' '.join(str(error).split())[:160]})"
    return NotKept(
        f"{table.name}: {asked} is not kept any more, or not there; {kept(home, table)}. Choose a newer one, or raise "
        f"LAKEHOUSE_TIME_TRAVEL_HOURS{why}"
    )


def removed(home: Home, table: type[Table], version: int, missing: Path) -> NotKept:
    """What to say of a version whose file ``missing`` is not there."""
    if commit_file(home.table(table.name), version + 1).exists():
        return NotKept(
            f"{table.name}: the files of version {version} were removed when its time was over "
            "(LAKEHOUSE_TIME_TRAVEL_HOURS); choose a newer one"
        )
    return NotKept(
        f"{table.name}: {missing.name} of version {version}, the newest, is missing, which upkeep never removes; put "
        "it back from a backup, or have silver and gold made anew by `lakehouse rebuild`"
    )


def kept(home: Home, table: type[Table]) -> str:
    """Which versions can be read, in words."""
    log = Log(home.table(table.name))
    try:
        oldest, newest = log.oldest(), log.commits()[-1]
        first, last = log.committed_at(oldest), log.committed_at(newest)
    except (OSError, IndexError):
        return "none is"
    return f"those from {oldest} ({_moment(first)}) to {newest} ({_moment(last)} UTC) are"


def _moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"
