"""How a run of the stack looks: steps as they complete, addresses, a live line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Group
from rich.live import Live
from rich.text import Text

from lakehouse.embedded.console import out as console
from lakehouse.embedded.livestate import SEPARATOR
from lakehouse.embedded.supervisor import Event
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home

LIVE_INTERVAL_S = 1.0
PLAIN_INTERVAL_S = 10.0
"""Where a live line cannot be renewed in place, and each makes a log longer."""


def tell_event(event: Event) -> None:
    """A step or a mishap, with its time."""
    if event.kind in ("up", "done"):
        console.print(f"  [green]✓[/] {event.service:<10} {event.kind:<4} {event.seconds:5.1f} s")
    elif event.kind == "failed":
        console.print(Text(f"{event.service} failed, and all else goes on: {' '.join(event.text.split())}"))
    elif event.kind == "died":
        console.print(Text(f"{event.service} {event.text}"))
        console.print(f"{event.service} is brought back in {event.seconds:g} s")
    elif event.kind == "waits":
        console.print(Text(f"{event.service} {event.text}"))
    elif event.kind == "restarting":
        console.print(f"{event.service} is started again")
    elif event.kind == "stopped":
        console.print(f"  {event.service:<10} stopped {event.seconds:5.1f} s")
    elif event.kind == "killed":
        console.print(f"  {event.service:<10} did not stop within {event.seconds:.0f} s and was killed")


@contextmanager
def step(name: str) -> Iterator[None]:
    """Tells how long something took that is no service; nothing where it took less than half a second."""
    began = time.monotonic()
    yield
    seconds = time.monotonic() - began
    if seconds > 0.5:
        console.print(f"  [green]✓[/] {name:<10} done {seconds:5.1f} s")


def addresses(endpoints: Endpoints, home: Home) -> dict[str, str]:
    """What a person may want to open, without passwords."""
    return {
        "dashboard": endpoints.dashboard,
        "api": endpoints.api,
        **({"quality": endpoints.quality} if endpoints.quality else {}),
        "kafka": endpoints.kafka,
        "postgres": without_password(endpoints.postgres_reader),
        "tables": str(home.tables),
        "logs": str(home.logs),
    }


def without_password(address: str) -> str:
    """A postgresql:// address as it may be shown: role, server and database."""
    scheme, _, rest = address.partition("?")[0].partition("://")
    login, at, server = rest.rpartition("@")
    return f"{scheme}://{login.partition(':')[0]}{at}{server}"


def tell_addresses(endpoints: Endpoints, home: Home) -> None:
    for name, address in addresses(endpoints, home).items():
        console.print(Text(f"  {name:<10} {address}"))


def _one_line(text: str) -> Text:
    return Text(text, overflow="ellipsis", no_wrap=True)


@contextmanager
def live_line() -> Iterator[Callable[[Callable[[], list[str]]], None]]:
    """Yields a function to be called often with one that makes the lines; it is asked when they are due."""
    shown_at = float("-inf")
    interval = LIVE_INTERVAL_S if console.is_terminal else PLAIN_INTERVAL_S
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def show(make: Callable[[], list[str]]) -> None:
            nonlocal shown_at
            if time.monotonic() - shown_at < interval:
                return
            shown_at = time.monotonic()
            if console.is_terminal:
                live.update(Group(*(_one_line(line) for line in make())), refresh=True)
            else:
                console.print(Text(f"{time.strftime('%H:%M:%S', time.gmtime())} {SEPARATOR.join(make())}"))

        yield show
