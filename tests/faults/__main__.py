"""`python -m tests.faults`: hits a running stack again and again, and proves that nothing is lost or doubled."""

from __future__ import annotations

import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from tests.faults import driver, plan, report
from tests.faults.driver import Outcome
from tests.faults.faults import FAULTS
from tests.faults.plan import CHECK, Step
from tests.faults.world import opened

DOCS = Path(__file__).parents[2] / "docs"


def main(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long; the round that is begun is finished.")] = 30.0,
    seed: Annotated[int | None, typer.Option(help="What is drawn; default: a new one, which is printed.")] = None,
    actions: Annotated[
        str | None,
        typer.Option(help="Instead of drawing: the log of an earlier run, or names, comma-separated."),
    ] = None,
    only: Annotated[str | None, typer.Option(help="Draw only faults whose name contains this.")] = None,
    folder: Annotated[Path | None, typer.Option(help="For home and log; default: a temporary one.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Put the result into docs/reliability.md and .json.")] = False,
) -> None:
    """Start a stack, send self-checking events, and hit it: kill -9, SIGSTOP, dropped connections, a full disk, a
    deleted checkpoint, a topic made anew. After each round everything is drained, the books are drawn up, and every
    layer is compared with what polars works out from the messages alone. Exit 1 if anything differs.

    A failing run prints how to do it again. The faults: {faults}.

    Examples:

      uv run python -m tests.faults --minutes 30 --write
      uv run python -m tests.faults --minutes 5 --seed 7 --only kill
      uv run python -m tests.faults --actions "kill JVM,drop connections"
      uv run python -m tests.faults --seed 7 --actions /tmp/faults-7/actions.jsonl
    """
    seed = random.SystemRandom().randrange(10_000) if seed is None else seed
    folder = folder or Path(tempfile.mkdtemp(prefix=f"faults-{seed}-"))
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "actions.jsonl"
    steps = _steps(seed, actions, only)
    log.unlink(missing_ok=True)
    typer.echo(f"seed {seed}, log {log}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the stack is ended too
    began = time.monotonic()
    outcomes: list[Outcome] = []
    with opened(folder, seed) as world:
        typer.echo(
            f"{_clock(began)} up; " + (f"no full disk: {world.no_disk}" if world.no_disk else "on a disk of its own")
        )
        for outcome in driver.run(world, steps, log, lambda outcome: typer.echo(_line(began, outcome))):
            outcomes.append(outcome)
            if outcome.result == "wrong":
                world.keep(folder / "kept")
            if outcome.step.action == CHECK and time.monotonic() - began > minutes * 60 and not actions:
                break
    summary = report.summarise(seed, outcomes, time.monotonic() - began)
    typer.echo("\n" + report.markdown(summary))
    report.save(folder / "result.json", summary)
    if write:
        report.save(DOCS / "reliability.json", summary)
        report.put_into(DOCS / "reliability.md", summary)
    if not summary.agrees:
        typer.echo(f"again: python -m tests.faults --seed {seed} --actions {log}", err=True)
        sys.exit(1)


main.__doc__ = (main.__doc__ or "").replace("{faults}", ", ".join(FAULTS))


def _steps(seed: int, actions: str | None, only: str | None) -> Iterator[Step]:
    if actions is not None and Path(actions).is_file():
        return iter(list(plan.read(Path(actions))))
    if actions is not None:
        names = [name.strip() for name in actions.split(",")]
        if unknown := [name for name in names if name not in {*FAULTS, *plan.BATCHES}]:
            raise typer.BadParameter(
                f"no such action: {', '.join(unknown)}; they are {', '.join([*FAULTS, *plan.BATCHES])}"
            )
        return plan.of_names(names)
    chosen = {name: fault.weight for name, fault in FAULTS.items() if only is None or only in name}
    if not chosen:
        raise typer.BadParameter(f"no fault is called {only!r}; they are {', '.join(FAULTS)}")
    return plan.draw(seed, chosen)


def _line(began: float, outcome: Outcome) -> str:
    mark = {"done": " ", "skipped": "-", "wrong": "!"}[outcome.result]
    return f"{_clock(began)} {mark} {outcome.step.action:<22} {outcome.seconds:5.1f} s  {outcome.detail}"


def _clock(began: float) -> str:
    minutes, seconds = divmod(int(time.monotonic() - began), 60)
    return f"{minutes:02}:{seconds:02}"


if __name__ == "__main__":
    typer.run(main)
