"""`lakehouse maintain`."""

from __future__ import annotations

import json as json_format
from typing import Annotated, Any

import typer

from lakehouse.cli_options import HomeOption, JsonOption, settings_for


def maintain(
    tables: Annotated[
        list[str] | None, typer.Argument(metavar="[TABLE]...", help="Tables by name, as silver.events; default: all.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Compact small files, copy gold's daily snapshots that are due, and remove what has expired.

    A running stack does all this by itself between its rounds; this does it now, one small step at a time, so that
    the streams go on meanwhile. Removed are files and commits that no version within LAKEHOUSE_TIME_TRAVEL_HOURS
    needs, and never what a reader (a stream, a mirror) has not taken yet: then its name is told, here and by `status`.

    Examples:

      lakehouse maintain
      lakehouse maintain silver.events gold.funnel_summary
      lakehouse maintain --dry-run
    """
    from lakehouse.sessions import writer_for

    with writer_for(settings_for(home)) as run:
        arguments = {"tables": tables or [], "dry_run": dry_run}
        done = run("maintain", arguments, progress=_ignore) if json else run("maintain", arguments)
    typer.echo(json_format.dumps(done) if json else _summary(done))


def _ignore(_: str) -> None:
    """Progress is for people."""


def _summary(done: dict[str, Any]) -> str:
    expired = done["expired"]
    files, held = sum(table["files"] for table in expired), sum(bool(table["held_by"]) for table in expired)
    steps = f"{len(done['compactions'])} compactions, {len(done['snapshots'])} snapshots, {files:,} files removed"
    said = (
        "would be done"
        if done["dry_run"]
        else f"done in {done['seconds']:g} s, longest turn {done['longest_turn_s']:g} s"
    )
    return f"{steps}: {said}" + (f"; {held} of {len(expired)} tables are held" if held else "")
