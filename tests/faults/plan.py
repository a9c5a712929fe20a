"""What a run does: a list of steps drawn from a seed, or read back from the log of an earlier run."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.faults.messages import Kind

PRODUCE = "produce "
CHECK = "check"

BATCHES: Mapping[str, int] = {PRODUCE + kind.value: weight for kind, weight in zip(Kind, (4, 2, 3, 2, 4), strict=True)}
"""How often each kind of batch is drawn, relative to the others."""


@dataclass(frozen=True)
class Step:
    """One action and all that was drawn for it: nothing is drawn when it is done."""

    action: str
    after_s: float = 0.0
    """Seconds to let the stack work before it."""
    lasts_s: float = 0.0
    """How long a fault lasts that ends by itself."""
    messages: int = 0


def draw(seed: int, faults: Mapping[str, int], faults_per_round: tuple[int, int] = (3, 5)) -> Iterator[Step]:
    """Endless steps: rounds of batches and faults, each with a check at its end.

    ``faults`` weighs them by name. The same arguments give the same steps, whatever becomes of them.
    """
    chance = random.Random(seed)  # noqa: S311 (the same steps at each run)

    def batch() -> Step:
        kind = chance.choices(list(BATCHES), weights=list(BATCHES.values()))[0]
        return Step(kind, messages=chance.randint(100, 1_500))

    while True:
        yield batch()
        for _ in range(chance.randint(*faults_per_round)):
            if chance.random() < 0.6:
                yield batch()
            name = chance.choices(list(faults), weights=list(faults.values()))[0]
            yield Step(name, after_s=round(chance.uniform(0, 4), 1), lasts_s=round(chance.uniform(5.5, 10), 1))
        yield Step(CHECK)


def one_round(steps: Iterator[Step]) -> Iterator[Step]:
    """``steps`` up to the first check, which is included."""
    for step in steps:
        yield step
        if step.action == CHECK:
            return


def of_names(names: Iterable[str]) -> Iterator[Step]:
    """One batch, the named actions with a second before each, and a check."""
    yield Step(PRODUCE + Kind.SHUFFLED.value, messages=500)
    for name in names:
        yield Step(name, after_s=1.0, lasts_s=6.0, messages=500 if name.startswith(PRODUCE) else 0)
    yield Step(CHECK)


def read(log: Path) -> Iterator[Step]:
    """The steps of a run's log."""
    for line in log.read_text().splitlines():
        told = json.loads(line)
        if "step" in told:
            yield Step(**told["step"])


def written(step: Step) -> dict[str, object]:
    return {name: value for name, value in asdict(step).items() if value}
