"""`lakehouse quality run`."""

from __future__ import annotations

import json as json_format
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from lakehouse.cli_options import HomeOption, JsonOption, settings_for
from lakehouse.errors import LakehouseError
from quality.verdicts import Run, Severity, Verdict, run_to_json

if TYPE_CHECKING:
    from lakehouse.home import Home
    from lakehouse.settings import Settings
    from quality.inspection import Inspector


def run(
    tables: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TABLE]...", help="As silver.events or postgres.raw_events; default: all."),
    ] = None,
    version: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="The rows that this version brought; with --full: the table at it."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="All rows, not only what is new since the last run.")] = False,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Keep the verdicts in quality.results, by the writer.")
    ] = True,
    docs: Annotated[bool, typer.Option("--docs", help="Write Great Expectations' Data Docs under the home.")] = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Judge tables against what is expected of them: met or not, with examples of the rows that fail.

    By default the rows that have come since the last recorded run, or that the newest version brought. Exit 1 if
    something of severity alarm or halt was not met, or a table could not be judged. The mirrors (postgres.…) are
    judged where a stack runs. Reading disturbs nothing; --no-record needs no writer either.

    Examples:

      lakehouse quality run
      lakehouse quality run silver.events --full
      lakehouse quality run gold.funnel_summary --version 12 --no-record --json
    """
    settings = settings_for(home)
    asked = _Asked(settings, tuple(tables or ()), version, full)
    runs, problems = asked.runs(docs)
    if record and runs:
        _record(settings, runs, quiet=json)
    met = not any(each.failed(Severity.alarm) or each.failed(Severity.halt) for each in runs)
    if json:
        document = {"met": met and not problems, "runs": [run_to_json(each) for each in runs], "problems": problems}
        typer.echo(json_format.dumps(document))
    else:
        _print(runs)
        for problem in problems:
            typer.echo(problem, err=True)
    if problems or not met:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Asked:
    settings: Settings
    tables: tuple[str, ...]
    version: int | None
    full: bool

    def runs(self, docs: bool) -> tuple[list[Run], list[str]]:
        """The runs, and a line for each table that could not be judged."""
        from lakehouse.embedded.services import stack_runs
        from lakehouse.home import Home
        from quality.inspection import Inspector
        from quality.judge import Judge
        from quality.mirrors import MIRRORS
        from quality.suite import load_suites

        home = Home(self.settings.home)
        if not home.tables.is_dir():
            raise LakehouseError(f"no tables under {home.root} yet; start `lakehouse up`, and let events come")
        suites = load_suites(self.settings)
        unknown = sorted(set(self.tables) - set(suites))
        if unknown:
            raise LakehouseError(f"{unknown[0]}: no such table; known are {', '.join(suites)}")
        running = stack_runs(home)
        judge = Judge(self.settings, suites, docs=home if docs else None)
        inspector = Inspector(home, self.settings, judge)
        wanted = self.tables or tuple(name for name in suites if running or name not in MIRRORS)
        runs, problems = [], []
        for name in wanted:
            try:
                runs.append(self._run(inspector, name, running))
            except LakehouseError as error:  # the others are judged all the same
                problems.append(str(error))
        judge.publish()
        return runs, problems

    def _run(self, inspector: Inspector, name: str, running: bool) -> Run:
        from lakehouse.endpoints import Endpoints
        from quality.inspection import with_id
        from quality.mirrors import MIRRORS
        from quality.rows import TableReader
        from quality.suite import CONTRACTS

        if name in MIRRORS:
            if not running:
                raise LakehouseError(f"{name}: is judged where a stack runs; start it with `lakehouse up`")
            return inspector.mirror(name, Endpoints.load(inspector.home))
        now = datetime.now(UTC) if running else None
        if self.full:
            return inspector.full(name, self.version, now)
        if self.version is not None:
            return with_id(inspector.new(name, self.version, self.version, now), f"{name}@{self.version}/{uuid4()}")
        head = TableReader(inspector.home, CONTRACTS[name]).version()
        judged = last_followed(inspector.home, name)
        if judged is not None and judged < head:
            return inspector.new(name, judged + 1, head, now)
        # Not what a follower has left off at: it is no step of one.
        first = head if judged is None else head + 1
        return with_id(inspector.new(name, first, head, now), f"{name}@{first}-{head}/{uuid4()}")


def last_followed(home: Home, table_name: str) -> int | None:
    """The last version up to which runs that followed the table have judged its rows; None where there is none."""
    from lakehouse.contracts import QualityResults
    from quality.rows import TableReader

    results = TableReader(home, QualityResults)
    try:
        account = results.account(results.version())
    except LakehouseError:  # a home that is older than this table
        return None
    return None if account is None else (account.validated or {}).get(table_name)


def _record(settings: Settings, runs: Sequence[Run], *, quiet: bool) -> None:
    from lakehouse.sessions import writer_for

    arguments = {"runs": [run_to_json(each) for each in runs]}
    with writer_for(settings) as job:
        if quiet:
            job("record_quality", arguments, progress=lambda _: None)
        else:
            job("record_quality", arguments)


def _print(runs: Sequence[Run]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("table", "versions", "rows", "met", "warn", "alarm", "halt", "unjudged", "s"):
        table.add_column(title, justify="left" if title == "table" else "right", no_wrap=True)
    for each in runs:
        failed = [len(each.failed(severity)) for severity in Severity]
        table.add_row(
            each.table_name,
            _versions(each),
            f"{each.num_rows:,}",
            str(sum(verdict.success is True for verdict in each.verdicts)),
            *(_shown(number, severity) for number, severity in zip(failed, Severity, strict=True)),
            _shown(sum(verdict.success is None for verdict in each.verdicts), Severity.warn),
            f"{each.duration_seconds:.2f}",
        )
    console = Console()
    console.print(table)
    for each in runs:
        for verdict in each.verdicts:
            if not verdict.success:
                for line in _failure(each.table_name, verdict):
                    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _versions(run: Run) -> str:
    if run.mode == "full":
        return f"all at {run.last_version}"
    return f"{run.first_version}–{run.last_version}" if run.first_version <= run.last_version else "none new"  # noqa: RUF001


_COLOUR = {Severity.warn: "yellow", Severity.alarm: "red", Severity.halt: "bold red"}


def _shown(number: int, severity: Severity) -> str:
    return f"[{_COLOUR[severity]}]{number}[/]" if number else "0"


def _failure(table_name: str, verdict: Verdict) -> Iterator[str]:
    word = "not judged" if verdict.success is None else str(verdict.severity)
    yield f"\n{word}: {table_name}: {verdict.expectation}"
    if verdict.error is not None:
        yield f"  {verdict.error}"
        return
    yield f"  {verdict.description}"
    yield f"  observed: {_json(verdict.observed)}"
    for example in verdict.examples:
        yield f"  example: {_json(example)}"


def _json(value: Any) -> str:
    return json_format.dumps(value, default=str)  # in ASCII: text of events must not move the cursor
