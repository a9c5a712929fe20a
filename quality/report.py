"""The report: one page that a person outside the team understands, made of what the tables hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lakehouse.contracts import QualityDecisions, QualityResults
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from quality import charts
from quality.evidence import COPIES, FAILED, LATE, NOT_MET_SINCE, REASON, RUNS, Evidence, Since, gather, now
from quality.evidence import recent as moment_of
from quality.outages import EVENT_TYPE, EVENTS, HOUR, LookBack, Outage, Span, look_back
from quality.verdicts import Severity

TEMPLATES: Final = Path(__file__).parent / "templates"
MOST_TYPES: Final = 8
"""Event types that have a panel of their own; the rarer ones are named below."""
MOST_WORST: Final = 12
"""Expectations that are told of in full."""
MOST_EXAMPLES: Final = 3
OTHER: Final = "other reasons"
_GRAVITY: Final = (Severity.halt, Severity.alarm, Severity.warn)
_LAYERS: Final = ("bronze", "silver", "gold")
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)
_Q = QualityResults


def write_report(home: Home, since: Since, out: Path) -> str:
    """Writes the page to ``out`` and returns its headline.

    Raises LakehouseError where the home has no events, or ``out`` cannot be written.
    """
    if out.is_dir():
        raise LakehouseError(f"--out {out}: is a folder; name a file in it, as {out / 'quality.html'}")
    if not out.parent.is_dir():
        raise LakehouseError(f"--out {out}: there is no folder {out.parent}; make it first")
    page = page_of(gather(home, since), since, now())
    try:
        out.write_text(page.html, encoding="utf-8")
    except OSError as error:
        raise LakehouseError(f"--out {out}: cannot be written: {error.strerror}; name another file") from None
    return page.headline


@dataclass(frozen=True)
class Page:
    """The page and what it says first."""

    headline: str
    html: str


def page_of(evidence: Evidence, since: Since, made_at: datetime) -> Page:
    """Pure: the same evidence gives the same page. ``made_at`` is only shown."""
    found = look_back(evidence.events)
    span = _span(evidence.events, since)
    outages = [outage for outage in found.outages if span is not None and outage.span.end > span.start]
    headline = _headline(outages, evidence, span)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    text = environment.get_template("report.html.j2").render(
        headline=headline,
        good=not outages and not _failing(evidence).height,
        made_at=_moment(made_at),
        span=None if span is None else _days(span),
        total=f"{_total(evidence.events, span):,}",
        since=None if since is None else _since(since),
        outages=[_told(each, found) for each in outages],
        looked=_looked(found),
        heat=_heat(evidence.events, outages, span),
        layers=list(_layers(evidence)),
        trend=charts.pass_rates(evidence.trend) if evidence.trend.height else None,
        worst=list(_worst(evidence)),
        judged=evidence.state.height,
        refused=_refused(evidence),
        late=_late(evidence),
    )
    return Page(headline, text)


# -- outages in words -------------------------------------------------------------------------------------


def _told(outage: Outage, found: LookBack) -> dict[str, Any]:
    name, said = sentence(outage, found)
    return {"total": outage.is_total, "name": name, "said": said}


def sentence(outage: Outage, found: LookBack) -> tuple[str, str]:
    """What was missing, and when, as a person would tell of it; days are inclusive."""
    name = outage.event_type or "All events"
    unit = "day" if found.bucket == _DAY else "hour"
    if not outage.is_total:
        return name, (
            f"{_count(outage.events, 'event')} {_from_to(outage.buckets, found)}, where about "
            f"{_about(outage.usual)} are usual ({outage.events / outage.usual:.0%})."
        )
    begin = f"from {_moment(outage.span.start)}" + (", when the data begin," if outage.from_start else "")
    end = "to the end of the data, " if outage.to_end else "to "
    said = f"none {begin} {end}{_moment(outage.span.end)}; about {_about(outage.usual)} are usual in such a time."
    first = " It had never come before, so tracking may only have begun then." if outage.from_start else ""
    return name, f"{said} Whole {unit}s without one: {_from_to(outage.buckets, found, bare=True)}.{first}"


def _from_to(span: Span, found: LookBack, *, bare: bool = False) -> str:
    if found.bucket != _DAY:
        return f"{'' if bare else 'from '}{_moment(span.start)} to {_moment(span.end)}"
    last = span.end - _DAY
    if last == span.start:
        return f"{'' if bare else 'on '}{_day(last)}"
    start = span.start
    if bare and (start.year, start.month) == (last.year, last.month):
        return f"{start.day}\N{EN DASH}{_day(last)}"
    return f"{'' if bare else 'from '}{_day(start)} to {_day(last)}"


def _looked(found: LookBack) -> str:
    if found.bucket is None:
        return "There are too few hours of data to say what is usual, so no outage could be looked for."
    unit = "day" if found.bucket == _DAY else "hour"
    said = f"Each type was held against its own usual {unit}, as busy as the other types were: {_list(found.judged)}."
    if not found.judged:
        said = f"No type comes often enough to have a usual {unit}."
    if found.too_rare:
        said += f" Too rare to be judged: {_list(found.too_rare)}."
    return said


def _headline(outages: Sequence[Outage], evidence: Evidence, span: Span | None) -> str:
    total, reduced = sum(each.is_total for each in outages), sum(not each.is_total for each in outages)
    parts = [_count(total, "tracking outage") if total else "No tracking outage"]
    if span is None:
        parts = ["No event in this time"]
    if reduced:
        parts[0] += f" and {_count(reduced, 'stretch', 'stretches')} with far fewer events than usual"
    judged, failing = evidence.state.height, _failing(evidence).height
    unknown = evidence.state.filter(pl.col(_Q.success).is_null()).height
    if not judged:
        parts.append("nothing has been judged yet")
    elif failing:
        parts.append(f"{failing} of {_count(judged, 'expectation')} not met when last judged")
    elif unknown:
        parts.append(f"{judged - unknown} of {_count(judged, 'expectation')} met, {unknown} could not be judged")
    else:
        parts.append(f"all {_count(judged, 'expectation')} met when last judged")
    return "; ".join(parts) + "."


# -- verdicts ---------------------------------------------------------------------------------------------


def _failing(evidence: Evidence) -> pl.DataFrame:
    return evidence.state.filter(pl.col(_Q.success).eq(other=False))


def _layers(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """Each layer's tables: how many expectations are met, and which are not, since when."""
    decided = {row[QualityDecisions.run_id]: row for row in reversed(list(evidence.decisions.iter_rows(named=True)))}
    tables: dict[str, list[dict[str, Any]]] = {}
    for (name,), rows in evidence.state.group_by(str(_Q.table_name), maintain_order=True):
        verdicts = list(rows.iter_rows(named=True))
        not_met = (_short_verdict(row, decided) for row in verdicts if row[_Q.success] is not True)
        layer = str(name).split(".")[0]
        tables.setdefault(layer, []).append(
            {
                "name": name,
                "met": sum(row[_Q.success] is True for row in verdicts),
                "all": len(verdicts),
                "judged": _moment(max(row[_Q.started_at] for row in verdicts)),
                "not_met": sorted(not_met, key=_gravity),
            }
        )  # fmt: skip
    for layer in sorted(tables, key=lambda layer: (_LAYERS.index(layer) if layer in _LAYERS else len(_LAYERS), layer)):
        each = tables[layer]
        yield {
            "name": layer,
            "met": sum(table["met"] for table in each),
            "all": sum(table["all"] for table in each),
            "worst": min((_gravity(line) for table in each for line in table["not_met"]), default=None),
            "tables": each,
        }


