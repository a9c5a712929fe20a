"""What a version of a Delta table on a local file system did, read from its log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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


def accounts(table: Path, up_to: int) -> Iterator[Commit]:
    """What the commits up to the version ``up_to`` say of themselves, newest first, past those of upkeep and of others;
    as far back as the log goes.

    Each is looked up by its name: for the table's history delta-rs lists the whole log.
    """
    for number in range(up_to, -1, -1):
        if not commit_file(table, number).exists():
            return
        account = read_version(table, number).account
        if account is not None:
            yield account


def latest_alike(table: Path, version: int, last: int) -> int:
    """The newest version up to ``last`` that holds the rows of ``version``: past compactions and clean-ups.

    Once the time that old versions are kept for is over, it is the one that can still be read.
    """
    for number in range(version + 1, last + 1):
        if read_version(table, number).changes_rows:
            return number - 1
    return max(version, last)


def _account(actions: list[dict[str, dict[str, str]]]) -> Commit | None:
    infos = [action["commitInfo"] for action in actions if "commitInfo" in action]
    return Commit.from_json(infos[0].get(KEY)) if infos else None
