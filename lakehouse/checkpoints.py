"""A stream's checkpoint under the home: which generation it belongs to, and what its write-ahead log says."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from lakehouse.commits import Commit


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint folder of one generation of a query."""

    path: Path

    def _newest(self, log: str) -> int:
        folder = self.path / log
        return max((int(f.name) for f in folder.iterdir() if f.name.isdigit()), default=-1) if folder.is_dir() else -1

    @property
    def committed(self) -> int:
        """The last batch in Spark's commit log, -1 for none."""
        return self._newest("commits")

    def agrees_with(self, last: Commit | None) -> bool:
        """Whether the query can go on from here, ``last`` being the newest commit of its table.

        The table has the checkpoint's last committed batch, or the one after it where the process died between the
        table's commit and Spark's commit log. Anything else is a checkpoint that was lost, or that is older or
        newer than the table: going on would skip events or take them twice.
        """
        in_table = -1 if last is None or last.marker is not None else last.batch_id
        committed, planned = self.committed, self._newest("offsets")
        return in_table == committed or (in_table == committed + 1 and in_table == planned)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
