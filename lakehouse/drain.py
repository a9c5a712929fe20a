"""The job `drain`: returns when every event that was in Kafka at its start has reached every table and mirror."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakehouse.errors import LakehouseError
from lakehouse.jobs import Progress
from lakehouse.runner import STOPPED

if TYPE_CHECKING:
    from lakehouse.writer import Writer


def drain(writer: Writer, arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """Waits, at most ``timeout_s``, for the end offsets of now; events may go on arriving meanwhile.

    Result: ``events`` (rows of bronze), ``seconds``. Raises LakehouseError naming what is behind and why.
    """
    began = time.monotonic()
    timeout_s = float(arguments.get("timeout_s") or 600.0)
    bronze: Any = writer.stage("bronze")
    ends = {partition: end for partition, (_, end) in bronze.watch_offsets().items()}
    said = -1
    rounds = 0
    while time.monotonic() - began < timeout_s:
        with writer.runner.turn:
            taken = bronze.taken()
            missing = sum(max(0, end - taken.get(partition, 0)) for partition, end in ends.items())
            if not missing and writer.runner.caught_up:
                return {"events": bronze.state.rows, "seconds": round(time.monotonic() - began, 3)}
        if missing != said:
            progress(
                f"{missing:,} events on their way to bronze" if missing else "the last events on their way to Postgres"
            )
            said = missing
        if stopped := [stage for stage in writer.runner.stages if stage.state.state == STOPPED]:
            raise LakehouseError("drain: " + "; ".join(f"{stage.name}: {stage.state.error}" for stage in stopped))
        rounds = writer.runner.wait_for_round(rounds, min(1.0, timeout_s))
        if writer.runner.stopping.is_set():
            raise LakehouseError("drain: the writer is stopping; start it again and drain again")
    behind = "; ".join(f"{s.name}: {s.state.error}" for s in writer.runner.stages if s.state.error)
    raise LakehouseError(
        f"drain: not done after {timeout_s:g} s; "
        + (behind or f"{missing:,} events are not in bronze yet; give it more time with --timeout")
    )
