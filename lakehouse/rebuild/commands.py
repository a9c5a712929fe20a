"""`lakehouse rebuild`."""

from __future__ import annotations

import json as json_format
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from lakehouse.cli_options import HomeOption, JsonOption, settings_for


class Layer(StrEnum):
    silver = "silver"
    gold = "gold"


def rebuild(
    layer: Annotated[Layer, typer.Argument(help="What is made anew, from the layer before it.")],
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Only from this day (UTC) on: whole days."),
    ] = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Make a layer anew from the one before it, beside the running stream, and put right what is not as it should be.

    silver: events, duplicates and quarantine, from bronze; --since is the day of arrival. What silver's readers (gold,
    churn features, Postgres) made of the days that changed, they make anew right after it. gold: funnels and users'
    days, from silver; --since is the day of the events; and the churn features and cohorts of all users.

    It computes beside the rounds, and has their turn only for the last step. Killed at any moment it leaves the rows
    that were there, or those made anew: start it again, or the stack, which ends what had been begun.

    Examples:

      lakehouse rebuild silver && lakehouse drain && lakehouse audit --full
      lakehouse rebuild gold --since 2026-03-01
    """
    from lakehouse.sessions import writer_for

    with writer_for(settings_for(home)) as run:
        arguments = {"layer": layer.value, "since": None if since is None else since.date().isoformat()}
        done = run("rebuild", arguments, progress=lambda _: None) if json else run("rebuild", arguments)
    if json:
        typer.echo(json_format.dumps(done))
        return
    for table, counts in done["replaced"].items():
        typer.echo(f"{table}: {', '.join(f'{count:,} {what}' for what, count in counts.items())} replaced")
    typer.echo(f"{layer.value} rebuilt in {done['seconds']:g} s")
