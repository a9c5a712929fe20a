"""The first pass of a replay: what a line can only be told once the whole file has been seen.

Which of several equal lines a line is (its ordinal), and when the session began that its event belongs to. Both are
worked out on disk: hashes go to partitions small enough to sort in memory, and the answers to windows of rows, which
the second pass reads one after the other. Measured with 30 million lines, a third of them repeated: 2 us a line, 720
MB on disk, 89 MB of memory at the peak, Python and NumPy included.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import blake2b
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np

from producer.spill import Array, Spill

DIGEST_BYTES: Final = 16
"""128 bits: two different lines among 100 million with one hash are not to be expected (chance 1e-23)."""

_PARTITIONS: Final = 256
_BUFFER_ROWS: Final = 262_144
_WINDOW_ROWS: Final = 262_144
_HASH: Final = np.dtype([("low", "<u8"), ("high", "<u8")])


def digest(content: bytes) -> bytes:
    """The hash of a line's canonical content."""
    return blake2b(content, digest_size=DIGEST_BYTES).digest()


class ByRow:
    """One whole number for each row, filled in any order, read in the order of rows; 0 where none was put."""

    def __init__(self, folder: Path) -> None:
        self._spill = Spill(folder, [("row", "<i8"), ("value", "<i8")])

    def put(self, rows: Array, values: Array) -> None:
        records = np.empty(len(rows), dtype=[("row", "<i8"), ("value", "<i8")])
        records["row"], records["value"] = rows, values
        self._spill.append(rows // _WINDOW_ROWS, records)

    def __iter__(self) -> Iterator[int]:
        """Endless: after the last number that was put come zeros."""
        filled = self._spill.partitions()
        for window in range(filled[-1] + 1 if filled else 0):
            records = self._spill.read(window)
            values = np.zeros(_WINDOW_ROWS, dtype="<i8")
            values[records["row"] - window * _WINDOW_ROWS] = records["value"]
            yield from values.tolist()
        yield from repeat(0)

    def close(self) -> None:
        self._spill.__exit__(None, None, None)


class Ordinals:
    """How many equal rows came before each row. Whole numbers from 0; exact up to a collision of 128-bit hashes.

    Rows with equal content get 0, 1, 2 … in the order of the file, so that the set of (content, ordinal) of a file
    is the same in whatever order its lines stand.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digests: list[bytes] = []
        self._rows = 0
        self._spill = Spill(folder, [("low", "<u8"), ("high", "<u8"), ("row", "<i8")])

    def add(self, digest: bytes) -> None:
        """The next row, by the hash of its content."""
        self._digests.append(digest)
        if len(self._digests) == _BUFFER_ROWS:
            self._flush()

    def solve(self) -> ByRow:
        """The ordinal of each row; call once, after the last row."""
        self._flush()
        answers = ByRow(self._folder)
        for partition in self._spill.partitions():
            records = self._spill.read(partition)
            order = np.lexsort((records["row"], records["low"], records["high"]))
            records = records[order]
            is_first = np.ones(len(records), dtype=bool)
            is_first[1:] = (records["low"][1:] != records["low"][:-1]) | (records["high"][1:] != records["high"][:-1])
            place = np.arange(len(records))
            ordinal = place - np.maximum.accumulate(np.where(is_first, place, 0))
            repeated = ordinal > 0
            answers.put(records["row"][repeated], ordinal[repeated])
        self._spill.__exit__(None, None, None)
        return answers

    def _flush(self) -> None:
        hashes = np.frombuffer(b"".join(self._digests), dtype=_HASH)
        records = np.empty(len(hashes), dtype=[("low", "<u8"), ("high", "<u8"), ("row", "<i8")])
        records["low"], records["high"] = hashes["low"], hashes["high"]
        records["row"] = np.arange(self._rows, self._rows + len(hashes))
        self._spill.append((hashes["low"] % _PARTITIONS).astype("<i8"), records)
        self._rows += len(hashes)
        self._digests.clear()


class Sessions:
    """When each row's session began, in microseconds since 1970, UTC.

    A user's events are sorted by time, whatever their order in the file; a session ends where the next event of the
    user is more than ``gap_us`` microseconds later.
    """

    def __init__(self, folder: Path, gap_us: int) -> None:
        self._folder = folder
        self._gap_us = gap_us
        self._users: list[bytes] = []
        self._times: list[int] = []
        self._row_numbers: list[int] = []
        self._type = np.dtype([("low", "<u8"), ("high", "<u8"), ("time", "<i8"), ("row", "<i8")])
        self._spill = Spill(folder, self._type)

    def add(self, row: int, user_id: str, time_us: int) -> None:
        """The event of row number ``row`` (from 0, ascending; rows without an event are left out)."""
        self._users.append(digest(user_id.encode()))
        self._times.append(time_us)
        self._row_numbers.append(row)
        if len(self._users) == _BUFFER_ROWS:
            self._flush()

    def solve(self) -> ByRow:
        """The session's start for each row; call once, after the last row."""
        self._flush()
        answers = ByRow(self._folder)
        for partition in self._spill.partitions():
            events = self._spill.read(partition)
            events = events[np.lexsort((events["time"], events["low"], events["high"]))]
            is_start = np.ones(len(events), dtype=bool)
            is_start[1:] = (
                (events["low"][1:] != events["low"][:-1])
                | (events["high"][1:] != events["high"][:-1])
                | (np.diff(events["time"]) > self._gap_us)
            )
            start = np.maximum.accumulate(np.where(is_start, np.arange(len(events)), 0))
            answers.put(events["row"], events["time"][start])
        self._spill.__exit__(None, None, None)
        return answers

    def _flush(self) -> None:
        users = np.frombuffer(b"".join(self._users), dtype=_HASH)
        records = np.empty(len(users), dtype=self._type)
        records["low"], records["high"] = users["low"], users["high"]
        records["time"], records["row"] = self._times, self._row_numbers
        self._spill.append((users["low"] % _PARTITIONS).astype("<i8"), records)
        self._users.clear()
        self._times.clear()
        self._row_numbers.clear()


class Answers:
    """What the first pass found, one after the other, for each row of the file in order."""

    def __init__(self, ordinals: ByRow | None, sessions: ByRow | None) -> None:
        self._stack = ExitStack()
        for found in (ordinals, sessions):
            if found is not None:
                self._stack.callback(found.close)
        self.ordinals: Iterator[int] = iter(ordinals) if ordinals is not None else repeat(0)
        self.session_starts_us: Iterator[int] | None = iter(sessions) if sessions is not None else None

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
