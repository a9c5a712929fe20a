"""A service's log: appended to across runs, rotated by size, one older part kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

TAIL_LINES = 15
"""As many lines as fit on a screen beside the message that quotes them."""

_TAIL_BYTES = 16_384


def rotate(log: Path, max_mb: int) -> bool:
    """Moves a log beyond ``max_mb`` to LOG.1, over the one before it; whether it did.

    The content is copied and the file cut, since the service holds it open: it writes on at the new end. A
    line written in between the two may be lost.
    """
    try:
        if log.stat().st_size <= max_mb * 1024 * 1024:
            return False
    except FileNotFoundError:
        return False
    shutil.copyfile(log, log.with_name(log.name + ".1"))
    os.truncate(log, 0)
    return True


def tail(log: Path, since: int = 0, lines: int = TAIL_LINES) -> str:
    """The last lines written after the byte ``since``; empty where there are none."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            since = since if since <= end else 0  # rotated meanwhile
            file.seek(max(since, end - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
