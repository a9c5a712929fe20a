"""`lakehouse audit`, and the group `lakehouse quality`."""

from __future__ import annotations

import json as json_format
from typing import Annotated, Any

import typer

from lakehouse.cli_options import HomeOption, JsonOption, settings_for
from quality import report_command, run_command

quality = typer.Typer(no_args_is_help=True, help="Judge the tables: what is expected of each, and what was found.")
quality.command("run")(run_command.run)
quality.command("report")(report_command.report)


@quality.callback()
def _group() -> None:
    """A group, however many commands it has."""


@quality.command()
def accept(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="As `lakehouse status` names them.")],
    note: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for whoever reads it later.")] = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Let the layers after a table go on with the rows that halted them, as they are.

    The decision is kept in quality.decisions; the verdicts stay. To make the layers anew instead, see
    `lakehouse rebuild`.

    Examples:

      lakehouse quality accept silver.events@120-131 --note "prices of a test shop"
    """
    from lakehouse.sessions import writer_for

    with writer_for(settings_for(home)) as run:
        done = run("accept_quality", {"runs": runs, "note": note})
    left = f"{done['halts']} other runs halt still" if done["halts"] else "nothing is halted any more"
    typer.echo(json_format.dumps(done) if json else f"accepted; {left}")


def audit(
    full: Annotated[bool, typer.Option("--full", help="Recompute everything, not only what is new.")] = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Draw up the books: each balance from Kafka to Postgres, both sides, and whether they agree.

    Exit 1 if one does not. By default only what has come since the last audit that agreed is looked at. Events that
    are still on their way are lag, and no imbalance; run `lakehouse drain` before to have none.

    Examples:

      lakehouse drain && lakehouse audit
      lakehouse audit --full --json
    """
    from lakehouse.sessions import writer_for

    with writer_for(settings_for(home)) as run:
        books = run("audit", {"full": full})
    if json:
        typer.echo(json_format.dumps(books))
    else:
        _print(books)
    if not books["agrees"]:
        raise typer.Exit(1)


def _print(books: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="The books" if books["full"] else "The books, since the last audit that agreed")
    for title in ("balance", "one side", "other side", "agrees"):
        table.add_column(title, justify="right" if title.endswith("side") else "left", overflow="fold")
    for line in books["balances"]:
        verdict = "yes" if line["agrees"] else "[bold red]NO[/]"
        table.add_row(line["name"], _side(line, "left"), _side(line, "right"), verdict)
        if not line["agrees"] and line["note"]:
            table.add_row(f"  {line['note']}", "", "", "")
    console = Console()
    console.print(table)
    wrong = sum(not line["agrees"] for line in books["balances"])
    if wrong:
        console.print(f"[bold red]{wrong} of {len(books['balances'])} balances do not agree[/]")
    else:
        console.print(
            f"all {len(books['balances'])} balances agree; {books['lag'] or 0:,} events are still in Kafka only"
        )


def _side(line: dict[str, Any], side: str) -> str:
    value = line[f"{side}_value"]
    shown = f"{value:,}" if isinstance(value, int) else "none" if value is None else str(value)
    return shown if line["agrees"] else f"{line[side]}: {shown}"
