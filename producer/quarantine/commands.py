"""`lakehouse quarantine`."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli_options import HomeOption, JsonOption, settings_for

if TYPE_CHECKING:
    from lakehouse.settings import Settings
    from producer.quarantine.fixes import Fix
    from producer.quarantine.rows import Selection

LEAST_WIDTH = 150
"""Of the table of reasons, in characters: narrower, coordinates would be folded."""

quarantine = typer.Typer(help="Look at refused messages, correct them, and send them again.", no_args_is_help=True)

WhereOption = Annotated[
    str | None, typer.Option("--where", metavar="SQL", help="A condition over the columns that `show` shows.")
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", metavar="NAME", help="Only rows with this reason: docs/bad-input.md.")
]
OpenOption = Annotated[bool, typer.Option("--open", help="Only rows that nothing has replaced yet.")]


@quarantine.command("list")
def list_reasons(json: JsonOption = False, home: HomeOption = None) -> None:
    """For each reason: how many rows have it, how many are still open, the first and last time, and examples.

    A row has all reasons that apply, so that it may be counted more than once. Works with or without a running stack.

    Examples:

      lakehouse quarantine list
      lakehouse quarantine list --json
    """
    from lakehouse.home import Home
    from producer.quarantine.rows import Quarantine

    found = Quarantine(Home(settings_for(home).home)).by_reason()
    if json:
        typer.echo(json_format.dumps(found, default=_as_json))
        return
    if not found:
        typer.echo("nothing is in quarantine")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from lakehouse.embedded.console import out

    table = Table()
    for column in ("reason", "rows", "open", "first (UTC)", "last (UTC)", "newest"):
        table.add_column(column, justify="right" if column in ("rows", "open") else "left", overflow="fold")
    for row in found:
        times = (f"{row[name]:%Y-%m-%d %H:%M:%S}" for name in ("first", "last"))
        examples = Text("\n".join(map(_printable, row["examples"])))
        table.add_row(Text(_printable(row["reason"])), f"{row['rows']:,}", f"{row['open']:,}", *times, examples)
    Console(highlight=False, width=max(out.width, LEAST_WIDTH)).print(table)


@quarantine.command("show")
def show(
    where: WhereOption = None,
    reason: ReasonOption = None,
    is_open: OpenOption = False,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many rows, the newest.")] = 20,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show refused rows whole: the message as text, all its reasons, where it came from, and what replaced it.

    Columns: coordinates (source_id/partition/offset), reasons, value, key, headers, replaces, resolved_by, topic,
    kafka_timestamp, ingested_at, quarantined_at. Times are in UTC. Bytes that are no UTF-8 are shown as \\xff.

    Examples:

      lakehouse quarantine show --reason unknown_type --limit 5
      lakehouse quarantine show --where "value LIKE '%wishlist%' AND kafka_timestamp >= '2026-03-01'" --json
    """
    from lakehouse.home import Home
    from producer.quarantine.rows import Quarantine, Selection

    found = Quarantine(Home(settings_for(home).home)).newest(Selection(where, reason, is_open), limit)
    rows = found.to_dicts()
    if json:
        typer.echo(json_format.dumps(rows, default=_as_json))
        return
    for row in rows:
        typer.echo("\n".join(f"{name:16}{_shown(value)}" for name, value in row.items() if value is not None) + "\n")
    typer.echo(
        f"{len(rows):,} rows" + (f", the newest; --limit {limit} leaves the rest out" if len(rows) == limit else "")
    )


@quarantine.command("export")
def export(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="FILE.jsonl, .csv or .parquet.", dir_okay=False)],
    where: WhereOption = None,
    reason: ReasonOption = None,
    is_open: OpenOption = False,
    home: HomeOption = None,
) -> None:
    """Write refused rows to a file that can be edited and given to `lakehouse quarantine replay --fix`.

    A row is known by its `coordinates`: leave them, and correct `value` (in JSON lines it may become an object) or
    `key`. Rows that stay as they are will not be sent.

    Examples:

      lakehouse quarantine export --open --reason wrong_type:price --out prices.jsonl
    """
    from lakehouse.home import Home
    from producer.quarantine.fixes import suffix_of, write
    from producer.quarantine.rows import Quarantine, Selection

    suffix_of(out, "--out")
    rows = Quarantine(Home(settings_for(home).home)).rows(Selection(where, reason, is_open))
    typer.echo(f"{write(rows, out):,} rows written to {out}")


