"""Running a program against the clock: what it says of itself, and what is said where it fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.contenders.contender import Contender, run


def program(folder: Path, text: str) -> Contender:
    path = folder / "program.py"
    path.write_text(text)
    return Contender("program", (sys.executable, str(path)), "does what it is told")


def test_what_it_tells_is_its_outcome(tmp_path: Path) -> None:
    it = program(tmp_path, "print('talk')\nprint('RESULT {\"seconds\": 1.5, \"counted\": 7}')")

    outcome = run(it, {}, tmp_path / "run", limit_s=30)

    assert (outcome.seconds, outcome.told, outcome.error) == (1.5, {"counted": 7}, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise ValueError('no such topic')", "exit 1: ValueError: no such topic"),
        ("pass", "it ended without saying that it was done"),
        ("import time\ntime.sleep(60)", "not done after 1 s"),
    ],
)
def test_a_failure_is_an_outcome_in_one_line(tmp_path: Path, text: str, reason: str) -> None:
    outcome = run(program(tmp_path, text), {}, tmp_path / "run", limit_s=1)

    assert outcome.seconds is None
    assert outcome.error == reason
