"""What a version of a Delta table on a local file system did, read from its log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from lakehouse.commits import KEY, REBUILT, Commit
from lakehouse.errors import LakehouseError


@dataclass(frozen=True)
class Version:
    """One commit of a table."""

    number: int
    files: tuple[Path, ...]
    """The data files that brought new rows: none for a compaction, which moves rows that were there."""
    rows: int
    """About how many rows it brought: to cap batches by, not to count with."""
    only_appends: bool
    """No row was changed or removed, so that ``files`` are all there is to know."""
    touched: tuple[Mapping[str, str], ...]
    """For each file that it brought, removed or changed rows in, the values of its partition columns."""
    account: Commit | None
    """What it says of itself; None where it moved no events."""

    @property
    def changes_rows(self) -> bool:
        """Not so where a table was only made, compacted or cleaned up."""
        return bool(self.files) or not self.only_appends

    @property
    def is_rebuild(self) -> bool:
        """Whether it put rows made anew in the place of others."""
        return self.account is not None and self.account.marker == REBUILT


def commit_file(table: Path, number: int) -> Path:
    """Where the log of ``table`` has the version: there once it is committed."""
    return table / "_delta_log" / f"{number:020}.json"


def read_version(table: Path, number: int) -> Version:
    """Raises LakehouseError where the log does not go back to it."""
    try:
        text = commit_file(table, number).read_text()
    except FileNotFoundError:
        raise LakehouseError(
            f"version {number} of {table} is not in its log any more; what has not been read by now must be made again"
        ) from None
    actions = [json.loads(line) for line in text.splitlines() if line]
    added = [action["add"] for action in actions if "add" in action and action["add"]["dataChange"]]
    removed = [action["remove"] for action in actions if "remove" in action and action["remove"]["dataChange"]]
    moved = bool(removed) or any("cdc" in action for action in actions)
    rows = sum(int(json.loads(add.get("stats") or "{}").get("numRecords", 0)) for add in added)
    account = _account(actions)
    if moved:
        rows = rows if account is None else account.rows_in
    files = tuple(table / unquote(add["path"]) for add in added)
    touched = tuple(file.get("partitionValues") or {} for file in (*added, *removed))
    return Version(number, files, rows, not moved, touched, account)


def _account(actions: list[dict[str, dict[str, str]]]) -> Commit | None:
    infos = [action["commitInfo"] for action in actions if "commitInfo" in action]
    return Commit.from_json(infos[0].get(KEY)) if infos else None
