"""The job `drain`: returns when every event that was in Kafka at its start has reached every table and mirror."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakehouse.contracts import Table
from lakehouse.errors import EngineLost, LakehouseError
from lakehouse.jobs import Progress
from lakehouse.runner import STOPPED
from lakehouse.stages import Stage

if TYPE_CHECKING:
    from lakehouse.writer import Writer


def drain(writer: Writer, arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Waits, at most ``timeout_s``, for the end offsets of now; events may go on arriving meanwhile.

    Result: ``events`` (rows of bronze), ``seconds``. Raises LakehouseError naming what is behind and why, EngineLost
    where the writer stops meanwhile.
    """
    with writer.runner.hurry():
        return _drained(writer, arguments, progress)


def _drained(writer: Writer, arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    began = time.monotonic()
    timeout_s = float(arguments.get("timeout_s") or 600.0)
    bronze: Any = writer.stage("bronze")
    ends = {partition: end for partition, (_, end) in bronze.watch_offsets().items()}
    said = -1
    rounds = 0
    arrival = Arrival(writer.runner.stages, writer.context.store.version)
    while time.monotonic() - began < timeout_s:
        with writer.runner.turn:
            taken = bronze.taken()
            missing = sum(max(0, end - taken.get(partition, 0)) for partition, end in ends.items())
            if not missing and arrival.is_complete():
                return {"events": bronze.state.rows, "seconds": round(time.monotonic() - began, 3)}
        if missing != said:
            progress(
                f"{missing:,} events on their way to bronze" if missing else "the last events on their way to Postgres"
            )
            said = missing
        if stopped := [stage for stage in writer.runner.stages if stage.state.state == STOPPED]:
            raise LakehouseError("drain: " + "; ".join(f"{stage.name}: {stage.state.error}" for stage in stopped))
        if halts := writer.gatekeeper.standing.halts:
            raise LakehouseError("drain: " + "; ".join(map(str, halts)))
        rounds = writer.runner.wait_for_round(rounds, min(1.0, timeout_s))
        if writer.runner.stopping.is_set():
            raise EngineLost("drain: the writer is stopping; start it again and drain again")
    errors = [f"{s.name}: {s.state.error}" for s in writer.runner.stages if s.state.error]
    behind = "; ".join([*errors, *writer.gatekeeper.waits()])
    raise LakehouseError(
        f"drain: not done after {timeout_s:g} s; "
        + (behind or f"{missing:,} events are not in bronze yet; give it more time with --timeout")
    )


@dataclass
class Arrival:
    """Follows what is in bronze now through the tables and mirrors, whatever comes behind it.

    Each table is looked at once the stage that writes it has taken all that it had to: from then on it is the version
    of that moment that its own readers have to take.
    """

    stages: Sequence[Stage]
    version: Callable[[type[Table]], int]
    _to_take: dict[str, int] = field(default_factory=dict)
    """For each table the version up to which its readers have to take it."""

    def is_complete(self) -> bool:
        """Whether every stage has taken what it has to; asked between two rounds, again and again."""
        complete = True
        written = {table.name for stage in self.stages for table in stage.targets}
        for stage in self.stages:
            if stage.origin is None or stage.origin.name not in written:  # no event is on its way through that
                done = True
            else:
                until = self._to_take.get(stage.origin.name)
                done = until is not None and stage.has_taken(until)
                if until is not None and not done:  # all of it is there: nobody waits for the stage's interval
                    stage.state.due_at = 0.0
            complete = complete and done
            for table in stage.targets if done else ():
                if table.name not in self._to_take:
                    self._to_take[table.name] = self.version(table)
        return complete
