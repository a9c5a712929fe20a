"""`lakehouse run` and `healthy`: one service at a time, as containers have them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lakehouse.cli_options import HomeOption, settings_for


class OwnService(StrEnum):
    """As `lakehouse.embedded.stack.OWN`, which takes longer to import than a health check should."""

    migrate = "migrate"
    writer = "writer"
    api = "api"
    dashboard = "dashboard"
    validator = "validator"
    simulator = "simulator"
    champion = "champion"


ServiceArgument = Annotated[
    OwnService, typer.Argument(metavar="SERVICE", help=f"One of: {', '.join(each.value for each in OwnService)}.")
]


def run(service: ServiceArgument, home: HomeOption = None) -> None:
    """Run one service in the foreground, beside a Kafka and a Postgres that the settings name: for containers.

    It is the same program, with the same environment, as `lakehouse up` runs; SIGTERM ends it, and its exit code is the
    command's. All services of one lakehouse share a home (a volume) and the same settings. `migrate` goes first and
    ends by itself, as `champion` does, which gives a new home a model; then the writer, of which there is one, and the
    others in any order. Nothing is started again: whoever runs this sees to that.

    Settings: LAKEHOUSE_KAFKA_BOOTSTRAP and LAKEHOUSE_POSTGRES_DSN are needed; LAKEHOUSE_API_URL says where the others
    reach the API; LAKEHOUSE_BIND_ADDRESS=0.0.0.0 opens the doors beyond the machine. docs/containers.md shows it whole.

    Examples:

      lakehouse run migrate && lakehouse run writer
      LAKEHOUSE_API_URL=http://api:8000 LAKEHOUSE_BIND_ADDRESS=0.0.0.0 lakehouse run api
      lakehouse healthy api
    """
    from lakehouse.embedded.run import run_service

    run_service(settings_for(home), service.value)


def healthy(service: ServiceArgument, home: HomeOption = None) -> None:
    """Ask a service that runs on this machine, or in this container, whether it is well; exit 0 where it is, else 1.

    It is the check that `lakehouse up` makes: the writer answers a job, the others a request.

    Examples:

      lakehouse healthy writer
      lakehouse healthy api && curl http://127.0.0.1:8000/readyz
    """
    from lakehouse.embedded.run import ask_health

    well, line = ask_health(settings_for(home), service.value)
    typer.echo(line, err=not well)
    raise typer.Exit(0 if well else 1)
