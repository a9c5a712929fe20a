"""The writer's state, for people."""

from __future__ import annotations

import json
from typing import Any

from lakehouse.home import Home

SEPARATOR = " · "
ALARM = "ALARM: "


def read_writer(home: Home) -> dict[str, Any] | None:
    """What the writer last said of itself; None where it has not said anything yet."""
    try:
        state: dict[str, Any] = json.loads(home.state.read_text())
    except (OSError, ValueError):
        return None
    return state


def live_lines(writer: dict[str, Any] | None, most: int | None = 80) -> list[str]:
    """How the streams do, their tables' rows, and a line for each alarm and each error, in words.

    An error is cut to ``most`` characters, so that a line has room for several; the whole is in the writer's log.
    """
    if writer is None:
        return ["the writer has not finished a round yet"]
    doing = (
        str(writer.get("state", "unknown")),
        f"{writer.get('events_per_second') or 0:,.1f} events/s",
        f"lag {_lag(writer)}",
        f"watermark {_moment(writer.get('watermark'))}",
    )
    tables = (f"{name} {rows:,}" for name, rows in (writer.get("tables") or {}).items())
    errors = (_error_line(name, stream, most) for name, stream in (writer.get("streams") or {}).items())
    alarms = (f"{ALARM}{alarm}" for alarm in writer.get("alarms") or [])
    lines = (SEPARATOR.join(doing), SEPARATOR.join(tables), *alarms, *errors, *_upkeep(writer, most))
    return [line for line in lines if line]


def read_champion(home: Home) -> dict[str, Any] | None:
    """What is said of the model that serves; None where there is none, or nothing is said."""
    try:
        note: dict[str, Any] = json.loads(home.champion_note.read_text())
    except (OSError, ValueError):
        return None
    return note


def champion_line(note: dict[str, Any] | None) -> str:
    """Which churn model serves, in words."""
    if note is None:
        return "churn model: none yet"
    of = "of simulated data, until `lakehouse train`" if note["simulated"] else f"version {note['version']}"
    trained = f"trained {_moment(note['trained_at'])}, test ROC AUC {note['roc_auc']:.3f}"
    return f"churn model: {of} ({trained})"


def quality_lines(quality: dict[str, Any] | None) -> list[str]:
    """How far the tables were judged, what was found that alarms nobody, and what could not be judged."""
    if quality is None:
        return []
    if not quality["enabled"]:
        return ["quality: the validator is switched off (LAKEHOUSE_QUALITY_VALIDATOR)"]
    followed = [table for table in quality["tables"].values() if "validated" in table]
    judged = [table for table in followed if table["validated"] is not None]
    behind = max((table["lag_seconds"] or 0.0 for table in judged), default=0.0)
    said = [f"quality: {len(judged)} of {len(followed)} tables judged, {behind:.0f} s behind"]
    said += [f"warning: {warning['said']}" for warning in quality["warnings"]]
    return said + [line for table in followed for line in table["not_judged"]]


def _error_line(name: str, stream: dict[str, Any], most: int | None) -> str:
    if not stream.get("error"):
        return ""
    error = _cut(str(stream["error"]), most)
    return f"{name} {stream.get('state', '')} since {_moment(stream.get('since'))}: {error}"


def _upkeep(writer: dict[str, Any], most: int | None) -> list[str]:
    """What keeps files and logs from being removed."""
    upkeep = writer.get("upkeep") or {}
    failed = [f"upkeep: {_cut(upkeep['error'], most)}"] if upkeep.get("error") else []
    return failed + [str(hold["reason"]) for hold in upkeep.get("held_by") or []]


def _cut(error: str, most: int | None) -> str:
    line = " ".join(error.split())
    return line if most is None or len(line) <= most else f"{line[: most - 1]}…"


def _lag(writer: dict[str, Any]) -> str:
    events, seconds = writer.get("lag_events") or 0, writer.get("lag_seconds")
    return f"{events:,} events" + (f" ({seconds:.1f} s)" if seconds is not None else "")


def _moment(watermark: str | None) -> str:
    return f"{watermark[:19].replace('T', ' ')} UTC" if watermark else "none yet"
