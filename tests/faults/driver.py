"""Runs steps against a stack, one after the other, and records what came of each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from tests.faults.check import Checked, check
from tests.faults.faults import FAULTS
from tests.faults.messages import Kind
from tests.faults.plan import CHECK, PRODUCE, Step, written
from tests.faults.world import Skipped, World

Result = Literal["done", "skipped", "wrong"]


@dataclass(frozen=True)
class Outcome:
    """What became of a step."""

    step: Step
    result: Result
    seconds: float
    """How long it took, without the pause before it."""
    detail: str
    """What was hit, why it was skipped, or what is wrong."""
    checked: Checked | None = None
    """Of a check that found nothing wrong."""

    @property
    def is_fault(self) -> bool:
        return self.step.action in FAULTS and self.result == "done"


def run(world: World, steps: Iterator[Step], log: Path, tell: Callable[[Outcome], None]) -> Iterator[Outcome]:
    """Does each step when it is asked for, writes it into ``log`` before, and ends after one that is wrong."""
    for step in steps:
        _note(log, {"step": written(step)})
        time.sleep(step.after_s)  # the time that the stack is given to work, not a wait for something
        began = time.monotonic()
        checked = None
        try:
            if step.action == CHECK:
                checked = check(world)
                result: Result = "done"
                detail = f"{checked.messages:,} messages, {checked.events:,} events, {checked.balances} balances agree"
            else:
                result, detail = "done", _act(world, step)
        except (Skipped, psutil.NoSuchProcess) as skipped:  # what was to be hit may have ended by itself just then
            result, detail = "skipped", str(skipped)
        except (AssertionError, TimeoutError) as error:
            result, detail = "wrong", str(error)
        outcome = Outcome(step, result, time.monotonic() - began, detail, checked)
        _note(log, {"result": result, "seconds": round(outcome.seconds, 2), "detail": detail})
        tell(outcome)
        yield outcome
        if result == "wrong":
            return


def _act(world: World, step: Step) -> str:
    if step.action.startswith(PRODUCE):
        world.flow.add(world.messages.batch(Kind(step.action.removeprefix(PRODUCE)), step.messages))
        return f"{step.messages} messages"
    return FAULTS[step.action].act(world, step)


def _note(log: Path, line: dict[str, object]) -> None:
    with log.open("a") as file:
        file.write(json.dumps(line) + "\n")
