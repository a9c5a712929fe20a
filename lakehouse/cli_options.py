"""Options that commands share, and the settings that they make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lakehouse.settings import Settings, load_settings

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="FOLDER",
        help="Folder with all state; default: LAKEHOUSE_HOME, else .lakehouse in the working directory.",
        file_okay=False,
    ),
]

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, for programs.")]


def settings_for(home: Path | None, **overrides: Any) -> Settings:
    """The settings of this command: its options over environment and files; an option that is None was not given.

    Raises LakehouseError that names each wrong setting.
    """
    return load_settings(home=home, **overrides)
