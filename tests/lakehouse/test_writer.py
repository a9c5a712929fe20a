"""What keeps a stage of the writer from running."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from lakehouse.settings import Settings
from lakehouse.stages import Stage
from lakehouse.writer import obstacle


class Named(Stage):
    def __init__(self, name: str) -> None:
        super().__init__(cast(Any, None))
        self.name = name

    def open(self) -> None: ...

    def has_work(self) -> bool:
        return True

    def run(self) -> None: ...


@pytest.fixture
def stages() -> list[Stage]:
    """Bronze, silver and gold; of the last 1,000 events that silver took it refused 400."""
    found: list[Stage] = [Named("bronze"), Named("silver"), Named("gold")]
    found[1].state.recent.append((1_000, 400))
    return found


def why(stages: list[Stage], tmp_path: Path, **settings: Any) -> dict[str, str | None]:
    given = Settings(home=tmp_path, quarantine_ceiling=0.25, **settings)
    return {stage.name: obstacle(stage, stages, given) for stage in stages}


def test_refusals_stop_nothing_unless_they_are_told_to(stages: list[Stage], tmp_path: Path) -> None:
    assert why(stages, tmp_path) == {"bronze": None, "silver": None, "gold": None}


def test_too_many_refusals_stop_bronze_where_they_are_told_to(stages: list[Stage], tmp_path: Path) -> None:
    found = why(stages, tmp_path, quarantine_stops=True)

    assert found["bronze"] is not None
    assert found["bronze"].startswith("40% of the last 1,000 events were refused, more than")
    assert found["bronze"].endswith("until the producer is mended and the stack started again")
    assert (found["silver"], found["gold"]) == (None, None)


def test_too_little_disk_stops_every_stage(stages: list[Stage], tmp_path: Path) -> None:
    found = why(stages, tmp_path, min_free_disk_mb=10**9)

    for reason in found.values():
        assert reason is not None
        assert reason.startswith(f"the disk of {tmp_path} has ")
        assert reason.endswith("; nothing is written until there is more")
