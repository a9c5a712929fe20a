"""Numbers by the hundred million, kept on disk: one anonymous file, read back partition by partition."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Spill:
    """Records of one NumPy type, appended in any mix of partitions.

    The file has no name, so it is gone with the process, however that ends. Records of a partition come back in the
    order in which they were appended. Memory: a few bytes for each call of ``append`` and partition.
    """

    def __init__(self, folder: Path, dtype: npt.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._end = 0
        self._segments: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)

    def append(self, partitions: Array, records: Array) -> None:
        """Appends ``records``, each to the partition (a whole number from 0) at the same place of ``partitions``."""
        if not len(records):
            return
        order = np.argsort(partitions, kind="stable")
        by_partition = partitions[order]
        self._file.seek(self._end)
        self._file.write(np.ascontiguousarray(records[order], dtype=self._dtype).tobytes())
        starts = np.flatnonzero(np.diff(by_partition, prepend=-1))
        ends = np.append(starts[1:], len(records))
        for partition, start, end in zip(by_partition[starts].tolist(), starts.tolist(), ends.tolist(), strict=True):
            place = self._end + start * self._dtype.itemsize
            self._segments[partition].append((place, (end - start) * self._dtype.itemsize))
        self._end += len(records) * self._dtype.itemsize

    def partitions(self) -> list[int]:
        """The partitions that hold records, in order."""
        return sorted(self._segments)

    def read(self, partition: int) -> Array:
        """All records of ``partition``."""
        parts = []
        for place, size in self._segments.get(partition, []):
            self._file.seek(place)
            parts.append(self._file.read(size))
        return np.frombuffer(b"".join(parts), dtype=self._dtype)

    def __enter__(self) -> Spill:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
