"""`lakehouse support`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakehouse.cli_options import HomeOption, settings_for


def support(
    out: Annotated[Path, typer.Option(metavar="FILE", help="The ZIP to make; it must not be there yet.")],
    home: HomeOption = None,
) -> None:
    """Put what somebody needs who is asked for help into one ZIP: settings, versions, status, the end of each log.

    No secret that this home knows is in it, and no table; a log may name users and what they did. Look through it
    before you pass it on.

    Examples:

      lakehouse support --out support.zip
    """
    from lakehouse.home import Home
    from lakehouse.support import write

    settings = settings_for(home)
    names = write(settings, Home(settings.home), out)
    typer.echo(f"{out}: {len(names)} files, with a mask for each secret; look through them before you pass them on")
