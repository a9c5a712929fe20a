"""The lines that a replay refuses: all written to a file, the first ones told at once, every one counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

from producer.files import Line, Row

TOLD: Final = 20
"""So many refused lines are told one by one; of the others only the counts, lest a bad file flood the terminal."""

_SHOWN_CHARS: Final = 65_536

Tell = Callable[[int, str, str], None]
"""Takes a refused line's number, the reason, and what was found."""


class Rejects:
    """Writes each refused line as one JSON object to ``path``: file, line, reason, detail, text.

    The file is made with the first refusal. ``text`` is the line as it stands, with bytes that are not UTF-8 written
    as \\xNN and cut to 65,536 characters; for Parquet the row as JSON.
    """

    def __init__(self, source: Path, path: Path, tell: Tell) -> None:
        self.path = path
        self._source = source
        self._tell = tell
        self._counts: Counter[str] = Counter()
        self._file: IO[str] | None = None

    @property
    def count(self) -> int:
        return self._counts.total()

    @property
    def by_reason(self) -> Mapping[str, int]:
        """Most frequent reason first."""
        return dict(self._counts.most_common())

    def refuse(self, line: Line, reason: str, detail: str) -> None:
        self._counts[reason] += 1
        if self.count <= TOLD:
            self._tell(line.line, reason, detail)
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8")
        record = {"file": str(self._source), "line": line.line, "reason": reason, "detail": detail, "text": _text(line)}
        self._file.write(json.dumps(record) + "\n")

    def __enter__(self) -> Rejects:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()


def _text(line: Line) -> str:
    text = line.text
    if isinstance(line, Row) and not text:
        values: dict[str, Any] = line.values
        text = json.dumps(values, default=str)
    return text[:_SHOWN_CHARS].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace").rstrip("\r\n")
