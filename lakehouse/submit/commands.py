"""`lakehouse submit`."""

from __future__ import annotations

import os
import shlex
from typing import Annotated

import typer

from lakehouse.cli_options import HomeOption, settings_for


def submit(
    show: Annotated[bool, typer.Option("--print", help="Print the command, and run nothing.")] = False,
    home: HomeOption = None,
) -> None:
    """Run the streams on a Spark cluster, by spark-submit, beside a Kafka and a Postgres of your own.

    It runs until Ctrl-C or `lakehouse down`; meanwhile `drain`, `audit`, `sql` and `status` use it from another
    terminal. The tables lie under the home, which the driver and every worker must reach by the same path. Workers get
    the jars and, where LAKEHOUSE_SPARK_WHEEL names it, the project's wheel; the packages that it needs they must have.

    Examples:

      export LAKEHOUSE_SPARK_MASTER=spark://master:7077 LAKEHOUSE_SPARK_WHEEL=dist/interaction_lakehouse.whl
      export LAKEHOUSE_KAFKA_BOOTSTRAP=kafka-1:9092,kafka-2:9092 LAKEHOUSE_POSTGRES_DSN=postgresql://owner@db/lakehouse
      lakehouse submit --home /shared/lakehouse
      lakehouse submit --print
    """
    from lakehouse.embedded import jars
    from lakehouse.embedded.java import find_java
    from lakehouse.submit.plan import command, environment

    settings = settings_for(home)
    java = find_java(settings)
    line = command(settings, jars.spark(settings, java))
    if show:
        typer.echo(shlex.join(line))
        return
    os.execvpe(line[0], line, environment(settings, java))  # noqa: S606 (a list, no shell)
