"""Users' days from `gold.user_days`, as of a version, without Spark."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError, TableNotFoundError

from lakehouse.contracts import UserDays
from lakehouse.errors import LakehouseError
from lakehouse.home import Home


@dataclass(frozen=True)
class PinnedDays:
    """What a model is trained on: the same version always holds the same rows."""

    days: pl.DataFrame
    version: int
    """The Delta version of ``gold.user_days``."""


def load_user_days(home: Home, version: int | None = None) -> PinnedDays:
    """All users' days at ``version``, at the newest by default; by user and day.

    Raises LakehouseError where there is no such table or the version is not kept.
    """
    path = home.table(UserDays.name)
    try:
        table = DeltaTable(str(path), version=version)
        columns = ", ".join(f'"{column}"' for column in UserDays.columns())
        found = QueryBuilder().register("days", table).execute(f"SELECT {columns} FROM days").read_all()  # noqa: S608
    except TableNotFoundError:
        raise LakehouseError(
            f"{UserDays.name}: is not under {home.root} yet; start `lakehouse up`, and let events come or `lakehouse "
            "replay` a file"
        ) from None
    except (DeltaError, OSError) as error:
        newest = DeltaTable(str(path)).version()
        raise LakehouseError(
            f"--data {version}: {UserDays.name} under {home.root} cannot be read at this version, the newest is "
            f"{newest} ({' '.join(str(error).split())[:200]})"
        ) from None
    return PinnedDays(_days(found), int(table.version()))


def _days(found: object) -> pl.DataFrame:
    days = pl.DataFrame(pa.table(found))
    times = [UserDays.first_event_time, UserDays.last_event_time, UserDays.last_purchase_time]
    return days.with_columns(pl.col(times).cast(pl.Datetime("us", "UTC"))).sort(UserDays.key)
