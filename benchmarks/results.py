"""The results on disk: one JSON document for each benchmark, from which the report is made."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from benchmarks.machine import Machine

FORMAT = 1
"""Counted up where a document of before could no longer be read."""


def save(folder: Path, name: str, *, machine: Machine, options: Any, result: Any, seconds: float, quick: bool) -> Path:
    """Writes ``FOLDER/NAME.json``, replacing the last run's; ``options`` and ``result`` are dataclasses."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "format": FORMAT,
        "benchmark": name,
        "quick": quick,
        "seconds": round(seconds, 1),
        "machine": dataclasses.asdict(machine),
        "options": dataclasses.asdict(options),
        "result": dataclasses.asdict(result),
    }
    path = folder / f"{name}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document, indent=1) + "\n")
    part.replace(path)
    return path
