"""``python -m benchmarks``: measures, and writes the report."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import backlog as backlog_benchmark
from benchmarks import backlog_topic, machine
from benchmarks import cluster as cluster_benchmark
from benchmarks import costs as costs_benchmark
from benchmarks import detection as detection_benchmark
from benchmarks import footprint as footprint_benchmark
from benchmarks import freshness as freshness_benchmark
from benchmarks import growth as growth_benchmark
from benchmarks import pages as pages_benchmark
from benchmarks import scale as scale_plan
from benchmarks import scoring as scoring_benchmark
from benchmarks import validation as validation_benchmark
from benchmarks.history import History
from benchmarks.report import documents_of, write
from benchmarks.results import save
from lakehouse.errors import LakehouseError
from lakehouse.settings import load_settings

app = typer.Typer(
    name="benchmarks",
    help="Measures the system on this machine, each time on stacks of its own that begin empty. Nothing else should "
    "be at work meanwhile. Settings come from LAKEHOUSE_ variables, as everywhere; those that differ from their "
    "defaults stand in the report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ResultsOption = Annotated[Path, typer.Option("--results", metavar="FOLDER", help="Where results are kept, as JSON.")]
WorkOption = Annotated[
    Path, typer.Option("--work", metavar="FOLDER", help="Where stacks live while they are measured; then removed.")
]
QuickOption = Annotated[bool, typer.Option("--quick", help="Short and small: to see that it works, not for figures.")]

DocsOption = Annotated[Path, typer.Option("--docs", metavar="FOLDER", help="Where the report is written.")]

RESULTS = Path(".benchmarks/results")
WORK = Path(".benchmarks/work")
DOCS = Path("docs")
RATE = 1_000_000.0
"""Events/s that docs/scale.md plans for."""


@app.callback()
def _with_commands() -> None:
    """Without a callback typer makes the only command the whole program."""


@app.command()
def freshness(
    rates: Annotated[str, typer.Option(metavar="N,N,…", help="Events/s, comma-separated.")] = "100,1000,5000",
    seconds: Annotated[float, typer.Option(min=5, metavar="S", help="Measured at each rate.")] = 600.0,
    warm_up: Annotated[float, typer.Option(min=0, metavar="S", help="Before it; counts nowhere.")] = 90.0,
    pause: Annotated[float, typer.Option(min=0, metavar="S", help="The writer is stopped so long, once.")] = 60.0,
    pause_at: Annotated[int, typer.Option(metavar="N", help="The rate at which it is.")] = 1_000,
    users_per_rate: Annotated[int, typer.Option(min=1, metavar="N", help="Users for each event/s.")] = 50,
    quick: QuickOption = False,
    results: ResultsOption = RESULTS,
    work: WorkOption = WORK,
) -> None:
    """Seconds from the producer's send to the row in Postgres.

    Examples:

      python -m benchmarks freshness
      python -m benchmarks freshness --rates 1000 --seconds 60 --pause 0
    """
    options = freshness_benchmark.Options(
        rates=_whole_numbers(rates),
        seconds=seconds,
        warm_up_s=warm_up,
        pause_s=pause,
        pause_at=pause_at,
        users_per_rate=users_per_rate,
    )
    if quick:
        options = freshness_benchmark.QUICK
    _measure("freshness", freshness_benchmark.measure, options, quick, results, work)


@app.command()
def backlog(
    events: Annotated[int, typer.Option(min=1_000, metavar="N", help="Messages in the topic.")] = 1_000_000,
    hours: Annotated[float, typer.Option(min=0.1, metavar="H", help="Event time that they span.")] = 24.0,
    users: Annotated[int, typer.Option(min=1, metavar="N", help="Users who act.")] = 50_000,
    repeats: Annotated[int, typer.Option(min=1, metavar="N", help="Runs of each contender.")] = 3,
    only: Annotated[
        str, typer.Option(metavar="NAME,…", help="Only these contenders, e.g. lakehouse,plain; default: all.")
    ] = "",
    quick: QuickOption = False,
    results: ResultsOption = RESULTS,
    work: WorkOption = WORK,
) -> None:
    """Events/s from a backlog in Kafka to every table and Postgres; beside it the plain design a bare reader and peers.

    Examples:

      python -m benchmarks backlog
      python -m benchmarks backlog --events 10000000 --hours 240 --repeats 1
    """
    topic = backlog_topic.Backlog(events=events, hours=hours, users=users)
    options = (
        backlog_benchmark.QUICK
        if quick
        else backlog_benchmark.Options(topic, repeats=repeats, only=tuple(filter(None, only.split(","))))
    )
    _measure("backlog", backlog_benchmark.measure, options, quick, results, work)


@app.command()
def cluster(
    events: Annotated[int, typer.Option(min=1_000, metavar="N", help="Messages in the topic.")] = 200_000,
    partitions: Annotated[int, typer.Option(min=1, metavar="N", help="Partitions of the topic.")] = 16,
    only: Annotated[
        str, typer.Option(metavar="PART", help="Only this part: 'laptop', '1 worker' or '2 workers'.")
    ] = "",
    quick: QuickOption = False,
    results: ResultsOption = RESULTS,
    work: WorkOption = WORK,
) -> None:
    """A backlog taken by a standalone Spark cluster, with one worker and with two: the speed-up, and who has the cores.

    Examples:

      python -m benchmarks cluster
      python -m benchmarks cluster --events 50000 --only "2 workers"
    """
    options = cluster_benchmark.QUICK
    if not quick:
        options = cluster_benchmark.Options(backlog_topic.Backlog(events=events, users=events // 10), partitions)
    if only:
        if only not in cluster_benchmark.PARTS:
            raise LakehouseError(f"there is no part {only!r}; there are {', '.join(cluster_benchmark.PARTS)}")
        options = replace(options, parts=(only,))
    _measure("cluster", cluster_benchmark.measure, options, quick, results, work)


@app.command()
def detection(
    clean: Annotated[float, typer.Option(min=30, metavar="S", help="With nothing wrong, before the first fault.")] = (
        900.0
    ),
    rate: Annotated[int, typer.Option(min=1, metavar="N", help="Events/s.")] = 300,
    only: Annotated[str, typer.Option(metavar="NAME,…", help="Only these faults; default: all.")] = "",
    quick: QuickOption = False,
    results: ResultsOption = RESULTS,
    work: WorkOption = WORK,
) -> None:
    """How soon the validator finds faults that are injected into a running stack, and that it finds none in clean data.

    Examples:

      python -m benchmarks detection
      python -m benchmarks detection --clean 60 --only "duplicates,type flood"
    """
    faults = tuple(filter(None, (name.strip() for name in only.split(","))))
    known = [fault.name for fault in detection_benchmark.FAULTS]
    if unknown := set(faults) - set(known):
        raise LakehouseError(f"there is no fault {sorted(unknown)[0]!r}; there are {', '.join(known)}")
    options = detection_benchmark.Options(clean_s=clean, rate=rate, users=50 * rate, faults=faults)
    _measure(
        "detection", detection_benchmark.measure, detection_benchmark.QUICK if quick else options, quick, results, work
    )


@app.command()
def validation(
    seconds: Annotated[float, typer.Option(min=5, metavar="S", help="Measured in each run.")] = 60.0,
    warm_up: Annotated[float, typer.Option(min=0, metavar="S", help="Before it; counts nowhere.")] = 90.0,
    repeats: Annotated[int, typer.Option(min=1, metavar="N", help="Runs of each arrangement.")] = 2,
    quick: QuickOption = False,
    results: ResultsOption = RESULTS,
    work: WorkOption = WORK,
) -> None:
    """What the validator costs the stream: freshness and throughput with it, without it, and behind a gate.

    Examples:

      python -m benchmarks validation
      python -m benchmarks validation --repeats 1
    """
    options = validation_benchmark.Options(seconds=seconds, warm_up_s=warm_up, repeats=repeats)
    _measure(
        "validation",
        validation_benchmark.measure,
        validation_benchmark.QUICK if quick else options,
        quick,
        results,
        work,
    )


@app.command()
def footprint(
    repeats: Annotated[int, typer.Option(min=1, metavar="N", help="Cold and warm starts.")] = 3,
    idle: Annotated[float, typer.Option(min=5, metavar="S", help="How long the idle stack is watched.")] = 60.0,
    events: Annotated[int, typer.Option(min=1_000, metavar="N", help="Messages taken before disks are looked at.")] = (
        1_000_000
    ),
    quick: QuickOption = False,
    results: ResultsOption = RESULTS,
    work: WorkOption = WORK,
) -> None:
    """Memory of each process, disk of each table, start-up times, and the time to the first row in Postgres.

    Examples:

      python -m benchmarks footprint
      python -m benchmarks footprint --repeats 1 --events 200000
    """
    topic = backlog_topic.Backlog(events=events)
    options = footprint_benchmark.Options(repeats, idle, topic)
    _measure(
        "footprint", footprint_benchmark.measure, footprint_benchmark.QUICK if quick else options, quick, results, work
    )


@app.command()
def growth(
    events: Annotated[int, typer.Option(min=1_000, metavar="N", help="History to grow to.")] = 30_000_000,
    step: Annotated[int, typer.Option(min=1_000, metavar="N", help="Events between two looks.")] = 2_000_000,
    events_per_day: Annotated[int, typer.Option(min=1_000, metavar="N", help="Of event time.")] = 100_000,
    commits: Annotated[str, typer.Option(metavar="N,N,…", help="Versions of each table to grow to.")] = (
        "1000,3000,10000,30000,100000"
    ),
    small: Annotated[int, typer.Option(min=1, metavar="N", help="Events in a micro-batch that is timed.")] = 3_000,
    small_batches: Annotated[int, typer.Option(min=1, metavar="N", help="So many at each look.")] = 20,
    warm_up: Annotated[int, typer.Option(min=0, metavar="N", help="So many before any is timed.")] = 40,
    only: Annotated[
        str, typer.Option(metavar="PART", help="Only this part: 'in order', '1 % a week late' or 'commits'.")
    ] = "",
    quick: QuickOption = False,
    results: ResultsOption = RESULTS,
    work: WorkOption = WORK,
) -> None:
    """What a micro-batch costs as the history grows: time, files, log and memory, with the slope and its interval.

    Examples:

      python -m benchmarks growth
      python -m benchmarks growth --events 5000000 --step 500000 --only "in order"
    """
    options = growth_benchmark.QUICK
    if not quick:
        options = growth_benchmark.Options(
            events=events,
            step=step,
            events_per_day=events_per_day,
            commits=_whole_numbers(commits),
            small=small,
            small_batches=small_batches,
            warm_up=warm_up,
        )
    if only:
        options = replace(options, parts=(only,))
    _measure("growth", growth_benchmark.measure, options, quick, results, work)


@app.command()
def scoring(
    rate: Annotated[int, typer.Option(min=1, metavar="N", help="Requests/s to /predict.")] = 300,
    seconds: Annotated[float, typer.Option(min=1, metavar="S", help="Measured, each time.")] = 20.0,
    repeats: Annotated[int, typer.Option(min=1, metavar="N", help="Loads, and batches of each kind.")] = 3,
    batch_rows: Annotated[int, typer.Option(min=1, metavar="N", help="Rows of a batch.")] = 10_000,
    quick: QuickOption = False,
    results: ResultsOption = RESULTS,
    work: WorkOption = WORK,
) -> None:
    """How long a churn score takes under a steady load, and how many rows/s a batch is scored at.

    Examples:

      python -m benchmarks scoring
      LAKEHOUSE_MODEL_FILE=churn_model.pkl python -m benchmarks scoring --rate 500
    """
    options = scoring_benchmark.Options(rate, seconds, repeats, batch_rows)
    _measure("scoring", scoring_benchmark.measure, scoring_benchmark.QUICK if quick else options, quick, results, work)


@app.command()
def pages(
    url: Annotated[str, typer.Option(metavar="URL", help="A dashboard that runs; default: one of its own.")] = "",
    events: Annotated[int, typer.Option(min=1_000, metavar="N", help="Simulated events that its own stack takes.")] = (
        10_000_000
    ),
    days: Annotated[int, typer.Option(min=1, metavar="N", help="Days of event time that they span, up to now.")] = 90,
    users: Annotated[int, typer.Option(min=10, metavar="N", help="Users who may act.")] = 50_000,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Events that it takes in their place, such as a shop's.")
    ] = None,
    mapping: Annotated[str, typer.Option(metavar="NAME", help="How the file is read: see `lakehouse replay`.")] = "ga4",
    repeats: Annotated[int, typer.Option(min=1, metavar="N", help="Visits and refreshes of each view.")] = 3,
    rate: Annotated[
        int, typer.Option(min=0, metavar="N", help="Events/s that then come while all is measured again; 0: it is not.")
    ] = 50,
    browsers: Annotated[
        int, typer.Option(min=0, metavar="N", help="Open at once, meanwhile; 0: this part is left out.")
    ] = 10,
    seconds: Annotated[float, typer.Option(min=5, metavar="S", help="How long they are watched.")] = 60.0,
    home: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Home of its own stack, which is kept: the next run finds it full."),
    ] = None,
    screenshots: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Pictures too, light and dark, of a desktop and a phone.")
    ] = None,
    quick: QuickOption = False,
    results: ResultsOption = RESULTS,
    work: WorkOption = WORK,
) -> None:
    """Seconds until a page of the dashboard is painted, drawn and refreshed in Chromium; and what many browsers cost.

    Each page as it opens and in the views that read the most; alone, then while events come, then with no, one and
    many browsers open. Filling a stack with 10,000,000 events takes some eight minutes, and 10 GB of disk.

    Examples:

      python -m benchmarks pages
      python -m benchmarks pages --events 1000000 --home /tmp/pages --repeats 1
      python -m benchmarks pages --file ../shared/data/ga4_store_events.csv.gz --screenshots docs/pages
      python -m benchmarks pages --url http://127.0.0.1:8501 --quick --screenshots /tmp/pages
    """
    history = History(events=events, days=days, users=users)
    options = pages_benchmark.Options(url, history, mapping, repeats, rate, browsers, seconds)
    if quick:
        options = replace(pages_benchmark.QUICK, url=url, mapping=mapping)
    measure = partial(pages_benchmark.measure, file=file, home=home, screenshots=screenshots)
    _measure("pages", measure, options, quick, results, work)


@app.command()
def costs(
    only: Annotated[str, typer.Option(metavar="ENGINE", help="Only where delta-rs, or spark, commits.")] = "",
    quick: QuickOption = False,
    results: ResultsOption = RESULTS,
    work: WorkOption = WORK,
) -> None:
    """What an event costs in each stage by the size of its batch, in bytes, and what Postgres takes alone.

    Examples:

      python -m benchmarks costs
      python -m benchmarks costs --only delta-rs
    """
    options = costs_benchmark.QUICK if quick else costs_benchmark.Options()
    if only:
        options = replace(options, parts=(only,))
    _measure("costs", costs_benchmark.measure, options, quick, results, work)


@app.command()
def scale(
    rate: Annotated[float, typer.Option(min=1, metavar="N", help="Events/s to plan for.")] = RATE,
    page: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Put the tables into this page, between its marks.")
    ] = None,
    results: ResultsOption = RESULTS,
    docs: DocsOption = DOCS,
) -> None:
    """Print what a rate takes of each part, computed from the results that are there; it measures nothing.

    Of a benchmark the newer of its result and what the report has is taken. docs/scale.md says what is measured, what
    is assumed, and where the design would have to change.

    Examples:

      python -m benchmarks scale
      python -m benchmarks scale --rate 50000
      python -m benchmarks scale --write docs/scale.md
    """
    documents = documents_of(results, docs)
    if page is None:
        typer.echo(scale_plan.render(documents, rate, load_settings()))
        return
    scale_plan.write(documents, rate, load_settings(), page)
    _say(f"scale: {page}")


@app.command("all")
def everything(
    quick: QuickOption = False,
    results: ResultsOption = RESULTS,
    work: WorkOption = WORK,
    docs: DocsOption = DOCS,
) -> None:
    """Run every benchmark with its defaults, then make the report: hours; with --quick some ten minutes.

    One that fails is said, and the others go on; then the exit status is 1.

    Examples:

      python -m benchmarks all --quick --docs /tmp/report
    """
    failed = []
    for name, measure, options, short in (
        ("freshness", freshness_benchmark.measure, freshness_benchmark.Options(), freshness_benchmark.QUICK),
        ("backlog", backlog_benchmark.measure, backlog_benchmark.Options(), backlog_benchmark.QUICK),
        ("cluster", cluster_benchmark.measure, cluster_benchmark.Options(), cluster_benchmark.QUICK),
        ("growth", growth_benchmark.measure, growth_benchmark.Options(), growth_benchmark.QUICK),
        ("scoring", scoring_benchmark.measure, scoring_benchmark.Options(), scoring_benchmark.QUICK),
        ("detection", detection_benchmark.measure, detection_benchmark.Options(), detection_benchmark.QUICK),
        ("validation", validation_benchmark.measure, validation_benchmark.Options(), validation_benchmark.QUICK),
        ("pages", pages_benchmark.measure, pages_benchmark.Options(), pages_benchmark.QUICK),
        ("footprint", footprint_benchmark.measure, footprint_benchmark.Options(), footprint_benchmark.QUICK),
    ):
        try:
            _measure(name, measure, short if quick else options, quick, results, work)
        except LakehouseError as error:
            _say(f"{name}: {error}")
            failed.append(name)
    report(results, docs)
    if failed:
        raise LakehouseError(f"{', '.join(failed)} failed, see above; the report has what there was before")


@app.command()
def report(
    results: ResultsOption = RESULTS,
    docs: DocsOption = DOCS,
) -> None:
    """Make benchmarks.md, benchmarks.json and benchmarks.svg of the results; a part without a new one is kept.

    Where scale.md is beside them, its tables are computed anew.

    Examples:

      python -m benchmarks report
    """
    for path in write(results, docs):
        _say(f"report: {path}")
    documents, page = documents_of(results, docs), docs / "scale.md"
    if page.is_file() and "costs" in documents:
        scale_plan.write(documents, RATE, load_settings(), page)
        _say(f"report: {page}")


def _measure(name: str, measure: Callable[..., Any], options: Any, quick: bool, folder: Path, work: Path) -> None:
    """Runs one benchmark and saves its result."""
    settings = load_settings()
    described = machine.describe(settings)
    work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    result = measure(options, settings, work.resolve(), lambda text: _say(f"{name}: {text}"))
    path = save(
        folder,
        name,
        machine=described,
        options=options,
        result=result,
        seconds=time.monotonic() - began,
        quick=quick,
    )
    _say(f"{name}: {path}")


def _whole_numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.replace("_", "").split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise LakehouseError(f"{text!r}: must be whole numbers above 0, comma-separated, such as 100,1000")
    return numbers


def _say(line: str) -> None:
    typer.echo(f"{time.strftime('%H:%M:%S', time.gmtime())} {line}", err=True)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    try:
        app()
    except LakehouseError as error:
        typer.echo(f"benchmarks: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
