"""The command `lakehouse`: the rooms plug their commands in by the entry points `lakehouse.commands`.

Only the modules of the commands named on the line are imported; all of them for the help, so a command's
module keeps heavy imports inside its functions.
"""

from __future__ import annotations

import datetime
import os
import sys
import tempfile
import traceback
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli_options import HomeOption
from lakehouse.errors import LakehouseError

GROUP = "lakehouse.commands"
DISTRIBUTION = "interaction-lakehouse"
BUG_EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h."""


def main() -> None:
    """Runs the command line and exits: what a person can mend, and what only we can, is one line on stderr."""
    try:
        build_app(sys.argv[1:])()
    except LakehouseError as error:
        _say(f"lakehouse: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        _say(f"lakehouse: a bug, not your doing: {_summary(error)}; its traceback is in {_write_crash()}")
        sys.exit(BUG_EXIT_CODE)


def build_app(arguments: list[str]) -> typer.Typer:
    """The application with the commands that ``arguments`` name, or with all where they name none."""
    app = typer.Typer(
        name="lakehouse",
        help="A streaming lakehouse on your machine: Kafka, Spark, Delta, Postgres, a dashboard and an API.",
        epilog="Start with `lakehouse up`, then open the address that it prints. Settings: docs/settings.md.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_globals)
    known = entry_points(group=GROUP)
    named = [point for point in known if point.name in arguments]
    for point in _in_order(named or known):
        _plug_in(app, point)
    return app


def _plug_in(app: typer.Typer, point: EntryPoint) -> None:
    """Adds a command, or a group of them; one that cannot be imported says so when it is called, and takes no other
    down with it."""
    try:
        found = point.load()
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=point.name)
        else:
            app.command(point.name)(found)
    except (ImportError, AttributeError) as error:
        reason = f"{point.name} cannot be loaded: {error}"

        def unavailable() -> None:
            raise LakehouseError(f"{reason}; reinstall the project with all its packages")

        any_arguments = {"allow_extra_args": True, "ignore_unknown_options": True}
        app.command(point.name, help=f"({reason})", context_settings=any_arguments)(unavailable)


def _globals(
    home: HomeOption = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=lambda on: _version(on))
    ] = False,
) -> None:
    if home is not None:
        os.environ["LAKEHOUSE_HOME"] = str(home)  # weaker than the command's own --home, as it should be


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"lakehouse {version(DISTRIBUTION)}")
        raise typer.Exit


def _in_order(points: Iterable[EntryPoint]) -> list[EntryPoint]:
    """The life of a stack first, then the rest by name."""
    first = ["up", "status", "down"]
    return sorted(points, key=lambda point: (first.index(point.name) if point.name in first else 9, point.name))


def _summary(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _write_crash() -> Path:
    """Under the home's logs; in the temporary folder where the home is not to be written."""
    moment = datetime.datetime.now(datetime.UTC)
    text = f"{moment.isoformat()} {' '.join(sys.argv)}\n{traceback.format_exc()}"
    for folder in (_logs(), Path(tempfile.gettempdir())):
        path = folder / f"crash-{moment:%Y%m%dT%H%M%S.%f}.log"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        except OSError:
            continue
        return path
    return Path(os.devnull)


def _logs() -> Path:
    from lakehouse.home import Home
    from lakehouse.settings import load_settings

    try:
        return Home(load_settings(home=_home_option()).home).logs
    except LakehouseError:
        return Path(tempfile.gettempdir())


def _home_option() -> str | None:
    """--home as given on the line: what failed may be what reads it."""
    for before, argument in zip(sys.argv, sys.argv[1:], strict=False):
        if before == "--home":
            return argument
    return next((argument[7:] for argument in sys.argv if argument.startswith("--home=")), None)


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 (the one place that talks without rich: it may be what failed)


if __name__ == "__main__":
    main()
