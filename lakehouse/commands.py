"""`lakehouse drain` and `lakehouse sql`."""

from __future__ import annotations

import csv
import io
import json as json_format
from enum import StrEnum
from typing import Annotated, Any

import typer

from lakehouse.cli_options import HomeOption, JsonOption, settings_for
from lakehouse.errors import LakehouseError
from lakehouse.home import Home


class Format(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


def drain(
    timeout: Annotated[float, typer.Option(min=0.1, metavar="S", help="Give up after so many seconds.")] = 600.0,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Return when every event that is in Kafka now has reached every table and Postgres.

    Events that arrive meanwhile are not waited for. Works against the running stack, or starts what it needs.

    Examples:

      lakehouse produce --events 10000 && lakehouse drain
      lakehouse drain --timeout 60
    """
    from lakehouse.embedded.services import stack_runs
    from lakehouse.sessions import writer_for

    settings = settings_for(home)
    if settings.quality_gates and not stack_runs(Home(settings.home)):
        raise LakehouseError(
            f"drain: nothing goes past the gate of {', '.join(settings.quality_gates)} until the validator has judged "
            "it, and no validator runs; start the stack with `lakehouse up`, or unset LAKEHOUSE_QUALITY_GATES"
        )
    with writer_for(settings) as run:
        done = run("drain", {"timeout_s": timeout})
    typer.echo(
        json_format.dumps(done) if json else f"drained: {done['events']:,} events in bronze, {done['seconds']:g} s"
    )


def sql(
    query: Annotated[str, typer.Argument(help="A query in Spark SQL.")],
    format: Annotated[Format, typer.Option(help="How rows are printed.")] = Format.table,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Query the Delta tables: bronze.user_events, silver.events, silver.duplicates, silver.quarantine,
    gold.funnel_summary, gold.funnel_windows; as of any version or moment that is kept. gold.funnel_summary_daily and
    gold.funnel_windows_daily are gold as of the end of each day, further back.

    Only queries are taken, so nothing can be changed by mistake. Times are in UTC.

    Examples:

      lakehouse sql "SELECT event_type, count(*) FROM silver.events GROUP BY 1"
      lakehouse sql "SELECT count(*) FROM silver.events VERSION AS OF 1"
      lakehouse sql "SELECT * FROM gold.funnel_summary TIMESTAMP AS OF '2026-01-01 12:00:00' LIMIT 5" --format csv
      lakehouse sql "SELECT * FROM gold.funnel_windows_daily WHERE DATE '2026-01-01' BETWEEN valid_from AND valid_until"
    """
    from lakehouse.sessions import writer_for

    with writer_for(settings_for(home)) as run:
        found = run("sql", {"query": query})
    columns, rows = found["columns"], found["rows"]
    if json or format is Format.json:
        typer.echo(json_format.dumps([dict(zip(columns, row, strict=True)) for row in rows], default=str))
    elif format is Format.csv:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(["" if value is None else _text(value) for value in row] for row in rows)
        typer.echo(text.getvalue(), nl=False)
    else:
        _print_table(columns, rows)
    if found["truncated"]:
        typer.echo(f"only the first {len(rows):,} rows are shown; narrow the query, or add a LIMIT", err=True)


def _print_table(columns: list[str], rows: list[list[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(caption=f"{len(rows):,} row{'' if len(rows) == 1 else 's'}", caption_justify="left")
    for column in columns:
        table.add_column(Text(column))
    for row in rows:
        table.add_row(*(Text("null", style="dim") if value is None else Text(_text(value)) for value in row))
    Console().print(table)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_format.dumps(value, default=str, ensure_ascii=False)
