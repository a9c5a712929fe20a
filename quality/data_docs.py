"""Great Expectations' context, and its Data Docs under the home: a page for each of the newest runs of every suite."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from great_expectations.data_context import EphemeralDataContext


def new_context() -> EphemeralDataContext:
    """A context of this process alone: suites are code, so nothing of it is kept."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    return context
