"""`lakehouse up`, `down` and `status`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lakehouse.cli_options import HomeOption, JsonOption, settings_for


def up(
    rate: Annotated[
        float | None, typer.Option(min=0, metavar="EVENTS/S", help="Events per second that the simulator sends.")
    ] = None,
    no_simulator: Annotated[bool, typer.Option("--no-simulator", help="Send no events; feed Kafka yourself.")] = False,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return as soon as all is up; stop it with `lakehouse down`.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Start everything: Kafka, Postgres, the streams, the API, the dashboard and a simulator.

    The first start fetches Kafka's and Spark's jars (60 MB), later ones need no network. Ctrl-C stops all in
    order; whatever is stopped, even by kill -9, goes on where it was at the next start.

    Examples:

      lakehouse up                        20 simulated events a second
      lakehouse up --rate 500             more of them
      lakehouse up --no-simulator         only your own events, sent to the Kafka address that it prints
      lakehouse up --detach && lakehouse status
      LAKEHOUSE_API_PORT=8010 lakehouse up --home /data/shop
    """
    settings = settings_for(home, simulator_rate=rate)
    simulate = not no_simulator and settings.simulator_rate > 0
    if detach:
        from lakehouse.embedded.detach import start_detached

        start_detached(settings, simulate)
    else:
        from lakehouse.embedded.up import run_stack

        run_stack(settings, simulate)


def down(
    timeout: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Longest wait.")] = 60.0,
    home: HomeOption = None,
) -> None:
    """Stop the stack that runs under a home, in order, and wait until it has stopped.

    Where none runs it says so and succeeds.

    Examples:

      lakehouse down
      lakehouse down --home /data/shop --timeout 120
    """
    from lakehouse.embedded.status import stop_stack
    from lakehouse.home import Home

    folder = Home(settings_for(home).home)
    stopped = stop_stack(folder, timeout)
    typer.echo("stopped" if stopped else f"nothing is running under {folder.root}")


def status(json: JsonOption = False, home: HomeOption = None) -> None:
    """Show the services of the running stack, their memory, addresses, and how the streams do.

    Exits 0 where a stack is running and 1 where none is.

    Examples:

      lakehouse status
      lakehouse status --json | jq .writer.lag_events
    """
    from lakehouse.embedded.status import look
    from lakehouse.home import Home

    folder = Home(settings_for(home).home)
    report = look(folder)
    if report is None:
        _say_not_running(folder.root, json)
        raise typer.Exit(1)
    document = report.as_document(folder)
    if json:
        _print_json(document)
    else:
        _print_tables(document)


def _say_not_running(root: Path, json: bool) -> None:
    if json:
        _print_json({"running": False, "home": str(root)})
    else:
        typer.echo(f"not running: no stack runs under {root}; start it with `lakehouse up`")


def _print_json(document: dict[str, Any]) -> None:
    import json

    typer.echo(json.dumps(document, indent=1))


def _print_tables(document: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from lakehouse.embedded.console import out
    from lakehouse.embedded.livestate import ALARM, champion_line, live_lines, quality_lines

    who = "services started one by one" if document["pid"] is None else f"pid {document['pid']}"
    out.print(Text(f"{document['phase']} under {document['home']} ({who})"))
    table = Table("service", "state", "pid", "up", "memory", "restarts", box=None, pad_edge=False)
    for service in document["services"]:
        memory = service["memory_mib"]
        table.add_row(
            service["name"],
            service["state"],
            str(service["pid"] or ""),
            _duration(service["uptime_s"]),
            f"{memory:,.0f} MiB" if memory is not None else "",
            str(service["restarts"]),
        )
    if document["services"]:
        out.print(table)
    for name, address in document["addresses"].items():
        out.print(Text(f"{name:<10} {address}"))
    for line in live_lines(document["writer"], most=None):
        out.print(Text(line, style="bold red" if line.startswith(ALARM) else ""))
    for alert in document["alerts"]:
        out.print(Text(f"{ALARM}{alert}", style="bold red"))
    for line in quality_lines(document["quality"]):
        out.print(Text(line))
    out.print(Text(champion_line(document["champion"])))
    if document["problem"]:
        out.print(Text(document["problem"], style="bold red"))


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
