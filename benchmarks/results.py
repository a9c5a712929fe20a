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
    """Writes ``FOLDER/NAME.json``, replacing the last run's; ``options`` and ``result`` are dataclasses.

    Where the options name ``parts``, those of the last run that this one left out are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    document: dict[str, Any] = {
        "format": FORMAT,
        "benchmark": name,
        "quick": quick,
        "seconds": round(seconds, 1),
        "machine": dataclasses.asdict(machine),
        "options": dataclasses.asdict(options),
        "result": dataclasses.asdict(result),
    }
    if "parts" in document["options"] and path.is_file():
        _keep_parts(json.loads(path.read_text()), document)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(document, indent=1) + "\n")
    part.replace(path)
    return path


def _keep_parts(last: dict[str, Any], document: dict[str, Any]) -> None:
    told = {part["name"] for part in document["result"]["parts"]}
    kept = [part for part in last["result"]["parts"] if part["name"] not in told]
    if kept and last["quick"] == document["quick"]:
        document["result"]["parts"] = [*kept, *document["result"]["parts"]]
        document["options"]["parts"] = [part["name"] for part in document["result"]["parts"]]
        document["seconds"] += last["seconds"]
