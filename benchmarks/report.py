"""The report: Markdown and a plot, made from the results' JSON and from nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from benchmarks import markdown as md
from benchmarks.plot import plot
from benchmarks.results import FORMAT
from benchmarks.sections import (
    backlog,
    cluster,
    costs,
    detection,
    footprint,
    freshness,
    growth,
    pages,
    scoring,
    validation,
)
from lakehouse.errors import LakehouseError

Document = dict[str, Any]
"""What benchmarks.results.save writes."""

SECTIONS: Final = {
    "freshness": freshness.section,
    "backlog": backlog.section,
    "cluster": cluster.section,
    "growth": growth.section,
    "scoring": scoring.section,
    "detection": detection.section,
    "validation": validation.section,
    "pages": pages.section,
    "footprint": footprint.section,
    "costs": costs.section,
}
"""In the report's order."""


def write(results: Path, docs: Path) -> list[Path]:
    """Gathers the results of ``results`` into ``benchmarks.json`` under ``docs`` and makes the page and the plot of it.

    What ``docs`` has of benchmarks that ``results`` lacks is kept. Raises LakehouseError where there is nothing.
    """
    target = docs / "benchmarks.json"
    documents = documents_of(results, docs)
    docs.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"format": FORMAT, "benchmarks": documents}, indent=1) + "\n")
    page, picture = docs / "benchmarks.md", docs / "benchmarks.svg"
    has_plot = plot(documents, picture)
    page.write_text(render(documents, picture.name if has_plot else None))
    return [target, page, *([picture] if has_plot else [])]


def documents_of(results: Path, docs: Path) -> dict[str, Document]:
    """What was measured last: the results of ``results``, and for the others what the report under ``docs`` has.

    Raises LakehouseError where there is nothing.
    """
    documents = gather([docs / "benchmarks.json", *(results / f"{name}.json" for name in SECTIONS)])
    if not documents:
        raise LakehouseError(f"there are no results under {results}; `python -m benchmarks all` makes them")
    return documents


def gather(files: list[Path]) -> dict[str, Document]:
    """The newest result of each benchmark, in the report's order; of two, that of the later file."""
    found: dict[str, Document] = {}
    for file in files:
        try:
            told = json.loads(file.read_text())
        except FileNotFoundError:
            continue
        except ValueError as error:
            raise LakehouseError(f"{file} is no JSON ({error}); remove it, and run the benchmark again") from None
        if told.get("format") != FORMAT:
            raise LakehouseError(f"{file} is of another format; remove it, and run the benchmark again")
        found |= told["benchmarks"] if "benchmarks" in told else {told["benchmark"]: told}
    return {name: found[name] for name in SECTIONS if name in found}


def render(documents: dict[str, Document], picture: str | None = None) -> str:
    """The page."""
    parts = [
        "# Benchmarks",
        "Made by `python -m benchmarks report` from [benchmarks.json](benchmarks.json): every figure here comes from a "
        "run. `uv run python -m benchmarks all` runs everything again; `--help` tells of each part and its options.",
    ]
    if picture:
        parts.append(f"![The benchmarks in pictures]({picture})")
    parts.append(_machines(documents))
    for name, document in documents.items():
        parts += [*SECTIONS[name](document["result"], document["options"]), _when(document)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _machines(documents: dict[str, Document]) -> str:
    """What they ran on; told once where it is the same for all."""
    lines = []
    for document in documents.values():
        machine = document["machine"]
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        line = (
            f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']:g} GiB, {machine['system']}, "
            f"Python {machine['python']}, Java {machine['java']}, {versions}"
        )
        if line not in lines:
            lines.append(line)
    title = "## Machine" if len(lines) == 1 else "## Machines"
    note = "Everything runs on this machine at once: Kafka, Spark, Postgres, the load and whoever measures."
    return "\n\n".join([title, *lines, note])


def _when(document: Document) -> str:
    """When, which commit, which settings, and what makes the figures doubtful."""
    machine = document["machine"]
    said = [f"Measured {machine['at']}, commit {machine['commit']}, in {md.seconds(document['seconds'])}"]
    if machine["settings"]:
        changed = ", ".join(f"{name}={value}" for name, value in machine["settings"].items())
        said.append(f"settings other than the defaults: {changed}")
    text = f"*{'; '.join(said)}.*"
    if document["quick"]:
        text = f"**A quick run, to see that it works: no figures to go by.** {text}"
    return text