def _short_verdict(row: dict[str, Any], decided: dict[str, dict[str, Any]]) -> dict[str, Any]:
    decision = decided.get(row[_Q.run_id])
    said = None
    if decision is not None:
        note = decision[QualityDecisions.note]
        said = f"{decision[QualityDecisions.decision]} on {_moment(decision[QualityDecisions.decided_at])}"
        said += f": {note}" if note else ""
    return {
        "name": row[_Q.expectation],
        "severity": row[_Q.severity],
        "since": _moment(row[NOT_MET_SINCE]) if row[NOT_MET_SINCE] is not None else None,
        "error": row[_Q.error] if row[_Q.success] is None else None,
        "decision": said,
    }


def _gravity(line: dict[str, Any]) -> int:
    return _GRAVITY.index(line["severity"]) if line["severity"] in _GRAVITY else len(_GRAVITY)


def _worst(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """The gravest first, then those that failed most often."""
    gravity = pl.col(_Q.severity).replace_strict({str(s): n for n, s in enumerate(_GRAVITY)}, default=len(_GRAVITY))
    rows = evidence.failures.sort(
        gravity, pl.col(FAILED) / pl.col(RUNS), pl.col(FAILED), descending=[False, True, True]
    ).head(MOST_WORST)
    still = {(row[_Q.table_name], row[_Q.expectation]) for row in _failing(evidence).iter_rows(named=True)}
    for row in rows.iter_rows(named=True):
        yield {
            "table": row[_Q.table_name],
            "name": row[_Q.expectation],
            "severity": row[_Q.severity],
            "description": row[_Q.description],
            "failed": row[FAILED],
            "runs": row[RUNS],
            "still": (row[_Q.table_name], row[_Q.expectation]) in still,
            "last": _moment(row[_Q.started_at]),
            "observed": _observed(row[_Q.observed]),
            "unexpected": row[_Q.unexpected_count],
            "rows": row[_Q.num_rows],
            "examples": list(row[_Q.examples] or [])[:MOST_EXAMPLES],
        }


def _observed(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 200 else f"{shown[:199]}…"


# -- counts -----------------------------------------------------------------------------------------------


def _heat(events: pl.DataFrame, outages: Sequence[Outage], span: Span | None) -> dict[str, Any] | None:
    if span is None:
        return None
    shown = events.filter((pl.col(HOUR) >= span.start) & (pl.col(HOUR) < span.end))
    ranked = events.group_by(EVENT_TYPE).agg(pl.col(EVENTS).sum()).sort(EVENTS, EVENT_TYPE, descending=[True, False])
    types = ranked[EVENT_TYPE].to_list()
    return {
        "svg": charts.completeness(shown, outages, span, types[:MOST_TYPES]),
        "left_out": _list(types[MOST_TYPES:]) if len(types) > MOST_TYPES else None,
    }


def _refused(evidence: Evidence) -> dict[str, Any] | None:
    if not evidence.refused.height:
        return None
    sums = evidence.refused.group_by(REASON).agg(pl.col(EVENTS).sum()).sort(EVENTS, REASON, descending=[True, False])
    named = sums[REASON].head(charts.MOST_SERIES).to_list()
    return {
        "svg": charts.refusals(evidence.refused, named, OTHER),
        "rows": f"{evidence.refused_rows:,}",
        "resolved": f"{evidence.resolved_rows:,}",
        "reasons": [(reason, f"{count:,}") for reason, count in sums.iter_rows()],
    }


def _late(evidence: Evidence) -> dict[str, Any] | None:
    if not evidence.counted.height:
        return None
    events, late = (int(evidence.counted[column].sum()) for column in (EVENTS, LATE))
    copies = int(evidence.copies[COPIES].sum())
    return {
        "svg": charts.late_and_copies(evidence.counted, evidence.copies),
        "late": f"{late:,} of {events:,} events ({late / events:.2%})",
        "copies": f"{copies:,} of {events + copies:,} valid messages ({copies / (events + copies):.2%})",
    }


def _span(events: pl.DataFrame, since: Since) -> Span | None:
    """The hours that are shown; None where there are none."""
    if events.is_empty():
        return None
    first, last = cast(datetime, events[HOUR].min()), cast(datetime, events[HOUR].max())
    moment = moment_of(last + _HOUR, since)
    begin = first if moment is None else max(first, moment.replace(minute=0, second=0, microsecond=0))
    return Span(begin, last + _HOUR) if begin <= last else None


def _total(events: pl.DataFrame, span: Span | None) -> int:
    return 0 if span is None else int(events.filter(pl.col(HOUR) >= span.start)[EVENTS].sum())


# -- words ------------------------------------------------------------------------------------------------


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _about(number: float) -> str:
    """Two figures are enough of what is an estimate."""
    size = 10 ** max(0, len(str(round(number))) - 2)
    return f"{round(number / size) * size:,}"


def _day(time: datetime) -> str:
    return f"{time.day} {time:%B %Y}"


def _days(span: Span) -> str:
    first, last = _day(span.start), _day(span.end - _HOUR)
    return f"on {first}" if first == last else f"from {first} to {last}"


def _moment(time: datetime) -> str:
    time = time.astimezone(UTC)
    return f"{_day(time)} {time:%H:%M}"


def _since(since: datetime | timedelta) -> str:
    if isinstance(since, datetime):
        return f"since {_moment(since)}"
    days = since / _DAY
    return f"for the last {_count(round(days), 'day') if days == round(days) else f'{since / _HOUR:g} hours'}"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
