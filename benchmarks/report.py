"""The report: Markdown and a plot, made from the results' JSON and from nothing else."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any, Final

from benchmarks import markdown as md
from benchmarks.plot import plot
from benchmarks.results import FORMAT
from lakehouse.errors import LakehouseError

Document = dict[str, Any]
"""What benchmarks.results.save writes."""

ORDER: Final = ("freshness", "backlog", "growth", "footprint")

BUSY_CORES: Final = 0.3
"""Above this a figure carries a note that it was not taken on a quiet machine."""


def write(results: Path, docs: Path) -> list[Path]:
    """Gathers the results of ``results`` into ``benchmarks.json`` under ``docs`` and makes the page and the plot of it.

    What ``docs`` has of benchmarks that ``results`` lacks is kept. Raises LakehouseError where there is nothing.
    """
    target = docs / "benchmarks.json"
    documents = gather([target, *(results / f"{name}.json" for name in ORDER)])
    if not documents:
        raise LakehouseError(f"there are no results under {results}; `python -m benchmarks all` makes them")
    docs.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps({"format": FORMAT, "benchmarks": documents}, indent=1) + "\n")
    page, picture = docs / "benchmarks.md", docs / "benchmarks.svg"
    has_plot = plot(documents, picture)
    page.write_text(render(documents, picture.name if has_plot else None))
    return [target, page, *([picture] if has_plot else [])]


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
    return {name: found[name] for name in ORDER if name in found}


def render(documents: dict[str, Document], picture: str | None = None) -> str:
    """The page."""
    sections = {"freshness": _freshness, "backlog": _backlog, "growth": _growth, "footprint": _footprint}
    parts = [
        "# Benchmarks",
        "Made by `python -m benchmarks report` from [benchmarks.json](benchmarks.json): every figure here comes from a "
        "run. `uv run python -m benchmarks all` runs everything again; `--help` tells of each part and its options.",
    ]
    if picture:
        parts.append(f"![The benchmarks in pictures]({picture})")
    parts.append(_machines(documents))
    for name, document in documents.items():
        parts += [*sections[name](document["result"], document["options"]), _when(document)]
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


def _busy(cores: float) -> str:
    return f"Others kept {cores:.1f} cores busy meanwhile: not a quiet machine." if cores > BUSY_CORES else ""


# -- freshness ----------------------------------------------------------------------------------------------


def _freshness(result: Any, options: Any) -> list[str]:
    parts = [
        "## Freshness",
        f"Seconds from the producer's send to the row in Postgres. Tagged events of users that nobody else is are sent "
        f"every {result['probe_every_s']:g} s among a steady simulated load (of which 1 % are up to a day late, 1 % "
        f"copies, 0.2 % broken) and looked for every 30 ms, for {options['seconds']:g} s after a warm-up of "
        f"{options['warm_up_s']:g} s that counts nowhere; each rate on a stack of its own that begins empty.",
        md.table(
            ("events/s", "sent/s", "table", "p50", "p95", "p99", "max", "probes", "lost", "drift"),
            [
                (
                    md.whole(rate["events_per_second"]),
                    md.whole(rate["sent_per_second"]),
                    f"`{table}`",
                    *(_percentile(found, name) for name in ("p50", "p95", "p99", "max")),
                    md.whole(found["count"] if found else 0),
                    md.whole(rate["missing"][table]),
                    md.seconds(rate["drift_s"]),
                )
                for rate in result["rates"]
                for table, found in rate["latency_s"].items()
            ],
        ),
        "Drift: median of the last third less that of the first, in `funnel_summary`; it grows where the stack falls "
        "behind the load.",
        _pause(result["pause"]),
        "### Where the time goes",
        _stages(result["rates"]),
        "### Memory under load",
        _memory([(f"{rate['events_per_second']:,} events/s", rate["usage"]) for rate in result["rates"]]),
    ]
    parts.append(_busy(max((rate["usage"]["cores"].get("others", 0.0) for rate in result["rates"]), default=0.0)))
    return parts


def _percentile(found: Any, name: str) -> str:
    return md.seconds(found[name] if found else None)


def _pause(pause: Any) -> str:
    if pause is None:
        return ""
    recovered = pause["recovered_after_s"]
    normal = (
        f"the median of ten seconds was normal again ({md.seconds(pause['normal_s'])} or less) "
        f"{md.seconds(recovered)} after it went on"
        if recovered is not None
        else "the median was not normal again while it was watched"
    )
    return (
        f"**After a pause.** At {pause['events_per_second']:,} events/s the writer and its JVM were stopped for "
        f"{md.seconds(pause['paused_s'])}: {normal}, and the last event sent during the pause was in Postgres "
        f"{md.seconds(pause['backlog_gone_after_s'])} after. The longest that an event took was "
        f"{md.seconds(pause['longest_s'])}; {pause['missing']:,} were lost."
    )


def _stages(rates: list[Any]) -> str:
    names = list(dict.fromkeys(name for rate in rates for name in rate["stages"]))
    head = ["micro-batch, median"]
    for rate in rates:
        head += [f"{rate['events_per_second']:,}/s: rows", "time"]
    rows = []
    for name in names:
        row = [name]
        for rate in rates:
            stage = rate["stages"].get(name)
            row += [md.whole(stage["median_rows"]), md.seconds(stage["median_s"])] if stage else [md.NONE, md.NONE]
        rows.append(row)
    return md.table(head, rows)


def _memory(usages: list[tuple[str, Any]]) -> str:
    names = sorted({name for _, usage in usages for name in usage["memory"]})
    rows = []
    for name in names:
        memories = [usage["memory"].get(name) for _, usage in usages]
        budget = next((memory["budget"] for memory in memories if memory), None)
        row = [name, f"{budget:,} MiB" if budget else md.NONE]
        for memory in memories:
            over = memory and budget and memory["peak"] > budget
            row.append(f"{memory['peak']:,.0f} MiB{' **over**' if over else ''}" if memory else md.NONE)
        rows.append(row)
    total = ["all at one moment", md.NONE, *(f"{usage['total_memory_peak']:,.0f} MiB" for _, usage in usages)]
    return md.table(["process, peak PSS", "budget", *(name for name, _ in usages)], [*rows, total])


# -- backlog ------------------------------------------------------------------------------------------------


def _backlog(result: Any, options: Any) -> list[str]:
    topic, proof = result["topic"], result["proof"]
    parts = [
        "## Backlog",
        f"One topic, {topic['messages']:,} messages ({topic['events']:,} distinct valid events in "
        f"{topic['windows']:,} windows of a user; the rest are copies and broken ones), taken by each in turn, "
        f"{options['repeats']} times, with an empty home and an empty Postgres and nothing else at work but Kafka and "
        "Postgres. Median (lowest to highest).",
        md.table(
            ("", "events/s", "time", "peak memory", "events counted"),
            [
                (contest["name"], "failed", md.NONE, md.NONE, md.NONE)
                if contest["seconds"] is None
                else (
                    contest["name"],
                    md.spread(contest["events_per_second"], md.whole),
                    md.spread(contest["seconds"]),
                    f"{contest['peak_memory_mib']:,.0f} MiB",
                    md.whole(contest["counted"]),
                )
                for contest in result["contests"]
            ],
        ),
        _ratios(result),
        "\n".join(f"- **{contest['name']}**: {contest['what']}." for contest in result["contests"]),
        "\n".join(f"- {c['name']} failed: {c['error']}" for c in result["contests"] if c["error"]),
    ]
    if proof:
        wrong = f"; wrong: {', '.join(proof['wrong_balances'])}" if proof["wrong_balances"] else ""
        parts.append(
            f"**The result is right.** `lakehouse audit --full` after each run: {proof['audits_that_agree']} of "
            f"{proof['audits']} agree ({proof['balances']} balances{wrong}). Against a count of the messages as they "
            f"were sent, which no part of the pipeline sees: {proof['gold_rows_expected']:,} windows expected in gold, "
            f"{proof['gold_rows']:,} there, {proof['gold_rows_wrong']:,} wrong."
            if proof["gold_rows_wrong"] == 0 and proof["audits"] == proof["audits_that_agree"]
            else f"**The result is wrong.** {proof['audits_that_agree']} of {proof['audits']} audits agree{wrong}; "
            f"{proof['gold_rows_wrong']:,} of {proof['gold_rows_expected']:,} windows in gold are wrong."
        )
    if result["stage_seconds"]:
        turns = ", ".join(f"{name} {md.seconds(s)}" for name, s in result["stage_seconds"].items())
        parts.append(f"The turns of the lakehouse's stages in its first run: {turns}.")
    parts.append(_busy(max((contest["others_cores"] for contest in result["contests"]), default=0.0)))
    return parts


def _ratios(result: Any) -> str:
    said = []
    if result["times_plain"] is not None:
        said.append(f"{result['times_plain']:.2f} times the speed of the plain design")
    if result["share_of_limit"] is not None:
        said.append(f"{result['share_of_limit']:.0%} of that of a bare reader")
    return f"The lakehouse runs at {' and '.join(said)}." if said else ""


# -- growth -------------------------------------------------------------------------------------------------


def _growth(result: Any, options: Any) -> list[str]:
    parts = [
        "## Growth",
        "What a micro-batch costs as the history grows. Bronze is given its rows in bulk, by the store; everything "
        "after it is the writer's own: its stages, its mirrors in Postgres, its upkeep. At each size "
        f"{options['small_batches']} micro-batches of {options['small']:,} events are timed, from rows in bronze to "
        "rows in Postgres. Slopes are Theil and Sen's, with their 95 % interval.",
    ]
    for part in result["parts"]:
        parts += [f"### {_PART_TITLES.get(part['name'], part['name'])}", *_part(part, options)]
    parts.append(_busy(max((part["others_cores"] for part in result["parts"]), default=0.0)))
    return parts


_PART_TITLES: Final = {
    "in order": "More events, in order",
    "1 % a week late": "More events, 1 % of them a week late",
    "commits": "More commits",
}


def _part(part: Any, options: Any) -> list[str]:
    if part["error"]:
        return [f"It failed: {part['error']}."]
    of_commits = "commits" in part["unit"]
    looks = [*part["looks"], *([part["after_upkeep"]] if part["after_upkeep"] else [])]
    names = [f"{look['history']:,}" for look in part["looks"]] + ["after `lakehouse maintain`"]
    head = ["commits a table" if of_commits else "events", "micro-batch, median", "longest"]
    head += [] if of_commits else ["an event, in bulk"]
    head += ["longest upkeep", "data files", "log files", "on disk", "Python", "Spark"]
    rows = []
    for name, look in zip(names, looks, strict=False):
        row = [name, md.seconds(_median(look["batch_s"])), md.seconds(max(look["batch_s"]))]
        if not of_commits:
            row.append(f"{look['grown_s'] / options['step'] * 1e6:,.0f} µs" if look["grown_s"] else md.NONE)
        row += [
            md.seconds(look["upkeep_s"]),
            md.whole(sum(look["files"].values())),
            md.whole(sum(look["log_files"].values())),
            md.mebibytes(look["bytes"]),
            *(f"{look['memory_mib'][process]:,.0f} MiB" for process in ("writer: Python", "writer: Spark")),
        ]
        rows.append(row)
    made = (
        "In place of most commits log entries that change nothing are made, dated as if one had come every 1.5 s, for "
        "as many micro-batches would take days; with the last comes a checkpoint."
        if of_commits
        else ""
    )
    return [made, md.table(head, rows), _slopes(part)]


def _slopes(part: Any) -> str:
    lines = []
    for name, slope, factor, unit in (
        ("A micro-batch", part["batch_slope"], 1_000, "ms"),
        ("An event in bulk", part["event_slope"], 1, "µs"),
        ("The writer's memory", part["memory_slope"], 1, "MiB"),
    ):
        if slope is None:
            continue
        per_unit, low, high = (slope[key] * factor for key in ("per_unit", "low", "high"))
        flat = ", which is none that can be told from zero" if low <= 0 <= high else ""
        lines.append(
            f"- {name}: {per_unit:+,.2f} {unit} for each {part['unit']} ({low:+,.2f} to {high:+,.2f}){flat}; median "
            f"{slope['median'] * factor:,.0f} {unit}, {slope['points']} points."
        )
    return "\n".join(lines)


def _median(values: list[float]) -> float:
    return float(statistics.median(values))


# -- footprint ----------------------------------------------------------------------------------------------


def _footprint(result: Any, options: Any) -> list[str]:
    disk = result["disk"]
    messages = disk["topic"]["messages"]
    per_million = 1_000_000 / messages
    delta = [
        (
            f"`{name}`",
            md.whole(size["rows"]),
            md.whole(size["files"]),
            md.mebibytes(size["bytes"] * per_million),
            md.mebibytes(size["bytes_on_disk"] * per_million),
        )
        for name, size in disk["delta"].items()
    ]
    others = {f"Postgres `{name}`": size for name, size in disk["postgres_bytes"].items()} | {
        "Kafka": disk["kafka_bytes"],
        "checkpoints": disk["checkpoint_bytes"],
    }
    return [
        "## Footprint",
        "### Starting",
        f"`lakehouse up` with the simulator, {options['repeats']} times each; seconds from the command. Cold: an empty "
        "home, the jars in the cache. Warm: a home that has run before.",
        md.table(
            ("", "ready", "first row in Postgres", "`lakehouse down`"),
            [
                (
                    name,
                    md.spread(result[name]["ready_s"]),
                    md.spread(result[name]["first_row_s"]),
                    md.spread(result[name]["stop_s"]),
                )
                for name in ("cold", "warm")
            ],
        ),
        "Each service from its own start until healthy, cold: "
        + ", ".join(f"{name} {md.seconds(s)}" for name, s in result["cold"]["services_s"].items())
        + ".",
        "### Memory",
        _memory([("idle", result["idle"]), (f"taking {messages:,} events", result["loaded"])]),
        f"Idle, the whole stack keeps {sum(_own_cores(result['idle'])):.2f} cores busy.",
        "### Disk",
        f"After a backlog of {messages:,} messages in large batches, before any upkeep; for each million messages.",
        md.table(
            ("", "rows", "files", "for a million", "with old versions, change data and log"),
            [
                *delta,
                *((name, md.NONE, md.NONE, md.mebibytes(size * per_million), md.NONE) for name, size in others.items()),
            ],
        ),
        _busy(max(result[name]["cores"].get("others", 0.0) for name in ("idle", "loaded"))),
    ]


def _own_cores(usage: Any) -> list[float]:
    return [cores for name, cores in usage["cores"].items() if name not in ("others", "benchmark", "load")]
