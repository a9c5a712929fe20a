"""Great Expectations judges: rows of a table, and what goes beyond them, against the table's suite."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa

from lakehouse.home import Home
from lakehouse.settings import Settings
from quality.facts import Facts
from quality.suite import Expected, Suite
from quality.verdicts import Severity, Verdict

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.core.validation_definition import ValidationDefinition

EXAMPLES: Final = 5
LONGEST_TEXT: Final = 200
"""Characters of a value that an example shows: event text may be of any length."""

_GX_SEVERITY: Final = {Severity.warn: "info", Severity.alarm: "warning", Severity.halt: "critical"}
_NAME: Final = "expected"


@dataclass(frozen=True)
class _Part:
    """The expectations of a suite that judge the same rows."""

    name: str
    expected: Mapping[str, Expected]
    definition: ValidationDefinition


class Judge:
    """Judges one batch after another; its context and suites are built once. Not to be shared between threads.

    The first one of a process imports Great Expectations, which takes some seconds.
    """

    def __init__(self, settings: Settings, suites: Mapping[str, Suite], docs: Home | None = None) -> None:
        """``docs``: the home under which `publish` writes Data Docs; without it nothing of a run is kept here."""
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        from quality.data_docs import DataDocs, new_context

        self.settings = settings
        self.suites = suites
        self.context = new_context(docs)
        self._docs = DataDocs(self.context, docs, settings.quality_docs_kept)
        self._source = self.context.data_sources.add_pandas("lakehouse")
        self._parts = {table: self._parts_of(suite) for table, suite in suites.items()}

    def judge(self, table_name: str, rows: pa.Table, facts: Facts) -> list[Verdict]:
        """Every expectation of the table's suite on ``rows``, columns of the table, and ``facts``.

        What depends on facts that are not known is left out. An expectation that cannot be judged (a column is not
        there) has ``success`` None and an ``error``; so has each file of expectations that could not be used.
        """
        suite = self.suites[table_name]
        taken = pl.DataFrame(rows)
        verdicts = [_unusable(number, reason) for number, reason in enumerate(suite.broken, start=1)]
        for part in self._parts[table_name]:
            verdicts += self._judged(part, suite, taken, facts)
        order = {name: place for place, name in enumerate(each.name for each in suite.expectations)}
        return sorted(verdicts, key=lambda verdict: order.get(verdict.expectation, -1))

    def publish(self) -> None:
        """Writes the pages of all that was judged since the last time, where Data Docs are wanted."""
        self._docs.publish()

    def _judged(self, part: _Part, suite: Suite, rows: pl.DataFrame, facts: Facts) -> list[Verdict]:
        view = next(iter(part.expected.values())).of
        try:
            judged = rows if view is None else view(rows, facts, self.settings)
        except pl.exceptions.ColumnNotFoundError as error:
            column = str(error).split("\n", 1)[0].strip().strip('"')
            return [_not_judged(each, f"{suite.table} has no column {column}") for each in part.expected.values()]
        if judged is None:
            return []
        key = [name for name in (suite.key if view is None else judged.columns) if name in judged.columns]
        result = part.definition.run(
            batch_parameters={"dataframe": to_pandas(judged)},
            result_format={
                "result_format": "SUMMARY",
                "partial_unexpected_count": EXAMPLES,
                **({"unexpected_index_column_names": key} if key else {}),
            },
        )
        self._docs.ran(result)
        return [
            _verdict(part.expected[each.expectation_config.meta[_NAME]], each, suite, key) for each in result.results
        ]

    def _parts_of(self, suite: Suite) -> list[_Part]:
        import great_expectations as gx

        asset = self._source.add_dataframe_asset(suite.table)
        parts = []
        for view, same in groupby(sorted(suite.expectations, key=_view), key=_view):
            expected = {each.name: each for each in same}
            name = f"{suite.table} {view}".strip()
            built = self.context.suites.add(
                gx.ExpectationSuite(name, expectations=[_named(each) for each in expected.values()])
            )
            batch = asset.add_batch_definition_whole_dataframe(view or "rows")
            definition = gx.ValidationDefinition(name=name, data=batch, suite=built)
            parts.append(_Part(name, expected, self.context.validation_definitions.add(definition)))
        return parts


def merged(judgements: Iterable[Sequence[Verdict]]) -> list[Verdict]:
    """The verdicts on a table of those on its parts: what failed in one has failed, and its counts are added."""
    whole: dict[str, Verdict] = {}
    for verdict in (verdict for verdicts in judgements for verdict in verdicts):
        before = whole.get(verdict.expectation)
        whole[verdict.expectation] = verdict if before is None else _both(before, verdict)
    return list(whole.values())


def to_pandas(rows: pl.DataFrame) -> pd.DataFrame:
    """For Great Expectations: a list and a binary by their length, a decimal as a float, a date as a time.

    Time zones are UTC throughout.
    """
    columns = [
        pl.col(name).list.len().cast(pl.Int64)
        if isinstance(kind, pl.List)
        else pl.col(name).bin.size().cast(pl.Int64)
        if kind == pl.Binary
        else pl.col(name).cast(pl.Float64)
        if kind.is_decimal()
        else pl.col(name)
        for name, kind in rows.schema.items()
    ]
    return rows.select(columns).to_pandas()


def _view(expected: Expected) -> str:
    return "" if expected.of is None else str(getattr(expected.of, "__name__", "view"))


def _named(expected: Expected) -> Any:
    """Data Docs show the description in place of the expectation's parameters, which say little to a stranger."""
    return expected.expectation.copy(
        update={
            "meta": {**(expected.expectation.meta or {}), _NAME: expected.name},
            "description": f"{expected.name}: {expected.description}",
            "severity": _GX_SEVERITY[expected.severity],
        }
    )


