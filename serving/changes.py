"""A range of Delta's change feed, reduced to what is true at its end."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pyarrow as pa

CHANGE_TYPE = "_change_type"
COMMIT_VERSION = "_commit_version"

DELETE = "delete"
PREIMAGE = "update_preimage"


def latest_changes(changes: pa.Table, key: Sequence[str]) -> pa.Table:
    """For each key the one change that holds: every row and column of it, in no order.

    The highest ``_commit_version`` wins; inside a version an insert or postimage beats a delete, for a commit that
    moves a row to another file may list both. Preimages never count.
    """
    kind = pl.col(CHANGE_TYPE)
    order = [*key, CHANGE_TYPE, COMMIT_VERSION]
    positions = (
        pl.DataFrame(changes.select(order))
        .with_row_index("position")
        .filter(kind != PREIMAGE)
        .sort(pl.col(COMMIT_VERSION), kind != DELETE)
        .unique(subset=list(key), keep="last", maintain_order=True)
        .get_column("position")
    )
    return changes.take(positions.to_arrow())
