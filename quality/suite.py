"""Suites: what is expected of a table. Those of the project, and those that users add from a folder.

A file of a user's is Python with a function ``expectations(settings)`` that returns, by table, what is expected beside
the rest::

    import great_expectations.expectations as gxe
    from quality.suite import Expected
    from quality.verdicts import Severity

    def expectations(settings):
        return {
            "silver.events": [
                Expected(
                    "products_have_a_category",
                    "Every product belongs to a category, else it is in no report by category.",
                    Severity.warn,
                    gxe.ExpectColumnValuesToNotBeNull(column="category", mostly=0.99),
                )
            ]
        }
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.contracts import PIPELINE
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from quality.verdicts import Severity
from quality.views import View

if TYPE_CHECKING:
    from great_expectations.expectations.expectation import Expectation

CONTRACTS = {table.name: table for table in PIPELINE}


@dataclass(frozen=True)
class Expected:
    """One expectation, and what a failure of it means."""

    name: str
    """Unique within the table's suite."""
    description: str
    """What is required, and why, for a reader outside the team."""
    severity: Severity
    expectation: Expectation
    of: View | None = None
    """What is judged: the rows, or a view of `quality.views`."""
    needs: Sequence[str] = ()
    """Columns of the table that are read for it, beside those that the expectation names."""

    def columns(self) -> set[str]:
        """Columns of the table that it is judged by."""
        named: set[str] = set()
        if self.of is None:
            for field in ("column", "column_A", "column_B"):
                value = getattr(self.expectation, field, None)
                named |= {value} if isinstance(value, str) else set()
            named |= {str(column) for column in getattr(self.expectation, "column_list", None) or ()}
        return named | {str(column) for column in self.needs}


@dataclass(frozen=True)
class Suite:
    """What is expected of a table."""

    table: str
    expectations: Sequence[Expected]
    key: Sequence[str]
    """The columns by which a row is named in examples."""
    broken: Sequence[str] = ()
    """Why expectations are missing from it: a line for each file that could not be used."""

    def columns(self) -> list[str]:
        """Columns of the table that are read to judge it; some may not be there."""
        return sorted({str(column) for column in self.key}.union(*(each.columns() for each in self.expectations)))


def load_suites(settings: Settings) -> dict[str, Suite]:
    """All suites by table: of the tables in the order of the pipeline, then of the mirrors.

    Imports Great Expectations, which takes seconds. A file of the user's that cannot be used is told in ``broken``.
    Raises LakehouseError where the folder of ``quality_suites`` is not there.
    """
    from quality.suites import built_in

    suites = {suite.table: suite for suite in built_in(settings)}
    if settings.quality_suites is not None:
        for file in _files(settings.quality_suites):
            suites = _with(suites, file, settings)
    return suites


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise LakehouseError(f"LAKEHOUSE_QUALITY_SUITES={folder}: there is no such folder; make it, or unset it")
    return sorted(file for file in folder.glob("*.py") if not file.name.startswith("_"))


def _with(suites: dict[str, Suite], file: Path, settings: Settings) -> dict[str, Suite]:
    try:
        added = _load(file, settings)
    except Exception as error:  # whatever a user's file raises must take nothing else down
        reason = f"{file.name} does not load: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return {table: _broken(suite, reason) for table, suite in suites.items()}
    for table, expectations in added.items():
        if table not in suites:
            reason = f"{file.name}: there is no table {table!r}; known are {', '.join(suites)}"
            suites = {name: _broken(suite, reason) for name, suite in suites.items()}
            continue
        suite = suites[table]
        for each in expectations:
            if any(each.name == other.name for other in suite.expectations):
                suite = _broken(
                    suite, f"{file.name}: {table} has an expectation {each.name!r} already; name it otherwise"
                )
            else:
                suite = replace(suite, expectations=[*suite.expectations, each])
        suites[table] = suite
    return suites


def _load(file: Path, settings: Settings) -> Mapping[str, Sequence[Expected]]:
    spec = importlib.util.spec_from_file_location(f"quality_suites_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not callable(getattr(module, "expectations", None)):
        raise LakehouseError("it has no function expectations(settings); see docs/quality.md")
    found: Mapping[str, Iterable[Any]] = module.expectations(settings)
    checked = {str(table): list(expectations) for table, expectations in found.items()}
    for table, expectations in checked.items():
        for each in expectations:
            if not isinstance(each, Expected):
                raise TypeError(f"{table}: {each!r} is no quality.suite.Expected")
    return checked


def _broken(suite: Suite, reason: str) -> Suite:
    return replace(suite, broken=[*suite.broken, reason])
