"""`lakehouse quality report`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli_options import HomeOption, settings_for
from lakehouse.errors import LakehouseError

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def report(
    out: Annotated[Path, typer.Option("--out", metavar="FILE.html", help="The page; one that is there is replaced.")],
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="A day or moment in ISO 8601, UTC where it names no zone; or 7d, 12h, 90m, 2w: so far back from the "
            "newest data. Default: all. Outages are looked for in all data.",
        ),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Write one page of how good the data are: verdicts, outages, quarantine, late events and duplicates.

    It needs no running stack, and stands by itself: it loads nothing from anywhere.

    Examples:

      lakehouse quality report --out quality.html
      lakehouse quality report --since 7d --out week.html
    """
    moment = None if since is None else parse_since(since)
    settings = settings_for(home)
    from lakehouse.home import Home
    from quality.report import write_report

    headline = write_report(Home(settings.home), moment, out)
    typer.echo(f"{headline}\n{out}")


def parse_since(text: str) -> datetime | timedelta:
    """A moment (aware), or a length. Raises LakehouseError where it is neither."""
    if found := re.fullmatch(r"([1-9][0-9]{0,5})([mhdw])", text.strip()):
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise LakehouseError(
            f"--since {text}: is no day or moment in ISO 8601, as 2026-03-01 or 2026-03-01T12:00Z, and no length, as "
            "7d, 12h, 90m or 2w"
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
