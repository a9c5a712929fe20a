"""The writer's state as a line."""

from __future__ import annotations

import json
from typing import Any

from lakehouse.home import Home


def read_writer(home: Home) -> dict[str, Any] | None:
    """What the writer last said of itself; None where it has not said anything yet."""
    try:
        state: dict[str, Any] = json.loads(home.state.read_text())
    except (OSError, ValueError):
        return None
    return state


def live_line(writer: dict[str, Any] | None) -> str:
    """Events per second, lag, watermark and rows of each table, in one line of text."""
    if writer is None:
        return "the writer has not finished a round yet"
    parts = [
        str(writer.get("state", "unknown")),
        f"{writer.get('events_per_second') or 0:,.1f} events/s",
        f"lag {_lag(writer)}",
        f"watermark {_moment(writer.get('watermark'))}",
        *(f"{name} {rows:,}" for name, rows in (writer.get("tables") or {}).items()),
        *(f"{name}: {error}" for name, error in stream_errors(writer).items()),
    ]
    return " · ".join(parts)


def stream_errors(writer: dict[str, Any]) -> dict[str, str]:
    """The error of each stream that has one."""
    streams = writer.get("streams") or {}
    return {name: str(stream["error"]) for name, stream in streams.items() if stream.get("error")}


def _lag(writer: dict[str, Any]) -> str:
    events, seconds = writer.get("lag_events") or 0, writer.get("lag_seconds")
    return f"{events:,} events" + (f" ({seconds:.1f} s)" if seconds is not None else "")


def _moment(watermark: str | None) -> str:
    return f"{watermark[:19].replace('T', ' ')} UTC" if watermark else "none yet"
