"""`lakehouse produce` and `lakehouse replay`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli_options import HomeOption, JsonOption, settings_for

if TYPE_CHECKING:
    from datetime import datetime


def produce(
    events: Annotated[int, typer.Option(min=1, metavar="N", help="Messages to send, copies and broken ones included.")],
    rate: Annotated[
        float | None, typer.Option(min=0.001, metavar="EVENTS/S", help="Send them live, so many a second.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Another seed, other users; default: simulator_seed.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Event time of the first; ISO 8601, UTC.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Event time before which the last lies.")
    ] = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Send exactly N simulated events to Kafka: users of a shop who view, add to cart and buy.

    By default they lie in the time just past, at simulator_rate, and are sent as fast as they can. With --rate
    they happen now; with --from and --to they are spread over that time. Some are late, copies, malformed or in
    the far future (settings simulator_*_share), as in life. The same --seed, --from and --to send the same events
    again, which are recognised as copies.

    Uses the running stack's Kafka, or starts one for the duration; the events are kept under the home.

    Examples:

      lakehouse produce --events 10000
      lakehouse produce --events 600 --rate 20
      lakehouse produce --events 1000000 --from 2024-01-01 --to 2024-07-01 --seed 3
    """
    from dataclasses import asdict
    from datetime import UTC, datetime
    from itertools import islice

    from lakehouse.kafka_security import KafkaSecurity
    from producer.broker import broker
    from producer.client import KafkaPythonSender
    from producer.pace import Pace
    from producer.produce import Produced, ProduceStopped, config_of, span_of
    from producer.produce import produce as send
    from producer.progress import reporting
    from producer.simulator import simulate

    settings = settings_for(home)
    span = span_of(
        events,
        now=datetime.now(UTC),
        usual_rate=settings.simulator_rate,
        rate=rate,
        since=_moment("--from", since),
        until=_moment("--to", until),
    )

    def answer(result: Produced) -> None:
        _answer({"topic": settings.topic, **asdict(result)} if json else None, result.sentence, settings.topic)

    simulated = islice(simulate(config_of(settings, rate=span.rate, start=span.start, seed=seed)), events)
    with broker(settings) as held, reporting(held.console, "events", events) as progress:
        sender = KafkaPythonSender(held.bootstrap, settings.topic, KafkaSecurity.of(settings))
        try:
            pace = Pace(1.0 if span.is_live else None, sleep=held.stop.sleep)
            answer(send(simulated, sender, pace=pace, stop=held.stop, progress=progress))
        except ProduceStopped as stopped:
            if json:
                answer(stopped.result)
            raise
        finally:
            sender.close()


def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV, JSON lines (also .gz, .zst, .bz2) or Parquet.")],
    mapping: Annotated[
        str, typer.Option("--mapping", "-m", metavar="NAME", help="A known format, or a YAML file of your own.")
    ] = "events",
    speed: Annotated[
        str, typer.Option(metavar="SPEED", help="max, or a multiple of real time by event time: 1, 60, 0.5.")
    ] = "max",
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Send a file of past events to Kafka, line by line.

    A mapping says which column is which: cdnow, ga4, rees46, retailrocket, events (this project's own fields),
    or a YAML file (docs/replay.md). A line that cannot be mapped is refused with its number and reason, counted,
    and written to logs/replay-rejects-*.jsonl under the home; lines = produced + refused.

    Replaying again is safe: a line's event id is made of its content, so it is recognised as a copy, while equal
    lines of one file stay events of their own. Ctrl-C stops between two events and says what was sent (exit 130).

    Uses the running stack's Kafka, or starts one for the duration; the events are kept under the home.

    Examples:

      lakehouse replay ga4_store_events.csv.gz --mapping ga4
      lakehouse replay events.csv --mapping retailrocket --speed 3600
      lakehouse replay shop.parquet --mapping shop.yaml --json
    """
    from dataclasses import asdict

    from lakehouse.home import Home
    from lakehouse.kafka_security import KafkaSecurity
    from producer.broker import broker
    from producer.client import ConfluentSender
    from producer.mappings import load_mapping
    from producer.pace import Pace, parse_speed
    from producer.progress import reporting
    from producer.rejects import Rejects
    from producer.replay import Replayed, ReplayEnded, plan
    from producer.replay import replay as send

    settings = settings_for(home)
    times_real = parse_speed(speed)
    planned = plan(file, load_mapping(mapping), mapping)
    folder = Home(settings.home).make()

    def answer(result: Replayed) -> None:
        document = {"file": str(file), "mapping": mapping, "topic": settings.topic, **asdict(result)}
        _answer(document if json else None, result.sentence, settings.topic)

    with broker(settings) as held, reporting(held.console, "lines") as progress:
        console = held.console

        def tell(line: int, reason: str, detail: str) -> None:
            console.print(f"line {line:,} refused: {reason}{f': {detail}' if detail else ''}", markup=False)

        sender = ConfluentSender(held.bootstrap, settings.topic, KafkaSecurity.of(settings))
        try:
            with Rejects(file, _rejects_file(folder.logs), tell) as rejects:
                result = send(
                    planned,
                    sender,
                    rejects,
                    folder.root,
                    pace=Pace(times_real, sleep=held.stop.sleep),
                    stop=held.stop,
                    progress=progress,
                    oldest=settings.oldest_moment,
                )
            answer(result)
            if result.too_old:
                console.print(
                    f"{result.too_old:,} events are of before {settings.oldest_event_time}, and silver puts such into "
                    "quarantine; if they are right, set LAKEHOUSE_OLDEST_EVENT_TIME to an earlier day for the stack",
                    markup=False,
                )
        except ReplayEnded as ended:
            if json:
                answer(ended.result)
            raise
        finally:
            sender.close()


def _moment(option: str, text: str | None) -> datetime | None:
    from lakehouse.errors import LakehouseError
    from producer.event_times import time_parser

    if text is None:
        return None
    try:
        return time_parser("iso", "UTC")(text)
    except ValueError:
        raise LakehouseError(f"{option} {text}: must be a time such as 2024-01-31 or 2024-01-31T08:30:00Z") from None


def _rejects_file(logs: Path) -> Path:
    import os
    from datetime import UTC, datetime

    return logs / f"replay-rejects-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}.jsonl"


def _answer(document: dict[str, Any] | None, sentence: str, topic: str) -> None:
    from pydantic_core import to_json

    typer.echo(f"{sentence}, to topic {topic}" if document is None else to_json(document).decode())
