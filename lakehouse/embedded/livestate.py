"""The writer's state, for people."""

from __future__ import annotations

import json
from typing import Any

from lakehouse.home import Home

SEPARATOR = " · "


def read_writer(home: Home) -> dict[str, Any] | None:
    """What the writer last said of itself; None where it has not said anything yet."""
    try:
        state: dict[str, Any] = json.loads(home.state.read_text())
    except (OSError, ValueError):
        return None
    return state


def live_lines(writer: dict[str, Any] | None) -> list[str]:
    """How the streams do, their tables' rows, and a line for each error, in words."""
    if writer is None:
        return ["the writer has not finished a round yet"]
    doing = (
        str(writer.get("state", "unknown")),
        f"{writer.get('events_per_second') or 0:,.1f} events/s",
        f"lag {_lag(writer)}",
        f"watermark {_moment(writer.get('watermark'))}",
    )
    tables = (f"{name} {rows:,}" for name, rows in (writer.get("tables") or {}).items())
    errors = (f"{name}: {_short(error)}" for name, error in stream_errors(writer).items())
    return [line for line in (SEPARATOR.join(doing), SEPARATOR.join(tables), *errors, *_upkeep(writer)) if line]


def stream_errors(writer: dict[str, Any]) -> dict[str, str]:
    """The error of each stream that has one."""
    streams = writer.get("streams") or {}
    return {name: str(stream["error"]) for name, stream in streams.items() if stream.get("error")}


def _upkeep(writer: dict[str, Any]) -> list[str]:
    """What keeps files and logs from being removed."""
    upkeep = writer.get("upkeep") or {}
    failed = [f"upkeep: {_short(upkeep['error'])}"] if upkeep.get("error") else []
    return failed + [str(hold["reason"]) for hold in upkeep.get("held_by") or []]


def _short(error: str, most: int = 80) -> str:
    """A line has room for several; the whole of it is in the writer's log."""
    line = " ".join(error.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _lag(writer: dict[str, Any]) -> str:
    events, seconds = writer.get("lag_events") or 0, writer.get("lag_seconds")
    return f"{events:,} events" + (f" ({seconds:.1f} s)" if seconds is not None else "")


def _moment(watermark: str | None) -> str:
    return f"{watermark[:19].replace('T', ' ')} UTC" if watermark else "none yet"
