"""The job `rebuild`: a layer made anew from the one before it, beside the running rounds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date
from importlib.metadata import entry_points
from threading import Lock
from typing import TYPE_CHECKING, Any

from lakehouse.errors import EngineLost, LakehouseError
from lakehouse.jobs import Progress

if TYPE_CHECKING:
    from lakehouse.writer import Writer

LAYERS = ("silver", "gold")
_at_work = Lock()


def rebuild(writer: Writer, arguments: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
    """``layer``: silver, which gold follows, or gold; ``since``: a day (UTC), ISO 8601, or none for all.

    Result: ``layer``, ``since``, ``seconds``, ``replaced``: for each table what was not as it should be. Raises
    LakehouseError where another one is at work.
    """
    layer, since = str(arguments["layer"]), arguments.get("since")
    found = entry_points(group="lakehouse.rebuilds", name=layer)
    if not found:
        raise LakehouseError(f"rebuild: there is no layer {layer!r} to rebuild; there are {', '.join(LAYERS)}")
    if not _at_work.acquire(blocking=False):
        raise LakehouseError("rebuild: another one is at work; wait until it has ended")
    began = time.monotonic()
    try:
        make = next(iter(found)).load()
        day = None if since is None else date.fromisoformat(since)
        replaced = make(writer, day, progress)
        for hook in entry_points(group="lakehouse.after_rebuild"):
            hook.load()(writer, layer, day)
    except EngineLost as error:
        writer.failure = error
        writer.runner.stopping.set()
        raise
    finally:
        _at_work.release()
    return {"layer": layer, "since": since, "seconds": round(time.monotonic() - began, 3), "replaced": replaced}