@quarantine.command("replay")
def replay(
    fix: Annotated[
        Path | None, typer.Option("--fix", metavar="FILE", help="Corrected rows, as `export` writes them.")
    ] = None,
    where: WhereOption = None,
    reason: ReasonOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and send nothing.")] = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Send refused rows to Kafka again, each once: corrected by FILE, or as they are where a setting has changed.

    Each message has a header that names the row it replaces. Once silver has taken it, the old row has its coordinates
    in `resolved_by`; nothing is removed. A row that is resolved, or whose replacement is on its way, is not sent
    again, so that this may be repeated at will, after a kill too. Without --where, --reason and --fix all open rows
    are sent.

    Uses the running stack's Kafka, or starts one for the duration; then `lakehouse drain` takes what was sent.

    Examples:

      lakehouse quarantine replay --fix prices.jsonl
      LAKEHOUSE_EVENT_TYPES=view,add_to_cart,purchase,wishlist lakehouse up --detach
      lakehouse quarantine replay --reason unknown_type --where "value LIKE '%wishlist%'" --dry-run
    """
    from dataclasses import asdict

    from producer.quarantine.fixes import read
    from producer.quarantine.rows import Selection

    settings = settings_for(home)
    fixes = {} if fix is None else read(fix)
    outcome = _replay(settings, Selection(where, reason), None if fix is None else (fix, fixes), dry_run=dry_run)
    if json:
        typer.echo(json_format.dumps({"topic": settings.topic, **asdict(outcome)}))
    else:
        typer.echo(f"{outcome.sentence}{'' if dry_run else f', to topic {settings.topic}'}")


def _replay(settings: Settings, selection: Selection, fix: tuple[Path, dict[str, Fix]] | None, *, dry_run: bool) -> Any:
    """In this order, so that what was sent before is seen in one place or the other: how far silver has come; the
    quarantine; what lies in Kafka behind that."""
    from dataclasses import replace

    from lakehouse.embedded.locks import Held, exclusively
    from lakehouse.errors import LakehouseError
    from lakehouse.home import Home
    from lakehouse.kafka_security import KafkaSecurity
    from producer.broker import broker
    from producer.client import ConfluentSender
    from producer.progress import reporting
    from producer.quarantine.resend import send
    from producer.quarantine.rows import Quarantine
    from producer.quarantine.underway import roots_on_their_way, taken_by_silver

    folder, security = Home(settings.home), KafkaSecurity.of(settings)
    Quarantine(folder)  # where there is none, no server is started
    try:
        with exclusively(folder.run / "quarantine.lock", 0), broker(settings) as held:
            taken = taken_by_silver(folder)
            rows = Quarantine(folder)
            on_their_way = roots_on_their_way(held.bootstrap, settings.topic, taken, security)
            planned, outcome = _planned(rows, selection, fix, on_their_way)
            if dry_run or not planned:
                return replace(outcome, dry_run=dry_run)
            sender = ConfluentSender(held.bootstrap, settings.topic, security)
            try:
                with reporting(held.console, "messages", len(planned)) as progress:
                    fixes = {} if fix is None else fix[1]
                    return send(rows.rows(selection), planned, fixes, outcome, sender, held.stop, progress)
            finally:
                sender.close()
    except Held:
        raise LakehouseError(
            f"another `lakehouse quarantine replay` is at work under {folder.root}; wait until it has ended"
        ) from None


def _planned(rows: Any, selection: Any, fix: tuple[Path, dict[str, Fix]] | None, on_their_way: set[str]) -> Any:
    import polars as pl

    from lakehouse.errors import LakehouseError
    from producer.quarantine.resend import EMPTY, THIN, is_changed, plan, with_roots
    from producer.quarantine.rows import COORDINATES, Selection

    everything = pl.concat([each.select(THIN) for each in rows.rows(Selection())] or [pl.DataFrame(schema=EMPTY)])
    chosen: set[str] = set()
    changed: set[str] | None = None if fix is None else set()
    for each in rows.rows(selection):
        if fix is None or changed is None:
            chosen.update(each[COORDINATES])
            continue
        named = each.filter(pl.col(COORDINATES).is_in(list(fix[1])))
        chosen.update(named[COORDINATES])
        changed.update(
            row[COORDINATES] for row in named.iter_rows(named=True) if is_changed(row, fix[1][row[COORDINATES]])
        )
    if fix is not None and (unknown := fix[1].keys() - set(everything[COORDINATES])):
        at = min(unknown)
        raise LakehouseError(
            f"--fix {fix[0]}: {fix[1][at].where}: {at} is not in quarantine; `lakehouse quarantine export` writes rows "
            "that are"
        )
    of_these = with_roots(everything).filter(pl.col(COORDINATES).is_in(list(chosen)))
    return plan(of_these, on_their_way, selection.reason, changed)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_printable, value))
    return _printable(value if isinstance(value, str) else str(value))


def _printable(text: str) -> str:
    """What is no character to be seen is escaped: a message is data, and must not steer a terminal."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _as_json(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
