"""A table's history, by its log: read by the names of its newest commits, however long the log is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import streamlit as st

from lakehouse.commits import KEY, Commit
from lakehouse.deltalog import commit_file
from lakehouse.maintenance.log import Log

NEWEST: Final = 200


@dataclass(frozen=True)
class Entry:
    """A commit, and what it says of itself."""

    version: int
    committed_at: datetime
    operation: str | None
    """As the engine calls it: WRITE, MERGE …"""
    by: str | None
    """The stage that wrote it, or what upkeep did."""
    account: Commit | None
    """None where it moved no events."""
    engine: str | None


@st.cache_data(ttl=600, max_entries=20, show_spinner="Reading the history …")
def read_history(folder: Path, head: int, most: int = NEWEST) -> list[Entry]:
    """The newest ``most`` commits up to the version ``head``, newest first, as far back as the log goes."""
    entries = []
    for version in range(head, max(-1, head - most), -1):
        try:
            entries.append(_entry(folder, version))
        except FileNotFoundError:
            break
    return entries


def _entry(folder: Path, version: int) -> Entry:
    with commit_file(folder, version).open(encoding="utf-8") as lines:
        actions = (json.loads(line) for line in lines if '"commitInfo"' in line)
        info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    account = Commit.from_json(info.get(KEY))
    return Entry(
        version,
        Log(folder).committed_at(version),
        info.get("operation"),
        _upkeep(info.get(KEY)) if account is None else account.query,
        account,
        info.get("engineInfo"),
    )


def _upkeep(text: str | None) -> str | None:
    try:
        said = json.loads(text or "")
        return f"upkeep: {said['maintenance']}"
    except (ValueError, TypeError, KeyError):
        return None
