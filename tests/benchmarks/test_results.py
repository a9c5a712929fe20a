"""Results on disk: a part that is measured again takes the place of its last result, and no other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.results import save
from lakehouse.settings import Settings


@dataclass
class Options:
    parts: tuple[str, ...]


@dataclass
class Part:
    name: str
    slope: float


@dataclass
class Result:
    parts: tuple[Part, ...]


def test_a_part_that_is_measured_again_leaves_the_others(tmp_path: Path) -> None:
    machine = describe(Settings(home=tmp_path))

    def run(quick: bool, *parts: Part) -> dict[str, float]:
        options = Options(tuple(part.name for part in parts))
        path = save(
            tmp_path, "growth", machine=machine, options=options, result=Result(parts), seconds=60.0, quick=quick
        )
        return {part["name"]: part["slope"] for part in json.loads(path.read_text())["result"]["parts"]}

    run(False, Part("in order", 1.0), Part("commits", 2.0))

    assert run(False, Part("commits", 3.0)) == {"in order": 1.0, "commits": 3.0}
    assert run(True, Part("commits", 4.0)) == {"commits": 4.0}
