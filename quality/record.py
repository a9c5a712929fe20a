"""The jobs that keep verdicts and decisions: `record_quality` of the validator, `accept_quality` of whoever decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lakehouse.errors import LakehouseError
from lakehouse.jobs import Progress
from quality.verdicts import Run, followed, run_from_json

if TYPE_CHECKING:
    from lakehouse.writer import Writer

ACCEPTED, REBUILT = "accepted", "rebuilt"


def record_quality(writer: Writer, arguments: Mapping[str, Any], _: Progress) -> dict[str, Any]:
    """Keeps ``runs``, as `quality.verdicts.run_to_json` writes them, all in one commit, each of those that follow a
    table once.

    Result: ``recorded``, the ids of those that were not there before. Raises LakehouseError where one does not begin
    where its table was judged up to.
    """
    runs = [run_from_json(each) for each in arguments["runs"]]
    with writer.runner.turn:
        new, validated = unrecorded(runs, writer.gatekeeper.standing.validated)
        if new:
            writer.gatekeeper.record(pa.concat_tables([run.rows() for run in new]), validated)
    return {"recorded": [run.run_id for run in new]}


def accept_quality(writer: Writer, arguments: Mapping[str, Any], _: Progress) -> dict[str, Any]:
    """Lets the layers after a table go on with what the ``runs`` (their ids) found, as it is; ``note`` says why.

    Result: ``halts``: how many are left. Raises LakehouseError for a run that halts nothing.
    """
    with writer.runner.turn:
        settle(writer, arguments["runs"], ACCEPTED, arguments.get("note"))
    return {"halts": len(writer.gatekeeper.standing.halts)}


def rebuilt(writer: Writer, layer: str, since: date | None) -> None:
    """After `lakehouse rebuild`: what halted for rows of ``layer``, or of gold where silver was made anew, is over, so
    far as all of it was made anew. Called without the runner's turn."""
    if since is not None:
        return
    made_anew = ("silver.", "gold.") if layer == "silver" else (f"{layer}.",)
    with writer.runner.turn:
        over = [each.run_id for each in writer.gatekeeper.standing.halts if each.table_name.startswith(made_anew)]
        if over:
            settle(writer, over, REBUILT, None)


def settle(writer: Writer, run_ids: Sequence[str], decision: str, note: str | None) -> None:
    """Keeps a decision about runs that halt; the runner's turn must be held.

    Raises LakehouseError for a run that halts nothing.
    """
    halts = [halt.run_id for halt in writer.gatekeeper.standing.halts]
    for run_id in run_ids:
        if run_id not in halts:
            there = f"those that do are {', '.join(halts)}" if halts else "nothing is halted"
            raise LakehouseError(f"{run_id}: this run halts nothing, or was decided about; {there}")
    writer.gatekeeper.decide(list(dict.fromkeys(run_ids)), decision, note)


def unrecorded(runs: Iterable[Run], validated: Mapping[str, int]) -> tuple[list[Run], dict[str, int]]:
    """Those of ``runs`` that are not there yet, and how far their tables are judged with them; who asked for a run by
    hand gave it an id of its own, and it follows none."""
    new, reached = [], dict[str, int]()
    for run in runs:
        if run.run_id == followed(run.table_name, run.first_version, run.last_version):
            before = reached.get(run.table_name, validated.get(run.table_name, -1))
            if run.last_version <= before:
                continue
            if run.first_version != before + 1:
                raise LakehouseError(
                    f"{run.run_id}: {run.table_name} was judged up to version {before}, so that its next run begins "
                    f"with {before + 1}"
                )
            reached[run.table_name] = run.last_version
        new.append(run)
    return new, reached
