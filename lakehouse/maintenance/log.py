"""A table's transaction log on a local file system: which versions it holds, when they were committed, by whom.

A version's time is the modification time of its file, as both engines take it for time travel.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from deltalake import CommitProperties, Transaction

from lakehouse.commits import KEY, Commit, upkeep
from lakehouse.deltalog import read_version

_VERSION = re.compile(r"^\.?(\d{20})\.")
_COMMIT = re.compile(r"^\d{20}\.json$")
_CHECKPOINT = re.compile(r"^\d{20}\.checkpoint(\.\d+\.\d+)?\.parquet$")


@dataclass(frozen=True)
class Log:
    """The log of the table at ``table``."""

    table: Path

    @property
    def folder(self) -> Path:
        return self.table / "_delta_log"

    def commits(self) -> list[int]:
        """The versions whose commits are kept, oldest first; not without gaps where a clean-up was interrupted."""
        return sorted(int(name[:20]) for name in self._names() if _COMMIT.match(name))

    def checkpoints(self) -> list[int]:
        """The versions that have a checkpoint, oldest first."""
        return sorted({int(name[:20]) for name in self._names() if _CHECKPOINT.match(name)})

    def committed_at(self, version: int) -> datetime:
        """When ``version`` was committed, in UTC. Raises FileNotFoundError where it is not kept."""
        return datetime.fromtimestamp(self._commit(version).stat().st_mtime, UTC)

    def oldest(self) -> int:
        """The oldest version that can be read: the first of those without a gap up to the newest."""
        kept = self.commits()
        first = len(kept) - 1
        while first > 0 and kept[first - 1] == kept[first] - 1:
            first -= 1
        return kept[first]

    def version_before(self, moment: datetime) -> int | None:
        """The newest version that was committed before ``moment``; None where none of those kept was."""
        kept = self.commits()
        after = bisect_left(kept, moment, key=self.committed_at)
        return kept[after - 1] if after else None

    def checkpoint_before(self, cutoff: datetime) -> int | None:
        """The checkpoint that a clean-up up to ``cutoff`` keeps the log from: commits before it go.

        As delta-rs does it: the newest one that is no newer than the oldest commit since ``cutoff``.
        """
        kept = self.commits()
        since = kept[min(bisect_left(kept, cutoff, key=self.committed_at), len(kept) - 1)]
        return max((version for version in self.checkpoints() if version <= since), default=None)

    def files_before(self, version: int) -> list[Path]:
        """Everything in the log that belongs to versions before ``version``, oldest first."""
        found = [(int(match[1]), name) for name in self._names() if (match := _VERSION.match(name))]
        return [self.folder / name for number, name in sorted(found) if number < version]

    def newest_account(self) -> int | None:
        """The newest version that says of itself how far its stage has come; None where none does."""
        return next((version for version in reversed(self.commits()) if self._has_account(version)), None)

    def newest_change(self, up_to: int) -> int | None:
        """The newest version that brought, changed or removed rows, of those up to ``up_to``; None where none did."""
        for number in reversed(self.commits()):
            if number <= up_to and read_version(self.table, number).changes_rows:
                return number
        return None

    def _has_account(self, version: int) -> bool:
        actions = [json.loads(line) for line in self._commit(version).read_text().splitlines() if line]
        info: dict[str, str] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
        return Commit.from_json(info.get(KEY)) is not None

    def _commit(self, version: int) -> Path:
        return self.folder / f"{version:020}.json"

    def _names(self) -> list[str]:
        return [file.name for file in self.folder.iterdir()]


def upkeep_commit(what: str, *transactions: Transaction) -> CommitProperties:
    """The properties of a commit of maintenance."""
    return CommitProperties(custom_metadata={KEY: upkeep(what)}, app_transactions=list(transactions) or None)