def _verdict(expected: Expected, result: ExpectationValidationResult, suite: Suite, key: Sequence[str]) -> Verdict:
    error = _error(result, suite.table)
    if error is not None:
        return _not_judged(expected, error)
    found = result.result
    examples = found.get("partial_unexpected_index_list") or []
    return Verdict(
        expected.name,
        result.expectation_config.type,
        _column(expected),
        expected.severity,
        expected.description,
        success=bool(result.success),
        observed=_observed(found),
        unexpected_count=None if found.get("unexpected_count") is None else int(found["unexpected_count"]),
        examples=[_example(each, key) for each in examples[:EXAMPLES]],
    )


def _observed(found: Mapping[str, Any]) -> Any:
    """What was seen: the library's own value, or how many were looked at and how some that failed look."""
    if "observed_value" in found:
        return _plain(found["observed_value"])
    seen = {"rows": found.get("element_count"), "failed": found.get("unexpected_count")}
    if found.get("unexpected_count"):
        seen["values"] = [_plain(value) for value in (found.get("partial_unexpected_list") or [])[:EXAMPLES]]
    return {name: _plain(value) for name, value in seen.items()}


def _example(values: Mapping[str, Any], key: Sequence[str]) -> dict[str, Any]:
    """The key first, then the values that failed."""
    names = [*key, *(name for name in values if name not in key)]
    return {name: _plain(values[name]) for name in names if name in values}


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if hasattr(value, "isoformat") and value != value:
        return None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if hasattr(value, "item"):
        return _plain(value.item()) if not str(getattr(value, "dtype", "")).startswith("datetime") else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value[:LONGEST_TEXT] if isinstance(value, str) else value


def _error(result: ExpectationValidationResult, table: str) -> str | None:
    """Why it could not be judged, in one line; None where it was."""
    raised = result.exception_info or {}
    infos = [raised] if "raised_exception" in raised else list(raised.values())
    messages = [info.get("exception_message") for info in infos if info.get("raised_exception")]
    if not messages:
        return None
    message = " ".join(str(messages[0]).split())
    if "does not exist" in message and 'column "' in message:
        column = message.split('column "', 1)[1].split('"', 1)[0]
        return f"{table} has no column {column}"
    return message[:LONGEST_TEXT]


def _column(expected: Expected) -> str | None:
    column = getattr(expected.expectation, "column", None)
    return None if column is None else str(column)


def _not_judged(expected: Expected, error: str) -> Verdict:
    return Verdict(
        expected.name,
        expected.expectation.expectation_type,
        _column(expected),
        expected.severity,
        expected.description,
        success=None,
        error=f"{error}; mend the expectation" if "no column" in error else error,
    )


def _unusable(number: int, reason: str) -> Verdict:
    return Verdict(
        f"suite_file_{number}",
        "suite_file",
        None,
        Severity.warn,
        "Every file of one's own expectations can be used: else what it expects is not judged.",
        success=None,
        error=reason,
    )


def _both(one: Verdict, other: Verdict) -> Verdict:
    worse = next((each for each in (one, other) if each.success is None), None) or (other if one.success else one)
    counts = [each.unexpected_count for each in (one, other) if each.unexpected_count is not None]
    return replace(
        worse,
        unexpected_count=sum(counts) if counts else None,
        observed=_sum_observed(one.observed, other.observed, worse.observed),
        examples=[*one.examples, *other.examples][:EXAMPLES],
    )


def _sum_observed(one: Any, other: Any, worse: Any) -> Any:
    if not (isinstance(one, dict) and isinstance(other, dict) and "rows" in one and "rows" in other):
        return worse
    sums = {name: (one.get(name) or 0) + (other.get(name) or 0) for name in ("rows", "failed")}
    values = [*one.get("values", []), *other.get("values", [])][:EXAMPLES]
    return sums | ({"values": values} if values else {})
