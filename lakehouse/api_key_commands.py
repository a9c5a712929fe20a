"""The group `lakehouse api-key`."""

from __future__ import annotations

import json as json_format
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lakehouse.cli_options import HomeOption, JsonOption, settings_for

if TYPE_CHECKING:
    from lakehouse.api_keys import ApiKey

api_key = typer.Typer(no_args_is_help=True, help="Keys of the REST API: make one, list them, take one back.")


class ScopeOption(StrEnum):
    score = "score"
    read = "read"


@api_key.callback()
def _group() -> None:
    """A group, however many commands it has."""


@api_key.command()
def create(
    scope: Annotated[
        list[ScopeOption], typer.Option(help="score: POST /predict…; read: all else. Give it twice for both.")
    ],
    name: Annotated[str, typer.Option(metavar="TEXT", help="Whose it is, as `list` shows it.")] = "",
    expires: Annotated[
        float | None, typer.Option(min=0.001, max=36_500, metavar="DAYS", help="After so many days; default: never.")
    ] = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Make a key and print it, this once: only its hash is kept. It is valid at once, in a running stack too.

    With the first key the API asks for one on loopback as well. To change a key without a gap, make the next one, hand
    it out, and revoke the one before: both are valid until then.

    Examples:

      lakehouse api-key create --scope score --name shop --expires 90
      lakehouse api-key create --scope score --scope read > key.txt
    """
    from lakehouse.api_keys import add, make
    from lakehouse.embedded.console import console
    from lakehouse.home import Home

    settings = settings_for(home)
    key, kept = make([each.value for each in scope], name, expires, datetime.now(UTC))
    add(Home(settings.home), kept)
    if json:
        typer.echo(json_format.dumps({**_told(kept), "key": key}))
        return
    typer.echo(key)
    until = "" if kept.expires is None else f" until {kept.expires:%Y-%m-%d %H:%M} UTC"
    console.print(
        f"key {kept.id} opens {' and '.join(kept.scopes)}{until}; it is not shown again. Send it as X-API-Key",
        markup=False,
    )


@api_key.command("list")
def list_(json: JsonOption = False, home: HomeOption = None) -> None:
    """Show the keys that were made, without the keys themselves.

    Examples:

      lakehouse api-key list --json
    """
    from lakehouse.api_keys import load
    from lakehouse.home import Home

    told = [_told(key) for key in load(Home(settings_for(home).home))]
    if json:
        typer.echo(json_format.dumps(told))
        return
    from rich.table import Table
    from rich.text import Text

    from lakehouse.embedded.console import out

    table = Table("id", "name", "opens", "state", "made", "expires", box=None, pad_edge=False)
    for each in told:
        cells = (each["id"], each["name"], ", ".join(each["scopes"]), each["state"], each["created"], each["expires"])
        table.add_row(*(Text(cell or "") for cell in cells))
    out.print(table if told else "no key was made; on loopback the API asks for none")


@api_key.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="As `lakehouse api-key list` shows it.")],
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Take a key back, for good and at once. The API goes on asking for keys, even where this was the last one.

    Examples:

      lakehouse api-key revoke 3f9c21aa
    """
    from lakehouse.api_keys import revoke as take_back
    from lakehouse.home import Home

    kept = take_back(Home(settings_for(home).home), key, datetime.now(UTC))
    typer.echo(json_format.dumps(_told(kept)) if json else f"key {kept.id} is revoked")


def _told(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "state": key.state(datetime.now(UTC)),
        "created": key.created.isoformat(timespec="seconds"),
        "expires": None if key.expires is None else key.expires.isoformat(timespec="seconds"),
        "revoked": None if key.revoked is None else key.revoked.isoformat(timespec="seconds"),
    }
