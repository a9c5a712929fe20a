"""A replay into memory, in one call."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from memory_sender import MemorySender, Replays, RunReplay

from producer.mappings import load_mapping
from producer.pace import Pace
from producer.rejects import Rejects
from producer.replay import plan, replay


@pytest.fixture
def sender() -> MemorySender:
    return MemorySender()


OLDEST = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def run_replay(tmp_path: Path) -> RunReplay:
    """Replays a file by a mapping (a name or a YAML file) into memory."""

    def run(
        file: Path, mapping: str = "events", sender: MemorySender | None = None, pace: Pace | None = None
    ) -> Replays:
        sender = sender or MemorySender()
        told: list[tuple[int, str, str]] = []
        planned = plan(file, load_mapping(mapping), mapping)
        with Rejects(file, tmp_path / "logs" / "rejects.jsonl", lambda *refusal: told.append(refusal)) as rejects:
            result = replay(
                planned,
                sender,
                rejects,
                tmp_path,
                pace=pace or Pace(None),
                stop=sender.stop,
                progress=lambda _doing, _lines: None,
                oldest=OLDEST,
            )
        return Replays(result, sender, told)

    return run
